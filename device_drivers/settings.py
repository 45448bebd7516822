"""What a person says of a device by hand, as texts by name, and how a family reads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

from device_drivers.errors import MisconfiguredError

Settings = Mapping[str, str]
S = TypeVar("S", bound=str)


def one_of(settings: Settings, name: str, known: Sequence[S], usual: S) -> S:
    """A setting that has so many values; `usual` if nothing is said. Raises MisconfiguredError."""
    if name not in settings:
        return usual
    for one in known:
        if one == settings[name]:
            return one
    raise MisconfiguredError(f"{name}: {settings[name][:40]!r} must be {_listed(known)}")


def flag(settings: Settings, name: str) -> bool:
    """A setting that is true or false, false if nothing is said. Raises MisconfiguredError."""
    return one_of(settings, name, ("true", "false"), "false") == "true"


def number(settings: Settings, name: str, usual: float) -> float:
    """A setting that is a number. Raises MisconfiguredError."""
    text = settings.get(name, "")
    try:
        return float(text) if name in settings else usual
    except ValueError:
        raise MisconfiguredError(f"{name}: {text[:40]!r} must be a number") from None


def _listed(known: Sequence[str]) -> str:
    return " or ".join(part for part in (", ".join(known[:-1]), known[-1]) if part)
