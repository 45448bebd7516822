"""The rule of heat alone, under callers without any discipline: what they may write never keeps a unit hot."""

from __future__ import annotations

from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device_drivers.trial_ptp.codec import Frame
from device_drivers.trial_ptp.heat import QUIET_S, Heat, HeatWatch
from device_drivers.trial_ptp.machine import HostMachine
from device_drivers.trial_ptp.names import Command, Flag, State
from device_drivers.trial_ptp.payloads import OfSession, StatusReport

WATCHDOG_S = 2.0  # of the unit
LOOKING_S = 2 * QUIET_S  # a last look may begin just before the time for looking is over


def report(state: int) -> bytes:
    return StatusReport(state, 42, 0, 0, 0, 6, 0, 0, 0).to_bytes()


class Unit:
    """Hot from START on; cold by ABORT, and 2 s after the last frame that reached it."""

    def __init__(self, now_s: float, *, hot: bool) -> None:
        self.hot, self.heard_s = hot, now_s

    def live(self, now_s: float) -> None:
        self.hot &= now_s - self.heard_s <= WATCHDOG_S

    def take(self, command: int, now_s: float) -> bytes:
        self.heard_s = now_s
        if command == Command.ABORT:
            self.hot = False
        self.hot |= command == Command.START
        return report(State.READY if self.hot else State.IDLE) if command == Command.STATUS else b""


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["join", "leave", "end", "end", "write", "write", "write", "write", "write", "write"]),
        st.sampled_from([Command.STATUS, Command.STATUS, Command.PING, Command.HELLO, Command.START, Command.ABORT]),
        st.sampled_from(["lost", "mute", "mute", "answered"]),
        st.sampled_from([0.05, 0.25, 0.5, 1.0, 1.9]),
    ),
    max_size=60,
)


def story(steps: list[tuple[str, Command, str, float]], *, hot: bool) -> None:
    """Any callers: calls that are never ended, ended late, written in any order. Raises AssertionError if it stays hot."""
    now_s, keepers, alone_s = 0.0, 0, 0.0
    unit = Unit(now_s, hot=hot)
    host = HostMachine(address=5, first_sequence=0, at_once=False, on_fault=lambda *_: None)
    calls = []
    for what, command, fate, wait_s in steps:
        if what == "join":
            host.heat.join()
            keepers += 1
        elif what == "leave" and keepers:
            host.heat.leave()
            keepers -= 1
        elif what == "end" and calls:
            host.end(calls.pop(0))
        elif what == "write":
            call = host.begin(command, OfSession(42).to_bytes() if command == Command.START else b"")
            calls.append(call)
            if host.write(call, now_s) is not None and fate != "lost":
                payload = unit.take(command, now_s)
                if fate == "answered":
                    reply = Frame(5, call.frame.sequence, command, payload, flags=Flag.RESP)
                    host.hear(reply.to_wire())
        if keepers and host.heat.state is Heat.KEPT:
            alone_s = now_s
        now_s += wait_s
        unit.live(now_s)
        if not unit.hot:
            alone_s = now_s
        assert now_s - alone_s <= LOOKING_S + WATCHDOG_S, (now_s, host.heat.state)


@settings(max_examples=600, deadline=None)
@given(steps=STEPS, hot=st.booleans())
def test_no_callers_whatever_keep_a_unit_hot_that_nobody_owns(steps, hot) -> None:
    story(steps, hot=hot)


@pytest.mark.parametrize("what", [Command.STATUS, Command.PING, Command.HELLO])
@pytest.mark.parametrize("attribute", ["allows", "_must_be_quiet"])
def test_without_the_rule_a_question_a_second_keeps_it_hot(what: Command, attribute: str) -> None:
    """The same asker, with the rule and without: calls are never ended and never answered."""
    steps = [("write", what, "mute", 1.0)] * 30
    story(steps, hot=True)
    if attribute == "_must_be_quiet" and what == Command.PING:
        return  # no look: barred by the other half of the rule
    with patch.object(HeatWatch, attribute, lambda *_: attribute == "allows"), pytest.raises(AssertionError):
        story(steps, hot=True)


# Each row: what happened, and what may be written then beside ABORT.
FREE = {Command.STATUS, Command.HELLO, Command.POLL_EVT, Command.PING, Command.SELF_TEST, Command.AUTHORIZE}
LOOKS = {Command.STATUS, Command.HELLO}


def cold(watch: HeatWatch) -> None:
    watch.reported(report(State.IDLE), 0)


def started(watch: HeatWatch) -> None:
    cold(watch)
    watch.join()
    watch.wrote(Command.START, OfSession(42).to_bytes(), 0.0)


def left(watch: HeatWatch) -> None:
    started(watch)
    watch.leave()


def joined_again(watch: HeatWatch) -> None:
    left(watch)
    watch.join()


def aborted(watch: HeatWatch) -> None:
    left(watch)
    watch.aborted()


def in_vain(watch: HeatWatch) -> None:
    aborted(watch)
    watch.reported(report(State.READY), 1)


def unanswered(watch: HeatWatch) -> None:
    left(watch)
    watch.unanswered(Command.ABORT)


def old_report(watch: HeatWatch) -> None:
    started(watch)
    watch.reported(report(State.IDLE), 0)  # asked before START was written
    watch.leave()


def found_hot(watch: HeatWatch) -> None:
    watch.reported(report(State.HEATING), 0)


def found_strange(watch: HeatWatch) -> None:
    watch.reported(report(77), 0)


@pytest.mark.parametrize(
    ("happened", "at_s", "allowed"),
    [
        (lambda _: None, 0.0, LOOKS),  # first contact: it is asked
        (cold, 0.0, FREE),  # but not START: nobody keeps company
        (started, 0.0, FREE | {Command.START}),
        (left, 0.0, set()),
        (left, 60.0, set()),  # ABORT is still due
        (joined_again, 0.0, set()),  # who comes later does not own this heat
        (aborted, 0.0, LOOKS),  # its word is not enough
        (in_vain, 0.0, set()),
        (in_vain, 2.4, set()),
        (in_vain, 2.5, LOOKS),
        (unanswered, 2.4, set()),
        (unanswered, 2.5, LOOKS),
        (old_report, 0.0, set()),
        (found_hot, 0.0, set()),
        (found_strange, 0.0, set()),  # a state that nobody knows may be hot
    ],
)
def test_what_may_be_written(happened, at_s, allowed) -> None:
    watch = HeatWatch()
    happened(watch)
    asked = FREE | {Command.START}
    assert {command for command in asked if watch.allows(command, at_s)} == allowed
    assert watch.allows(Command.ABORT, at_s)
