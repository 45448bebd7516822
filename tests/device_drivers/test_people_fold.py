"""What counts come to: tables for each rule, and the simulator's truth under any sequence of crossings and faults."""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device_drivers.errors import MisconfiguredError
from device_drivers.people_counter import running
from device_drivers.people_counter.alert import Alert, Counting, Counts, parse_alert
from device_drivers.people_counter.fold import MAX_LINES, CameraFold, Line
from device_drivers.people_counter.intervals import IntervalFold
from device_drivers.people_counter.running import RunningFold
from device_drivers.people_counter.steps import MAX_AHEAD
from simulators.hardware.people_counter import PeopleCamera

EAST = timezone(timedelta(hours=8))
DAY = datetime(2026, 3, 2, tzinfo=EAST)
FAR = datetime(2030, 1, 1, tzinfo=UTC)  # our own clock, where it does not matter
AWAY = "away"


def at(text: str) -> datetime:
    """`10:00` of the day, `10:00:05`, or `+1 10:00` of the next."""
    days, _, clock = text.rpartition(" ")
    hours, minutes, *seconds = (int(word) for word in clock.split(":"))
    return DAY + timedelta(days=int(days or 0), hours=hours, minutes=minutes, seconds=seconds[0] if seconds else 0)


def now(text: str, entered: int, left: int = 0, *, late: bool = False, **more: int) -> Counting:
    return Counting("realTime", at(text), at(text), Counts(entered, left, **more), late=late)


def span(start: str, end: str, entered: int, left: int = 0, *, late: bool = False) -> Counting:
    return Counting("timeRange", at(start), at(end), Counts(entered, left), late=late)


def fed(fold, events) -> list[str]:
    outcomes = []
    for event in events:
        if event == AWAY:
            fold.interrupted()
        else:
            outcomes.append(fold.add(event, FAR))
    return outcomes


RUNNING = [
    # the first count is where we begin: who came before it is not ours
    ([now("10:00", 167, 454)], ["counted"], (0, 0), []),
    ([now("10:00", 167, 454), now("10:01", 169, 455)], ["counted"] * 2, (2, 1), []),
    # told twice, and by a second stream
    ([now("10:00", 5), now("10:01", 6), now("10:01", 6), now("10:00", 5)], ["counted", "counted", "same", "same"], (1, 0), []),
    # two people within one second: the camera tells whole seconds
    ([now("10:00", 5), now("10:01", 6), now("10:01", 7)], ["counted", "counted", "updated"], (2, 0), []),
    ([now("10:00", 5), now("10:01", 7), now("10:01", 6)], ["counted", "counted", "older"], (2, 0), []),
    # and when the first of them is where we begin
    ([now("10:00", 5), now("10:00", 7), now("10:01", 8)], ["counted", "updated", "counted"], (3, 0), []),
    # a new beginning that a second count of its second would hide
    ([now("10:00", 1, 1), now("10:01", 0, 1), now("10:01", 1, 1)], ["counted", "counted", "older"], (0, 1), ["reset"]),
    # a restart: never below zero, and never the whole again
    ([now("10:00", 500, 400), AWAY, now("10:05", 2, 1)], ["counted"] * 2, (2, 1), ["reset"]),
    ([now("10:00", 500, 400), AWAY, now("10:05", 2, 1), now("10:06", 3, 1)], ["counted"] * 3, (3, 1), ["reset"]),
    # one counter fell: both began anew
    ([now("10:00", 5, 0), AWAY, now("10:05", 1, 2)], ["counted"] * 2, (1, 2), ["reset"]),
    # it began anew although nobody heard of a restart (a reset by hand)
    ([now("10:00", 500), now("10:05", 2)], ["counted"] * 2, (2, 0), ["reset"]),
    # the line was away and nothing fell: the counters bridge it, a hidden restart is told as possible
    ([now("10:00", 5), AWAY, now("10:05", 9)], ["counted"] * 2, (4, 0), ["outage"]),
    # midnight: a fall is expected, nothing is missing
    ([now("23:50", 500, 499), now("+1 08:00", 1, 0)], ["counted"] * 2, (1, 0), []),
    # midnight without a fall: who came by day counts whole
    ([now("23:50", 2), now("+1 08:00", 3)], ["counted"] * 2, (3, 0), []),
    # the last of the day is told just after its end: not the whole again
    ([now("23:50", 500), now("+1 00:00", 501), now("+1 08:00", 3)], ["counted"] * 3, (4, 0), ["midnight", "reset"]),
    ([now("23:50", 500), now("+1 00:00:30", 1), now("+1 08:00", 3)], ["counted"] * 3, (3, 0), []),
    # out of order: between its neighbours it proves nothing new
    ([now("10:00", 5), now("10:02", 7), now("10:01", 6)], ["counted", "counted", "older"], (2, 0), []),
    # out of order over midnight: what the day before had besides
    ([now("23:50", 500), now("+1 08:00", 1), now("23:58", 503)], ["counted", "counted", "late"], (4, 0), []),
    # told again late, from before a restart that is known: people who would have been lost
    ([now("10:00", 5), AWAY, now("10:05", 1), now("10:02", 8, late=True)], ["counted", "counted", "late"], (4, 0), ["outage", "reset"]),
    # told again late: it shows a restart that the counters had hidden
    ([now("10:00", 5), AWAY, now("10:05", 6), now("10:04", 2, late=True)], ["counted", "counted", "late"], (6, 0), ["reset", "outage"]),
    # a clock that went back makes no people, and loses none once it is right again
    ([now("10:00", 10), now("10:10", 20), now("10:05", 21), now("10:06", 22), now("10:11", 23)], ["counted", "counted", "contradicts", "contradicts", "counted"], (13, 0), []),
    # a clock that lost its time in a restart: told, until it is right again
    ([now("10:00", 10), AWAY, now("-9000 10:00", 1)], ["counted", "older"], (0, 0), ["clock"]),
    ([now("10:00", 10), AWAY, now("-9000 10:00", 1), now("10:05", 2)], ["counted", "older", "counted"], (2, 0), ["reset"]),
    # before we began
    ([now("10:00", 10), now("09:00", 8, late=True)], ["counted", "older"], (0, 0), []),
]  # fmt: skip


