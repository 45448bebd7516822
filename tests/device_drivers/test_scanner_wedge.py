"""Scanners that play a keyboard. There is no such device here: events are laid out as the kernel does, by ctypes."""

from __future__ import annotations

import asyncio
import ctypes
import os
import re
import tty
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.clock import SystemClock
from device_drivers.capabilities import CodeScanned
from device_drivers.errors import MisconfiguredError, UnavailableError
from device_drivers.scanner import WedgeReader
from device_drivers.scanner.codec import MAX_TEXT_BYTES
from device_drivers.scanner.pipe import open_descriptor
from device_drivers.scanner.wedge import EVENT_BYTES, KeyDecoder
from device_drivers.scanner.wedge_keys import KEYS
from device_drivers.scanner.wedge_reader import MY_WORD_BITS, open_wedge
from tests.must import missing

HEADER = Path("/usr/include/linux/input-event-codes.h")
SYN, KEY, MSC = 0, 1, 4
ENTER, SHIFT, CAPS, CTRL, F1 = 28, 42, 58, 29, 59
FAST_S, SLOW_S = 0.008, 0.18


class Event64(ctypes.Structure):
    """struct input_event where a long has 64 bits."""

    _fields_ = (
        ("sec", ctypes.c_int64),
        ("usec", ctypes.c_int64),
        ("type", ctypes.c_uint16),
        ("code", ctypes.c_uint16),
        ("value", ctypes.c_int32),
    )


class Event32(ctypes.Structure):
    """The same where it has 32."""

    _fields_ = (
        ("sec", ctypes.c_uint32),
        ("usec", ctypes.c_uint32),
        ("type", ctypes.c_uint16),
        ("code", ctypes.c_uint16),
        ("value", ctypes.c_int32),
    )


EVENTS = {64: Event64, 32: Event32}
BY_CHARACTER = {
    char: (code, shift) for code, pair in reversed(KEYS.items()) for shift, char in reversed([*enumerate(pair)])
}


