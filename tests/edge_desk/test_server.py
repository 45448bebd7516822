"""The agent's end of the socket over a real Unix socket: caps, slow pages, bad lines, dead sockets."""

from __future__ import annotations

import asyncio
import socket
import stat
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.clock import ManualClock
from edge.desk import server as desk_server
from edge.desk.messages import MAX_LINE_BYTES, Ask, DeskState, Reply
from edge.desk.server import MAX_ASKS_IN_FLIGHT, MAX_CLIENTS, MAX_MALFORMED, DeskServer, DeskUnavailableError
from tests.edge_desk.conftest import Desk
from tests.edge_desk.store import Backend, RawPage, state, until


async def test_a_page_gets_the_state_at_connect(desk: Desk) -> None:
    page = await desk.page()
    assert await page.next() == desk.backend.now


async def test_only_this_user_may_open_the_socket(desk: Desk) -> None:
    mode = desk.path.stat().st_mode
    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o600


async def test_a_request_gets_the_agents_word_under_its_own_id(desk: Desk) -> None:
    page = await desk.page()
    number = page.ask("release", session="s1", staff_id="li")
    assert await page.next_reply() == Reply(id=number, ok=True, session="s1")
    assert desk.backend.asked == [Ask(id=number, action="release", session="s1", staff_id="li")]


async def test_a_decision_is_followed_by_the_state_that_shows_it(desk: Desk) -> None:
    page, other = await desk.page(), await desk.page()
    await other.next()
    desk.backend.now = state(counters={"signed_in": 1})
    page.ask("sign_in", staff_id="li", pin="2468")
    assert await other.next() == desk.backend.now


async def test_many_changes_are_one_state_a_tenth_of_a_second(desk: Desk) -> None:
    page = await desk.page()
    await page.next()
    for n in range(50):  # the first goes at once, the others wait together
        desk.backend.now = state(counters={"n": n})
        desk.server.changed()
        await asyncio.sleep(0)
    await desk.pace.advance(0.1)
    seen = []
    while not seen or seen[-1].counters != {"n": 49}:
        message = await page.next()
        assert isinstance(message, DeskState)
        seen.append(message)
    assert len(seen) <= 2


@pytest.mark.parametrize(
    ("seconds_left", "states"),
    [
        (30.0, 3),  # a countdown runs: one state a second
        (None, 0),  # nothing moves: silence
    ],
)
async def test_a_countdown_is_sent_every_second(desk: Desk, seconds_left: float | None, states: int) -> None:
    desk.backend.now = state(seconds_left=seconds_left)
    page = await desk.page()
    await page.next()
    for _ in range(3):
        await desk.clock.advance(1.0)
        await desk.pace.advance(0.1)
    number = page.ask()  # its reply comes after all states
    got = 0
    while (message := await page.next()) and not (isinstance(message, Reply) and message.id == number):
        got += 1
    assert got == states


async def test_a_quiet_agent_still_beats(desk: Desk) -> None:
    page = await desk.page()
    await page.next()
    await desk.pace.advance(10.0)
    assert isinstance(await page.next(), DeskState)


async def test_a_page_that_does_not_read_delays_nobody_and_keeps_only_the_latest(desk: Desk) -> None:
    slow, quick = await desk.page(), await desk.page()
    slow.reader._transport.pause_reading()  # type: ignore[attr-defined]  # the kernel's buffers fill, then ours
    await quick.next()
    big = {f"{n:060}": n for n in range(4000)}  # about 260 KB a state
    for n in range(20):
        desk.backend.now = state(counters={**big, "n": n})
        desk.server.changed()
        await until(lambda: not desk.server._changed.is_set())
        await desk.pace.advance(0.1)
        message = await quick.next()
        assert isinstance(message, DeskState)
        assert message.counters["n"] == n
    number = quick.ask("cancel", session="s1")
    assert (await quick.next_reply()).id == number
    assert desk.server.counters["state_superseded"] > 0
    client = next(iter(desk.server._clients.values()))
    assert len(client._state) < 2 << 18  # one state waits, never twenty


async def test_a_page_that_never_reads_again_is_cut_off_at_the_second_beat(desk: Desk) -> None:
    slow = await desk.page()
    slow.reader._transport.pause_reading()  # type: ignore[attr-defined]  # as above
    desk.backend.now = state(counters={f"{n:060}": n for n in range(12_000)})
    await until(lambda: desk.server.clients == 1)
    for _ in range(4):
        desk.server.changed()
        await desk.pace.advance(10.0)
    await until(lambda: desk.server.clients == 0)
    assert desk.server.counters["client_stuck"] == 1


