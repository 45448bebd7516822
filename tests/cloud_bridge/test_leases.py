"""An operator looks at a store's lease and moves it: over the API, and by the command that asks it."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from contracts.messages import Hello, HelloAnswer, Presence, decode_message, encode_message
from contracts.topics import StoreTopics
from tests.cloud_bridge.test_app import api
from tests.cloud_bridge.wire import STREAM, Chain
from zhanggui.cli import app as cli
from zhanggui.errors import UserError

TOPICS = StoreTopics("demo", "shop1")
PATH = "/api/v1/stores/demo/shop1/lease"


async def hello(bridge, instance: str) -> bool:
    """Whether `instance` is the active one."""
    said = Hello(stream=STREAM, instance=instance, nonce="n", next_seq=1, tail_hash=Chain().hashes[0].hex(), t0=0)
    answer = await bridge.router.handle(TOPICS.hello_up("ledger"), encode_message(said)[0])
    return decode_message(answer.payload, HelloAnswer).active


async def here(bridge, instance: str) -> None:
    said = Presence(online=True, boot=f"b-{instance}", conn=1, instance=instance, agent_version="1", since=0)
    await bridge.router.handle(TOPICS.presence, encode_message(said)[0])


async def test_an_operator_moves_the_lease_and_the_other_box_stands_by(tmp_path: Path, caplog) -> None:
    async with api(tmp_path) as (client, bridge):
        assert await hello(bridge, "old")
        await here(bridge, "new")
        assert not await hello(bridge, "new")
        found = (await client.get(PATH)).json()
        assert (found["instance"], found["heard"]) == ("old", "new")
        moved = await client.post(PATH, json={"instance": "new", "moved_by": "op1"})
        assert (moved.status_code, moved.json()["instance"]) == (200, "new")
        assert moved.json()["since_ms"] >= found["since_ms"]
        assert not await hello(bridge, "old")
        assert await hello(bridge, "new")
        assert "op1 moves the lease from old to new" in caplog.text
        assert bridge.counters["leases_moved"] == 1


async def test_moving_it_to_who_holds_it_changes_nothing(tmp_path: Path) -> None:
    async with api(tmp_path) as (client, bridge):
        await hello(bridge, "old")
        before = (await client.get(PATH)).json()
        assert (await client.post(PATH, json={"instance": "old", "moved_by": "op1"})).json() == before
        assert bridge.counters["leases_moved"] == 0


async def test_a_name_that_nobody_has_heard_is_refused_unless_it_is_meant(tmp_path: Path) -> None:
    async with api(tmp_path) as (client, bridge):
        await hello(bridge, "old")
        refused = await client.post(PATH, json={"instance": "typo", "moved_by": "op1"})
        assert (refused.status_code, refused.json()["error"]) == (409, "conflict")
        assert await hello(bridge, "old")
        meant = await client.post(PATH, json={"instance": "spare", "moved_by": "op1", "anyway": True})
        assert meant.json()["instance"] == "spare"
        assert not await hello(bridge, "old")


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/api/v1/stores/demo/nobody/lease", {"instance": "a", "moved_by": "op1"}, 404),
        (PATH, {"instance": "a b", "moved_by": "op1"}, 422),
        (PATH, {"instance": "a"}, 422),  # who says so?
        (PATH, {"instance": "a", "moved_by": "op1", "store": "x"}, 422),
        (PATH, b"instance=a&moved_by=op1", 422),  # what another site's form could send
    ],
)
async def test_what_is_no_move_is_refused(tmp_path: Path, path: str, body, status: int) -> None:
    async with api(tmp_path) as (client, bridge):
        await hello(bridge, "old")
        answer = await client.post(path, **({"content": body} if isinstance(body, bytes) else {"json": body}))
        assert answer.status_code == status
        assert (await client.get("/api/v1/stores/demo/nobody/lease")).status_code == 404


# ------------------------------------------------------------------ the command

LEASE = {"tenant": "demo", "store": "shop1", "instance": "new", "since_ms": 1_772_413_200_000, "heard": "old"}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch):
    """What was asked of the API, and what it answers."""
    seen: list[tuple] = []

    def request(method: str, url: str, *, json=None, timeout: float) -> httpx.Response:
        seen.append((method, url, json))
        if "away" in url:
            raise httpx.ConnectError("nobody listens")
        if "/none/" in url:
            return httpx.Response(404, json={"error": "unknown_store", "detail": "no instance has said hello"})
        if json and json["instance"] == "typo" and not json["anyway"]:
            return httpx.Response(409, json={"error": "conflict", "detail": "nobody has heard of typo"})
        return httpx.Response(200, json=LEASE)

    monkeypatch.setattr(httpx, "request", request)
    return seen


def run(*arguments: str):
    return CliRunner().invoke(cli, ["cloud", "lease", *arguments])


def test_the_command_shows_it(asked) -> None:
    found = run("show", "demo", "shop1")
    assert found.exit_code == 0
    assert "demo/shop1: instance new since 2026-03-02 01:00:00 UTC" in found.output
    assert "instance old was heard last and stands by" in found.output
    assert asked == [("GET", "http://127.0.0.1:8300/api/v1/stores/demo/shop1/lease", None)]


def test_the_command_moves_it_and_says_who_did(asked) -> None:
    assert run("move", "demo", "shop1", "new", "--by", "op1", "--url", "http://cloud:1/").exit_code == 0
    ((method, url, body),) = asked
    assert (method, url) == ("POST", "http://cloud:1/api/v1/stores/demo/shop1/lease")
    assert body == {"instance": "new", "moved_by": "op1", "anyway": False}
    assert run("move", "demo", "shop1", "typo", "--anyway").exit_code == 0
    assert asked[1][2]["moved_by"]  # the login


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("show", "demo", "shop1", "--url", "http://away"), "does not answer as a bridge does"),
        (("show", "demo", "none"), "no instance has said hello"),
        (("show", "demo", "a/b"), "store"),
        (("move", "demo", "shop1", "typo"), "--anyway"),
        (("move", "demo", "shop1", "a b"), "instance"),
    ],
)
def test_what_a_person_can_mend_is_one_sentence(asked, arguments, sentence) -> None:
    found = run(*arguments)
    assert isinstance(found.exception, UserError)
    assert sentence in str(found.exception)
