"""What stands in the payloads of PTP/1, big-endian. HELLO, AUTHORIZE, ARM, START, ABORT, DISPENSE, STATUS and PUFF are
fixed by test vectors; the others are spelt out here for the first time and no device is known to speak them.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Self, TypeVar

from device_drivers.errors import ProtocolError
from device_drivers.trial_ptp.codec import MAX_PAYLOAD
from device_drivers.trial_ptp.names import Event
from device_drivers.trial_ptp.token import TOKEN_BYTES

P = TypeVar("P", bound="Payload")

SAMPLE_ID_BYTES = 12
EAN_DIGITS = 13


@dataclass(frozen=True, slots=True)
class Payload:
    """Fields of fixed size, in the order in which they are declared."""

    LAYOUT: ClassVar[str] = ">"

    def to_bytes(self) -> bytes:
        """Raises ProtocolError(local) for a value that does not fit its field."""
        try:
            return struct.pack(self.LAYOUT, *(getattr(self, field.name) for field in fields(self)))
        except struct.error as error:
            raise ProtocolError(f"{type(self).__name__}: a value does not fit its field", side="local") from error

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Raises ProtocolError(remote) for a wrong length."""
        if len(data) != struct.calcsize(cls.LAYOUT):
            raise ProtocolError(f"{len(data)} bytes are no {cls.__name__}")
        values: tuple[Any, ...] = struct.unpack(cls.LAYOUT, data)
        return cls(*values)


@dataclass(frozen=True, slots=True)
class Hello(Payload):
    """Reply to HELLO."""

    LAYOUT: ClassVar[str] = ">BBHIHB"
    protocol: int
    model: int
    firmware: int  # major.minor in two bytes
    serial: int
    capabilities: int  # bits of Capability
    max_puffs: int


@dataclass(frozen=True, slots=True)
class StatusReport(Payload):
    """Reply to STATUS. `session` and `puffs_done` stay those of the last session until the next token."""

    LAYOUT: ClassVar[str] = ">BIhhBBHBB"
    state: int
    session: int
    heater_dc: int  # tenths of a degree Celsius
    setpoint_dc: int
    puffs_done: int
    puffs_max: int
    seconds_left: int
    flags: int  # bits of StatusFlag
    fault: int  # a Status, 0 for none


@dataclass(frozen=True, slots=True)
class Authorized(Payload):
    """Reply to AUTHORIZE."""

    LAYOUT: ClassVar[str] = ">BIB"
    state: int
    session: int
    max_puffs: int


@dataclass(frozen=True, slots=True)
class Arm(Payload):
    """Request ARM: which sample, how many puffs of those that the token allows."""

    LAYOUT: ClassVar[str] = ">IBB"
    session: int
    slot: int
    max_puffs: int


@dataclass(frozen=True, slots=True)
class OfSession(Payload):
    """Requests START and DISARM."""

    LAYOUT: ClassVar[str] = ">I"
    session: int


@dataclass(frozen=True, slots=True)
class Abort(Payload):
    """Request ABORT; `reason` is the host's own number, written to the unit's log."""

    LAYOUT: ClassVar[str] = ">IB"
    session: int
    reason: int


@dataclass(frozen=True, slots=True)
class Dispense(Payload):
    """Request DISPENSE."""

    LAYOUT: ClassVar[str] = ">IB"
    session: int
    slot: int


@dataclass(frozen=True, slots=True)
class Slot(Payload):
    """Request SAMPLE_GET."""

    LAYOUT: ClassVar[str] = ">B"
    slot: int


@dataclass(frozen=True, slots=True)
class Sample(Payload):
    """Reply to SAMPLE_GET. `ean` is ASCII digits, `remaining` servings, `expires_s` unix seconds."""

    LAYOUT: ClassVar[str] = f">{SAMPLE_ID_BYTES}s{EAN_DIGITS}sBI"
    sample_id: bytes
    ean: bytes
    remaining: int
    expires_s: int


@dataclass(frozen=True, slots=True)
class SampleSet(Payload):
    """Request SAMPLE_SET: a slot, what lies in it now, and a staff token over a fresh nonce."""

    LAYOUT: ClassVar[str] = f">B{SAMPLE_ID_BYTES}s{EAN_DIGITS}sBI{TOKEN_BYTES}s"
    slot: int
    sample_id: bytes
    ean: bytes
    remaining: int
    expires_s: int
    token: bytes


@dataclass(frozen=True, slots=True)
class Bits(Payload):
    """SELF_TEST both ways: what to test, and what passed; bits of Capability."""

    LAYOUT: ClassVar[str] = ">H"
    bits: int


@dataclass(frozen=True, slots=True)
class Counters(Payload):
    """Reply to COUNTERS, since the unit was made. `power_ups` tells one life of the unit from the next."""

    LAYOUT: ClassVar[str] = ">7I"
    power_ups: int
    sessions: int
    puffs: int
    heated_s: int
    crc_errors: int
    bad_tokens: int
    faults: int