@pytest.mark.parametrize(
    "line",
    [
        b"\n",  # nothing
        b"{}\n",  # no tag
        b"[" * 5000 + b"\n",  # nested beyond sense
        b'{"type":"ask","id":"1","action":"unlock"}\n',  # no such action
        b'{"type":"ask","id":"1","action":"release","channel":3}\n',  # no such field
        b'{"type":"ask","id":"1","action":"start","qty":-1}\n',  # below the cap
        b'{"type":"ask","id":"1","action":"start","qty":101}\n',  # above the cap
        b'{"type":"ask","id":"' + b"1" * 65 + b'","action":"beat"}\n',  # id too long
        b'{"type":"ask","id":"1","action":"sign_in","pin":"' + b"1" * 17 + b'"}\n',  # PIN too long
        b'{"type":"state"}\n',  # the agent's own word
        b"\xff\xfe\n",  # no UTF-8
        b'{"type":"ask","id":"\xff","action":"beat"}\n',  # no UTF-8 within
    ],
)
async def test_a_malformed_line_is_answered_counted_and_never_reaches_the_agent(desk: Desk, line: bytes) -> None:
    page = await desk.page()
    page.send(line)
    assert await page.next_reply() == Reply(id="", ok=False, reason="malformed")
    assert desk.server.counters["malformed"] == 1
    assert desk.backend.asked == []
    assert (await page.next_reply() if (number := page.ask()) else None) == Reply(id=number, ok=True, session="s1")


async def test_too_many_malformed_lines_end_the_connection(desk: Desk) -> None:
    page, other = await desk.page(), await desk.page()
    page.send(b"no\n" * (MAX_MALFORMED + 1))
    await page.closed()
    assert desk.server.counters["client_cut"] == 1
    number = other.ask()
    assert (await other.next_reply()).id == number


async def test_a_line_above_the_cap_ends_the_connection(desk: Desk) -> None:
    page = await desk.page()
    page.send(b" " * (MAX_LINE_BYTES + 2))
    await page.closed()
    assert desk.server.counters["line_too_long"] == 1


async def test_the_seventeenth_page_is_told_and_closed(desk: Desk) -> None:
    for _ in range(MAX_CLIENTS):
        await (await desk.page()).next()
    extra = await desk.page()
    assert await extra.next() == Reply(id="", ok=False, reason="too_many_pages")
    await extra.closed()
    assert desk.server.counters["client_refused"] == 1
    desk.pages[0].close()
    await until(lambda: desk.server.clients == MAX_CLIENTS - 1)
    assert isinstance(await (await desk.page()).next(), DeskState)


async def test_more_requests_in_flight_than_the_cap_are_refused(desk: Desk) -> None:
    desk.backend.gate.clear()
    page = await desk.page()
    for _ in range(MAX_ASKS_IN_FLIGHT):
        page.ask()
    extra = page.ask()
    assert await page.next_reply() == Reply(id=extra, ok=False, reason="too_many_asks")
    desk.backend.gate.set()
    for _ in range(MAX_ASKS_IN_FLIGHT):
        assert (await page.next_reply()).ok
    assert len(desk.backend.asked) == MAX_ASKS_IN_FLIGHT


async def test_a_flood_is_read_more_slowly(desk: Desk) -> None:
    page = await desk.page()
    for _ in range(60):  # 40 at once, then 20 a second
        page.ask()
    await until(lambda: desk.server.counters["ask_throttled"] == 1)
    await until(lambda: len(desk.backend.asked) == 41)
    while len(desk.backend.asked) < 60:
        before = len(desk.backend.asked)
        await desk.pace.advance(0.06)  # one line at most
        assert len(desk.backend.asked) - before <= 2
        await asyncio.sleep(0)


async def test_a_page_that_asks_and_never_reads_is_cut_off(desk: Desk) -> None:
    desk.backend.now = state(counters={f"{n:060}": n for n in range(12_000)})  # fills the line to the page
    page = await desk.page()
    page.reader._transport.pause_reading()  # type: ignore[attr-defined]  # as above
    await until(lambda: desk.server.clients == 1)
    for _ in range(300):
        page.ask()
        await asyncio.sleep(0)
        await desk.pace.advance(0.05)
        if desk.server.clients == 0:
            break
    await until(lambda: desk.server.clients == 0)
    assert desk.server.counters["reply_dropped"] >= 1


