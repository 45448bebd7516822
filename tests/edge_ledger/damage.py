"""Real files of a ledger, ways to damage them, and what must hold afterwards whatever was done to them."""

from __future__ import annotations

import contextlib
import re
import shutil
import sqlite3
import struct
from dataclasses import dataclass, field
from pathlib import Path

from contracts.clock import ManualClock
from contracts.envelope import decode_data, decode_envelope
from contracts.event_types import AgentHealth, CommandAccepted, LedgerDamaged
from edge.ledger import Ledger, Retention, verify
from edge.ports import Transaction
from tests.edge_ledger.conftest import measure, sale, sales

PAGE = 4096
SALES, FREED, MEASURED = 150, 40, 90
OF_ROW = re.compile(r"ledger (\d+): ")


@dataclass
class Image:
    """Files by suffix, and what they hold: sales by sequence of the old stream, and state."""

    files: dict[str, bytes]
    stream: str
    sold: dict[int, int] = field(default_factory=dict)
    state: dict[str, bytes] = field(default_factory=dict)

    def lay_out(self, folder: Path) -> Path:
        path = folder / "ledger.db"
        for suffix, raw in self.files.items():
            path.with_name(path.name + suffix).write_bytes(raw)
        return path

    @property
    def pages(self) -> int:
        return len(self.files[""]) // PAGE


async def opened(path: Path) -> Ledger:
    return await Ledger.open(
        path,
        clock=ManualClock(),
        tenant="t1",
        store="s1",
        boot="b1",
        machine="m1",
        telemetry_rows=60,
        busy_timeout_s=0.05,
        retention=Retention(30, 1 << 20),
    )


async def build(folder: Path, *, killed: bool) -> Image:
    """A ledger with confirmed and waiting events, dropped telemetry, a free list and state; either closed, or as a kill
    leaves it: with its last commits in the log alone."""
    path = folder / "ledger.db"
    ledger = await opened(path)
    await ledger.commit(Transaction(records=[sale(n) for n in range(1, 101)]))
    for n in range(0, MEASURED, 10):
        await ledger.commit(Transaction(records=[measure(m) for m in range(n, n + 10)]))
    state = {f"k{n}": b'{"grams":%d}' % (n * 1000) for n in range(60)}
    await ledger.commit(Transaction(puts={("book", key): value for key, value in state.items()}))
    await ledger.commit(Transaction(puts={("big", str(n)): b'"%s"' % (b"x" * 9000) for n in range(6)}))
    await ledger.commit(Transaction(deletes=[("big", str(n)) for n in range(6)]))
    await ledger.confirm("ledger", FREED)
    await ledger._writer.call(lambda s: s.confirmed.delete_confirmed("ledger", 1 << 10))
    await ledger._writer.call(lambda s: s.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall())
    for n in range(101, SALES + 1):
        await ledger.commit(Transaction(records=[sale(n)], puts={("book", "k1"): b'{"grams":%d}' % n}))
    state["k1"] = b'{"grams":%d}' % SALES
    view = ledger.lane("ledger")
    found = await view.read(FREED, 1000, 1 << 30)
    sold = {}
    for seq, raw in enumerate(found.events, start=FREED + 1):
        data = decode_data(decode_envelope(raw))
        if isinstance(data, CommandAccepted):
            sold[seq] = int(data.command)
    suffixes = ("", "-wal", "-shm", ".witness")
    if not killed:
        await ledger.close()
    files = {s: p.read_bytes() for s in suffixes if (p := path.with_name(path.name + s)).exists()}
    await ledger.close()
    return Image(files, view.stream, sold, state)


def roots(path: Path) -> dict[str, int]:
    with sqlite3.connect(path) as connection:
        return dict(connection.execute("SELECT name, rootpage FROM sqlite_master WHERE rootpage > 0").fetchall())


def page_of(raw: bytes, number: int) -> bytes:
    return raw[(number - 1) * PAGE : number * PAGE]


