"""One MDB adapter with all its peripherals, and the acknowledging of replies where the adapter leaves it to us."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from device_drivers.bus import Bus, Exchange, Link, Priority
from device_drivers.errors import MisconfiguredError
from device_drivers.faults import FaultKind
from device_drivers.mdb.codec import Command, DeviceDecoder, DeviceFrame, HostControl, Reply, ReplyParser
from device_drivers.mdb.words import CODINGS, Coding

REPLY_TIMEOUT_S = 0.25  # the adapter's own is 5 ms; this one is for the way to it
QUIET_S = 0.5  # after a question without a reply: what comes until then answers nothing


class MdbLine:
    """Asks one peripheral at a time. All drivers of one adapter share one of these.

    Replies name neither their sender nor their question, and most are the same acknowledgement. So after a question
    without a reply nothing is asked for `QUIET_S`, and what comes meanwhile is dropped: an adapter that holds a reply
    back longer than REPLY_TIMEOUT_S + QUIET_S cannot be used.
    """

    def __init__(self, bus: Bus, *, coding: Coding = "words", echo: bool = False) -> None:
        if coding not in CODINGS:
            raise MisconfiguredError(f"coding: must be one of {', '.join(CODINGS)}")
        self._bus = bus
        self._coding = coding
        self._echo = echo
        self._turn = asyncio.Lock()
        self._quiet_until_s = float("-inf")

    def fault(self, kind: FaultKind, detail: str) -> None:
        """Count what a peripheral said wrongly."""
        self._bus.fault(kind, detail)

    async def ask(
        self,
        command: Command,
        *,
        written: Callable[[], None] = lambda: None,
    ) -> DeviceFrame:
        """The reply to one command, which is written once. `written` is called in the moment before the write.

        Raises NoReplyError after a write without a good reply, UnavailableError if nothing was written.
        """
        frame = command.to_bytes(self._coding)
        parser = ReplyParser(frame, coding=self._coding, echo=self._echo, on_fault=self._bus.fault)
        loop = asyncio.get_running_loop()

        def encode() -> bytes:
            # From here on a reply may come at any time, also if the caller leaves.
            self._quiet_until_s = loop.time() + REPLY_TIMEOUT_S + QUIET_S
            written()
            return frame

        async with self._turn:
            await asyncio.sleep(max(0.0, self._quiet_until_s - loop.time()))
            exchange: Exchange[DeviceFrame] = Exchange(
                priority=Priority.STATUS,
                encode=encode,
                feed=parser.feed,
                timeout_s=REPLY_TIMEOUT_S,
                device=f"mdb {command.address:02X}",
            )
            reply = await self._bus.request(exchange)
            self._quiet_until_s = float("-inf")
            return reply


def acknowledging(
    open_link: Callable[[], Awaitable[Link]], *, coding: Coding = "words"
) -> Callable[[], Awaitable[Link]]:
    """The same link for an adapter that carries words and nothing more: each good block of a peripheral is answered
    with ACK as it is read, a spoilt one with RET, once a question. Not for an adapter that echoes."""

    async def opened() -> Link:
        return _AcknowledgingLink(await open_link(), coding)

    return opened


class _AcknowledgingLink:
    """A reply that comes too late for its question is not acknowledged: the peripheral will say it again."""

    def __init__(self, link: Link, coding: Coding) -> None:
        self._link = link
        self._coding = coding
        self._until_s = float("-inf")
        self._repeats = 0
        self._decoder = self._fresh()

    @property
    def dropped_bytes(self) -> int:
        """See `Link.dropped_bytes`."""
        return self._link.dropped_bytes

    async def read(self) -> bytes:
        """See `Link.read`."""
        data = await self._link.read()
        in_time = asyncio.get_running_loop().time() < self._until_s
        for frame in self._decoder.feed(data):
            if isinstance(frame, Reply) and in_time:
                self._repeats = 0
                self._link.write(HostControl.ACK.to_bytes(self._coding))
        return data

    def flush(self) -> bytes:
        """See `Link.flush`."""
        return self._link.flush()

    def write(self, data: bytes) -> None:
        """See `Link.write`."""
        self._decoder = self._fresh()
        self._repeats = 1
        self._until_s = asyncio.get_running_loop().time() + REPLY_TIMEOUT_S
        self._link.write(data)

    def close(self) -> None:
        """See `Link.close`."""
        self._link.close()

    def _fresh(self) -> DeviceDecoder:
        return DeviceDecoder(self._on_fault, self._coding)

    def _on_fault(self, kind: FaultKind, _detail: str) -> None:
        if kind == "crc" and self._repeats and asyncio.get_running_loop().time() < self._until_s:
            self._repeats = 0
            self._link.write(HostControl.RET.to_bytes(self._coding))
