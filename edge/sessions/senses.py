"""All eyes of one cabinet together: what its doors and scales show, compartment by compartment."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from contracts.clock import Clock
from device_drivers.capabilities import Lock, Scale
from edge.sessions.core.inputs import CabinetSpec, View
from edge.sessions.eyes import DoorEye, Pace, ScaleEye


class Senses:
    """Owns a `DoorEye` a lock board and a `ScaleEye` a shelf."""

    def __init__(
        self,
        *,
        spec: CabinetSpec,
        locks: Mapping[str, Lock],
        scales: Mapping[str, Scale],
        clock: Clock,
        pace: Pace,
        real_s: Callable[[], float],
        near: Callable[[], bool],
        wake: Callable[[], None],
    ) -> None:
        """`locks` by board, `scales` by shelf. `near`: whether somebody waits for what the eyes see."""
        self._spec, self._clock = spec, clock
        places = spec.compartments.values()
        self._doors = {
            board: DoorEye(
                lock=locks[board],
                channels={p.compartment: p.channel for p in places if p.board == board},
                pace=pace,
                real_s=real_s,
                near=near,
                wake=wake,
            )
            for board in sorted({p.board for p in places})
        }
        self._scales = {
            shelf.shelf: ScaleEye(
                shelf=shelf.shelf,
                scale=scales[shelf.shelf],
                sigma_g=shelf.sigma_g,
                clock=clock,
                pace=pace,
                real_s=real_s,
                near=near,
                wake=wake,
            )
            for place in places
            for shelf in place.shelves
        }

    def start(self, group: asyncio.TaskGroup) -> None:
        """Open all eyes; their tasks belong to `group`."""
        for board, doors in self._doors.items():
            group.create_task(doors.run(), name=f"{self._spec.cabinet}:doors:{board}")
        for shelf, scale in self._scales.items():
            group.create_task(scale.run(), name=f"{self._spec.cabinet}:scale:{shelf}")

    def door(self, compartment: str) -> DoorEye:
        return self._doors[self._spec.compartments[compartment].board]

    def scale(self, shelf: str) -> ScaleEye:
        return self._scales[shelf]

    def all_heard(self) -> bool:
        """Every door and every scale has spoken."""
        doors = all(self.door(c).heard(c) for c in self._spec.compartments)
        return doors and all(s.heard for s in self._scales.values())

    def powered_up(self) -> tuple[str, ...]:
        """Shelves whose scale has restarted and whose new epoch is not durable yet."""
        return tuple(shelf for shelf, eye in self._scales.items() if eye.unbooked)

    def forget_moving(self, settle_s: float) -> None:
        """Where a door is not closed, no sample counts until `settle_s` store seconds after it is."""
        for compartment, place in self._spec.compartments.items():
            if self.door(compartment).open(compartment) is not False:
                for shelf in place.shelves:
                    self._scales[shelf.shelf].disturb(self._clock.now_s() + settle_s)

    def views(self, epoch: Callable[[str], int]) -> dict[str, View]:
        """Every compartment as it is seen now. `epoch`: the durable epoch of a shelf's scale."""
        return {c: self._view(c, epoch) for c in self._spec.compartments}

    def _view(self, compartment: str, epoch: Callable[[str], int]) -> View:
        eye = self.door(compartment)
        shelves = [s.shelf for s in self._spec.compartments[compartment].shelves]
        weights = {s: self._scales[s].weight(epoch(s)) for s in shelves}
        known = {s: w for s, w in weights.items() if w is not None}
        return View(
            open=eye.open(compartment),
            fenced=eye.fenced(compartment),
            fresh=eye.fresh(compartment),
            weights=known if len(known) == len(shelves) else None,
        )
