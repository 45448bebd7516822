"""Customer displays: the bytes, what a customer reads, a slow line, and a cable that is pulled at any moment."""

from __future__ import annotations

import asyncio
import gc
import itertools
import logging
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device_drivers.customer_display import Cd5220Display, CustomerDisplay, Led8Display
from device_drivers.customer_display.codec import (
    MOST_FEN,
    Amount,
    Clear,
    Init,
    Lamp,
    Light,
    Line,
    Return,
    Silence,
    amount_text,
    columns,
    finder,
    from_bytes,
)
from device_drivers.customer_display.family import FAMILY, acts
from device_drivers.errors import MisconfiguredError, ProtocolError, UnavailableError
from device_drivers.link_url import LinkUrl, open_link
from device_drivers.serial_link import open_serial
from simulators.conformance.memory_link import DevicePeer
from simulators.hardware.customer_display import Cd5220, Display, Led8
from simulators.hardware.faults import FaultPlan, Faults
from simulators.hardware.pty_port import PtyPort
from tests.device_drivers.twins import Wire
from tests.device_drivers.virtual_time import in_virtual_time

# Marks: S stated in a public source; C computed from a stated rule.
GOLDEN = [
    (Init(), "1B 40"),  # S
    (Clear(), "0C"),  # S
    (Light(Lamp.OFF), "1B 73 30"),  # C
    (Light(Lamp.UNIT_PRICE), "1B 73 31"),  # C
    (Light(Lamp.TOTAL), "1B 73 32"),  # S
    (Light(Lamp.RECEIVED), "1B 73 33"),  # C
    (Light(Lamp.CHANGE), "1B 73 34"),  # C
    (Amount("25.500"), "1B 51 41 32 35 2E 35 30 30 0D"),  # S
    (Amount("99999999"), "1B 51 41 39 39 39 39 39 39 39 39 0D"),  # C: eight digits
    (Amount("999999.99"), "1B 51 41 39 39 39 39 39 39 2E 39 39 0D"),  # C: the point takes no digit
    (Line(1, "TOTAL".ljust(20)), "1B 51 41 54 4F 54 41 4C" + " 20" * 15 + " 0D"),  # S form, C bytes
    (Line(2, "25.50".rjust(20)), "1B 51 42" + " 20" * 15 + " 32 35 2E 35 30 0D"),
    (Line(1, "1" * 20), "1B 51 41" + " 31" * 20 + " 0D"),  # twenty digits are a line, never an amount
    (Return(), "0D"),
]


@pytest.mark.parametrize(("frame", "text"), GOLDEN)
def test_golden_frames_both_ways(frame, text):
    assert frame.to_bytes() == bytes.fromhex(text)
    assert from_bytes(bytes.fromhex(text)) == frame
    assert not acts(frame)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1B",  # half
        "1B 41",  # no command
        "1B 73 35",  # a sixth word
        "1B 51 43 32 0D",  # a third row
        "1B 51 42 32 35 0D",  # an amount in the lower row
        "1B 51 41 0D",  # an amount of nothing
        "1B 51 41 2D 32 0D",  # a sign
        "1B 51 41 31 2E 32 2E 33 0D",  # two points
        "1B 51 41 39 39 39 39 39 39 39 39 39 0D",  # nine digits
        "1B 51 41" + " 20" * 21 + " 0D",
        "1B 51 41 32 1B 40 0D",  # a command within a text
        "1B 40 0C",  # two frames
    ],
)
def test_what_is_no_frame(text):
    with pytest.raises(ProtocolError) as caught:
        from_bytes(bytes.fromhex(text))
    assert caught.value.side == "remote"


@pytest.mark.parametrize(
    ("fen", "text"), [(0, "0.00"), (5, "0.05"), (2550, "25.50"), (100, "1.00"), (MOST_FEN, "999999.99")]
)
def test_fen_as_yuan(fen, text):
    assert amount_text(fen) == text


@pytest.mark.parametrize(
    "say",
    [
        lambda: amount_text(-1),  # a display has no sign
        lambda: amount_text(MOST_FEN + 1),
        lambda: Amount("").to_bytes(),
        lambda: Amount(".5").to_bytes(),
        lambda: Amount("1\r\x1b@").to_bytes(),
        lambda: Amount("１").to_bytes(),  # a digit, and not ASCII
        lambda: Line(3, " " * 20).to_bytes(),
        lambda: Line(1, " " * 19).to_bytes(),
        lambda: Line(1, "x" * 19 + "\x0c").to_bytes(),
        lambda: columns("x" * 21),
        lambda: columns("\x1b@"),
        lambda: columns("中华"),
        lambda: columns("caf\xe9"),
    ],
)
def test_what_is_never_said(say):
    with pytest.raises(ProtocolError) as caught:
        say()
    assert caught.value.side == "local"


