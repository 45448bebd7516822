"""Cuts an alert stream (multipart over HTTP) into the XML bodies of its parts.

    --boundary CRLF Content-Type: application/xml CRLF Content-Length: n CRLF CRLF <body> CRLF --boundary …

Cameras lie: a length that is missing ends the body at the next boundary, and one that reaches over a boundary is not
believed. What stands between parts is dropped and told. Pictures and other parts that are no XML are dropped unread.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from device_drivers.errors import ProtocolError
from device_drivers.faults import OnFault
from device_drivers.people_counter.alert import MAX_BYTES, Alert, parse_alert

MAX_PART_BYTES = MAX_BYTES
MAX_HEAD_BYTES = 2048
MAX_BODY_BYTES = 4 * 1024 * 1024  # of a push, which may carry a picture beside the alert
MAX_BOUNDARY_CHARS = 70
USUAL_BOUNDARY = "boundary"
MOST_BUFFERED = MAX_PART_BYTES + MAX_BOUNDARY_CHARS + 8

_MAX_LINE_END = 16  # blanks behind a boundary
_HEAD_END = re.compile(rb"\r?\n\r?\n")
_BOUNDARY = re.compile(r'(?:^|;)\s*boundary\s*=\s*(?:"([^"]*)"|([^\s;"]+))', re.IGNORECASE)
_BOUNDARY_CHARS = re.compile(r"[0-9A-Za-z'()+_,./:=? -]*[0-9A-Za-z'()+_,./:=?-]")
_PRINTABLE = bytes(range(0x20, 0x7F))
_REQUEST = re.compile(rb"[A-Z]{3,8} /[!-~]{0,120} HTTP/1\.[01]")


def boundary_of(content_type: str) -> str:
    """The boundary that a Content-Type names. Raises ProtocolError(remote) if it is no multipart, or names none."""
    found = _BOUNDARY.search(content_type[:1024])
    boundary = (found[1] or found[2] or "") if found else ""
    if not content_type.lower().startswith("multipart/") or not 0 < len(boundary) <= MAX_BOUNDARY_CHARS:
        raise ProtocolError("the answer is no multipart with a boundary")
    if not _BOUNDARY_CHARS.fullmatch(boundary):
        raise ProtocolError("a boundary of characters that none may have")
    return boundary


class PartDecoder:
    """Finds the XML bodies. Holds one part at most; one that is longer is dropped whole and told."""

    def __init__(self, on_fault: OnFault, boundary: str = USUAL_BOUNDARY) -> None:
        self._on_fault = on_fault
        self._mark = b"--" + boundary.encode("ascii")
        self._buffer = bytearray()
        self._step: Callable[[list[bytes]], bool] = self._seek
        self._length: int | None = None
        self._is_xml = False

    def feed(self, data: bytes) -> list[bytes]:
        """The bodies that are whole now."""
        bodies: list[bytes] = []
        # Fed in pieces, so that the buffer stays within its cap whatever comes at once.
        for at in range(0, len(data), MAX_HEAD_BYTES):
            self._buffer += data[at : at + MAX_HEAD_BYTES]
            while self._step(bodies):
                pass
        return bodies

    @property
    def buffered(self) -> int:
        """Bytes held back for the next call."""
        return len(self._buffer)

    def _seek(self, _bodies: list[bytes]) -> bool:
        """Between parts: drop everything before a boundary."""
        at = self._buffer.find(self._mark)
        if at < 0:
            self._drop(max(0, len(self._buffer) - len(self._mark) + 1))
            return False
        self._drop(at)
        size = len(self._mark)
        end = self._buffer.find(b"\n", size, size + _MAX_LINE_END)
        if end < 0 and len(self._buffer) < size + _MAX_LINE_END:
            return False
        if end < 0 or bytes(self._buffer[size:end]).strip(b" \t\r") not in {b"", b"--"}:
            self._drop(size)  # a longer word that begins alike
            return True
        last = self._buffer[size:end].startswith(b"--")
        del self._buffer[: end if not last else end + 1]  # the line's end may be the first half of an empty head
        self._step = self._seek if last else self._head
        return True

    def _head(self, _bodies: list[bytes]) -> bool:
        found = _HEAD_END.search(self._buffer)
        if found is None and len(self._buffer) <= MAX_HEAD_BYTES:
            return False
        if found is None or found.start() > MAX_HEAD_BYTES - 4:
            self._on_fault("framing", "a part whose head does not end")
            self._step = self._seek
            return True
        headers = _headers(bytes(self._buffer[: found.end()]))
        del self._buffer[: found.end() - 1]  # the line's end before the body stays: a boundary may follow at once
        self._is_xml = b"xml" in headers.get(b"content-type", b"xml").lower()
        length = headers.get(b"content-length", b"")
        self._length = int(length) if length.isdigit() and len(length) < 10 else None
        if self._length is not None and self._length > MAX_PART_BYTES:
            self._too_long()
            return True
        self._step = self._body
        return True

    def _body(self, bodies: list[bytes]) -> bool:
        most = MAX_PART_BYTES if self._length is None else self._length
        end = self._buffer.find(b"\n" + self._mark, 0, most + 2 + len(self._mark) + 1)
        if end >= 0 and (self._length is None or end + 1 + len(self._mark) <= most + 1):
            body = bytes(self._buffer[1:end]).removesuffix(b"\r")
            if self._length is not None:
                self._on_fault("framing", "a part that is shorter than it says")
        elif self._length is not None:
            end = most + 1
            if len(self._buffer) < end:
                return False
            body = bytes(self._buffer[1:end])
        elif len(self._buffer) > most + 2 + len(self._mark) + 1:
            self._too_long()
            return True
        else:
            return False
        del self._buffer[:end]
        self._step = self._seek
        if self._is_xml:
            bodies.append(body)
        return True

    def _too_long(self) -> None:
        self._on_fault("framing", f"a part of more than {MAX_PART_BYTES} bytes")
        self._step = self._seek

    def _drop(self, count: int) -> None:
        if self._buffer[:count].strip():
            self._on_fault("framing", "bytes between two parts")
        del self._buffer[:count]


def _headers(head: bytes) -> dict[bytes, bytes]:
    """What a head says by name, in lower case; lines that name nothing, or say what cannot be printed, are left out.

    Each byte is looked at a few times: an expression with a blank before, in and behind a value takes the cube of them.
    """
    headers: dict[bytes, bytes] = {}
    for line in head.split(b"\n"):
        name, colon, value = line.removesuffix(b"\r").partition(b":")
        value = value.strip(b" \t")
        if colon and not value.translate(None, _PRINTABLE):
            headers[name.lower()] = value
    return headers


def pushed_alerts(content_type: str, body: bytes) -> list[Alert]:
    """The alerts of one HTTP body that a camera pushed: XML alone, or a multipart with it.

    Raises ProtocolError(remote) for a body that is neither, is too long, or whose alerts are none.
    """
    if len(body) > MAX_BODY_BYTES:
        raise ProtocolError(f"a body of more than {MAX_BODY_BYTES} bytes")
    if not content_type.lower().startswith("multipart/"):
        return [parse_alert(body)]
    boundary = boundary_of(content_type)
    wrong: list[str] = []
    decoder = PartDecoder(lambda _kind, detail: wrong.append(detail), boundary)
    bodies = decoder.feed(body + f"\r\n--{boundary}--\r\n".encode("ascii"))
    if not bodies:
        raise ProtocolError(f"a body without an alert ({wrong[0]})" if wrong else "a body without an alert")
    return [parse_alert(one) for one in bodies]


class RequestDecoder:
    """What a host says to a camera, as far as it is ever shown: the first line of each request, without its headers."""

    def __init__(self, on_fault: OnFault) -> None:
        self._on_fault = on_fault
        self._buffer = b""

    def feed(self, data: bytes) -> list[str]:
        """First lines, such as `GET /ISAPI/Event/notification/alertStream HTTP/1.1`."""
        found: list[str] = []
        buffer, at = self._buffer + data, 0
        while at < len(buffer):
            end = buffer.find(b"\r\n\r\n", at, at + MAX_HEAD_BYTES)
            if end < 0 and len(buffer) - at < MAX_HEAD_BYTES:
                break
            line = buffer[at : end if end >= 0 else at].split(b"\r\n", 1)[0]
            if _REQUEST.fullmatch(line):
                found.append(line.decode("ascii"))
                at = end + 4
            else:
                self._on_fault("framing", "bytes of no request")
                at = end + 4 if end >= 0 else at + MAX_HEAD_BYTES - 3
        self._buffer = buffer[at:]
        return found

    @property
    def buffered(self) -> int:
        """Bytes held back for the next call."""
        return len(self._buffer)
