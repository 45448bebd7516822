"""Every rule of the conversation, one test each; the rule stands in the test's first line."""

from __future__ import annotations

import random
from itertools import count

import pytest

from contracts.messages import MAX_BATCH_BYTES, Ack, HelloAnswer, Refusal
from edge.uplink.machine import (
    PROGRESS_TIMEOUT_S,
    Alarm,
    Confirm,
    Fork,
    LaneMachine,
    SendBatch,
    SendHello,
)
from tests.edge_uplink.model import Disk

STREAM = "11111111-2222-4333-8444-555555555555"
OTHER = "ab" * 32


class Table:
    """A machine over a disk of `events` rows of which `freed` are freed, and short words for its inputs."""

    def __init__(self, events: int = 6, freed: int = 0) -> None:
        self.disk = Disk(STREAM)
        for n in range(events):
            self.disk.append(b"e%d" % n)
        self.full = self.disk.copy()  # still knows every hash
        self.disk.confirm(freed)
        nonces = (f"n{k}" for k in count(1))
        self.m = LaneMachine(lane=self.disk, rng=random.Random(7), new_nonce=lambda: next(nonces))

    def hash(self, seq: int) -> str:
        digest = self.full.hash_at(seq) or self.disk.hash_at(seq)
        assert digest is not None
        return digest.hex()

    def answer(self, wm: int, now_s: float = 0.0, *, digest: str = "", probe: str | None = None, **kw):
        body = {
            "nonce": self.m.nonce,
            "stream": STREAM,
            "watermark": wm,
            "hash_at_watermark": digest or self.hash(wm),
            "hash_at_probe": probe,
            "active": True,
            "window": 1000,
            "t0": 0,
            "t1": 0,
            "t2": 0,
        }
        return self.m.answered(HelloAnswer(**{**body, **kw}), now_s)

    def ack(self, wm: int | None, now_s: float = 0.0, *, digest: str = "", **kw):
        body = {"stream": STREAM, "nonce": self.m.nonce, "watermark": wm}
        if wm is not None:
            body["hash_at_watermark"] = digest or self.hash(wm)
        return self.m.acked(Ack(**{**body, **kw}), now_s)

    def ready(self, wm: int = 0, **kw) -> Table:
        self.m.connected(0.0)
        for act in self.answer(wm, **kw):
            if isinstance(act, Confirm):
                self.disk.confirm(act.seq)
        assert self.m.state == "ready"
        return self

    def append(self, n: int = 1) -> None:
        for k in range(n):
            self.disk.append(b"more%d" % k)
            self.full.append(b"more%d" % k)


# ------------------------------------------------------------------ hello


def test_a_connection_begins_with_a_hello_that_says_where_the_chain_ends() -> None:
    t = Table(events=3)
    (hello,) = t.m.connected(0.0)
    assert hello == SendHello("n1", STREAM, None, 4, t.disk.tail.hash, None)
    assert t.m.state == "hello"


def test_a_fork_names_its_parent_in_every_hello() -> None:
    t = Table(events=3)
    forked = t.disk.fork(2, "99999999-2222-4333-8444-555555555555")
    t.m.lane = forked
    (hello,) = t.m.connected(0.0)
    assert isinstance(hello, SendHello)
    assert hello.parent is not None
    assert (hello.parent.stream, hello.parent.common) == (STREAM, 2)


def test_no_batch_before_the_hello_is_answered() -> None:
    t = Table()
    t.m.connected(0.0)
    assert t.m.grew() == ()


def test_no_ack_counts_before_the_hello_is_answered() -> None:
    t = Table()
    t.m.connected(0.0)
    assert t.ack(4) == ()
    assert t.m.counters["ack_stale"] == 1


def test_each_hello_has_a_nonce_of_its_own() -> None:
    t = Table()
    nonces = {t.m.connected(0.0)[0].nonce for _ in range(3)}
    assert len(nonces) == 3


def test_an_answer_to_an_older_hello_is_not_believed() -> None:
    t = Table()
    t.m.connected(0.0)
    old = t.m.nonce
    t.m.disconnected()
    t.m.connected(1.0)
    assert t.answer(3, nonce=old) == ()
    assert t.m.state == "hello"
    assert t.m.counters["hello_answer_stale"] == 1


