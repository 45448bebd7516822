"""Reads an audit file as machines in the field write it: what is odd is remarked, not refused."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from device_drivers.errors import ProtocolError
from device_drivers.eva_dts.audit import (
    ENVELOPE,
    MAX_FIELD_CHARS,
    MAX_FIELDS,
    MAX_FILE_BYTES,
    MAX_SEGMENTS,
    NAME,
    AuditFile,
    Remark,
    RemarkKind,
    Segment,
    lines,
)
from device_drivers.eva_dts.crc import crc16

_LINE_END = re.compile(rb"\r+\n?|\n")  # always ends where its CRs do: to seek a LF behind each is quadratic
_PADDING = b" \t\0\x1a"  # what a store of fixed blocks leaves behind a file
_MOST_BYTES_A_LINE = (MAX_FIELDS + 1) * (MAX_FIELD_CHARS + 1)


@dataclass(frozen=True, slots=True)
class _Line:
    segment: Segment
    start: int  # byte of the file


def parse(data: bytes) -> AuditFile:
    """Read one file. Raises ProtocolError(remote) only for what is no audit file at all, or one over 1 MiB.

    A last line without an end is left out unless it closes the file: half a number is a number too.
    """
    if len(data) > MAX_FILE_BYTES:
        raise ProtocolError(f"{len(data)} bytes are more than an audit file may have")
    remarks = _Remarks()
    found = list(_segments(data, remarks))
    if not any(line.segment.name in ENVELOPE or line.segment.name == "ID1" for line in found):
        raise ProtocolError("this is no EVA-DTS file: none of its usual segments is there")
    _check_sets(data, found, remarks)
    return AuditFile(tuple(line.segment for line in found), remarks.told())


class _Remarks:
    """Remarks in order, each kind of a line's oddness counted and told once."""

    def __init__(self) -> None:
        self._told: list[Remark] = []
        self._counted: Counter[tuple[RemarkKind, str]] = Counter()

    def tell(self, kind: RemarkKind, detail: str) -> None:
        self._told.append(Remark(kind, detail))

    def count(self, kind: RemarkKind, what: str) -> None:
        self._counted[kind, what] += 1

    def told(self) -> tuple[Remark, ...]:
        counted = [Remark(kind, f"{number} {what}") for (kind, what), number in self._counted.items()]
        return (*counted, *self._told)


def _segments(data: bytes, remarks: _Remarks) -> Iterator[_Line]:
    known = 0
    for start, raw, end in _raw_lines(data):
        if not raw.strip(_PADDING):
            continue
        segment = _segment(raw, remarks)
        if segment is None:
            remarks.count("not_a_segment", "lines are no segment")
        elif not end and segment.name not in ("SE", "DXE"):
            remarks.tell("truncated", "the last line has no end and is left out")
        elif known == MAX_SEGMENTS:
            remarks.count("too_much", f"segments beyond {MAX_SEGMENTS} are left out")
        else:
            if end not in (b"\r\n", b""):
                remarks.count("line_ends", "lines end in something else than CR LF")
            known += 1
            yield _Line(segment, start)


def _raw_lines(data: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Start, bytes and end of each line."""
    start = 0
    for end in _LINE_END.finditer(data):
        yield start, data[start : end.start()], end.group()
        start = end.end()
    if start < len(data):
        yield start, data[start:], b""


def _segment(raw: bytes, remarks: _Remarks) -> Segment | None:
    name, *fields = raw[:_MOST_BYTES_A_LINE].decode("latin-1").split("*")
    name = name.strip()
    if not NAME.fullmatch(name):
        return None
    cut = tuple(field[:MAX_FIELD_CHARS] for field in fields[:MAX_FIELDS])
    if len(raw) > _MOST_BYTES_A_LINE or len(fields) > MAX_FIELDS or any(len(f) > MAX_FIELD_CHARS for f in fields):
        remarks.count("too_much", f"segments are cut at {MAX_FIELDS} fields of {MAX_FIELD_CHARS} letters")
    return Segment(name, cut)


def _check_sets(data: bytes, found: list[_Line], remarks: _Remarks) -> None:
    """Each set ST … SE by itself."""
    starts = [at for at, line in enumerate(found) if line.segment.name == "ST"]
    if not starts:
        remarks.tell("truncated", "no set begins (ST)")
    for start, after in pairwise([*starts, len(found)]):
        _check_set(data, found[start:after], remarks)
    names = {line.segment.name for line in found}
    if "DXS" in names and "DXE" not in names:
        remarks.tell("truncated", "the file does not end (DXE)")


def _check_set(data: bytes, found: list[_Line], remarks: _Remarks) -> None:
    names = [line.segment.name for line in found]
    if "G85" not in names:
        remarks.tell("g85_missing", "the set has no check sum (G85)")
    else:
        _check_seal(data, found[: names.index("G85") + 1], remarks)
    if "SE" not in names:
        remarks.tell("truncated", "the set does not end (SE)")
        return
    end = names.index("SE")
    said = found[end].segment.integer(1)
    if said != end + 1:
        remarks.tell("se_count", f"SE counts {'nothing' if said is None else said}, {end + 1} segments stand there")


def _check_seal(data: bytes, found: list[_Line], remarks: _Remarks) -> None:
    """G85 over the bytes as they came, or over the same lines with the line ends that they should have."""
    seal = found[-1].segment.text(1)
    given = int(seal, 16) if re.fullmatch(r"[0-9A-Fa-f]{1,4}", seal) else -1
    if given == crc16(data[found[0].start : found[-1].start]):
        return
    try:
        mended = crc16(lines([line.segment for line in found[:-1]]))
    except ProtocolError:  # a line end that is none stands in a field
        mended = -2
    if given != mended:
        remarks.tell("g85_wrong", "the check sum (G85) is of other bytes")
