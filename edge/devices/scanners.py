"""Scanners by their dialect and their link, and how it is known that one lives."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

from device_drivers.errors import DeviceError
from device_drivers.link_url import open_link
from device_drivers.scanner import GM65Scanner, HoneywellScanner, NewlandScanner, SerialScanner, WedgeReader
from edge.config import ScannerConfig
from edge.devices.built import Building, WatchedScanner

LOOK_EVERY_S = 1.0
ASK_EVERY_S = 10.0  # of the event loop


def build_scanner(device: ScannerConfig, around: Building) -> None:
    """One scanner. It reads by itself: nothing here tells it when to look."""
    bus = around.lines[device.bus]
    shared: dict[str, Any] = {
        "name": device.id,
        "open_link": partial(open_link, bus.link),
        "clock": around.clock,
        "on_fault": around.fault_of(bus),
    }
    health = around.watch(device.id, device.kind)
    watched: WatchedScanner
    if bus.link.scheme == "evdev":
        watched = WatchedScanner(device, WedgeReader(**shared), health)
    elif device.dialect == "gm65":
        gm65 = GM65Scanner(**shared)
        watched = WatchedScanner(device, gm65, health, alive=gm65.alive)
    elif device.dialect == "newland":
        newland = NewlandScanner(**shared)
        watched = WatchedScanner(device, newland, health, alive=newland.mode)
    elif device.dialect == "honeywell":
        watched = WatchedScanner(device, HoneywellScanner(**shared), health)  # it has no question that is harmless
    else:
        watched = WatchedScanner(device, SerialScanner(**shared), health)
    around.devices.scanners.append(watched)


async def watch_scanner(watched: WatchedScanner) -> None:
    """Until cancelled: a scanner is well while its port is open and it answers, if it can be asked at all."""
    loop = asyncio.get_running_loop()
    ask_s = loop.time()
    while True:
        if not watched.scanner.is_open:
            watched.health.failed("the port is not open")
        elif watched.alive is None:
            watched.health.ok()
        elif loop.time() >= ask_s:
            try:
                await watched.alive()
            except DeviceError as error:
                watched.health.failed(str(error))  # and asked again at once, to know whether it is gone
            else:
                watched.health.ok()
                ask_s = loop.time() + ASK_EVERY_S
        await asyncio.sleep(LOOK_EVERY_S)
