"""What builders of devices share, and what comes of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import partial

from contracts.clock import Clock
from device_drivers.bus import Bus
from device_drivers.faults import FaultKind, OnFault
from device_drivers.id_card import IdCardReader
from device_drivers.mdb import MdbLine
from device_drivers.scanner.reader import LinkReader
from edge.config import BusConfig, IdCardConfig, ScannerConfig, StoreConfig
from edge.devices.health import DeviceHealth, State, WatchedLock, WatchedScale
from edge.devices.polled import Polled

OnChange = Callable[[DeviceHealth, State], None]
OnBusFault = Callable[[str, str, FaultKind], None]  # bus, protocol, kind
DoorOpen = Callable[[str], bool | None]  # of a compartment; None: nobody knows


@dataclass(frozen=True, slots=True)
class WatchedScanner:
    """A scanner of one cabinet. `alive` asks for a sign of life, where its dialect has one; it raises DeviceError."""

    config: ScannerConfig
    scanner: LinkReader
    health: DeviceHealth
    alive: Callable[[], Awaitable[object]] | None = None


@dataclass(frozen=True, slots=True)
class WatchedReader:
    """An identity-card reader of one cabinet."""

    config: IdCardConfig
    reader: IdCardReader
    health: DeviceHealth


@dataclass(slots=True)
class Devices:
    """Everything of this store that stands on a line."""

    buses: dict[str, Bus] = field(default_factory=dict)
    locks: dict[str, WatchedLock] = field(default_factory=dict)
    scales: dict[str, WatchedScale] = field(default_factory=dict)
    scanners: list[WatchedScanner] = field(default_factory=list)
    readers: list[WatchedReader] = field(default_factory=list)
    polled: list[Polled] = field(default_factory=list)
    health: dict[str, DeviceHealth] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class Building:
    """What a builder may use. `store` is the whole description; `lines` its buses by id."""

    store: StoreConfig
    clock: Clock
    on_change: OnChange
    on_fault: OnBusFault
    day_key: Callable[[], bytes]
    today: Callable[[], date]
    door_open: DoorOpen
    lines: Mapping[str, BusConfig]
    devices: Devices = field(default_factory=Devices)
    mdb_lines: dict[str, MdbLine] = field(default_factory=dict)

    def watch(self, device: str, kind: str) -> DeviceHealth:
        """The life of a device, told to the store from now on."""
        health = DeviceHealth(device, kind, self.clock, self.on_change, since_s=self.clock.now_s())
        self.devices.health[device] = health
        return health

    def fault_of(self, bus: BusConfig) -> OnFault:
        """Who hears of faults on a line."""
        return partial(self._fault, bus)

    def _fault(self, bus: BusConfig, kind: FaultKind, _detail: str) -> None:
        self.on_fault(bus.id, bus.protocol, kind)
