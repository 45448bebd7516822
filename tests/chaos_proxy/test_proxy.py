"""The bad network: what each fault does to both ends, that it heals, and that no byte is ever changed or swapped."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import pytest
from typer.testing import CliRunner

from contracts.clock import ManualClock, SystemClock
from contracts.tasks import end
from simulators.chaos_proxy import KINDS, Address, BadAddressError, ChaosProxy, Fault, Weather
from simulators.chaos_proxy.control import Answer, Control, Order, RefusedError, ask
from zhanggui.cli import app

A_MOMENT_S = 0.05  # long enough for bytes on loopback, where a test wants to see that none come


class Server:
    """Answers each line with itself; remembers what it read and how each connection ended."""

    def __init__(self) -> None:
        self.heard = b""
        self.endings: list[str] = []
        self.writers: list[asyncio.StreamWriter] = []
        self.ended = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        try:
            while chunk := await reader.read(65536):
                self.heard += chunk
                writer.write(chunk)
                await writer.drain()
            self.endings.append("farewell")
        except ConnectionError:
            self.endings.append("reset")
        finally:
            writer.close()
            self.ended.set()


@contextlib.asynccontextmanager
async def stand(clock=None) -> AsyncIterator[tuple[ChaosProxy, Server]]:
    server = Server()
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    target = Address("127.0.0.1", listener.sockets[0].getsockname()[1])
    proxy = ChaosProxy(listen=Address("127.0.0.1", 0), target=target, clock=clock or SystemClock())
    async with proxy.running():
        yield proxy, server
    listener.close()


async def dial(proxy: ChaosProxy) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection(proxy.listen.host, proxy.listen.port)
    writer.write(b"hello\n")
    assert await reader.readexactly(6) == b"hello\n"
    return reader, writer


@contextlib.asynccontextmanager
async def struck(proxy: ChaosProxy, clock: ManualClock, fault: Fault) -> AsyncIterator[None]:
    """The fault lasts for the length of the block."""
    task = asyncio.create_task(proxy.strike(fault))
    await asyncio.sleep(0)
    yield
    await clock.advance(fault.duration_s)
    await task


async def silent(reader: asyncio.StreamReader) -> bool:
    try:
        async with asyncio.timeout(A_MOMENT_S):
            return not await reader.read(1)
    except TimeoutError:
        return True


async def test_a_good_line_carries_every_byte_in_order():
    blob = Random(1).randbytes(3_000_000)
    async with stand() as (proxy, server):
        reader, writer = await dial(proxy)
        sending = asyncio.create_task(writer.drain())
        writer.write(blob)
        assert await reader.readexactly(len(blob)) == blob
        await sending
        assert proxy.connections == 1
        writer.close()
        await server.ended.wait()
        assert server.endings == ["farewell"]
    assert proxy.counters["bytes_up"] == proxy.counters["bytes_down"] == len(blob) + 6


@pytest.mark.parametrize("kind", ["stall", "stall_up", "stall_down"])
async def test_a_stall_holds_bytes_and_loses_none(kind):
    clock = ManualClock()
    async with stand(clock) as (proxy, server):
        reader, writer = await dial(proxy)
        async with struck(proxy, clock, Fault(kind=kind, duration_s=5)):
            writer.write(b"late\n")
            assert await silent(reader)
            assert (b"late" in server.heard) == (kind == "stall_down")
        assert await reader.readexactly(5) == b"late\n"


async def test_a_delay_keeps_the_order():
    clock = ManualClock()
    async with stand(clock) as (proxy, _):
        reader, writer = await dial(proxy)
        async with struck(proxy, clock, Fault(kind="delay", duration_s=10, delay_ms=400)):
            writer.write(b"one\n")
            assert await silent(reader)
            arrived = asyncio.create_task(reader.readexactly(4))
            while not arrived.done():  # there and back, 400 ms each
                await clock.advance(0.1)
                await asyncio.sleep(0.001)
            assert clock.now_s() >= 0.8
            assert arrived.result() == b"one\n"


async def test_a_throttled_line_takes_its_time():
    clock = ManualClock()
    async with stand(clock) as (proxy, _):
        reader, writer = await dial(proxy)
        async with struck(proxy, clock, Fault(kind="throttle", duration_s=60, bytes_s=1000)):
            writer.write(b"x" * 5000)
            arrived = asyncio.create_task(reader.readexactly(5000))
            while not arrived.done():
                await clock.advance(0.1)
                await asyncio.sleep(0.001)
            assert clock.now_s() >= 4.0  # of five slices of a second each, the last is not waited for


async def test_a_cut_is_a_reset_at_both_ends():
    async with stand() as (proxy, server):
        reader, _ = await dial(proxy)
        await proxy.strike(Fault(kind="cut"))
        with pytest.raises(ConnectionResetError):
            await reader.read(1)
        await server.ended.wait()
        assert server.endings == ["reset"]
        await dial(proxy)  # and the line is good again
    assert proxy.counters["connections_cut"] == 2  # the second as the proxy ended


async def test_refused_connections_end_at_once_until_it_heals():
    clock = ManualClock()
    async with stand(clock) as (proxy, _):
        async with struck(proxy, clock, Fault(kind="refuse", duration_s=5)):
            reader, _ = await asyncio.open_connection(proxy.listen.host, proxy.listen.port)
            with pytest.raises(ConnectionResetError):
                await reader.read(1)
        await dial(proxy)
    assert proxy.counters["connections_refused"] == 1


@pytest.mark.parametrize("kind", ["swallow_up", "swallow_down"])
async def test_what_is_swallowed_ends_its_connection(kind):
    clock = ManualClock()
    async with stand(clock) as (proxy, server):
        reader, writer = await dial(proxy)
        async with struck(proxy, clock, Fault(kind=kind, duration_s=5)):
            writer.write(b"lost\n")
            assert await silent(reader)
            assert (b"lost" in server.heard) == (kind == "swallow_down")
        with pytest.raises(ConnectionResetError):
            await reader.read(1)
    assert proxy.counters["bytes_swallowed"] == 5


async def test_an_orphaned_server_believes_in_the_client_until_it_heals():
    clock = ManualClock()
    async with stand(clock) as (proxy, server):
        reader, _ = await dial(proxy)
        async with struck(proxy, clock, Fault(kind="orphan_server", duration_s=5)):
            with pytest.raises(ConnectionResetError):
                await reader.read(1)
            await asyncio.sleep(A_MOMENT_S)
            assert server.endings == []
            again = await dial(proxy)  # the client may come again meanwhile
        await server.ended.wait()
        assert server.endings == ["reset"]
        again[1].write(b"still here\n")
        assert await again[0].readexactly(11) == b"still here\n"


async def test_an_orphaned_client_believes_in_the_server_until_it_heals():
    clock = ManualClock()
    async with stand(clock) as (proxy, server):
        reader, writer = await dial(proxy)
        async with struck(proxy, clock, Fault(kind="orphan_client", duration_s=5)):
            await server.ended.wait()
            writer.write(b"anybody there?\n")
            assert await silent(reader)
        with pytest.raises(ConnectionResetError):
            await reader.read(1)


async def test_a_server_that_is_away_is_a_reset():
    proxy = ChaosProxy(listen=Address("127.0.0.1", 0), target=Address("127.0.0.1", 1), clock=SystemClock())
    async with proxy.running():
        reader, _ = await asyncio.open_connection(proxy.listen.host, proxy.listen.port)
        with pytest.raises(ConnectionResetError):
            await reader.read(1)
    assert proxy.counters["connections_unreachable"] == 1


async def test_weather_is_the_same_for_the_same_seed_and_every_fault_comes():
    first, again = (Weather(Random(3)) for _ in range(2))
    faults = [(first.calm_s(), first.fault()) for _ in range(200)]
    assert faults == [(again.calm_s(), again.fault()) for _ in range(200)]
    assert {fault.kind for _, fault in faults} == set(KINDS)

    clock = ManualClock()
    async with stand(clock) as (proxy, _):
        raging = asyncio.create_task(proxy.weather(Weather(Random(3))))
        await clock.advance(60)
        assert sum(n for name, n in proxy.counters.items() if name.startswith("fault_")) >= 3
        await end([raging])
        await dial(proxy)  # nothing of it stays


async def test_orders_come_over_a_socket(tmp_path: Path):
    async with stand() as (proxy, _), Control(proxy).running(tmp_path / "chaos.sock"):
        reader, _ = await dial(proxy)
        told = await ask(tmp_path / "chaos.sock", Order(cmd="strike", fault=Fault(kind="cut")))
        assert told.connections == 1
        with pytest.raises(ConnectionResetError):
            await reader.read(1)
        assert (await ask(tmp_path / "chaos.sock", Order(cmd="status"))).counters["fault_cut"] == 1
        with pytest.raises(RefusedError, match="which fault"):
            await ask(tmp_path / "chaos.sock", Order(cmd="strike"))
    assert not (tmp_path / "chaos.sock").exists()


@pytest.mark.parametrize(
    "line",
    [
        b"",  # nothing
        b"cut\n",  # no JSON
        b'{"cmd":"explode"}\n',  # no order
        b'{"cmd":"strike","fault":{"kind":"corrupt"}}\n',  # TCP would not
        b'{"cmd":"strike","fault":{"kind":"cut","duration_s":1e9}}\n',  # longer than may be
    ],
)
async def test_what_is_no_order_is_refused(line):
    proxy = ChaosProxy(listen=Address("127.0.0.1", 0), target=Address("127.0.0.1", 1), clock=ManualClock())
    answer = Control(proxy).take(line)
    assert answer.error
    assert answer == Answer(error=answer.error)


@pytest.mark.parametrize("text", ["", "1883", ":1883", "host:", "host:port", "host:70000", "host:-1"])
def test_what_is_no_address_is_refused(text):
    with pytest.raises(BadAddressError, match="write host:port"):
        Address.parse(text)


def test_addresses_read_back():
    assert str(Address.parse("127.0.0.1:1884")) == "127.0.0.1:1884"
    assert Address.parse("[::1]:1884") == Address("::1", 1884)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["chaos-proxy", "--to", "nowhere"], "write host:port"),
        (["chaos-strike", "corrupt"], "no such fault"),
        (["chaos-strike", "cut", "--control", "none.sock"], "no proxy runs there"),
    ],
)
def test_commands_say_what_is_wrong(arguments, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["sim", *arguments])
    assert result.exit_code != 0
    assert says in f"{result.output} {result.exception}"
