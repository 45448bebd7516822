"""Every rule of one batch against one stream, by name."""

from __future__ import annotations

import msgspec
import pytest

from cloud_bridge.ingest.machine import Accept, Cursor, Ignore, Park, Refuse, decide, overlap_of
from contracts.messages import Batch, Gap
from tests.cloud_bridge.wire import LEDGER, STREAM, TELEMETRY, Chain

WINDOW = 8
OTHER = b"\x07" * 32


def cursor(chain: Chain, watermark: int) -> Cursor:
    return Cursor(chain.stream, chain.place.lane, watermark, chain.hashes[watermark])


def known(chain: Chain, at: Cursor, batch: Batch, *, holes: frozenset[int] = frozenset()) -> dict[int, bytes]:
    span = overlap_of(at, batch)
    return {} if span is None else {n: chain.hashes[n] for n in range(span[0], span[1] + 1) if n not in holes}


def ask(chain: Chain, watermark: int, batch: Batch, *, holes: frozenset[int] = frozenset()):
    at = cursor(chain, watermark)
    return decide(at, batch, known(chain, at, batch, holes=holes), window=WINDOW)


@pytest.fixture
def ledger() -> Chain:
    return Chain(STREAM, LEDGER).grow(20)


@pytest.fixture
def telemetry() -> Chain:
    return Chain(STREAM, TELEMETRY).grow(20)


@pytest.mark.parametrize(
    ("watermark", "first", "last", "stored"),
    [
        (0, 1, 3, [1, 2, 3]),  # the first batch of a stream
        (3, 4, 6, [4, 5, 6]),  # equal
        (3, 2, 6, [4, 5, 6]),  # overlap: only the rest
        (3, 1, 3, []),  # a repeat of what is held
        (9, 2, 4, []),  # an old one, late
        (0, 1, 1, [1]),  # one event
        (5, 1, 6, [6]),  # overlap from the root
    ],
)
def test_what_fits_is_stored_from_the_watermark_on(ledger: Chain, watermark, first, last, stored) -> None:
    decision = ask(ledger, watermark, ledger.batch(first, last))
    assert isinstance(decision, Accept)
    assert [link.seq for link in decision.events] == stored
    assert decision.watermark == max(watermark, last)
    assert decision.hash == ledger.hashes[max(watermark, last)]
    assert all(
        link.raw == ledger.raws[link.seq - 1] and link.hash == ledger.hashes[link.seq] for link in decision.events
    )


@pytest.mark.parametrize(
    ("watermark", "first", "last", "expected"),
    [
        (0, 2, 3, Park(2, 3)),  # one missing
        (0, 2, 8, Park(2, 8)),  # ends at the window's edge
        (0, 2, 9, Ignore("beyond_window")),  # one past it
        (0, 9, 9, Ignore("beyond_window")),  # wholly past it
        (5, 8, 13, Park(8, 13)),  # the window moves with the watermark
    ],
)
def test_what_comes_ahead_waits_within_the_window(ledger: Chain, watermark, first, last, expected) -> None:
    assert ask(ledger, watermark, ledger.batch(first, last)) == expected


def test_a_batch_that_does_not_follow_is_refused(ledger: Chain) -> None:
    assert (
        ask(ledger, 3, ledger.batch(4, 5, prev_hash=OTHER.hex())).reason == "bad_chain"
    )  # nor does its own chain hold
    other = Chain(STREAM, LEDGER)
    for n in range(20):
        other.add(b'{"other":%d}' % n)
    assert ask(ledger, 3, other.batch(4, 5)) == Refuse(4, "diverged")


@pytest.mark.parametrize("first", [1, 2, 3, 4, 5])
def test_an_overlap_with_another_history_is_refused(ledger: Chain, first: int) -> None:
    forked = Chain(STREAM, LEDGER)
    for raw in ledger.raws[:2]:
        forked.add(raw)
    for n in range(3, 9):
        forked.add(b'{"n":%d}' % n)
    # the first common events do not help: sequence 3 differs
    assert ask(ledger, 4, forked.batch(first, 6)) == Refuse(first, "diverged")


def test_the_last_hash_is_checked(ledger: Chain) -> None:
    assert ask(ledger, 0, ledger.batch(1, 3, last_hash=OTHER.hex())) == Refuse(1, "bad_chain")


def test_one_changed_byte_is_refused(ledger: Chain) -> None:
    batch = ledger.batch(1, 3)
    events = [*batch.events[:1], msgspec.Raw(bytes(batch.events[1]).replace(b"s1", b"s2")), batch.events[2]]
    assert ask(ledger, 0, msgspec.structs.replace(batch, events=events)) == Refuse(1, "bad_chain")


