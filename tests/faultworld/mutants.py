"""Planted bugs: each leaves one rule of the product out, as people do. The simulation must notice every one.

`python -m tests.faultworld.mutants` runs them all and prints the table of docs/simulation.md.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any
from unittest.mock import patch

import msgspec

from cloud_bridge.commands import book
from cloud_bridge.commands.verdict import Verdict
from cloud_bridge.ingest import machine as ingest_machine
from cloud_bridge.ingest import service, streams
from contracts.backoff import Backoff
from contracts.messages import Ack
from edge.commands.machine import CommandMachine
from edge.ledger import forks, ledger
from edge.ledger.store import Store
from edge.uplink import lane_runner
from edge.uplink.clock_estimate import ClockEstimator
from edge.uplink.machine import Confirm, LaneMachine
from simulators.faultworld import machines
from simulators.faultworld.generate import generate
from simulators.faultworld.world import run

MOST_SEEDS = 3000


@dataclass(frozen=True, slots=True)
class Mutant:
    """A planted bug: its name, how to plant it, and a seed near which the quick test finds it."""

    name: str
    plant: Callable[[], contextlib.AbstractContextManager[object]]
    start: int = 0


@contextlib.contextmanager
def _lane_machine(**methods: Any) -> Iterator[None]:
    with patch.object(lane_runner, "LaneMachine", type("Mutant", (LaneMachine,), methods)):
        yield


def _swap(
    target: Any, name: str, make: Callable[[Any], Any]
) -> Callable[[], contextlib.AbstractContextManager[object]]:
    """`target.name` replaced by what `make` makes of it."""
    return lambda: patch.object(target, name, make(getattr(target, name)))


# ------------------------------------------------------------------ the edge's disk


def _without_sync(connect: Any) -> Any:
    def opened(*args: Any) -> Any:
        connection = connect(*args)
        connection.execute("PRAGMA synchronous=OFF")
        return connection

    return opened


def _told_before_commit(commit: Any) -> Any:
    async def told(self: Any, transaction: Any) -> None:
        self._late = asyncio.ensure_future(commit(self, transaction))
        await asyncio.sleep(0)

    return told


def _same_moment_same_event(commit: Any) -> Any:
    async def deduped(self: Any, transaction: Any) -> None:
        now = self._stamp().time
        if transaction.records and getattr(self, "_last_time", None) == now:
            return
        self._last_time = now
        await commit(self, transaction)

    return deduped


def _freed_again(apply: Any) -> Any:
    def written(self: Any, pending: Any) -> Any:
        lane = self.lanes["ledger"]
        if lane.tail == lane.freed and lane.tail.seq:  # an empty table counts from the beginning
            less = msgspec.structs.replace(lane, tail=lane.tail._replace(seq=lane.tail.seq - 1))
            self.lanes = {**self.lanes, "ledger": less}
        return apply(self, pending)

    return written


# ------------------------------------------------------------------ the uplink


def _any_nonce(self: Any, answer: Any, now_s: float) -> Any:
    return LaneMachine.answered(self, msgspec.structs.replace(answer, nonce=self.nonce), now_s)


def _any_ack(self: Any, ack: Any, now_s: float) -> Any:
    """Either check alone catches what the other lets through; without both an old ack frees."""
    own = self.lane.hash_at(ack.watermark or 0)
    claimed = own.hex() if own else ack.hash_at_watermark
    return LaneMachine.acked(self, msgspec.structs.replace(ack, nonce=self.nonce, hash_at_watermark=claimed), now_s)


def _puback_frees(self: Any, nonce: str, last_seq: int, now_s: float) -> Any:
    return [Confirm(min(last_seq, self.lane.tail.seq)), *LaneMachine.sent(self, nonce, last_seq, now_s)]


def _goes_on_from_sent(self: Any, watermark: int, now_s: float) -> Any:
    before = self.sent_seq
    actions = LaneMachine._ready(self, watermark, now_s)
    if before <= watermark:
        return actions
    self.sent_seq, self._reading = before, False
    return [action for action in actions if isinstance(action, Confirm)]


def _standby_sends(self: Any, answer: Any, now_s: float) -> Any:
    return LaneMachine.answered(self, msgspec.structs.replace(answer, active=True), now_s)


def _sends_at_once(self: Any, now_s: float) -> Any:
    hello = list(LaneMachine.connected(self, now_s))
    return [*hello, *LaneMachine._ready(self, self.lane.freed.seq, now_s)]


def _never_goes_back(self: Any, now_s: float) -> Any:
    return () if self.state == "ready" else LaneMachine.tick(self, now_s)


def _forks_without_search(self: Any, now_s: float) -> Any:
    self._low = self._high
    return LaneMachine._bisect(self, now_s)


def _no_loss_fork(self: Any, common: int, reason: str, *rest: Any) -> Any:
    if reason == "cloud_loss":
        return LaneMachine._ready(self, common, 0.0)
    return LaneMachine._fork(self, common, reason, *rest)


def _resets_at_connect(self: Backoff, now_s: float) -> None:
    self.failures = 0
    self._up_since_s = now_s


# ------------------------------------------------------------------ the cloud


def _acked_before_commit(batch_of: Any) -> Any:
    async def acked(self: Any, place: Any, batch: Any) -> Ack:
        self._late = asyncio.ensure_future(_quiet(batch_of(self, place, batch)))
        last = batch.first_seq + len(batch.events) - 1
        return Ack(
            stream=batch.stream, nonce=batch.nonce, watermark=last, hash_at_watermark=batch.last_hash, window=2048
        )

    return acked


async def _quiet(work: Any) -> None:
    with contextlib.suppress(Exception):
        await work


def _watermark_first(write: Any) -> Any:
    def written(db: Any, held: Any, *args: Any, **kwargs: Any) -> Any:
        after = write(db, held, *args, **kwargs)
        mark = (after.cursor.watermark + 1, after.cursor.hash, held.key)
        db.execute("UPDATE streams SET watermark = ?, hash = ? WHERE born = ?", mark)
        return after

    return written


def _same_time_same_event(write: Any) -> Any:
    def time_of(raw: bytes) -> bytes:
        return bytes(raw).partition(b'"time":"')[2][:24]

    def written(db: Any, held: Any, place: Any, accepted: Any, screened: Any, **kwargs: Any) -> Any:
        times: set[bytes] = set()
        kept = []
        for link in accepted.events:
            if time_of(link.raw) not in times:
                kept.append(link)
            times.add(time_of(link.raw))
        if len(kept) < len(accepted.events):
            screened = streams.screened_of(place, held.cursor.stream, kept)
        return write(db, held, place, replace(accepted, events=tuple(kept)), screened, **kwargs)

    return written


def _believes_any_chain(decide: Any) -> Any:
    def decided(cursor: Any, batch: Any, known: Any, **kwargs: Any) -> Any:
        decision = decide(cursor, batch, known, **kwargs)
        if isinstance(decision, ingest_machine.Refuse) and decision.reason == "diverged":
            links = tuple(link for link in kwargs["links"] if link.seq > cursor.watermark)
            if links:
                return ingest_machine.Accept(links, None, links[-1].seq, links[-1].hash)
        return decision

    return decided


def _believes_parked(decide_: Any) -> Any:
    def decided(db: Any, held: Any, batch: Any, window: int, read: Any) -> Any:
        decision = decide_(db, held, batch, window, read)
        caller = sys._getframe(1).f_locals
        if "waited" in caller and isinstance(decision, ingest_machine.Refuse):
            links = tuple(link for link in read.links if link.seq > held.cursor.watermark)
            if links:
                return ingest_machine.Accept(links, None, links[-1].seq, links[-1].hash)
        return decision

    return decided


def _silent_gap(decide: Any) -> Any:
    def decided(cursor: Any, batch: Any, known: Any, **kwargs: Any) -> Any:
        decision = decide(cursor, batch, known, **kwargs)
        return replace(decision, gap=None) if isinstance(decision, ingest_machine.Accept) else decision

    return decided


def _everybody_is_active(_take_lease: Any) -> Any:
    return lambda _db, _place, instance, _now_ms: instance


# ------------------------------------------------------------------ commands


def _forgets_what_was_begun(started: Any) -> Any:
    return lambda self, rows, *rest: started(self, {i: row for i, row in rows.items() if row.state != "intent"}, *rest)


def _does_not_wait(advance: Any) -> Any:
    return lambda self, run, facts: advance(self, run, replace(facts, watermark=2**53))


def _asks_once(not_now: Any) -> Any:
    return lambda self, run, facts: not_now(self, run, facts) if run.state == "held" else ""


def _hopeful_clock(latest_ms: Any) -> Any:
    def least(self: Any, *, now_s: float) -> float | None:
        if not self._samples:
            return None
        return float(latest_ms(self, now_s=now_s) - 2 * max(sample.rtt_ms for sample in self._samples))

    return least


def _silence_is_no(verdict: Any) -> Any:
    def judged(words: Any, **kwargs: Any) -> Verdict:
        found = verdict(words, **kwargs)
        return Verdict("refused", found.word) if found.state == "unknown" else found

    return judged


MUTANTS: tuple[Mutant, ...] = (
    Mutant("ack before the fsync (ledger: synchronous=OFF)", _swap(machines, "connect", _without_sync)),
    Mutant("append returns before its commit", _swap(ledger.Ledger, "commit", _told_before_commit)),
    Mutant("edge takes two events of one moment for one", _swap(ledger.Ledger, "commit", _same_moment_same_event)),
    Mutant("a sequence is used again once it was freed", _swap(Store, "_apply", _freed_again)),
    Mutant("fork leaves the tail behind", _swap(forks, "_chunks", lambda _: lambda *_args: iter(()))),
    Mutant("hello answer: nonce not checked", lambda: _lane_machine(answered=_any_nonce), 38),
    Mutant("ack: neither nonce nor hash is looked at", lambda: _lane_machine(acked=_any_ack), 280),
    Mutant("PUBACK frees", lambda: _lane_machine(sent=_puback_frees)),
    Mutant("goes back to what was sent, not to the watermark", lambda: _lane_machine(_ready=_goes_on_from_sent)),
    Mutant("never goes back", lambda: _lane_machine(tick=_never_goes_back)),
    Mutant("sends before the hello is answered", lambda: _lane_machine(connected=_sends_at_once)),
    Mutant("standby instance sends", lambda: _lane_machine(answered=_standby_sends)),
    Mutant("forks where it stands, without a search", lambda: _lane_machine(_bisect=_forks_without_search)),
    Mutant("takes the cloud's loss for normal", lambda: _lane_machine(_fork=_no_loss_fork)),
    Mutant("back-off is reset at connect", lambda: patch.object(Backoff, "up", _resets_at_connect)),
    Mutant("watermark is told before the commit", _swap(service.Ingest, "batch", _acked_before_commit)),
    Mutant("watermark runs ahead of the events", _swap(streams, "write", _watermark_first)),
    Mutant("cloud dedupes by time", _swap(streams, "write", _same_time_same_event)),
    Mutant("overlap is not compared", _swap(service, "decide", _believes_any_chain), 90),
    Mutant("a parked batch is believed because it waited", _swap(service, "_decide", _believes_parked), 90),
    Mutant("a gap is not recorded", _swap(service, "decide", _silent_gap)),
    Mutant("origin is not looked at: a fork counts again", _swap(streams, "_repeated", lambda _: lambda *_a: ()), 250),
    Mutant("every instance is the active one", _swap(service, "take_lease", _everybody_is_active)),
    Mutant("a command's id is not remembered", _swap(CommandMachine, "_settle", lambda _: lambda *_a: None), 115),
    Mutant(
        "what a crashed process had begun is done again", _swap(CommandMachine, "started", _forgets_what_was_begun), 115
    ),
    Mutant(
        "a command does not wait for the watermark over its intent",
        _swap(CommandMachine, "_advance", _does_not_wait),
        140,
    ),
    Mutant("expiry is asked at the receipt only", _swap(CommandMachine, "_not_now", _asks_once)),
    Mutant(
        "expiry by the least that the cloud's clock may show", _swap(ClockEstimator, "latest_ms", _hopeful_clock), 168
    ),
    Mutant("a command that nobody saw end counts as refused", _swap(book, "verdict", _silence_is_no)),
)


@dataclass(frozen=True, slots=True)
class Caught:
    """How a planted bug was noticed: after how many seeds, at which one, by which rule."""

    seeds: int
    seed: int
    rule: str


_CLUMSY = ("TypeError", "AttributeError", "NameError")


def hunt(mutant: Mutant, *, start: int, most: int) -> Caught | None:
    """Run seeds from `start` on until the planted bug breaks a rule; None if `most` of them do not notice.

    Raises AssertionError when the bug does not fit the product any more and falls over itself: that proves nothing.
    """
    with mutant.plant():
        for number in range(most):
            violation = run(generate(start + number)).violation
            if violation is not None:
                assert not any(clumsy in violation.detail for clumsy in _CLUMSY), f"{mutant.name}: {violation}"
                return Caught(number + 1, start + number, violation.rule)
    return None


def main() -> int:
    """Print the table; 1 if a planted bug was not noticed."""
    print("| planted bug | seeds until noticed | broken rule |\n|---|---|---|")
    missed = 0
    for mutant in MUTANTS:
        began_s = time.monotonic()
        caught = hunt(mutant, start=0, most=MOST_SEEDS)
        missed += caught is None
        print(
            f"| {mutant.name} | {caught.seeds if caught else f'not in {MOST_SEEDS}'} | "
            f"{f'`{caught.rule}`' if caught else ''} |",
            flush=True,
        )
        print(
            f"  {mutant.name}: seed {caught.seed if caught else '-'}, {time.monotonic() - began_s:.1f} s",
            file=sys.stderr,
        )
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