class Keyboard:
    """Types into a list of events; its clock moves with every key."""

    def __init__(self, word_bits: int = 64, start_s: float = 1000.0) -> None:
        self.now_s = start_s
        self.bytes = b""
        self._event = EVENTS[word_bits]

    def event(self, kind: int, code: int, value: int) -> Keyboard:
        micros = round(self.now_s * 1e6)
        self.bytes += bytes(self._event(micros // 1_000_000, micros % 1_000_000, kind, code, value))
        return self

    def key(self, code: int, *values: int) -> Keyboard:
        for value in values or (1, 0):
            self.event(MSC, 4, 0x70000 + code)  # a keyboard tells its own code too
            self.event(KEY, code, value)
            self.event(SYN, 0, 0)
        return self

    def pause(self, seconds: float) -> Keyboard:
        self.now_s += seconds
        return self

    def type(self, text: str, *, every_s: float = FAST_S) -> Keyboard:
        for char in text:
            code, shift = (ENTER, 0) if char == "\n" else BY_CHARACTER[char]
            self.pause(every_s)
            if shift:
                self.key(SHIFT, 1)
            self.key(code)
            if shift:
                self.key(SHIFT, 0)
        return self

    def take(self) -> bytes:
        data, self.bytes = self.bytes, b""
        return data


def ignore(kind: str, detail: str) -> None:
    pass


def test_an_event_has_the_size_that_the_kernel_gives_it():
    assert {bits: ctypes.sizeof(event) for bits, event in EVENTS.items()} == EVENT_BYTES
    assert ctypes.sizeof(ctypes.c_long) * 8 == MY_WORD_BITS


def test_the_keys_are_those_of_the_kernel():
    if not HEADER.exists():
        missing("the kernel's header of key codes is not here (linux-libc-dev)")
    names = dict(re.findall(r"#define KEY_(\w+)\s+(\d+)", HEADER.read_text()))
    said = {**{char: char.upper() for char in "abcdefghijklmnopqrstuvwxyz0123456789"}}
    said |= {"-": "MINUS", "=": "EQUAL", "[": "LEFTBRACE", "]": "RIGHTBRACE", ";": "SEMICOLON", "'": "APOSTROPHE"}
    said |= {"`": "GRAVE", "\\": "BACKSLASH", ",": "COMMA", ".": "DOT", "/": "SLASH", " ": "SPACE"}
    for char, name in said.items():
        assert BY_CHARACTER[char] == (int(names[name]), 0)
    pad = {f"KP{digit}": str(digit) for digit in range(10)}
    pad |= {"KPMINUS": "-", "KPPLUS": "+", "KPDOT": ".", "KPSLASH": "/", "KPASTERISK": "*"}
    for name, char in pad.items():
        assert KEYS[int(names[name])] == (char, char)
    assert [int(names[name]) for name in ("ENTER", "LEFTSHIFT", "CAPSLOCK", "LEFTCTRL", "F1")] == [28, 42, 58, 29, 59]


def test_a_us_keyboard_makes_every_printable_character():
    assert set(BY_CHARACTER) == {chr(code) for code in range(0x20, 0x7F)}


def dropped(**counters: int) -> dict[str, int]:
    return {"typed": 0, "unprintable": 0, "too_long": 0, "keys_lost": 0, **counters}


STORIES = [
    (lambda k: k.type("6901234567892\n"), ["6901234567892"], dropped()),
    (lambda k: k.type("ZG1.m-7.A~Z!{}\n"), ["ZG1.m-7.A~Z!{}"], dropped()),  # shift held for each
    (lambda k: k.type("6901").pause(FAST_S).key(96), ["6901"], dropped()),  # Enter of the number pad
    (lambda k: k.type("\n\n6901\n"), ["6901"], dropped()),  # Enter alone is nothing
    (lambda k: k.type("6901\n6902\n"), ["6901", "6902"], dropped()),
    (lambda k: k.key(CAPS).type("ab1!\n"), ["AB1!"], dropped()),  # caps lock turns letters alone
    (lambda k: k.key(CAPS).type("Ab1!\n").key(CAPS).pause(1).type("Ab1!\n"), ["aB1!", "Ab1!"], dropped()),
    (lambda k: k.type("6901\n", every_s=SLOW_S), [], dropped(typed=1)),  # a person
    (lambda k: k.type("6901\n", every_s=0.5), [], dropped(typed=4)),  # a slow person
    (lambda k: k.type("690\n"), [], dropped(typed=1)),  # three keys can be typed so fast
    (lambda k: k.type("6901").type("\n", every_s=SLOW_S), [], dropped(typed=1)),  # a person ended it
    (lambda k: k.type("69").type("0", every_s=0.06).type("123\n"), [], dropped(typed=1)),  # no end passes for a whole
    (
        lambda k: k.type("ab", every_s=SLOW_S).pause(1).type("6901\n"),
        ["6901"],
        dropped(typed=1),
    ),  # somebody leant on it
    (lambda k: k.type("6901").pause(1).type("6902\n"), ["6902"], dropped(typed=1)),  # a code without its Enter
    (lambda k: k.type("69").key(2, 1, 2, 2, 0).type("01\n"), [], dropped(typed=1)),  # a key that is held
    (lambda k: k.type("69").key(CTRL, 1).key(47).key(CTRL, 0).type("01\n"), [], dropped(unprintable=1)),  # control-V
    (lambda k: k.type("69").pause(FAST_S).key(F1).type("01\n6902\n"), ["6902"], dropped(unprintable=1)),
    (lambda k: k.type("6" * 512 + "\n"), ["6" * 512], dropped()),
    (lambda k: k.type("6" * 513 + "\n6901\n"), ["6901"], dropped(too_long=1)),
    (
        lambda k: k.type("69").event(SYN, 3, 0).type("01\n6902\n"),
        ["6902"],
        dropped(keys_lost=1),
    ),  # the kernel overflowed
    (lambda k: k.type("69").event(SYN, 3, 0).event(KEY, 30, 1).event(SYN, 0, 0).type("\n"), [], dropped(keys_lost=1)),
    (lambda k: k.key(SHIFT, 1).event(SYN, 3, 0).event(SYN, 0, 0).type("\n6901\n"), ["6901"], dropped(keys_lost=1)),
    (lambda k: k.type("69").pause(-60).type("01\n"), [], dropped(typed=1)),  # somebody set the clock back
    (lambda k: k.event(2, 0, -5).event(17, 1, 1).type("6901\n"), ["6901"], dropped()),  # a mouse, a lamp
    (lambda k: k.type("  6901 \n"), ["6901"], dropped()),
]


@pytest.mark.parametrize("step", [1, 7, 24, 4096])
@pytest.mark.parametrize("word_bits", [64, 32])
@pytest.mark.parametrize(("story", "texts", "counters"), STORIES)
def test_what_keys_come_to(story, texts, counters, word_bits, step):
    stream = story(Keyboard(word_bits)).bytes
    faults = []
    decoder = KeyDecoder(lambda *fault: faults.append(fault), word_bits=word_bits)
    found = []
    for at in range(0, len(stream), step):
        found += decoder.feed(stream[at : at + step])
    assert found == texts
    assert decoder.counters == counters
    assert len(faults) == sum(counters.values())


@pytest.mark.parametrize("offset", range(1, 24))
def test_a_stream_that_begins_within_an_event_finds_its_feet(offset):
    """And what was typed until then is no code."""
    keyboard = Keyboard(start_s=1_700_000_000.0)
    stream = keyboard.type("6901\n").take()[offset:] + keyboard.pause(1).type("6902\n").take()
    assert KeyDecoder(ignore).feed(stream)[-1:] == ["6902"]


def test_a_gap_in_the_events_costs_the_code_and_no_more():
    keyboard, decoder = Keyboard(), KeyDecoder(ignore)
    assert decoder.feed(keyboard.key(SHIFT, 1).type("69").take()[:-3]) == []
    decoder.lost()
    assert decoder.feed(keyboard.type("01\n6902\n").take()) == ["6902"]
    assert decoder.counters["keys_lost"] == 1


def test_nothing_outlives_its_device():
    keyboard, decoder = Keyboard(), KeyDecoder(ignore)
    decoder.feed(keyboard.key(CAPS).key(SHIFT, 1).key(CTRL, 1).type("69").take()[:-3])
    decoder.forget()
    assert decoder.buffered == 0
    assert decoder.feed(keyboard.type("abcd\n").take()) == ["abcd"]


@pytest.mark.parametrize("gap_s", [0.0, -1.0, 0.3])
def test_a_gap_that_tells_nothing_apart_is_refused(gap_s):
    with pytest.raises(ValueError, match="longest_gap_s"):
        KeyDecoder(ignore, longest_gap_s=gap_s)


def test_a_slow_scanner_can_be_given_more_time():
    stream = Keyboard().type("6901\n", every_s=0.09).bytes
    assert KeyDecoder(ignore).feed(stream) == []
    assert KeyDecoder(ignore, longest_gap_s=0.1).feed(stream) == ["6901"]


printable = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=4, max_size=40)


@settings(max_examples=100, deadline=None)
@given(st.lists(printable, max_size=5), st.sampled_from([64, 32]), st.integers(1, 100))
def test_codes_come_out_as_they_were_typed(texts, word_bits, step):
    stream = Keyboard(word_bits).type("".join(text + "\n" for text in texts)).bytes
    decoder = KeyDecoder(ignore, word_bits=word_bits)
    found = []
    for at in range(0, len(stream), step):
        found += decoder.feed(stream[at : at + step])
    assert found == texts


events = st.builds(
    lambda bits, *fields: bytes(EVENTS[bits](*fields)),
    st.sampled_from([64, 32]),
    st.integers(0, 3),
    st.sampled_from([0, 1000, 999_999, 1_000_000]),
    st.sampled_from([0, 1, 1, 1, 4, 17, 40]),
    st.sampled_from([0, 3, 28, 30, 42, 58, 29, 2, 0x2FF, 0x300]),
    st.sampled_from([0, 1, 1, 2, 3, -1]),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.one_of(events, st.binary(max_size=60)), max_size=60), st.sampled_from([64, 32]))
