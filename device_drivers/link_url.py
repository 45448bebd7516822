"""Where a device is, as one address: a port, a USB adapter by what it is, a serial server, or a simulator.

    serial:///dev/ttyS1?baud=9600          a port by its path (a path alone means the same)
    serial://usb/1a86:7523/A50285BI        a USB adapter by vendor, product and serial number, whatever its path
    serial://usb/1a86:7523                 the only adapter of this kind
    tcp://192.168.1.40:4001                a serial server that passes bytes on
    rfc2217://192.168.1.40:4001?baud=9600  one that also sets the speed
    pipe:///run/zhanggui/codes             a named pipe that another program writes codes into
    evdev:///dev/input/by-id/usb-X-event-kbd   a scanner that plays a keyboard, held so that nobody else hears it
    evdev://X%20Barcode%20Scanner          the only input device of this name
    sim://lock_8a                          the simulator of a family, in this process

Further schemes come with packages, under the entry point `zhanggui.device_links`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from typing import Literal, cast
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from device_drivers.errors import MisconfiguredError
from device_drivers.exchange import Link
from device_drivers.rfc2217_link import open_rfc2217
from device_drivers.scanner.event_device import path_of_input
from device_drivers.scanner.pipe import open_pipe
from device_drivers.scanner.wedge_reader import open_wedge
from device_drivers.serial_link import Parity, open_serial
from device_drivers.tcp_link import open_tcp
from device_drivers.usb_port import UsbAdapter, path_of

ENTRY_POINTS = "zhanggui.device_links"
MAX_URL_CHARS = 512
BAUDS = range(50, 4_000_001)
EXAMPLE = "serial:///dev/ttyUSB0?baud=9600"
_PARITIES = ("N", "E", "O")
Open = Callable[["LinkUrl"], Awaitable[Link]]


@dataclass(frozen=True, slots=True)
class LinkUrl:
    """A checked address. `path` is the port's path; with `usb` it is found when the link is opened. `extra` holds
    what a scheme of another package is asked for."""

    text: str
    scheme: str
    host: str = ""
    port: int = 0
    path: str = ""
    usb: UsbAdapter | None = None
    baud: int = 9600
    parity: Parity = "N"
    stop_bits: Literal[1, 2] = 1
    extra: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str, *, baud: int = 9600) -> LinkUrl:
        """Check an address; `baud` is meant where it names none. Raises MisconfiguredError that names the fix."""
        if not text or len(text) > MAX_URL_CHARS or not text.isprintable():
            raise MisconfiguredError(f"link: must be an address of 1 to {MAX_URL_CHARS} characters, such as {EXAMPLE}")
        if text.startswith("/"):
            return cls(text, "serial", path=text, baud=_baud(text, str(baud)))
        try:
            parts = urlsplit(text)
            port = parts.port or 0
        except ValueError as error:
            raise MisconfiguredError(f"link {text}: {error}") from None
        asked = dict(parse_qsl(parts.query, keep_blank_values=True))
        known = {"baud": str(baud), "parity": "N", "stop_bits": "1"}
        extra = {name: value for name, value in asked.items() if name not in known}
        known.update((name, value) for name, value in asked.items() if name in known)
        if known["parity"] not in _PARITIES or known["stop_bits"] not in {"1", "2"}:
            raise MisconfiguredError(f"link {text}: parity must be N, E or O, stop_bits 1 or 2")
        if extra and parts.scheme in _OWN:
            raise MisconfiguredError(f"link {text}: knows no {', '.join(extra)}; there are baud, parity and stop_bits")
        where = _serial(text, parts) if parts.scheme == "serial" else (unquote(parts.path), None)
        if parts.scheme == "pipe" and (parts.netloc or not parts.path.startswith("/")):
            raise MisconfiguredError(f"link {text}: must be pipe:///PATH")
        if parts.scheme == "evdev" and bool(parts.netloc) == (parts.path not in {"", "/"}):
            raise MisconfiguredError(f"link {text}: must be evdev:///dev/input/PATH or evdev://NAME")
        if parts.scheme in {"tcp", "rfc2217"} and not (parts.hostname and port and parts.path in {"", "/"}):
            raise MisconfiguredError(f"link {text}: must be {parts.scheme}://HOST:PORT")
        return cls(
            text=text,
            scheme=parts.scheme,
            host=(unquote(parts.netloc) if parts.scheme == "evdev" else parts.hostname) or "",
            port=port,
            path=where[0],
            usb=where[1],
            baud=_baud(text, known["baud"]),
            parity=cast("Parity", known["parity"]),
            stop_bits=2 if known["stop_bits"] == "2" else 1,
            extra=extra,
        )


async def open_link(url: LinkUrl) -> Link:
    """Open what the address names.

    Raises UnavailableError if it is not there now, MisconfiguredError if it can never work as described.
    """
    opener = _OWN.get(url.scheme) or _others(url)
    return await opener(url)


def schemes() -> list[str]:
    """Every scheme that can be opened here."""
    return sorted({*_OWN, *(entry.name for entry in entry_points(group=ENTRY_POINTS))})


async def _open_serial(url: LinkUrl) -> Link:
    path = path_of(url.usb) if url.usb is not None else url.path
    return await open_serial(path, url.baud, parity=url.parity, stop_bits=url.stop_bits)


async def _open_tcp(url: LinkUrl) -> Link:
    return await open_tcp(url.host, url.port)


async def _open_rfc2217(url: LinkUrl) -> Link:
    return await open_rfc2217(url.host, url.port, url.baud, parity=url.parity, stop_bits=url.stop_bits)


async def _open_pipe(url: LinkUrl) -> Link:
    return await open_pipe(url.path)


async def _open_evdev(url: LinkUrl) -> Link:
    return await open_wedge(path_of_input(url.host) if url.host else url.path)


_OWN: dict[str, Open] = {
    "serial": _open_serial,
    "tcp": _open_tcp,
    "rfc2217": _open_rfc2217,
    "pipe": _open_pipe,
    "evdev": _open_evdev,
}


def _others(url: LinkUrl) -> Open:
    for entry in entry_points(group=ENTRY_POINTS):
        if entry.name == url.scheme:
            return cast("Open", entry.load())
    raise MisconfiguredError(f"link {url.text}: no link is called {url.scheme!r}; there are {', '.join(schemes())}")


def _serial(text: str, parts: SplitResult) -> tuple[str, UsbAdapter | None]:
    if parts.netloc == "usb":
        return "", UsbAdapter.parse(parts.path)
    if parts.netloc or not parts.path.startswith("/"):
        raise MisconfiguredError(f"link {text}: must be serial:///PATH or serial://usb/VENDOR:PRODUCT[/SERIAL]")
    return parts.path, None


def _baud(text: str, said: str) -> int:
    if not (said.isascii() and said.isdecimal() and int(said[:9]) in BAUDS):
        raise MisconfiguredError(f"link {text}: baud must be {BAUDS[0]} to {BAUDS[-1]}, is {said[:16]!r}")
    return int(said)
