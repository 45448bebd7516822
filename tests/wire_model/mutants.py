"""Bugs planted in the real code: each leaves one rule out; the replay must notice every one.

`python -m tests.wire_model.mutants` says after how many walks each is noticed, and by which difference.
"""

from __future__ import annotations

import contextlib
import json
import logging
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any
from unittest.mock import patch

import msgspec

from cloud_bridge.commands import book
from cloud_bridge.ingest import machine as ingest_machine
from cloud_bridge.ingest import service, streams
from contracts.messages import Ack
from edge.commands import machine as command_machine
from edge.commands.machine import CommandMachine
from edge.ledger import forks
from edge.ledger.store import Store
from edge.uplink import machine as uplink_machine
from edge.uplink.machine import Confirm, LaneMachine
from tests.faultworld.mutants import _asks_once, _believes_any_chain, _does_not_wait, _silent_gap
from tests.wire_model.explore import walk
from tests.wire_model.replay import RECORDED, budget_of, flags_of, run_labels
from tests.wire_model.replay import replay as carry_out

Plant = Callable[[], contextlib.AbstractContextManager[object]]


@dataclass(frozen=True, slots=True)
class Mutant:
    """A planted bug, the walks that find it, a seed near which they do; or the recorded schedule that does, where chance
    seldom comes."""

    name: str
    plant: Plant
    walks: str = "ledger"
    start: int = 0
    recorded: str = ""


@contextlib.contextmanager
def _lane_machine(**methods: Any) -> Iterator[None]:
    with patch.object(uplink_machine, "LaneMachine", type("Mutant", (LaneMachine,), methods)):
        yield


@contextlib.contextmanager
def _command_machine(**methods: Any) -> Iterator[None]:
    with patch.object(command_machine, "CommandMachine", type("Mutant", (CommandMachine,), methods)):
        yield


def _swap(target: Any, name: str, make: Callable[[Any], Any]) -> Plant:
    """`target.name` replaced by what `make` makes of it."""
    return lambda: patch.object(target, name, make(getattr(target, name)))


def _no_hash(self: Any, ack: Ack, now_s: float) -> Any:
    own = self.lane.hash_at(ack.watermark or 0)
    claimed = own.hex() if own else ack.hash_at_watermark
    return LaneMachine.acked(self, msgspec.structs.replace(ack, hash_at_watermark=claimed), now_s)


def _no_ack_nonce(self: Any, ack: Ack, now_s: float) -> Any:
    return LaneMachine.acked(self, msgspec.structs.replace(ack, nonce=self.nonce), now_s)


def _no_hello_nonce(self: Any, answer: Any, now_s: float) -> Any:
    return LaneMachine.answered(self, msgspec.structs.replace(answer, nonce=self.nonce), now_s)


def _puback_frees(self: Any, nonce: str, last_seq: int, now_s: float) -> Any:
    return [Confirm(min(last_seq, self.lane.tail.seq)), *LaneMachine.sent(self, nonce, last_seq, now_s)]


def _no_cloud_loss(self: Any, common: int, reason: str, *rest: Any) -> Any:
    if reason == "cloud_loss":
        return LaneMachine._ready(self, common, 0.0)
    return LaneMachine._fork(self, common, reason, *rest)


def _search_goes_on(self: Any, answer: Any, now_s: float) -> Any:
    return LaneMachine._probed(self, msgspec.structs.replace(answer, watermark=1 << 30), now_s)


def _latest_counts(self: Any, ack: Ack, now_s: float) -> Any:
    if self.state == "ready" and ack.nonce == self.nonce and ack.watermark is not None:
        self.watermark = self.sent_seq = ack.watermark
    return LaneMachine.acked(self, ack, now_s)


def _untrimmed_gap(decide: Any) -> Any:
    def decided(cursor: Any, batch: Any, known: Any, **kwargs: Any) -> Any:
        found = decide(cursor, batch, known, **kwargs)
        if isinstance(found, ingest_machine.Accept) and found.gap is not None:
            return replace(found, gap=replace(found.gap, first=batch.gap.first))
        return found

    return decided


def _never_parks(decide: Any) -> Any:
    def decided(*args: Any, **kwargs: Any) -> Any:
        found = decide(*args, **kwargs)
        return ingest_machine.Ignore("later") if isinstance(found, ingest_machine.Park) else found

    return decided


