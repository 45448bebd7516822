"""Every sentence of wire.md's part on commands, one test each; the sentence stands in the test's first line."""

from __future__ import annotations

import pytest

from contracts.messages import Command
from edge.commands.machine import BURST, KEEP_MS, MAX_OPEN, MAX_ROWS, Look
from edge.commands.records import Result, Row
from tests.edge_commands.world import FAR_S, S2, T0_MS, Disk, Store, order

MOVES = "device.restart"
CLOSES = "session.revoke"
ASKS = "telemetry.flush"


# ------------------------------------------------------------------ believing


def test_until_the_hello_is_answered_no_command_is_used():
    """Until the current hello is answered the edge uses no command; what came before waits for the answer."""
    store = Store()
    store.link = "silent"
    store.receive(order())
    store.wait(1)
    assert (store.said(), store.effects) == ([], [])
    store.link = "ready"
    store.look()
    assert store.effects == ["c1"]


def test_what_was_never_believed_goes_with_its_connection():
    """Nothing that was said under an old hello counts: the bridge says it again after the next one."""
    store = Store()
    store.link = "silent"
    store.receive(order())
    store.link = "off"
    store.look()
    store.link = "ready"
    store.look()
    assert (store.said(), store.machine.counters["dropped_link_lost"]) == ([], 1)
    store.receive(order())
    assert store.effects == ["c1"]


@pytest.mark.parametrize("before", ["ready", "silent"])
def test_a_standby_instance_ignores_commands(before):
    """A standby instance ignores commands, those that it holds already too; not even a closer counts."""
    store = Store()
    store.link = "silent" if before == "silent" else "standby"
    store.receive(order(kind=CLOSES))
    store.link = "standby"
    store.look()
    store.link = "ready"
    store.look()
    assert (store.said(), store.closed, store.machine.counters["dropped_standby"]) == ([], [], 1)


# ------------------------------------------------------------------ intent, effect, outcome


@pytest.mark.parametrize("kind", [ASKS, MOVES, CLOSES])
def test_the_intent_is_committed_before_the_effect_and_the_outcome_after_it(kind):
    """The edge commits the intent before the effect and the outcome after it, in the ledger."""
    store = Store()
    store.receive(order(kind=kind), commit=False)
    assert (store.said(), store.effects) == ([], [])
    while store.todo:
        store.step()
    assert store.said() == ["accepted"]
    store.confirm()
    assert store.effects == ["c1"]
    store.end("c1", Result("failed", "no_reply"))
    assert store.said() == ["accepted", "failed no_reply"]
    assert not store.machine.open


def test_a_repeated_id_answers_with_its_first_outcome_and_moves_nothing():
    """A repeated id answers with its first outcome (which stands in the ledger) and moves nothing."""
    store = Store()
    for _ in range(3):
        store.receive(order())  # also while it is under way
    store.end("c1")
    store.receive(order())
    assert (store.said(), store.effects) == (["accepted", "done ok"], ["c1"])


def test_a_repeat_after_a_fork_says_the_first_outcome_once_more_and_moves_nothing():
    """The outcome may be lost with the stream that was left: it is said once in the new one, in the same words."""
    store = Store()
    store.receive(order())
    store.end("c1", Result("failed", "no_reply", {"door_1": "open"}))
    store.fork()
    for _ in range(3):
        store.receive(order())
        store.receive(order(stream=S2))
    assert (store.said(), store.effects) == (["accepted", "failed no_reply", "failed no_reply"], ["c1"])
    assert store.disk.events[-1][0] == S2
    assert store.disk.events[-1][1].result == {"door_1": "open"}


def test_the_table_of_ids_outlives_freed_events():
    """The table of ids outlives freed events: it is state, and a restart finds it."""
    store = Store()
    store.receive(order())
    store.end("c1")
    store.disk.events.clear()
    store.boot()
    store.receive(order())
    assert (store.said(), store.effects) == ([], ["c1"])