def first_leaf(raw: bytes, root: int) -> int:
    """The page of the first rows below `root`."""
    page = page_of(raw, root)
    if page[0] != 0x05:
        return root
    cell = struct.unpack(">H", page[12:14])[0]
    return first_leaf(raw, struct.unpack(">I", page[cell : cell + 4])[0])


async def check(path: Path, image: Image) -> tuple[int, bool]:
    """Open what is there, and hold it against what was written. How many sales are lost, and whether it was told."""
    ledger = await opened(path)
    try:
        view = ledger.lane("ledger")
        envelopes = [decode_envelope(raw) for raw in (await view.read(view.freed.seq, 10_000, 1 << 30)).events]
        data = [decode_data(e) for e in envelopes]
        sold = [int(d.command) for d in data if isinstance(d, CommandAccepted)]
        told = [d for d in data if isinstance(d, LedgerDamaged)]
        written = list(image.sold.values())
        # nothing is invented, nothing twice, in order; a stale witness may bring confirmed ones again, with their origin
        assert sold == sorted(set(sold)), sold
        assert set(sold) <= set(range(1, SALES + 1)), set(sold) - set(range(1, SALES + 1))
        for envelope, event in zip(envelopes, data, strict=True):
            if isinstance(event, CommandAccepted) and envelope.origin is not None:
                assert envelope.origin.stream == image.stream
                assert envelope.origin.seq in (*image.sold, *range(1, FREED + 1))
        # every loss lies in a range that was told
        lost = [seq for seq, number in image.sold.items() if number not in set(sold)]
        for seq in lost:
            assert any(d.lane == "ledger" and d.first <= seq <= d.last for d in told), (seq, told)
        # state is right or gone, never wrong; but the newest words of a damaged log may be missing
        for key, value in ledger.state("book").items():
            allowed = (
                {image.state[key]} if key != "k1" else {b'{"grams":%d}' % n for n in (1000, *range(101, SALES + 1))}
            )
            assert value in allowed, (key, value)
        if len(ledger.state("book")) < len(image.state):
            assert told
        if lost:
            # a healing that meets a broken page has forked a lane already: its stream stands between
            between = _streams_aside(path)
            assert view.parent is None or view.parent.stream in {image.stream, *between}, (view.parent, between)
            # of what the disk has swallowed there is nothing to keep
            assert (
                any("gone" in d.detail for d in told)
                or list(path.parent.glob("ledger.db.damaged-*"))
                or _quarantined(path)
            )
        lane = ledger.lane("telemetry")
        part = await lane.read(lane.freed.seq, 10_000, 1 << 30)
        measured = [decode_data(decode_envelope(raw)) for raw in part.events]
        assert all(isinstance(m, AgentHealth) and m.counters["n"] in range(MEASURED) for m in measured)
        assert written
        # and it goes on
        await ledger.commit(sales(1000, 3))
        await ledger.tidy()
    finally:
        await ledger.close()
    # what the cloud holds is kept for a look inside alone: damage there heals nothing, and whoever looks is told
    assert [line for line in verify(path).problems if not (found := OF_ROW.match(line)) or int(found[1]) > FREED] == []
    stream = view.stream
    again = await opened(path)
    assert again.lane("ledger").stream == stream  # healed once
    assert again.lane("ledger").tail.seq == view.tail.seq
    await again.close()
    shutil.rmtree(path.parent)
    return len(lost), bool(told)


def _streams_aside(path: Path) -> set[str]:
    """The streams in the files that were set aside, where SQLite can read them."""
    found = set()
    for file in path.parent.glob("ledger.db.damaged-*"):
        if not file.name.endswith(("-wal", "-shm")):
            with (
                contextlib.suppress(sqlite3.Error, ValueError),
                contextlib.closing(sqlite3.connect(file)) as connection,
            ):
                found |= {stream for (stream,) in connection.execute("SELECT stream FROM lane")}
    return found


def _quarantined(path: Path) -> int:
    with sqlite3.connect(path) as connection:
        return int(connection.execute("SELECT count(*) FROM quarantine").fetchone()[0])