@settings(max_examples=200, deadline=None)
@given(st.integers(-10, MOST_FEN + 10), st.text(max_size=25), st.text(max_size=25))
def test_no_number_and_no_text_becomes_a_command(fen, upper, lower):
    """Whatever is asked for, a display hears amounts and lines, and a customer reads exactly these."""
    for display, seen in ((Led8Display(open_link=_nowhere), Led8()), (Cd5220Display(open_link=_nowhere), Cd5220())):
        try:
            display.show(Lamp.TOTAL, fen)
            shown = f"{fen // 100}.{fen % 100:02d}"
        except ProtocolError:
            assert not 0 <= fen <= MOST_FEN
            shown = ""
        seen.split(display._wish, 0.0)
        assert shown in (seen.read if isinstance(seen, Led8) else seen.lines[1])
        assert seen.counters["inits"] + seen.counters["noise_bytes"] + seen.counters["cut_off"] == 0
    lines, seen = Cd5220Display(open_link=_nowhere), Cd5220()
    try:
        lines.write_lines(upper, lower)
    except ProtocolError:
        return
    seen.split(lines._wish, 0.0)
    assert seen.lines == [upper.ljust(20), lower.ljust(20)]


def test_a_display_says_nothing():
    heard = []
    silence = Silence(lambda *fault: heard.append(fault))
    assert silence.feed(b"") == silence.feed(b"\x06\x0d") == []
    assert heard == [("unexpected", "2 bytes from a display, which says nothing")]
    assert silence.buffered == 0


def test_noise_between_frames_is_told_and_costs_no_frame():
    heard = []
    found = finder(lambda *fault: heard.append(fault)).feed(b"\xff\x00" + b"\x1bs2" + b"\x1bQA12" + b"\x1bQA3.50\r")
    assert found == [Light(Lamp.TOTAL), Amount("3.50")]
    assert [kind for kind, _ in heard] == ["framing"]


@pytest.mark.parametrize(
    ("said", "read"),
    [
        (b"\x1bs2\x1bQA25.500\r", "总计 25.500"),  # the published example
        (b"\x1bQA12345678\r", "12345678"),
        (b"\x1bQA1.2.3.4.5.6.7.8.\r", "1.2.3.4.5.6.7.8."),  # every digit has a point of its own
        (b"\x1bQA123456789\r", ""),  # does not fit: nothing changes
        (b"\x1bQA1-2\r", ""),
        (b"\x1bQB12\r", ""),  # it has one row
        (b"\x1bQA12\x0c", ""),  # cut off by a clear
        (b"\x1bQA12\x1b@\x1bQA7\r", "7"),  # cut off by an init
        (b"\x1bs\r\x1b@\x1bQA7\r", "7"),  # a half lamp command is ended by the carriage return
        (b"\x1bs4\x1bs9", "找零"),  # no such word
        (b"\x1bQA7\r\x0c", ""),
    ],
)
def test_what_a_customer_reads(said, read):
    display = Led8()
    for byte in said:
        display.split(bytes((byte,)), 0.0)
    assert display.read == read


# ------------------------------------------------------------------ the driver

LED8_BYTES = 3 + 3 + 5 + 1  # of "25.50" with its lamp
BYTE_S = 10 / 2400


async def _nowhere():
    raise UnavailableError("nobody opens this")


class Shop:
    """A display on a line in memory that can be pulled out; `links` are all that were opened."""

    def __init__(self, make: type[CustomerDisplay] = Led8Display, seen: Display | None = None, **more) -> None:
        self.seen = seen or Led8()
        self.links: list[Wire] = []
        self.refused = 0
        self.unplug_on = ""
        self.driver = make(open_link=self._open, **more)
        self.keeper: asyncio.Task[None] | None = None

    async def _open(self):
        if self.refused:
            self.refused -= 1
            raise UnavailableError("the port is not there")
        link = Wire(DevicePeer(self.seen))
        if not self.links:
            link.unplug_on = self.unplug_on
        self.links.append(link)
        return link

    async def __aenter__(self):
        self.keeper = asyncio.create_task(self._keep(), name="keeper")
        await asyncio.sleep(0.1)
        return self

    async def __aexit__(self, *_error):
        self.keeper.cancel()
        await asyncio.gather(self.keeper, return_exceptions=True)

    async def _keep(self) -> None:
        while True:
            try:
                await self.driver.run()
            except UnavailableError:
                await asyncio.sleep(0.2)