def _published_again(open_commands: Any) -> Any:
    """After a restore too."""

    def found(db: Any, tenant: str, store: str, now_ms: int) -> Any:
        db.execute("UPDATE commands SET lost_ms = 0")
        return open_commands(db, tenant, store, now_ms)

    return found


MUTANTS: tuple[Mutant, ...] = (
    Mutant("an ack's hash is not compared", lambda: _lane_machine(acked=_no_hash), recorded="without ack_hash"),
    Mutant("an ack's nonce is not checked", lambda: _lane_machine(acked=_no_ack_nonce)),
    Mutant("a hello answer's nonce is not checked", lambda: _lane_machine(answered=_no_hello_nonce), "untidy"),
    Mutant("PUBACK frees", lambda: _lane_machine(sent=_puback_frees)),
    Mutant("a watermark below what is freed is not noticed", lambda: _lane_machine(_fork=_no_cloud_loss), "loss"),
    Mutant(
        "the search goes on when the cloud went back",
        lambda: _lane_machine(_probed=_search_goes_on),
        recorded="without probe_restart",
    ),
    Mutant("the latest watermark counts, not the greatest", lambda: _lane_machine(acked=_latest_counts)),
    Mutant("an effect before the watermark covers its intent", lambda: _command_machine(_advance=_ahead)),
    Mutant("expiry is asked at the receipt only", lambda: _command_machine(_not_now=_once)),
    Mutant("a command's id is not remembered", lambda: _command_machine(_settle=lambda *_: None)),
    Mutant("a gap is not trimmed", _swap(service, "decide", _untrimmed_gap), "telemetry", 108),
    Mutant("a gap is not recorded", _swap(service, "decide", _silent_gap), "telemetry"),
    Mutant("an overlap is not compared", _swap(service, "decide", _believes_any_chain), "ledger"),
    Mutant("what comes ahead is not parked", _swap(service, "decide", _never_parks)),
    Mutant(
        "origin is not looked at",
        _swap(streams, "_repeated", lambda _: lambda *_a: ()),
        recorded="an event comes in two streams",
    ),
    Mutant("a fork leaves the tail behind", _swap(forks, "_chunks", lambda _: lambda *_a: iter(()))),
    Mutant("a fork says nothing", _swap(Store, "add", lambda _: lambda *_a: None)),
    Mutant("the lost range is not noted", _swap(streams, "adopt", lambda _: lambda *_a: 0), "loss image"),
    Mutant("every instance is the active one", _swap(service, "take_lease", lambda _: lambda _d, _p, i, _n: i)),
    Mutant(
        "open commands are published again after a restore", _swap(book, "open_commands", _published_again), "image"
    ),
)


def _ahead(self: Any, run: Any, facts: Any) -> Any:
    return _does_not_wait(CommandMachine._advance)(self, run, facts)


def _once(self: Any, run: Any, facts: Any) -> Any:
    return _asks_once(CommandMachine._not_now)(self, run, facts)


@dataclass(frozen=True, slots=True)
class Caught:
    """How a planted bug was noticed."""

    walks: int
    where: str
    difference: str


def hunt(mutant: Mutant, *, start: int, most: int) -> Caught | None:
    """Walk on from seed `start` (or the recorded schedule) until the bug makes a difference; None if `most` show none."""
    names = mutant.walks.split()
    with mutant.plant():
        if mutant.recorded:
            entry = json.loads(RECORDED.read_text())[mutant.recorded]
            _, why = run_labels(entry["config"], entry["steps"])
            return Caught(1, mutant.recorded, why) if why else None
        for n in range(most):
            name, seed = names[n % len(names)], start + n // len(names)
            config = "ledger" if name == "untidy" else name
            f = flags_of(config) | ({"untidy"} if name == "untidy" else set())
            _, begin, steps = walk(budget_of(config), f, seed)
            _, why = carry_out(begin, steps, config, f)
            if why:
                return Caught(n + 1, f"{name} {seed}", why)
    return None


def main() -> int:
    """Print a line a mutant; 1 if one was not noticed."""
    logging.disable(logging.CRITICAL)
    missed = 0
    for mutant in MUTANTS:
        caught = hunt(mutant, start=0, most=400)
        missed += caught is None
        said = f"{caught.walks:4d} walks ({caught.where}): {caught.difference[:110]}" if caught else "NOT noticed"
        print(f"{mutant.name:55s} {said}", flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
