"""What the proofs do with the real ledger: appends in both lanes, state, confirmations, forks, drop runs, restarts."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path
from random import Random
from typing import Any

import msgspec

from contracts.clock import ManualClock
from contracts.event_types import LANES, AgentHealth, CommandAccepted, Lane
from edge.ledger import Ledger, verify
from edge.ledger.rows import Pending
from edge.ledger.schema import TABLES, connect
from edge.ports import Record, Transaction
from tests.edge_ledger.inline import InlineWriter
from tests.faultworld.disk.cutting import Check, Program, tables

FILE = "edge.db"
TELEMETRY_ROWS = 6
Step = Callable[[Ledger], Awaitable[None]]
_NOT_PICTURED = frozenset({"meta"})  # whose file it is, and the probe of a disk that was full


def connect_often_checkpointing(path: Path, busy_timeout_s: float) -> sqlite3.Connection:
    """The ledger's own connection, with checkpoints every few pages, so that a short run has many."""
    connection = connect(path, busy_timeout_s)
    connection.execute("PRAGMA wal_autocheckpoint=12")
    return connection


opening = connect_often_checkpointing  # what a test may replace


async def open_ledger(folder: Path, **change: Any) -> Ledger:
    settings: dict[str, Any] = {
        "clock": ManualClock(),
        "tenant": "t1",
        "store": "s1",
        "boot": "b1",
        "machine": "m1",
        "telemetry_rows": TELEMETRY_ROWS,
        "busy_timeout_s": 0.05,
        "writer": InlineWriter,
        "connect": opening,
    }
    return await Ledger.open(folder / FILE, **{**settings, **change})


# ------------------------------------------------------------------ steps


def sale(n: int) -> Record:
    return Record(CommandAccepted(command=str(n), kind="test"))


def measure(n: int, size_bytes: int = 0) -> Record:
    return Record(AgentHealth(boot="b1" + "x" * size_bytes, counters={"n": n}))


def append(*records: Record, puts: dict[tuple[str, str], bytes] | None = None, deletes: Any = ()) -> Step:
    async def step(ledger: Ledger) -> None:
        await ledger.commit(Transaction(records=records, puts=puts or {}, deletes=deletes))

    return step


def append_group(*records: Record) -> Step:
    """As the writer's thread does with those who wait at once: one fsync, an outcome each."""
    left = list(records)

    async def step(ledger: Ledger) -> None:
        group = [Pending(Transaction(records=(record,)), ledger._stamp()) for record in left]
        outcomes = await ledger._writer.call(lambda store: store.commit(group))
        left[:] = [record for record, outcome in zip(left, outcomes, strict=True) if outcome is not None]
        for outcome in outcomes:
            if outcome is not None:
                raise outcome

    return step


def confirm(lane: Lane, keep: int) -> Step:
    """The cloud has all but the last `keep` events."""

    async def step(ledger: Ledger) -> None:
        view = ledger.lane(lane)
        await ledger.confirm(lane, max(view.freed.seq, view.tail.seq - keep))

    return step


def fork(lane: Lane, back: int) -> Step:
    """The disk was restored: leave the stream `back` events before its end."""

    async def step(ledger: Ledger) -> None:
        view = ledger.lane(lane)
        await ledger.fork(lane, max(view.freed.seq, view.tail.seq - back), "restored")

    return step


SHORT: tuple[tuple[str, Step], ...] = (
    ("one sale", append(sale(1))),
    ("a sale and state", append(sale(2), puts={("s", "a"): b"1", ("s", "b"): b"2"})),
    ("both lanes", append(sale(3), measure(1))),
    ("a large event", append(measure(2, 20_000))),
    ("state changes", append(sale(4), puts={("s", "a"): b"3"}, deletes=[("s", "b")])),
    ("telemetry", append(*(measure(n) for n in range(3, 7)))),
    ("a drop run", append(measure(7), measure(8))),
    ("confirmed", confirm("ledger", 2)),
    ("after it", append(sale(5), sale(6))),
    ("ledger forks", fork("ledger", 2)),
    ("after the fork", append(sale(7), puts={("s", "c"): b"4"})),
    ("telemetry forks", fork("telemetry", 1)),
    ("telemetry confirmed", confirm("telemetry", 0)),
    ("all confirmed", confirm("ledger", 0)),
    ("a last sale", append(sale(8), measure(9))),
)


