"""Scanners: lines out of bytes, one reading out of a code held before the lens, and the frames of the GM65 family."""

from __future__ import annotations

import asyncio
import logging

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.clock import ManualClock
from device_drivers.capabilities import CodeScanned
from device_drivers.errors import MisconfiguredError, ProtocolError, UnavailableError
from device_drivers.scanner import SerialScanner, gm65
from device_drivers.scanner.codec import MAX_TEXT_BYTES, DuplicateFilter, LineDecoder
from tests.device_drivers.twins import Wire
from tests.device_drivers.virtual_time import in_virtual_time


def ignore(kind: str, detail: str) -> None:
    pass


@pytest.mark.parametrize("step", [1, 7, 4096])
@pytest.mark.parametrize(
    ("suffix", "stream", "texts", "dropped"),
    [
        (None, b"6901234567892\r\n", ["6901234567892"], (0, 0)),
        (None, b"a\rb\nc\r\nd", ["a", "b", "c"], (0, 0)),  # the end of d has not come
        (None, b"\r\n\r\n \r\n", [], (0, 0)),  # nothing, three times
        (None, "会员\n".encode(), ["会员"], (0, 0)),
        (None, b"\xff\xfe\nok\n", ["ok"], (0, 1)),  # not UTF-8
        (None, b"\x02\x00\x00\x01\x0033\nok\n", ["ok"], (0, 1)),  # a module's binary reply in between
        (None, b"a\x1bb\nok\n", ["ok"], (0, 1)),  # an escape sequence is no code
        (None, b"x" * 512 + b"\nok\n", ["x" * 512, "ok"], (0, 0)),
        (None, b"x" * 513 + b"\nok\n", ["ok"], (1, 0)),
        (None, b"x" * 5000 + b"\nok\n", ["ok"], (1, 0)),
        (b"\t", b"a\tb\n\tc", ["a"], (0, 1)),  # another suffix: a line feed is a character, and not printable
        (b"##", b"a#b##c##", ["a#b", "c"], (0, 0)),
        (b"##", b"x" * 5000 + b"##ok##", ["ok"], (1, 0)),
    ],
)
def test_lines(suffix, stream, texts, dropped, step):
    heard: list[tuple[str, str]] = []
    decoder = LineDecoder(lambda *fault: heard.append(fault), suffix)
    found = []
    for at in range(0, len(stream), step):
        found += decoder.feed(stream[at : at + step])
    assert found == texts
    assert (decoder.too_long, decoder.unprintable) == dropped
    assert [kind for kind, _ in heard] == ["framing"] * sum(dropped)


def test_an_empty_suffix_is_refused():
    with pytest.raises(ValueError, match="suffix"):
        LineDecoder(ignore, b"")


@settings(max_examples=100, deadline=None)
@given(st.lists(st.binary(max_size=900), max_size=8), st.sampled_from([None, b"\t", b"\r\n", b"<<>>"]))
def test_no_bytes_break_the_decoder_and_none_pile_up(pieces, suffix):
    decoder = LineDecoder(ignore, suffix)
    for piece in pieces:
        for text in decoder.feed(piece):
            assert text
            assert text.isprintable()
            assert len(text.encode()) <= MAX_TEXT_BYTES
        assert decoder.buffered <= MAX_TEXT_BYTES + 3


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=40), max_size=6),
    st.integers(1, 50),
    st.sampled_from(["\r", "\n", "\r\n"]),
)
def test_texts_come_out_as_they_went_in(texts, step, end):
    stream = "".join(text + end for text in texts).encode()
    decoder = LineDecoder(ignore)
    found = []
    for at in range(0, len(stream), step):
        found += decoder.feed(stream[at : at + step])
    assert found == texts


