"""What the peripherals of an MDB adapter say of themselves."""

from __future__ import annotations

from device_drivers.bus import Bus, NoReplyError
from device_drivers.errors import MisconfiguredError, ProtocolError
from device_drivers.family import Family
from device_drivers.mdb import codec
from device_drivers.mdb.cashless import ACTING, message_of, order_of
from device_drivers.mdb.codec import Command, DeviceControl, DeviceFrame, HostControl, HostFrame, Reply
from device_drivers.mdb.line import MdbLine
from device_drivers.mdb.words import CODINGS
from device_drivers.settings import Settings, flag, one_of

_CONTROLS = {
    HostControl.ACK: "host: understood",
    HostControl.RET: "host: say it again",
    HostControl.NAK: "host: not understood",
    DeviceControl.ACK: "peripheral: understood, nothing to say",
    DeviceControl.NAK: "peripheral: not understood",
}


def describe(frame: HostFrame | DeviceFrame) -> str:
    """One frame in words. What a reader wants shown, and the number of a card, are left out."""
    if isinstance(frame, HostControl | DeviceControl):
        return _CONTROLS[frame]
    if isinstance(frame, Command):
        order = order_of(frame) if frame.address in codec.CASHLESS else None
        name = f"command {frame.command}" if order is None else order.name
        return f"to {frame.address:02X}: {name}, {len(frame.data)} bytes of data"
    first = f"reply {frame.data[0]:02X}, {len(frame.data)} bytes"
    try:
        return f"{first} (of a cashless reader: {type(message_of(frame.data)).__name__})"
    except ProtocolError:
        return first


def acts(frame: HostFrame | DeviceFrame) -> bool:
    """True of what lets money go or ends a session; of any command to a peripheral that is not known here, too."""
    if not isinstance(frame, Command) or frame.command == codec.POLL:
        return False
    if frame.address in codec.CASHLESS:
        order = order_of(frame)
        return order is None or order in ACTING
    return frame.address != codec.AGE_VERIFICATION


async def probe(bus: Bus, address: int, settings: Settings) -> str:
    """POLL, in the coding that is said or in both. What it has to say is not acknowledged, so that it says it again."""
    if not 1 <= address <= 0xF8 or address & 7:
        raise MisconfiguredError(f"MDB address {address:#04x}: must be a multiple of 8")
    error: NoReplyError | None = None
    for coding in [one_of(settings, "coding", CODINGS, "words")] if "coding" in settings else CODINGS:
        try:
            reply = await MdbLine(bus, coding=coding, echo=flag(settings, "echo")).ask(Command(address, codec.POLL))
        except NoReplyError as silent:
            error = silent
            continue
        said = f"has something to say ({reply.data[0]:02X})" if isinstance(reply, Reply) else "has nothing to say"
        return f"MDB peripheral {address:02X} {said} (coding = {coding})"
    assert error is not None
    raise error


FAMILY = Family(
    name="mdb",
    title="MDB/ICP peripherals behind an adapter: cashless reader, age verification",
    title_zh="MDB/ICP 外设（经转接器）：非现金支付器、年龄验证",
    from_host=codec.HostDecoder,
    from_device=codec.DeviceDecoder,
    describe=describe,
    acts=acts,
    most_buffered=codec.MOST_BUFFERED,
    simulator="simulators.hardware.mdb:MdbAdapter",
    probe=probe,
    first_address=0x10,
    settings={
        "coding": "words (two bytes a word, high byte first) or hex_lines: how the adapter carries nine bits",
        "echo": "true if the adapter repeats what we send",
        "acknowledge": "true if the adapter leaves ACK and RET to us",
    },
)