def test_a_nonce_is_used_once_so_a_doubled_answer_changes_nothing() -> None:
    t = Table().ready(0)
    t.m.sent(t.m.nonce, 6, 0.0)
    assert t.answer(2) == ()
    assert (t.m.watermark, t.m.sent_seq) == (0, 6)


def test_an_answer_about_another_stream_is_not_believed() -> None:
    t = Table()
    t.m.connected(0.0)
    assert t.answer(0, stream="99999999-2222-4333-8444-555555555555") == ()
    assert t.m.state == "hello"


def test_an_equal_hash_frees_what_the_cloud_holds_and_sends_what_it_lacks() -> None:
    t = Table(events=6)
    t.m.connected(0.0)
    confirm, batch = t.answer(4)
    assert confirm == Confirm(4)
    assert batch == SendBatch("n1", 4, 512, batch.max_bytes)
    assert batch.max_bytes < MAX_BATCH_BYTES


def test_an_answer_at_what_is_freed_already_frees_nothing() -> None:
    t = Table(events=4, freed=4)
    t.m.connected(0.0)
    assert t.answer(4) == []
    assert t.m.state == "ready"


def test_a_disconnected_machine_says_and_believes_nothing() -> None:
    t = Table().ready(0)
    t.m.disconnected()
    assert t.ack(2) == ()
    assert t.m.grew() == ()
    assert t.m.tick(1e9) == ()


# ------------------------------------------------------------------ acks


def test_an_ack_with_our_hash_frees_and_sends_on() -> None:
    t = Table().ready(0)
    t.m.sent("n1", 6, 0.0)
    t.append(2)
    assert t.ack(6) == [Confirm(6), SendBatch("n1", 6, 512, MAX_BATCH_BYTES - 1024)]


BAD_ACKS = [
    pytest.param({"wm": 4, "digest": OTHER}, "ack_hash_differs", id="another hash at the watermark"),
    pytest.param({"wm": 7, "digest": OTHER}, "ack_hash_differs", id="watermark beyond the tail"),
    pytest.param({"wm": None}, "ack_empty", id="neither watermark nor refusal"),
    pytest.param({"wm": None, "refused": Refusal(first_seq=1, reason="diverged")}, "refused", id="a refusal"),
]


@pytest.mark.parametrize(("ack", "counter"), BAD_ACKS)
def test_anything_else_leads_to_a_new_hello_never_straight_to_freeing_or_forking(ack, counter) -> None:
    t = Table().ready(0)
    t.m.sent("n1", 6, 0.0)
    ack = dict(ack)
    assert t.ack(ack.pop("wm"), **ack) == ()
    assert t.m.state == "wait"
    assert t.m.counters[counter] == 1
    (hello,) = t.m.tick(PROGRESS_TIMEOUT_S)
    assert isinstance(hello, SendHello)
    assert hello.nonce == "n2"


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"nonce": "n0"}, id="of an older hello"),
        pytest.param({"stream": "99999999-2222-4333-8444-555555555555"}, id="of another stream"),
    ],
)
def test_a_stale_ack_or_refusal_is_dropped_and_counted(change) -> None:
    t = Table().ready(0)
    assert t.ack(2, **change) == ()
    assert t.ack(None, refused=Refusal(first_seq=1, reason="diverged"), **change) == ()
    assert t.m.state == "ready"
    assert t.m.counters["ack_stale"] == 2


def test_acks_out_of_order_keep_the_greatest_watermark() -> None:
    t = Table().ready(0)
    t.m.sent("n1", 6, 0.0)
    assert t.ack(5)[0] == Confirm(5)
    assert t.ack(3) == ()  # not freed yet here: late, though its hash is ours
    t.disk.confirm(5)
    assert t.ack(3) == ()  # freed: late
    assert t.m.watermark == 5
    assert t.m.counters["ack_late"] == 2


def test_a_refusal_repeated_at_one_place_raises_an_alarm() -> None:
    t = Table().ready(0)
    found = []
    for _ in range(4):
        found += t.ack(None, refused=Refusal(first_seq=1, reason="chain"))
        t.m.tick(1e6)
        t.answer(0, 1e6)
    assert [a.name for a in found if isinstance(a, Alarm)] == ["refused"]


# ------------------------------------------------------------------ window and progress


