"""The simulated people counter on a TCP port: HTTP, digest authentication, and the alert stream with its faults."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from simulators.hardware.people_counter import PATH, STREAM_HEAD, PeopleCamera, part

REALM, OPAQUE = "IP Camera(E1234)", "5ccc069c403ebaf9f0171e9517f40e41"
_FIELD = re.compile(r'(\w+)=(?:"([^"]*)"|([^\s,]+))')


class PeopleCounterServer:
    """Serves one camera. `with_length`: parts say how long they are. `garbage` stands between parts. `hangs`: nothing
    is sent any more, on connections that stay open. `answers` is a status that every request gets instead. `page` is
    what stands behind a challenge."""

    def __init__(self, camera: PeopleCamera, *, user: str, password: str) -> None:
        self.camera = camera
        self.counters: Counter[str] = Counter()
        self.port = 0
        self.with_length = True
        self.garbage = b""
        self.hangs = False
        self.answers = 0
        self.algorithm = "MD5"
        self.page = "<!DOCTYPE html><html><body>401</body></html>"
        self.content_type = "multipart/mixed; boundary=boundary"
        self._user, self._password = user, password
        self._writers: set[asyncio.StreamWriter] = set()
        self._nonces = 0
        self._listener = self._tell  # one object, so that it is found again
        camera.on_cut = self.cut

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[PeopleCounterServer]:
        """Listen on a free port of this machine."""
        server = await asyncio.start_server(self._client, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            self.cut()
            await server.wait_closed()

    @property
    def url(self) -> str:
        """Where the camera is."""
        return f"http://127.0.0.1:{self.port}"

    def cut(self) -> None:
        """Every connection is gone, at once."""
        for writer in list(self._writers):
            self._leave(writer)
            writer.transport.abort()

    def half_a_part(self) -> None:
        """The camera dies while it writes."""
        whole = part(self.camera.document("realTime", self.camera.now, self.camera.now, 9999, 9999))
        for writer in list(self._writers):
            writer.write(whole[: len(whole) // 2])
            self._leave(writer)
            writer.close()

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                self.counters["requests"] += 1
                if not self.camera.online:
                    writer.transport.abort()
                    return
                if self._answer(head, writer):
                    break
            await writer.drain()
            await reader.read()  # until the client goes
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            return
        finally:
            self._leave(writer)
            writer.close()

    def _answer(self, head: str, writer: asyncio.StreamWriter) -> bool:
        """True if the stream has begun."""
        method, path, _ = head.split(" ", 2)
        if self.answers:
            writer.write(f"HTTP/1.1 {self.answers} No\r\nContent-Length: 0\r\n\r\n".encode())
            return False
        if not self._is_allowed(method, path, head):
            self._nonces += 1
            challenge = (
                f'Digest qop="auth", realm="{REALM}", nonce="{self._nonce()}", '
                f'opaque="{OPAQUE}", algorithm={self.algorithm}, stale="FALSE"'
            )
            writer.write(
                f"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: {challenge}\r\n"
                f"Content-Length: {len(self.page)}\r\n\r\n{self.page}".encode()
            )
            return False
        if (method, path) != ("GET", PATH):
            writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
            return False
        self.counters["streams"] += 1
        writer.write(STREAM_HEAD.replace(b"multipart/mixed; boundary=boundary", self.content_type.encode()))
        self._writers.add(writer)
        if self._listener not in self.camera.listeners:
            self.camera.listeners.append(self._listener)
        self.camera.heartbeat()
        self.camera.retell()
        return True

    def _is_allowed(self, method: str, path: str, head: str) -> bool:
        line = next((x for x in head.split("\r\n") if x.lower().startswith("authorization: digest ")), "")
        said = {name: quoted or bare for name, quoted, bare in _FIELD.findall(line)}
        if not line or said.get("nonce") != self._nonce():
            return False
        right = _md5(f"{self._user}:{REALM}:{self._password}"), _md5(f"{method}:{path}")
        middle = f"{said['nonce']}:{said.get('nc')}:{said.get('cnonce')}:{said.get('qop')}"
        allowed = said.get("response") == _md5(f"{right[0]}:{middle}:{right[1]}") and said.get("username") == self._user
        self.counters["wrong_password"] += not allowed
        return allowed

    def _nonce(self) -> str:
        return f"{self._nonces:032x}"

    def _tell(self, document: str) -> None:
        if self.hangs:
            return
        for writer in list(self._writers):
            writer.write(self.garbage + part(document, with_length=self.with_length))

    def _leave(self, writer: asyncio.StreamWriter) -> None:
        self._writers.discard(writer)
        if not self._writers and self._listener in self.camera.listeners:
            self.camera.listeners.remove(self._listener)


def _md5(text: str) -> str:
    return hashlib.md5(
        text.encode(), usedforsecurity=False
    ).hexdigest()  # the algorithm of RFC 2617, as cameras have it
