"""From `store.toml` to buses, drivers and their health: one place that knows which builder stands for which kind."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import date
from functools import partial
from typing import Any

from contracts.clock import Clock
from device_drivers.bus import Bus
from device_drivers.exchange import Link
from device_drivers.id_card import IdCardReader, private
from device_drivers.link_url import LinkUrl, open_link
from device_drivers.lock_boards import LOCK_BOARDS
from device_drivers.lock_profile import Profile
from device_drivers.mdb import acknowledging
from device_drivers.modbus_rtu import WeightTransmitter
from edge.config import (
    OWNED,
    IdCardConfig,
    LockBoardConfig,
    MdbConfig,
    ScaleConfig,
    StoreConfig,
    framing_of,
    profile_of,
)
from edge.devices.adult_devices import build_age_device, build_cashless, build_trial_unit
from edge.devices.built import Building, Devices, DoorOpen, OnBusFault, OnChange, WatchedReader
from edge.devices.counter_devices import build_display, build_printer
from edge.devices.health import WatchedLock, WatchedScale
from edge.devices.metered import build_climate, build_fridge, build_relay_inputs
from edge.devices.rfid import build_rfid
from edge.devices.scanners import build_scanner

__all__ = ["BUILDERS", "build"]


def build(
    config: StoreConfig,
    *,
    clock: Clock,
    on_change: OnChange,
    on_fault: OnBusFault,
    day_key: Callable[[], bytes],
    today: Callable[[], date],
    door_open: DoorOpen = lambda _compartment: None,
) -> Devices:
    """Drivers for all devices of a checked configuration but cameras. Opens nothing yet."""
    around = Building(
        store=config,
        clock=clock,
        on_change=on_change,
        on_fault=on_fault,
        day_key=day_key,
        today=today,
        door_open=door_open,
        lines={bus.id: bus for bus in config.bus},
    )
    left_to_us = {d.bus: d.coding for d in config.device if isinstance(d, MdbConfig) and d.acknowledge}
    for bus in config.bus:
        if bus.protocol not in OWNED:
            opener: Callable[[], Awaitable[Link]] = partial(
                _open_private if bus.protocol == "id_card" else open_link, bus.link
            )
            if bus.id in left_to_us:
                opener = acknowledging(opener, coding=left_to_us[bus.id])
            around.devices.buses[bus.id] = Bus(name=bus.id, open_link=opener, on_fault=around.fault_of(bus))
    for device in config.device:
        if device.kind != "camera":  # they run in processes of their own
            BUILDERS[device.kind](device, around)
    return around.devices


def _lock_board(device: LockBoardConfig, around: Building) -> None:
    profile = Profile(
        feedback_polarity=device.feedback_polarity,
        dialect=device.dialect,
        bit_order=device.bit_order,
        hold_off_s=device.hold_off_s,
        echo=device.echo,
    )
    board = LOCK_BOARDS[device.family].make(around.devices.buses[device.bus], device.address, profile)
    around.devices.locks[device.id] = WatchedLock(board, around.watch(device.id, device.kind))


def _scale(device: ScaleConfig, around: Building) -> None:
    scale = WeightTransmitter(
        around.devices.buses[device.bus],
        address=device.address,
        profile=profile_of(device),
        framing=framing_of(device, around.lines[device.bus].protocol),
    )
    around.devices.scales[device.id] = WatchedScale(scale, around.watch(device.id, device.kind))


def _id_card(device: IdCardConfig, around: Building) -> None:
    reader = IdCardReader(around.devices.buses[device.bus], day_key=around.day_key, today=around.today)
    around.devices.readers.append(WatchedReader(device, reader, around.watch(device.id, device.kind)))


async def _open_private(url: LinkUrl) -> Link:
    """A line that people's papers come over: nothing of them is left in memory."""
    return private(await open_link(url))


# A new kind has a class in `edge.config.devices`, a builder here, and its words in `cloud_bridge.pages.words`.
BUILDERS: Mapping[str, Callable[[Any, Building], None]] = {
    "lock_board": _lock_board,
    "scale": _scale,
    "scanner": build_scanner,
    "id_card": _id_card,
    "climate": build_climate,
    "fridge": build_fridge,
    "relay_inputs": build_relay_inputs,
    "trial_unit": build_trial_unit,
    "rfid": build_rfid,
    "cashless": build_cashless,
    "age_device": build_age_device,
    "printer": build_printer,
    "display": build_display,
}