def test_never_more_in_flight_than_the_window() -> None:
    t = Table(events=20).ready(0, window=6)
    assert t.m.sent("n1", 4, 0.0) == [SendBatch("n1", 4, 2, MAX_BATCH_BYTES - 1024)]
    assert t.m.sent("n1", 6, 0.0) == ()
    assert t.m.grew() == ()
    assert t.ack(3, window=8) == [Confirm(3), SendBatch("n1", 6, 5, MAX_BATCH_BYTES - 1024)]


def test_one_read_at_a_time() -> None:
    t = Table().ready(0)  # its answer asked for a batch
    assert t.m.grew() == ()


def test_a_batch_read_under_an_older_hello_does_not_count_as_sent() -> None:
    t = Table().ready(0)
    t.m.disconnected()
    t.m.connected(1.0)
    assert t.m.sent("n1", 6, 1.0) == ()
    assert t.m.sent_seq == 0


def test_an_empty_read_is_no_reason_to_read_again_at_once() -> None:
    t = Table().ready(0)
    assert t.m.sent("n1", 0, 0.0) == ()


def test_at_most_512_events_a_batch() -> None:
    t = Table(events=600)
    t.m.connected(0.0)
    (batch,) = t.answer(0, window=10_000)
    assert batch.max_events == 512


def test_t_without_progress_is_a_new_hello_and_goes_back_to_the_watermark() -> None:
    t = Table().ready(0)
    t.m.sent("n1", 6, 0.0)
    t.ack(2, 1.0)
    assert t.m.tick(1.0 + PROGRESS_TIMEOUT_S - 0.01) == ()
    assert t.m.tick(1.0 + PROGRESS_TIMEOUT_S) == ()
    assert t.m.state == "wait"
    (hello,) = t.m.tick(12.0)
    assert hello.nonce == "n2"
    actions = t.answer(2)
    assert SendBatch("n2", 2, t.m.batch.events, t.m.batch.size_bytes) in actions


def test_nothing_in_flight_is_no_lack_of_progress() -> None:
    t = Table(events=0).ready(0)
    assert t.m.tick(1e6) == ()
    assert t.m.state == "ready"


def test_progress_is_expected_from_the_first_batch_in_flight_on() -> None:
    t = Table(events=0).ready(0)
    t.append(1)
    (batch,) = t.m.grew()
    t.m.sent(batch.nonce, 1, 1000.0)
    t.m.tick(1000.0 + PROGRESS_TIMEOUT_S - 1)
    assert t.m.state == "ready"
    t.m.tick(1000.0 + PROGRESS_TIMEOUT_S)
    assert t.m.state == "wait"


def test_an_unanswered_hello_is_said_again_with_growing_pauses_up_to_30_s() -> None:
    t = Table()
    t.m.connected(0.0)
    pauses, now_s = [], 0.0
    for _ in range(200):
        now_s = t.m._due_s
        t.m.tick(now_s)
        assert t.m.state == "wait"
        pauses.append(t.m._due_s - now_s)
        t.m.tick(t.m._due_s)
        assert t.m.state == "hello"
    assert max(pauses[:3]) <= 2.0
    assert 20.0 < max(pauses) <= 30.0
    assert min(pauses[50:]) < 5.0  # full jitter, not a fixed pause


def test_the_pause_grows_on_although_the_cloud_answers_between() -> None:
    """Reset only after a stable period: an answer alone does not make the next pause short."""
    t = Table().ready(0)
    now_s = 0.0
    for _ in range(12):
        t.m.sent(t.m.nonce, 6, now_s)
        t.ack(None, now_s)
        now_s = t.m._due_s
        t.m.tick(now_s)
        t.answer(0, now_s)
    assert t.m._backoff.failures == 12
    t.m.sent(t.m.nonce, 6, now_s)
    t.ack(3, now_s)  # progress
    t.ack(None, now_s + 59.0)
    assert t.m._backoff.failures == 13  # which did not last
    now_s = t.m._due_s
    t.m.tick(now_s)
    t.answer(3, now_s)
    t.m.sent(t.m.nonce, 6, now_s)
    t.ack(6, now_s)
    t.ack(None, now_s + 61.0)
    assert t.m._backoff.failures == 1  # which did


