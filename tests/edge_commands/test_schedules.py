"""Random schedules against the machine of commands, and planted faults that they must find."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.commands import machine
from edge.commands.machine import Append, CommandMachine, Effect, Look
from tests.edge_commands.schedules import OPS, World, schedule

SEEDS = 1500


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(OPS), st.integers(0, 999)), max_size=60))
def test_at_most_once_never_late_and_always_an_end(ops):
    """At most once, never after the expiry, an intent before every effect, an outcome after every intent."""
    World().run(ops)


@pytest.mark.parametrize("seed", range(150))
def test_the_same_for_long_schedules(seed):
    World().run(schedule(seed, 250))


# ------------------------------------------------------------------ planted faults


def _no_dedupe(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(CommandMachine, "_settle", lambda _self, _append: None)


def _retry_after_crash(patch: pytest.MonkeyPatch) -> None:
    good = CommandMachine.started

    def started(self, rows, floor_ms, facts):
        return [
            Effect(action.command, action.kind, action.args) if isinstance(action, Look) else action
            for action in good(self, rows, floor_ms, facts)
        ]

    patch.setattr(CommandMachine, "started", started)


def _no_watermark(patch: pytest.MonkeyPatch) -> None:
    good = CommandMachine._advance
    patch.setattr(CommandMachine, "_advance", lambda self, run, facts: good(self, run, replace(facts, watermark=10**9)))


def _no_recheck(patch: pytest.MonkeyPatch) -> None:
    good = CommandMachine._not_now
    patch.setattr(
        CommandMachine, "_not_now", lambda self, run, facts: "" if run.state != "held" else good(self, run, facts)
    )


def _no_expiry(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(CommandMachine, "_expired", lambda _self, _run, _facts: False)


def _middle_of_the_clock(patch: pytest.MonkeyPatch) -> None:
    """Expiry by a clock that may run behind the cloud's."""
    good = CommandMachine._expired

    def expired(self, run, facts):
        early = None if facts.latest_ms is None else facts.latest_ms - 5000.0
        return good(self, run, replace(facts, latest_ms=early))

    patch.setattr(CommandMachine, "_expired", expired)


def _unknown_clock_moves(patch: pytest.MonkeyPatch) -> None:
    good = CommandMachine._not_now

    def not_now(self, run, facts):
        why = good(self, run, facts)
        return "" if why == "clock_unknown" else why

    patch.setattr(CommandMachine, "_not_now", not_now)


def _old_stream_is_taken(patch: pytest.MonkeyPatch) -> None:
    good = CommandMachine._judge

    def judge(self, run, facts):
        run.command = replace_stream(run.command, facts.stream)
        return good(self, run, facts)

    patch.setattr(CommandMachine, "_judge", judge)


def replace_stream(command, stream):
    return msgspec.structs.replace(command, stream=stream)


def _effect_before_the_intent(patch: pytest.MonkeyPatch) -> None:
    good = CommandMachine._take

    def take(self, run, facts):
        actions = list(good(self, run, facts))
        if run.state == "intent" and not run.type.moves_hardware:
            run.state = "effect"
            return [Effect(run.id, run.type.name, run.args), *(a for a in actions if not isinstance(a, Append))]
        return actions

    patch.setattr(CommandMachine, "_take", take)


def _outcome_lost_on_a_full_disk(patch: pytest.MonkeyPatch) -> None:
    good = CommandMachine.appended

    def appended(self, command, facts, *, seq):
        if seq is None and self.open[command].state == "ending":
            del self.open[command]
            return ()
        return good(self, command, facts, seq=seq)

    patch.setattr(CommandMachine, "appended", appended)


def _forgets_at_its_expiry_without_a_floor(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(machine, "KEEP_MS", -10_000)
    good = CommandMachine._append

    def append(self, run, word, row, facts, **more):
        made = good(self, run, word, row, facts, **more)
        self.floor_ms = None
        run.appending = replace(made, floor_ms=None)
        return run.appending

    patch.setattr(CommandMachine, "_append", append)


MUTANTS: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    name.strip("_"): fault
    for name, fault in list(globals().items())
    if name.startswith("_") and callable(fault) and getattr(fault, "__module__", "") == __name__
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_planted_fault_is_found(name, monkeypatch):
    """Each of these was a way to do something twice, late, unseen or for ever."""
    MUTANTS[name](monkeypatch)
    for seed in range(SEEDS):
        try:
            World().run(schedule(seed))
        except (AssertionError, KeyError):
            return
    pytest.fail(f"{name}: {SEEDS} schedules found nothing")
