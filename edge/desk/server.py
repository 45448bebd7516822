"""The agent's end of the local socket: pages connect, see the state, and ask. Nothing here can open a door."""

from __future__ import annotations

import asyncio
import logging
import socket
import stat
from collections import Counter, deque
from pathlib import Path
from typing import Protocol

import msgspec

from contracts.clock import Clock, SystemClock
from edge.desk.messages import MAX_LINE_BYTES, MAX_STATE_BYTES, Ask, DeskState, Reply

MAX_CLIENTS = 16
MAX_ASKS_IN_FLIGHT = 8  # of one client
MAX_REPLIES_WAITING = 32  # of one client; more means that it does not read
MAX_MALFORMED = 8  # of one client, then it is cut off
ASKS_PER_S = 20.0  # of one client; above it, we read that client more slowly
ASK_BURST = 40.0
PACE_S = 0.1  # at most ten states a second
BEAT_S = 10.0  # a state at least this often, so that a page knows that the agent lives
_MAX_SOCKET_PATH_BYTES = 107  # what Linux holds in sockaddr_un, without the closing zero

log = logging.getLogger("zhanggui.desk")


class DeskUnavailableError(Exception):
    """The socket cannot be made; a person must mend the path or stop the other agent. The message says which."""


class DeskBackend(Protocol):
    """Who decides: the agent."""

    def state(self) -> DeskState:
        """All that pages show, now. Cheap, no I/O."""

    async def ask(self, ask: Ask) -> Reply:
        """The agent's word on one request. `Reply.id` need not be set."""