def test_a_hello_that_is_answered_but_brings_no_progress_never_resets_the_pause() -> None:
    """However long T is: only what was confirmed is a success, or that there is nothing to send."""
    t = Table(events=6)
    t.m.progress_timeout_s = 100.0
    t.m.connected(0.0)
    for n in range(1, 6):
        now_s = t.m._due_s
        t.answer(0, now_s)
        t.m.sent(t.m.nonce, 6, now_s)
        t.m.tick(now_s + 100.0)
        assert t.m._backoff.failures == n
        t.m.tick(t.m._due_s)


def test_a_line_with_nothing_to_send_that_lasts_does_reset_it() -> None:
    t = Table(events=0)
    t.m._backoff.failures = 9
    t.ready(0)
    t.append(1)
    t.m.grew(90.0)
    t.m.sent(t.m.nonce, 1, 90.0)
    t.m.tick(100.0)
    assert t.m._backoff.failures == 1


# ------------------------------------------------------------------ the cloud's window, and batches that adapt


def test_a_smaller_window_counts_at_once_and_nothing_beyond_it_is_sent_again_before_it_is_confirmed() -> None:
    t = Table(events=40).ready(0, window=32)
    assert t.m.sent("n1", 32, 0.0) == ()
    assert t.ack(8, window=10) == [Confirm(8)]  # 24 in flight, 10 allowed
    assert t.ack(20, window=10) == [Confirm(20)]  # 12
    assert t.m.grew() == ()
    assert t.ack(28, window=10) == [Confirm(28), SendBatch("n1", 32, 6, t.m.batch.size_bytes)]  # 4: room for 6
    assert t.m.sent_seq == 32  # nothing was taken back


def test_after_a_smaller_window_going_back_sends_no_more_than_it() -> None:
    t = Table(events=40).ready(0, window=32)
    t.m.sent("n1", 32, 0.0)
    t.ack(4, window=10)
    t.m.tick(PROGRESS_TIMEOUT_S)
    t.m.tick(60.0)
    batch = t.answer(4, 60.0, window=10)[-1]
    assert batch == SendBatch("n2", 4, 10, t.m.batch.size_bytes)


def test_an_ack_that_comes_late_still_tells_the_window() -> None:
    t = Table(events=40).ready(0, window=32)
    t.m.sent("n1", 32, 0.0)
    t.ack(8, window=32)
    assert t.ack(8, window=10) == ()
    assert t.m.window == 10


@pytest.mark.parametrize(
    ("took_s", "sent", "size_bytes", "expected"),
    [
        (0.0, 64, 0, 64 + 16),  # quick and by its number full
        (2.5, 1, 30_000, 64 + 16),  # quick and by its bytes full
        (2.5, 1, 100, 64),  # quick, and it proves nothing
        (2.6, 64, 30_000, 64),  # neither quick nor slow
        (5.0, 1, 100, 32),  # slow
    ],
)
def test_what_the_broker_took_and_how_long_it_took_sets_the_next_batch(took_s, sent, size_bytes, expected) -> None:
    t = Table(events=64)
    t.m.batch.events, t.m.batch.size_bytes = 64, 60_000
    t.ready(0)
    t.m.read(size_bytes)
    t.m.sent("n1", sent, took_s)
    assert t.m.batch.events == expected


