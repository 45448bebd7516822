"""A cashless reader on an MDB line, seen from the machine: it is brought up, polled, and asked once for each vend."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Literal, TypeVar

from device_drivers.bus import NoReplyError
from device_drivers.errors import MisconfiguredError, ProtocolError, RefusedError, UnavailableError
from device_drivers.mdb import cashless
from device_drivers.mdb.cashless import (
    REFUND_ERROR,
    BeginSession,
    EndSession,
    JustReset,
    Malfunction,
    Message,
    Order,
    OutOfSequence,
    PeripheralId,
    ReaderConfig,
    RevalueApproved,
    RevalueDenied,
    VendApproved,
    VendDenied,
)
from device_drivers.mdb.codec import CASHLESS, Command, DeviceControl, DeviceFrame, Reply
from device_drivers.mdb.line import MdbLine
from device_drivers.mdb.machine import NON_RESPONSE_S, CashlessMachine, State

POLL_S = 0.1
START_WITHIN_S = 5.0
CLOSE_WITHIN_S = 5.0
SPARE_S = 1.0  # on top of what the reader says of itself
CONFIRMING_POLLS = 3
DRAINING_POLLS = 8

VendAnswer = Literal["approved", "denied", "unresolved"]
VendEnd = Literal["charged", "not_charged", "unresolved"]
M = TypeVar("M")


@dataclass(frozen=True, slots=True)
class VendReply:
    """What became of a request. `amount_minor`: what the reader holds, in the currency's smallest unit."""

    answer: VendAnswer
    amount_minor: int = 0


