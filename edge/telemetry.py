"""What the agent tells of itself and its devices, besides decisions: gathered in memory, committed once a second.

Nothing here is a decision and nothing waits for it: a fact that dies with the process before its commit was never
accepted. The queue is bounded; what does not fit is counted.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence

from contracts.clock import Clock
from contracts.envelope import BadEventError, EventTooLargeError
from contracts.event_types import (
    AgentHealth,
    BusError,
    CabinetDoorReading,
    DeviceOffline,
    DeviceOnline,
    EventData,
    WeightReading,
)
from device_drivers.faults import FaultKind
from edge.devices.health import DeviceHealth, State, WatchedScale
from edge.ports import LedgerFullError, LedgerPort, Record, Transaction

QUEUE_MAX = 2000
FLUSH_EVERY_S = 1.0
BUS_ERRORS_EVERY_S = 10.0
HEALTH_EVERY_S = 30.0
WEIGHTS_EVERY_S = 30.0
WEIGHT_STEP_G = 1.0

log = logging.getLogger("zhanggui.edge")


def rss_bytes() -> int:
    """Resident memory of this process."""
    with open("/proc/self/statm", "rb") as file:  # noqa: PTH123 - a pseudo-file, read every half minute
        return int(file.read().split()[1]) * 4096


class Telemetry:
    """Owns the queue of facts. `counters` yields every count of drops and refusals of the agent, by name."""

    def __init__(
        self, *, ledger: LedgerPort, clock: Clock, boot: str, counters: Callable[[], Mapping[str, int]]
    ) -> None:
        self._ledger = ledger
        self._clock = clock
        self._boot = boot
        self._counters = counters
        self._queue: deque[Record] = deque()
        self._bus_errors: Counter[tuple[str, str, FaultKind]] = Counter()
        self._weights: dict[str, float] = {}
        self._doors: dict[str, bool] = {}
        self._scales: Mapping[str, tuple[str, WatchedScale]] = {}
        self.counters: Counter[str] = Counter()
        self._flushing = asyncio.Lock()  # the drain at a stop flushes beside `run`: nothing may be told twice

    def tell(self, data: EventData, device: str = "agent") -> None:
        """Note one fact; it is committed within a second."""
        if len(self._queue) >= QUEUE_MAX:
            self.counters["telemetry.queue_full"] += 1
            return
        self._queue.append(Record(data=data, device=device))

    def device_changed(self, health: DeviceHealth, before: State) -> None:
        """A device came or went: one line in the log down, one up, and an event each."""
        match health.state:
            case "online":
                if before in {"offline", "connecting"}:
                    log.warning("%s %s is online", health.kind, health.device)
                self.tell(DeviceOnline(device=health.device, kind=health.kind), health.device)
            case "offline":
                log.warning("%s %s is offline: %s", health.kind, health.device, health.last_error)
                self.tell(
                    DeviceOffline(
                        device=health.device, kind=health.kind, detail=health.last_error, retries=health.failures
                    ),
                    health.device,
                )
            case _:
                pass

    def bus_fault(self, bus: str, protocol: str, kind: FaultKind) -> None:
        """Count a fault on a line; told in sums."""
        self._bus_errors[bus, protocol, kind] += 1

    async def run(
        self, scales: Mapping[str, tuple[str, WatchedScale]], doors: Callable[[], Mapping[str, bool | None]]
    ) -> None:
        """Flush until cancelled. `scales` maps a shelf to its scale's id and the scale; `doors` tells who is open."""
        self._scales = scales
        next_bus_s = next_health_s = next_weights_s = self._clock.now_s()
        while True:
            now_s = self._clock.now_s()
            if now_s >= next_bus_s:
                next_bus_s = now_s + BUS_ERRORS_EVERY_S
                self._tell_bus_errors()
            if now_s >= next_weights_s:
                next_weights_s = now_s + WEIGHTS_EVERY_S
                self._tell_weights(WEIGHT_STEP_G)
            if now_s >= next_health_s:
                next_health_s = now_s + HEALTH_EVERY_S
                self._tell_health()
            self._tell_doors(doors())
            await self.flush()
            await self._clock.sleep(FLUSH_EVERY_S)

    async def flush_now(self) -> int | None:
        """Tell now what is told every half minute, weights that have not moved too, and commit it; how much that was,
        None if the ledger did not take it."""
        self._tell_bus_errors()
        self._tell_weights(0.0)
        self._tell_health()
        count = len(self._queue)
        await self.flush()
        return None if self._queue else count

    async def flush(self) -> None:
        """Commit what is queued; on a full disk it stays queued, up to the cap."""
        async with self._flushing:
            while self._queue:
                chunk = [self._queue[n] for n in range(min(len(self._queue), 200))]
                try:
                    await self._ledger.commit(Transaction(records=chunk))
                except LedgerFullError:
                    self.counters["telemetry.not_written"] += 1
                    return
                except (EventTooLargeError, BadEventError) as error:
                    log.warning("the ledger refuses a fact: %s", error)
                    await self._one_by_one(chunk)
                for _ in chunk:
                    self._queue.popleft()
                await asyncio.sleep(0)

    async def _one_by_one(self, chunk: Sequence[Record]) -> None:
        """One fact of many was refused by the ledger: it alone is dropped."""
        for record in chunk:
            try:
                await self._ledger.commit(Transaction(records=[record]))
            except (EventTooLargeError, BadEventError, LedgerFullError) as error:
                log.warning("a fact of type %s was dropped: %s", record.data.TYPE, error)
                self.counters["telemetry.refused"] += 1

    def _tell_bus_errors(self) -> None:
        for (bus, protocol, kind), count in self._bus_errors.items():
            self.tell(BusError(bus=bus, protocol=protocol, kind=kind, count=count), bus)
        self._bus_errors.clear()

    def _tell_doors(self, doors: Mapping[str, bool | None]) -> None:
        for compartment, is_open in doors.items():
            if is_open is not None and self._doors.get(compartment) != is_open:
                self._doors[compartment] = is_open
                self.tell(CabinetDoorReading(compartment=compartment, open=is_open), compartment)

    def _tell_health(self) -> None:
        named = {name[:64]: n for name, n in self._counters().items() if n}
        self.tell(AgentHealth(boot=self._boot, counters=named, rss_bytes=rss_bytes()))

    def _tell_weights(self, step_g: float) -> None:
        for shelf, (device, scale) in self._scales.items():
            sample = scale.last
            if sample is None or not sample.stable:
                continue
            if abs(sample.gross_g - self._weights.get(shelf, -1e9)) >= step_g:
                self._weights[shelf] = sample.gross_g
                self.tell(WeightReading(shelf=shelf, gross_g=round(sample.gross_g, 1), stable=True), device)