async def test_a_fault_of_the_agent_ends_the_room_and_it_can_be_run_again(tmp_path: Path) -> None:
    path = tmp_path / "desk.sock"
    server, task = await _serve(path)
    backend = server._backend
    assert isinstance(backend, Backend)
    backend.broken = True
    page = await RawPage.connect(path)
    page.ask()
    with pytest.raises(ExceptionGroup) as told:
        await task
    assert told.group_contains(RuntimeError, match="planted")
    await page.closed()
    assert not path.exists()

    backend.broken = False
    again = asyncio.create_task(server.run())
    await server.ready()
    page = await RawPage.connect(path)
    assert (page.ask() and await page.next_reply()).ok
    page.close()
    again.cancel()
    await asyncio.gather(again, return_exceptions=True)


async def test_a_decision_runs_to_its_end_when_its_page_has_gone(desk: Desk) -> None:
    desk.backend.gate.clear()
    page, other = await desk.page(), await desk.page()
    page.ask("release", session="s1")
    await until(lambda: desk.backend.asked)
    page.close()
    await until(lambda: desk.server.clients == 1)
    desk.backend.gate.set()
    assert (other.ask() and await other.next_reply()).ok


async def test_a_state_above_its_cap_is_counted_not_sent(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    page = await desk.page()
    await page.next()
    monkeypatch.setattr(desk_server, "MAX_STATE_BYTES", 10)
    desk.server.changed()
    await until(lambda: desk.server.counters["state_too_long"] == 1)
    number = page.ask()
    assert isinstance(first := await page.next(), Reply)
    assert first.id == number


async def _serve(path: Path) -> tuple[DeskServer, asyncio.Task[None]]:
    server = DeskServer(path, Backend(), ManualClock(), pace=ManualClock())
    task = asyncio.create_task(server.run())
    ready = asyncio.create_task(server.ready())
    await asyncio.wait({task, ready}, return_when=asyncio.FIRST_COMPLETED)
    ready.cancel()
    return server, task


async def test_a_dead_agents_socket_is_replaced_and_ours_is_removed_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "desk.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    _, task = await _serve(path)
    page = await RawPage.connect(path)
    assert isinstance(await page.next(), DeskState)
    page.close()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert not path.exists()


async def test_a_living_agents_socket_is_left_alone(desk: Desk) -> None:
    _, task = await _serve(desk.path)
    with pytest.raises(DeskUnavailableError, match="another agent serves it"):
        await task
    assert isinstance(await (await desk.page()).next(), DeskState)


async def test_a_file_in_the_way_is_never_deleted(tmp_path: Path) -> None:
    path = tmp_path / "desk.sock"
    path.write_text("the shopkeeper's notes")
    _, task = await _serve(path)
    with pytest.raises(DeskUnavailableError, match="is not a socket"):
        await task
    assert path.read_text() == "the shopkeeper's notes"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("x" * 120, "longer than 107 bytes"),  # the kernel would cut it
        ("nowhere/desk.sock", "No such file or directory"),  # no folder
    ],
)
async def test_a_socket_that_cannot_be_made_says_why(tmp_path: Path, name: str, says: str) -> None:
    _, task = await _serve(tmp_path / name)
    with pytest.raises(DeskUnavailableError, match=says):
        await task


_LINES = st.lists(
    st.one_of(
        st.binary(max_size=60).map(lambda b: b.replace(b"\n", b"")),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=80),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
            max_leaves=8,
        ).map(msgspec.json.encode),
        st.fixed_dictionaries(
            {"type": st.sampled_from(["ask", "state", "reply"]), "id": st.text(max_size=70)},
            optional={
                "action": st.sampled_from(["release", "unlock", "start", "beat"]),
                "qty": st.integers(-5, 200),
                "channel": st.integers(0, 9),
                "accept": st.booleans() | st.text(max_size=3),
            },
        ).map(msgspec.json.encode),
    ),
    max_size=12,
)


@settings(max_examples=60, deadline=None)
@given(lines=_LINES)
def test_whatever_a_page_sends_the_next_page_is_served(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes]
) -> None:
    async def scene() -> None:
        path = tmp_path_factory.mktemp("fuzz") / "d"
        server, task = await _serve(path)
        rude = await RawPage.connect(path)
        rude.send(b"".join(line + b"\n" for line in lines))
        rude.writer.write_eof()
        await rude.closed()
        polite = await RawPage.connect(path)
        number = polite.ask()
        assert (await polite.next_reply()) == Reply(id=number, ok=True, session="s1")
        backend = server._backend
        assert isinstance(backend, Backend)
        well_formed = sum(1 for a in backend.asked if isinstance(a, Ask)) - 1
        refused = server.counters["malformed"]
        assert server.counters["client_cut"] or well_formed + refused == len(lines)
        polite.close()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(scene())
