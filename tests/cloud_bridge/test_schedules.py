"""Random schedules of one lane against a reference that knows the two histories and no hashes.

Two boxes share a history up to sequence C and differ after it (a restored disk). Their batches are dropped, doubled,
reordered, corrupted and parked; workers die before or after the commit. After every step the database must hold what
the reference says. Planted faults must be caught by the same schedules.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from types import SimpleNamespace

import msgspec
import pytest

from cloud_bridge.ingest import machine, service
from cloud_bridge.storage import open_writer
from contracts.messages import Batch
from tests.cloud_bridge.postgres import Emptied
from tests.cloud_bridge.wire import LEDGER, STREAM, TELEMETRY, Chain, database, mutated

WINDOW = 9
COMMON = 6
TAIL = 24
SCHEDULES = 60
SCHEDULES_ON_A_SERVER = 15
STEPS = 45


@dataclass(frozen=True)
class Sent:
    """A batch and what the reference knows of it."""

    history: str
    start: int
    first: int
    last: int
    sound: bool
    batch: Batch


@dataclass
class Reference:
    """What the cloud must hold, told by labels: `held[n-1]` is (history, known), known False inside a gap."""

    lane: str
    held: list[tuple[str, bool]] = field(default_factory=list)
    gaps: list[tuple[int, int]] = field(default_factory=list)
    parked: list[Sent] = field(default_factory=list)

    def same(self, n: int, history: str) -> bool:
        if not 1 <= n <= len(self.held):
            return True
        label, known = self.held[n - 1]
        return n <= COMMON or not known or label == history

    def take(self, sent: Sent) -> str:
        """ "stored", "parked", "ignored" or "refused"."""
        gap = sent.first > sent.start
        if not sent.sound or (gap and self.lane == "ledger"):
            return "refused"
        if sent.start > len(self.held) + 1:
            if sent.last > len(self.held) + WINDOW:
                return "ignored"
            if all(sent.batch != other.batch for other in self.parked):
                self.parked.append(sent)
            return "parked"
        if not self.advance(sent):
            return "refused"
        while ready := [p for p in self.parked if p.start <= len(self.held) + 1]:
            chosen = min(ready, key=lambda p: (p.start, p.last))
            self.parked.remove(chosen)
            self.advance(chosen)
        return "stored"

    def advance(self, sent: Sent) -> bool:
        gap_end = sent.first - 1
        points = [sent.start - 1, *range(sent.first, sent.last + 1), *([gap_end] if gap_end >= sent.start else [])]
        if not all(self.same(n, sent.history) for n in points):
            return False
        before = len(self.held)
        if gap_end >= sent.start and gap_end > before and sent.last > before:
            self.gaps.append((max(sent.start, before + 1), gap_end))
        self.held += [(sent.history, n >= gap_end) for n in range(before + 1, sent.last + 1)]
        for n in range(before + 1, min(gap_end, sent.last) + 1):
            self.held[n - 1] = (sent.history, n == gap_end)
        return True


class MismatchError(AssertionError):
    pass


def histories(place) -> dict[str, Chain]:
    ours = Chain(STREAM, place).grow(TAIL)
    theirs = Chain(STREAM, place)
    for raw in ours.raws[:COMMON]:
        theirs.add(raw)
    while len(theirs.raws) < TAIL:
        theirs.add(b'{"theirs":%d}' % len(theirs.raws))
    return {"ours": ours, "theirs": theirs}


def some_batch(rng: Random, chains: dict[str, Chain], lane: str, watermark: int, odd: bool) -> Sent:
    history = "theirs" if odd and rng.random() < 0.3 else "ours"
    start = min(TAIL - 1, max(1, watermark + 1 + rng.choice((-4, -2, -1, 0, 0, 0, 0, 1, 2, 3, 5, 8))))
    gap = (lane == "telemetry" or rng.random() < 0.05) and rng.random() < 0.35
    first = min(TAIL, start + rng.randint(1, 3)) if gap else start
    last = min(TAIL, first - 1 + rng.randint(0 if gap else 1, 4))
    batch = chains[history].batch(first, last, gap=(start, first - 1) if gap else None)
    sound = rng.random() > 0.05
    if not sound:
        batch = msgspec.structs.replace(batch, last_hash="ab" * 32)
    return Sent(history, start, first, last, sound, batch)


def run(seed: int, engine, lane: str, fresh=database) -> set[str]:
    """One schedule through `engine.apply_batch`. Raises MismatchError when the database and the reference part ways."""
    rng, place = Random(seed), {"ledger": LEDGER, "telemetry": TELEMETRY}[lane]
    chains, reference, db = histories(place), Reference(lane), fresh()
    network: list[Sent] = []
    seen: set[str] = set()
    odd = rng.random() < 0.5

    def deliver(sent: Sent, commit: bool = True) -> None:
        db.execute("BEGIN")
        outcome = engine.apply_batch(db, place, sent.batch, now_ms=1, window=WINDOW)
        if not commit:  # the worker died: nothing of it may remain, and nobody was answered
            db.execute("ROLLBACK")
        else:
            db.execute("COMMIT")
            expected = reference.take(sent)
            seen.add(expected)
            check(bool(outcome.refused) == (expected == "refused"), f"{sent}: {outcome.refused!r} but {expected}")
            # what an acknowledgement says is what stands in the database
            stored = db.one("SELECT watermark, hash FROM streams")
            check(stored == (outcome.cursor.watermark, outcome.cursor.hash), "the answer differs from the database")
        compare()

    def compare() -> None:
        watermark = db.rows("SELECT coalesce(max(watermark), 0) FROM streams")[0][0]
        check(watermark == len(reference.held), f"watermark {watermark}, not {len(reference.held)}")
        gaps = db.rows("SELECT first, last FROM gaps ORDER BY first")
        check(gaps == reference.gaps, f"gaps {gaps}, not {reference.gaps}")
        holes = {n for first, last in gaps for n in range(first, last + 1)}
        stored = db.rows("SELECT seq, raw, hash FROM events ORDER BY seq")
        expected = [
            (n, chains[label].raws[n - 1], chains[label].hashes[n])
            for n, (label, _) in enumerate(reference.held, 1)
            if n not in holes
        ]
        check(stored == expected, "events differ")

    for _ in range(STEPS):
        dice = rng.random()
        if dice < 0.5 or not network:
            network.append(some_batch(rng, chains, lane, len(reference.held), odd))
        elif dice < 0.85:
            deliver(network.pop(rng.randrange(len(network))))  # any order
        elif dice < 0.9:
            deliver(rng.choice(network))  # doubled
        elif dice < 0.95:
            network.pop(rng.randrange(len(network)))  # lost
        else:
            deliver(rng.choice(network), commit=False)
    if all(label == "ours" or n <= COMMON for n, (label, _) in enumerate(reference.held, 1)):
        # faults stop: going back to the watermark delivers the rest
        while len(reference.held) < TAIL:
            first = len(reference.held) + 1
            last = min(TAIL, first + 3)
            deliver(Sent("ours", first, first, last, sound=True, batch=chains["ours"].batch(first, last)))
            if any(label == "theirs" and n > COMMON for n, (label, _) in enumerate(reference.held, 1)):
                break  # a parked batch of the other box was next: the edge will fork
    db.close()
    return seen


def check(holds: bool, what: str) -> None:
    if not holds:
        raise MismatchError(what)


@pytest.mark.parametrize("lane", ["ledger", "telemetry"])
def test_the_database_holds_what_the_reference_says(lane: str) -> None:
    seen = set()
    for seed in range(SCHEDULES):
        seen |= run(seed, service, lane)
    assert seen == {"stored", "parked", "ignored", "refused"}  # the schedules reach every decision


@pytest.mark.parametrize("lane", ["ledger", "telemetry"])
def test_postgresql_holds_the_same(lane: str, emptied: Emptied) -> None:
    seen = set()
    for seed in range(SCHEDULES_ON_A_SERVER):
        seen |= run(seed, service, lane, lambda: open_writer(emptied.url()))
    assert seen == {"stored", "parked", "ignored", "refused"}


MUTANTS = [
    ("no previous hash checked", "if differs(start - 1, previous):", "if False:"),
    (
        "overlap not compared",
        "if any(differs(link.seq, link.hash) for link in links[:held]):",
        "if False:",
    ),
    ("ahead stored", "if start > cursor.watermark + 1:", "if False:"),
    ("beyond the window parked", "if last <= cursor.watermark + window else", "if True else"),
    (
        "gap silent",
        "dropped = DroppedRange(first, batch.gap.last, batch.gap.reason, batch.gap.count, gap_hash)",
        "pass",
    ),
    ("gap not trimmed", "first = max(batch.gap.first, cursor.watermark + 1)", "first = batch.gap.first"),
    ("gap in the ledger", 'if cursor.lane != "telemetry":', "if False:"),
    ("gap hash not compared", "elif differs(batch.gap.last, gap_hash):", "elif False:"),
    ("last hash not checked", "if link_hash != bytes.fromhex(batch.last_hash):", "if False:"),
    (
        "overlap stored again",
        "tuple(links[held:]), dropped",
        "tuple(links), dropped",
    ),
]


def caught(engine) -> bool:
    for lane in ("ledger", "telemetry"):
        for seed in range(SCHEDULES):
            try:
                run(seed, engine, lane)
            except Exception:  # noqa: BLE001 - a mutant may also break the database's own constraints
                return True
    return False


@pytest.mark.parametrize(("old", "new"), [m[1:] for m in MUTANTS], ids=[m[0] for m in MUTANTS])
def test_a_planted_fault_of_the_machine_is_caught(old: str, new: str, monkeypatch: pytest.MonkeyPatch) -> None:
    mutant = mutated(machine, old, new)

    def decide(cursor, batch, known, *, window, links):
        decision = mutant.decide(cursor, batch, known, window=window, links=links)
        plain = {name: getattr(decision, name) for name in decision.__dataclass_fields__}
        return getattr(machine, type(decision).__name__)(**plain)  # its classes are twins of the real ones

    monkeypatch.setattr(service, "decide", decide)
    assert caught(service)


def test_believing_a_batch_because_it_waited_is_caught() -> None:
    blind = mutated(machine, "if differs(start - 1, previous):", "if False:")
    mutant = mutated(
        service, "again = _decide(db, held, waited, window, read)", "again = _blind(held.cursor, waited, window)"
    )

    def believe(cursor, waited, window):
        decision = blind.decide(cursor, waited, {}, window=window)
        return machine.Accept(decision.events, decision.gap, decision.watermark, decision.hash)

    mutant._blind = believe
    assert caught(SimpleNamespace(apply_batch=mutant.apply_batch))
