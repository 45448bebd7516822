"""The driver of receipt printers in its stories, the bugs that they notice, and the ways to a printer that are real."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random
from types import ModuleType

import pytest

from device_drivers.bus import Bus, Link
from device_drivers.errors import MisconfiguredError
from device_drivers.escpos import Cut, Receipt, ReceiptError, ReceiptPrinter, Text, driver
from device_drivers.link_url import LinkUrl, open_link
from simulators.conformance.lines import LINES, Line, perfect
from simulators.hardware.escpos import Printer
from simulators.hardware.escpos_server import PrinterServer
from simulators.hardware.faults import FaultPlan, Faults
from simulators.hardware.pty_port import PtyPort
from simulators.hardware.sim_link import SimLink
from tests.device_drivers import escpos_checks as checks
from tests.device_drivers.escpos_checks import CHECKS, EVENTS, PRINTERS, honest, one_story, receipt, run


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_driver_holds(check) -> None:
    run(check)


BAD = [line for line in LINES if line is not perfect]
SEEDS = [1, *(pytest.param(seed, marks=pytest.mark.proof) for seed in (2, 3, 4))]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("line", BAD, ids=lambda line: line.__name__)
@pytest.mark.parametrize("event", ["nothing", "unplugged at the tenth row", "paper out at the last row"])
def test_the_paper_agrees_over_bad_lines(event: str, line: Line, seed: int) -> None:
    async def story(make) -> None:
        await one_story(make, "slow", event, line, seed)

    run(story)


@pytest.mark.proof
@pytest.mark.parametrize("kind", PRINTERS)
@pytest.mark.parametrize("line", BAD, ids=lambda line: line.__name__)
def test_the_paper_agrees_whatever_happens(kind: str, line: Line) -> None:
    async def story(make) -> None:
        for event in EVENTS:
            for seed in range(3):
                await one_story(make, kind, event, line, seed)

    run(story)


SOURCE = Path(driver.__file__).read_text(encoding="utf-8")
MUTANTS: list[tuple[str, Callable, str, str]] = [  # what is left out, who notices, the driver's words, the words instead
    ("asks nothing before", checks.what_is_not_well_gets_nothing, "if trouble := before.trouble:", "if (trouble := before.trouble) and not trouble:"),
    ("sends a slice once more", checks.a_port_that_came_back_gets_no_rest_of_a_receipt, '        except UnavailableError:\n            return begun, "no_answer"', "        except UnavailableError:\n            await asyncio.sleep(1)\n            self._set_out()\n            return await self._slice(data)"),
    ("says that nothing was sent", checks.an_open_cover_stops_the_rest, "begun = begun or sent", "begun = False"),
    ("goes on after offline", checks.an_open_cover_stops_the_rest, 'return True, "offline" if await self._taken(say, SLICE_TIMEOUT_S) else ""', 'await self._taken(say, SLICE_TIMEOUT_S)\n            return True, ""'),
    ("takes what was sent for printed", checks.a_late_done_confirms_no_later_receipt, 'return await self._broken("no_answer")\n        if said', 'return JobReply(result="printed")\n        if said'),
    ("takes an end of paper for done", checks.an_end_of_paper_is_no_end_of_a_receipt, "if said in {Done.END, Done.NEAR_AND_END}:", "if said is None:"),
    ("sends the rest to a port that came back", checks.a_port_that_came_back_gets_no_rest_of_a_receipt, 'if self._bus.counters["opened"] != self._port:\n                return None', "if False:\n                return None"),
    ("does not hear a stop", checks.a_printer_that_says_stop_for_ever_is_given_up, "self._go.clear()", "self._go.set()"),
    ("waits for ever", checks.a_printer_that_says_stop_for_ever_is_given_up, "STOPPED_MAX_S = 30.0", "STOPPED_MAX_S = 30_000.0"),
    ("leaves the torn part", checks.a_torn_receipt_is_cut_off_the_next, "if self._torn else job.slices", "if False else job.slices"),
    ("cuts every receipt twice", checks.a_torn_receipt_is_cut_off_the_next, "if self._torn else job.slices", "if True else job.slices"),
    ("takes a late answer", checks.a_late_done_confirms_no_later_receipt, "        if kind in self._owed:", "        if not kind:"),
    ("takes a late status", checks.a_late_answer_answers_no_later_question, "        if kind in self._owed:", "        if kind is Done and kind in self._owed:"),
    ("takes one answer of two", checks.more_answers_than_questions_are_none, "if len(heard) > 1:", "if len(heard) > 100:"),
    ("says printed where nobody knows", checks.one_that_only_knows_status_says_sent, 'if self._answers == "realtime":\n', 'if self._answers == "realtime":\n            return JobReply(result="printed")\n        if self._answers == "realtime":\n'),
    ("does not notice a port that went", checks.a_one_way_line_that_breaks_is_unknown, 'if self._bus.counters["opened"] != self._port:\n                raise', "if False:\n                raise"),
    ("does not ask whether it is still open", checks.a_one_way_line_that_breaks_is_unknown, "            await self._bus.request(still)\n", ""),
    ("runs ahead of a one-way line", checks.a_one_way_line_says_sent_at_its_pace, "timeout_s=size / self._pace_bytes_s", "timeout_s=size / self._pace_bytes_s / 2"),
    ("pulses again", checks.a_pulse_is_given_once, 'return DrawerReply("unknown" if sent else "not_sent", "no_answer")', 'return await self._pulse(say) if sent else DrawerReply("not_sent")'),
    ("pulses a printer that stands still", checks.a_pulse_waits_for_no_printer_that_stands_still, "if trouble := (await self._status()).trouble:", "if (trouble := (await self._status()).trouble) and not trouble:"),
    ("pulses without rest", checks.a_coil_rests, "self._pulsing or loop.time() < self._rest_until_s", "self._pulsing"),
    ("pulses beside a pulse", checks.a_coil_rests, "self._pulsing or loop.time() < self._rest_until_s", "loop.time() < self._rest_until_s"),
    ("asks no guard", checks.a_guard_is_asked_in_the_step_that_writes, "if loop.time() > ends_s or not guard():", "if loop.time() > ends_s:"),
    ("pulses late", checks.a_slow_status_holds_no_pulse_up, "if loop.time() > ends_s or not guard():", "if not guard():"),
    ("says pulsed for sent", checks.a_one_way_line_says_sent_at_its_pace, 'return DrawerReply("sent")', 'return DrawerReply("pulsed")'),
    ("says not sent of what was", checks.a_pulse_is_given_once, 'DrawerReply("unknown" if sent else "not_sent"', 'DrawerReply("not_sent" if sent else "not_sent"'),
    ("prints beside another", checks.two_receipts_never_mix, "            async with asyncio.timeout(QUEUE_TIMEOUT_S):\n                await self._turn.acquire()", "            if not self._turn.locked():\n                await self._turn.acquire()\n            else:\n                yield True\n                return"),
]  # fmt: skip


def mutated(old: str, new: str) -> type[ReceiptPrinter]:
    """The driver with other words in one place."""
    assert SOURCE.count(old) == 1, f"the driver says {SOURCE.count(old)} times: {old}"
    module = ModuleType("device_drivers.escpos.mutant")
    sys.modules[module.__name__] = module  # dataclasses look there
    try:
        exec(compile(SOURCE.replace(old, new), "mutant", "exec"), module.__dict__)
    finally:
        del sys.modules[module.__name__]
    made: type[ReceiptPrinter] = module.ReceiptPrinter
    return made


@pytest.mark.parametrize(("check", "old", "new"), [one[1:] for one in MUTANTS], ids=[one[0] for one in MUTANTS])
def test_a_planted_bug_is_noticed(check: Callable, old: str, new: str) -> None:
    make = mutated(old, new)
    with pytest.raises((AssertionError, RuntimeError)):
        run(check, make)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"columns": 23}, "columns"),
        ({"columns": 65}, "columns"),
        ({"charset": "utf-8"}, "charset"),
        ({"status": "sometimes"}, "status"),
        ({"pace_bytes_s": 0}, "pace_bytes_s"),
    ],
)
def test_settings_that_cannot_be(settings, sentence: str) -> None:
    with pytest.raises(MisconfiguredError, match=sentence):
        ReceiptPrinter(checks.Desk(Printer()).bus, **settings)


async def test_a_receipt_that_does_not_fit_sends_nothing() -> None:
    desk = checks.Desk(Printer())
    wide = Receipt(lines=(*(Text(text="中" * 240) for _ in range(50)), Cut()), has_tobacco=False)
    with pytest.raises(ReceiptError, match="rows"):
        await ReceiptPrinter(desk.bus, columns=24).print_receipt(wide)
    assert desk.sent == []


async def asked(open_it: Callable, work: Callable) -> None:
    """Some work with a printer over a real link."""

    async def opened() -> Link:
        return await open_it()

    bus = Bus(name="printer", open_link=opened, on_fault=lambda _kind, _detail: None)
    owner = asyncio.create_task(bus.run())
    try:
        while not bus.counters["opened"]:
            await asyncio.sleep(0)
        await work(bus)
    finally:
        owner.cancel()
        await asyncio.gather(owner, return_exceptions=True)


async def test_over_a_serial_port(tmp_path: Path) -> None:
    port = PtyPort(tmp_path / "printer", printer := Printer(), Faults(rng=Random(1)))
    port.plug()
    try:

        async def work(bus: Bus) -> None:
            one = ReceiptPrinter(bus)
            assert (await one.print_receipt(receipt())).result == "printed"
            assert (await one.open_drawer(lambda: True)).result == "pulsed"
            printer.cover_open = True
            assert (await one.status()).cover_open

        await asked(lambda: open_link(LinkUrl.parse(f"serial://{port.path}?baud=19200")), work)
        honest_paper(printer)
    finally:
        port.unplug()


def honest_paper(printer: Printer) -> None:
    assert printer.roll.text().count(checks.HEAD) == printer.roll.text().count(checks.END) == 1


async def test_over_the_network_a_slow_printer_holds_the_host_up() -> None:
    server = PrinterServer(printer := Printer(row_s=0.004, buffer_bytes=600, flow=False))
    await server.start()
    try:

        async def work(bus: Bus) -> None:
            reply = await ReceiptPrinter(bus).print_receipt(receipt(items=60))
            assert reply.result == "printed"

        await asked(lambda: open_link(LinkUrl.parse(f"tcp://127.0.0.1:{server.port}")), work)
        honest_paper(printer)
        assert printer.counters["overrun_bytes"] == 0
    finally:
        await server.stop()


async def test_over_the_network_a_cut_in_the_middle_is_unknown() -> None:
    server = PrinterServer(printer := Printer(row_s=0.004, buffer_bytes=600, flow=False))
    await server.start()
    try:

        async def work(bus: Bus) -> None:
            job = asyncio.create_task(ReceiptPrinter(bus).print_receipt(receipt(items=60)))
            while len(printer.roll.printed) < 10:
                await asyncio.sleep(0)
            server.hang_up()
            reply = await job
            assert (reply.result, reply.reason) == ("unknown", "no_answer")
            desk = checks.Desk(printer)
            honest(desk, reply)

        await asked(lambda: open_link(LinkUrl.parse(f"tcp://127.0.0.1:{server.port}")), work)
    finally:
        await server.stop()


@pytest.mark.parametrize("seed", range(6))
def test_over_a_line_with_faults(seed: int) -> None:
    """`sim://` spoils questions, answers and text; what is said to be printed ended on the paper."""

    async def story(_make) -> None:
        printer = Printer()
        plan = FaultPlan(drop_p=0.002, corrupt_p=0.05, delay_ms=50)

        async def opened() -> Link:
            return SimLink(printer, Faults(rng=Random(seed), plan=plan))

        bus = Bus(name="sim", open_link=opened, on_fault=lambda _kind, _detail: None)
        owner = asyncio.create_task(bus.run())
        await asyncio.sleep(0.01)
        reply = await ReceiptPrinter(bus).print_receipt(receipt())
        owner.cancel()
        await asyncio.gather(owner, return_exceptions=True)
        text = printer.roll.text()
        assert text.count(checks.HEAD) <= 1
        assert reply.result != "printed" or text.endswith("✂") or "✂" not in text  # a lost byte may be the cut's

    run(story)