def test_a_refusal_is_an_outcome_too():
    """A repeated id that was refused stays refused, though nothing would stand against it now."""
    store = Store()
    store.stands_against[MOVES] = "busy"
    store.receive(order(kind=MOVES))
    store.stands_against.clear()
    store.receive(order(kind=MOVES))
    store.confirm()
    assert (store.said(), store.effects) == (["refused busy"], [])


# ------------------------------------------------------------------ hardware


def test_what_moves_hardware_waits_for_the_watermark():
    """A command that moves hardware takes effect only after the watermark covers its intent."""
    store = Store()
    store.receive(order(kind=MOVES))
    store.receive(order("c2", ASKS))
    store.watermark = 0
    store.wait(1)
    assert store.effects == ["c2"]  # what moves nothing does not wait
    store.link, store.watermark = "silent", 1
    store.look()
    assert store.effects == ["c2"]  # a watermark counts only under an answered hello
    store.link = "ready"
    store.look()
    assert store.effects == ["c2", "c1"]


def test_its_expiry_is_checked_again_right_before_the_effect():
    """…and its expiry is checked again right before the effect."""
    store = Store()
    store.receive(order(kind=MOVES, ttl_s=10))
    store.now_s, store.watermark = 10.5, 1
    store.look()
    assert (store.said(), store.effects) == (["accepted", "refused expired"], [])


def test_only_one_thing_moves_at_a_time():
    """Two restarts at once could take a cabinet's lock and scale away together."""
    store = Store()
    store.receive(order("c1", MOVES))
    store.receive(order("c2", MOVES))
    store.confirm()
    assert store.effects == ["c1"]
    store.end("c1")
    store.look()
    assert store.effects == ["c1", "c2"]


@pytest.mark.parametrize(
    ("error_s", "ttl_s", "runs"),
    [
        (0.0, 10, True),
        (9.0, 10, True),  # the latest that the cloud's clock can show is still before the expiry
        (11.0, 10, False),  # it may be past it
        (None, 10, False),  # the clock is not known
    ],
)
def test_expiry_is_judged_by_the_upper_bound_of_the_clocks_error(error_s, ttl_s, runs):
    """Expired by the upper bound of the clock's error, or clock unknown for what moves hardware: refused."""
    store = Store()
    store.error_s = error_s
    store.receive(order(kind=MOVES, ttl_s=ttl_s))
    store.confirm()
    assert (store.effects == ["c1"]) is runs
    if not runs:
        assert store.said() == ["refused clock_unknown" if error_s is None else "refused expired"]


@pytest.mark.parametrize("kind", [ASKS, CLOSES])
def test_what_moves_nothing_needs_no_clock(kind):
    """With an unknown clock its age since the receipt is all there is, and it suffices."""
    store = Store()
    store.error_s, store.link = None, "silent"
    store.receive(order("c1", kind, ttl_s=10))
    store.receive(order("c2", kind, ttl_s=3))
    store.now_s, store.link = 5, "ready"
    store.look()
    assert (store.effects, store.said("c2")) == (["c1"], ["refused expired"])


@pytest.mark.parametrize("kind", [ASKS, MOVES, CLOSES])
def test_its_age_since_the_receipt_counts_too(kind):
    """A clock that went back must not give a command a second life: its own age ends it."""
    store = Store()
    store.link = "silent"
    store.receive(order(kind=kind, ttl_s=10))
    store.now_s, store.error_s, store.link = 11, -3600.0, "ready"
    store.look()
    assert (store.said(), store.effects, store.closed) == (["refused expired"], [], [])


def test_a_copy_has_only_what_is_left_of_its_life():
    """What the bridge says again after a hello has the rest of the life, not a new one."""
    store = Store()
    store.error_s, store.link = -3600.0, "silent"
    store.receive(order(ttl_s=60, left_s=2))
    store.now_s, store.link = 3, "ready"
    store.look()
    assert store.said() == ["refused expired"]


