"""Which addresses a camera may have here: our own, and those of other packages by their entry point."""

from __future__ import annotations

from importlib.metadata import entry_points

from device_drivers.camera.url import NETWORK

ENTRY_POINTS = "zhanggui.camera_sources"


def schemes() -> list[str]:
    """Every scheme that can be opened."""
    return sorted({"file", *NETWORK, *(entry.name for entry in entry_points(group=ENTRY_POINTS))})
