"""Whatever a host says and whatever breaks: a trial unit heats for an authorised session, in its limits, or not at all."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device_drivers.trial_ptp import payloads as p
from device_drivers.trial_ptp.names import Command
from tests.simulators.trial_bench import Action, run
from tests.simulators.trial_mutants import MUTANTS, Mutant, hello_forgets, hunt

_waits = st.sampled_from([0.05, 0.3, 0.9, 1.2, 1.9, 2.2, 5.0, 31.0, 46.0, 61.0, 181.0, 301.0])
_worlds = st.fixed_dictionaries(
    {},
    optional={
        "door_open": st.booleans(),
        "air_flows": st.booleans(),
        "heater_broken": st.booleans(),
        "sensor_broken": st.booleans(),
        "relay_stuck": st.booleans(),
        "extra_c_per_s": st.sampled_from([0.0, 3.0, 30.0]),
    },
)
_sessions = st.sampled_from([None, None, None, 7])
_tokens = st.sampled_from(["good", "good", "good", "forged", "minor", "neighbour", "bit", "foreign", "late", "staff"])
_setpoints = st.integers(900, 2800).map(lambda dc: b"\x01\x02" + dc.to_bytes(2, "big"))
_actions: st.SearchStrategy[Action] = st.one_of(
    st.tuples(st.just("wait"), _waits),
    st.tuples(st.just("keep"), _waits),
    st.sampled_from([("to armed",), ("to heat",), ("to ready",), ("to ready",)]),
    st.tuples(st.just("world"), _worlds),
    st.sampled_from([("new session",), ("challenge",), ("abort",), ("again",), ("reboot",), ("time",)]),
    st.tuples(st.just("authorize"), _tokens),
    st.tuples(st.just("arm"), _sessions, st.integers(0, 3), st.sampled_from([0, 1, 6, 7, 255])),
    st.tuples(st.just("start"), _sessions),
    st.tuples(st.just("draw"), st.sampled_from([0.2, 2.0, 9.0])),
    st.tuples(st.just("noise"), st.binary(max_size=40)),
    st.tuples(st.just("ask"), st.just(Command.SET_CONFIG), _setpoints),
    st.tuples(st.just("ask"), st.sampled_from(Command), st.binary(max_size=48)),
    st.sampled_from([("ask", Command.HELLO), ("ask", Command.POLL_EVT), ("ask", Command.STATUS)]),
    st.just(("ask", Command.DISPENSE, p.Dispense(42, 1).to_bytes())),
)


@settings(max_examples=250, deadline=None)
@given(st.lists(_actions, max_size=25), st.sampled_from([0x3F, 0x3F, 0x03, 0x0B]))
def test_no_sequence_of_commands_and_faults_heats_without_a_right_to_it(actions: list[Action], parts: int) -> None:
    assert run(actions, capabilities=parts) == ""


def test_the_roads_are_clean_in_a_right_unit() -> None:
    assert hunt(nullcontext) == []
    assert hello_forgets() == ""


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_planted_bug_is_noticed(mutant: Mutant) -> None:
    said = hunt(mutant.plant)
    assert any(mutant.noticed in sentence for sentence in said), said