@in_virtual_time
async def test_the_newest_wish_alone_is_written_when_the_line_is_slow():
    async with Shop() as shop:
        for fen in range(100, 200):  # a basket that is scanned faster than 2400 bits a second
            shop.driver.show(Lamp.TOTAL, fen)
            await asyncio.sleep(0.005)
        await asyncio.sleep(0.1)
        writes = shop.links[0].sent
        assert shop.seen.read == "总计 1.99"
        assert shop.driver.counters["overtaken"] > 80
        assert shop.driver.counters["written"] + shop.driver.counters["overtaken"] == 101  # the first wish: nothing
        for (at_s, data), (next_s, _) in itertools.pairwise(writes):
            assert next_s - at_s >= len(data) * BYTE_S - 1e-9  # never more on the line than it can carry


@in_virtual_time
async def test_a_wish_is_on_its_way_at_once():
    async with Shop() as shop:
        asked_s = asyncio.get_running_loop().time()
        shop.driver.show(Lamp.TOTAL, 2550)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert shop.links[0].sent[-1] == (asked_s, bytes.fromhex("1B 73 32 1B 51 41 32 35 2E 35 30 0D"))
        assert shop.seen.read == "总计 25.50"


@in_virtual_time
async def test_the_wish_stands_again_after_a_reconnect_and_what_was_overtaken_is_never_sent():
    async with Shop() as shop:
        shop.driver.show(Lamp.TOTAL, 100)
        await asyncio.sleep(1)
        shop.refused = 3
        shop.links[0].unplug()
        await asyncio.sleep(0.05)
        assert not shop.driver.is_open
        shop.seen.reboot()
        shop.driver.show(Lamp.TOTAL, 200)  # nobody ever reads this one
        shop.driver.show(Lamp.CHANGE, 300)
        await asyncio.sleep(3)
        assert shop.driver.is_open
        assert shop.seen.read == "找零 3.00"
        assert all(b"2.00" not in data for data in shop.links[1].frames)
        assert shop.links[1].frames[0] == b"\r\x1b@\x0c"


@in_virtual_time
async def test_a_display_that_was_switched_off_shows_the_wish_again():
    async with Shop(repeat_s=30.0) as shop:
        shop.driver.show(Lamp.TOTAL, 100)
        await asyncio.sleep(1)
        shop.seen.reboot()  # its own plug: the port notices nothing
        assert shop.seen.read == ""
        await asyncio.sleep(30)
        assert shop.seen.read == "总计 1.00"


@in_virtual_time
async def test_two_lines():
    async with Shop(Cd5220Display, Cd5220()) as shop:
        shop.driver.show(Lamp.RECEIVED, 5000)
        await asyncio.sleep(1)
        assert shop.seen.lines == ["RECEIVED".ljust(20), "50.00".rjust(20)]
        with pytest.raises(ProtocolError):
            shop.driver.write_lines("ok", "\x1b@")
        await asyncio.sleep(1)
        assert shop.seen.lines == ["RECEIVED".ljust(20), "50.00".rjust(20)]
        shop.driver.write_lines("HELLO", "")
        await asyncio.sleep(1)
        assert shop.seen.lines == ["HELLO".ljust(20), " " * 20]
        shop.driver.clear()
        await asyncio.sleep(1)
        assert shop.seen.lines == [" " * 20, " " * 20]


@in_virtual_time
async def test_a_driver_that_stops_leaves_no_price_behind():
    shop = Shop()
    async with shop:
        shop.driver.show(Lamp.TOTAL, 100)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert shop.seen.read == ""
    at_s, _ = shop.links[0].sent[-2]
    assert asyncio.get_running_loop().time() - at_s >= LED8_BYTES * BYTE_S - 1e-9  # all has left before the port closed
    assert shop.links[0].closed


@in_virtual_time
async def test_what_a_display_seems_to_say_is_counted():
    async with Shop() as shop:
        shop.links[0].deliver(b"\x1bQA")  # an adapter that echoes
        await asyncio.sleep(0.1)
        assert shop.driver.counters["heard_bytes"] == 3


def test_a_line_must_have_a_speed():
    with pytest.raises(MisconfiguredError):
        Led8Display(open_link=_nowhere, baud=0)


@in_virtual_time
async def test_a_display_that_goes_is_told_once(caplog):
    caplog.set_level(logging.INFO, "zhanggui.device_drivers")
    shop = Shop()
    shop.refused = 5
    async with shop:
        await asyncio.sleep(3)
        shop.refused = 5
        shop.links[0].unplug()
        await asyncio.sleep(3)
    assert [(one.levelname, one.getMessage().split(": ")[-1]) for one in caplog.records] == [
        ("WARNING", "the port is not there"),
        ("INFO", "port is open"),
        ("WARNING", "the cable is out"),
        ("INFO", "port is open"),
    ]