@pytest.mark.parametrize(("events", "outcomes", "total", "gaps"), RUNNING)
def test_counters_that_only_rise(events, outcomes, total, gaps):
    fold = RunningFold(resets_daily=True)
    assert fed(fold, events) == outcomes
    assert (fold.total.entered, fold.total.left) == total
    assert [gap.why for gap in fold.gaps] == gaps


def test_a_camera_that_counts_on_over_midnight():
    fold = RunningFold(resets_daily=False)
    fed(fold, [now("23:50", 500), now("+1 08:00", 503), now("+1 23:00", 600), now("+2 08:00", 600)])
    assert (fold.total.entered, fold.gaps) == (100, [])
    fed(fold, [now("+3 08:00", 4)])  # its description is wrong, and each day says so
    assert (fold.total.entered, [gap.why for gap in fold.gaps]) == (104, ["reset"])


def test_what_a_camera_does_not_always_tell_begins_nothing_anew():
    fold = RunningFold(resets_daily=True)
    fed(
        fold,
        [now("10:00", 5, passed=9000), now("10:01", 6), now("10:02", 7, passed=9004), now("10:03", 8, passed=9005)],
    )
    assert fold.total.entered == 3
    assert fold.total.passed == 1  # the least that is proven
    assert fold.gaps == []


def test_a_run_goes_on_where_the_last_one_ended():
    fold = RunningFold(resets_daily=True, known=now("10:00", 100, 90))
    assert fed(fold, [now("10:30", 104, 95)]) == ["counted"]
    assert (fold.total.entered, fold.total.left) == (4, 5)
    assert [gap.why for gap in fold.gaps] == ["outage"]


def test_what_is_kept_has_a_cap_and_the_sum_has_none(monkeypatch):
    monkeypatch.setattr(running, "MAX_KEPT", 8)
    fold = RunningFold(resets_daily=True)
    for minute in range(200):
        fed(
            fold,
            [now(f"10:{minute % 60:02d}" if minute < 60 else f"{10 + minute // 60}:{minute % 60:02d}", minute % 50)],
        )
    assert fold.total.entered == 199 - 3  # three restarts: the count of zero rises nothing
    assert len(fold._kept) == 8
    assert len(fold.gaps) == 3
    assert fed(fold, [now("10:00:30", 0)]) == ["forgotten"]


