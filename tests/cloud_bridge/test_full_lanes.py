"""A store that may found no stream more is seen where operators look, before its hello goes unanswered."""

from __future__ import annotations

import logging
from pathlib import Path
from uuid import NAMESPACE_OID, uuid5

import pytest
from typer.testing import CliRunner

from cloud_bridge.full_lanes import LOOK_EVERY_MS, FullLane, LimitedViews, full_lanes
from cloud_bridge.ingest import streams
from cloud_bridge.ingest.streams import MAX_STREAMS, Place
from cloud_bridge.storage import Connection
from contracts.messages import Hello, Presence, encode_message
from contracts.topics import StoreTopics
from tests.cloud_bridge.test_app import api
from tests.cloud_bridge.wire import CHILD, LEDGER, TELEMETRY
from zhanggui.cli import app as cli

OTHER = Place("demo", "shop2", "ledger")
FULL = FullLane("demo", "shop1", "ledger", MAX_STREAMS)


def name(place: Place, n: int) -> str:
    return str(uuid5(NAMESPACE_OID, f"{place} {n}"))


def found(db: Connection, place: Place, count: int) -> None:
    with db.transaction():
        for n in range(count):
            streams.load(db, name(place, n), place)


@pytest.fixture
def full(connection: Connection) -> None:
    """One lane at its limit; another, and one of another store, just below."""
    found(connection, LEDGER, MAX_STREAMS)
    found(connection, TELEMETRY, MAX_STREAMS - 1)
    found(connection, OTHER, MAX_STREAMS - 1)


@pytest.mark.usefixtures("full")
def test_only_a_lane_at_its_limit_is_full(connection: Connection) -> None:
    assert full_lanes(connection) == [FULL]


def hello(stream: str) -> bytes:
    said = Hello(stream=stream, instance="i1", nonce="n", next_seq=1, tail_hash="0" * 64, t0=0)
    return encode_message(said)[0]


@pytest.mark.usefixtures("full")
async def test_operators_see_it_on_the_pages_and_in_the_log(
    database: Path | str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    async with api(database) as (client, bridge):
        said = Presence(online=True, boot="b", conn=1, instance="i1", agent_version="1", since=1)
        for store in ("shop1", "shop2"):
            await bridge.router.handle(StoreTopics("demo", store).presence, encode_message(said)[0])
        topics = StoreTopics("demo", "shop1")
        assert await bridge.router.handle(topics.hello_up("ledger"), hello(CHILD)) is None
        assert bridge.counters["hello_refused_too_many_streams"] == 1
        assert await bridge.router.handle(topics.hello_up("ledger"), hello(name(LEDGER, 0))) is not None
        rows = {row["store"]: row["alarms"] for row in (await client.get("/api/v1/fleet")).json()["stores"]}
        assert rows == {"shop1": 1, "shop2": 0}
        shown = (await client.get("/api/v1/stores/demo/shop1")).json()
        assert [(alarm["what"], str(MAX_STREAMS) in alarm["en"]) for alarm in shown["alarms"]] == [
            ("streams ledger", True)
        ]
        assert shown["fleet"]["alarms"] == 1
        assert (await client.get("/api/v1/stores/demo/shop2")).json()["alarms"] == []
        assert bridge.views.fleet() is bridge.views.fleet()  # the pages prepare it once
    assert [r.message for r in caplog.records if "as many as it may" in r.message] == [str(FULL)]


@pytest.mark.usefixtures("full")
def test_the_status_of_the_database_warns(database: Path | str) -> None:
    run = CliRunner().invoke(cli, ["cloud", "database", "status", "--database", str(database)])
    assert run.exit_code == 0
    assert f"warning: {FULL}" in run.output


class NoStores:
    """Read models of a bridge that nobody has spoken to."""

    def fleet(self):
        return ()

    def store(self, tenant: str, store: str):
        del tenant, store

    def counters(self):
        return {"x": 1}


def test_the_database_is_looked_at_once_a_minute_and_told_once(caplog: pytest.LogCaptureFixture) -> None:
    views = LimitedViews(NoStores())
    for now_ms, found_, due, told in [
        (0, [], True, 0),  # at the start
        (LOOK_EVERY_MS - 1, None, False, 0),
        (LOOK_EVERY_MS, [FULL], True, 1),
        (2 * LOOK_EVERY_MS, [FULL], True, 1),  # it is known
        (LOOK_EVERY_MS, [], True, 1),  # the clock went back; and somebody has made room
        (2 * LOOK_EVERY_MS, [FULL], True, 2),
    ]:
        assert views.due(now_ms) == due
        if found_ is not None:
            views.follow(found_, now_ms)
        assert len(caplog.records) == told
    assert (views.fleet(), views.store("demo", "shop1"), views.counters()) == ((), None, {"x": 1})
