"""One Modbus device on a bus: its questions, its refusals, and the replies that it still owes."""

from __future__ import annotations

import asyncio
import itertools

from device_drivers.bus import Bus, Exchange, NoReplyError, Priority
from device_drivers.errors import RefusedError, UnavailableError
from device_drivers.modbus_rtu import codec, pdu
from device_drivers.modbus_rtu.framing import RTU, Framing

REPLY_TIMEOUT_S = 0.2  # beside the time that the bytes themselves take
BYTE_S = 0.0012  # at 9600 bits a second, with a little air
QUEUE_TIMEOUT_S = 1.0  # a write that waits longer is not sent: it would surprise
MAX_STALE_REPLIES = 3
MAX_DEBTS = 8
LATE_S = 2.0  # a reply that has not come by then never will

WriteRequest = pdu.WriteCoil | pdu.WriteRegister | pdu.WriteCoils | pdu.WriteRegisters


class Station:
    """A device at one address; `framing` is RTU or TCP. `what` names it in errors.

    On a serial line a reply does not say which question it answers. Replies come in the order of the questions, so
    after questions without a reply the same one is asked once more for each that is owed, and only the last counts.
    """

    def __init__(
        self,
        bus: Bus,
        *,
        address: int,
        framing: Framing = RTU,
        timeout_s: float = REPLY_TIMEOUT_S,
        what: str = "device",
    ) -> None:
        framing.check_address(address)
        self.bus = bus
        self.address = address
        self.name = f"{what} {address}"
        self._framing = framing
        self._timeout_s = timeout_s
        self._numbers = itertools.count()
        self._debts: dict[int, tuple[int, float]] = {}  # question without a reply -> its function, when it was written
        if not framing.names_replies:
            self._idle_decoder = _idle_decoder()
            bus.overhear(self._overhear)

    async def read(self, request: pdu.Read, *, priority: Priority = Priority.STATUS) -> pdu.Values:
        """The values. Raises RefusedError if the device says no for good, UnavailableError otherwise."""
        reply = await self._read(request, priority)
        self._raise_refusal(reply)
        assert isinstance(reply, pdu.Values)
        return reply

    async def write(
        self,
        request: WriteRequest,
        *,
        priority: Priority = Priority.STATUS,
    ) -> None:
        """Write once; never repeated. The device has confirmed it when this returns.

        Raises NoReplyError if nobody knows whether it acted, any other UnavailableError if it did not, and
        RefusedError if the device said no.
        """
        if self._owed(request.function):
            await self._prove_silence(request, priority)
        reply, _number, _owed = await self._ask(request, priority, queue_timeout_s=QUEUE_TIMEOUT_S)
        self._raise_refusal(reply)

    async def _prove_silence(self, request: WriteRequest, priority: Priority) -> None:
        """A late confirmation must not stand for this write: a read of the same place proves that none is under way."""
        try:
            await self._read(_read_back(request), priority)
        except NoReplyError as error:
            raise UnavailableError(f"{self.name}: not sent, an earlier write was not answered yet") from error

    async def _read(self, request: pdu.Read, priority: Priority) -> pdu.Reply:
        reply, number, owed = await self._ask(request, priority)
        for _ in range(min(owed, MAX_STALE_REPLIES)):
            reply, _number, _owed = await self._ask(request, priority)
        for older in [debt for debt in self._debts if debt <= number]:
            del self._debts[older]  # the line is a queue: what came before is here or lost
        return reply

    async def _ask(
        self, request: pdu.Request, priority: Priority, *, queue_timeout_s: float | None = None
    ) -> tuple[pdu.Reply, int, int]:
        """The reply, the number of the question, and how many replies to the same function were owed before it."""
        frame, parser = self._framing.ask(self.address, request, self.bus.fault)
        number, owed = -1, 0

        def encode() -> bytes:
            nonlocal number, owed
            number = next(self._numbers)
            if not self._framing.names_replies:
                owed = len(self._owed(request.function))
                self._owe(number, request.function)
            return frame

        def feed(data: bytes) -> pdu.Reply | None:
            reply = parser.feed(data)
            if reply is not None:
                self._pay(request.function)
            return reply

        exchange: Exchange[pdu.Reply] = Exchange(
            priority=priority,
            encode=encode,
            feed=feed,
            timeout_s=self._timeout_s + BYTE_S * (len(frame) + request.reply_bytes()),
            queue_timeout_s=queue_timeout_s,
            device=f"modbus {self.address}",  # whoever asks it and whatever they call it, it has one share of the line
        )
        return await self.bus.request(exchange), number, owed

    def _owe(self, number: int, function: int) -> None:
        if not self._debts:
            self._idle_decoder = _idle_decoder()
        self._debts[number] = function, asyncio.get_running_loop().time()
        while len(self._debts) > MAX_DEBTS:
            del self._debts[next(iter(self._debts))]

    def _owed(self, function: int) -> list[int]:
        """Questions of this function whose replies may still come, the oldest first."""
        self._forget()
        return [number for number, (owed, _) in self._debts.items() if owed == function]

    def _forget(self) -> None:
        """Let go of what cannot come any more."""
        long_ago_s = asyncio.get_running_loop().time() - LATE_S
        for number in [number for number, (_, written_s) in self._debts.items() if written_s <= long_ago_s]:
            del self._debts[number]

    def _overhear(self, data: bytes) -> None:
        """A reply that comes while nobody asks is the oldest one that was owed. Where none is, nobody listens: a device
        that babbles must not cost every other one on its line."""
        self._forget()
        if not self._debts:
            return
        for frame in self._idle_decoder.feed(data):
            if frame.address == self.address:
                self._pay(frame.pdu.function)

    def _pay(self, function: int) -> None:
        """One reply came: the oldest one that was owed, for replies keep their order."""
        if owed := self._owed(function):
            del self._debts[owed[0]]

    def _raise_refusal(self, reply: pdu.Reply) -> None:
        if not isinstance(reply, pdu.Refusal):
            return
        self.bus.fault("unexpected", f"address {self.address} refuses with exception {reply.code}")
        error = UnavailableError if reply.code in pdu.PASSING else RefusedError
        raise error(f"{self.name}: refuses with {reply}")


def _read_back(request: WriteRequest) -> pdu.Read:
    match request:
        case pdu.WriteCoil(coil):
            return pdu.read_coils(coil, 1)
        case pdu.WriteRegister(register):
            return pdu.read_holding(register, 1)
        case pdu.WriteCoils(first, on):
            return pdu.read_coils(first, len(on))
        case pdu.WriteRegisters(first, values):
            return pdu.read_holding(first, len(values))


def _idle_decoder() -> codec.FrameDecoder:
    """Reads what comes while nobody asks; the bus has counted these bytes as late."""
    return codec.FrameDecoder(lambda _kind, _detail: None, from_host=False)
