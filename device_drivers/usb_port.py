"""A USB serial adapter by what it is. `ttyUSB0` is whoever came first; vendor, product and serial number stay."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from serial.tools import list_ports

from device_drivers.errors import MisconfiguredError, UnavailableError

_NAMED = re.compile(r"/([0-9A-Fa-f]{4}):([0-9A-Fa-f]{4})(?:/([A-Za-z0-9._-]{1,64}))?/?")


class Port(Protocol):
    """What the system says of a port; pyserial's `ListPortInfo` has these fields."""

    device: str
    vid: int | None
    pid: int | None
    serial_number: str | None


@dataclass(frozen=True, slots=True)
class UsbAdapter:
    """A kind of adapter, and one of them if `serial_number` is not empty."""

    vendor: int
    product: int
    serial_number: str = ""

    def __str__(self) -> str:
        return f"{self.vendor:04x}:{self.product:04x}" + (f"/{self.serial_number}" if self.serial_number else "")

    @classmethod
    def parse(cls, path: str) -> UsbAdapter:
        """`/1a86:7523/A50285BI` or `/1a86:7523`. Raises MisconfiguredError."""
        found = _NAMED.fullmatch(path)
        if found is None:
            raise MisconfiguredError(f"usb{path}: must be usb/VENDOR:PRODUCT[/SERIAL], four hex digits each")
        vendor, product, serial_number = found.groups()
        return cls(int(vendor, 16), int(product, 16), serial_number or "")

    def is_(self, port: Port) -> bool:
        """Whether this port is such an adapter."""
        same_kind = (port.vid, port.pid) == (self.vendor, self.product)
        return same_kind and self.serial_number in {"", port.serial_number}


def path_of(adapter: UsbAdapter, ports: Iterable[Port] | None = None) -> str:
    """Where the adapter is now. Raises UnavailableError without one, MisconfiguredError if several fit."""
    found = sorted(
        (port for port in (list_ports.comports() if ports is None else ports) if adapter.is_(port)),
        key=lambda port: port.device,
    )
    if not found:
        raise UnavailableError(f"usb {adapter}: is not there; is the cable plugged in?")
    if len(found) > 1:
        which = ", ".join(f"{port.device} (serial {port.serial_number or 'none'})" for port in found)
        raise MisconfiguredError(f"usb {adapter}: {len(found)} adapters fit, name one by its serial number: {which}")
    return found[0].device