@pytest.mark.parametrize(
    ("sights", "readings"),
    [
        ([("a", 0.0), ("a", 1.9)], ["a"]),
        ([("a", 0.0), ("a", 2.0)], ["a", "a"]),
        ([("a", 0.0), ("a", 1.5), ("a", 3.0), ("a", 4.5)], ["a"]),  # held before the lens
        ([("a", 0.0), ("b", 0.1)], ["a", "b"]),
        ([("a", 0.0), ("b", 0.1), ("a", 0.2)], ["a", "b", "a"]),  # somebody changed their mind
    ],
)
def test_repeats(sights, readings):
    repeats = DuplicateFilter()
    assert [text for text, now_s in sights if repeats.is_new(text, now_s)] == readings
    assert repeats.suppressed == len(sights) - len(readings)


# All [V]: the check sums of the vendor's examples are right.
GM65 = [
    (gm65.trigger(), "7E 00 08 01 00 02 01 02 DA"),
    (gm65.trigger(checked=False), "7E 00 08 01 00 02 01 AB CD"),
    (gm65.save(), "7E 00 09 01 00 00 00 DE C8"),
    (gm65.set_baud(9600), "7E 00 08 02 00 2A 39 01 A7 EA"),
    (gm65.read_baud(), "7E 00 07 01 00 2A 02 D8 0F"),
    (gm65.heartbeat(), "7E 00 0A 01 00 00 00 30 1A"),
]


@pytest.mark.parametrize(("frame", "text"), GM65)
def test_golden_commands(frame, text):
    assert frame == bytes.fromhex(text)


@pytest.mark.parametrize(
    ("text", "reply"),
    [
        ("02 00 00 01 00 33 31", gm65.Reply("command", 0, b"\x00")),
        ("03 00 00 01 00 33 31", gm65.Reply("heartbeat", 0, b"\x00")),
    ],
)
def test_golden_replies(text, reply):
    assert gm65.parse_reply(bytes.fromhex(text)) == reply
    assert reply.ok


@pytest.mark.parametrize(
    "text",
    [
        "02 00 00 01 00 33 32",  # wrong CRC
        "02 00 00 02 00 33 31",  # wrong length
        "04 00 00 01 00 33 31",  # no head of this family
        "02 01 00 01 00 33 31",
        "02 00 00",
        "",
    ],
)
def test_broken_replies(text):
    with pytest.raises(ProtocolError) as caught:
        gm65.parse_reply(bytes.fromhex(text))
    assert caught.value.side == "remote"


def test_a_speed_the_module_does_not_have():
    with pytest.raises(ProtocolError) as caught:
        gm65.set_baud(12345)
    assert caught.value.side == "local"


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=40))
def test_any_bytes_are_a_reply_or_a_protocol_error(data):
    try:
        reply = gm65.parse_reply(data)
    except ProtocolError:
        return
    assert len(reply.data) == len(data) - 6


class Running:
    """A scanner that runs on a wire."""

    def __init__(self, wire: Wire, clock: ManualClock) -> None:
        self.scanner = SerialScanner(name="s1", open_link=lambda: asyncio.sleep(0, wire), clock=clock)

    async def __aenter__(self) -> SerialScanner:
        self._owner = asyncio.create_task(self.scanner.run(), name="owner")
        await step()
        return self.scanner

    async def __aexit__(self, *exc: object) -> None:
        self._owner.cancel()
        await asyncio.gather(self._owner, return_exceptions=True)


async def step() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


@in_virtual_time
async def test_codes_are_handed_out_in_order():
    wire = Wire()
    async with Running(wire, ManualClock()) as scanner:
        waiting = asyncio.create_task(scanner.next_code(), name="next")
        await step()
        wire.deliver(b"one\r\ntwo\r")
        assert await waiting == CodeScanned("one")
        assert await scanner.next_code() == CodeScanned("two")


@in_virtual_time
async def test_two_who_wait_get_one_code_each():
    wire = Wire()
    async with Running(wire, ManualClock()) as scanner:
        waiting = [asyncio.create_task(scanner.next_code(), name=f"next {n}") for n in range(2)]
        await step()
        wire.deliver(b"one\n")
        await step()
        assert sum(task.done() for task in waiting) == 1
        wire.deliver(b"two\n")
        assert {code.text for code in await asyncio.gather(*waiting)} == {"one", "two"}


