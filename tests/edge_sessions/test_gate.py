"""Table G: from facts in which nothing stands against it, each change makes its own rule fail; and no other."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.sessions.core.gate import (
    AgeProof,
    DeviceFacts,
    GateFacts,
    Release,
    device_failing,
    failing,
    gate,
    rules_of,
    same_person,
)
from tests.edge_sessions.build import NOON, policy

READY = DeviceFacts(online=True, fenced=True, closed=True, incident=False, at_book=True, latch_over=True, alone=True)
TODAY = date(2026, 3, 2)  # NOON is of this day in the store
RELEASE = Release("r1", "anna", "s1", "k1", 90.0)
SALE = GateFacts(
    kind="tobacco_sale",
    stage="g2",
    session="s1",
    compartment="k1",
    cabinet_mode="staff_release",
    has_tobacco=True,
    buyer="m1",
    now_s=100.0,
    wall=NOON,
    revoked=False,
    on_duty={"anna": 0.0},
    release=RELEASE,
    intent="",
    age=AgeProof("s1", 50.0, "p", TODAY),
    adult_staff=frozenset({"anna"}),
    staff_keys={"anna": "a", "ben": "b"},
    declared_units=2,
    day_units=0,
    writable=True,
    device=READY,
)
RESTOCK = replace(SALE, kind="tobacco_restock", buyer="anna", age=None, staff_keys=None, declared_units=0)
SNACK = replace(
    SALE, kind="snack_sale", cabinet_mode="self_service", has_tobacco=False, release=None, age=None, on_duty={}
)
SNACK_RESTOCK = replace(SNACK, kind="snack_restock", buyer="anna", on_duty={"anna": 0.0})
AT_G3 = replace(SALE, stage="g3", intent="s1-1", spent_by="s1-1")


def test_nothing_stands_against_a_good_session():
    for facts in (SALE, RESTOCK, SNACK, SNACK_RESTOCK, AT_G3, replace(SALE, stage="g1", device=None)):
        assert gate(facts, policy()) == ()


@pytest.mark.parametrize(
    ("base", "change", "failed"),
    [
        (SALE, {"revoked": True}, ("revoke",)),
        (SALE, {"revoked": None}, ("revoke",)),  # unknown
        (SALE, {"on_duty": None}, ("T01",)),
        (SALE, {"on_duty": {}}, ("T01",)),
        (SALE, {"on_duty": {"ben": 0.0}}, ("T01",)),  # the releaser is not one of them
        (SALE, {"on_duty": {"anna": 95.0}}, ("T01",)),  # left and came again: the release died with the first time
        (SALE, {"release": None}, ("T02",)),
        (SALE, {"release": replace(RELEASE, session="s2")}, ("T02",)),
        (SALE, {"release": replace(RELEASE, compartment="k2")}, ("T02",)),
        (SALE, {"release": replace(RELEASE, at_s=39.0)}, ("T02",)),  # 61 s old
        (SALE, {"release": replace(RELEASE, at_s=100.5)}, ("T02",)),  # of the future
        (SALE, {"now_s": None}, ("T02", "T03")),
        (SALE, {"buyer": "anna"}, ("T02",)),  # to oneself
        (SALE, {"spent_by": "s1-1"}, ("T02",)),
        (AT_G3, {"spent_by": "s1-2"}, ("T02",)),  # spent by another intent
        (AT_G3, {"spent_by": ""}, ("T02",)),  # not spent: its intent is not durable
        (SALE, {"staff_keys": None}, ("T02",)),
        (SALE, {"staff_keys": {}}, ("T02",)),
        (SALE, {"staff_keys": {"ben": "b"}}, ("T02",)),  # another person's card
        (SALE, {"staff_keys": {"anna": ""}}, ("T02",)),
        (SALE, {"staff_keys": {"anna": "p"}}, ("T02",)),  # the buyer's own card
        (SALE, {"staff_keys": {"anna": "a", "ben": "p"}}, ()),  # ben buys, anna releases
        (SALE, {"age": AgeProof("s1", 50.0, "", TODAY)}, ("T02",)),  # a buyer whom nothing tells from another
        (SALE, {"age": AgeProof("s1", 50.0, "p")}, ("T02",)),  # of an unknown day
        (SALE, {"age": AgeProof("s1", 50.0, "p", date(2026, 3, 1))}, ("T02",)),  # two days tell nobody apart
        (SALE, {"age": None}, ("T02", "T03")),
        (SALE, {"age": replace(SALE.age, session="s2")}, ("T03",)),  # of another session
        (SALE, {"age": replace(SALE.age, at_s=-501.0)}, ("T03",)),  # 601 s old
        (SALE, {"wall": None}, ("T02", "T04", "T05")),
        (SALE, {"wall": NOON + timedelta(days=400)}, ("T02", "T04")),
        (SALE, {"wall": datetime(2024, 12, 31, 4, tzinfo=UTC)}, ("T02", "T04")),
        (SALE, {"wall": NOON.replace(hour=14)}, ("T05",)),  # 22:00
        (SALE, {"wall": NOON - timedelta(hours=4, seconds=1)}, ("T05",)),  # 07:59:59
        (SALE, {"declared_units": None}, ("T06",)),
        (SALE, {"declared_units": 0}, ("T06",)),
        (SALE, {"declared_units": 4}, ("T06",)),
        (SALE, {"cabinet_mode": "self_service"}, ("T11",)),
        (SALE, {"cabinet_mode": "counter_only"}, ("T11",)),
        (SALE, {"writable": False}, ("T14",)),
        (SALE, {"writable": None}, ("T14",)),
        (SALE, {"device": None}, ("D.offline", "D.fence", "D.door", "D.incident", "D.weights", "D.latch", "D.busy")),
        (RESTOCK, {"buyer": "ben"}, ("T02",)),  # one's own PIN, nobody else's
        (RESTOCK, {"adult_staff": frozenset()}, ("T03",)),
        (RESTOCK, {"wall": NOON.replace(hour=14)}, ()),  # hours may be wider: 22:00
        (RESTOCK, {"wall": NOON.replace(hour=15)}, ("T05",)),
        (RESTOCK, {"cabinet_mode": "counter_only"}, ()),
        (RESTOCK, {"cabinet_mode": "self_service"}, ("T11",)),
        (SNACK, {"revoked": True}, ("revoke",)),
        (SNACK, {"has_tobacco": True}, ("T11",)),
        (SNACK, {"wall": None, "on_duty": None, "now_s": None}, ()),  # a snack asks for no person and no clock
        (SNACK, {"writable": False}, ("T14",)),
        (SNACK_RESTOCK, {"on_duty": {}}, ("T02",)),
        (SNACK_RESTOCK, {"buyer": ""}, ("T02",)),
    ],
)
def test_each_rule_fails_alone(base, change, failed):
    assert gate(replace(base, **change), policy()) == failed


@pytest.mark.parametrize("name", [f.name for f in fields(DeviceFacts)])
@pytest.mark.parametrize("wrong", [None, "other"])
def test_each_device_fact_counts(name, wrong):
    # unknown, or the wrong way round
    value = None if wrong is None else not getattr(READY, name)
    assert len(device_failing(replace(READY, **{name: value}))) == 1
    assert device_failing(READY) == ()


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({}, ""),
        ({"release": None}, "staff_unknown"),
        ({"staff_keys": {"ben": "b"}}, "staff_unknown"),
        ({"staff_keys": {"anna": "p"}}, "staff_is_buyer"),
        ({"age": None}, "buyer_unknown"),
        ({"age": AgeProof("s1", 50.0, "", TODAY)}, "buyer_unknown"),
        ({"wall": None}, "buyer_unknown"),  # no calendar: nobody knows whether both are of one day
    ],
)
def test_why_the_releaser_may_be_the_buyer(change, word):
    assert same_person(replace(SALE, **change), policy()) == word


def test_a_cap_for_the_day_needs_a_known_person():
    rules = policy(tobacco_day_units=4)
    assert failing(replace(SALE, day_units=2), rules) == ()
    assert failing(replace(SALE, day_units=3), rules) == ("T06",)
    assert failing(replace(SALE, day_units=None), rules) == ("T06",)
    assert failing(replace(SALE, day_units=None), policy()) == ()  # no cap, no question


def test_no_licence_no_tobacco():
    bare = policy().model_copy(update={"licence": None})
    assert failing(SALE, bare) == ("T04",)
    assert failing(RESTOCK, bare) == ("T04",)
    assert failing(SNACK, bare) == ()


def test_a_shutter_counts_where_there_is_a_sensor():
    rules = policy()
    rules = rules.model_copy(update={"hours": rules.hours.model_copy(update={"shutter_sensor": True})})
    assert failing(SALE, rules) == ("T05",)
    assert failing(replace(SALE, shutter_open=False), rules) == ("T05",)
    assert failing(replace(SALE, shutter_open=True), rules) == ()


BAD = {
    "revoked": [True, None],
    "on_duty": [None, {}, {"ben": 0.0}],
    "release": [None, replace(RELEASE, session="x"), replace(RELEASE, at_s=0.0)],
    "age": [None, AgeProof("x", 99.0), replace(SALE.age, person_day_key="a"), replace(SALE.age, day=None)],
    "staff_keys": [None, {}, {"anna": "p"}],
    "wall": [None, NOON.replace(hour=18), NOON.replace(year=2030)],
    "declared_units": [None, 0, 99],
    "writable": [None, False],
    "cabinet_mode": ["self_service"],
    "device": [None, replace(READY, closed=None), replace(READY, incident=True)],
}


@settings(max_examples=200, deadline=None)
@given(st.sets(st.sampled_from(sorted(BAD))), st.randoms(use_true_random=False))
def test_whatever_is_wrong_the_gate_is_shut(wrong, rng):
    # any set of bad facts denies, and only the empty set does not
    facts = replace(SALE, **{name: rng.choice(BAD[name]) for name in sorted(wrong)})
    assert bool(gate(facts, policy())) == bool(wrong)


def test_every_kind_names_its_rules():
    assert set(rules_of("tobacco_sale")) >= {"revoke", "T01", "T02", "T03", "T04", "T05", "T06", "T11", "T14"}
    assert "T06" not in rules_of("tobacco_restock")
    assert rules_of("snack_sale") == ("revoke", "T11", "T14")
