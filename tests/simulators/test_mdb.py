"""The simulated MDB adapter keeps the peripherals' own rules; the product meets it over a terminal and over TCP."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import pytest

from device_drivers.bus import Bus, Link
from device_drivers.mdb import AgeVerdict, AgeVerifier, CashlessReader, MdbLine, acknowledging
from device_drivers.mdb.family import probe
from device_drivers.serial_link import open_serial
from device_drivers.tcp_link import open_tcp
from simulators.hardware.faults import Faults
from simulators.hardware.mdb import MdbAdapter, on_bench
from simulators.hardware.mdb_age import ACCEPTED, AgeDevice
from simulators.hardware.mdb_reader import Reader
from simulators.hardware.pty_port import PtyPort


def raw(words: str) -> bytes:
    return b"".join(int(word, 16).to_bytes(2, "big") for word in words.split())


def shown(data: bytes) -> str:
    return " ".join(f"{data[at] << 8 | data[at + 1]:03X}" for at in range(0, len(data), 2))


def ask(adapter: MdbAdapter, words: str, real_s: float = 0.0) -> str:
    return " ".join(shown(adapter.answer(block, real_s)) for block in adapter.split(raw(words), real_s)).strip()


# The vectors, as a whole day of a reader: what the host says, and what comes back.
DAY = [
    ("110 010", "100"),
    ("112 012", "000 100"),
    ("000", ""),
    ("112 012", "100"),
    ("111 000 003 000 000 000 014", "001 003 011 056 001 002 005 000 173"),
    ("000", ""),
    ("111 001 0FF 0FF 000 000 010", "100"),
    ("114 001 015", "100"),
    ("112 012", "003 003 0E8 1EE"),
    ("000", ""),
    ("113 000 001 0F4 000 003 00B", "100"),
    ("112 012", "005 001 0F4 1FA"),
    ("0AA", "005 001 0F4 1FA"),
    ("112 012", "005 001 0F4 1FA"),  # not acknowledged yet
    ("000", ""),
    ("113 002 000 003 018", "100"),
    ("113 004 017", "100"),
    ("112 012", "007 107"),
    ("000", ""),
    ("114 000 014", "100"),
]


@pytest.mark.parametrize("coding", ["words", "hex_lines"])
def test_a_day_word_for_word(coding):
    reader = Reader(approval_s=0.0)
    reader.present(1000)
    adapter = MdbAdapter({0x10: reader}, coding=coding)
    for said, heard in DAY:
        if coding == "words":
            assert ask(adapter, said) == heard
        else:
            blocks = adapter.split(said.encode() + b"\r\n", 0.0)
            assert b"".join(adapter.answer(block, 0.0) for block in blocks).decode().strip() == heard
    assert reader.charges == [(500, 3)]


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("inactive", "114 001 015"),
        ("disabled", "113 000 001 0F4 000 003 00B"),
        ("enabled", "113 000 001 0F4 000 003 00B"),
        ("idle", "113 002 000 003 018"),
        ("idle", "113 003 016"),
        ("vend", "113 002 000 003 018"),
        ("vend", "113 004 017"),
        ("approved", "113 004 017"),
        ("approved", "113 000 001 0F4 000 003 00B"),
        ("approved", "111 000 003 000 000 000 014"),
    ],
)
def test_out_of_turn_is_acknowledged_and_told_at_the_next_poll(state, words):
    reader = Reader()
    reader._queue.clear()
    reader.state = state
    adapter = MdbAdapter({0x10: reader})
    heard = ask(adapter, words)
    assert heard == "00B 10B" or (heard == "100" and ask(adapter, "112 012") == "00B 10B")
    assert (reader.charges, reader.state) == ([], state)
    assert reader.counters["out_of_sequence"] == 1


def test_limits_and_delays():
    reader = Reader(approval_s=2.0)
    reader.present(1000)
    adapter = MdbAdapter({0x10: reader}, acknowledges=True)
    ask(adapter, "110 010 112 012 111 000 003 000 000 000 014")
    ask(adapter, "111 001 001 000 000 000 013 114 001 015 112 012")  # the dearest thing is 256
    assert reader.highest == 256
    ask(adapter, "113 000 001 0F4 000 003 00B", 10.0)
    assert ask(adapter, "112 012", 11.9) == "100"
    assert ask(adapter, "112 012", 12.1) == "006 106"


@pytest.mark.parametrize(
    ("words", "counter"),
    [
        ("112 013", "bad_chk"),
        ("13A 03A", "foreign_address"),
        ("16F 0FF 005 006 012 044 052 041 056 050 060", "bad_chk"),  # the public page's wrong last byte
    ],
)
def test_what_it_does_not_take(words, counter):
    adapter = on_bench()
    assert ask(adapter, words) == ""
    assert adapter.counters[counter] == 1
    assert adapter.peripherals[0x68].minimum_age == 0


def test_the_age_device_is_off_until_it_is_told_an_age():
    device = AgeDevice()
    adapter = MdbAdapter({0x68: device}, acknowledges=True)
    device.show(ACCEPTED)
    assert ask(adapter, "16A 06A") == "000 100"
    assert ask(adapter, "16A 06A") == "100"
    assert ask(adapter, "16F 0FF 005 006 012 044 052 041 056 050 008") == "0FF 005 006 000 044 052 041 056 050 187"
    device.show(ACCEPTED)
    assert ask(adapter, "16A 06A") == "0FF 006 007 01E 010 044 052 041 056 053 1BA"


@asynccontextmanager
async def bus_over(open_link: Callable[[], Awaitable[Link]]):
    bus = Bus(name="mdb", open_link=open_link, on_fault=lambda _kind, _detail: None)
    owner = asyncio.create_task(bus.run(), name="mdb")
    while not bus.counters["opened"]:
        await asyncio.sleep(0.001)
    try:
        yield bus
    finally:
        owner.cancel()
        await asyncio.gather(owner, return_exceptions=True)


async def sell_and_judge(bus: Bus, adapter: MdbAdapter, coding: str) -> None:
    reader, device = adapter.peripherals[0x10], adapter.peripherals[0x68]
    reader.present(1000)
    line = MdbLine(bus, coding=coding)
    cash, age = CashlessReader(line), AgeVerifier(line)
    await cash.start()
    await age.start()
    waiting = asyncio.create_task(age.check(within_s=5.0))
    await asyncio.sleep(0.15)
    device.show(ACCEPTED)
    assert await waiting is AgeVerdict.ACCEPTED
    assert await cash.wait_session(within_s=5.0)
    assert (await cash.request_vend(price_minor=500, item=3)).answer == "approved"
    assert await cash.vend_succeeded(item=3) == "charged"
    await cash.end_session()
    assert reader.charges == [(500, 3)]
    assert adapter.counters["asked_again"] == 0


def adapter_of(coding: str) -> MdbAdapter:
    return MdbAdapter({0x10: Reader(approval_s=0.05), 0x68: AgeDevice()}, coding=coding)


@pytest.mark.parametrize("coding", ["words", "hex_lines"])
async def test_the_product_sells_over_a_terminal(coding, tmp_path: Path):
    adapter = adapter_of(coding)
    port = PtyPort(tmp_path / "mdb", adapter, Faults(rng=Random(1)))
    port.plug()
    try:
        async with bus_over(acknowledging(lambda: open_serial(str(port.path), 9600), coding=coding)) as bus:
            await sell_and_judge(bus, adapter, coding)
    finally:
        port.unplug()


@pytest.mark.parametrize("coding", ["words", "hex_lines"])
async def test_the_product_sells_over_tcp(coding):
    adapter = adapter_of(coding)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(4096):
            now_s = asyncio.get_running_loop().time()
            for block in adapter.split(data, now_s):
                writer.write(adapter.answer(block, now_s))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, bus_over(acknowledging(lambda: open_tcp("127.0.0.1", port), coding=coding)) as bus:
        await sell_and_judge(bus, adapter, coding)


@pytest.mark.parametrize("coding", ["words", "hex_lines"])
async def test_a_probe_finds_out_the_coding(coding, tmp_path: Path):
    adapter = adapter_of(coding)
    port = PtyPort(tmp_path / "mdb", adapter, Faults(rng=Random(1)))
    port.plug()
    try:
        async with bus_over(lambda: open_serial(str(port.path), 9600)) as bus:
            said = await probe(bus, 0x10, {})
    finally:
        port.unplug()
    assert said == f"MDB peripheral 10 has something to say (00) (coding = {coding})"
