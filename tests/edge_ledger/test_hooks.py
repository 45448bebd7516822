"""What a simulation plugs in: a writer without a thread, connections of its own making."""

from __future__ import annotations

import sqlite3
import threading

from edge.ledger import verify
from edge.ledger.schema import connect, connect_readonly
from tests.edge_ledger.conftest import sales
from tests.edge_ledger.inline import InlineWriter


async def test_a_ledger_runs_on_a_writer_without_a_thread_and_on_injected_connections(opened, path) -> None:
    made: list[str] = []

    def writing(file, busy_timeout_s) -> sqlite3.Connection:
        made.append("writing")
        return connect(file, busy_timeout_s)

    def reading(file, busy_timeout_s) -> sqlite3.Connection:
        made.append("reading")
        return connect_readonly(file, busy_timeout_s)

    before = threading.active_count()
    ledger = await opened(writer=InlineWriter, connect=writing, connect_readonly=reading)
    assert threading.active_count() == before
    await ledger.commit(sales(1, 3))
    assert ledger.lane("ledger").hash_at(2) is not None
    await ledger.confirm("ledger", 1)
    await ledger.close()
    assert set(made) == {"writing", "reading"}
    report = verify(path)
    assert (report.problems, report.lanes[0].tail_seq, report.lanes[0].freed_seq) == ((), 3, 1)