# ------------------------------------------------------------------ crashes and forks


@pytest.mark.parametrize("kind", [ASKS, MOVES, CLOSES])
def test_a_crash_in_between_ends_as_unknown_after_asking_the_device(kind):
    """A crash in between ends as `outcome: unknown` after asking the device, and is never repeated."""
    store = Store()
    store.receive(order(kind=kind))
    store.confirm()
    store.boot()
    assert [(look.command, look.kind) for look in store.looks] == [("c1", kind)]
    assert isinstance(store.looks[0], Look)
    assert store.said() == ["accepted", "unknown door_closed"]
    store.receive(order(kind=kind))
    store.boot()
    store.receive(order(kind=kind))
    store.confirm()
    assert (store.effects, store.said()) == (["c1"], ["accepted", "unknown door_closed"])


def test_after_a_fork_commands_that_name_the_old_stream_are_refused():
    """After a fork, commands that name the old stream are refused."""
    store = Store()
    store.fork()
    store.receive(order(kind=CLOSES))
    assert (store.said(), store.effects, store.closed) == (["refused other_stream"], [], [])


def test_a_fork_while_it_waits_for_its_watermark_ends_it_as_unknown():
    """The life before this disk's copy may have done it; nobody here can know."""
    store = Store()
    store.receive(order(kind=MOVES))
    store.fork()
    store.confirm()
    assert (store.said(), store.effects) == (["accepted", "unknown forked"], [])


def test_a_fork_during_the_effect_changes_nothing_about_it():
    """What was done is said in the stream that is the current one then."""
    store = Store()
    store.receive(order(kind=MOVES))
    store.confirm()
    store.fork()
    store.end("c1")
    assert (store.said(), store.disk.events[-1][0]) == (["accepted", "done ok"], S2)


# ------------------------------------------------------------------ what the store says


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (order(kind="compartment.open"), "unknown_type"),
        (order(kind=CLOSES, args={"compartment": "T1-door"}), "bad_args"),
        (order(kind=CLOSES, args={}), "bad_args"),
        (order(kind=CLOSES, args={"cabinet": "T1", "store": "s001"}), "bad_args"),
        (order(kind=MOVES, args={"device": "../etc"}), "bad_args"),
        (order(kind=ASKS, args={"force": 1}), "bad_args"),
        (order(kind=ASKS, ttl_s=FAR_S + 2 * KEEP_MS / 1000), "expiry_too_far"),  # its row would be kept for ever
        (order(kind=ASKS, ttl_s=-1, left_s=0), "expired"),
    ],
)
def test_what_is_no_order_is_refused_with_its_reason(command: Command, reason):
    """Known type, arguments by its schema, a life that ends: else refused, and that is an outcome."""
    store = Store()
    store.receive(command)
    assert (store.said(), store.effects, store.closed) == ([f"refused {reason}"], [], [])


def test_busy_before_the_receipt_or_before_the_effect():
    """What stands against it is asked at the receipt and right before the effect."""
    store = Store()
    store.receive(order(kind=MOVES))
    store.stands_against[MOVES] = "busy"  # a session has begun meanwhile
    store.confirm()
    assert (store.said(), store.effects) == (["accepted", "refused busy"], [])


# ------------------------------------------------------------------ closers, full disks


def test_a_closer_closes_at_once_even_if_the_disk_is_full():
    """A revoke works in memory at once even if the disk is full, and is durable as soon as it can be."""
    store = Store()
    store.full = True
    store.receive(order(kind=CLOSES))
    assert (store.closed, store.said()) == (["c1"], [])
    for _ in range(3):
        store.wait(1)
    store.full = False
    store.wait(1)
    store.end("c1")
    assert (store.closed, store.said()) == (["c1"], ["accepted", "done ok"])  # closed once: it may be lifted by now