class CashlessReader:
    """One reader, at address 0x10 or 0x60. Not for two callers at once.

    A vend is `request_vend`, then `vend_succeeded` or `vend_failed`, then `end_session`. "unresolved" means that
    nobody can tell whether money was taken: nothing is asked again for that vend, and only `start` helps the reader.
    Nothing here is repeated that lets money go.
    """

    def __init__(self, line: MdbLine, *, address: int = 0x10) -> None:
        if address not in CASHLESS:
            raise MisconfiguredError("address: a cashless reader is at 0x10 or 0x60")
        self._line = line
        self._address = address
        self._machine = CashlessMachine()
        self._held_minor = 0
        self._poll_error: UnavailableError | None = None

    @property
    def state(self) -> State:
        """Of the reader, as far as we know."""
        return self._machine.state

    @property
    def unresolved(self) -> int:
        """How many vends ended without a word."""
        return self._machine.unresolved

    async def start(self) -> ReaderConfig:
        """RESET, SETUP, ENABLE: from anything to enabled. Raises UnavailableError."""
        await self._acknowledged(Order.RESET)
        if await self._hear(JustReset, within_s=START_WITHIN_S) is None:
            raise UnavailableError("the reader did not start again after RESET")
        await self._drain()
        config = await self._answered(cashless.setup_config(self._address), Order.SETUP_CONFIG, ReaderConfig)
        if config.scale == 0:
            raise MisconfiguredError("the reader says that its amounts are multiples of nothing")
        await self._acknowledged(Order.SETUP_PRICES, cashless.setup_prices(self._address))
        await self._acknowledged(Order.READER_ENABLE)
        return config

    async def poll(self) -> Message | None:
        """What the reader has to say; None for nothing. Raises UnavailableError."""
        return self._message(await self._ask(self._command(Order.POLL), Order.POLL))

    async def identify(self) -> PeripheralId:
        """Who made it. Raises UnavailableError, RefusedError while a session is open."""
        return await self._answered(cashless.expansion_id(self._address), Order.EXPANSION_ID, PeripheralId)

    async def wait_session(self, *, within_s: float) -> BeginSession | None:
        """Somebody who can pay, or None. Raises UnavailableError, RefusedError unless enabled."""
        if self._machine.state is not State.ENABLED:
            raise RefusedError(f"no session can begin while the reader is {self._machine.state.value}")
        begun = await self._hear(BeginSession, within_s=within_s)
        if begun is None and self._machine.must_reset:
            raise UnavailableError("the reader fell silent or started again")
        if begun is None and self._poll_error is not None:
            raise self._poll_error
        return begun

    async def disable(self) -> None:
        """Take no cards. Raises UnavailableError, RefusedError unless enabled."""
        await self._acknowledged(Order.READER_DISABLE)

    async def enable(self) -> None:
        """Take cards again. Raises UnavailableError, RefusedError unless disabled."""
        await self._acknowledged(Order.READER_ENABLE)

    async def request_vend(self, *, price_minor: int, item: int) -> VendReply:
        """Ask once whether `item` may be sold, and wait for the answer.

        Called off when the reader takes longer than it said. Raises RefusedError outside a session or for a price
        that the reader's amounts cannot say, UnavailableError if nothing was sent.
        """
        command = cashless.vend_request(self._address, self._units(price_minor), item)
        before = self._machine.unresolved
        await self._say(command, Order.VEND_REQUEST, VendApproved, VendDenied, within_s=self._patience_s)
        if self._machine.state is State.VEND:
            return await self._call_off()
        if self._machine.unresolved > before:
            return VendReply("unresolved")
        if self._machine.state is State.APPROVED:
            return VendReply("approved", self._held_minor)
        return VendReply("denied")

    async def vend_succeeded(self, *, item: int) -> VendEnd:
        """It was handed out: keep what is held. Said once. Raises RefusedError, and UnavailableError if nothing was
        sent."""
        return await self._end_vend(cashless.vend_success(self._address, item), Order.VEND_SUCCESS, "charged")

    async def vend_failed(self) -> VendEnd:
        """It was not handed out: give back what is held. Said once. Raises RefusedError, and UnavailableError if
        nothing was sent."""
        return await self._end_vend(self._command(Order.VEND_FAILURE), Order.VEND_FAILURE, "not_charged")

    async def revalue(self, *, amount_minor: int) -> VendAnswer:
        """Put money on the card, once. Raises RefusedError, and UnavailableError if nothing was sent."""
        amount = cashless.money(self._units(amount_minor))
        command = cashless.ordered(Order.REVALUE_REQUEST, self._address, amount)
        answer = await self._say(
            command, Order.REVALUE_REQUEST, RevalueApproved, RevalueDenied, within_s=self._patience_s
        )
        if answer is None:
            self._machine.lose()
            return "unresolved"
        return "approved" if isinstance(answer, RevalueApproved) else "denied"

    async def end_session(self) -> None:
        """Let whoever paid go. Raises RefusedError while a vend is open, UnavailableError if the reader does not end
        it: then only `start` helps."""
        command = self._command(Order.SESSION_COMPLETE)
        if await self._say(command, Order.SESSION_COMPLETE, EndSession, within_s=CLOSE_WITHIN_S) is None:
            self._machine.lose()
            raise UnavailableError("the reader does not end its session")

    async def record_cash_sale(self, *, price_minor: int, item: int) -> None:
        """Tell the reader of a sale for cash. Said once. Raises UnavailableError, RefusedError in a session."""
        command = cashless.cash_sale(self._address, self._units(price_minor), item)
        await self._acknowledged(Order.CASH_SALE, command)

    async def _call_off(self) -> VendReply:
        """The answer is late. Whatever came of the request, it must not be sold any more."""
        before = self._machine.unresolved
        command = self._command(Order.VEND_CANCEL)
        try:
            answer = await self._say(command, Order.VEND_CANCEL, VendApproved, VendDenied, within_s=NON_RESPONSE_S)
            if isinstance(answer, VendDenied):
                return VendReply("denied")
            if isinstance(answer, VendApproved):  # they crossed
                return VendReply("denied" if await self.vend_failed() == "not_charged" else "unresolved")
        except UnavailableError:
            pass  # nothing of it was sent; the request was
        if self._machine.unresolved == before:
            self._machine.lose()
        return VendReply("unresolved")

    async def _say(self, command: Command, order: Order, *kinds: type[M], within_s: float) -> M | None:
        """Say what lets money go, once, and hear the answer at once or when the reader is polled. None as in `_hear`.
        Raises UnavailableError if nothing was written."""
        message = self._message(await self._try(command, order))
        return message if isinstance(message, kinds) else await self._hear(*kinds, within_s=within_s)

    async def _end_vend(self, command: Command, order: Order, good: VendEnd) -> VendEnd:
        """An acknowledgement alone is not believed: a reader that was out of sequence acknowledges too and says so
        when it is polled next."""
        reply = await self._try(command, order)
        self._message(reply)
        if reply is not DeviceControl.ACK:
            self._machine.lose()
            return "unresolved"
        for _ in range(CONFIRMING_POLLS):
            try:
                message = await self.poll()
            except UnavailableError:
                continue
            refund_failed = isinstance(message, Malfunction) and message.code & 0xF0 == REFUND_ERROR
            if isinstance(message, JustReset | OutOfSequence) or refund_failed:
                break
            return good
        self._machine.doubt()
        return "unresolved"

    async def _try(self, command: Command, order: Order) -> DeviceFrame | None:
        """None if there was no reply. Raises UnavailableError if nothing was written."""
        try:
            return await self._ask(command, order)
        except NoReplyError:
            return None

    async def _acknowledged(self, order: Order, command: Command | None = None) -> None:
        reply = await self._ask(command or self._command(order), order)
        self._message(reply)
        if reply is not DeviceControl.ACK:
            raise UnavailableError(f"the reader did not acknowledge {order.name}")

    async def _answered(self, command: Command, order: Order, kind: type[M]) -> M:
        """A message of this kind, at once or when the reader is polled."""
        message = self._message(await self._ask(command, order))
        answer = message if isinstance(message, kind) else await self._hear(kind, within_s=START_WITHIN_S)
        if answer is None:
            raise UnavailableError(f"the reader did not answer {order.name}")
        return answer

    async def _drain(self) -> None:
        """Until it has nothing to say: a start that was not acknowledged is told again, and would look like another."""
        for _ in range(DRAINING_POLLS):
            if await self.poll() is None:
                return
        raise UnavailableError("the reader does not stop talking")

    async def _hear(self, *kinds: type[M], within_s: float) -> M | None:
        """Poll until one of these messages comes; None when time is over, or the reader is lost meanwhile."""
        loop = asyncio.get_running_loop()
        end_s = loop.time() + within_s
        starts = self._machine.state is State.INACTIVE
        while loop.time() < end_s:
            message = None
            self._poll_error = None
            try:
                message = await self.poll()
            except UnavailableError as error:
                self._poll_error = error
            if isinstance(message, kinds):
                return message
            if self._machine.must_reset and not starts:
                return None
            await asyncio.sleep(POLL_S)
        return None

    async def _ask(self, command: Command, order: Order) -> DeviceFrame:
        self._machine.check(order)
        loop = asyncio.get_running_loop()
        asked_s = loop.time()

        def written() -> None:
            nonlocal asked_s
            asked_s = loop.time()
            self._machine.written(order)

        try:
            reply = await self._line.ask(command, written=written)
        except NoReplyError:
            if self._machine.silent(asked_s, loop.time()):
                self._line.fault("timeout", f"the reader {self._address:02X} is silent for {NON_RESPONSE_S:g} s")
            raise
        self._machine.answered()
        if reply is DeviceControl.ACK:
            self._machine.acknowledged(order)
        return reply

    def _message(self, reply: DeviceFrame | None) -> Message | None:
        """What a reply says, told to the machine too."""
        if not isinstance(reply, Reply):
            return None
        try:
            message = cashless.message_of(reply.data)
        except ProtocolError as error:
            self._line.fault("unexpected", str(error))
            return None
        self._machine.heard(message)
        if isinstance(message, VendApproved) and self._machine.config is not None:
            self._held_minor = message.amount * self._machine.config.scale
        return message

    @property
    def _patience_s(self) -> float:
        assert self._machine.config is not None
        return self._machine.config.response_s + SPARE_S

    def _command(self, order: Order) -> Command:
        return cashless.ordered(order, self._address)

    def _units(self, minor: int) -> int:
        config = self._machine.config
        if config is None:
            raise RefusedError("the reader has not said yet what its amounts mean")
        units, rest = divmod(minor, config.scale)
        if rest or not 0 < units < cashless.UNKNOWN_AMOUNT:
            raise RefusedError(f"an amount of {minor} cannot be said in multiples of {config.scale}")
        return units
