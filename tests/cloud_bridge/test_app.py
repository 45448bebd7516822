"""The application: its life, its health, its API, and the sentences it says when it cannot start."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import httpx
import pytest

from cloud_bridge.api import MAX_EVENTS
from cloud_bridge.app import Settings, create_app
from cloud_bridge.members import MembersFileError
from cloud_bridge.run import CloudError, check_database, listen, serve
from cloud_bridge.storage import StorageBusyError, StorageError, StorageFullError, open_writer
from cloud_bridge.supervisor import Supervisor
from contracts.clock import ManualClock, SystemClock
from contracts.messages import Presence, encode_message
from contracts.topics import StoreTopics
from tests.cloud_bridge.wire import CHILD, LEDGER, TELEMETRY, Chain

TOPICS = StoreTopics("demo", "shop1")


@contextlib.asynccontextmanager
async def api(
    database: Path | str, mqtt_url: str = "mqtt://127.0.0.1:1", **more
) -> AsyncIterator[tuple[httpx.AsyncClient, object]]:
    if isinstance(database, Path) and not database.suffix:
        database /= "cloud.db"
    settings = Settings(database=database, mqtt_url=mqtt_url, pages=False, **more)
    app = create_app(settings, clock=SystemClock(), rng=Random(5))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://cloud") as client,
    ):
        yield client, app.state.bridge


async def fill(bridge, count: int = 3) -> Chain:
    chain = Chain(place=LEDGER).grow(count)
    await bridge.router.handle(TOPICS.events("ledger"), encode_message(chain.batch(1, count))[0])
    await bridge.models.catch_up()
    return chain


async def fill_more(bridge, chain: Chain, last: int) -> None:
    first = len(chain.raws) + 1
    chain.grow(last - first + 1)
    await bridge.router.handle(TOPICS.events("ledger"), encode_message(chain.batch(first, last))[0])


async def test_health_is_a_ping_of_each_service(database, broker) -> None:
    async with api(database, broker.url) as (client, bridge):
        await asyncio.wait_for(bridge.shell.connected.wait(), 20)
        answer = await client.get("/healthz")
        assert answer.status_code == 200
        assert answer.json() == {
            "ok": True,
            "services": {
                "storage": {"ok": True, "detail": "commits", "crashes": 0},
                "mqtt": {"ok": True, "detail": "connected", "crashes": 0},
                "read_models": {"ok": True, "detail": "up to date", "crashes": 0},
                "presence": {"ok": True, "detail": "follows the database", "crashes": 0},
                "commands": {"ok": True, "detail": "publishes", "crashes": 0},
            },
        }


async def test_what_is_down_is_named(database) -> None:
    async with api(database) as (client, bridge):
        answer = await client.get("/healthz")
        assert answer.status_code == 503
        services = answer.json()["services"]
        assert {name: ping["ok"] for name, ping in services.items()} == {
            "storage": True,
            "mqtt": False,
            "read_models": True,
            "presence": True,
            "commands": True,
        }
        await asyncio.to_thread(bridge.storage.close)
        services = (await client.get("/healthz")).json()["services"]
        assert {name: ping["ok"] for name, ping in services.items()} == {
            "storage": False,
            "mqtt": False,
            "read_models": False,
            "presence": True,  # it has not looked yet
            "commands": True,  # nor has it
        }


async def test_a_commit_that_hangs_is_no_health(database, monkeypatch) -> None:
    monkeypatch.setattr("cloud_bridge.bridge.PING_WITHIN_S", 0.01)
    async with api(database) as (client, bridge):
        release = asyncio.Event()

        async def never(work):
            await release.wait()

        with monkeypatch.context() as patch:
            patch.setattr(bridge.storage, "write", never)
            assert not (await client.get("/healthz")).json()["services"]["storage"]["ok"]


async def test_the_fleet_comes_in_pages(database) -> None:
    async with api(database) as (client, bridge):
        for n in range(5):
            said = Presence(online=True, boot="b", conn=1, instance="i", agent_version="1", since=1)
            await bridge.router.handle(StoreTopics("demo", f"shop{n}").presence, encode_message(said)[0])
        page = (await client.get("/api/v1/fleet", params={"offset": 3, "limit": 5})).json()
        assert (page["total"], page["offset"], [row["store"] for row in page["stores"]]) == (5, 3, ["shop3", "shop4"])
        assert page["stores"][0]["online"] is True
        assert (await client.get("/api/v1/fleet", params={"limit": 501})).status_code == 422


async def test_a_store_and_its_events(database) -> None:
    async with api(database) as (client, bridge):
        chain = await fill(bridge, 3)
        chain.add(b'{"broken":true}')
        await bridge.router.handle(TOPICS.events("ledger"), encode_message(chain.batch(4, 4))[0])
        await bridge.models.catch_up()
        store = (await client.get("/api/v1/stores/demo/shop1")).json()
        assert (store["watermarks"], store["dead_letters"], len(store["events"])) == ({"ledger": 4}, 1, 4)

        first = (await client.get("/api/v1/stores/demo/shop1/events", params={"limit": 2})).json()
        assert [(x["seq"], x["type"], x["dead"], x["counted"]) for x in first["events"]] == [
            (1, "store.opened", None, True),
            (2, "store.opened", None, True),
        ]
        assert first["events"][0]["event"]["data"] == {"staff_id": "s0"}
        assert first["events"][0]["hash"] == chain.hashes[1].hex()
        rest = (await client.get("/api/v1/stores/demo/shop1/events", params={"after": first["next_after"]})).json()
        assert [(x["seq"], x["event"] is None, bool(x["dead"])) for x in rest["events"]] == [
            (3, False, False),
            (4, True, True),
        ]
        end = (await client.get("/api/v1/stores/demo/shop1/events", params={"after": rest["next_after"]})).json()
        assert end == {"events": [], "next_after": rest["next_after"]}
        # A stream that lags is not passed over: the cursor knows how far each one was read.
        telemetry = Chain(stream=CHILD, place=TELEMETRY).grow(1)
        await bridge.router.handle(TOPICS.events("telemetry"), encode_message(telemetry.batch(1, 1))[0])
        await fill_more(bridge, chain, 5)
        later = (await client.get("/api/v1/stores/demo/shop1/events", params={"after": end["next_after"]})).json()
        assert [(x["lane"], x["seq"]) for x in later["events"]] == [("ledger", 5), ("telemetry", 1)]
        counters = (await client.get("/api/v1/counters")).json()
        assert (counters["events_stored"], counters["events_dead"]) == (6, 1)


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/api/v1/stores/demo/nobody", 404, "unknown_store"),
        ("/api/v1/stores/demo/nobody/events", 404, "unknown_store"),
        ("/api/v1/stores/demo/no%20body", 422, None),  # no id
        (f"/api/v1/stores/demo/shop1/events?limit={MAX_EVENTS + 1}", 422, None),
        ("/api/v1/stores/demo/shop1/events?after=-1", 422, None),
        ("/api/v1/stores/demo/shop1/events?after=1.99999999999999999999", 422, None),
    ],
)
async def test_errors_are_typed(database, path: str, status: int, code: str | None) -> None:
    async with api(database) as (client, bridge):
        await fill(bridge)
        answer = await client.get(path)
        assert answer.status_code == status
        if code is not None:
            assert answer.json()["error"] == code


async def test_a_database_that_is_gone_is_said(database) -> None:
    async with api(database) as (client, bridge):
        await fill(bridge)
        await asyncio.to_thread(bridge.storage.close)
        answer = await client.get("/api/v1/stores/demo/shop1/events")
        assert (answer.status_code, answer.json()["error"]) == (503, "storage_unavailable")
        assert bridge.counters["api_storage_failed"] == 1


async def test_the_api_describes_itself(tmp_path: Path) -> None:
    async with api(tmp_path) as (client, _):
        document = (await client.get("/openapi.json")).json()
        assert set(document["paths"]) == {
            "/healthz", "/api/v1/fleet", "/api/v1/counters",
            "/api/v1/stores/{tenant}/{store}", "/api/v1/stores/{tenant}/{store}/events",
            "/api/v1/stores/{tenant}/{store}/lease", "/api/v1/stores/{tenant}/{store}/dead-letters",
            "/api/v1/command-types",
            "/api/v1/stores/{tenant}/{store}/commands", "/api/v1/stores/{tenant}/{store}/commands/{command}",
        }  # fmt: skip
        assert {"ApiError", "FleetPage", "StoreView", "EventsPage"} <= set(document["components"]["schemas"])


async def test_a_restart_remembers_stores_members_and_events(database, tmp_path: Path) -> None:
    (tmp_path / "members.csv").write_text("member_ref,name,points\nm-1,A,5\n")
    async with api(database) as (_, bridge):
        await fill(bridge)
        said = Presence(online=True, boot="b", conn=1, instance="i", agent_version="1", since=1)
        await bridge.router.handle(TOPICS.presence, encode_message(said)[0])
    async with api(database, members_file=tmp_path / "members.csv") as (client, bridge):
        await bridge.models.catch_up()
        row = (await client.get("/api/v1/fleet")).json()["stores"][0]
        assert (row["store"], row["online"]) == ("shop1", True)
        assert len((await client.get("/api/v1/stores/demo/shop1")).json()["events"]) == 3
        assert await bridge.storage.read(lambda db: db.rows("SELECT tenant, points FROM members")) == [("demo", 5)]


async def test_bad_members_stop_the_start(tmp_path: Path) -> None:
    (tmp_path / "members.csv").write_text("member_ref\n")
    with pytest.raises(MembersFileError):
        async with api(tmp_path, members_file=tmp_path / "members.csv"):
            pass


# ------------------------------------------------------------------ supervision


async def test_a_service_that_falls_is_counted_shown_and_started_again(clock: ManualClock, caplog) -> None:
    supervisor = Supervisor(clock=clock, rng=Random(1))
    starts = 0

    async def falls() -> None:
        nonlocal starts
        starts += 1
        if starts == 4:
            return
        raise LookupError("no such thing" if starts < 3 else "another")

    with caplog.at_level(logging.ERROR, "zhanggui.cloud_bridge"):
        task = asyncio.create_task(supervisor.keep("x", falls), name="keep")
        for _ in range(4):
            await clock.advance(60.0)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    health = supervisor.services["x"]
    assert starts >= 4
    assert (health.crashes, health.running) == (starts, False)
    assert len([r for r in caplog.records if "fell" in r.message]) >= 2  # once for each new reason, not for each fall
    assert "no such thing" not in health.last_error


# ------------------------------------------------------------------ starting


def test_a_port_in_use_is_one_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(CloudError, match=f"^port {port} is in use"):
            listen("127.0.0.1", port)


def test_an_address_that_is_not_ours_is_one_sentence() -> None:
    with pytest.raises(CloudError, match=r"^cannot listen on 192\.0\.2\.1:1:"):
        listen("192.0.2.1", 1)


def test_a_database_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(CloudError, match=r"cannot be written \(.*\): choose a folder"):
        check_database(tmp_path / "file" / "cloud.db")
    with pytest.raises(CloudError, match=r"cannot be written \(unable to open database file\)"):
        check_database(tmp_path)  # a folder


def test_a_file_that_is_no_database_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_bytes(b"hello" * 500)
    with pytest.raises(CloudError, match="is no database of the bridge"):
        check_database(tmp_path / "x.db")


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [(StorageFullError, "^the disk is full: free some room"), (StorageBusyError, "is in use by another bridge")],
)
def test_a_full_disk_is_one_sentence(tmp_path: Path, monkeypatch, kind: type[StorageError], sentence: str) -> None:
    def full(path):
        raise kind("no")

    monkeypatch.setattr("cloud_bridge.run.open_writer", full)
    with pytest.raises(CloudError, match=sentence):
        check_database(tmp_path / "x.db")


def test_serving_says_what_is_wrong_before_it_starts(tmp_path: Path) -> None:
    (tmp_path / "members.csv").write_text("no\n")
    settings = Settings(
        database=tmp_path / "a" / "cloud.db",
        mqtt_url="http://no",
        port=0,
        members_file=tmp_path / "members.csv",
        pages=False,
    )
    with pytest.raises(CloudError, match=r"^members were not imported: members.csv:1:"):
        serve(settings)
    (tmp_path / "members.csv").write_text("member_ref,name,points\n")
    with pytest.raises(CloudError, match=r"^mqtt url: must be"):
        serve(settings, clock=SystemClock())
    open_writer(tmp_path / "a" / "cloud.db").close()  # the folder was made


def test_serving_hands_the_socket_over(tmp_path: Path, monkeypatch) -> None:
    ran = []

    def run(self, sockets):
        ran.append(sockets[0].getsockname()[0])
        sockets[0].close()

    monkeypatch.setattr("uvicorn.Server.run", run)
    serve(Settings(database=tmp_path / "cloud.db", mqtt_url="mqtt://127.0.0.1", port=0, pages=False))
    assert ran == ["127.0.0.1"]
