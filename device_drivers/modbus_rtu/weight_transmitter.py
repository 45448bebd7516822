"""A weight transmitter: its status word and its weight, read as near to each other as the bus allows."""

from __future__ import annotations

from dataclasses import dataclass

from device_drivers.bus import Bus, Exchange, NoReplyError, Priority
from device_drivers.capabilities import WeightSample
from device_drivers.errors import MisconfiguredError, UnavailableError
from device_drivers.modbus_rtu import codec

REPLY_TIMEOUT_S = 0.2

REGISTER_STATUS = 8
REGISTER_WEIGHT = 80  # two registers: signed 32 bit, high word first

STATUS_OVERLOAD = 1 << 9
STATUS_OVERFLOW = 1 << 6
STATUS_UNSTABLE = 1 << 5
STATUS_POWER_ON = 1 << 4
STATUS_DECIMALS = 0b111


@dataclass(frozen=True, slots=True)
class Status:
    """The status word. The sign bit is left out: the weight carries its own sign."""

    decimals: int
    unstable: bool
    power_on: bool
    overload: bool

    @classmethod
    def from_word(cls, word: int) -> Status:
        """`overload` stands for both: more than the load cell bears, more than the converter can say."""
        return cls(
            decimals=word & STATUS_DECIMALS,
            unstable=bool(word & STATUS_UNSTABLE),
            power_on=bool(word & STATUS_POWER_ON),
            overload=bool(word & (STATUS_OVERLOAD | STATUS_OVERFLOW)),
        )


def weight_from_registers(data: bytes, decimals: int) -> float:
    """Grams from the four bytes of the weight registers."""
    return float(int.from_bytes(data, "big", signed=True)) / float(10**decimals)


class WeightTransmitter:
    """One transmitter on a bus; implements `Scale`."""

    def __init__(self, bus: Bus, *, address: int) -> None:
        if not 1 <= address <= codec.MAX_ADDRESS:
            raise MisconfiguredError(f"scale address {address}: must be in 1..{codec.MAX_ADDRESS}")
        self._bus = bus
        self._address = address
        self._owed = False

    async def sample(self) -> WeightSample:
        """The weight now. Raises UnavailableError, also if the device refuses (its number stands in the sentence)."""
        if self._owed:
            # After a request without a reply the next status may be a late one: read it once and forget it.
            await self._read(REGISTER_STATUS, 1, Priority.WEIGHT)
            self._owed = False
        word = int.from_bytes(await self._read(REGISTER_STATUS, 1, Priority.WEIGHT), "big")
        # The second half goes before the first halves of other scales, so that both halves tell of one moment.
        weight = await self._read(REGISTER_WEIGHT, 2, Priority.STATUS)
        status = Status.from_word(word)
        return WeightSample(
            gross_g=weight_from_registers(weight, status.decimals),
            stable=not status.unstable,
            power_on=status.power_on,
            overload=status.overload,
        )

    async def acknowledge_power_on(self) -> None:
        """Write 0 to the status register, which clears the power-up bit. Raises UnavailableError."""
        await self._ask(codec.WriteRegisters(self._address, REGISTER_STATUS, (0,)), Priority.WEIGHT)

    async def _read(self, register: int, count: int, priority: Priority) -> bytes:
        return await self._ask(codec.ReadHolding(self._address, register, count), priority)

    async def _ask(self, request: codec.ReadHolding | codec.WriteRegisters, priority: Priority) -> bytes:
        frame = request.to_bytes()
        parser = codec.ReplyParser(request, self._bus.fault)
        exchange: Exchange[bytes | codec.Refusal] = Exchange(
            priority=priority, encode=lambda: frame, feed=parser.feed, timeout_s=REPLY_TIMEOUT_S
        )
        try:
            reply = await self._bus.request(exchange)
        except NoReplyError:
            self._owed = True
            raise
        if isinstance(reply, codec.Refusal):
            self._bus.fault("unexpected", f"address {self._address} refuses with exception {reply.code}")
            raise UnavailableError(f"scale {self._address}: refuses with exception {reply.code}")
        return reply