INTERVALS = [
    ([span("10:00", "10:15", 3, 1), span("10:15", "10:30", 2, 2)], ["counted"] * 2, (5, 3), []),
    # the same again, by whatever way
    ([span("10:00", "10:15", 3), span("10:00", "10:15", 3), span("10:00", "10:15", 3, late=True)], ["counted", "same", "same"], (3, 0), []),
    # told again with more: it takes the place of the first, it is not added
    ([span("10:00", "10:15", 3), span("10:00", "10:15", 7, late=True)], ["counted", "updated"], (7, 0), []),
    ([span("10:00", "10:15", 3), span("10:00", "10:15", 2, late=True)], ["counted", "updated"], (2, 0), []),
    # the first telling comes after its correction
    ([span("10:00", "10:15", 7, late=True), span("10:00", "10:15", 3)], ["counted", "older"], (7, 0), []),
    # an interval that grew, and its beginning that comes after
    ([span("10:00", "10:05", 1), span("10:00", "10:15", 4), span("10:00", "10:05", 1)], ["counted", "updated", "older"], (4, 0), []),
    # a hole is told, and filled by what comes late
    ([span("10:00", "10:15", 3), span("10:30", "10:45", 2)], ["counted"] * 2, (5, 0), ["missing"]),
    ([span("10:00", "10:15", 3), span("10:30", "10:45", 2), span("10:15", "10:30", 9, late=True)], ["counted", "counted", "late"], (14, 0), []),
    # older than the first: an interval is whole by itself
    ([span("10:15", "10:30", 3), span("10:00", "10:15", 2)], ["counted", "late"], (5, 0), []),
    # the hour as well as its quarters: its people are counted already
    ([span("10:00", "10:15", 3), span("10:15", "10:30", 2), span("09:30", "10:30", 5)], ["counted", "counted", "overlaps"], (5, 0), ["overlap"]),
    ([span("10:00", "11:00", 9), span("10:15", "10:30", 2)], ["counted", "overlaps"], (9, 0), ["overlap"]),
    ([span("10:00", "10:15", 3), span("10:15", "10:30", 2), span("10:00", "10:30", 5)], ["counted", "counted", "overlaps"], (5, 0), ["overlap"]),
    # triggered counts without a span: only a lost line can hide one
    ([span("10:00", "10:00", 3), span("10:20", "10:20", 2)], ["counted"] * 2, (5, 0), []),
    ([span("10:00", "10:00", 3), AWAY, span("10:20", "10:20", 2)], ["counted"] * 2, (5, 0), ["outage"]),
]  # fmt: skip


@pytest.mark.parametrize(("events", "outcomes", "total", "gaps"), INTERVALS)
def test_totals_of_intervals(events, outcomes, total, gaps):
    fold = IntervalFold()
    assert fed(fold, events) == outcomes
    assert (fold.total.entered, fold.total.left) == total
    assert [gap.why for gap in fold.gaps] == gaps


def test_an_interval_of_an_earlier_run_is_not_counted_again():
    fold = IntervalFold(known=span("10:00", "10:15", 3))
    assert fed(fold, [span("10:00", "10:15", 3, late=True), span("10:30", "10:45", 1)]) == ["forgotten", "counted"]
    assert fold.total.entered == 1
    assert [(gap.why, gap.start, gap.end) for gap in fold.gaps] == [("missing", at("10:15"), at("10:30"))]


def test_a_count_from_the_future_would_hide_all_true_ones():
    for fold in (RunningFold(resets_daily=True), IntervalFold()):
        assert fold.add(now("10:00", 5), at("10:00")) == "counted"
        assert fold.add(now("12:00", 50), at("12:00") - MAX_AHEAD - timedelta(seconds=1)) == "ahead"
        assert fold.add(now("10:01", 6), at("10:01")) == "counted"


# ------------------------------------------------------------------ a camera


def alert(counting: Counting, *, mac: str = "24:28:fd:00:00:11", channel: str = "1") -> Alert:
    return Alert("PeopleCounting", "active", mac, channel, counting)


def test_one_method_counts_and_no_other():
    fold = CameraFold(method="timeRange", resets_daily=True)
    said = [alert(now("10:05", 3)), alert(span("10:00", "10:15", 3)), Alert("videoloss", "inactive")]
    assert [fold.add(one, FAR) for one in said] == ["other_method", "counted", None]
    assert fold.lines[Line("1", "")].total.entered == 3
    assert fold.counters == {"other_method": 1, "counted": 1}


