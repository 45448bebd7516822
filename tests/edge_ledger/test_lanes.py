"""Lanes: slices for the uplink, confirmation, forks, bounded telemetry, and the chain under any mixture of them."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts.clock import ManualClock
from contracts.envelope import decode_data, decode_envelope, next_hash, root_hash
from contracts.event_types import CommandAccepted, StreamForked, TelemetryDropped
from edge.ledger import ForkRefusedError, Ledger, verify
from edge.ledger.retention import FREE_CHUNK_ROWS
from edge.ports import LedgerFullError, Transaction
from tests.edge_ledger.conftest import measure, sale, sales


async def data(ledger, lane="ledger", after=None):
    view = ledger.lane(lane)
    part = await view.read(view.freed.seq if after is None else after, 10_000, 1 << 30)
    return [decode_data(decode_envelope(raw)) for raw in part.events]


# ------------------------------------------------------------------ reading


@pytest.mark.parametrize(
    ("after", "max_events", "share", "want"),
    [
        (0, 100, 100.0, (1, 10)),  # all
        (0, 4, 100.0, (1, 4)),  # as many as asked for
        (3, 4, 100.0, (4, 7)),
        (8, 4, 100.0, (9, 10)),  # fewer are there
        (10, 4, 100.0, (11, 10)),  # nothing follows the tail
        (0, 100, 3.2, (1, 3)),  # as many as fit
        (0, 100, 0.1, (1, 1)),  # one goes always, or the lane would stand still
    ],
)
async def test_a_slice_is_bounded_by_count_and_bytes(ledger, after, max_events, share, want) -> None:
    await ledger.commit(sales(100, 10))
    lane = ledger.lane("ledger")
    one = len((await lane.read(0, 1, 1 << 20)).events[0])
    part = await lane.read(after, max_events, int(one * share))
    assert (part.first_seq, part.last_seq) == want
    assert part.prev_hash == lane.hash_at(after)
    assert part.last_hash == lane.hash_at(max(want[1], after))
    assert part.stream == lane.stream


async def test_reading_what_is_freed_or_beyond_the_tail_is_refused(ledger) -> None:
    await ledger.commit(sales(1, 5))
    await ledger.confirm("ledger", 3)
    for after in (2, 6):
        with pytest.raises(ValueError, match="not retained"):
            await ledger.lane("ledger").read(after, 1, 1)


# ------------------------------------------------------------------ confirmation


async def test_confirmed_events_are_freed_their_hash_stays_and_sequences_are_never_used_again(opened, path) -> None:
    ledger = await opened()
    await ledger.commit(sales(1, 5))
    third = ledger.lane("ledger").hash_at(3)
    await ledger.confirm("ledger", 3)
    lane = ledger.lane("ledger")
    assert lane.freed == (3, third)
    assert lane.hash_at(3) == third
    assert lane.hash_at(2) is None
    await ledger.confirm("ledger", 5)
    await ledger.confirm("ledger", 4)  # late: nothing
    assert (lane.freed.seq, lane.waiting) == (5, 0)
    await ledger.close()
    ledger = await opened()  # empty, and yet it counts on
    await ledger.commit(sales(6))
    assert ledger.lane("ledger").tail.seq == 6
    assert verify(path).problems == ()


async def test_a_large_confirmation_goes_in_chunks_so_that_a_sale_passes_between(ledger) -> None:
    import asyncio

    await ledger.commit(sales(1, FREE_CHUNK_ROWS * 2 + 10))
    order: list[str] = []

    async def confirm() -> None:
        await ledger.confirm("ledger", FREE_CHUNK_ROWS * 2 + 10)
        order.append("confirmed")

    async def sell() -> None:
        await ledger.commit(sales(9))
        order.append("sold")

    await asyncio.gather(confirm(), sell())
    assert order == ["sold", "confirmed"]


async def test_confirming_beyond_the_tail_is_refused(ledger) -> None:
    with pytest.raises(ValueError, match="tail"):
        await ledger.confirm("ledger", 1)


# ------------------------------------------------------------------ telemetry


async def test_the_oldest_telemetry_goes_first_one_run_one_event_and_a_gap_for_the_cloud(opened) -> None:
    ledger = await opened(telemetry_rows=20)
    for n in range(23):
        await ledger.commit(Transaction(records=[measure(n)]))
    lane = ledger.lane("telemetry")
    assert lane.tail.seq == 23
    assert lane.waiting == 19  # 4 gone in two runs of two
    told = await data(ledger)
    assert [(e.first, e.last, e.count, e.reason) for e in told] == [(1, 2, 2, "overflow"), (3, 4, 2, "overflow")]
    assert all(isinstance(e, TelemetryDropped) and e.stream == lane.stream for e in told)
    part = await lane.read(0, 100, 1 << 20)
    assert part.gap is not None
    assert (part.gap.first, part.gap.last, part.gap.count) == (1, 4, 4)
    assert bytes.fromhex(part.gap.last_hash) == lane.hash_at(4)  # the hashes of what was dropped are kept
    assert (part.first_seq, part.last_seq) == (5, 23)
    inside = await lane.read(2, 100, 1 << 20)  # the cloud had two of them before
    assert inside.gap is not None
    assert (inside.gap.first, inside.gap.last, inside.gap.count) == (3, 4, 2)
    assert inside.prev_hash == lane.hash_at(2)
    assert (await lane.read(4, 100, 1 << 20)).gap is None
    await ledger.confirm("telemetry", 10)
    assert lane.hash_at(4) is None
    assert lane.waiting == 13


async def test_more_telemetry_in_one_transaction_than_may_be_kept(opened) -> None:
    ledger = await opened(telemetry_rows=5)
    await ledger.commit(Transaction(records=[measure(n) for n in range(12)]))
    assert ledger.lane("telemetry").waiting == 5
    (told,) = await data(ledger)
    assert (told.first, told.last) == (1, 7)


async def test_the_ledger_lane_is_never_dropped(opened) -> None:
    ledger = await opened(telemetry_rows=1)
    await ledger.commit(sales(1, 50))
    assert ledger.lane("ledger").waiting == 50


async def test_at_least_one_row_of_telemetry_must_be_kept(opened) -> None:
    with pytest.raises(ValueError, match="telemetry_rows"):
        await opened(telemetry_rows=0)


# ------------------------------------------------------------------ forks


async def test_a_fork_re_appends_what_follows_each_with_its_origin_and_says_so(ledger, path) -> None:
    await ledger.commit(sales(1, 6))
    await ledger.confirm("ledger", 2)
    lane = ledger.lane("ledger")
    old, common_hash, fifth = lane.stream, lane.hash_at(4), lane.hash_at(5)
    await ledger.fork("ledger", 4, "restored", stream=old)
    assert lane.stream != old
    assert lane.parent is not None
    assert (lane.parent.stream, lane.parent.common, lane.parent.hash) == (old, 4, common_hash.hex())
    assert (lane.freed.seq, lane.freed.hash) == (0, root_hash(lane.stream))
    part = await lane.read(0, 10, 1 << 20)
    envelopes = [decode_envelope(raw) for raw in part.events]
    assert [e.id for e in envelopes] == [f"{lane.stream}:{n}" for n in (1, 2, 3)]
    assert [decode_data(e).command for e in envelopes[:2]] == ["5", "6"]
    origin = envelopes[0].origin
    assert (origin.stream, origin.seq, origin.hash) == (old, 5, fifth.hex())
    assert decode_data(envelopes[2]) == StreamForked(lane="ledger", parent=old, common=4, reason="restored")
    assert envelopes[2].origin is None
    assert verify(path).problems == ()


async def test_an_event_that_is_forked_twice_keeps_its_first_origin(ledger) -> None:
    await ledger.commit(sales(1, 2))
    old = ledger.lane("ledger").stream
    await ledger.fork("ledger", 1, "restored")
    await ledger.fork("ledger", 0, "restored")
    first = decode_envelope((await ledger.lane("ledger").read(0, 1, 1 << 20)).events[0])
    assert (first.origin.stream, first.origin.seq, first.sequence) == (old, 2, 1)


async def test_a_fork_of_telemetry_leaves_out_what_was_dropped_and_is_told_in_the_ledger_lane(opened, path) -> None:
    ledger = await opened(telemetry_rows=10)
    await ledger.commit(Transaction(records=[measure(n) for n in range(14)]))
    lane = ledger.lane("telemetry")
    await ledger.fork("telemetry", 1, "restored")
    assert (lane.tail.seq, lane.waiting) == (10, 10)
    assert [e.counters["n"] for e in await data(ledger, "telemetry")] == list(range(4, 14))
    assert isinstance((await data(ledger))[-1], StreamForked)
    assert verify(path).problems == ()


async def test_a_fork_of_a_large_backlog_passes_in_chunks(ledger, path) -> None:
    await ledger.commit(sales(0, 1500))
    await ledger.fork("ledger", 700, "restored")
    found = await data(ledger)
    assert [int(e.command) for e in found[:-1]] == list(range(700, 1500))
    assert verify(path).problems == ()


@pytest.mark.parametrize(("common", "stream"), [(2, None), (6, None), (4, "another")])
async def test_a_fork_elsewhere_than_in_what_is_retained_is_refused(ledger, common, stream) -> None:
    await ledger.commit(sales(1, 5))
    await ledger.confirm("ledger", 3)
    before = ledger.lane("ledger").stream
    with pytest.raises(ForkRefusedError):
        await ledger.fork("ledger", common, "restored", stream=stream)
    assert ledger.lane("ledger").stream == before


async def test_a_fork_that_does_not_fit_changes_nothing(ledger, path) -> None:
    await ledger.commit(sales(1, 50))
    before = (ledger.lane("ledger").stream, ledger.lane("ledger").tail)

    def fill(store) -> None:
        pages = store.connection.execute("PRAGMA page_count").fetchone()[0]
        store.connection.execute(f"PRAGMA max_page_count={pages}")

    await ledger._writer.call(fill)
    with pytest.raises(LedgerFullError):
        await ledger.fork("ledger", 0, "restored")
    assert (ledger.lane("ledger").stream, ledger.lane("ledger").tail) == before
    assert verify(path).problems == ()


async def test_a_confirmation_that_fails_frees_nothing(ledger) -> None:
    await ledger.commit(sales(1, 3))
    await ledger._writer.call(lambda s: s.connection.execute("PRAGMA query_only=1"))
    with pytest.raises(LedgerFullError):
        await ledger.confirm("ledger", 2)
    await ledger._writer.call(lambda s: s.connection.execute("PRAGMA query_only=0"))
    assert ledger.lane("ledger").freed.seq == 0
    await ledger.confirm("ledger", 2)
    assert ledger.lane("ledger").freed.seq == 2


# ------------------------------------------------------------------ any mixture

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("sell"), st.integers(1, 4)),
        st.tuples(st.just("measure"), st.integers(1, 6)),
        st.tuples(st.just("confirm"), st.floats(0, 1)),
        st.tuples(st.just("fork"), st.floats(0, 1)),
        st.tuples(st.just("reopen"), st.just(0)),
    ),
    max_size=14,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
async def test_chain_sequences_and_contents_hold_under_any_mixture(tmp_path_factory, steps) -> None:
    path = tmp_path_factory.mktemp("mix") / "ledger.db"

    async def reopened() -> Ledger:
        clock = ManualClock()
        return await Ledger.open(path, clock=clock, tenant="t", store="s", boot="b", machine="m", telemetry_rows=8)

    ledger, sold, confirmed = await reopened(), 0, 0
    try:
        for step, size in steps:
            lane = ledger.lane("ledger")
            if step == "sell":
                await ledger.commit(Transaction(records=[sale(sold + n) for n in range(size)]))
                sold += size
            elif step == "measure":
                await ledger.commit(Transaction(records=[measure() for _ in range(size)]))
            elif step == "confirm":
                upto = lane.freed.seq + int(size * (lane.tail.seq - lane.freed.seq))
                confirmed += sum(isinstance(e, CommandAccepted) for e in (await data(ledger))[: upto - lane.freed.seq])
                await ledger.confirm("ledger", upto)
            elif step == "fork":
                common = lane.freed.seq + int(size * (lane.tail.seq - lane.freed.seq))
                confirmed += sum(
                    isinstance(e, CommandAccepted) for e in (await data(ledger))[: common - lane.freed.seq]
                )
                await ledger.fork("ledger", common, "restored")
            else:
                await ledger.close()
                ledger = await reopened()
        kept = [int(e.command) for e in await data(ledger) if isinstance(e, CommandAccepted)]
        assert kept == list(range(confirmed, sold))
        assert ledger.lane("telemetry").waiting <= 8
        for name in ("ledger", "telemetry"):
            lane = ledger.lane(name)
            part = await lane.read(lane.freed.seq, 10_000, 1 << 30)
            digest = bytes.fromhex(part.gap.last_hash) if part.gap else part.prev_hash
            for raw in part.events:
                digest = next_hash(digest, raw)
            assert digest == lane.tail.hash
        assert verify(path).problems == ()
    finally:
        await ledger.close()