def test_a_connection_that_ends_in_the_middle_of_a_batch_makes_the_next_a_quarter() -> None:
    t = Table(events=6).ready(0)  # its answer asked for a batch
    t.m.disconnected()
    assert (t.m.batch.events, t.m.batch.size_bytes) == (128, (MAX_BATCH_BYTES - 1024) // 4)
    t.m.disconnected()  # nothing was on its way
    assert t.m.batch.events == 128


def test_a_connection_that_ends_with_everything_handed_over_changes_nothing() -> None:
    t = Table(events=6).ready(0)
    t.m.sent("n1", 6, 0.0)
    t.m.disconnected()
    assert t.m.batch.events == 512


# ------------------------------------------------------------------ standby


def test_a_box_that_is_not_active_stands_by_sends_nothing_and_asks_again() -> None:
    t = Table()
    t.m.connected(0.0)
    assert t.answer(0, active=False) == ()
    assert t.m.state == "standby"
    assert t.m.grew() == ()
    assert t.ack(3) == ()
    assert t.m.tick(PROGRESS_TIMEOUT_S - 1) == ()
    (hello,) = t.m.tick(PROGRESS_TIMEOUT_S)
    assert hello.nonce == "n2"
    assert t.answer(0) != ()
    assert t.m.state == "ready"


def test_not_active_during_a_search_stands_by_and_never_forks() -> None:
    t = Table()
    t.m.connected(0.0)
    t.answer(4, digest=OTHER)
    assert t.m.state == "probe"
    assert t.answer(4, digest=OTHER, active=False) == ()
    assert t.m.state == "standby"


# ------------------------------------------------------------------ forks


def _search(t: Table, cloud_watermark: int, common: int) -> Fork:
    """Play a cloud whose chain leaves ours after `common`."""
    t.m.connected(0.0)
    actions = t.answer(cloud_watermark, digest=OTHER)
    hellos = 0
    while not any(isinstance(a, Fork) for a in actions):
        (hello,) = actions
        assert hello.probe is not None
        hellos += 1
        at = t.hash(hello.probe) if hello.probe <= common else OTHER
        actions = t.answer(cloud_watermark, digest=OTHER, probe=at if hello.probe <= cloud_watermark else None)
    assert hellos <= 5
    return next(a for a in actions if isinstance(a, Fork))


@pytest.mark.parametrize(
    ("freed", "cloud", "common"),
    [
        (0, 10, 0),  # nothing in common but the root
        (0, 10, 5),
        (0, 20, 10),  # the cloud is ahead, all of ours is common
        (3, 10, 3),  # common only up to what is freed
        (3, 4, 3),
        (0, 9, 8),
    ],
)
def test_a_different_hash_leads_to_the_last_common_sequence_and_a_fork_there(freed, cloud, common) -> None:
    t = Table(events=10, freed=freed)
    assert _search(t, cloud, common) == Fork(common, "restored")
    assert t.m.state == "fork"


def test_the_cloud_ahead_of_our_tail_is_an_old_disk_too() -> None:
    t = Table(events=2)
    t.m.connected(0.0)
    (probe,) = t.answer(5, digest=OTHER)
    assert isinstance(probe, SendHello)
    assert probe.probe == 1


def test_an_absent_hash_at_the_probe_is_not_common() -> None:
    t = Table(events=2)
    t.m.connected(0.0)
    t.answer(5, digest=OTHER)
    _, fork = t.answer(5, digest=OTHER, probe=None)
    assert fork == Fork(0, "restored")


def test_an_answer_below_the_confirmed_common_sequence_starts_the_search_over() -> None:
    t = Table(events=8)
    t.m.connected(0.0)
    t.answer(8, digest=OTHER)
    (probe,) = t.answer(8, digest=OTHER, probe=t.hash(4))
    assert probe.probe > 4
    assert t.answer(2, probe=None) == ()
    assert t.m.state == "wait"
    (hello,) = t.m.tick(60.0)
    assert hello.probe is None


def test_a_cloud_that_holds_less_than_was_freed_is_forked_away_from_at_freed_with_an_alarm() -> None:
    t = Table(events=6, freed=4)
    t.m.connected(0.0)
    alarm, fork = t.answer(2)
    assert isinstance(alarm, Alarm)
    assert alarm.name == "cloud_loss"
    assert f"events 3 to 4 of {STREAM}" in alarm.detail
    assert fork == Fork(4, "cloud_loss", lost=(3, 4))


def test_nothing_is_believed_while_a_fork_is_being_written_then_the_new_stream_says_hello() -> None:
    t = Table(events=6, freed=4)
    t.m.connected(0.0)
    t.answer(2)
    assert t.ack(5) == ()
    assert t.m.tick(1e6) == ()
    t.m.lane = t.disk.fork(4, "99999999-2222-4333-8444-555555555555")
    (hello,) = t.m.forked(1e6)
    assert hello.stream.startswith("9999")
    assert hello.next_seq == 3


def test_a_fork_that_could_not_be_written_is_found_again_by_a_new_hello() -> None:
    t = Table(events=6, freed=4)
    t.m.connected(0.0)
    t.answer(2)
    assert t.m.fork_failed(5.0) == ()
    (hello,) = t.m.tick(60.0)
    assert hello.stream == STREAM
    assert t.m.forked(61.0) == ()  # no fork is under way


def test_a_cut_while_a_fork_is_written_waits_for_the_next_connection() -> None:
    t = Table(events=6, freed=4)
    t.m.connected(0.0)
    t.answer(2)
    t.m.disconnected()
    assert t.m.forked(1.0) == ()
    assert t.m.fork_failed(1.0) == ()
    assert t.m.state == "off"