def test_another_camera_is_not_believed():
    fold = CameraFold(method="realTime", resets_daily=True, mac="24-28-FD-00-00-11")
    assert fold.add(alert(now("10:00", 3), mac="24:28:fd:00:00:12"), FAR) == "other_camera"
    assert fold.add(alert(now("10:00", 3)), FAR) == "counted"
    first = CameraFold(method="realTime", resets_daily=True)
    assert [first.add(alert(now("10:00", 3), mac=m), FAR) for m in ("24:28:fd:00:00:12", "24:28:fd:00:00:11")] == ["counted", "other_camera"]  # fmt: skip


def test_lines_of_one_camera_stand_apart_and_have_a_cap():
    fold = CameraFold(method="realTime", resets_daily=True)
    for channel in range(MAX_LINES + 2):
        fold.add(alert(now("10:00", 7), channel=str(channel)), FAR)
        fold.add(alert(now("10:01", 8), channel=str(channel)), FAR)
    assert [one.total.entered for one in fold.lines.values()] == [1] * MAX_LINES
    assert fold.counters["too_many"] == 4


def test_a_camera_goes_on_after_a_run():
    for method, first, second in (
        ("realTime", now("10:00", 7), now("10:05", 9)),
        ("timeRange", span("10:00", "10:15", 7), span("10:15", "10:30", 2)),
    ):
        before = CameraFold(method=method, resets_daily=True)
        before.add(alert(first), FAR)
        after = CameraFold(method=method, resets_daily=True, known=before.known())
        after.add(alert(first), FAR)
        after.add(alert(second), FAR)
        assert after.lines[Line("1", "")].total.entered == 2


def test_a_method_that_there_is_not():
    with pytest.raises(MisconfiguredError, match="realTime, timeRange"):
        CameraFold(method="weekly", resets_daily=True)  # type: ignore[arg-type]


# ------------------------------------------------------------------ the truth


class Story:
    """A camera, a wire that loses, swaps and doubles what is on it, and a fold for each method."""

    def __init__(self, *, resets_daily: bool, retransmits: bool, schema: str) -> None:
        self.camera = PeopleCamera(
            at("09:00"),
            tells=("realTime", "timeRange"),
            resets_daily=resets_daily,
            retransmits=retransmits,
            schema=schema,
        )
        self.folds = {
            method: CameraFold(method=method, resets_daily=resets_daily) for method in ("realTime", "timeRange")
        }
        self.wire: deque[str] = deque()
        self.camera.on_cut = self._cut
        self._hear(self.camera.document("realTime", self.camera.now, self.camera.now, 0, 0))  # where we begin
        self.camera.listeners.append(self.wire.append)
        self.camera.advance(900)
        self.deliver()

    def _hear(self, document: str) -> None:
        for fold in self.folds.values():
            fold.add(parse_alert(document.encode()), self.camera.now)

    def _cut(self) -> None:
        self.camera.listeners.clear()
        self.wire.clear()  # what was under way never arrives

    def deliver(self) -> None:
        while self.wire:
            self._hear(self.wire.popleft())

    def reconnect(self) -> None:
        if not self.camera.listeners and self.camera.online:
            for fold in self.folds.values():
                fold.interrupted()
            self.camera.listeners.append(self.wire.append)
            self.camera.retell()

    def do(self, event: str) -> None:
        match event:
            case "in" | "out":
                self.camera.cross(event)
            case "a while":
                self.camera.advance(37)
            case "an hour":
                self.camera.advance(3600)
            case "a night":
                self.camera.advance(9 * 3600)
            case "restart":
                self.camera.restart()
            case "network out":
                self.camera.network(up=False)
            case "network in":
                self.camera.network(up=True)
                self.reconnect()
            case "reconnect":
                self.reconnect()
            case "deliver":
                self.deliver()
            case "swap" if len(self.wire) > 1:
                self.wire[0], self.wire[1] = self.wire[1], self.wire[0]
            case "double" if self.wire:
                self.wire.append(self.wire[0])

    def end(self) -> None:
        self.do("network in")
        self.deliver()
        self.camera.advance(1)
        self.camera.cross("in")
        self.camera.advance(900)
        self.deliver()

    def line(self, method: str):
        (fold,) = self.folds[method].lines.values()
        return fold


