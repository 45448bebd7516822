"""An input device by the name that it gives itself: which /dev/input/event… it is this time.

The kernel tells the names under /sys/class/input (one `eventN/device/name` each). *Never run on hardware.*
"""

from __future__ import annotations

from pathlib import Path

from device_drivers.errors import MisconfiguredError, UnavailableError

NAMES = Path("/sys/class/input")
DEVICES = Path("/dev/input")
MAX_NAME_BYTES = 256
MAX_DEVICES = 256


def path_of_input(name: str, *, names: Path = NAMES, devices: Path = DEVICES) -> str:
    """Its path now. Raises UnavailableError if it is not plugged in, MisconfiguredError if two bear this name."""
    found = [at.name for at in sorted(names.glob("event*"))[:MAX_DEVICES] if _name(at / "device" / "name") == name]
    if not found:
        raise UnavailableError(f"input device {name!r}: is not there; is the scanner plugged in?")
    if len(found) > 1:
        raise MisconfiguredError(
            f"input device {name!r}: {', '.join(found)} bear this name; name one by its path in /dev/input/by-id"
        )
    return str(devices / found[0])


def _name(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            return opened.read(MAX_NAME_BYTES).decode("utf-8", "replace").strip()
    except OSError:
        return ""  # pulled out between two looks
