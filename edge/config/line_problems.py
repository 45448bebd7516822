"""What is wrong with the lines of a store and the devices on them, although each value alone is right."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from device_drivers.lock_boards import LOCK_BOARDS
from edge.config.camera import CameraConfig
from edge.config.device import IdCardConfig, LockBoardConfig, ScaleConfig, ScannerConfig
from edge.config.store import StoreConfig


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
    buses = {b.id: b for b in config.bus}
    addresses: dict[tuple[str, int], str] = {}
    protocol_of = {"scale": "modbus_rtu", "scanner": "scanner", "id_card": "id_card"}
    for device in config.device:
        if isinstance(device, CameraConfig):
            if device.read_codes_every and device.codes_cabinet not in {c.id for c in config.cabinet}:
                yield (
                    f"device.{device.id}.codes_cabinet",
                    "a camera that reads codes must name the cabinet that a member code asks for",
                )
            continue
        bus = buses.get(device.bus)
        speaks = device.family if isinstance(device, LockBoardConfig) else protocol_of[device.kind]
        if bus is None:
            yield f"device.{device.id}.bus", f"no bus is called {device.bus!r}; there is: {', '.join(buses) or 'none'}"
        elif bus.protocol != speaks:
            yield f"device.{device.id}.bus", f"bus {bus.id!r} speaks {bus.protocol}, this {device.kind} needs {speaks}"
        if isinstance(device, LockBoardConfig):
            wrong = LOCK_BOARDS[device.family].wrong(device.address, device.dialect)
            yield from ((f"device.{device.id}.{key}", fix) for key, fix in wrong)
        if isinstance(device, LockBoardConfig | ScaleConfig):
            place = (device.bus, device.address)
            if place in addresses:
                yield (
                    f"device.{device.id}.address",
                    f"{addresses[place]!r} has address {device.address} on bus {device.bus!r} already; set another one",
                )
            addresses[place] = device.id
        if isinstance(device, ScannerConfig | IdCardConfig) and device.cabinet not in {c.id for c in config.cabinet}:
            yield f"device.{device.id}.cabinet", f"no cabinet is called {device.cabinet!r}"


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
