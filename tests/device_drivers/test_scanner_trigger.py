"""Scanners that are told when to look, against simulators that have rules of their own, over lines of all kinds."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from random import Random

import pytest

from contracts.clock import ManualClock
from device_drivers.capabilities import CodeScanned
from device_drivers.errors import DeviceError, MisconfiguredError, ProtocolError, RefusedError, UnavailableError
from device_drivers.exchange import NoReplyError
from device_drivers.scanner import GM65Scanner, HoneywellScanner, NewlandScanner, gm65, newland
from device_drivers.scanner.trigger import LATEST_REPLY_S, MAX_ASKING, REPLY_S
from simulators.conformance.lines import LINES, TRUE, coalesced, delayed, noisy, perfect
from simulators.conformance.memory_link import MemoryLink
from simulators.conformance.virtual_time import in_virtual_time
from simulators.hardware import scanner as sim_gm65
from simulators.hardware import scanner_honeywell as sim_honeywell
from simulators.hardware import scanner_newland as sim_newland
from tests.device_drivers.cases.rfid_m100 import Peer

NOISY = (noisy, coalesced)  # a code has no check sum: what stands before it spoils it, or joins it
FAMILIES = {
    "gm65": (GM65Scanner, sim_gm65.GM65),
    "newland": (NewlandScanner, sim_newland.NewlandScanner),
    "honeywell": (HoneywellScanner, sim_honeywell.HoneywellScanner),
}


class Bench:
    """A driver, its line and the simulator at the other end."""

    def __init__(self, family: str, line=perfect, seed: int = 0) -> None:
        make_driver, make_device = FAMILIES[family]
        self.device = make_device()
        self.wire = MemoryLink(Peer(self.device), line=line, seed=seed)
        self.faults: list[tuple[str, str]] = []
        self.scanner = make_driver(
            open_link=lambda: asyncio.sleep(0, self.wire),
            clock=ManualClock(),
            on_fault=lambda *fault: self.faults.append(fault),
        )

    def show(self, text: str) -> bool:
        """Hold a code before the scanner; whether it read it."""
        printed = self.device.printed(text)
        self.wire.deliver(printed)
        return bool(printed)


@asynccontextmanager
async def running(bench: Bench):
    owner = asyncio.create_task(bench.scanner.run(), name="owner")
    await asyncio.sleep(0.001)
    try:
        yield bench.scanner
    finally:
        owner.cancel()
        await asyncio.gather(owner, return_exceptions=True)


@pytest.mark.parametrize("family", FAMILIES)
def test_it_reads_while_it_looks_and_not_before_or_after(family):
    @in_virtual_time
    async def scenario() -> None:
        bench = Bench(family)
        async with running(bench) as scanner:
            assert not bench.show("too early")
            await scanner.start_looking()
            assert bench.show("690-1")
            assert await scanner.next_code() == CodeScanned("690-1")
            assert not bench.show("once a trigger")
            await scanner.start_looking()
            await scanner.stop_looking()
            assert not bench.show("too late")
        assert bench.faults == []
        assert bench.device.counters["not_looking"] == 3

    scenario()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("line", LINES, ids=lambda line: line.__name__)
@pytest.mark.parametrize("family", FAMILIES)
def test_over_any_line_a_code_is_one_that_was_shown(family, line, seed):
    """And an acknowledgement is one: whoever is told that the scanner looks finds it looking."""

    @in_virtual_time
    async def scenario() -> None:
        bench, shown, read, told = Bench(family, line, seed), set(), [], 0
        rng = Random(seed)

        async def fetch() -> None:
            while True:
                read.append((await bench.scanner.next_code()).text)

        async with running(bench) as scanner:
            fetcher = asyncio.create_task(fetch(), name="fetcher")
            for number in range(30):
                try:
                    await scanner.start_looking()
                except DeviceError:
                    assert line not in TRUE
                    continue
                told += 1
                assert bench.device.looking
                await asyncio.sleep(rng.choice((0.0, 0.01, 0.7)))
                shown.add(f"code-{number:04}")
                bench.show(f"code-{number:04}")
                await asyncio.sleep(0.01)
            await asyncio.sleep(2.0)
            fetcher.cancel()
        assert told >= 5
        if line not in NOISY:
            assert set(read) <= shown
            assert len(read) == len(set(read))
            assert len(read) >= (30 if line in TRUE else 5)

    scenario()


def _newland_said(text: str) -> bytes:
    return b"\x02\x010000" + text.encode() + b";\x03"


OK = bytes.fromhex("02 00 00 01 00 33 31")


@pytest.mark.parametrize(
    ("family", "ask", "late"),
    [
        ("gm65", lambda scanner: scanner.start_looking(), OK),
        ("newland", lambda scanner: scanner.start_looking(), _newland_said("#SCNTRG1\x06")),
        ("newland", lambda scanner: scanner.mode(), _newland_said("#SCNMOD2\x06")),
    ],
)
def test_a_late_reply_answers_no_later_question(family, ask, late):
    """The second question is not asked before the reply to the first cannot come any more."""

    @in_virtual_time
    async def scenario() -> None:
        bench = Bench(family)
        bench.wire._peers = ()  # it hears nothing
        async with running(bench) as scanner:
            loop = asyncio.get_running_loop()
            asked_s = loop.time()
            with pytest.raises(NoReplyError):
                await ask(scanner)
            assert loop.time() - asked_s == pytest.approx(REPLY_S)
            loop.call_at(asked_s + LATEST_REPLY_S - 0.1, bench.wire.deliver, late)
            with pytest.raises(NoReplyError):
                await ask(scanner)
            first, second = (sent_s for sent_s, _ in bench.wire.sent)
            assert second - first >= LATEST_REPLY_S
        assert bench.faults.count(("unexpected", "a reply to no question")) == 1

    scenario()


@in_virtual_time
async def test_a_caller_who_left_leaves_its_reply_behind_too():
    bench = Bench("gm65", delayed, seed=5)
    async with running(bench) as scanner:
        loop = asyncio.get_running_loop()
        asking = asyncio.create_task(scanner.start_looking(), name="asking")
        await asyncio.sleep(0.001)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        await scanner.alive()
        first, second = (sent_s for sent_s, _ in bench.wire.sent)
        assert second - first >= LATEST_REPLY_S
        assert loop.time() >= second


@pytest.mark.parametrize("family", ["gm65", "newland"])
def test_a_cable_that_is_out_ends_a_question_at_once(family):
    @in_virtual_time
    async def scenario() -> None:
        bench = Bench(family)
        bench.wire._peers = ()
        owner = asyncio.create_task(bench.scanner.run(), name="owner")
        await asyncio.sleep(0.001)
        asking = asyncio.create_task(bench.scanner.start_looking(), name="asking")
        await asyncio.sleep(0.001)
        bench.wire.unplug()
        with pytest.raises(NoReplyError, match="the cable is out"):
            await asking
        with pytest.raises(UnavailableError):
            await owner
        with pytest.raises(UnavailableError, match="not open"):
            await bench.scanner.start_looking()
        assert bench.wire.closed

    scenario()


@pytest.mark.parametrize("family", FAMILIES)
def test_a_write_into_a_dead_port_is_told(family):
    @in_virtual_time
    async def scenario() -> None:
        bench = Bench(family)
        bench.wire.unplug_on = "write"
        owner = asyncio.create_task(bench.scanner.run(), name="owner")
        await asyncio.sleep(0.001)
        with pytest.raises(UnavailableError):
            await bench.scanner.start_looking()
        with pytest.raises(UnavailableError):
            await owner

    scenario()


@in_virtual_time
async def test_nobody_fills_the_queue_for_all():
    bench = Bench("gm65")
    bench.wire._peers = ()
    async with running(bench) as scanner:
        asking = [asyncio.create_task(scanner.start_looking(), name=f"asking {n}") for n in range(MAX_ASKING)]
        await asyncio.sleep(0.001)
        with pytest.raises(UnavailableError, match="wait already"):
            await scanner.start_looking()
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)


@in_virtual_time
async def test_a_newland_says_no_and_why():
    bench = Bench("newland")
    async with running(bench) as scanner:
        with pytest.raises(RefusedError, match="takes no value '9'"):
            await scanner.set_mode("9")
        with pytest.raises(MisconfiguredError, match="GRBENA"):
            await scanner._command(newland.Command("GRBENA", "1"))
        await scanner.set_mode(newland.AUTO)
        assert await scanner.mode() == newland.AUTO
        assert bench.show("690-1")
        assert bench.show("690-2")  # it looks always
        assert (await scanner.next_code()).text == "690-1"


@in_virtual_time
async def test_a_short_trigger_looks_once():
    bench = Bench("newland")
    async with running(bench) as scanner:
        scanner.trigger_short()
        assert bench.wire.frames == [b"\x1b1"]
        assert bench.show("690-1")
        assert not bench.show("690-2")


@in_virtual_time
async def test_a_gm65_tells_its_settings():
    bench = Bench("gm65")
    async with running(bench) as scanner:
        await scanner.alive()
        assert gm65.baud_of(await scanner.read_zone(gm65.ZONE_BAUD, 2)) == 9600
        with pytest.raises(ProtocolError) as caught:
            await scanner.read_zone(0, 65)
        assert caught.value.side == "local"
        with pytest.raises(NoReplyError):
            await scanner.read_zone(0xFFFF, 2)  # a zone that there is not


@in_virtual_time
async def test_a_gm65_that_says_no():
    bench = Bench("gm65")
    bench.wire._peers = ()
    async with running(bench) as scanner:
        asking = asyncio.create_task(scanner.start_looking(), name="asking")
        await asyncio.sleep(0.001)
        bench.wire.deliver(gm65.Reply("command", 0x01, b"\x00").to_bytes())
        with pytest.raises(RefusedError, match="0x01"):
            await asking