EVENTS = ["in", "in", "out", "a while", "an hour", "a night", "restart", "network out", "network in", "reconnect", "deliver", "swap", "double"]  # fmt: skip
HARMLESS = [event for event in EVENTS if event != "restart"]


def judged(story: Story, method: str) -> None:
    fold, truth = story.line(method), story.camera.truth
    found = {"in": fold.total.entered, "out": fold.total.left}
    assert found["in"] <= truth["in"], f"{method}: people who did not pass"
    assert found["out"] <= truth["out"], f"{method}: people who did not pass"
    assert found == {"in": truth["in"], "out": truth["out"]} or fold.gaps, f"{method}: {found}, and no gap is told"


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.sampled_from(EVENTS), max_size=60),
    st.booleans(),
    st.booleans(),
    st.sampled_from(["psia", "isapi"]),
)
def test_the_sum_is_the_truth_or_the_loss_is_told(events, resets_daily, retransmits, schema):
    story = Story(resets_daily=resets_daily, retransmits=retransmits, schema=schema)
    for event in events:
        story.do(event)
    story.end()
    judged(story, "realTime")
    judged(story, "timeRange")


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from([e for e in HARMLESS if not e.startswith("network")]), max_size=60), st.booleans())
def test_a_stream_that_holds_loses_nobody_and_tells_no_gap(events, resets_daily):
    """Swapped and doubled, over any number of midnights."""
    story = Story(resets_daily=resets_daily, retransmits=True, schema="psia")
    for event in events:
        story.do(event)
        if event == "a night":
            story.deliver()
    story.end()
    for method in ("realTime", "timeRange"):
        judged(story, method)
        assert [gap.why for gap in story.line(method).gaps if gap.why != "midnight"] == []


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(HARMLESS), max_size=60))
def test_counters_bridge_a_network_that_was_away(events):
    """Without a restart and without midnights a cumulative counter loses nobody, whatever the line does."""
    story = Story(resets_daily=False, retransmits=False, schema="psia")
    for event in events:
        story.do(event)
    story.end()
    fold, truth = story.line("realTime"), story.camera.truth
    assert (fold.total.entered, fold.total.left) == (truth["in"], truth["out"])


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.just(AWAY),
            st.builds(lambda s, e, x, late: Counting("realTime", DAY + timedelta(seconds=s), DAY + timedelta(seconds=s), Counts(e, x), late=late), st.integers(0, 200000), st.integers(0, 9), st.integers(0, 9), st.booleans()),
        ),
        max_size=40,
    ),
    st.booleans(),
)  # fmt: skip
def test_no_counts_make_a_sum_fall_below_zero_or_shrink(events, resets_daily):
    fold = RunningFold(resets_daily=resets_daily)
    before = 0
    for event in events:
        fed(fold, [event])
        assert fold.total.entered >= 0
        assert fold.total.left >= 0
        assert fold.total.entered + fold.total.left >= before
        before = fold.total.entered + fold.total.left
        assert all(gap.start <= gap.end for gap in fold.gaps)


# ------------------------------------------------------------------ mistakes that must be noticed


def _whole_again(self, before, after):
    return after.counts


def _never_anew(self, before, after):
    return False


def _by_arrival(self, count, now):
    del now
    self._kept.append((count.start, count, self._was_away))
    return "counted"


def _added_again(self, at, count):
    self._sum = Counts(self._sum.entered + count.counts.entered, self._sum.left + count.counts.left)
    return "counted"


def _never_overlaps(self, before, after, count):
    return False


@pytest.mark.parametrize(
    ("kind", "name", "mistake"),
    [
        (RunningFold, "_rise", _whole_again),
        (RunningFold, "_begins_anew", _never_anew),
        (RunningFold, "add", _by_arrival),
        (RunningFold, "_new_beginnings", lambda *_: 0),  # a clock that went back makes people
        (IntervalFold, "_again", _added_again),
        (IntervalFold, "_overlaps", _never_overlaps),
    ],
)
def test_planted_mistakes_are_caught(kind, name, mistake, monkeypatch):
    monkeypatch.setattr(kind, name, mistake)
    caught = 0
    for events, _, total, _ in RUNNING if kind is RunningFold else INTERVALS:
        fold = RunningFold(resets_daily=True) if kind is RunningFold else IntervalFold()
        fed(fold, events)
        caught += (fold.total.entered, fold.total.left) != total
    assert caught > 0
