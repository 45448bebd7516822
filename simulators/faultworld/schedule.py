"""A schedule: everything that happens in a run and is nobody's reaction, as one explicit list that can be cut down.

A seed makes a schedule; the schedule makes the run. Removing entries gives another sound schedule, which is how a
failure is made small.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

DeedKind = Literal["ledger", "telemetry", "command"]
FaultKind = Literal[
    "kill", "kill_at", "power", "power_at", "stop", "clock", "full", "eio", "image", "restore", "clone", "lease",
    "broker", "drop", "cut", "kick", "worker_kill", "worker_kill_at", "worker_full", "worker_eio",
    "cloud_power_at", "cloud_image", "cloud_restore",
]  # fmt: skip
SlipKind = Literal["lose", "lie", "twice", "late", "puback"]


class Deed(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Somebody in store `store` does something that becomes `count` events at once, `size` characters each.

    A command is issued in the cloud and expires after `ttl_s`.
    """

    at_s: float
    store: int
    what: DeedKind
    count: int = 1
    size: int = 0
    ttl_s: float = 0.0


class Fault(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """At `at_s` something breaks. `who` counts machines, workers or links; what `seconds` and `n` say depends on
    `kind` (see World)."""

    at_s: float
    kind: FaultKind
    who: int = 0
    seconds: float = 0.0
    n: int = 0


class SlipAt(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What happens to the `n`-th message of a link."""

    link: str
    n: int
    kind: SlipKind
    extra_s: float = 0.0


class Schedule(msgspec.Struct, frozen=True, kw_only=True):
    """One run. With `shared` each message goes to one bridge, else to all of them. `seed` still decides what is no
    fault: how long messages take, jitter, identities."""

    seed: int
    stores: int
    workers: int
    end_s: float
    latency_s: float
    progress_timeout_s: float
    telemetry_rows: int
    window: int
    shared: bool = True
    deeds: tuple[Deed, ...] = ()
    faults: tuple[Fault, ...] = ()
    slips: tuple[SlipAt, ...] = ()

    @property
    def first_s(self) -> float:
        """When the first entry is due; infinity without any."""
        times_s = [*(deed.at_s for deed in self.deeds), *(fault.at_s for fault in self.faults)]
        return min(times_s, default=float("inf"))

    @property
    def size(self) -> int:
        """How many entries may be taken out."""
        return len(self.deeds) + len(self.faults) + len(self.slips)


def save(schedule: Schedule, path: Path) -> None:
    """Write a schedule that `load` reads, one entry a line."""
    head = msgspec.to_builtins(msgspec.structs.replace(schedule, deeds=(), faults=(), slips=()))
    parts = [f'"{key}": {msgspec.json.encode(value).decode()}' for key, value in head.items() if key not in _LISTS]
    for name in _LISTS:
        rows = ",\n  ".join(msgspec.json.encode(entry).decode() for entry in getattr(schedule, name))
        parts.append(f'"{name}": [\n  {rows}\n ]' if rows else f'"{name}": []')
    path.write_text("{" + ",\n ".join(parts) + "}\n")


def load(path: Path) -> Schedule:
    """Read a schedule. Raises msgspec.ValidationError, OSError."""
    return msgspec.json.decode(path.read_bytes(), type=Schedule)


_LISTS = ("deeds", "faults", "slips")