def test_an_intent_that_does_not_fit_has_no_effect():
    """No intent, no effect; and one whose time is over meanwhile is refused."""
    store = Store()
    store.full = True
    store.receive(order(ttl_s=10))
    store.wait(1)
    store.wait(10)
    assert store.effects == []
    store.full = False
    store.wait(1)
    assert (store.said(), store.effects) == (["refused expired"], [])


def test_an_outcome_that_does_not_fit_is_tried_until_it_does():
    """The effect is not repeated for it."""
    store = Store()
    store.receive(order())
    store.full = True
    store.end("c1")
    for _ in range(5):
        store.wait(1)
    store.receive(order())
    assert store.said() == ["accepted"]
    store.full = False
    store.wait(1)
    assert (store.said(), store.effects) == (["accepted", "done ok"], ["c1"])


# ------------------------------------------------------------------ caps


def test_the_queue_is_capped_and_a_closer_still_finds_room():
    """Every queue has a cap, every drop is counted; a flood of other orders keeps no revoke out."""
    store = Store()
    store.link = "silent"
    for n in range(MAX_OPEN + 3):
        store.receive(order(f"q{n}", MOVES))
    assert store.machine.counters["dropped_queue_full"] == 3
    store.receive(order("close", CLOSES))
    for n in range(2 * MAX_OPEN):
        store.receive(order(f"r{n}", CLOSES))
    assert len(store.machine.open) == 2 * MAX_OPEN
    store.link = "ready"
    store.look()
    assert "close" in store.closed


def test_orders_are_capped_in_rate_and_closers_have_their_own():
    """So many at once, then one in some seconds; what is too fast leaves no word and is counted."""
    store = Store()
    for n in range(BURST + 5):
        store.receive(order(f"c{n}", args={"bad": 1}))
    assert store.machine.counters["dropped_too_fast"] == 5
    assert len(store.disk.rows) == BURST
    store.receive(order("close", CLOSES))
    assert store.closed == ["close"]
    store.wait(5)
    store.receive(order("later"))
    assert store.effects == ["close", "later"]


def test_the_table_is_bounded_and_forgets_only_what_is_a_day_past_its_expiry():
    """Bounded by expiry and a day; a forgotten id is refused all the same, for it carries its own expiry."""
    store = Store()
    store.receive(order("old", ttl_s=60))
    store.end("old")
    store.wait(60 + KEEP_MS / 1000 - 1)
    store.receive(order("new", at_s=store.now_s))
    store.end("new")
    assert set(store.disk.rows) == {"old", "new"}
    store.wait(2)
    store.receive(order("newer", at_s=store.now_s))
    store.end("newer")
    assert set(store.disk.rows) == {"new", "newer"}
    store.receive(order("old", ttl_s=60))
    assert store.effects == ["old", "new", "newer"]
    assert store.said("old")[-1] == "refused expired"


def test_a_forgotten_id_is_refused_with_an_unknown_clock_too():
    """The floor: the greatest expiry that was forgotten survives a restart."""
    store = Store()
    store.receive(order("old", CLOSES, ttl_s=60))
    store.end("old")
    store.wait(61 + KEEP_MS / 1000)
    store.receive(order("new", at_s=store.now_s))
    store.end("new")
    assert (set(store.disk.rows), store.disk.floor_ms) == ({"new"}, T0_MS + 60_000)
    store.error_s = None
    store.boot()
    store.receive(order("old", CLOSES, ttl_s=60))
    assert (store.said("old")[-1], store.closed) == ("refused expired", ["old"])


def test_a_full_table_takes_no_more():
    """It never forgets what may come again: it takes nothing new, and counts that."""
    rows = {f"r{n}": Row(state="done", kind=ASKS, stream=S2, expires_at=T0_MS + 1000) for n in range(MAX_ROWS)}
    store = Store(Disk(rows=rows))
    store.receive(order())
    assert (store.said(), store.machine.counters["dropped_table_full"]) == ([], 1)
