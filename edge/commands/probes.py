"""Devices as commands may know them: how they are, and what they answer to a question that moves nothing.

A probe holds callables that ask, made here from a driver's own questions. None of them writes, and none opens.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from device_drivers.capabilities import Door, WeightSample
from edge.commands.records import Result
from edge.config import StoreConfig, bus_of
from edge.devices.built import Devices
from edge.devices.limits import Values

SAMPLES = 3
MOST_SHOWN = 16
Found = dict[str, str | int]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceProbe:
    """One device. `task` is the supervised task that owns its port; `cabinets` are all whose doors or weights need
    that port; `answers` counts what it has answered in all. `test` raises DeviceError."""

    device: str
    kind: str
    task: str
    cabinets: frozenset[str]
    answers: Callable[[], int]
    test: Callable[[], Awaitable[Result]]


def lock_test(door: Callable[[int], Awaitable[Door]], channels: tuple[int, ...]) -> Callable[[], Awaitable[Result]]:
    """The state of every door of one board."""

    async def test() -> Result:
        found: Found = {}
        for channel in channels:
            found[f"door_{channel}"] = (await door(channel)).value
        return Result("done", "ok", found)

    return test


def scale_test(sample: Callable[[], Awaitable[WeightSample]]) -> Callable[[], Awaitable[Result]]:
    """Some samples: whether they are stable and agree, and what the scale says of itself."""

    async def test() -> Result:
        seen = [await sample() for _ in range(SAMPLES)]
        weights = [s.gross_g for s in seen]
        found: Found = {"gross_dg": round(weights[-1] * 10), "spread_dg": round((max(weights) - min(weights)) * 10)}
        if any(s.overload for s in seen):
            return Result("failed", "overload", found)
        if any(s.power_on for s in seen):
            return Result("done", "power_on", found)
        return Result("done", "ok" if all(s.stable for s in seen) else "unstable", found)

    return test


def port_test(is_open: Callable[[], bool]) -> Callable[[], Awaitable[Result]]:
    """A device that says nothing by itself: all that can be known is its port."""

    async def test() -> Result:
        return Result("done", "port_open") if is_open() else Result("failed", "port_closed")

    return test


def reader_test(present: Callable[[], Awaitable[bool]]) -> Callable[[], Awaitable[Result]]:
    """Whether the reader answers; no card is read."""

    async def test() -> Result:
        return Result("done", "ok", {"card": int(await present())})

    return test


def shown_test(ask: Callable[[], Awaitable[Values]]) -> Callable[[], Awaitable[Result]]:
    """What a device that is asked now and then shows; a fraction is told as text, which a result can hold."""

    async def test() -> Result:
        shown = list((await ask()).items())[:MOST_SHOWN]
        return Result("done", "ok", {name[:60]: v[:64] if isinstance(v, str) else _whole(v) for name, v in shown})

    return test


def _whole(value: float) -> int | str:
    return int(value) if value == int(value) else f"{value:.1f}"


def state_test(state: Callable[[], str]) -> Callable[[], Awaitable[Result]]:
    """What the supervision of a device knows already."""

    async def test() -> Result:
        now = state()
        return Result("done" if now == "online" else "failed", now)

    return test


def probes(config: StoreConfig, devices: Devices) -> Mapping[str, DeviceProbe]:
    """A probe for each device of the store, by its id."""
    by_port = _cabinets_by_bus(config)
    scanners = {watched.config.id: watched.scanner for watched in devices.scanners}
    readers = {watched.config.id: watched.reader for watched in devices.readers}
    polled = {one.device: one for one in devices.polled}
    found: dict[str, DeviceProbe] = {}
    for device in config.device:
        match device.kind:
            case "lock_board":
                channels = sorted(k.channel for _, k in config.compartments() if k.lock == device.id)
                test = lock_test(devices.locks[device.id].door, tuple(channels))
                task, cabinets = f"bus:{device.bus}", by_port.get(device.bus, frozenset())
            case "scale":
                test = scale_test(devices.scales[device.id].sample)
                task, cabinets = f"bus:{device.bus}", by_port.get(device.bus, frozenset())
            case "id_card":
                test = reader_test(readers[device.id].present)
                task, cabinets = f"bus:{device.bus}", by_port.get(device.bus, frozenset()) | {device.cabinet}
            case "scanner":
                scanner = scanners[device.id]
                test = port_test(lambda scanner=scanner: scanner.is_open)  # type: ignore[misc]  # bound now, not later
                task, cabinets = f"scanner:{device.id}", frozenset({device.cabinet})
            case "camera":
                health = devices.health[device.id]
                test = state_test(lambda health=health: health.state)  # type: ignore[misc]  # the same
                task, cabinets = f"camera:{device.id}", frozenset()
            case _:
                one = polled[device.id]
                test = shown_test(one.try_out)
                task = f"bus:{one.bus}" if one.bus else f"company:{device.id}"
                cabinets = by_port.get(one.bus, frozenset())
        health = devices.health[device.id]
        found[device.id] = DeviceProbe(
            device=device.id,
            kind=device.kind,
            task=task,
            cabinets=cabinets,
            answers=lambda health=health: health.answers,  # type: ignore[misc]  # the same
            test=test,
        )
    return found


def _cabinets_by_bus(config: StoreConfig) -> dict[str, frozenset[str]]:
    """Every cabinet that has a lock, a scale or a reader on a bus: a port that closes takes all of them away."""
    line = {device.id: bus_of(device) for device in config.device}
    found: dict[str, set[str]] = {}
    for cabinet, compartment in config.compartments():
        for device in (compartment.lock, *(shelf.scale for shelf in compartment.shelf)):
            found.setdefault(line[device], set()).add(cabinet.id)
    for reader in config.device:
        if reader.kind == "id_card":
            found.setdefault(reader.bus, set()).add(reader.cabinet)
    return {bus: frozenset(cabinets) for bus, cabinets in found.items()}
