"""A receipt printer on a bus: each receipt at most once, each pulse of the drawer once, and an honest word about both.

A receipt goes in slices of whole commands. After each the printer is asked whether it is well, and after the last it is
asked a question that it answers in its turn, when all before it is done. What was begun and not confirmed is `unknown`:
the driver never sends it again, a person must look.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Literal, TypeVar

from device_drivers.bus import Bus, Exchange, NoReplyError, Priority
from device_drivers.errors import MisconfiguredError, ProtocolError, UnavailableError
from device_drivers.escpos import commands
from device_drivers.escpos.document import Receipt
from device_drivers.escpos.layout import COLUMNS, Job, laid_out
from device_drivers.escpos.status import (
    DeviceDecoder,
    DeviceFrame,
    Done,
    Flow,
    PrinterStatus,
    StatusByte,
    is_offline,
)
from device_drivers.escpos.text import CHARSETS, Charset

STATUS_TIMEOUT_S = 1.0
SLICE_TIMEOUT_S = 10.0  # a slow printer takes a slice when it has room
DONE_TIMEOUT_S = 10.0  # and for each row
ROW_S = 0.1
QUIET_S = 1.0  # after this long nothing of an older question comes any more
STOPPED_MAX_S = 30.0  # a printer that says stop and never go
QUEUE_TIMEOUT_S = 5.0  # a receipt or a pulse that waits longer is not sent: whoever asked has gone on
REST_S = 1.0  # between two pulses, at least
PACES_BYTES_S = range(50, 1_000_001)

Answers = Literal["ordered", "realtime", "none"]
ANSWERS: tuple[Answers, ...] = ("ordered", "realtime", "none")
F = TypeVar("F", StatusByte, Done)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobReply:
    """What became of a receipt.

    `printed`: the printer has done all of it. `not_printed`: nothing of it was sent. `unknown`: it was begun, and how
    far it came is not known. `sent`: all was sent, and this printer cannot say more. `reason` is one word; `status` is
    the printer's last word; `replaced` counts characters that were printed as `?`.
    """

    result: Literal["printed", "not_printed", "unknown", "sent"]
    reason: str = ""
    status: PrinterStatus | None = None
    replaced: int = 0


@dataclass(frozen=True, slots=True)
class DrawerReply:
    """What became of a pulse. `pulsed`: the printer took it. `sent`: it cannot say. `refused`: the printer is not well,
    or the coil rests. `not_sent` promises that no byte of it left; after `unknown` it may have acted."""

    result: Literal["pulsed", "sent", "refused", "not_sent", "unknown"]
    reason: str = ""


class ReceiptPrinter:
    """One printer on a line of its own. `columns` and `charset` are the paper's and the printer's.

    `status`: an `ordered` one answers status and, in its turn, that all is done; `realtime` answers status alone;
    `none` says nothing, and gets `pace_bytes_s` at most. Raises MisconfiguredError for a description that cannot be.
    """

    def __init__(
        self,
        bus: Bus,
        *,
        columns: int = 48,
        charset: Charset = "gbk",
        status: Answers = "ordered",
        pace_bytes_s: int = 800,
    ) -> None:
        if columns not in COLUMNS:
            raise MisconfiguredError(f"columns: must be {COLUMNS[0]} to {COLUMNS[-1]}, is {columns}")
        if charset not in CHARSETS:
            raise MisconfiguredError(f"charset: must be {' or '.join(CHARSETS)}")
        if status not in ANSWERS:
            raise MisconfiguredError(f"status: must be one of {', '.join(ANSWERS)}")
        if pace_bytes_s not in PACES_BYTES_S:
            raise MisconfiguredError(f"pace_bytes_s: must be {PACES_BYTES_S[0]} to {PACES_BYTES_S[-1]}")
        self._bus = bus
        self._columns = columns
        self._charset: Charset = charset
        self._answers: Answers = status
        self._pace_bytes_s = pace_bytes_s
        self._turn = asyncio.Lock()
        self._owed: set[type] = set()  # kinds of answers that may still be on their way
        self._torn = False  # part of a receipt hangs out of the printer
        self._pulsing = False
        self._rest_until_s = float("-inf")
        self._go = asyncio.Event()
        self._go.set()
        self._port = 0  # which opening of the port a job began on
        self._idle = DeviceDecoder(lambda _kind, _detail: None)  # the bus has counted these bytes as late
        self._overhears = False

    async def status(self) -> PrinterStatus:
        """How the printer is. Raises UnavailableError."""
        async with self._turn:
            return await self._status()

    async def print_receipt(self, receipt: Receipt) -> JobReply:
        """Print it once. Raises ReceiptError for one that does not fit the paper; never repeats anything."""
        job = laid_out(receipt, columns=self._columns, charset=self._charset)
        async with self._in_turn() as mine:
            reply = await self._print(job) if mine else JobReply(result="not_printed", reason="busy")
        return JobReply(result=reply.result, reason=reply.reason, status=reply.status, replaced=job.replaced)

    async def open_drawer(
        self, guard: Callable[[], bool], *, pin: int = 0, on_ms: int = 50, off_ms: int = 500
    ) -> DrawerReply:
        """Push a drawer open, once. `guard` is asked in the step that writes the pulse.

        Raises ProtocolError(local) for a pulse that would burn the coil.
        """
        frame, loop = commands.pulse(pin, on_ms, off_ms), asyncio.get_running_loop()
        if self._pulsing or loop.time() < self._rest_until_s:
            return DrawerReply("refused", "resting")
        ends_s = loop.time() + QUEUE_TIMEOUT_S

        def say() -> bytes | None:
            if loop.time() > ends_s or not guard():
                return None
            self._rest_until_s = loop.time() + max(REST_S, (on_ms + off_ms) / 1000)
            return frame

        self._pulsing = True
        try:
            async with self._in_turn() as mine:
                return await self._pulse(say) if mine else DrawerReply("not_sent", "busy")
        finally:
            self._pulsing = False

    async def _print(self, job: Job) -> JobReply:
        self._set_out()
        if self._answers != "none":
            try:
                before = await self._status()
                if trouble := before.trouble:
                    return JobReply(result="not_printed", reason=trouble, status=before)
                await self._settle(Done, commands.ASK_WHEN_DONE, DONE_TIMEOUT_S)
            except UnavailableError:
                return JobReply(result="not_printed", reason="no_answer")
        # What an earlier receipt left in the printer is cut off first: it is another customer's.
        slices = (commands.INIT + commands.CUT, *job.slices) if self._torn else job.slices
        begun = False
        for data in slices:
            sent, reason = await self._slice(data)
            begun = begun or sent
            if reason:
                return await self._broken(reason) if begun else JobReply(result="not_printed", reason=reason)
        return await self._finished(job)

    async def _slice(self, data: bytes) -> tuple[bool, str]:
        """Send one slice: whether any of it may have left, and what went wrong."""
        try:
            async with asyncio.timeout(STOPPED_MAX_S):
                await self._go.wait()
        except TimeoutError:
            return False, "stopped"
        begun = False

        def say() -> bytes | None:
            nonlocal begun
            if self._bus.counters["opened"] != self._port:
                return None  # what was sent before went to a port that is gone, and the printer may have forgotten it
            begun = self._torn = True
            return data

        try:
            if self._answers == "none":
                await self._paced(say, len(data))
                return begun, ""
            return True, "offline" if await self._taken(say, SLICE_TIMEOUT_S) else ""
        except UnavailableError:
            return begun, "no_answer"

    async def _finished(self, job: Job) -> JobReply:
        """All slices were taken."""
        if self._answers == "none":
            self._torn = False
            return JobReply(result="sent")
        if self._answers == "realtime":
            try:
                after = await self._status()
            except UnavailableError:
                return JobReply(result="unknown", reason="no_answer")
            self._torn = bool(after.trouble)
            return JobReply(result="unknown" if after.trouble else "sent", reason=after.trouble, status=after)
        try:
            said = await self._asked(
                lambda: commands.ASK_WHEN_DONE if self._bus.counters["opened"] == self._port else None,
                Done,
                DONE_TIMEOUT_S + job.rows * ROW_S,
            )
        except UnavailableError:
            return await self._broken("no_answer")
        if said in {Done.END, Done.NEAR_AND_END}:
            return await self._broken("paper_end")
        self._torn = False
        try:
            return JobReply(result="printed", status=await self._status())
        except UnavailableError:
            return JobReply(result="printed")

    async def _broken(self, reason: str) -> JobReply:
        """Begun, and not known to be done; the printer's own word for it if it has one."""
        try:
            status = None if self._answers == "none" else await self._status()
        except UnavailableError:
            status = None
        return JobReply(result="unknown", reason=(status.trouble if status else "") or reason, status=status)

    async def _pulse(self, say: Callable[[], bytes | None]) -> DrawerReply:
        self._set_out()
        sent = False

        def once() -> bytes | None:
            nonlocal sent
            data = say()
            sent = data is not None
            return data

        try:
            if self._answers == "none":
                await self._paced(once, len(commands.pulse(0, 50, 500)))
                return DrawerReply("sent")
            # A printer that stands still would keep the pulse, and open the drawer when nobody stands before it.
            if trouble := (await self._status()).trouble:
                return DrawerReply("refused", trouble)
            offline = await self._taken(once, STATUS_TIMEOUT_S)
        except UnavailableError:
            return DrawerReply("unknown" if sent else "not_sent", "no_answer")
        return DrawerReply("unknown", "offline") if offline else DrawerReply("pulsed")

    async def _status(self) -> PrinterStatus:
        await self._settle(StatusByte, commands.ask_status(1), STATUS_TIMEOUT_S)
        return PrinterStatus.from_bytes(bytes([await self._state(number) for number in commands.STATUS_NUMBERS]))

    async def _state(self, number: int) -> int:
        ask = commands.ask_status(number)
        return (await self._asked(lambda: ask, StatusByte, STATUS_TIMEOUT_S)).value

    async def _taken(self, say: Callable[[], bytes | None], timeout_s: float) -> bool:
        """Send something and ask after it: whether the printer stands still. Raises UnavailableError."""

        def with_question() -> bytes | None:
            data = say()
            return None if data is None else data + commands.ask_status(1)

        return is_offline((await self._asked(with_question, StatusByte, timeout_s)).value)

    async def _settle(self, kind: type[F], ask: bytes, timeout_s: float) -> None:
        """After a question without an answer: an answer may be its late one, until one came and then silence."""
        if kind in self._owed:
            await self._asked(lambda: ask, kind, timeout_s)
            await asyncio.sleep(QUIET_S)

    async def _asked(self, say: Callable[[], bytes | None], kind: type[F], timeout_s: float) -> F:
        """One answer of a kind, alone: answers do not say to which question. Raises UnavailableError."""
        decoder, heard = DeviceDecoder(self._bus.fault), list[F]()

        def encode() -> bytes | None:
            data = say()
            if data is not None:
                self._owed.add(kind)
            return data

        def feed(data: bytes) -> F | None:
            frames = decoder.feed(data)
            self._note(frames)
            heard.extend(frame for frame in frames if isinstance(frame, kind))
            if len(heard) > 1:
                raise ProtocolError("more answers than questions")
            return heard[0] if heard else None

        said = await self._bus.request(
            Exchange(
                priority=Priority.STATUS,
                encode=encode,
                feed=feed,
                timeout_s=timeout_s,
                queue_timeout_s=QUEUE_TIMEOUT_S,
            )
        )
        self._owed.discard(kind)
        return said

    async def _paced(self, say: Callable[[], bytes | None], size: int) -> None:
        """Send to a printer that answers nothing, and wait until it can have it. Raises UnavailableError if the port
        went meanwhile."""

        def feed(data: bytes) -> None:
            self._note(self._idle.feed(data))

        def nothing() -> None:
            return

        try:
            await self._bus.request(
                Exchange(
                    priority=Priority.STATUS,
                    encode=say,
                    feed=feed,
                    timeout_s=size / self._pace_bytes_s,
                    queue_timeout_s=QUEUE_TIMEOUT_S,
                    may_be_silent=True,
                )
            )
        except NoReplyError:
            # Silence and a lost port look alike here, so the bus is asked whether it is still the same one.
            still = Exchange(
                priority=Priority.STATUS, encode=nothing, feed=_nothing_heard, timeout_s=1.0, not_sent=True
            )
            await self._bus.request(still)
            if self._bus.counters["opened"] != self._port:
                raise

    def _set_out(self) -> None:
        """Something begins on the port as it is open now; what an earlier one had stopped is forgotten."""
        if not self._overhears:
            self._overhears = True
            self._bus.overhear(lambda data: self._note(self._idle.feed(data)))
        if self._bus.counters["opened"] != self._port:
            self._port = self._bus.counters["opened"]
            self._go.set()

    def _note(self, frames: list[DeviceFrame]) -> None:
        for frame in frames:
            if frame is Flow.STOP:
                self._go.clear()
            elif frame is Flow.GO:
                self._go.set()

    @asynccontextmanager
    async def _in_turn(self) -> AsyncIterator[bool]:
        """One thing at a time; False if it took too long to become the next."""
        try:
            async with asyncio.timeout(QUEUE_TIMEOUT_S):
                await self._turn.acquire()
        except TimeoutError:
            yield False
            return
        try:
            yield True
        finally:
            self._turn.release()


def _nothing_heard(data: bytes) -> bool | None:
    """What answers nothing."""
    del data
    return None
