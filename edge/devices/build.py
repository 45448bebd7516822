"""From `store.toml` to buses, drivers and their health: one place that knows which driver stands for which kind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from functools import partial

from contracts.clock import Clock
from device_drivers.bus import Bus
from device_drivers.exchange import Link
from device_drivers.faults import FaultKind
from device_drivers.id_card import IdCardReader, private
from device_drivers.link_url import LinkUrl, open_link
from device_drivers.lock_boards import LOCK_BOARDS
from device_drivers.lock_profile import Profile
from device_drivers.modbus_rtu import WeightTransmitter
from device_drivers.scanner import SerialScanner
from edge.config import (
    BusConfig,
    IdCardConfig,
    LockBoardConfig,
    ScaleConfig,
    ScannerConfig,
    StoreConfig,
)
from edge.devices.health import DeviceHealth, State, WatchedLock, WatchedScale

OnChange = Callable[[DeviceHealth, State], None]
OnBusFault = Callable[[str, str, FaultKind], None]  # bus, protocol, kind


@dataclass(frozen=True, slots=True)
class WatchedScanner:
    """A scanner of one cabinet."""

    config: ScannerConfig
    scanner: SerialScanner
    health: DeviceHealth


@dataclass(frozen=True, slots=True)
class WatchedReader:
    """An identity-card reader of one cabinet."""

    config: IdCardConfig
    reader: IdCardReader
    health: DeviceHealth


@dataclass(slots=True)
class Devices:
    """Everything that stands on a serial line of this store."""

    buses: dict[str, Bus] = field(default_factory=dict)
    locks: dict[str, WatchedLock] = field(default_factory=dict)
    scales: dict[str, WatchedScale] = field(default_factory=dict)
    scanners: list[WatchedScanner] = field(default_factory=list)
    readers: list[WatchedReader] = field(default_factory=list)
    health: dict[str, DeviceHealth] = field(default_factory=dict)


def build(
    config: StoreConfig,
    *,
    clock: Clock,
    on_change: OnChange,
    on_fault: OnBusFault,
    day_key: Callable[[], bytes],
    today: Callable[[], date],
) -> Devices:
    """Drivers for all serial devices of a checked configuration. Opens nothing yet."""
    devices = Devices()
    by_id = {bus.id: bus for bus in config.bus}

    def watch(device: str, kind: str) -> DeviceHealth:
        health = DeviceHealth(device, kind, clock, on_change, since_s=clock.now_s())
        devices.health[device] = health
        return health

    def fault(bus: BusConfig, kind: FaultKind, _detail: str) -> None:
        on_fault(bus.id, bus.protocol, kind)

    for bus in config.bus:
        if bus.protocol != "scanner":
            opener = _open_private if bus.protocol == "id_card" else open_link
            devices.buses[bus.id] = Bus(name=bus.id, open_link=partial(opener, bus.link), on_fault=partial(fault, bus))
    for device in config.device:
        match device:
            case LockBoardConfig():
                profile = Profile(
                    feedback_polarity=device.feedback_polarity,
                    dialect=device.dialect,
                    bit_order=device.bit_order,
                    hold_off_s=device.hold_off_s,
                    echo=device.echo,
                )
                board = LOCK_BOARDS[device.family].make(devices.buses[device.bus], device.address, profile)
                devices.locks[device.id] = WatchedLock(board, watch(device.id, device.kind))
            case ScaleConfig():
                scale = WeightTransmitter(devices.buses[device.bus], address=device.address)
                devices.scales[device.id] = WatchedScale(scale, watch(device.id, device.kind))
            case ScannerConfig():
                bus = by_id[device.bus]
                scanner = SerialScanner(
                    open_link=partial(open_link, bus.link), clock=clock, on_fault=partial(fault, bus)
                )
                devices.scanners.append(WatchedScanner(device, scanner, watch(device.id, device.kind)))
            case IdCardConfig():
                reader = IdCardReader(devices.buses[device.bus], day_key=day_key, today=today)
                devices.readers.append(WatchedReader(device, reader, watch(device.id, device.kind)))
            case _:
                pass  # cameras run in processes of their own
    return devices


async def _open_private(url: LinkUrl) -> Link:
    """A line that people's papers come over: nothing of them is left in memory."""
    return private(await open_link(url))
