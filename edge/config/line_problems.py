"""What is wrong with the lines of a store and the devices on them, although each value alone is right."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from device_drivers.errors import MisconfiguredError
from device_drivers.lock_boards import LOCK_BOARDS
from device_drivers.trial_ptp.codec import MAX_ADDRESS as MAX_TRIAL_ADDRESS
from edge.config.adult_devices import MdbConfig, TrialUnitConfig
from edge.config.bus import READ_BY_LINES
from edge.config.camera import CameraConfig
from edge.config.device import IdCardConfig, LockBoardConfig, ScannerConfig
from edge.config.devices import Addressed, Alone, speaks
from edge.config.profiles import ProfiledConfig, framing_of
from edge.config.rfid import RfidConfig
from edge.config.rfid_problems import rfid_problems
from edge.config.store import StoreConfig

ADAPTER_KEYS = ("coding", "echo", "acknowledge")
OnBus = Addressed | Alone


def line_problems(config: StoreConfig) -> Iterator[tuple[str, str]]:
    """(key, what is wrong and how to mend it) of buses that share a port."""
    ports: dict[str, str] = {}
    for line in config.bus:
        if line.port and line.port in ports:
            yield (
                f"bus.{line.id}.url",
                f"bus {ports[line.port]!r} has {line.port} already; put their devices on one bus",
            )
        ports[line.port] = line.id


def device_problems(config: StoreConfig) -> Iterator[tuple[str, str]]:
    """(key, what is wrong and how to mend it) of devices, each against its bus, its neighbours and its cabinet."""
    cabinets = {c.id for c in config.cabinet}
    addresses: dict[tuple[str, int], str] = {}
    alone: dict[str, str] = {}  # bus -> the device without an address on it
    for device in config.device:
        key = f"device.{device.id}"
        if isinstance(device, CameraConfig):
            if device.read_codes_every and device.codes_cabinet not in cabinets:
                yield (
                    f"{key}.codes_cabinet",
                    "a camera that reads codes must name the cabinet that a member code asks for",
                )
            continue
        if isinstance(device, RfidConfig):
            yield from rfid_problems(device, config)
        if not isinstance(device, RfidConfig) or device.family != "llrp":
            yield from _on_its_bus(device, config)
        if isinstance(device, LockBoardConfig):
            wrong = LOCK_BOARDS[device.family].wrong(device.address, device.dialect)
            yield from ((f"{key}.{name}", fix) for name, fix in wrong)
        if isinstance(device, Addressed):
            place = (device.bus, device.address)
            if place in addresses:
                yield (
                    f"{key}.address",
                    f"{addresses[place]!r} has address {device.address} on bus {device.bus!r} already; set another one",
                )
            addresses[place] = device.id
        elif device.bus:
            if device.bus in alone:
                yield f"{key}.bus", f"{alone[device.bus]!r} has bus {device.bus!r} for itself; give this one its own"
            alone[device.bus] = device.id
        if isinstance(device, ScannerConfig | IdCardConfig) and device.cabinet not in cabinets:
            yield f"{key}.cabinet", f"no cabinet is called {device.cabinet!r}"


def _on_its_bus(device: OnBus, config: StoreConfig) -> Iterator[tuple[str, str]]:
    buses = {b.id: b for b in config.bus}
    bus, wanted = buses.get(device.bus), speaks(device)
    if bus is None:
        yield f"device.{device.id}.bus", f"no bus is called {device.bus!r}; there is: {', '.join(buses) or 'none'}"
        return
    if bus.protocol not in wanted:
        yield (
            f"device.{device.id}.bus",
            f"bus {bus.id!r} speaks {bus.protocol}, this {device.kind} needs {' or '.join(wanted)}",
        )
        return
    if isinstance(device, ProfiledConfig):
        try:
            framing_of(device, bus.protocol).check_address(device.address)
        except MisconfiguredError as error:
            yield f"device.{device.id}.address", str(error)
    if isinstance(device, TrialUnitConfig) and not 1 <= device.address <= MAX_TRIAL_ADDRESS:
        yield f"device.{device.id}.address", f"a trial unit has an address from 1 to {MAX_TRIAL_ADDRESS}"
    if isinstance(device, ScannerConfig) and bus.link.scheme in READ_BY_LINES and device.dialect != "plain":
        yield (
            f"device.{device.id}.dialect",
            f"behind {bus.link.scheme}:// there is nobody to ask; leave the dialect out",
        )


def adapter_problems(config: StoreConfig) -> Iterator[tuple[str, str]]:
    """(key, what is wrong) where devices of one line do not say the same of its adapter."""
    said: dict[tuple[str, str], tuple[str, object]] = {}
    for device in config.device:
        names = ADAPTER_KEYS if isinstance(device, MdbConfig) else ("echo",)
        if not isinstance(device, ProfiledConfig | MdbConfig):
            continue
        for name in names:
            value = getattr(device, name)
            first, of_first = said.setdefault((device.bus, name), (device.id, value))
            if value != of_first:
                yield (
                    f"device.{device.id}.{name}",
                    f"{first!r} on the same bus says {of_first!r}; say the same",
                )


def unsealed(config: StoreConfig) -> Iterator[tuple[str, str]]:
    """Where a frame has no check sum, a turned bit opens another door of its line: no tobacco beside other goods."""
    products = {p.sku: p for p in config.product}
    boards = (d for d in config.device if isinstance(d, LockBoardConfig))
    line_of = {board.id: board.bus for board in boards if not LOCK_BOARDS[board.family].sealed}
    behind: dict[str, set[bool]] = {line: set() for line in line_of.values()}
    for _, compartment in config.compartments():
        goods = [products.get(stock.sku) for shelf in compartment.shelf for stock in shelf.stock]
        if compartment.lock in line_of:
            tobacco = any(product is not None and product.category == "tobacco" for product in goods)
            behind[line_of[compartment.lock]].add(tobacco)
    for line, kinds in behind.items():
        if len(kinds) > 1:
            yield (
                f"bus.{line}.protocol",
                "its frames have no check sum, so a turned bit opens another door; put tobacco on a bus of its own",
            )


def missing_ports(config: StoreConfig) -> Iterator[tuple[str, str]]:
    """Serial ports that are named by their path and are not there."""
    for bus in config.bus:
        if bus.port and not Path(bus.port).exists():
            yield (
                f"bus.{bus.id}.url",
                f"{bus.port} is not there; plug the adapter in, or name the right port (ls /dev/serial/by-id)",
            )
