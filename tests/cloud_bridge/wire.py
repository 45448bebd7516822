"""Batches as a store would send them, and a database in memory to put them in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from cloud_bridge.ingest.streams import Place
from cloud_bridge.storage import Connection, Db, open_writer
from contracts.envelope import Origin, Stamp, encode_event, next_hash, root_hash
from contracts.event_types import EventData, PeopleCrossing, StoreOpened
from contracts.messages import Batch, Gap

STREAM = "00000000-0000-4000-8000-000000000001"
CHILD = "00000000-0000-4000-8000-000000000002"
LEDGER = Place("demo", "shop1", "ledger")
TELEMETRY = Place("demo", "shop1", "telemetry")
NONCE = "n1"


@dataclass
class Chain:
    """A store's stream: `raws[n-1]` is event n, `hashes[n]` the chain after it."""

    stream: str = STREAM
    place: Place = LEDGER
    raws: list[bytes] = field(default_factory=list)
    hashes: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.hashes = [root_hash(self.stream)]

    def add(self, raw: bytes) -> None:
        self.raws.append(raw)
        self.hashes.append(next_hash(self.hashes[-1], raw))

    def say(
        self, data: EventData, *, origin: Origin | None = None, time: str = "2026-03-02T01:00:00.000Z", **stamp: Any
    ) -> int:
        """Append one event of the vocabulary; its sequence."""
        seq = len(self.raws) + 1
        self.add(
            encode_event(
                data,
                stream=self.stream,
                seq=seq,
                source=f"/{self.place.tenant}/{self.place.store}/agent",
                stamp=Stamp(time, stamp.get("boot", "b1"), seq, stamp.get("quality", "synced")),
                origin=origin,
            )
        )
        return seq

    def grow(self, count: int) -> Chain:
        """Append `count` plain events."""
        for _ in range(count):
            if self.place.lane == "ledger":
                self.say(StoreOpened(staff_id=f"s{len(self.raws)}"))
            else:
                self.say(PeopleCrossing(line="door", direction="in"))
        return self

    def batch(self, first: int, last: int, *, gap: tuple[int, int] | None = None, **changed: Any) -> Batch:
        """Events `first` to `last`; with `gap`, the batch opens with it and `first` is `gap[1] + 1`."""
        declared = None
        if gap is not None:
            declared = Gap(
                first=gap[0], last=gap[1], reason="full", count=gap[1] - gap[0] + 1, last_hash=self.hashes[gap[1]].hex()
            )
        start = gap[0] if gap else first
        fields = {
            "stream": self.stream,
            "nonce": NONCE,
            "first_seq": first,
            "prev_hash": self.hashes[start - 1].hex(),
            "events": [msgspec.Raw(raw) for raw in self.raws[first - 1 : last]],
            "last_hash": self.hashes[last].hex(),
            "gap": declared,
        }
        return Batch(**{**fields, **changed})


def database() -> Connection:
    """An empty database in memory with the bridge's tables."""
    return open_writer(":memory:")


def rows(db: Db, stream: str = STREAM) -> list[tuple[int, bytes, bytes, str | None]]:
    return db.rows(
        "SELECT seq, raw, hash, dead FROM events WHERE stream = (SELECT born FROM streams WHERE stream = ?) ORDER BY seq",
        (stream,),
    )


def mutated(module: Any, old: str, new: str) -> Any:
    """`module` with a planted fault: its source with `old` replaced by `new`, run as a module of its own."""
    from pathlib import Path
    from types import ModuleType

    source = Path(module.__file__).read_text(encoding="utf-8")
    assert source.count(old) == 1, f"the text to mutate stands {source.count(old)} times in {module.__name__}"
    mutant = ModuleType(module.__name__)
    import sys

    original = sys.modules[module.__name__]
    sys.modules[module.__name__] = mutant  # dataclasses look their module up
    try:
        exec(compile(source.replace(old, new), module.__file__, "exec"), mutant.__dict__)
    finally:
        sys.modules[module.__name__] = original
    return mutant


Decide = Callable[..., Any]
__all__ = [
    "CHILD",
    "LEDGER",
    "NONCE",
    "STREAM",
    "TELEMETRY",
    "Chain",
    "Decide",
    "Sequence",
    "database",
    "mutated",
    "rows",
]