def test_an_ahead_batch_that_contradicts_itself_is_not_parked(ledger: Chain) -> None:
    assert ask(ledger, 0, ledger.batch(3, 5, last_hash=OTHER.hex())) == Refuse(3, "bad_chain")


def test_nothing_at_all_is_refused(ledger: Chain) -> None:
    assert ask(ledger, 0, ledger.batch(1, 0, events=[], last_hash=ledger.hashes[0].hex())) == Refuse(1, "empty")


def test_more_than_256_kib_is_refused() -> None:
    chain = Chain(STREAM, LEDGER)
    for n in range(5):
        chain.add(b'"' + b"%d" % n * 60_000 + b'"')
    assert ask(chain, 0, chain.batch(1, 5)) == Refuse(1, "too_large")
    assert isinstance(ask(chain, 0, chain.batch(1, 4)), Accept)


def test_a_gap_in_the_ledger_is_refused_even_ahead(ledger: Chain) -> None:
    assert ask(ledger, 0, ledger.batch(4, 6, gap=(1, 3))) == Refuse(4, "gap_in_ledger")
    assert ask(ledger, 0, ledger.batch(6, 7, gap=(4, 5))) == Refuse(6, "gap_in_ledger")


@pytest.mark.parametrize(
    ("watermark", "gap", "last", "recorded", "stored"),
    [
        (0, (1, 3), 5, (1, 3), [4, 5]),  # the oldest were dropped
        (2, (3, 5), 5, (3, 5), []),  # a gap alone
        (3, (2, 6), 8, (4, 6), [7, 8]),  # it overlaps the watermark: trimmed
        (6, (2, 6), 8, None, [7, 8]),  # it ends at the watermark: nothing new is missing
        (8, (2, 6), 9, None, [9]),  # it lies wholly in what is held
    ],
)
def test_a_gap_of_telemetry_is_recorded_and_trimmed(  # noqa: PLR0917 - a table
    telemetry: Chain, watermark, gap, last, recorded, stored
) -> None:
    decision = ask(telemetry, watermark, telemetry.batch(gap[1] + 1, last, gap=gap))
    assert isinstance(decision, Accept)
    assert [link.seq for link in decision.events] == stored
    assert (decision.gap and (decision.gap.first, decision.gap.last)) == recorded
    if decision.gap is not None:
        assert (decision.gap.reason, decision.gap.declared, decision.gap.last_hash) == (
            "full",
            gap[1] - gap[0] + 1,
            telemetry.hashes[gap[1]],
        )
    assert (decision.watermark, decision.hash) == (max(watermark, last), telemetry.hashes[max(watermark, last)])


def test_a_gap_ahead_waits(telemetry: Chain) -> None:
    assert ask(telemetry, 1, telemetry.batch(6, 7, gap=(4, 5))) == Park(4, 7)


@pytest.mark.parametrize("first", [2, 3, 4, 5])
def test_overlap_inside_a_recorded_gap_is_skipped(telemetry: Chain, first: int) -> None:
    holes = frozenset({2, 3, 4})  # 2 to 5 were dropped; the hash at 5 is known from the gap
    decision = ask(telemetry, 6, telemetry.batch(first, 8), holes=holes)
    assert isinstance(decision, Accept)
    assert [link.seq for link in decision.events] == [7, 8]


def test_what_comes_after_a_gap_is_still_compared(telemetry: Chain) -> None:
    other = Chain(STREAM, TELEMETRY)
    for n in range(20):
        other.add(b'{"n":%d}' % n)
    at, batch = cursor(telemetry, 6), other.batch(3, 8)
    assert decide(at, batch, {5: telemetry.hashes[5]}, window=WINDOW) == Refuse(3, "diverged")


def test_a_gap_with_another_hash_than_held_is_refused(telemetry: Chain) -> None:
    other = Chain(STREAM, TELEMETRY)
    for raw in telemetry.raws[:2]:
        other.add(raw)
    for n in range(3, 10):
        other.add(b'{"n":%d}' % n)
    assert ask(telemetry, 8, other.batch(6, 9, gap=(3, 5))) == Refuse(6, "diverged")


@pytest.mark.parametrize("gap", [(3, 2), (3, 4), (3, 6)])  # backwards; ends too early; swallows its own events
def test_a_gap_that_does_not_touch_its_events_is_refused(telemetry: Chain, gap: tuple[int, int]) -> None:
    declared = Gap(first=gap[0], last=gap[1], reason="full", count=1, last_hash=telemetry.hashes[gap[1]].hex())
    batch = msgspec.structs.replace(telemetry.batch(6, 7), gap=declared)
    assert ask(telemetry, 2, batch) == Refuse(6, "bad_gap")
