"""All the hardware of one store, built from its description: every bus a port, every device its simulator."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random
from typing import Literal

from contracts.clock import Clock
from edge.config import IdCardConfig, LockBoardConfig, ScaleConfig, ScannerConfig, StoreConfig
from simulators.hardware.device import Device
from simulators.hardware.faults import FaultPlan, Faults
from simulators.hardware.id_card import Card, IdCardReader
from simulators.hardware.lock_8a import LockBus
from simulators.hardware.lock_cu16 import LineCU16
from simulators.hardware.lock_cu48 import LineCU48
from simulators.hardware.lock_line import MARGIN_S, Board, LockLine
from simulators.hardware.lock_winnsen import LineWinnsen
from simulators.hardware.pty_port import PtyPort
from simulators.hardware.rig_lines import modbus_line, other_line
from simulators.hardware.scanner import Scanner
from simulators.world import NotThereError, World
from simulators.world.scales import Platform, Reading

REBOOT_S = 0.3  # real
REAL_PORTS = Path("/dev")
LOCK_LINES: Mapping[str, Callable[..., LockLine]] = {
    "lock_8a": LockBus,
    "lock_cu16": LineCU16,
    "lock_cu48": LineCU48,
    "lock_winnsen": LineWinnsen,
}
log = logging.getLogger("zhanggui.simulators")


class _Cell:
    """A load cell as its transmitter sees it: always now."""

    def __init__(self, platform: Platform, clock: Clock) -> None:
        self._platform = platform
        self._clock = clock

    def read(self) -> Reading:
        return self._platform.read(self._clock.now_s())

    def acknowledge(self) -> None:
        self._platform.acknowledge()


def _board(lock: LockBoardConfig) -> Board:
    """The board that a description means. It needs a little less rest than its host is told to give it."""
    return Board(
        lock.id,
        lock.feedback_polarity,
        dialect=lock.dialect,
        bit_order=lock.bit_order,
        hold_off_s=lock.hold_off_s - MARGIN_S,
    )


class Rig:
    """The ports and devices of a store. A bus below /dev is real hardware and is left alone.

    `faults` maps a bus to its plan. Everything done to the hardware is told to the world's truth.
    """

    def __init__(
        self, config: StoreConfig, world: World, *, clock: Clock, seed: int, faults: Mapping[str, FaultPlan]
    ) -> None:
        self._world = world
        self._clock = clock
        self._seed = seed
        self._config = {device.id: device for device in config.device}
        self._lock_of = {k.id: (k.lock, k.channel) for _, k in config.compartments()}
        self._boards: dict[str, Board] = {}
        self.ports: dict[str, PtyPort] = {}
        for bus in config.bus:
            if not bus.port or Path(bus.port).is_relative_to(REAL_PORTS):
                log.info("bus %s is real hardware at %s", bus.id, bus.url)
                continue
            device, echo = self._devices_on(bus.id, bus.protocol)
            line = Faults(rng=Random(f"{seed}:line:{bus.id}"))
            self.ports[bus.id] = PtyPort(Path(bus.port), device, line, echo=echo)
        for name, plan in faults.items():
            self.set_faults(name, plan)

    def _devices_on(self, bus: str, protocol: str) -> tuple[Device, bool]:
        mine = [device for device in self._config.values() if getattr(device, "bus", None) == bus]
        if protocol in LOCK_LINES:
            locks = [device for device in mine if isinstance(device, LockBoardConfig)]
            boards = {device.address: _board(device) for device in locks}
            self._boards |= {board.name: board for board in boards.values()}
            line = LOCK_LINES[protocol](boards, self._world, on_refused=self._refused)
            return line, any(device.echo for device in locks)
        if protocol == "modbus_rtu":
            return modbus_line(mine, self._clock, lambda scale: _Cell(self._platform(scale), self._clock))
        return other_line(protocol, mine, self._seed)

    def _platform(self, scale: ScaleConfig) -> Platform:
        shelf = self._world.shelf_on.get(scale.id)
        if shelf is None:  # a scale that nothing stands on
            return Platform(sigma_g=scale.sigma_g, rng=Random(scale.id))
        return self._world.shelves[shelf].platform

    def _refused(self, lock: str, channel: int) -> None:
        compartment = self._world.compartment_at.get((lock, channel), "")
        self._world.note("fault", device=lock, compartment=compartment, detail="hold_off")
        self._world.note("fault_cleared", device=lock, compartment=compartment, detail="hold_off")

    # -------------------------------------------------------------- ports

    def port(self, bus: str) -> PtyPort:
        """A port by the id of its bus. Raises NotThereError."""
        port = self.ports.get(bus)
        if port is None:
            raise NotThereError(f"no simulated bus is called {bus!r}")
        return port

    def plug_all(self) -> None:
        """Make every port."""
        for port in self.ports.values():
            port.plug()

    def unplug_all(self) -> None:
        """Take every port away, without a word to the truth: the store is closed."""
        for port in self.ports.values():
            port.unplug()

    def unplug(self, bus: str) -> None:
        """Pull an adapter out."""
        port = self.port(bus)
        if port.plugged:
            port.unplug()
            self._world.note("fault", device=bus, detail="unplug")

    def replug(self, bus: str) -> None:
        """Put it back: another pseudo-terminal, the same path."""
        port = self.port(bus)
        if not port.plugged:
            port.plug()
            self._world.note("fault_cleared", device=bus, detail="unplug")

    def set_faults(self, bus: str, plan: FaultPlan) -> None:
        """Spoil a line from now on as `plan` says; a clean plan mends it."""
        line = self.port(bus).faults
        if line.plan.clean != plan.clean:
            self._world.note("fault_cleared" if plan.clean else "fault", device=bus, detail="bad_line")
        line.plan = plan

    # -------------------------------------------------------------- devices

    def bus_of(self, device: str) -> str:
        """The bus of a device. Raises NotThereError."""
        config = self._config.get(device)
        bus = getattr(config, "bus", None)
        if not isinstance(bus, str) or bus not in self.ports:
            raise NotThereError(f"no simulated device is called {device!r}")
        return bus

    def reboot(self, device: str) -> None:
        """A device loses power for a moment; its line is silent, a scale zeroes itself."""
        port = self.port(self.bus_of(device))
        port.silence(REBOOT_S)
        self._world.note("fault", device=device, detail="reboot")
        if device in self._boards and isinstance(port.device, LockLine):
            port.device.reboot(self._boards[device])
        if device in self._world.shelf_on:
            self._world.restart_scale(self._world.shelf_on[device])
        asyncio.get_running_loop().call_later(
            REBOOT_S, lambda: self._world.note("fault_cleared", device=device, detail="reboot")
        )

    def stick_door(self, compartment: str, to: Literal["open", "closed"] | None) -> None:
        """The door's sensor hangs at `to`, or lets go."""
        if compartment not in self._lock_of:
            raise NotThereError(f"no compartment is called {compartment!r}")
        lock, channel = self._lock_of[compartment]
        stuck = self._boards[lock].stuck
        if to is None:
            if stuck.pop(channel, None) is not None:
                self._world.note("fault_cleared", compartment=compartment, device=lock, detail="stuck")
            return
        if channel not in stuck:
            self._world.note("fault", compartment=compartment, device=lock, detail="stuck")
        stuck[channel] = to == "open"

    def stick_scale(self, shelf: str, stuck: bool) -> None:
        """The scale under a shelf hangs at what it shows now, or lets go."""
        place = self._world.shelf(shelf)
        if (place.platform.stuck is not None) != stuck:
            self._world.note(
                "fault" if stuck else "fault_cleared", compartment=place.compartment, shelf=shelf, detail="stuck"
            )
        place.platform.stick(self._clock.now_s(), stuck)

    def cabinet_at(self, device: str) -> str:
        """The cabinet a scanner or card reader belongs to. Raises NotThereError."""
        config = self._config.get(device)
        if not isinstance(config, ScannerConfig | IdCardConfig):
            raise NotThereError(f"no scanner or card reader is called {device!r}")
        return config.cabinet

    def scanner_of(self, cabinet: str) -> str | None:
        """The first simulated scanner of a cabinet."""
        for config in self._config.values():
            if isinstance(config, ScannerConfig) and config.cabinet == cabinet and config.bus in self.ports:
                return config.id
        return None

    def scan(self, scanner: str, code: str, *, visit: str = "", member: str = "") -> bool:
        """Show a code to a scanner; False if its line was dead. The code itself is never told on."""
        cabinet = self.cabinet_at(scanner)
        port = self.port(self.bus_of(scanner))
        if not isinstance(port.device, Scanner):
            raise NotThereError(f"{scanner!r} is no scanner")
        printed = port.device.printed(code)
        self._world.note("scanned", visit=visit, cabinet=cabinet, member=member, device=scanner)
        return not port.faults.loses() and port.send(port.faults.corrupted(printed))

    def lay_card(self, reader: str, number: str | None, *, visit: str = "") -> None:
        """Lay a made-up card on a reader, or take it away (None)."""
        cabinet = self.cabinet_at(reader)
        device = self.port(self.bus_of(reader)).device
        if not isinstance(device, IdCardReader):
            raise NotThereError(f"{reader!r} is no card reader")
        device.card = None if number is None else Card(number)
        if number is not None:
            self._world.note("card_read", visit=visit, cabinet=cabinet, device=reader)

    def counters(self) -> dict[str, int]:
        """Everything counted on all lines, as `bus.name`."""
        total: Counter[str] = Counter()
        for bus, port in self.ports.items():
            for source in (port.counters, port.faults.counters, port.device.counters):
                total.update({f"{bus}.{name}": count for name, count in source.items()})
        return dict(total)
