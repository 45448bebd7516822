"""Which tags are inside: tables of reads, doors and rounds, and what must hold whatever happens."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device_drivers.rfid_m100.presence import MAX_TAGS, Presence, Snapshot
from simulators.hardware.rfid_field import Field, Tag

A, B = b"\xe2\x00\x00\x01", b"\xe2\x00\x00\x02"
NEAR, FAR = -50.0, -70.0
THRESHOLDS = {1: -60.0, 2: -65.0}


def presence(*, closed: bool = True) -> Presence:
    return Presence(THRESHOLDS, door_closed=closed, at_s=0.0)


def heard(what: Presence, epc: bytes, times_s: list[float], rssi_dbm: float = NEAR, antenna: int = 1) -> None:
    for at_s in times_s:
        what.read(epc, rssi_dbm=rssi_dbm, antenna=antenna, at_s=at_s)


@pytest.mark.parametrize(
    ("reads", "inside"),
    [
        # time, RSSI, antenna
        ([(0.0, -50, 1), (1.0, -50, 1), (2.0, -50, 1)], True),  # three in exactly 2 s
        ([(0.0, -50, 1), (1.0, -50, 1), (2.1, -50, 1)], False),  # three in more than 2 s
        ([(0.0, -50, 1), (1.0, -50, 1)], False),  # two only
        ([(0.0, -50, 1), (1.0, -50, 1), (2.1, -50, 1), (2.5, -50, 1)], True),  # the last three
        ([(0.0, -60, 1), (0.1, -60, 1), (0.2, -60, 1)], False),  # at the threshold, not above
        ([(0.0, -90, 1), (0.1, -59, 1), (0.2, -59, 1)], True),  # the median, not the weakest
        ([(0.0, -40, 1), (0.1, -61, 1), (0.2, -61, 1)], False),  # nor the strongest or the mean
        ([(0.0, -62, 2), (0.1, -62, 2), (0.2, -62, 2)], True),  # antenna 2 has a threshold of its own
        ([(0.0, -50, 1), (0.1, -50, 2), (0.2, -50, 1)], False),  # antennas are not added up
        ([(0.0, -50, 3), (0.1, -50, 3), (0.2, -50, 3)], False),  # an antenna of nobody
        ([(1.0, -50, 1), (0.0, -50, 1), (0.5, -50, 1)], True),  # a clock that goes back stands still
    ],
)
def test_present_after_three_strong_reads_within_two_seconds(reads: list[tuple[float, float, int]], inside: bool):
    what = presence()
    for at_s, rssi_dbm, antenna in reads:
        what.read(A, rssi_dbm=rssi_dbm, antenna=antenna, at_s=at_s)
    assert (A in what.present) is inside


@pytest.mark.parametrize(
    ("last_read_s", "closed_s", "round_s", "absent"),
    [
        (1.0, 0.0, (1.5, 7.0), True),  # 6 s of silence, and a round that began in it
        (1.0, 0.0, (1.5, 6.9), False),  # not yet 6 s
        (1.0, 0.0, (0.9, 7.1), False),  # the round began before the last read
        (1.0, 5.0, (5.5, 8.0), False),  # the door is closed for 3 s only
        (1.0, 5.0, (5.5, 11.0), True),  # 6 s behind the closed door
        (1.0, 5.0, (4.9, 11.0), False),  # the round began before the door closed
    ],
)
def test_absent_after_six_silent_seconds_behind_a_closed_door(
    last_read_s: float, closed_s: float, round_s: tuple[float, float], absent: bool
):
    what = presence()
    heard(what, A, [0.0, 0.5, last_read_s])
    if closed_s:
        what.door(closed=False, at_s=last_read_s)
        what.door(closed=True, at_s=closed_s)
    what.full_round(started_s=round_s[0], at_s=round_s[1])
    assert (A not in what.present) is absent


def test_a_round_that_began_before_the_door_closed_agrees_with_nothing():
    what = presence()
    heard(what, A, [0.0, 0.5, 1.0])
    what.door(closed=False, at_s=2.0)
    what.door(closed=True, at_s=3.0)
    heard(what, A, [3.1])
    assert what.full_round(started_s=2.5, at_s=4.0) is None
    assert what.full_round(started_s=4.0, at_s=5.0) is None  # the first that counts
    assert what.full_round(started_s=5.0, at_s=6.0) is not None


def test_a_clock_that_goes_back_makes_nothing_older():
    what = presence()
    heard(what, A, [19.0, 19.5, 20.0, 1.0])
    what.full_round(started_s=2.0, at_s=8.0)
    assert what.present == {A}


def test_no_round_means_nobody_is_absent():
    what = presence()
    heard(what, A, [0.0, 0.5, 1.0])
    heard(what, B, [100.0])
    assert what.present == {A}


def test_an_open_door_makes_nobody_absent_and_tells_nothing():
    what = presence(closed=False)
    heard(what, A, [0.0, 0.5, 1.0])
    assert what.full_round(started_s=2.0, at_s=50.0) is None
    assert what.present == what.undecided == {A}


def story() -> Presence:
    """A and B are inside behind a closed door, and that was told."""
    what = presence()
    for start in (0.0, 1.0):
        heard(what, A, [start + t for t in (0.1, 0.2, 0.3)])
        heard(what, B, [start + t for t in (0.1, 0.2, 0.3)])
        snapshot = what.full_round(started_s=start, at_s=start + 1)
    assert snapshot == Snapshot(2.0, frozenset({A, B}), frozenset(), frozenset())
    return what


def test_the_first_snapshot_has_no_changes():
    story()


def test_what_was_taken_is_told_once_and_only_after_the_silence():
    what = story()
    what.door(closed=False, at_s=3.0)
    what.door(closed=True, at_s=10.0)
    told = []
    for start in range(10, 20):
        heard(what, A, [start + 0.1, start + 0.2, start + 0.3])
        told.append(what.full_round(started_s=float(start), at_s=start + 1.0))
    assert [snapshot for snapshot in told if snapshot] == [
        Snapshot(17.0, frozenset({A}), frozenset(), frozenset({B}))  # absent at 16, agreed at 17
    ]


def test_what_was_put_in_is_told_at_the_second_agreeing_round():
    what = presence()
    for start in (0.0, 1.0):
        heard(what, A, [start + t for t in (0.1, 0.2, 0.3)])
        what.full_round(started_s=start, at_s=start + 1)
    what.door(closed=False, at_s=3.0)
    what.door(closed=True, at_s=4.0)
    told = []
    for start in (4.0, 5.0, 6.0):
        for epc in (A, B):
            heard(what, epc, [start + t for t in (0.1, 0.2, 0.3)])
        told.append(what.full_round(started_s=start, at_s=start + 1))
    assert [s and (s.added, s.removed) for s in told] == [None, ({B}, frozenset()), None]


def test_a_tag_that_is_heard_through_the_wall_keeps_the_door_undecided():
    """Taken out and held before the closed door: it is not silent, and it is not clearly inside."""
    what = story()
    what.door(closed=False, at_s=3.0)
    what.door(closed=True, at_s=4.0)
    for start in range(4, 14):
        heard(what, A, [start + 0.1, start + 0.2])
        heard(what, B, [start + 0.1, start + 0.2], FAR)
        assert what.full_round(started_s=float(start), at_s=start + 1.0) is None
    assert what.undecided == {B}
    told = []
    for start in range(14, 24):
        heard(what, A, [start + 0.1, start + 0.2])
        told.append(what.full_round(started_s=float(start), at_s=start + 1.0))
    assert [s.removed for s in told if s] == [{B}]


def test_a_tag_that_is_seen_in_some_rounds_only_stays():
    """Goods hide it: one clear read since the door closed is enough for what was inside before."""
    what = story()
    what.door(closed=False, at_s=3.0)
    what.door(closed=True, at_s=4.0)
    heard(what, A, [4.1])
    heard(what, B, [4.1])
    assert what.full_round(started_s=4.0, at_s=5.0) is None
    assert what.full_round(started_s=5.0, at_s=6.0) == Snapshot(6.0, frozenset({A, B}), frozenset(), frozenset())


def test_tags_that_pass_by_do_not_pile_up():
    what = presence()
    for number in range(MAX_TAGS + 10):
        heard(what, number.to_bytes(4, "big"), [0.001 * (number % 2)], FAR)
    assert what.dropped == 10
    heard(what, A, [5.0])
    assert what.dropped == 10


def test_an_antenna_that_hangs_and_one_that_is_dead_are_told_from_a_taken_carton():
    """A stuck antenna goes on showing what is gone: nothing is told of it, so it must be found by other means.

    A dead one makes everything absent at once: that is a snapshot which a caller can refuse.
    """
    field = Field([Tag(A, rssi_dbm=NEAR), Tag(B, rssi_dbm=NEAR)], rng=Random(3))
    what = presence()
    told: list[Snapshot] = []

    def second(start: float) -> None:
        for step in range(4):
            for one in field.round():
                what.read(one.tag.epc, rssi_dbm=one.rssi_dbm, antenna=1, at_s=start + step / 4)
        if snapshot := what.full_round(started_s=start, at_s=start + 1):
            told.append(snapshot)

    second(0)
    second(1)
    field.stuck = True
    field.take(B)
    what.door(closed=False, at_s=2.0)
    what.door(closed=True, at_s=2.0)
    for start in range(2, 12):
        second(start)
    field.stuck, field.dead = False, True
    what.door(closed=False, at_s=12.0)
    what.door(closed=True, at_s=12.0)
    for start in range(12, 24):
        second(start)
    assert [(s.tags, s.removed) for s in told] == [
        ({A, B}, frozenset()),
        ({A, B}, frozenset()),
        (frozenset(), {A, B}),
    ]


steps = st.lists(
    st.one_of(
        st.tuples(
            st.just("read"),
            st.sampled_from([A, B]),
            st.sampled_from([-90.0, FAR, -60.0, NEAR]),
            st.sampled_from([1, 2]),
        ),
        st.tuples(st.just("door"), st.booleans()),
        st.tuples(st.just("round"), st.floats(0, 8)),
        st.tuples(st.just("wait"), st.floats(0, 4)),
    ),
    max_size=120,
)


@settings(max_examples=300, deadline=None)
@given(steps)
def test_whatever_happens(script: list[tuple]):
    """Snapshots form a chain of differences, one a closing, none behind an open door; no tag appears out of nothing."""
    what, now_s, closed, closed_s = presence(), 0.0, True, 0.0
    told_since_closing, chain = False, None
    reads: list[tuple[float, bytes, float, int]] = []
    for step in script:
        match step:
            case ("read", epc, rssi_dbm, antenna):
                before = epc in what.present
                what.read(epc, rssi_dbm=rssi_dbm, antenna=antenna, at_s=now_s)
                reads.append((now_s, epc, rssi_dbm, antenna))
                if epc in what.present and not before:
                    window = [
                        r for t, e, r, a in reads if e == epc and a == antenna and now_s - t <= 2.0
                    ]  # the newest read decided
                    assert len(window) >= 3
                    assert sorted(window)[len(window) // 2] > THRESHOLDS[antenna]
            case ("door", is_closed):
                what.door(closed=is_closed, at_s=now_s)
                told_since_closing = told_since_closing and is_closed == closed
                closed_s = now_s if is_closed and not closed else closed_s
                closed = is_closed
            case ("round", length_s):
                before_round = what.present
                snapshot = what.full_round(started_s=now_s, at_s=now_s + length_s)
                now_s += length_s
                assert what.present <= before_round  # a round only takes away
                for epc in before_round - what.present:
                    assert now_s - max(t for t, e, _, _ in reads if e == epc) >= 6
                    assert now_s - closed_s >= 6
                if not closed:
                    assert what.present == before_round
                if snapshot:
                    assert closed
                    assert not told_since_closing
                    told_since_closing = True
                    assert snapshot.tags == what.present
                    assert not snapshot.added & snapshot.removed
                    if chain is None:
                        assert not snapshot.added | snapshot.removed
                    else:
                        assert chain - snapshot.removed | snapshot.added == snapshot.tags
                        assert snapshot.removed <= chain
                    chain = snapshot.tags
            case ("wait", length_s):
                now_s += length_s


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 100), st.floats(-120, -60)), max_size=60))
def test_weak_reads_make_nobody_present(reads: list[tuple[float, float]]):
    what = presence()
    for at_s, rssi_dbm in reads:
        what.read(A, rssi_dbm=rssi_dbm, antenna=1, at_s=at_s)
    assert what.present == frozenset()