class DeskServer:
    """Serves pages on a Unix socket that only this user may open.

    `clock` is store time and drives countdowns; `pace` is real time and bounds what browsers are sent.
    """

    def __init__(self, path: Path, backend: DeskBackend, clock: Clock, *, pace: Clock | None = None) -> None:
        self._path = path
        self._backend = backend
        self._clock = clock
        self._pace = pace or SystemClock()
        self._clients: dict[int, _Client] = {}
        self._next_client = 0
        self._changed = asyncio.Event()
        self._too_long = False
        self._ready = asyncio.Event()
        self.counters: Counter[str] = Counter()

    @property
    def clients(self) -> int:
        """Pages connected now."""
        return len(self._clients)

    def changed(self) -> None:
        """The state is another: pages get it within a tenth of a second. Cheap; call it as often as you like."""
        self._changed.set()

    async def ready(self) -> None:
        """Return once pages can connect."""
        await self._ready.wait()

    async def run(self) -> None:
        """Own the socket until cancelled; may be run again. Raises DeskUnavailableError, or what the backend raised."""
        listener = _listen(self._path)
        inode = self._path.stat().st_ino
        try:
            async with asyncio.TaskGroup() as group:
                server = await asyncio.start_unix_server(
                    lambda reader, writer: self._accept(group, reader, writer), sock=listener, limit=MAX_LINE_BYTES
                )
                group.create_task(self._broadcast(), name="desk.broadcast")
                group.create_task(self._count_down(), name="desk.count_down")
                group.create_task(self._beat(), name="desk.beat")
                self._ready.set()
                try:
                    await asyncio.get_running_loop().create_future()  # until cancelled
                finally:
                    self._ready.clear()
                    server.close()
                    for client in list(self._clients.values()):
                        client.cut()
        finally:
            listener.close()
            if self._path.exists() and self._path.stat().st_ino == inode:
                self._path.unlink()

    async def _broadcast(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            if self._clients:
                line = self._state_line()
                for client in self._clients.values():
                    client.offer_state(line)
            await self._pace.sleep(PACE_S)

    async def _count_down(self) -> None:
        while True:
            await self._clock.sleep(1.0)
            if self._clients and _counts_down(self._backend.state()):
                self.changed()

    async def _beat(self) -> None:
        while True:
            await self._pace.sleep(BEAT_S)
            for client in list(self._clients.values()):
                if client.stuck():
                    self.counters["client_stuck"] += 1
                    client.cut()
            self.changed()

    def _state_line(self) -> bytes:
        """The state as one line; empty when it is too long to send, which is counted and logged once."""
        line = _encode(self._backend.state())
        if len(line) > MAX_STATE_BYTES:
            self.counters["state_too_long"] += 1
            if not self._too_long:
                log.warning("the state is %d bytes, at most %d are sent: pages go stale", len(line), MAX_STATE_BYTES)
            self._too_long = True
            return b""
        self._too_long = False
        return line

    def _accept(self, group: asyncio.TaskGroup, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._clients) >= MAX_CLIENTS:
            self.counters["client_refused"] += 1
            writer.write(_encode(Reply(id="", ok=False, reason="too_many_pages")))
            writer.close()
            return
        self._next_client += 1
        number = self._next_client
        client = _Client(writer, self.counters)
        self._clients[number] = client
        group.create_task(self._serve(number, client, reader, group), name=f"desk.page.{number}.read")

    async def _serve(
        self, number: int, client: _Client, reader: asyncio.StreamReader, group: asyncio.TaskGroup
    ) -> None:
        sender = group.create_task(client.send(), name=f"desk.page.{number}.write")
        try:
            client.offer_state(self._state_line())
            await self._read(number, client, reader, group)
        except (ConnectionError, asyncio.IncompleteReadError):
            self.counters["client_gone"] += 1
        except asyncio.LimitOverrunError:
            self.counters["line_too_long"] += 1
        finally:
            del self._clients[number]
            sender.cancel()
            client.cut()

    async def _read(self, number: int, client: _Client, reader: asyncio.StreamReader, group: asyncio.TaskGroup) -> None:
        allowance, filled_s, malformed = ASK_BURST, self._pace.now_s(), 0
        while True:
            line = await reader.readuntil(b"\n")
            await asyncio.sleep(0)  # lines that wait in the buffer come without a pause: others get their turn
            now_s = self._pace.now_s()
            allowance = min(ASK_BURST, allowance + (now_s - filled_s) * ASKS_PER_S) - 1.0
            filled_s = now_s
            try:
                ask = _ASK.decode(line)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                self.counters["malformed"] += 1
                malformed += 1
                if malformed > MAX_MALFORMED or not client.offer_reply(Reply(id="", ok=False, reason="malformed")):
                    self.counters["client_cut"] += 1
                    return
                continue
            if client.asks_in_flight >= MAX_ASKS_IN_FLIGHT:
                self.counters["ask_refused"] += 1
                if not client.offer_reply(Reply(id=ask.id, ok=False, reason="too_many_asks")):
                    self.counters["client_cut"] += 1
                    return
            else:
                client.asks_in_flight += 1
                group.create_task(self._decide(client, ask), name=f"desk.page.{number}.ask")
            if allowance < 0.0:
                self.counters["ask_throttled"] += 1
                await self._pace.sleep(-allowance / ASKS_PER_S)

    async def _decide(self, client: _Client, ask: Ask) -> None:
        """One request; it runs to its end even if the page has gone, because the decision stands."""
        reply = await self._backend.ask(ask)
        client.asks_in_flight -= 1
        self.changed()  # a decision shows at once, whoever else forgets to say so
        if not client.offer_reply(msgspec.structs.replace(reply, id=ask.id)):
            self.counters["client_cut"] += 1
            client.cut()


class _Client:
    """What waits to be sent to one page: a few replies, and one state, the latest."""

    def __init__(self, writer: asyncio.StreamWriter, counters: Counter[str]) -> None:
        self._writer = writer
        self._counters = counters
        self._state = b""
        self._replies: deque[bytes] = deque()
        self._wake = asyncio.Event()
        self._sent = 0
        self._sent_at_beat = -1
        self.asks_in_flight = 0

    def offer_state(self, line: bytes) -> None:
        """Send this state next; one that still waits is older, and dropped."""
        if not line:
            return
        if self._state:
            self._counters["state_superseded"] += 1
        self._state = line
        self._wake.set()

    def offer_reply(self, reply: Reply) -> bool:
        """Queue a reply; False when the page does not read."""
        if len(self._replies) >= MAX_REPLIES_WAITING:
            self._counters["reply_dropped"] += 1
            return False
        self._replies.append(_encode(reply))
        self._wake.set()
        return True

    async def send(self) -> None:
        """Hand over what waits, no faster than the page reads; end quietly when it is gone."""
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                while self._replies or self._state:
                    if self._replies:
                        self._writer.write(self._replies.popleft())
                    else:
                        line, self._state = self._state, b""
                        self._writer.write(line)
                    await self._writer.drain()
                    self._sent += 1
        except ConnectionError:
            self._counters["send_failed"] += 1

    def stuck(self) -> bool:
        """Asked at each beat: something has waited since the last one and nothing was read."""
        still, self._sent_at_beat = self._sent == self._sent_at_beat, self._sent
        return still and bool(self._state or self._replies)

    def cut(self) -> None:
        """Close without waiting for the page to read."""
        self._writer.transport.abort()


def _listen(path: Path) -> socket.socket:
    """A bound socket, mode 0600 before anyone can connect. A dead agent's socket is replaced, nothing else is."""
    if len(str(path).encode()) > _MAX_SOCKET_PATH_BYTES:
        raise DeskUnavailableError(f"{path}: longer than {_MAX_SOCKET_PATH_BYTES} bytes; choose a shorter data_dir")
    if path.exists():
        if not stat.S_ISSOCK(path.stat().st_mode):
            raise DeskUnavailableError(f"{path}: is not a socket; move it away")
        if _answers(path):
            raise DeskUnavailableError(f"{path}: another agent serves it; stop that one first")
        path.unlink()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(str(path))
        path.chmod(0o600)  # before listen(): until then every connect is refused
    except OSError as error:
        listener.close()
        raise DeskUnavailableError(f"{path}: {error.strerror}") from error
    listener.setblocking(False)
    return listener


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)  # a full backlog also proves that somebody listens
        try:
            probe.connect(str(path))
        except BlockingIOError:
            return True
        except OSError:
            return False
        return True


def _counts_down(state: DeskState) -> bool:
    return any(c.session is not None and c.session.seconds_left is not None for c in state.cabinets)


_ASK: msgspec.json.Decoder[Ask] = msgspec.json.Decoder(Ask)
_ENCODER = msgspec.json.Encoder()


def _encode(message: DeskState | Reply) -> bytes:
    return _ENCODER.encode(message) + b"\n"
