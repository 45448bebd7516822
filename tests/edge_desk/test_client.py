"""A page's end of the socket: the latest state, an answer to every request, and honesty about silence."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import pytest

from contracts.clock import ManualClock
from edge.desk.client import AGENT_UNREACHABLE, DeskClient
from edge.desk.messages import Reply
from edge.desk.server import DeskServer
from tests.edge_desk.conftest import Desk
from tests.edge_desk.store import Backend, state, until


@pytest.fixture
async def client(desk: Desk) -> AsyncIterator[DeskClient]:
    client = DeskClient(desk.path, desk.clock, rng=Random(1))
    task = asyncio.create_task(client.run())
    await until(lambda: client.state is not None)
    yield client
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_the_state_arrives_and_every_change_is_told(desk: Desk, client: DeskClient) -> None:
    told: list[int] = []
    end = client.subscribe(lambda: told.append(client.state.counters.get("n", 0) if client.state else -1))
    desk.backend.now = state(counters={"n": 7})
    desk.server.changed()
    await until(lambda: told)
    assert told == [7]
    assert not client.stale
    end()
    end()  # twice is once
    await desk.pace.advance(0.1)
    desk.backend.now = state(counters={"n": 8})
    desk.server.changed()
    await until(lambda: client.state and client.state.counters["n"] == 8)
    assert told == [7]


async def test_a_request_is_answered(desk: Desk, client: DeskClient) -> None:
    reply = await client.ask("start", cabinet="c1", compartment="k1", qty=2)
    assert reply.ok
    assert (desk.backend.asked[0].cabinet, desk.backend.asked[0].qty) == ("c1", 2)


async def test_answers_find_their_own_request(desk: Desk, client: DeskClient) -> None:
    desk.backend.gate.clear()
    waiting = [asyncio.create_task(client.ask("cancel", session=f"s{n}")) for n in range(5)]
    await until(lambda: len(desk.backend.asked) == 5)
    desk.backend.gate.set()
    replies = await asyncio.gather(*waiting)
    assert [r.id for r in replies] == [a.id for a in desk.backend.asked]


async def test_a_request_without_an_answer_ends_unreachable_and_a_late_answer_is_counted(
    desk: Desk, client: DeskClient
) -> None:
    desk.backend.gate.clear()
    waiting = asyncio.create_task(client.ask("release", session="s1", timeout_s=5.0))
    await until(lambda: desk.backend.asked)
    await desk.clock.advance(4.4)
    assert not waiting.done()
    await desk.clock.advance(1.0)
    await until(waiting.done)
    reply = await waiting
    assert (reply.ok, reply.reason) == (False, AGENT_UNREACHABLE)
    desk.backend.gate.set()
    await until(lambda: client.counters["reply_unasked"] == 1)


async def test_a_value_beyond_its_cap_is_refused_here(desk: Desk, client: DeskClient) -> None:
    reply = await client.ask("sign_in", staff_id="li", pin="1" * 17)
    assert (reply.ok, reply.reason) == (False, "malformed")
    assert desk.backend.asked == []


async def test_more_waiting_requests_than_the_cap_are_refused(desk: Desk, client: DeskClient) -> None:
    desk.backend.gate.clear()
    waiting = [asyncio.create_task(client.ask("beat")) for _ in range(64)]
    await asyncio.sleep(0)
    assert (await client.ask("beat")).reason == "too_many_asks"
    desk.backend.gate.set()
    await desk.clock.advance(11.0)
    await asyncio.gather(*waiting)


async def test_silence_beyond_the_beat_is_stale_and_told(desk: Desk, client: DeskClient) -> None:
    told: list[bool] = []
    client.subscribe(lambda: told.append(client.stale))
    await desk.clock.advance(29.0)
    assert not client.stale
    await desk.clock.advance(2.0)
    assert client.stale
    assert told == [True]  # once, not at every look
    desk.server.changed()
    await until(lambda: not client.stale)
    assert told == [True, False]


async def test_no_agent_yet_then_one_then_none_then_one_again(tmp_path: Path, clock: ManualClock) -> None:
    path = tmp_path / "desk.sock"
    client = DeskClient(path, clock, rng=Random(2))
    following = asyncio.create_task(client.run())
    assert client.stale
    assert (await client.ask("beat")).reason == AGENT_UNREACHABLE
    for n in range(2):
        backend = Backend()
        backend.now = state(counters={"life": n})
        server = DeskServer(path, backend, clock, pace=ManualClock())
        serving = asyncio.create_task(server.run())
        await server.ready()
        for _ in range(40):  # within the longest back-off
            await clock.advance(0.1)
            for _ in range(20):
                await asyncio.sleep(0)
        await until(lambda: not client.stale)
        assert client.state is not None
        assert client.state.counters == {"life": n}
        backend.gate.clear()
        asked = asyncio.create_task(client.ask("release"))
        await until(lambda b=backend: b.asked)
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        reply = await asked  # the agent died with the request: no answer is an answer
        assert reply.reason == AGENT_UNREACHABLE
        assert client.stale
        assert client.state is not None  # the last picture stays, marked stale
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)


@pytest.mark.parametrize(
    "line",
    [
        b"no json\n",  # not ours
        b'{"type":"ask","id":"1","action":"beat"}\n',  # a page's word from the agent's side
        b"\xff\n",  # no UTF-8
        b"x" * ((1 << 20) + 10),  # no end
    ],
)
async def test_an_agent_that_speaks_nonsense_is_left_and_tried_again(
    tmp_path: Path, clock: ManualClock, line: bytes
) -> None:
    calls: list[asyncio.StreamWriter] = []

    def nonsense(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        calls.append(writer)
        writer.write(line)

    server = await asyncio.start_unix_server(nonsense, str(tmp_path / "d"))
    client = DeskClient(tmp_path / "d", clock, rng=Random(3))
    task = asyncio.create_task(client.run())
    await until(lambda: client.counters["malformed"] >= 1)
    assert client.stale
    await clock.advance(3.0)
    await until(lambda: len(calls) >= 2)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    for writer in calls:
        writer.transport.abort()
    server.close()


async def test_an_answer_nobody_asked_for_is_counted(desk: Desk, client: DeskClient) -> None:
    client._settle(Reply(id="99", ok=True))
    assert client.counters["reply_unasked"] == 1
