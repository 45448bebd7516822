"""What a family of devices says of itself: how its bytes are cut into frames, read aloud, asked something harmless.

Each folder of drivers has a `family.py` with one `FAMILY`; the command line, the wire trace, the fuzzer and the shared
suite know the family by it alone. Others add theirs under the entry point `zhanggui.device_families`.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import entry_points
from importlib.util import find_spec
from typing import Any, Protocol, TypeVar

import device_drivers
from device_drivers.bus import Bus
from device_drivers.errors import MisconfiguredError
from device_drivers.faults import OnFault
from device_drivers.settings import Settings

ENTRY_POINTS = "zhanggui.device_families"
F = TypeVar("F")


class Decoder(Protocol[F]):
    """Cuts one direction of a line into frames. Never raises for any bytes; what is no frame is told to `on_fault`."""

    def feed(self, data: bytes) -> list[F]:
        """The frames that are whole now."""

    @property
    def buffered(self) -> int:
        """Bytes held back for the next call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One family. `from_host` and `from_device` make a decoder of what either side sends.

    `describe` says a frame in one short line without personal data. `acts` is true of a frame that moves, heats, pays
    or changes a setting: a tool for looking never sends one. `most_buffered` is the most that a decoder ever holds.
    `settings` are what a description may say of a device beside its address, each with one line of help. `probe` asks
    the device at an address something harmless and says what it found; it uses those of the settings that its question
    needs, and raises DeviceError. `simulator` names `module:callable` of the device that plays this family. `personal`:
    its bytes may name a person, so no tool ever shows or keeps them.
    """

    name: str
    title: str
    title_zh: str
    from_host: Callable[[OnFault], Decoder[Any]]
    from_device: Callable[[OnFault], Decoder[Any]]
    describe: Callable[[Any], str]
    acts: Callable[[Any], bool]
    most_buffered: int
    simulator: str
    baud: int = 9600
    first_address: int = 1  # the usual one, and that of the simulator on a bench
    personal: bool = False
    probe: Callable[[Bus, int, Settings], Awaitable[str]] | None = None
    settings: Mapping[str, str] = field(default_factory=dict)

    def known(self, settings: Settings) -> Settings:
        """The same settings. Raises MisconfiguredError for one that this family does not have."""
        for name in settings:
            if name not in self.settings:
                there = f"there are: {', '.join(self.settings)}" if self.settings else "it has none"
                raise MisconfiguredError(f"{self.name}: there is no setting {name[:40]!r}; {there}")
        return settings


def families() -> dict[str, Family]:
    """Every family that is installed, by name. Raises MisconfiguredError for one that cannot be loaded."""
    found: dict[str, Family] = {}
    for family in _loaded():
        if family.name in found:
            raise MisconfiguredError(f"two packages bring the device family {family.name}: remove one of them")
        found[family.name] = family
    return dict(sorted(found.items()))


def family(name: str) -> Family:
    """The family of this name. Raises MisconfiguredError with the names that there are."""
    known = families()
    if name not in known:
        raise MisconfiguredError(f"there is no device family {name!r}; there are: {', '.join(known)}")
    return known[name]


def _loaded() -> Iterator[Family]:
    for folder in pkgutil.iter_modules(device_drivers.__path__):
        if folder.ispkg and find_spec(f"device_drivers.{folder.name}.family") is not None:
            own: Family = import_module(f"device_drivers.{folder.name}.family").FAMILY
            yield own
    for entry in entry_points(group=ENTRY_POINTS):
        try:
            loaded = entry.load()
        except (ImportError, AttributeError) as error:
            raise MisconfiguredError(f"device family {entry.name} ({entry.value}) cannot be loaded: {error}") from error
        if not isinstance(loaded, Family):
            raise MisconfiguredError(f"device family {entry.name} ({entry.value}) is no Family")
        yield loaded