def long_work(rng: Random, steps: int) -> list[tuple[str, Step]]:
    """A random mix of the same."""
    found: list[tuple[str, Step]] = []
    for n in range(1, steps + 1):
        what = rng.choice(["sale"] * 5 + ["measure"] * 4 + ["large", "state", "confirm", "fork", "free", "many"])
        lane: Lane = rng.choice(LANES)
        step = {
            "sale": append(*(sale(n * 100 + k) for k in range(rng.randint(1, 4)))),
            "measure": append(*(measure(n * 100 + k) for k in range(rng.randint(1, 5)))),
            "large": append(measure(n, rng.randint(3000, 60_000))),
            "state": append(sale(n * 100), puts={("s", str(rng.randint(1, 5))): b"%d" % n}, deletes=[("s", "9")]),
            "confirm": confirm(lane, rng.randint(0, 5)),
            "fork": fork(lane, rng.randint(0, 6)),
            "free": confirm(lane, 0),
            "many": append(*(sale(n * 100 + k) for k in range(30))),
        }[what]
        found.append((f"{n} {what}", step))
    return found


def program(steps: Any) -> Program:
    """Open, all steps, close, open again: each acknowledged."""

    async def run(folder: Path) -> AsyncGenerator[Check, None]:
        ledger = await open_ledger(folder)
        yield promised(ledger)
        for _, step in steps:
            await step(ledger)
            yield promised(ledger)
        await ledger.close()
        yield promised(ledger)
        await (await open_ledger(folder)).close()
        yield promised(ledger)

    return run


def promised(ledger: Ledger) -> Check:
    """That the file says what the ledger says in memory."""
    lanes = {lane: (ledger.lane(lane).stream, *ledger.lane(lane).tail, ledger.lane(lane).freed.seq) for lane in LANES}
    state = dict(ledger.state("s"))

    def check(folder: Path) -> None:
        with contextlib.closing(sqlite3.connect(folder / FILE)) as connection:
            rows = connection.execute("SELECT name, stream, tail_seq, tail_hash, freed_seq FROM lane").fetchall()
            assert {name: tuple(row) for name, *row in rows} == lanes
            assert dict(connection.execute("SELECT key, value FROM state WHERE kind='s'").fetchall()) == state

    return check


# ------------------------------------------------------------------ judgement


def picture(folder: Path) -> object:
    """Everything the ledger's file holds."""
    return tables(folder / FILE, _NOT_PICTURED)


async def reopen(folder: Path) -> None:
    """The agent starts on what the cut left: nothing is damaged, nothing is added, and it goes on in order."""
    before = picture(folder)
    ledger = await open_ledger(folder)
    try:
        if before:
            assert picture(folder) == before, "opening changed the ledger"
        tails = {lane: ledger.lane(lane).tail.seq for lane in LANES}
        await ledger.commit(Transaction(records=(sale(9001),)))
        assert ledger.lane("ledger").tail.seq == tails["ledger"] + 1
        assert ledger.writable
    finally:
        await ledger.close()
    assert verify(folder / FILE).problems == ()


def facts(folder: Path) -> dict[str, object]:
    """What the ledger says, without what differs from run to run (streams, hashes): the facts in order, the state."""
    found: dict[str, object] = {}
    with contextlib.closing(sqlite3.connect(folder / FILE)) as connection:
        for lane in LANES:
            raws = connection.execute(f"SELECT raw FROM {TABLES[lane]} WHERE raw NOT NULL ORDER BY seq").fetchall()
            events = [msgspec.json.decode(raw)["data"] for (raw,) in raws]
            found[lane] = [event.get("command") or event.get("counters") for event in events if _ours(event)]
        found["state"] = connection.execute("SELECT kind, key, value FROM state ORDER BY kind, key").fetchall()
    return found


def _ours(event: dict[str, Any]) -> bool:
    return "command" in event or "counters" in event
