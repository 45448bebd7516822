"""What could not be understood is listed with its bytes and its reason, over the API and by a command."""

from __future__ import annotations

import base64
import json

import pytest
from typer.testing import CliRunner

from cloud_bridge.ingest.screening import WITHHELD
from cloud_bridge.storage import open_reader
from contracts.messages import encode_message
from contracts.topics import StoreTopics
from tests.cloud_bridge.test_app import api
from tests.cloud_bridge.wire import CHILD, STREAM, TELEMETRY, Chain
from zhanggui.cli import app as cli

NUL = b'{"a":"' + b"\\u0000" * 3 + b'","\\u0000":1}'
PERSONAL = b'{"face":"AAAA"}'


@pytest.fixture
async def told(database):
    """A bridge that was told two streams with dead letters among good events, and a client of its API."""
    async with api(database) as (client, bridge):
        ledger, telemetry = Chain().grow(2), Chain(CHILD, TELEMETRY)
        ledger.add(NUL)
        ledger.add(PERSONAL)
        ledger.grow(1)
        telemetry.add(b"\xff\x00no text")
        for chain, lane in ((ledger, "ledger"), (telemetry, "telemetry")):
            batch = chain.batch(1, len(chain.raws))
            # bytes that are no JSON cannot be sent; they are put in as a store of another make would
            topic = StoreTopics("demo", "shop1").events(lane)
            if lane == "ledger":
                assert await bridge.router.handle(topic, encode_message(batch)[0]) is not None
            else:
                await bridge.storage.write(lambda db, chain=chain: _put(db, chain))
        yield database, client


def _put(db, chain: Chain) -> None:
    from cloud_bridge.ingest.service import apply_batch

    assert apply_batch(db, TELEMETRY, chain.batch(1, 1), now_ms=1, window=9).counts["events_dead"] == 1


async def test_the_api_gives_bytes_and_reason_a_page_at_a_time(told) -> None:
    _, client = told
    path = "/api/v1/stores/demo/shop1/dead-letters"
    first = (await client.get(path, params={"limit": 2})).json()
    rest = (await client.get(path, params={"after": first["next_after"]})).json()
    letters = first["dead_letters"] + rest["dead_letters"]
    assert [(x["stream"], x["seq"], base64.b64decode(x["raw_base64"])) for x in letters] == [
        (STREAM, 3, NUL),
        (STREAM, 4, b""),  # withheld
        (CHILD, 1, b"\xff\x00no text"),
    ]
    assert letters[1]["reason"] == WITHHELD
    assert all(x["reason"] for x in letters)
    end = (await client.get(path, params={"after": rest["next_after"]})).json()
    assert end == {"dead_letters": [], "next_after": rest["next_after"]}
    assert (await client.get("/api/v1/stores/demo/other/dead-letters")).json()["dead_letters"] == []
    assert (await client.get(path, params={"after": "1"})).status_code == 422


async def test_the_command_lists_them(told) -> None:
    database, _ = told
    run = CliRunner().invoke(cli, ["cloud", "dead-letters", "--database", str(database)])
    assert run.exit_code == 0
    lines = run.output.splitlines()
    assert [line.split("  ")[1] for line in lines] == [
        "demo/shop1 ledger 3",
        "demo/shop1 ledger 4",
        "demo/shop1 telemetry 1",
    ]
    assert "withheld" in lines[1]
    run = CliRunner().invoke(cli, ["cloud", "dead-letters", "--json", "--store", "shop1", "--database", str(database)])
    found = [json.loads(line) for line in run.output.splitlines()]
    assert base64.b64decode(found[0]["raw"]) == NUL
    assert "AAAA" not in run.output
    run = CliRunner().invoke(cli, ["cloud", "dead-letters", "--store", "nobody", "--database", str(database)])
    assert "no dead letters" in run.output


async def test_a_person_with_sql_finds_them_too(told) -> None:
    database, _ = told
    db = open_reader(database)
    assert db.rows("SELECT store, lane, seq, raw FROM dead_letters ORDER BY lane, seq") == [
        ("shop1", "ledger", 3, NUL), ("shop1", "ledger", 4, b""), ("shop1", "telemetry", 1, b"\xff\x00no text"),
    ]  # fmt: skip
    db.close()
