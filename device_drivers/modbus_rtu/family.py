"""What Modbus RTU says of itself."""

from __future__ import annotations

from functools import partial

from device_drivers.bus import Bus
from device_drivers.errors import RefusedError
from device_drivers.family import Family
from device_drivers.modbus_rtu import codec, pdu
from device_drivers.modbus_rtu.framing import Framing, Rtu
from device_drivers.modbus_rtu.station import Station
from device_drivers.settings import Settings, flag

_KINDS = {1: "coils", 2: "inputs", 3: "holding registers", 4: "input registers"}
_MOST_SHOWN = 8  # values in one line


def describe_pdu(said: pdu.Request | pdu.Reply) -> str:
    """Function and data in words."""
    match said:
        case pdu.Read(function, first, count):
            return f"read {count} {_KINDS[function]} from {first}"
        case pdu.WriteCoil(coil, on):
            return f"switch coil {coil} {'on' if on else 'off'}"
        case pdu.WriteRegister(register, value):
            return f"write {value} to holding register {register}"
        case pdu.WriteCoils(first, on):
            return f"switch {len(on)} coils from {first}: {_few([int(one) for one in on])}"
        case pdu.WriteRegisters(first, values):
            return f"write {_few(values)} to holding registers from {first}"
        case pdu.Written(function, first, count):
            return f"has written {count} {'coils' if function == pdu.WRITE_COILS else 'registers'} from {first}"
        case pdu.Refusal(function):
            return f"refuses function {function:02X}: {said}"
        case pdu.Values(function) if function in pdu.BIT_READS:
            return f"{_KINDS[function]}: {said.data[:_MOST_SHOWN].hex(' ')}{' …' * (len(said.data) > _MOST_SHOWN)}"
        case pdu.Values(function):
            return f"{_KINDS[function]}: {_few(said.registers())}"


def _few(values: tuple[int, ...] | list[int] | object) -> str:
    assert isinstance(values, tuple | list)
    return ", ".join(str(value) for value in values[:_MOST_SHOWN]) + " …" * (len(values) > _MOST_SHOWN)


def describe(frame: codec.Frame) -> str:
    """One frame in words."""
    return f"device {frame.address}: {describe_pdu(frame.pdu)}"


def acts(said: pdu.Request | pdu.Reply) -> bool:
    """True for everything that writes."""
    return isinstance(said, pdu.WriteCoil | pdu.WriteRegister | pdu.WriteCoils | pdu.WriteRegisters)


async def ask_harmlessly(bus: Bus, address: int, framing: Framing) -> str:
    """Read one holding register: whatever a device answers to it, it is there."""
    station = Station(bus, address=address, framing=framing)
    try:
        reply = await station.read(pdu.read_holding(0, 1))
    except RefusedError as error:
        return f"Modbus device {address} is there; to holding register 0 it says: {error}"
    return f"Modbus device {address}: holding register 0 is {reply.registers()[0]}"


async def probe(bus: Bus, address: int, settings: Settings) -> str:
    """Ask for one register."""
    return await ask_harmlessly(bus, address, Rtu(echo=flag(settings, "echo")))


FAMILY = Family(
    name="modbus_rtu",
    title="Modbus RTU",
    title_zh="Modbus RTU",
    from_host=partial(codec.FrameDecoder, from_host=True),
    from_device=partial(codec.FrameDecoder, from_host=False),
    describe=describe,
    acts=lambda frame: acts(frame.pdu),
    most_buffered=codec.MAX_FRAME - 1,
    simulator="simulators.hardware.modbus_rtu:on_bench",
    probe=probe,
    settings={
        "profile": "name of a shipped profile, or the path of a TOML file of your own",
        "echo": "true if the RS-485 adapter repeats what we send",
    },
)