def test_no_bytes_break_the_decoder_and_none_pile_up(pieces, word_bits):
    decoder = KeyDecoder(ignore, word_bits=word_bits)
    for piece in pieces:
        for text in decoder.feed(piece):
            assert text.isprintable()
            assert 0 < len(text) <= MAX_TEXT_BYTES
        assert decoder.buffered <= MAX_TEXT_BYTES + EVENT_BYTES[word_bits] - 1


async def until(holds) -> None:
    async with asyncio.timeout(20):
        while not holds():
            await asyncio.sleep(0.001)


@pytest.mark.parametrize("kind", ["pipe", "pseudo-terminal"])
async def test_codes_of_a_keyboard_over_a_real_descriptor(kind, caplog) -> None:
    """The device hangs up in the middle of a code, and its owner opens the next one."""
    ends = []

    async def opened():
        reading, writing = os.pipe() if kind == "pipe" else os.openpty()
        if kind != "pipe":
            reading, writing = writing, reading
            tty.setraw(reading)
        ends.append(writing)
        try:
            return await open_descriptor(reading, kind)
        finally:
            os.close(reading)

    reader = WedgeReader(open_link=opened, clock=SystemClock())
    keyboard = Keyboard(MY_WORD_BITS)

    async def keep() -> None:
        for _ in range(2):
            with pytest.raises(UnavailableError):
                await reader.run()
            await asyncio.sleep(0.01)  # as a supervisor waits

    owner = asyncio.create_task(keep(), name="owner")
    await until(lambda: reader.is_open)
    os.write(ends[0], keyboard.type("member-0001\n").take())
    assert await reader.next_code() == CodeScanned("member-0001")
    waiting = asyncio.create_task(reader.next_code(), name="waiting")
    os.write(ends[0], keyboard.type("69").take())
    await asyncio.sleep(0.01)
    os.close(ends[0])
    with pytest.raises(UnavailableError):
        await asyncio.wait_for(waiting, 20)
    await until(lambda: len(ends) == 2 and reader.is_open)
    os.write(ends[1], keyboard.type("01234\n").take())
    assert (await reader.next_code()).text == "01234"
    os.close(ends[1])
    await owner
    assert reader.counters["typed"] == 0
    assert "member-0001" not in caplog.text


@pytest.mark.parametrize("what", ["nothing", "a file", "a folder", "a pipe"])
async def test_what_is_no_input_device_is_refused(what, tmp_path: Path) -> None:
    path = tmp_path / "event0"
    {"nothing": lambda: None, "a file": path.touch, "a folder": path.mkdir, "a pipe": lambda: os.mkfifo(path)}[what]()
    with pytest.raises(UnavailableError if what == "nothing" else MisconfiguredError) as caught:
        await open_wedge(str(path))
    assert str(path) in str(caught.value)


async def test_an_input_device_that_is_somebody_elses_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "event0"
    path.touch()
    path.chmod(0)
    if os.access(path, os.R_OK):
        return  # whoever runs this may read everything
    with pytest.raises(MisconfiguredError, match="group input"):
        await open_wedge(str(path))
