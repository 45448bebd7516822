"""The door for orders: what is taken, what is refused with field and fix, what is shown."""

from __future__ import annotations

import pytest

from contracts.event_types import CommandAccepted, CommandCompleted
from contracts.messages import Hello, encode_message
from tests.cloud_bridge.test_app import TOPICS, api
from tests.cloud_bridge.wire import LEDGER, STREAM, Chain

PATH = "/api/v1/stores/demo/shop1/commands"
REVOKE = {"type": "session.revoke", "args": {"cabinet": "T1"}, "issued_by": "amy", "ttl_s": 60, "id": "mine"}


async def heard(bridge) -> None:
    hello = Hello(stream=STREAM, instance="i1", nonce="n1", next_seq=1, tail_hash="0" * 64, t0=0)
    await bridge.router.handle(TOPICS.hello_up("ledger"), encode_message(hello)[0])
    bridge.commands._connected = lambda: True
    bridge.commands._publish = _nowhere
    await bridge.commands.turn()


async def _nowhere(*_said) -> None:
    return None


async def test_an_order_is_issued_shown_and_answered(database):
    async with api(database) as (client, bridge):
        assert (await client.get(PATH)).json() == []
        early = await client.post(PATH, json=REVOKE)
        assert (early.status_code, early.json()["error"]) == (409, "store_not_heard")
        await heard(bridge)
        answer = await client.post(PATH, json=REVOKE)
        assert answer.status_code == 201
        order = answer.json()
        assert answer.headers["location"] == f"{PATH}/mine"
        assert {k: order[k] for k in ("id", "type", "args", "issued_by", "stream", "state", "final")} == {
            "id": "mine",
            "type": "session.revoke",
            "args": {"cabinet": "T1"},
            "issued_by": "amy",
            "stream": STREAM,
            "state": "issued",
            "final": False,
        }
        assert order["expires_ms"] - order["issued_ms"] == 60_000
        again = await client.post(PATH, json=REVOKE)  # a repeat of one's own id orders nothing new
        assert (again.status_code, len((await client.get(PATH)).json())) == (201, 1)
        chain = Chain(place=LEDGER)
        chain.say(CommandAccepted(command="mine", kind="session.revoke"))
        done = CommandCompleted(
            command="mine", kind="session.revoke", outcome="done", detail="revoked", result={"cabinets": 1}
        )
        chain.say(done)
        await bridge.router.handle(TOPICS.events("ledger"), encode_message(chain.batch(1, 2))[0])
        shown = (await client.get(f"{PATH}/mine")).json()
        assert (shown["state"], shown["final"], shown["detail"], shown["result"]) == (
            "done",
            True,
            "revoked",
            {"cabinets": 1},
        )
        assert shown["accepted_ms"] > 0
        assert shown["answered_ms"] > 0


@pytest.mark.parametrize(
    ("change", "status", "error", "field"),
    [
        ({"type": "compartment.open"}, 422, "unknown_type", "type"),
        ({"type": "cabinet.unlock"}, 422, "unknown_type", "type"),
        ({"args": {}}, 422, "bad_args", "args"),
        ({"args": {"cabinet": "T1", "store": "shop1"}}, 422, "bad_args", "args"),
        ({"args": {"cabinet": "a b"}}, 422, "bad_args", "args.cabinet"),
        ({"args": {"cabinet": 7}}, 422, "bad_args", "args.cabinet"),
        ({"args": {"compartment": "T1-door"}}, 422, "bad_args", "args.compartment"),
        ({"args": {"cabinet": ["T1"]}}, 422, "bad_request", None),
        ({"ttl_s": 0}, 422, "bad_request", "ttl_s"),
        ({"ttl_s": 8 * 24 * 3600}, 422, "bad_request", "ttl_s"),
        ({"ttl_s": "60"}, 422, "bad_request", "ttl_s"),
        ({"issued_by": ""}, 422, "bad_request", "issued_by"),
        ({"issued_by": None}, 422, "bad_request", "issued_by"),
        ({"id": "../x"}, 422, "bad_request", "id"),
        ({"at": "once"}, 422, "bad_request", "at"),
        ({"id": "taken"}, 409, "id_taken", "id"),
    ],
)
async def test_a_wrong_order_names_the_field_and_the_fix(tmp_path, change, status, error, field):
    async with api(tmp_path) as (client, bridge):
        await heard(bridge)
        assert (await client.post(PATH, json={**REVOKE, "id": "taken", "issued_by": "bo"})).status_code == 201
        answer = await client.post(PATH, json={**REVOKE, **change})
        said = answer.json()
        assert (answer.status_code, said["error"]) == (status, error)
        assert said["fix"]
        assert said["detail"]
        assert field is None or said["field"] == field


async def test_a_store_takes_so_many_open_orders_and_no_more(tmp_path):
    async with api(tmp_path) as (client, bridge):
        await heard(bridge)
        order = {**REVOKE, "id": None}
        for _ in range(16):
            assert (await client.post(PATH, json=order)).status_code == 201
        full = await client.post(PATH, json=order)
        assert (full.status_code, full.json()["error"]) == (429, "too_many_open")
        assert len((await client.get(PATH, params={"limit": 3})).json()) == 3


async def test_an_order_that_nobody_gave_is_not_found(tmp_path):
    async with api(tmp_path) as (client, _):
        answer = await client.get(f"{PATH}/nobody")
        assert (answer.status_code, answer.json()["error"]) == (404, "unknown_command")


async def test_the_types_are_listed_and_none_of_them_opens(tmp_path):
    async with api(tmp_path) as (client, _):
        types = (await client.get("/api/v1/command-types")).json()
        assert [t["type"] for t in types] == [
            "session.revoke",
            "device.restart",
            "device.self_test",
            "config.reload",
            "telemetry.flush",
        ]
        assert [t["type"] for t in types if t["moves_hardware"]] == ["device.restart"]
        document = (await client.get("/openapi.json")).json()
        assert document["components"]["schemas"]["CommandIn"]["examples"]
