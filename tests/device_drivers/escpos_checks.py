"""What the driver of receipt printers must hold, each as a story in virtual time; the tests run them, planted bugs too.

The paper of the simulated printer is the judge: it shows what a customer holds in hand.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from device_drivers.bus import Bus
from device_drivers.errors import UnavailableError
from device_drivers.escpos import Columns, Cut, Receipt, ReceiptPrinter, Rule, Text
from device_drivers.escpos.driver import JobReply
from simulators.conformance.lines import Line, perfect
from simulators.conformance.memory_link import MemoryLink
from simulators.conformance.virtual_time import VirtualLoop
from simulators.hardware.escpos import Printer

TICK_S = 0.02
HEAD, END = "HEAD OF ", "END OF "
Made = Callable[..., ReceiptPrinter]


def receipt(name: str = "A", items: int = 40) -> Receipt:
    """A receipt whose head and end can be found on the paper."""
    goods = tuple(Columns(left=f"商品 {number}", right=f"{number}.00") for number in range(items))
    return Receipt(lines=(Text(text=HEAD + name), Rule(), *goods, Text(text=END + name), Cut()), has_tobacco=False)


class Desk:
    """A printer at the end of a line whose port comes back by itself. `when` is looked at whenever the printer works;
    `mute` keeps its answers back, `late_s` holds them up."""

    def __init__(self, printer: Printer, *, line: Line = perfect, seed: int = 0, out_s: float | None = 0.2) -> None:
        self.printer = printer
        self.out_s = out_s  # until the port is tried again; None: in the same step
        self.line = line
        self.links: list[MemoryLink] = []
        self.sent: list[bytes] = []
        self.when: list[tuple[Callable[[Desk], bool], Callable[[Desk], None]]] = []
        self.mute = False
        self.late_s = 0.0
        self.bus = Bus(name="desk", open_link=self._open, on_fault=lambda _kind, _detail: None)
        self._seed = seed
        self._ticking = False

    async def _open(self) -> MemoryLink:
        self.links.append(MemoryLink(self, line=self.line, seed=self._seed + len(self.links)))
        return self.links[-1]

    def unplug(self) -> None:
        self.links[-1].unplug()

    def receive(self, data: bytes) -> bytes:
        loop = asyncio.get_running_loop()
        self.sent.append(data)
        said = b"".join(self.printer.answer(unit, loop.time()) for unit in self.printer.split(data, loop.time()))
        self._look()
        if not self._ticking:
            self._ticking = True
            loop.call_later(TICK_S, self._tick)
        return self._told(said)

    def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        self.links[-1].deliver(self._told(self.printer.tick(loop.time())))
        self._look()
        self._ticking = bool(self.when) or (self.printer.well and not self.printer.idle)
        if self._ticking:
            loop.call_later(TICK_S, self._tick)

    def _told(self, said: bytes) -> bytes:
        if self.mute or not said:
            return b""
        if self.late_s:
            asyncio.get_running_loop().call_later(self.late_s, self.links[-1].deliver, said)
            return b""
        return said

    def _look(self) -> None:
        for pair in [pair for pair in self.when if pair[0](self)]:
            self.when.remove(pair)
            pair[1](self)

    def count(self, text: str) -> int:
        """How often this stands on the paper."""
        return self.printer.roll.text().count(text)

    def acts(self) -> list[bytes]:
        """What was written that is no question alone."""
        asks = (b"\x10\x04", b"\x1d\x72")
        return [data for data in self.sent if not (data.startswith(asks) and len(data) == 3)]


@asynccontextmanager
async def open_desk(desk: Desk) -> AsyncIterator[Desk]:
    async def keep() -> None:
        while True:
            try:
                await desk.bus.run()
            except UnavailableError:
                if desk.out_s is not None:
                    await asyncio.sleep(desk.out_s)

    owner = asyncio.create_task(keep(), name="keeper")
    await asyncio.sleep(0.01)
    try:
        yield desk
    finally:
        desk.when.clear()
        owner.cancel()
        await asyncio.gather(owner, return_exceptions=True)


def rows(count: int) -> Callable[[Desk], bool]:
    return lambda desk: len(desk.printer.roll.printed) >= count


def sent(count: int) -> Callable[[Desk], bool]:
    return lambda desk: len(desk.acts()) >= count


def _cover(desk: Desk) -> None:
    desk.printer.cover_open = True


def _no_paper(desk: Desk) -> None:
    desk.printer.roll.left = 0


def _jam(desk: Desk) -> None:
    desk.printer.jam_at_next_cut = True


def _silence(desk: Desk) -> None:
    desk.mute = True


def _off(desk: Desk) -> None:
    desk.printer.power_cycle()
    desk.unplug()


EVENTS: dict[str, tuple[Callable[[Desk], bool], Callable[[Desk], None]] | None] = {
    "nothing": None,
    "cover before": (rows(0), _cover),
    "unplugged in the first slice": (sent(1), Desk.unplug),
    "unplugged in the third slice": (sent(3), Desk.unplug),
    "unplugged at the tenth row": (rows(10), Desk.unplug),
    "unplugged at the last row": (rows(43), Desk.unplug),
    "power cut at the fifth row": (rows(5), _off),
    "cover opened at the fifth row": (rows(5), _cover),
    "paper out at the eighth row": (rows(8), _no_paper),
    "paper out at the last row": (rows(42), _no_paper),
    "knife jammed": (rows(20), _jam),
    "silent from the second slice": (sent(2), _silence),
    "silent at the last row": (rows(43), _silence),
}
PRINTERS: dict[str, dict[str, Any]] = {
    "at once": {},
    "slow": {"row_s": 0.05},
    "slow with a small buffer": {"row_s": 0.05, "buffer_bytes": 1000},
}


def honest(desk: Desk, reply: JobReply, name: str = "A") -> None:
    """The answer says what the paper shows."""
    head, end = desk.count(HEAD + name), desk.count(END + name)
    assert head <= 1, f"printed {head} times"
    assert end <= 1, f"ended {end} times"
    if reply.result == "printed":
        assert (head, end) == (1, 1), "said to be printed"
    if reply.result == "not_printed":
        assert (head, end) == (0, 0), "said not to be printed"


async def the_paper_agrees_with_the_answer(make: Made) -> None:
    for kind in PRINTERS:
        for event in EVENTS:
            await one_story(make, kind, event, perfect)


async def one_story(make: Made, kind: str, event: str, line: Line, seed: int = 1) -> JobReply:
    desk = Desk(Printer(**PRINTERS[kind]), line=line, seed=seed)
    if (pair := EVENTS[event]) is not None:
        desk.when.append(pair)
    async with open_desk(desk):
        reply = await make(desk.bus).print_receipt(receipt())
        honest(desk, reply)
        desk.printer.cover_open = desk.printer.knife_jammed = desk.mute = False
        desk.printer.load()
        desk.when.clear()
        asyncio.get_running_loop().call_soon(desk.receive, b"")  # it goes on with what it has
        await asyncio.sleep(60)
        honest(desk, JobReply(result="unknown") if reply.result == "not_printed" else reply)
        if reply.result == "not_printed":
            assert desk.count(HEAD) == 0, "printed after all"
        return reply


async def a_well_printer_prints_and_says_so(make: Made) -> None:
    for kind in PRINTERS:
        reply = await one_story(make, kind, "nothing", perfect)
        assert (reply.result, reply.reason) == ("printed", ""), kind
        assert reply.status is not None


async def what_is_not_well_gets_nothing(make: Made) -> None:
    for ill, word in ((_cover, "cover_open"), (_no_paper, "paper_end"), (_knife, "cutter_error")):
        desk = Desk(Printer())
        ill(desk)
        async with open_desk(desk):
            reply = await make(desk.bus).print_receipt(receipt())
            assert (reply.result, reply.reason) == ("not_printed", word)
            assert desk.acts() == []
    desk = Desk(Printer())
    desk.mute = True
    async with open_desk(desk):
        reply = await make(desk.bus).print_receipt(receipt())
        assert (reply.result, reply.reason) == ("not_printed", "no_answer")
        assert desk.acts() == []


def _knife(desk: Desk) -> None:
    desk.printer.knife_jammed = True


async def a_break_in_the_middle_is_unknown_and_nothing_follows(make: Made) -> None:
    for event, word in (
        ("unplugged in the third slice", "no_answer"),
        ("unplugged at the tenth row", "no_answer"),
        ("power cut at the fifth row", "no_answer"),
        ("cover opened at the fifth row", "cover_open"),
        ("paper out at the eighth row", "paper_end"),
        ("paper out at the last row", "paper_end"),
        ("knife jammed", "cutter_error"),
        ("silent from the second slice", "no_answer"),
    ):
        desk = Desk(Printer(row_s=0.05))
        pair = EVENTS[event]
        assert pair is not None
        desk.when.append(pair)
        async with open_desk(desk):
            reply = await make(desk.bus).print_receipt(receipt())
            assert (reply.result, reply.reason) == ("unknown", word), (event, reply)
            before = len(desk.acts())
            await asyncio.sleep(300)
            assert len(desk.acts()) == before, "sent on by itself"


async def an_open_cover_stops_the_rest(make: Made) -> None:
    desk = Desk(Printer())
    desk.when.append((sent(2), _cover))
    async with open_desk(desk):
        reply = await make(desk.bus).print_receipt(receipt())
        assert (reply.result, reply.reason) == ("unknown", "cover_open")
        assert len(desk.acts()) == 3, "sent on to a printer that stands still"


async def a_port_that_came_back_gets_no_rest_of_a_receipt(make: Made) -> None:
    """The port goes and comes back while nothing is asked: between two slices, while the printer says stop."""
    desk = Desk(Printer(row_s=0.2, buffer_bytes=1000))
    async with open_desk(desk):
        job = asyncio.create_task(make(desk.bus).print_receipt(receipt()))
        while not desk.printer.counters["stops"]:
            await asyncio.sleep(0.005)
        await asyncio.sleep(0.05)
        count = len(desk.acts())
        desk.printer.power_cycle()
        desk.unplug()
        await asyncio.sleep(0.5)
        desk.links[-1].deliver(b"\x11")  # the printer that was switched on says go
        reply = await job
        assert reply.result == "unknown"
        assert len(desk.acts()) == count


async def a_stop_is_obeyed(make: Made) -> None:
    desk = Desk(Printer(row_s=0.2, buffer_bytes=1000))
    async with open_desk(desk):
        reply = await make(desk.bus).print_receipt(receipt())
        assert reply.result == "printed"
        assert desk.printer.counters["stops"] >= 1
        assert desk.printer.counters["overrun_bytes"] == 0, "written into a full buffer"


async def a_printer_that_says_stop_for_ever_is_given_up(make: Made) -> None:
    for answers, word in (("ordered", "cover_open"), ("none", "stopped")):
        desk = Desk(Printer(buffer_bytes=1000, row_s=0.05))
        desk.when.append((lambda desk: bool(desk.printer.counters["stops"]), _cover))
        async with open_desk(desk):
            printer = make(desk.bus, status=answers, pace_bytes_s=100_000)
            began_s = asyncio.get_running_loop().time()
            reply = await printer.print_receipt(receipt(items=80))
            assert (reply.result, reply.reason) == ("unknown", word), reply
            assert asyncio.get_running_loop().time() - began_s < 60


async def a_torn_receipt_is_cut_off_the_next(make: Made) -> None:
    desk = Desk(Printer())
    desk.when.append((rows(5), _silence))
    async with open_desk(desk):
        printer = make(desk.bus)
        assert (await printer.print_receipt(receipt("A"))).result == "unknown"
        desk.mute = False
        assert (await printer.print_receipt(receipt("B"))).result == "printed"
        between = desk.printer.roll.text().split(HEAD + "B")[0]
        assert between.endswith("✂\n"), "two customers on one piece of paper"
        assert (await printer.print_receipt(receipt("C"))).result == "printed"
        assert desk.printer.roll.text().count("✂") == 3


async def a_late_answer_answers_no_later_question(make: Made) -> None:
    """An answer of a well printer comes too late; by then its cover is open, and another question is asked."""
    desk = Desk(Printer())
    desk.late_s = 1.2
    async with open_desk(desk):
        printer = make(desk.bus)
        try:
            await printer.status()
            raise AssertionError("answered in time")
        except UnavailableError:
            pass
        desk.late_s = 0.5  # the old answer comes first
        desk.printer.cover_open = True
        try:
            assert (await printer.status()).cover_open, "an old answer to a new question"
        except UnavailableError:
            assert (await printer.status()).cover_open, "an old answer to a new question"


async def a_late_done_confirms_no_later_receipt(make: Made) -> None:
    """The paper ends in A. Much later it is back; the answer that A was owed comes while B is asked after."""
    desk = Desk(Printer(row_s=0.2, rows=10))
    async with open_desk(desk):
        printer = make(desk.bus)
        assert (await printer.print_receipt(receipt("A", items=12))).result == "unknown"
        desk.printer.load()
        asyncio.get_running_loop().call_soon(desk.receive, b"")  # somebody works at it
        reply = await printer.print_receipt(receipt("B", items=12))
        honest(desk, reply, "B")
        assert reply.result in {"printed", "not_printed"}


async def more_answers_than_questions_are_none(make: Made) -> None:
    def doubled(reply: bytes, sent_: bytes, rng: object) -> list[tuple[float, bytes]]:
        del sent_, rng
        return [(0.002, reply + b"\x12")]

    desk = Desk(Printer(), line=doubled)
    desk.printer.cover_open = True
    async with open_desk(desk):
        try:
            await make(desk.bus).status()
        except UnavailableError:
            return
        raise AssertionError("took one of two answers")


async def an_end_of_paper_is_no_end_of_a_receipt(make: Made) -> None:
    """The last answer says that the paper was out: some printers answer then all the same."""

    class Talkative(Printer):
        def answer(self, frame: bytes, real_s: float) -> bytes:
            if frame == b"\x1d\x72\x01":
                self.roll.left = 0
                return b"\x0f"
            return super().answer(frame, real_s)

    desk = Desk(Talkative())
    async with open_desk(desk):
        reply = await make(desk.bus).print_receipt(receipt())
        assert (reply.result, reply.reason) == ("unknown", "paper_end")


async def one_that_only_knows_status_says_sent(make: Made) -> None:
    class Simple(Printer):
        def answer(self, frame: bytes, real_s: float) -> bytes:
            return b"" if frame == b"\x1d\x72\x01" else super().answer(frame, real_s)

    desk = Desk(Simple())
    async with open_desk(desk):
        assert (await make(desk.bus, status="realtime").print_receipt(receipt())).result == "sent"
        assert (await make(desk.bus).print_receipt(receipt("B"))).result == "unknown"


async def a_one_way_line_says_sent_at_its_pace(make: Made) -> None:
    desk = Desk(Printer(deaf=True))
    async with open_desk(desk):
        loop, printer = asyncio.get_running_loop(), make(desk.bus, status="none", pace_bytes_s=800)
        began_s = loop.time()
        reply = await printer.print_receipt(receipt())
        took_s = loop.time() - began_s
        assert (reply.result, reply.status) == ("sent", None)
        assert desk.count(END) == 1
        assert desk.sent == desk.acts(), "asked what is never answered"
        assert sum(map(len, desk.sent)) / took_s < 801
        assert (await printer.open_drawer(lambda: True)).result == "sent"
        assert desk.bus.counters["no_reply"] == 0  # silence is no fault of this line


async def a_one_way_line_that_breaks_is_unknown(make: Made) -> None:
    last = len(_sizes())
    for count in range(1, last + 1):  # the last slice is one too
        for out_s in (0.2, None):
            desk = Desk(Printer(deaf=True), out_s=out_s)
            desk.when.append((sent(count), Desk.unplug))
            async with open_desk(desk):
                reply = await make(desk.bus, status="none").print_receipt(receipt())
                assert reply.result == "unknown", count
                honest(desk, reply)
    desk = Desk(Printer(deaf=True))
    desk.bus = Bus(name="shut", open_link=desk._open, on_fault=lambda _kind, _detail: None)
    assert (await make(desk.bus, status="none").print_receipt(receipt())).result == "not_printed"


def _sizes() -> tuple[bytes, ...]:
    from device_drivers.escpos.layout import laid_out

    return laid_out(receipt(), columns=48, charset="gbk").slices


async def a_pulse_is_given_once(make: Made) -> None:
    for event, result in ((None, "pulsed"), (_silence, "unknown"), (Desk.unplug, "unknown")):
        desk = Desk(Printer())
        if event is not None:
            desk.when.append((sent(1), event))
        async with open_desk(desk):
            reply = await make(desk.bus).open_drawer(lambda: True)
            await asyncio.sleep(30)
            assert reply.result == result
            assert len(desk.printer.drawer.pulses) == 1
            assert sum(b"\x1bp" in data for data in desk.sent) == 1


async def a_pulse_waits_for_no_printer_that_stands_still(make: Made) -> None:
    desk = Desk(Printer())
    desk.printer.cover_open = True
    async with open_desk(desk):
        assert (await make(desk.bus).open_drawer(lambda: True)).reason == "cover_open"
        desk.printer.cover_open = False
        desk.printer.tick(asyncio.get_running_loop().time())
        assert desk.printer.drawer.pulses == [], "opened when nobody stood before it"


async def a_coil_rests(make: Made) -> None:
    desk = Desk(Printer())
    async with open_desk(desk):
        printer = make(desk.bus)
        both = await asyncio.gather(*(printer.open_drawer(lambda: True) for _ in range(3)))
        assert sorted(reply.result for reply in both) == ["pulsed", "refused", "refused"]
        assert (await printer.open_drawer(lambda: True)).reason == "resting"
        await asyncio.sleep(1.1)
        assert (await printer.open_drawer(lambda: True)).result == "pulsed"
        assert desk.printer.counters["drawer_overheated"] == 0


async def a_guard_is_asked_in_the_step_that_writes(make: Made) -> None:
    desk = Desk(Printer())
    async with open_desk(desk):
        reply = await make(desk.bus).open_drawer(lambda: False)
        assert reply.result == "not_sent"
        assert desk.acts() == []


async def a_pulse_that_waited_too_long_is_not_given(make: Made) -> None:
    """A receipt is printed slowly meanwhile, and ends just when the turn would be given up."""
    for row_s in (0.05, 0.11, 0.12, 0.2):
        desk = Desk(Printer(row_s=row_s))
        async with open_desk(desk):
            printer = make(desk.bus)
            job = asyncio.create_task(printer.print_receipt(receipt()))
            await asyncio.sleep(0.05)
            loop = asyncio.get_running_loop()
            asked_s = loop.time()
            reply = await printer.open_drawer(lambda: True)
            assert (await job).result == "printed"
            assert len(desk.printer.drawer.pulses) == (reply.result == "pulsed")
            assert all(at_s - asked_s <= 5.1 for at_s, _, _ in desk.printer.drawer.pulses), "opened late"


async def a_slow_status_holds_no_pulse_up(make: Made) -> None:
    """The line answers slower and slower: the pulse is not written long after it was asked for."""
    desk = Desk(Printer())
    desk.late_s = 0.9
    async with open_desk(desk):
        printer = make(desk.bus)
        asked = asyncio.create_task(printer.status())  # has its turn first, for 3.6 s
        await asyncio.sleep(0.01)
        asked_s = asyncio.get_running_loop().time()
        reply = await printer.open_drawer(lambda: True)
        await asked
        assert reply.result == "not_sent"
        assert all(at_s - asked_s <= 5.1 for at_s, _, _ in desk.printer.drawer.pulses), "opened late"


async def two_receipts_never_mix(make: Made) -> None:
    desk = Desk(Printer(row_s=0.01))
    async with open_desk(desk):
        printer = make(desk.bus)
        replies = await asyncio.gather(*(printer.print_receipt(receipt(name)) for name in "ABC"))
        assert [reply.result for reply in replies] == ["printed"] * 3
        pieces = desk.printer.roll.text().split("✂")
        assert [piece.count(HEAD) + piece.count(END) for piece in pieces] == [2, 2, 2, 0]


async def whoever_leaves_takes_the_rest_along(make: Made) -> None:
    desk = Desk(Printer(row_s=0.05, buffer_bytes=1000))
    async with open_desk(desk):
        printer = make(desk.bus)
        job = asyncio.create_task(printer.print_receipt(receipt("A")))
        await asyncio.sleep(0.5)
        job.cancel()
        await asyncio.gather(job, return_exceptions=True)
        count = len(desk.acts())
        await asyncio.sleep(30)
        assert len(desk.acts()) == count
        reply = await printer.print_receipt(receipt("B"))
        assert reply.result == "printed"
        assert HEAD + "B" in desk.printer.roll.text().split("✂")[1]


CHECKS: list[Callable[[Made], Coroutine[Any, Any, None]]] = [
    a_well_printer_prints_and_says_so,
    what_is_not_well_gets_nothing,
    a_break_in_the_middle_is_unknown_and_nothing_follows,
    an_open_cover_stops_the_rest,
    a_port_that_came_back_gets_no_rest_of_a_receipt,
    a_stop_is_obeyed,
    a_printer_that_says_stop_for_ever_is_given_up,
    a_torn_receipt_is_cut_off_the_next,
    a_late_answer_answers_no_later_question,
    a_late_done_confirms_no_later_receipt,
    more_answers_than_questions_are_none,
    an_end_of_paper_is_no_end_of_a_receipt,
    one_that_only_knows_status_says_sent,
    a_one_way_line_says_sent_at_its_pace,
    a_one_way_line_that_breaks_is_unknown,
    a_pulse_is_given_once,
    a_pulse_waits_for_no_printer_that_stands_still,
    a_coil_rests,
    a_guard_is_asked_in_the_step_that_writes,
    a_pulse_that_waited_too_long_is_not_given,
    a_slow_status_holds_no_pulse_up,
    two_receipts_never_mix,
    whoever_leaves_takes_the_rest_along,
    the_paper_agrees_with_the_answer,
]


def run(check: Callable[[Made], Awaitable[None]], make: Made = ReceiptPrinter) -> None:
    """One check in virtual time."""

    async def checked() -> None:
        await check(make)

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(checked())