@pytest.mark.parametrize("where", ["open", "read", "write", "while it writes", "twice"])
@pytest.mark.parametrize("seed", range(3))
def test_a_cable_that_is_pulled_out_at_any_moment_costs_nothing_but_time(where, seed):
    @in_virtual_time
    async def pulled():
        rng, shop = Random(seed), Shop()
        shop.unplug_on = where if where in {"read", "write"} else ""
        shop.refused = 3 if where == "open" else 0
        async with shop:
            for _ in range(5 if where == "twice" else 1):
                shop.driver.show(Lamp.TOTAL, rng.randrange(1000))
                await asyncio.sleep(rng.choice((0.0, 0.01, 0.03, 0.2)))
                if where in {"while it writes", "twice"} and shop.links:
                    shop.links[-1].unplug()
                    shop.seen.split(rng.choice((b"\x1b", b"\x1bs", b"\x1bQ", b"\x1bQA1", b"")), 0.0)  # half a frame
            shop.driver.show(Lamp.TOTAL, 4242)
            await asyncio.sleep(5)
            assert shop.seen.read == "总计 42.42"
            assert all(link.closed for link in shop.links[:-1])
        assert shop.links[-1].closed
        assert len(asyncio.all_tasks()) == 1

    pulled()


@pytest.mark.parametrize("end", ["read", "write"])
@pytest.mark.parametrize("late_steps", range(4))
def test_a_cancellation_is_not_lost_when_the_port_goes_in_the_same_moment(end, late_steps):
    @in_virtual_time
    async def scenario() -> None:
        def cancel(steps: int) -> None:
            if steps:
                asyncio.get_running_loop().call_soon(cancel, steps - 1)
            else:
                shop.keeper.cancel()

        class Gone(Wire):
            gone = False

            def _go(self, where: str) -> None:
                if end == where and not self.gone:
                    self.gone = True
                    cancel(late_steps)
                    self.unplug()
                    raise UnavailableError("the cable is out")

            async def read(self) -> bytes:
                self._go("read")
                return await super().read()

            def write(self, data: bytes) -> None:
                self._go("write")
                super().write(data)

        shop, link = Shop(), Gone()
        shop.driver = Led8Display(open_link=lambda: asyncio.sleep(0, link))
        shop.keeper = asyncio.create_task(shop._keep(), name="keeper")
        await asyncio.wait({shop.keeper}, timeout=60)
        assert shop.keeper.cancelled()
        assert link.gone
        assert link.closed

    scenario()


@in_virtual_time
async def test_a_day_with_unplugs_leaves_nothing_behind(caplog):
    caplog.set_level(logging.CRITICAL, "zhanggui")  # pytest keeps what is logged, and it would count as left behind
    sizes = []
    async with Shop() as shop:
        for hour in range(24):
            for minute in range(60):
                shop.driver.show(Lamp.TOTAL, hour * 100 + minute)
                await asyncio.sleep(60)
                assert shop.seen.read == f"总计 {hour}.{minute:02d}"
            shop.links[-1].unplug()
            await asyncio.sleep(5)
            del shop.links[:-1]
            shop.links[-1].sent.clear()
            if hour in {1, 23}:
                gc.collect()
                sizes.append(len(gc.get_objects()))
    assert sizes[1] - sizes[0] < 50
    assert len(asyncio.all_tasks()) == 1


async def test_on_the_bench():
    link = await open_link(LinkUrl.parse("sim://customer_display", baud=FAMILY.baud))

    async def opened():
        return link

    driver = Led8Display(open_link=opened)
    running = asyncio.create_task(driver.run(), name="display")
    driver.show(Lamp.TOTAL, 2550)
    await asyncio.sleep(0.15)
    assert link.device.read == "总计 25.50"
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert link.device.read == ""


async def test_over_a_real_port(tmp_path: Path):
    """A pseudo-terminal, pulled out and put back under the driver."""
    seen = Led8()
    port = PtyPort(tmp_path / "display", seen, Faults(rng=Random(1), plan=FaultPlan()))
    port.plug()
    driver = Led8Display(open_link=lambda: open_serial(str(port.path), 2400))
    driver.show(Lamp.TOTAL, 2550)
    running = asyncio.create_task(driver.run(), name="display")
    try:
        async with asyncio.timeout(10):
            while seen.read != "总计 25.50":
                await asyncio.sleep(0.01)
            port.unplug()
            with pytest.raises(UnavailableError):
                await running
            seen.reboot()
            port.plug()
            running = asyncio.create_task(driver.run(), name="display")
            while seen.read != "总计 25.50":
                await asyncio.sleep(0.01)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        port.unplug()
    assert port.counters["bytes_in"] > 0
