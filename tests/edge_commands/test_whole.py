"""Orders over a real broker to the real agent with its simulated hardware, given through the real API."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import httpx
import pytest

from cloud_bridge.app import Settings, create_app
from contracts.clock import unix_ms
from contracts.command_types import COMMAND_TYPES
from contracts.event_types import AgentHealth, CommandRefused, ConfigChanged
from contracts.messages import Command, encode_message
from contracts.topics import StoreTopics
from edge import agent as agent_module
from edge.agent import Agent
from edge.commands import machine
from edge.ledger import show
from mqtt_link import AiomqttPort, BrokerUrl
from tests.edge.shop import Shop
from tests.edge.test_agent import QuickSupervisor, told
from tests.edge_sessions.fakes import PIN


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent_module, "DRAIN_S", 0.05)
    monkeypatch.setattr(agent_module, "Supervisor", QuickSupervisor)


@dataclass
class Whole:
    """A store, its cloud, and the way between them."""

    shop: Shop
    agent: Agent
    api: httpx.AsyncClient
    broker: str

    @property
    def store(self) -> str:
        return self.shop.config.store

    async def issue(self, kind: str, *, ttl_s: int = 600, **args: Any) -> dict[str, Any]:
        """Order it, and wait for the end."""
        path = f"/api/v1/stores/demo/{self.store}/commands"
        body = {"type": kind, "args": args, "issued_by": "amy", "ttl_s": ttl_s}
        async with asyncio.timeout(60):
            while (answer := await self.api.post(path, json=body)).status_code == 409:
                await asyncio.sleep(0.05)  # the hello is answered, but not noted yet
            order = answer.json()
            assert answer.status_code == 201, order
            while not order["final"]:
                await asyncio.sleep(0.05)
                order = (await self.api.get(f"{path}/{order['id']}")).json()
        return {k: order[k] for k in ("state", "detail", "result")}

    async def say(self, *commands: Command, topic: str = "") -> None:
        """Publish by hand, as a bridge that has gone mad would."""
        port = AiomqttPort(BrokerUrl.parse(self.broker))
        async with port.connect(client_id=f"mad-{self.store}", on_dropped=lambda: None) as link:
            for command in commands:
                payload, encoding = encode_message(command)
                where = topic or StoreTopics("demo", self.store).command(command.id)
                await link.publish(where, payload, encoding=encoding)

    def order(self, name: str, kind: str, ttl_s: float = 600, late_s: float = 0.0, **args: Any) -> Command:
        """One that was issued `late_s` ago and spent all that time on its way."""
        now_ms = unix_ms(self.shop.clock.wall()) - int(late_s * 1000)
        return Command(
            id=name,
            stream=self.agent.ledger.lane("ledger").stream,
            type=kind,
            args=args,
            issued_by="mallory",
            expires_at=now_ms + int(ttl_s * 1000),
            ttl_ms=int(ttl_s * 1000),
        )

    async def asks_for_tobacco(self) -> str:
        """Somebody is on duty, and a buyer waits for the release."""
        assert (await self.shop.ask("sign_in", staff_id="amy", pin=PIN, terminal="t1")).ok
        assert (await self.agent.runners["T1"].request("staff_release", "T1-1", "m0001")).ok
        return self.agent.runners["T1"].live

    def refusals(self) -> dict[str, str]:
        return {word.command: word.reason for word in told(self.shop, CommandRefused)}


@asynccontextmanager
async def whole(folder: Path, broker: str, store: str) -> AsyncIterator[Whole]:
    shop = Shop(folder, broker, store=store)
    app = create_app(
        Settings(database=folder / "cloud.db", mqtt_url=broker, pages=False), clock=shop.clock, rng=Random(5)
    )
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://cloud") as api,
        shop.running() as agent,
    ):
        await shop.until(lambda: agent.uplink.standing.link == "ready")
        yield Whole(shop, agent, api, broker)


async def test_the_first_useful_set(tmp_path: Path, broker: Any) -> None:
    """Each type, ordered through the API, with its outcome in the ledger."""
    async with whole(tmp_path, broker.url, "orders-all") as world:
        shop, agent = world.shop, world.agent

        # device.self_test asks and moves nothing
        lock = await world.issue("device.self_test", device="lock-1")
        assert lock == {"state": "done", "detail": "ok", "result": {"door_1": "closed", "door_2": "closed"}}
        scale = await world.issue("device.self_test", device="scale-S1-a")
        assert scale["state"] == "done"
        assert scale["result"]["gross_dg"] > 10_000
        card = await world.issue("device.self_test", device="id-T1")
        assert (card["state"], card["result"]) == ("done", {"card": 0})
        assert (await world.issue("device.self_test", device="scanner-S1"))["detail"] == "port_open"
        assert await world.issue("device.self_test", device="nothing") == {
            "state": "refused",
            "detail": "no_such_device",
            "result": {},
        }

        # device.restart opens the port anew, once the cloud holds the intent
        opened = agent.devices.buses["locks"].counters["opened"]
        assert (await world.issue("device.restart", device="lock-2"))["detail"] == "online"
        assert agent.devices.buses["locks"].counters["opened"] == opened + 1
        assert (await world.issue("device.restart", device="scanner-D1"))["state"] == "done"
        assert agent.supervisor.tasks["bus:locks"].crashes == 0

        # …and not in the middle of a session of a cabinet that needs that port
        session = await world.asks_for_tobacco()
        assert await world.issue("device.restart", device="lock-1") == {
            "state": "refused",
            "detail": "busy",
            "result": {},
        }

        # session.revoke of that very session, then of the cabinet
        assert (await world.issue("session.revoke", session=session))["detail"] == "revoked"
        await shop.until(lambda: agent.runners["T1"].live == "")
        assert await world.issue("session.revoke", session="0" * 20) == {
            "state": "refused",
            "detail": "no_session",
            "result": {},
        }
        assert (await world.issue("session.revoke", cabinet="S1"))["state"] == "done"
        assert not (await agent.runners["S1"].request("self_service", "S1-door", "m0001")).ok
        assert (await world.issue("session.revoke", store=world.store))["result"] == {"cabinets": 3}
        assert (await world.issue("session.revoke", store="another"))["detail"] == "another_store"
        assert (await world.issue("session.revoke", cabinet="Z9"))["detail"] == "no_such_cabinet"

        # telemetry.flush makes and sends telemetry now
        before = len(told(shop, AgentHealth))
        flushed = await world.issue("telemetry.flush")
        assert flushed["detail"] == "flushed"
        assert flushed["result"]["events"] >= 1
        await shop.until(lambda: agent.ledger.lane("telemetry").waiting == 0)
        assert before >= 0
        assert shop.pulses() == 0


async def test_a_revoke_survives_a_restart_until_a_manager_lifts_it(tmp_path: Path, broker: Any) -> None:
    """Only a manager signed in at the counter lifts it; the cloud cannot, and no expiry does."""
    async with whole(tmp_path, broker.url, "orders-revoke") as world:
        assert (await world.issue("session.revoke", cabinet="D1", ttl_s=5))["state"] == "done"
        shop = world.shop
    async with shop.running() as agent:
        await shop.clock.sleep(30)
        runner = agent.runners["D1"]
        denied = await runner.request("self_service", "D1-door", "m0001")
        assert not denied.ok
        assert (await shop.ask("sign_in", staff_id="amy", pin=PIN, terminal="t1")).ok
        lifted = await shop.ask("lift", staff_id="amy", pin=PIN, target="cabinet:D1", terminal="t1")
        assert lifted.ok, lifted
        assert runner.snapshot().revoked == frozenset()
        assert shop.pulses() == 0


async def test_pitfall_29_a_bad_configuration_is_refused_with_its_field_and_the_last_good_one_runs(
    tmp_path: Path, broker: Any
) -> None:
    """Row 29: refused with field path, last good runs, and the cloud hears why."""
    async with whole(tmp_path, broker.url, "orders-config") as world:
        shop, agent, toml = world.shop, world.agent, world.shop.demo.store_toml
        good = toml.read_text()
        for text, field in (
            (good.replace("channel = 1", "channel = 77", 1), "cabinet.0.compartment.0.channel"),
            (good.replace('mode = "staff_release"', 'mode = "self_service"'), "cabinet.T1.mode"),  # T11
            (good.replace('pin_hash = "', 'pin_hash = "x', 1), "staff.amy.pin_hash"),
            (good.replace('id = "locks"\nurl = "serial://', 'id = "locks"\nurl = "serial:///none', 1), "bus.locks.url"),
        ):
            toml.write_text(text)
            told_ = await world.issue("config.reload")
            assert (told_["state"], told_["detail"]) == ("failed", "bad_config"), told_
            assert told_["result"]["field"] == field
            assert agent.config == shop.config
        toml.write_text("[[[")
        assert (await world.issue("config.reload"))["detail"] == "bad_config"
        assert shop.config.name_en == "Demo store No. 1"

        # identical: nothing is touched
        toml.write_text(good)
        assert await world.issue("config.reload") == {"state": "done", "detail": "unchanged", "result": {}}

        # names and people take effect at once; what hangs on ports and shelves is named, and waits
        text = good.replace('name_en = "Demo store No. 1"', 'name_en = "New name"')
        toml.write_text(text.replace("price_fen = 650\n", "price_fen = 700\n").replace("address = 4", "address = 5"))
        assert await world.issue("config.reload") == {
            "state": "done",
            "detail": "restart_needed",
            "result": {"applied": "name_en", "restart_needed": "device.scale-T1-4s,product.690001"},
        }
        assert agent.front.state().store_en == "New name"
        documents = [bytes(event.document).decode() for event in told(shop, ConfigChanged)]
        assert "New name" in documents[-1]
        assert "700" not in documents[-1]  # what runs is what is described


async def test_pitfall_01_the_same_configuration_again_leaves_the_ledger_alone(tmp_path: Path, broker: Any) -> None:
    """Row 1: identical config on each reconnect: outbox file handle and count unchanged."""
    async with whole(tmp_path, broker.url, "orders-same") as world:
        ledger = world.agent.ledger

        def handles() -> set[tuple[str, int]]:
            found = set()
            for number in os.listdir("/proc/self/fd"):  # noqa: PTH208 - a pseudo-folder of links
                target = Path("/proc/self/fd", number)
                if target.exists() and "ledger.db" in str(target.readlink()):
                    found.add((number, target.stat().st_ino))
            return found

        before, stream, tail = handles(), ledger.lane("ledger").stream, ledger.lane("ledger").tail.seq
        assert before
        for _ in range(3):
            assert (await world.issue("config.reload"))["detail"] == "unchanged"
        assert handles() == before
        assert ledger.lane("ledger").stream == stream
        path = world.shop.config.data_dir / "ledger.db"
        await world.shop.until(lambda: world.agent.commands.open == 0)
        words = [row for row in show(path, "ledger", tail, 100) if row.raw and b".command." in row.raw]
        assert len(words) <= 6  # what the orders themselves say; those that are freed are gone


@pytest.mark.parametrize("wrong_s", [0.0, 3600.0, -3600.0])
async def test_pitfall_15_a_late_command_never_moves_hardware(
    tmp_path: Path, broker: Any, monkeypatch: pytest.MonkeyPatch, wrong_s: float
) -> None:
    """Row 15: 10 s to live, delivered after 60 s: refused `expired`, also with the clock 1 h wrong."""
    async with whole(tmp_path, broker.url, f"orders-late-{int(wrong_s) % 7}") as world:
        late = world.order("late", "device.restart", ttl_s=10, late_s=60, device="lock-1")
        good = world.order("good", "device.restart", ttl_s=600, device="lock-1")
        if wrong_s:
            wall = world.shop.clock.wall
            from datetime import timedelta

            monkeypatch.setattr(world.agent.uplink._clock, "wall", lambda: wall() + timedelta(seconds=wrong_s))
        opened = world.agent.devices.buses["locks"].counters["opened"]
        await world.say(late)
        await world.shop.until(lambda: "late" in world.refusals())
        assert world.refusals() == {"late": "expired"}
        assert world.agent.devices.buses["locks"].counters["opened"] == opened
        await world.say(good)  # and a wrong wall clock keeps no good one out
        await world.shop.until(lambda: world.agent.devices.buses["locks"].counters["opened"] == opened + 1)


HOSTILE: tuple[dict[str, Any], ...] = (
    {"compartment": "T1-1"},
    {"cabinet": "T1", "open": 1},
    {"device": "lock-2", "channel": 1},
    {"device": "lock-2", "unlock": 1},
    {"session": "x" * 64},
    {"device": "T1-1"},
)


async def test_no_type_can_open_a_compartment(tmp_path: Path, broker: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every type with hostile arguments, and types that there are not, while a tobacco session waits: no frame."""
    monkeypatch.setattr(machine, "BURST", 1000)
    async with whole(tmp_path, broker.url, "orders-hostile") as world:
        shop, agent = world.shop, world.agent
        kinds = [*COMMAND_TYPES, "compartment.open", "cabinet.unlock", "session.release", "staff.sign_in"]
        orders = [
            world.order(f"o{n}-{m}", kind, **args) for n, kind in enumerate(kinds) for m, args in enumerate(HOSTILE)
        ]
        assert await world.asks_for_tobacco()
        for start in range(0, len(orders), 12):
            await world.say(*orders[start : start + 12])
            arrived = len(orders[: start + 12])
            await shop.until(lambda: agent.commands.counters["received"] >= arrived and agent.commands.open == 0)  # noqa: B023 - awaited here
        counted = agent.commands.counters
        ended = {name: n for name, n in counted.items() if name.startswith(("refused_", "completed_"))}
        assert sum(ended.values()) == len(orders)
        assert set(ended) <= {
            "refused_bad_args",
            "refused_unknown_type",
            "refused_no_session",
            "refused_no_such_device",
        }
        assert shop.pulses() == 0
        # neither does what no store should listen to
        await world.say(
            world.order("x", "session.revoke", cabinet="T1"), topic=StoreTopics("demo", world.store).command("y")
        )
        await shop.until(lambda: agent.uplink.counters.get("message_malformed", 0) > 0)
        assert not agent.runners["T1"].snapshot().revoked