@in_virtual_time
async def test_drops_are_counted_by_reason():
    wire, clock = Wire(), ManualClock()
    async with Running(wire, clock) as scanner:
        wire.dropped_bytes = 7
        wire.deliver(b"".join(b"code %d\n" % n for n in range(20)))
        wire.deliver(b"code 19\n\xff\n" + b"x" * 600 + b"\n")
        await step()
        assert await scanner.next_code() == CodeScanned("code 4")  # code 0 may have lost its beginning
        clock.step(10.1)
        wire.deliver(b"fresh\n")
        await step()
        assert await scanner.next_code() == CodeScanned("fresh")
        assert scanner.counters == {
            "overflow": 3,
            "stale": 15,
            "bytes": 7,
            "too_long": 1,
            "unprintable": 1,
            "duplicate": 1,
        }


@in_virtual_time
async def test_a_lost_scanner_tells_everybody_and_forgets_what_it_read():
    """Neither a code nor half a code of the old connection is ever handed out."""
    wires = [Wire(), Wire(), Wire()]
    opened = iter(wires)
    scanner = SerialScanner(open_link=lambda: asyncio.sleep(0, next(opened)), clock=ManualClock())
    with pytest.raises(UnavailableError):
        await scanner.next_code()

    owner = asyncio.create_task(scanner.run(), name="owner 1")
    await step()
    waiting = asyncio.create_task(scanner.next_code(), name="next 1")
    await step()
    wires[0].deliver(b"half")
    await step()
    wires[0].unplug()
    with pytest.raises(UnavailableError, match="the cable is out"):
        await owner
    with pytest.raises(UnavailableError, match="not open"):
        await waiting
    assert wires[0].closed

    owner = asyncio.create_task(scanner.run(), name="owner 2")
    await step()
    wires[1].deliver(b"whole\n")
    assert await scanner.next_code() == CodeScanned("whole")
    wires[1].deliver(b"nobody fetches this\n")
    await step()
    wires[1].unplug()
    with pytest.raises(UnavailableError):
        await owner
    with pytest.raises(UnavailableError):
        await scanner.next_code()

    owner = asyncio.create_task(scanner.run(), name="owner 3")
    await step()
    waiting = asyncio.create_task(scanner.next_code(), name="next 3")
    await step()
    assert not waiting.done()
    wires[2].deliver(b"nobody fetches this\n")  # shown again: no repeat, for nothing is remembered
    assert await waiting == CodeScanned("nobody fetches this")
    owner.cancel()
    await asyncio.gather(owner, return_exceptions=True)


@pytest.mark.parametrize("error", [UnavailableError("no port"), MisconfiguredError("no permission")])
def test_a_scanner_that_is_not_there_is_logged_once_and_no_code_ever(error, caplog):
    @in_virtual_time
    async def scenario() -> None:
        wire = Wire()
        plan = iter([error, error, wire])

        async def open_link() -> Wire:
            link = next(plan)
            if isinstance(link, Exception):
                raise link
            return link

        scanner = SerialScanner(name="s1", open_link=open_link, clock=ManualClock())
        for _ in range(2):
            with pytest.raises(type(error)):
                await scanner.run()
        owner = asyncio.create_task(scanner.run(), name="owner")
        await step()
        wire.deliver(b"secret-member-code\n")
        await scanner.next_code()
        wire.unplug()
        with pytest.raises(UnavailableError):
            await owner

    with caplog.at_level(logging.DEBUG):
        scenario()
    ours = [record for record in caplog.records if record.name.startswith("zhanggui")]
    assert [record.levelname for record in ours] == ["WARNING", "INFO", "WARNING"]
    assert "secret-member-code" not in caplog.text