@dataclass(frozen=True, slots=True)
class Moment(Payload):
    """Request TIME_SYNC, unix seconds; request LOG_READ, the cursor."""

    LAYOUT: ClassVar[str] = ">I"
    value: int


@dataclass(frozen=True, slots=True)
class PollAsk(Payload):
    """Request POLL_EVT: the last event that arrived in a whole slot, 0 for none; the unit forgets all up to it."""

    LAYOUT: ClassVar[str] = ">H"
    heard: int


@dataclass(frozen=True, slots=True)
class PollEnd(Payload):
    """Reply to POLL_EVT, behind the events of its slot: how many those were, how many wait for another."""

    LAYOUT: ClassVar[str] = ">BB"
    told: int
    waiting: int


@dataclass(frozen=True, slots=True)
class LogEntry(Payload):
    """One line of the unit's log: seconds since power-up, a code (event or status), a detail."""

    LAYOUT: ClassVar[str] = ">IBH"
    uptime_s: int
    code: int
    detail: int


@dataclass(frozen=True, slots=True)
class LogPage:
    """Reply to LOG_READ: the cursor to go on from, and the entries before it."""

    cursor: int
    entries: tuple[LogEntry, ...]

    @classmethod
    def from_bytes(cls, data: bytes) -> LogPage:
        """Raises ProtocolError(remote)."""
        size = struct.calcsize(LogEntry.LAYOUT)
        if len(data) < 4 or (len(data) - 4) % size:
            raise ProtocolError(f"{len(data)} bytes are no LogPage")
        entries = tuple(LogEntry.from_bytes(data[at : at + size]) for at in range(4, len(data), size))
        return cls(int.from_bytes(data[:4], "big"), entries)


@dataclass(frozen=True, slots=True)
class Puff(Payload):
    """Event PUFF."""

    LAYOUT: ClassVar[str] = ">IBHHh"
    session: int
    index: int
    duration_ms: int
    volume_dml: int  # tenths of a millilitre
    heater_dc: int  # tenths of a degree Celsius


@dataclass(frozen=True, slots=True)
class StateChanged(Payload):
    """Event STATE."""

    LAYOUT: ClassVar[str] = ">BI"
    state: int
    session: int


@dataclass(frozen=True, slots=True)
class FaultRaised(Payload):
    """Event FAULT; `fault` is a Status."""

    LAYOUT: ClassVar[str] = ">BI"
    fault: int
    session: int


@dataclass(frozen=True, slots=True)
class SessionEnded(Payload):
    """Event SESSION_END; `reason` is an EndReason, `heated_ms` how long the heater was allowed."""

    LAYOUT: ClassVar[str] = ">IBBI"
    session: int
    reason: int
    puffs: int
    heated_ms: int


@dataclass(frozen=True, slots=True)
class SampleChanged(Payload):
    """Event SAMPLE_CHANGED."""

    LAYOUT: ClassVar[str] = ">BB"
    slot: int
    remaining: int


@dataclass(frozen=True, slots=True)
class Tampered(Payload):
    """Event TAMPER; `kind` is the maker's."""

    LAYOUT: ClassVar[str] = ">B"
    kind: int


TrialEvent = Puff | StateChanged | FaultRaised | SessionEnded | SampleChanged | Tampered

EVENT_PAYLOADS: Mapping[int, type[TrialEvent]] = {
    Event.PUFF: Puff,
    Event.STATE: StateChanged,
    Event.FAULT: FaultRaised,
    Event.SESSION_END: SessionEnded,
    Event.SAMPLE_CHANGED: SampleChanged,
    Event.TAMPER: Tampered,
}


def event_of(command: int, data: bytes) -> TrialEvent:
    """An event's payload. Raises ProtocolError(remote) for an unknown one."""
    kind = EVENT_PAYLOADS.get(command)
    if kind is None:
        raise ProtocolError(f"event {command:#04x} is unknown")
    return kind.from_bytes(data)


def encode_config(values: Mapping[int, bytes]) -> bytes:
    """Settings as type, length, value, one after another. Raises ProtocolError(local) if they do not fit."""
    try:
        data = b"".join(bytes((kind, len(value))) + value for kind, value in values.items())
    except ValueError as error:
        raise ProtocolError("a setting does not fit its field", side="local") from error
    if len(data) > MAX_PAYLOAD:
        raise ProtocolError("too many settings for one frame", side="local")
    return data


def decode_config(data: bytes) -> dict[int, bytes]:
    """Settings by type. Raises ProtocolError(remote) for a cut value or a type that comes twice."""
    values: dict[int, bytes] = {}
    at = 0
    while at < len(data):
        if at + 2 > len(data) or at + 2 + data[at + 1] > len(data):
            raise ProtocolError("a setting is cut")
        if data[at] in values:
            raise ProtocolError("a setting comes twice")
        values[data[at]] = data[at + 2 : at + 2 + data[at + 1]]
        at += 2 + data[at + 1]
    return values
