"""Store, staff, devices, stock counts."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from contracts.event_base import Count, EventData, Short, Text, event

Values = Annotated[dict[Short, float | Short], Meta(max_length=64)]  # by name with its unit, as temperature_c


@event("store.opened")
class StoreOpened(EventData, frozen=True, kw_only=True):
    """The store opens for business."""

    staff_id: Short
    reason: Text = ""


@event("store.closed")
class StoreClosed(EventData, frozen=True, kw_only=True):
    """The store closes; tobacco is blocked from here on."""

    staff_id: Short
    reason: Text = ""


@event("staff.signed_in", privacy="pseudonymous")
class StaffSignedIn(EventData, frozen=True, kw_only=True):
    """A member of staff is on duty from here on."""

    staff_id: Short
    method: Literal["badge", "pin", "nfc"]
    terminal: Short


@event("staff.signed_out", privacy="pseudonymous")
class StaffSignedOut(EventData, frozen=True, kw_only=True):
    """A member of staff leaves by their own act."""

    staff_id: Short
    terminal: Short


@event("staff.presence_lost", privacy="pseudonymous")
class StaffPresenceLost(EventData, frozen=True, kw_only=True):
    """A heartbeat stayed away too long: on duty no more."""

    staff_id: Short
    terminal: Short
    last_seen_s: float


@event("device.online", lane="telemetry")
class DeviceOnline(EventData, frozen=True, kw_only=True):
    """A device answers."""

    device: Short
    kind: Short
    model: Text = ""
    since_s: float = 0.0


@event("device.offline", lane="telemetry")
class DeviceOffline(EventData, frozen=True, kw_only=True):
    """A device has not answered for some seconds."""

    device: Short
    kind: Short
    detail: Text = ""
    retries: Count = 0


@event("device.reading", lane="telemetry")
class DeviceReading(EventData, frozen=True, kw_only=True):
    """What a device that is asked now and then shows: numbers and words by name, never who was there."""

    device: Short
    kind: Short
    values: Values


@event("device.fault")
class DeviceFault(EventData, frozen=True, kw_only=True):
    """A device answers, but what it says cannot be true, or is outside of the limits that the store has set."""

    device: Short
    kind: Short
    code: Short
    detail: Text = ""


@event("device.recovered")
class DeviceRecovered(EventData, frozen=True, kw_only=True):
    """A fault is over."""

    device: Short
    kind: Short
    code: Short
    down_s: float = 0.0


@event("bus.error", lane="telemetry")
class BusError(EventData, frozen=True, kw_only=True):
    """Bytes on a serial line that made no sense, counted since the last report."""

    bus: Short
    protocol: Short
    kind: Literal["crc", "timeout", "framing", "unexpected"]
    count: Count


@event("config.changed")
class ConfigChanged(EventData, frozen=True, kw_only=True):
    """The store described: sent whenever its description differs from the last one in the ledger."""

    source: Short
    digest: Short
    document: msgspec.Raw  # contracts.planogram.StoreDocument


@event("inventory.counted")
class InventoryCounted(EventData, frozen=True, kw_only=True):
    """Units on a shelf as counted, from which the stock goes on."""

    shelf: Short
    sku: Short
    units: int
    reason: Text = ""
    staff_id: Short = ""
