"""The tables of sessions, a row a case: state and input; what is appended, what is done, where it leads."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from contracts.event_types import Line
from edge.sessions.core.cabinet import CabinetMachine
from edge.sessions.core.draft import Step
from edge.sessions.core.inputs import (
    Alarm,
    Answer,
    Authorise,
    Count,
    Decide,
    Drop,
    Frame,
    Give,
    Head,
    Lift,
    Look,
    PowerUp,
    Prove,
    Reply,
    Request,
    Revoke,
    Silent,
    Unlock,
    Unstable,
    View,
    Weight,
)
from tests.edge_sessions.bench import Bench
from tests.edge_sessions.build import NOON, START_G, cabinet, line, release

REPLY, HEAD, LOOK = "cabinet.unlock.completed", Head(), Look()
ENDED, ASKED_PAY, G = "cabinet.session.ended", "payment.requested", "gate.decision"
REVIEW, RESOLVED = "cabinet.settlement.needs_review", "cabinet.settlement.resolved"


def did(step: Step) -> list[str]:
    return [type(e).__name__ for e in step.effects]


# ------------------------------------------------------------------ tables A, B, C up to the frame


@pytest.mark.parametrize(
    ("mode", "start", "given", "before", "said", "effects", "leads"),
    [
        # asked, A at once: g1, the hold is asked for
        ("self_service", "asked", LOOK, {}, [ASKED_PAY], ["Authorise"], "paying"),
        # asked, X by the buyer
        ("self_service", "asked", Drop("s1", "cancelled"), {}, [ENDED], ["Ended"], ""),
        # asked, T_request
        ("staff_release", "asked", LOOK, {"dt": 121.0}, [ENDED], ["Ended"], ""),
        # asked, lapse: the last person has gone (written down, T14)
        ("staff_release", "asked", LOOK, {"on_duty": {}}, [G, ENDED], ["Ended"], ""),
        # asked, the clock is not known
        ("staff_release", "asked", LOOK, {"wall": None}, [G, ENDED], ["Ended"], ""),
        # asked, B waits for people
        ("staff_release", "asked", LOOK, {}, [], [], "asked"),
        # paying, held
        ("self_service", "paying", Answer("s1", "authorise", "held"), {}, ["payment.authorised"], [], "held"),
        # paying, declined
        ("self_service", "paying", Answer("s1", "authorise", "declined"), {}, ["payment.failed", ENDED], ["Ended"], ""),
        # paying, a void came first (a tombstone answers)
        ("self_service", "paying", Answer("s1", "authorise", "voided"), {}, ["payment.failed", ENDED], ["Ended"], ""),
        # paying, an answer that belongs to nothing
        ("self_service", "paying", Answer("s1", "capture", "captured"), {}, [], [], "paying"),
        # paying, T_pay: what may be held is voided
        ("self_service", "paying", LOOK, {"dt": 31.0}, [ASKED_PAY], [], ""),
        # paying, the releaser leaves though another stays
        ("staff_release", "paying", LOOK, {"on_duty": {"ben": 0.0}}, [G, ASKED_PAY], [], ""),
        # held, ready: the intent
        ("self_service", "held", LOOK, {}, ["cabinet.unlock.granted"], ["Unlock"], "intent"),
        ("staff_release", "held", LOOK, {}, [G, "cabinet.unlock.granted"], ["Unlock"], "intent"),
        # held, D not ready: the door is not known
        ("self_service", "held", LOOK, {"dead": True}, [], [], "held"),
        # held, D not ready: the last poll is too old
        ("self_service", "held", LOOK, {"fresh": False}, [], [], "held"),
        # held, D not ready: the weight moves
        ("self_service", "held", LOOK, {"stable": False}, [], [], "held"),
        # held, T_held
        ("self_service", "held", LOOK, {"dt": 61.0, "dead": True}, [ASKED_PAY], [], ""),
        # held, B: the release has expired; staff may release again
        ("staff_release", "held", LOOK, {"dt": 61.0}, [G, ASKED_PAY], [], ""),
        ("staff_release", "held", LOOK, {"on_duty": {"ben": 0.0}}, [G], [], "held"),
        # held, the proof is too old
        (
            "staff_release",
            "held",
            LOOK,
            {"dt": 601.0, "on_duty": {"anna": 0.0}},
            [G, G, "age.check.expired", ASKED_PAY],
            [],
            "",
        ),
        # held, X by staff
        ("staff_release", "held", Drop("s1", "refused"), {}, [ASKED_PAY], [], ""),
        # intent, head of the queue: the frame; nothing is appended between guard and bytes
        ("self_service", "intent", HEAD, {}, [], ["Frame"], "sent"),
        ("staff_release", "intent", HEAD, {}, [], ["Frame"], "sent"),
        # intent, g3 fails: no frame
        ("staff_release", "intent", HEAD, {"on_duty": {}}, [], [], "intent"),
        ("staff_release", "intent", HEAD, {"writable": False}, [], [], "intent"),
        ("self_service", "intent", HEAD, {"opened": True}, [], [], "intent"),
        # intent, X, attempt 1
        ("self_service", "intent", Drop("s1", "cancelled"), {}, [REPLY, G, ASKED_PAY], [], ""),
        # intent, the frame was not sent
        ("self_service", "intent", Reply("s1-1", "not_sent"), {}, [REPLY, ASKED_PAY], [], ""),
        ("staff_release", "intent", Reply("s1-1", "not_sent"), {}, [REPLY, G, ASKED_PAY], [], ""),
        # intent, a reply of another intent
        ("self_service", "intent", Reply("s0-1", "opened"), {}, [], [], "intent"),
        # sent, there is nothing left to cancel
        ("self_service", "sent", Drop("s1", "cancelled"), {}, [], [], "sent"),
        # a session of another name
        ("self_service", "asked", Drop("s2", "cancelled"), {}, [], [], "asked"),
        # an age proof is kept for its session
        ("staff_release", "asked", Prove("s1", "id_card", passed=True), {}, ["age.check.passed"], [], "asked"),
        ("staff_release", "asked", Prove("s1", "id_card", passed=False), {}, ["age.check.failed"], [], "asked"),
        ("staff_release", "asked", Prove("s2", "id_card", passed=True), {}, [], [], "asked"),
        # a release without the proof is denied and written
        ("staff_release", "asked", Give(release(at_s=110.0)), {}, [G], [], "asked"),
        # a release after the frame belongs to nothing
        ("staff_release", "sent", Give(release(at_s=110.0)), {}, [], [], "sent"),
        # the release of a held session is good: no second one
        ("staff_release", "held", Give(release(at_s=110.0)), {}, [], [], "held"),
    ],
)
def test_tables_a_and_b_before_the_frame(  # noqa: PLR0917 - the columns of a table
    mode, start, given, before, said, effects, leads
):
    bench = Bench(mode).to(start)
    for name in ("dead", "fresh", "stable", "opened"):
        if name in before:
            setattr(bench, name, before[name])
    changes = {k: v for k, v in before.items() if k not in ("dead", "fresh", "stable", "opened")}
    if before.get("dt", 0) >= 600:
        bench.memory = replace(bench.memory, slot=replace(bench.memory.slot, since_s=bench.now + 590))
    step = bench.do(given, **changes)
    forced = ["cabinet.door.forced"] if bench.opened and given == LOOK else []
    assert (bench.said, did(step), bench.at) == (said + forced, effects, leads)


@pytest.mark.parametrize(
    ("mode", "asked", "before", "reason"),
    [
        ("self_service", Request("s1", "self_service", "k9"), {}, "no_such_compartment"),
        ("self_service", Request("s1", "self_service", "k1"), {"writable": False}, "ledger_full"),
        ("self_service", Request("s1", "self_service", "k1"), {"slot": True}, "busy"),
        ("self_service", Request("s1", "self_service", "k1"), {"incident": True}, "blocked"),
        ("self_service", Request("s1", "self_service", "k1"), {"due": True}, "count_due"),  # staff must count first
        ("staff_release", Request("s1", "staff_release", "k1"), {"due": True}, "count_due"),
        ("self_service", Request("s1", "restock", "k1", "anna"), {"due": True}, ""),  # how staff reach the goods
        ("staff_release", Request("s1", "restock", "k1", "anna"), {"due": True}, ""),
        ("self_service", Request("s1", "self_service", "k1"), {"dead": True}, "device_offline"),
        ("self_service", Request("s1", "staff_release", "k1", "", (line(),)), {}, "counter_only"),
        ("counter_only", Request("s1", "self_service", "k1"), {}, "counter_only"),
        ("staff_release", Request("s1", "self_service", "k1"), {}, "counter_only"),  # T11: never by itself
        ("self_service", Request("s1", "self_service", "k1"), {"revoked": True}, "revoked"),
        ("staff_release", Request("s1", "staff_release", "k1", "", (line(),)), {"on_duty": {}}, "staff_absent"),
        ("staff_release", Request("s1", "staff_release", "k1", "", (line(),)), {"wall": None}, "no_licence"),
        ("staff_release", Request("s1", "staff_release", "k1", "", (line(qty=4),)), {}, "over_cap"),
        ("staff_release", Request("s1", "staff_release", "k1", "", (line("beer"),)), {}, "bad_basket"),
        ("staff_release", Request("s1", "staff_release", "k1", "", (line(qty=0),)), {}, "bad_basket"),
        ("staff_release", Request("s1", "staff_release", "k1", "", (line(),) * 21), {}, "bad_basket"),
    ],
)
def test_a_request_is_denied_with_its_reason(mode, asked, before, reason):
    bench = Bench(mode)
    if before.get("slot"):
        bench.to("asked")
        asked = replace(asked, session="s2")
    if before.get("incident"):
        bench.opened = True
        bench.look()
        bench.opened = False
    if before.get("due"):
        lose_proof(bench)
    if before.get("revoked"):
        bench.do(Revoke("store"))
    bench.dead = bool(before.get("dead"))
    step = bench.do(asked, **{k: v for k, v in before.items() if k in ("writable", "on_duty", "wall")})
    assert step.answer == reason
    assert ENDED not in bench.said
    quiet = reason in ("no_such_compartment", "ledger_full")
    assert ("cabinet.unlock.denied" in bench.said) is not (quiet or not reason)


def test_our_own_prices_count_not_the_callers():
    bench = Bench("staff_release").to("paying")
    assert bench.session.declared == (Line(sku="biscuit", qty=1, price_fen=500, shelf="k1-s1"),)
    assert bench.session.hold_fen == 500
    assert Bench().to("paying").session.hold_fen == 20000


def test_a_release_may_be_given_again_twice_and_no_more():
    bench = Bench("staff_release").to("held")
    bench.fresh = False  # the devices never come ready
    for n in range(2):
        bench.look(on_duty={"ben": 0.0})
        assert bench.memory.slot.release is None
        step = bench.do(Give(replace(release(at_s=bench.now), id=f"again-{n}")))
        assert step.answer == ""
    bench.look(on_duty={"ben": 0.0})  # a third time ends the session: the releaser is gone for good
    assert bench.at == ""
    assert bench.session.money == "void"


def test_a_staff_member_never_releases_to_himself():
    bench = Bench("staff_release")
    bench.ask(buyer="anna")
    bench.do(Prove("s1", "id_card", passed=True, person_day_key="p"))
    assert bench.do(Give(release(at_s=bench.now))).answer == "T02"
    assert bench.at == "asked"


def test_a_release_says_which_half_of_two_people_is_missing():
    bench = Bench("staff_release")
    bench.ask()
    give = lambda **changes: bench.do(Give(release(at_s=bench.now)), **changes).answer  # noqa: E731 - said four times
    bench.do(Prove("s1", "id_card", passed=True))
    assert give() == "buyer_unknown"  # another method than a card: nothing tells the buyer from staff
    bench.do(Prove("s1", "id_card", passed=True, person_day_key="staff-anna"))
    assert give() == "staff_is_buyer"
    bench.do(Prove("s1", "id_card", passed=True, person_day_key="p"))
    assert give(staff_keys={"ben": "staff-ben"}) == "staff_unknown"
    assert "gate.decision" in bench.said  # the audit names the rule: T02
    assert give() == ""


def test_a_proof_by_the_releasers_own_card_ends_the_release():
    bench = Bench("staff_release").to("held")
    bench.do(Prove("s1", "id_card", passed=True, person_day_key="staff-anna"))
    bench.look()
    assert bench.at != "intent"
    assert bench.memory.slot is None or bench.memory.slot.release is None


def test_the_day_quota_is_reserved_at_release_and_returned_for_nothing():
    bench = Bench("staff_release", tobacco_day_units=4).to("paying")
    assert bench.memory.durable.quota["s1"].units == 1
    bench.do(Drop("s1", "cancelled"))
    assert bench.memory.durable.quota == {}
    bench = Bench("staff_release", tobacco_day_units=4)
    bench.ask(qty=2)
    bench.do(Prove("s1", "id_card", passed=True, person_day_key="p"))
    assert bench.do(Give(release(at_s=bench.now)), day_units=3).answer == "over_cap"


def test_a_pseudonym_of_a_person_lives_two_days():
    bench = Bench("staff_release").to("wait")
    bench.look(wall=NOON + timedelta(days=1))
    assert "s1" in bench.memory.durable.quota
    bench.look(wall=NOON + timedelta(days=2))
    assert bench.memory.durable.quota == {}


# ------------------------------------------------------------------ from the frame on


@pytest.mark.parametrize(
    ("mode", "result", "leads"),
    [
        ("self_service", "opened", "wait"),
        ("self_service", "refused", "verify"),  # no denial of the pulse
        ("self_service", "no_reply", "verify"),
        ("self_service", "not_sent", "verify"),  # the guard had said yes: bytes may be out
        ("staff_release", "refused", "verify"),
    ],
)
def test_a_reply_differs_only_in_what_is_written(mode, result, leads):
    bench = Bench(mode).to("sent")
    bench.do(Reply("s1-1", result))
    assert bench.at == leads
    assert bench.session.intents[0].result == ("no_reply" if result == "not_sent" else result)
    assert bench.session.money == ""


def test_verify_waits_for_the_fence():
    bench = Bench("staff_release").to("sent")
    bench.do(Reply("s1-1", "refused"))
    bench.look()
    assert bench.at == "verify"  # no status query sent after the frame has been answered
    bench.fenced = True
    bench.look()
    assert bench.at == "wait"
    assert len(bench.session.intents) == 1


def test_a_snack_gets_a_second_intent_when_the_first_latch_is_over():
    bench = Bench().to("sent")
    bench.do(Reply("s1-1", "refused"))
    bench.fenced = True
    bench.look()
    assert bench.at == "verify"
    bench.look(4.9)
    assert bench.at == "verify"
    step = bench.look(0.2)
    assert (bench.at, did(step)) == ("intent", ["Unlock"])
    # X or an open door at attempt 2: the claim stays, the first pulse may still be live
    bench.opened = True
    bench.do(HEAD)
    bench.do(Reply("s1-2", "not_sent"))
    assert bench.at == "wait"
    bench.look()
    assert (bench.at, bench.said) == ("open", ["cabinet.door.opened"])


def test_a_door_that_opens_in_verify_is_the_sessions():
    bench = Bench().to("sent")
    bench.do(Reply("s1-1", "no_reply"))
    bench.fenced, bench.opened = True, True
    bench.look()
    bench.look()
    assert bench.at == "open"


@pytest.mark.parametrize(
    ("state", "given", "before", "said", "leads"),
    [
        # wait: the door opens
        ("wait", LOOK, {"opened": True}, ["cabinet.door.opened"], "open"),
        # wait: T_door; weigh, a door may bounce between two polls
        ("wait", LOOK, {"dt": 11.0}, [], "weigh"),
        # wait: the lock is silent
        ("wait", Silent(), {}, [REVIEW], ""),
        # open: closed
        ("open", LOOK, {"opened": False}, ["cabinet.door.closed"], "weigh"),
        # open: T_open_warn
        ("open", LOOK, {"dt": 61.0}, ["cabinet.door.held_open"], "open"),
        # open: T_open_max; the door is nobody's from now on
        ("open", LOOK, {"dt": 301.0}, [REVIEW, "cabinet.door.forced"], ""),
        # open: a silent lock is waited for
        ("open", Silent(), {}, [], "open"),
        # weigh: the door opens again
        ("weigh", LOOK, {"opened": True}, ["cabinet.door.opened"], "open"),
        # weigh: samples must be 0.8 s younger than the closing
        ("weigh", LOOK, {"dt": 0.5}, [], "weigh"),
        ("weigh", LOOK, {"dt": 0.9}, [RESOLVED, ASKED_PAY], ""),
        # weigh: a door that was not polled lately is not closed
        ("weigh", LOOK, {"dt": 0.9, "fresh": False}, [], "weigh"),
        # weigh: not fenced
        ("weigh", LOOK, {"dt": 0.9, "fenced": False}, [], "weigh"),
        # weigh: T_weigh
        ("weigh", Unstable(), {}, [REVIEW], ""),
        ("weigh", Silent(), {}, [REVIEW], ""),
        # time-outs of other states say nothing here
        ("open", Unstable(), {}, [], "open"),
    ],
)
def test_tables_a_and_b_after_the_frame(state, given, before, said, leads):
    bench = Bench().to(state)
    for name in ("opened", "fresh", "fenced"):
        if name in before:
            setattr(bench, name, before[name])
    bench.do(given, dt=before.get("dt", 0.0))
    assert (bench.said, bench.at) == (said, leads)
    unknown = leads == "" and REVIEW in said
    assert ("k1" in bench.memory.durable.incident) is unknown


def test_tobacco_may_stand_open_for_two_minutes_only():
    bench = Bench("staff_release").to("open")
    bench.look(121.0)
    assert bench.at == ""
    assert bench.session.review_reason == "held_open"


def test_what_lapses_after_the_frame_is_written_once_and_sounds():
    bench = Bench("staff_release").to("open")
    step = bench.look(on_duty={})
    assert (bench.said, step.effects) == ([G], (Alarm("staff_absent", "k1"),))
    assert bench.look(on_duty={}).silent
    assert bench.at == "open"
    bench.opened = False
    bench.look(1.0, on_duty={})
    bench.look(1.0, on_duty={})
    assert bench.session.conclusion == "nothing"  # the session settles all the same


# ------------------------------------------------------------------ table S


@pytest.mark.parametrize(
    ("mode", "took_g", "change", "conclusion", "reason"),
    [
        ("self_service", 0.0, {}, "nothing", ""),
        ("self_service", 1.9, {}, "nothing", ""),
        ("self_service", 140.0, {}, "settled", ""),
        ("self_service", 50.0, {"epoch": 1}, "review", "scale_restarted"),
        ("self_service", 0.0, {"epoch": 1}, "review", "scale_restarted"),  # the epoch comes first
        ("self_service", 67.0, {}, "review", "foreign_item"),
        ("self_service", -17.0, {}, "review", "foreign_item"),  # something was left behind
        ("self_service", 7 * 90.0, {}, "review", "foreign_item"),  # more than six pieces
        ("self_service", 50.0, {"unseen": True}, "review", "door_not_seen"),
        ("self_service", 50.0, {"blind": True}, "review", "blind"),
        ("self_service", 0.0, {"blind": True}, "nothing", ""),
        ("self_service", 540.0, {"hold": 4000}, "review", "over_hold"),
        ("staff_release", 50.0, {}, "settled", ""),
        ("staff_release", 100.0, {}, "review", "over_declared"),
        ("staff_release", 90.0, {}, "review", "over_declared"),  # another product than was released
    ],
)
def test_table_s(mode, took_g, change, conclusion, reason):
    bench = Bench(mode).to("wait" if change.get("unseen") else "weigh")
    if "unseen" in change:
        bench.look(11.0)
    if "hold" in change:
        held = bench.session
        bench.memory.durable.session["s1"] = type(held)(
            **{f: getattr(held, f) for f in held.__struct_fields__} | {"hold_fen": change["hold"]}
        )
    if "blind" in change:
        bench.memory = replace(bench.memory, slot=replace(bench.memory.slot, blind=True))
    bench.epoch = change.get("epoch", 0)
    bench.g -= took_g
    bench.look(1.0)
    assert bench.at == ""
    assert (bench.session.conclusion, bench.session.review_reason) == (conclusion, reason)
    assert bench.session.money == {"nothing": "void", "settled": "capture", "review": ""}[conclusion]
    unknown = reason == "scale_restarted"
    assert (bench.session.deltas[0].delta_g is None) is unknown
    assert bench.memory.durable.book["k1-s1"].g == (START_G if unknown else bench.g)


def test_the_intent_renews_the_book_within_tolerance():
    bench = Bench()
    bench.g -= 1.5  # drift
    bench.to("weigh")
    assert bench.memory.durable.book["k1-s1"].g == START_G - 1.5
    bench.g -= 1.5
    bench.look(1.0)
    assert bench.session.conclusion == "nothing"


# ------------------------------------------------------------------ table C


@pytest.mark.parametrize(
    ("came_g", "blind", "outcome", "units"),
    [
        (100.0, False, "restocked", 12),
        (0.0, False, "nothing_taken", 10),
        (-50.0, False, "review_dropped", 10),  # a restock never sells
        (17.0, False, "review_dropped", 10),
        (100.0, True, "review_dropped", 10),
    ],
)
def test_table_c(came_g, blind, outcome, units):
    bench = Bench("staff_release").to("weigh", "restock")
    bench.memory = replace(bench.memory, slot=replace(bench.memory.slot, blind=blind))
    bench.g += came_g
    bench.look(1.0)
    assert bench.outcomes == [outcome]
    assert ASKED_PAY not in bench.said
    assert bench.memory.durable.book["k1-s1"].units["biscuit"] == units
    assert ("k1" in bench.memory.durable.count_due) is (outcome == "review_dropped")


def test_a_snack_is_restocked_by_whoever_is_on_duty():
    bench = Bench()
    bench.ask("restock", buyer="ben")
    bench.look()
    assert bench.at == "held"
    bench = Bench()
    bench.ask("restock", buyer="nobody")
    bench.look()
    assert bench.outcomes == ["cancelled"]


# ------------------------------------------------------------------ table W


def test_a_forced_door_blocks_until_it_is_closed_and_weighed():
    bench = Bench()
    bench.opened = True
    bench.look()
    assert bench.said == ["cabinet.door.forced"]
    assert bench.look().silent  # once
    bench.opened = False
    bench.g -= 50.0
    bench.look()
    assert bench.said == ["cabinet.stock.unexplained"]
    assert bench.memory.durable.incident == {}
    assert bench.memory.durable.book["k1-s1"].g == START_G - 50.0


@pytest.mark.parametrize(
    ("change", "delta_g", "reason"),
    [
        ({"g": START_G - 50.0}, 50.0, "unclaimed"),
        ({"g": START_G + 30.0}, -30.0, "unclaimed"),
        ({"epoch": 1}, None, "scale_restarted"),
    ],
)
def test_what_changes_behind_a_closed_door_is_unexplained(change, delta_g, reason):
    bench = Bench()
    bench.g, bench.epoch = change.get("g", START_G), change.get("epoch", 0)
    step = bench.look()
    event = step.transaction.records[0].data
    assert (event.TYPE, event.reason, event.shelves[0].delta_g) == ("cabinet.stock.unexplained", reason, delta_g)
    assert ("k1" in bench.memory.durable.count_due) is (delta_g is None)
    assert bench.look().silent


def test_a_late_pulse_is_named():
    bench = Bench().to("sent")
    bench.do(Reply("s1-1", "no_reply"))
    bench.do(Silent())  # concluded without a fence
    bench.opened = True
    step = bench.look(2.0)
    event = step.transaction.records[0].data
    assert (event.TYPE, event.hint, event.last_pulse_s) == ("cabinet.door.forced", "late_pulse", 2.0)


def test_an_incident_waits_for_fence_latch_and_weight():
    bench = Bench().to("weigh")
    bench.do(Unstable())
    assert "k1" in bench.memory.durable.incident
    bench.stable = False
    assert bench.look(6.0).silent
    bench.stable = True
    bench.look()
    assert bench.memory.durable.incident == {}


def test_a_running_session_before_its_frame_meets_d_again():
    bench = Bench().to("held")
    bench.g -= 50.0
    bench.look()
    assert bench.said == ["cabinet.stock.unexplained"]
    bench.look()
    assert bench.at == "intent"
    bench.g -= 50.0  # and between intent and frame
    bench.do(HEAD)
    assert bench.at == "intent"
    assert "D.weights" in bench.memory.slot.doubt


# ------------------------------------------------------------------ table M


@pytest.mark.parametrize(
    ("took_g", "decide", "asked", "word", "said", "outcome"),
    [
        (0.0, None, "void", "voided", ["payment.voided", ENDED], "nothing_taken"),
        (0.0, None, "void", "declined", ["payment.voided", ENDED], "nothing_taken"),
        (0.0, None, "void", "held", [], ""),  # stale
        (0.0, None, "capture", "captured", [], ""),
        (50.0, None, "capture", "captured", ["payment.captured", ENDED], "settled"),
        (50.0, None, "capture", "voided", ["payment.failed", ENDED], "settled_unpaid"),  # the hold had expired
        (50.0, None, "capture", "held", [], ""),
        (50.0, None, "void", "voided", [], ""),
        (50.0, None, "authorise", "held", [], ""),  # a late answer, or a second one
        (67.0, False, "void", "voided", ["payment.voided", ENDED], "review_dropped"),
    ],
)
def test_table_m(took_g, decide, asked, word, said, outcome):  # noqa: PLR0917 - the columns of a table
    bench = Bench().to("weigh")
    bench.g -= took_g
    bench.look(1.0)
    if decide is not None:
        bench.do(Decide("s1", "anna", accept=decide))
    bench.do(Answer("s1", asked, word))
    assert bench.said == said
    assert bench.outcomes == ([outcome] if outcome else [])
    if outcome:
        assert bench.do(Answer("s1", asked, word)).answer == "stale"


def test_staff_charge_a_proposal_or_cannot():
    bench = Bench().to("wait")
    bench.look(11.0)
    bench.g -= 50.0
    bench.look(1.0)  # door_not_seen, with a proposal
    bench.do(Decide("s1", "anna", accept=True))
    assert bench.said == [RESOLVED, "cabinet.stock.changed", ASKED_PAY]
    assert bench.do(Decide("s1", "anna", accept=True)).answer == "no_review"  # once
    bench.do(Answer("s1", "capture", "captured"))
    assert bench.outcomes == ["review_charged"]
    bench = Bench().to("weigh")
    bench.do(Unstable())
    assert bench.do(Decide("s1", "anna", accept=True)).answer == "no_proposal"


def test_an_undecided_review_gives_the_hold_back_after_a_day_even_if_the_clock_jumps():
    bench = Bench().to("weigh")
    bench.g -= 67.0
    bench.look(1.0, wall=None)  # nobody knows when it began
    bench.look(wall=NOON + timedelta(days=400))  # a clock far in the future
    bench.look(wall=NOON)  # mended: counted anew
    bench.look(wall=NOON + timedelta(hours=23))
    assert bench.session.money == ""
    bench.look(wall=NOON + timedelta(hours=24))
    assert bench.session.money == "void"


# ------------------------------------------------------------------ table R


@pytest.mark.parametrize(
    ("state", "mode", "said", "leads", "money"),
    [
        ("asked", "self_service", [ENDED], "", None),
        ("paying", "self_service", [ASKED_PAY], "", "void"),
        ("held", "staff_release", [ASKED_PAY], "", "void"),
        ("intent", "self_service", [REPLY], "verify", ""),  # never a frame, also for snacks
        ("intent", "staff_release", [REPLY], "verify", ""),
        ("sent", "self_service", [REPLY], "verify", ""),
        ("wait", "self_service", [], "verify", ""),
        ("open", "self_service", [], "verify", ""),
        ("weigh", "self_service", [], "verify", ""),
    ],
)
def test_table_r(state, mode, said, leads, money):
    bench = Bench(mode).to(state)
    step = bench.start()
    assert (bench.said, bench.at) == (said, leads)
    assert not any(isinstance(e, Unlock | Frame | Authorise) for e in step.effects)
    if money is None:
        assert bench.outcomes == ["cancelled"]
    else:
        assert bench.session.money == money
    if leads:
        assert bench.memory.slot.blind
    again = bench.start()  # a crash during R starts R again
    assert again.silent
    assert bench.at == leads


def test_a_blind_slot_takes_the_door_as_it_finds_it():
    bench = Bench().to("open")
    bench.start()
    bench.look()
    bench.look()
    assert bench.at == "open"
    bench.opened = False
    bench.g -= 90.0
    bench.look(1.0)
    bench.look(1.0)
    assert (bench.session.conclusion, bench.session.review_reason) == ("review", "blind")
    bench = Bench().to("sent")
    bench.start()
    bench.fenced = True
    bench.look()
    assert bench.at == "wait"
    bench.look(11.0)
    bench.look(1.0)
    assert bench.session.conclusion == "nothing"


def test_a_rebuilt_cabinet_leaves_its_session_to_staff():
    bench = Bench().to("open")
    bench.machine = type(bench.machine)(replace(bench.machine.spec, compartments={}), bench.policy)
    bench.start()
    assert bench.session.review_reason == "no_such_compartment"


def test_two_open_sessions_are_never_both_taken_up():
    bench = Bench().to("open")
    bench.state["session"]["s0"] = bench.state["session"]["s1"].replace(b'"s1"', b'"s0"')
    bench.start()
    assert bench.memory.slot.session == "s1"
    assert bench.memory.durable.session["s0"].review_reason == "second_slot"


def test_money_goes_on_where_it_was():
    bench = Bench().to("weigh")
    bench.g -= 50.0
    bench.look(1.0)
    bench.start()
    assert bench.session.money == "capture"
    bench.do(Answer("s1", "capture", "captured"))
    assert bench.outcomes == ["settled"]


# ------------------------------------------------------------------ revoke, epochs, counts


def test_a_revoke_acts_from_memory_and_is_kept():
    bench = Bench().to("intent")
    bench.memory = bench.machine.shut(bench.memory, "session:s1")
    bench.do(HEAD)
    assert bench.at == "intent"
    assert bench.memory.slot.doubt == ("revoke",)
    assert "revoke" not in bench.state
    bench.look()  # and becomes durable as soon as it can
    assert "cab|session:s1" in bench.state["revoke"]
    bench.start()
    assert bench.memory.revoked == {"session:s1"}


def test_only_somebody_on_duty_lifts():
    bench = Bench()
    bench.do(Revoke("store"))
    assert bench.do(Revoke("store")).silent
    assert bench.do(Lift("store", "anna"), on_duty={}).answer == "staff_absent"
    assert bench.do(Lift("cabinet:cab", "anna")).answer == "not_revoked"
    assert bench.do(Lift("store", "anna")).answer == ""
    assert bench.memory.revoked == frozenset()
    assert bench.state["revoke"] == {}


def test_an_epoch_is_counted_before_the_scale_is_told():
    bench = Bench()
    step = bench.do(PowerUp("k1-s1"))
    assert did(step) == ["Acknowledge"]
    assert bench.machine.epoch(bench.memory, "k1-s1") == 1
    bench.do(PowerUp("k1-s1"))
    assert bench.machine.epoch(bench.memory, "k1-s1") == 2


# ------------------------------------------------------------------ count before the next sale


def lose_proof(bench: Bench) -> None:
    """The scale restarts: what it showed before proves nothing any more."""
    bench.epoch += 1
    bench.look()
    assert "k1" in bench.memory.durable.count_due


COUNTED = {"biscuit": 3, "juice": 7}


def test_a_count_moves_pieces_never_weights_and_the_door_sells_again():
    bench = Bench()
    lose_proof(bench)
    before = bench.memory.durable.book["k1-s1"]
    step = bench.do(Count("k1", {"k1-s1": COUNTED}, "anna"))
    assert bench.said == ["inventory.counted"] * 2
    assert {(r.data.sku, r.data.units, r.data.reason, r.data.staff_id) for r in step.transaction.records} == {
        ("biscuit", 3, "count", "anna"),
        ("juice", 7, "count", "anna"),
    }
    book = bench.memory.durable.book["k1-s1"]
    assert (book.units, book.g, book.epoch) == (COUNTED, before.g, before.epoch)
    assert bench.state["count_due"] == {}
    assert bench.ask().answer == ""


@pytest.mark.parametrize(
    ("compartment", "shelves", "before", "why"),
    [
        ("k9", {"k9-s1": COUNTED}, "", "no_such_compartment"),
        ("k1", {}, "", "bad_basket"),  # nothing counted
        ("k1", {"k1-s1": {"biscuit": 3}}, "", "bad_basket"),  # half a shelf
        ("k1", {"k1-s1": COUNTED, "k1-s2": {}}, "", "bad_basket"),  # a shelf that is not there
        ("k1", {"k1-s1": {**COUNTED, "beer": 1}}, "", "bad_basket"),  # a product that is not there
        ("k1", {"k1-s1": {**COUNTED, "juice": -1}}, "", "bad_basket"),
        ("k1", {"k1-s1": COUNTED}, "forced", "blocked"),  # a door nobody owns stands open
        ("k1", {"k1-s1": COUNTED}, "restock", "busy"),  # what is counted now is weighed again in a moment
        ("k1", {"k1-s1": COUNTED}, "no_book", "not_ready"),
    ],
)
def test_what_is_no_count_changes_nothing(compartment, shelves, before, why):
    bench = Bench()
    lose_proof(bench)
    if before == "restock":
        bench.now += 10.0
        bench.to("open", "restock")
    elif before == "forced":
        bench.opened = True
        bench.look()
    elif before == "no_book":
        del bench.memory.durable.book["k1-s1"]
    kept = bench.memory.durable
    step = bench.do(Count(compartment, shelves, "anna"))
    assert (step.answer, step.silent, bench.memory.durable) == (why, True, kept)
    assert "k1" in kept.count_due


@pytest.mark.parametrize("shelves", [1, 2])
def test_all_shelves_are_counted_or_none(shelves):
    bench = Bench()
    bench.machine = CabinetMachine(cabinet("self_service", shelves=shelves), bench.policy)
    second = {"k1-s2": Weight(START_G, 0, 0.0)} if shelves == 2 else {}
    seen = View(open=False, fenced=True, fresh=True, weights={"k1-s1": Weight(START_G, 1, 0.0), **second})
    bench.look(10.0, views={"k1": seen})
    assert "k1" in bench.memory.durable.count_due
    one = {"k1-s1": COUNTED}
    assert bench.do(Count("k1", one, "anna"), views={"k1": seen}).answer == ("bad_basket" if shelves == 2 else "")
    both = {f"k1-s{n}": COUNTED for n in range(1, shelves + 1)}
    assert bench.do(Count("k1", both, "anna"), views={"k1": seen}).answer == ""
    assert bench.memory.durable.count_due == {}


def test_the_wish_for_a_count_survives_a_restart():
    bench = Bench()
    lose_proof(bench)
    bench.start()
    bench.look(10.0)
    assert bench.ask().answer == "count_due"


@pytest.mark.parametrize(
    ("came_g", "due"),
    [
        (100.0, False),  # settled: what is there now is proven
        (0.0, True),  # nothing came: nothing is proven
        (-50.0, True),
    ],
)
def test_a_settled_restock_clears_it_and_nothing_else_does(came_g, due):
    bench = Bench()
    lose_proof(bench)
    bench.now += 10.0
    bench.to("weigh", "restock")
    bench.g += came_g
    bench.look(1.0)
    assert bench.at == ""
    assert ("k1" in bench.memory.durable.count_due) is due


@pytest.mark.parametrize("state", ["asked", "held"])
def test_a_running_session_is_not_touched(state):
    bench = Bench().to(state)
    bench.epoch = 1
    bench.look()
    assert "k1" in bench.memory.durable.count_due
    assert bench.at != ""
    bench.now += 10.0
    for _ in range(40):
        if bench.at in ("", "weigh"):
            break
        bench.on("self_service")
    bench.g -= 50.0
    bench.look(1.0)
    assert bench.session.conclusion == "settled"  # weighed from the renewed book to the next weight, in one epoch
    assert bench.ask().answer != ""
    assert "k1" in bench.memory.durable.count_due
