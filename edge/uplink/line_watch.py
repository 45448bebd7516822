"""Why there is no line, where a person must mend it: a certificate, a clock. Everything else is weather.

A fault is an event when it begins and another when it is over. What was told survives a restart of the agent, for an
alarm that nobody takes back would stand in the cloud for ever. Pure: the shell commits what is due.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import msgspec

from contracts.event_types import DeviceFault, DeviceRecovered, EventData

DEVICE = KIND = "uplink"
CLOCK_SET_SINCE = 2026  # a box whose calendar is before this program's has lost its time
_NOT_YET_VALID, _EXPIRED, _OTHER_HOST, _OTHER_ADDRESS = 9, 10, 62, 64  # of OpenSSL
_CODES = {
    _NOT_YET_VALID: "certificate_not_yet_valid",
    _EXPIRED: "certificate_expired",
    _OTHER_HOST: "certificate_of_another_host",
    _OTHER_ADDRESS: "certificate_of_another_host",
}


class LineFault(msgspec.Struct, frozen=True):
    """`code` for programs, `detail` for people; `since_s` by the clock of this boot, None for one told before it."""

    code: str
    detail: str
    since_s: float | None = None


def fault_of(error: BaseException | None, *, wall: datetime) -> LineFault | None:
    """The fault that ended a connection, if a person must mend it; None for what passes by itself."""
    for cause in _chain(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            code = _CODES.get(cause.verify_code, "certificate_untrusted")
            if code == "certificate_not_yet_valid" and wall.year < CLOCK_SET_SINCE:
                return LineFault("clock_not_set", f"this box believes it is {wall:%Y-%m-%d}: {cause.verify_message}")
            return LineFault(code, cause.verify_message)
        if isinstance(cause, ssl.SSLError) and not isinstance(cause, ssl.SSLEOFError | ssl.SSLZeroReturnError):
            return LineFault("tls_failed", cause.reason or str(cause))
    return None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error and whatever it was raised from or after."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


@dataclass(slots=True)
class LineWatch:
    """`fault` is what is wrong now, `told` what the ledger says is wrong."""

    told: LineFault | None = None
    fault: LineFault | None = None

    def __post_init__(self) -> None:
        self.fault = self.told

    def ended(self, error: BaseException | None, *, wall: datetime, now_s: float) -> None:
        """A connection, or an attempt, is over. What is no fault leaves the one before as it is."""
        found = fault_of(error, wall=wall)
        if found is not None and (self.fault is None or found.code != self.fault.code):
            self.fault = LineFault(found.code, found.detail[:256], now_s)

    def connected(self) -> None:
        """The line is there."""
        self.fault = None

    def due(self, now_s: float) -> list[EventData]:
        """The events that bring the ledger up to date."""
        events: list[EventData] = []
        if self.told is not None and (self.fault is None or self.fault.code != self.told.code):
            down_s = 0.0 if self.told.since_s is None else now_s - self.told.since_s
            events.append(DeviceRecovered(device=DEVICE, kind=KIND, code=self.told.code, down_s=down_s))
        if self.fault is not None and (self.told is None or self.fault.code != self.told.code):
            events.append(DeviceFault(device=DEVICE, kind=KIND, code=self.fault.code, detail=self.fault.detail))
        return events


def encode_fault(fault: LineFault) -> bytes:
    """For the ledger's durable state."""
    return msgspec.json.encode(fault)


def decode_fault(raw: bytes | None) -> LineFault | None:
    """What was told before this boot; its time means nothing any more."""
    if raw is None:
        return None
    return msgspec.structs.replace(msgspec.json.decode(raw, type=LineFault), since_s=None)
