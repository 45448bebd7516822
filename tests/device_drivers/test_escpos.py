"""Receipts as bytes and bytes as frames: golden vectors, what can never be a command, what a receipt may hold.

Marks: V recomputed and matches a public source, S stated in one, C computed from a public rule, K general knowledge.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device_drivers.errors import ProtocolError
from device_drivers.escpos import (
    Columns,
    Cut,
    Feed,
    PrinterStatus,
    Promotion,
    PromotionError,
    Qr,
    Receipt,
    ReceiptError,
    Rule,
    Text,
    commands,
    document,
)
from device_drivers.escpos.codec import KINDS, MAX_TEXT_BYTES, MOST_BUFFERED, Command, HostDecoder, Print
from device_drivers.escpos.family import FAMILY, acts, describe
from device_drivers.escpos.layout import MAX_ROWS, SLICE_BYTES, laid_out
from device_drivers.escpos.status import DeviceDecoder, Done, Flow, StatusByte, Told, checked_status, is_offline
from device_drivers.escpos.text import cleaned, columns_of, encoded, wrapped

OTHERS: dict[str, str] = json.loads(Path(__file__).with_name("python_escpos.json").read_text())


def whole(data: bytes) -> tuple[list[Print | Command], list[str]]:
    """What the decoder finds, and what it was told of."""
    faults: list[str] = []
    decoder = HostDecoder(lambda _kind, detail: faults.append(detail))
    frames = decoder.feed(data + b"\n")  # a run of text ends with what comes after it
    assert decoder.buffered == 0
    return frames[:-1], faults


GOLDEN = [
    (commands.INIT, "1B 40"),  # V
    (commands.CHINESE_ON, "1C 26"),  # K
    (commands.CHINESE_OFF, "1C 2E"),  # K
    (commands.align("left"), "1B 61 00"),  # V
    (commands.align("center"), "1B 61 01"),  # V
    (commands.align("right"), "1B 61 02"),  # V
    (commands.bold(True), "1B 45 01"),  # V
    (commands.bold(False), "1B 45 00"),  # V
    (commands.size(1, 1), "1D 21 00"),  # V
    (commands.size(2, 1), "1D 21 10"),  # V
    (commands.size(1, 2), "1D 21 01"),  # V
    (commands.size(2, 2), "1D 21 11"),  # V
    (commands.feed(3), "1B 64 03"),  # V
    (commands.CUT, "1D 56 42 00"),  # V
    (commands.pulse(0, 50, 500), "1B 70 00 19 FA"),  # V
    (commands.pulse(1, 20, 100), "1B 70 01 0A 32"),  # C
    (commands.ask_status(1), "10 04 01"),  # S
    (commands.ask_status(4), "10 04 04"),  # S
    (commands.ASK_WHEN_DONE, "1D 72 01"),  # S
    (commands.qr("A", 6)[0], "1D 28 6B 04 00 31 41 32 00"),  # V model 2
    (commands.qr("A", 6)[1], "1D 28 6B 03 00 31 43 06"),  # V size
    (commands.qr("A", 6)[2], "1D 28 6B 03 00 31 45 31"),  # V level M
    (commands.qr("A" * 3, 6)[3], "1D 28 6B 06 00 31 50 30 41 41 41"),  # V store
    (commands.qr("A" * 213, 6)[3], "1D 28 6B D8 00 31 50 30" + " 41" * 213),  # C the longest: 216, the low byte first
    (commands.qr("A", 6)[4], "1D 28 6B 03 00 31 51 30"),  # V print
    (encoded("掌柜", "gbk"), "D5 C6 B9 F1"),  # V
    (encoded("𠀀", "gb18030"), "95 32 82 36"),  # V four bytes
]


@pytest.mark.parametrize(("said", "vector"), GOLDEN)
def test_golden_commands(said: bytes, vector: str) -> None:
    assert said == bytes.fromhex(vector)
    frames, faults = whole(said)
    assert (len(frames), faults) == (1, [])


SHARED = [
    ("init", commands.INIT),
    ("align left", commands.align("left")),
    ("align center", commands.align("center")),
    ("align right", commands.align("right")),
    ("bold on", commands.bold(True)),
    ("bold off", commands.bold(False)),
    ("size 2x2", commands.size(2, 2)),
    ("size 2x1", commands.size(2, 1)),
    ("size 1x2", commands.size(1, 2)),
    ("size 1x1", commands.size(1, 1)),
    ("feed 3", commands.feed(3)),
    ("cut", commands.CUT),
    ("drawer", commands.pulse(0, 50, 500)),
    ("qr", b"".join(commands.qr("https://store.example/r/1", 6))),
]


@pytest.mark.parametrize(("name", "ours"), SHARED)
def test_python_escpos_writes_the_same_bytes(name: str, ours: bytes) -> None:
    assert ours.hex(" ") == OTHERS[name]


@pytest.mark.parametrize("name", OTHERS)
def test_what_python_escpos_writes_is_read_whole(name: str) -> None:
    data = bytes.fromhex(OTHERS[name])
    frames, faults = whole(data)
    assert faults == []
    assert all(describe(frame).isprintable() for frame in frames)
    size = sum(len(f.data) if isinstance(f, Print) else len(f.head) + f.body_bytes for f in frames)
    assert size == len(data)  # every byte belongs to a frame
    assert any(acts(frame) for frame in frames)


def job(*lines: document.Line, columns: int = 32, tobacco: bool = False, charset: str = "gbk") -> bytes:
    return laid_out(Receipt(lines=lines, has_tobacco=tobacco), columns=columns, charset=charset).data


def test_a_small_receipt_byte_for_byte() -> None:
    said = job(
        Text(text="掌柜", align="center", bold=True, wide=2, tall=2),
        Columns(left="苹果", right="¥1", bold=True),
        Feed(2),
        Cut(),
        columns=24,
    )
    assert (
        said.hex(" ").upper()
        == (
            "1B 40 1C 26 1B 61 01 1B 45 01 1D 21 11 D5 C6 B9 F1 0A "
            "1B 61 00 1D 21 00 C6 BB B9 FB " + "20 " * 17 + "A3 A4 31 0A "  # the yuan sign as the sets have it
            "1B 45 00 1B 64 02 1C 2E 1D 56 42 00"
        )
    )


@pytest.mark.parametrize(
    ("text", "shown", "replaced", "columns"),
    [
        ("Apple", "Apple", 0, 5),
        ("苹果", "苹果", 0, 4),
        ("a\x1b@b", "a?@b", 1, 4),  # a command, disarmed
        ("\x10\x04\x01", "???", 3, 3),
        ("1\n2\t3\x7f", "1?2?3?", 3, 6),  # a line is a line
        ("\x80\x9b", "??", 2, 2),  # controls of eight bits
        ("é", "é", 0, 2),  # the set has it, in two bytes and two columns
        ("e\u0301", "é", 0, 2),  # put together first
        ("Я·α", "Я·α", 0, 6),
        ("😀", "?", 1, 1),  # no set of two bytes has it
        ("\ud800", "?", 1, 1),  # half a character
        ("\u202egnp.exe", "?gnp.exe", 1, 8),  # turns the line around on a screen
        ("\u200b\ufeff", "??", 2, 2),  # invisible
        ("\ue000", "?", 1, 1),  # of private meaning
        ("a\xa0b\u2003c\u3000d", "a b c\u3000d", 0, 8),  # spaces
        ("¥9", "￥9", 0, 3),
        ("", "", 0, 0),
    ],
)
def test_text_from_outside(text: str, shown: str, replaced: int, columns: int) -> None:
    assert cleaned(text, "gbk") == (shown, replaced)
    assert columns_of(shown) == columns


@settings(deadline=None)
@given(st.text(max_size=60), st.sampled_from(["gbk", "gb18030"]))
def test_no_text_ever_holds_a_control(text: str, charset) -> None:
    shown, replaced = cleaned(text, charset)
    data = encoded(shown, charset)
    assert all(byte >= 0x20 and byte != 0x7F for byte in data)
    assert replaced <= len(text)
    assert data.decode(charset) == shown
    assert cleaned(shown, charset) == (shown, 0)
    wide = data.decode("gbk") if charset == "gbk" else ""
    assert charset != "gbk" or columns_of(wide) == len(data)  # a byte a column


@settings(deadline=None)
@given(st.text(max_size=80), st.integers(2, 40))
def test_wrapping_loses_nothing_and_stays_inside(text: str, columns: int) -> None:
    shown = cleaned(text, "gbk")[0]
    pieces = list(wrapped(shown, columns))
    assert "".join(pieces) == shown
    assert all(columns_of(piece) <= columns for piece in pieces)


@pytest.mark.parametrize("tobacco", [True, False])
def test_promotion_stands_on_no_receipt_with_tobacco(tobacco: bool) -> None:
    lines = (Text(text="a"), Rule(), Promotion(text="第二件半价"), Cut())
    if not tobacco:
        assert "第二件半价".encode("gbk") in job(*lines)
        return
    with pytest.raises(PromotionError, match="line 2") as told:
        Receipt(lines=lines, has_tobacco=True)
    assert (told.value.line, told.value.side) == (2, "local")
    assert "半价" not in str(told.value)


def test_whoever_makes_a_receipt_says_whether_it_names_tobacco() -> None:
    with pytest.raises(TypeError, match="has_tobacco"):
        Receipt(lines=(Rule(),))  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("lines", "line", "sentence"),
    [
        ((), None, "0 lines"),
        ((Rule(),) * 201, None, "201 lines"),
        ((Text(text="x" * 241),), 0, "241 characters"),
        ((Rule(), Promotion(text="x" * 241)), 1, "241 characters"),
        ((Columns(left="x" * 241, right=""),), 0, "241 characters"),
        ((Columns(left="", right="1" * 25),), 0, "25 characters at the right"),
        ((Text(text="", wide=3),), 0, "once or twice"),
        ((Text(text="", tall=0),), 0, "once or twice"),
        ((Text(text="", align="justified"),), 0, "left, center or right"),
        ((Rule("\x1b"),), 0, "a rule is of"),
        ((Rule("--"),), 0, "a rule is of"),
        ((Qr(text=""),), 0, "0 characters"),
        ((Qr(text="x" * 214),), 0, "214 characters"),
        ((Qr(text="掌柜"),), 0, "printable ASCII"),
        ((Qr(text="a\x1b@"),), 0, "printable ASCII"),
        ((Qr(text="a", module_dots=7),), 0, "7 dots"),
        ((Feed(0),), 0, "0 empty lines"),
        ((Feed(21),), 0, "21 empty lines"),
        ((Cut(), Rule()), 0, "a cut ends"),
    ],
)
def test_receipts_that_cannot_be(lines: tuple[document.Line, ...], line: int | None, sentence: str) -> None:
    with pytest.raises(ReceiptError, match=sentence) as told:
        Receipt(lines=lines, has_tobacco=False)
    assert (told.value.line, told.value.side) == (line, "local")


@pytest.mark.parametrize(
    ("lines", "line", "sentence"),
    [
        ((Rule(), Columns(left="", right="￥" * 13)), 1, "26 columns on paper of 24"),
        ((Feed(20),) * 21, 20, f"more than {MAX_ROWS} rows"),
        ((Text(text="中" * 240, wide=2, tall=2),) * 6, 5, f"more than {MAX_ROWS} rows"),
    ],
)
def test_receipts_that_do_not_fit_the_paper(lines: tuple[document.Line, ...], line: int, sentence: str) -> None:
    with pytest.raises(ReceiptError, match=sentence) as told:
        job(*lines, columns=24)
    assert told.value.line == line


@pytest.mark.parametrize(
    ("pin", "on_ms", "off_ms"),
    [
        (2, 50, 500),  # no such drawer
        (0, 18, 500),  # opens nothing
        (0, 122, 510),  # burns
        (0, 50, 98),
        (0, 50, 512),  # more than a byte holds
        (0, 51, 500),  # no whole ticks
        (0, 100, 398),  # rests too little
        (0, -50, 500),
    ],
)
def test_pulses_that_are_never_written(pin: int, on_ms: int, off_ms: int) -> None:
    with pytest.raises(ProtocolError) as told:
        commands.pulse(pin, on_ms, off_ms)
    assert told.value.side == "local"


@pytest.mark.parametrize(
    "call", [lambda: commands.feed(256), lambda: commands.ask_status(5), lambda: commands.qr("é", 6)]
)
def test_commands_that_are_never_written(call) -> None:
    with pytest.raises(ProtocolError):
        call()


LINES = st.one_of(
    st.builds(
        Text,
        text=st.text(max_size=40),
        align=st.sampled_from(document.ALIGNS),
        bold=st.booleans(),
        wide=st.sampled_from([1, 2]),
        tall=st.sampled_from([1, 2]),
    ),
    st.builds(Columns, left=st.text(max_size=40), right=st.text(max_size=10), bold=st.booleans()),
    st.builds(Qr, text=st.from_regex(r"[ -~]{1,60}", fullmatch=True)),
    st.builds(Rule),
    st.builds(Feed, st.integers(1, 3)),
)
RECEIPTS = st.lists(LINES, min_size=1, max_size=12).map(lambda lines: Receipt(lines=(*lines, Cut()), has_tobacco=False))
WRITTEN = {b"\x1b\x40", b"\x1c\x26", b"\x1c\x2e", b"\x1b\x61", b"\x1b\x45", b"\x1d\x21", b"\x1b\x64", b"\x1d\x28", b"\x1d\x56", b"\x0a"}  # fmt: skip


@settings(deadline=None)
@given(RECEIPTS, st.sampled_from([24, 32, 48]), st.sampled_from(["gbk", "gb18030"]))
def test_a_receipt_is_nothing_but_its_own_commands(receipt: Receipt, columns: int, charset) -> None:
    made = laid_out(receipt, columns=columns, charset=charset)
    frames, faults = whole(made.data)
    assert faults == []
    assert {frame.prefix for frame in frames if isinstance(frame, Command)} <= WRITTEN
    cuts = [frame for frame in frames if isinstance(frame, Command) and frame.prefix == b"\x1d\x56"]
    assert (len(cuts), frames[-1]) == (1, cuts[0])
    for piece in made.slices:  # a question may stand after each
        found = HostDecoder(lambda _kind, _detail: None)
        found.feed(piece)
        assert found.buffered <= MAX_TEXT_BYTES
        assert not found._head
        assert len(piece) <= SLICE_BYTES or piece.startswith(b"\x1d\x28\x6b")  # a code is one command
    assert acts(frames[0])


@pytest.mark.parametrize(
    ("answers", "status", "trouble"),
    [
        ("12 12 12 12", PrinterStatus(), ""),  # S idle
        ("1A 12 12 12", PrinterStatus(offline=True), "offline"),  # S bit 3
        ("16 12 12 12", PrinterStatus(drawer_pin_high=True), ""),  # S bit 2
        ("1A 16 12 12", PrinterStatus(offline=True, cover_open=True), "cover_open"),  # S
        ("12 1A 12 12", PrinterStatus(fed_by_hand=True), ""),  # S
        ("1A 32 12 12", PrinterStatus(offline=True, paper_end=True), "paper_end"),  # S stopped
        ("1A 52 12 12", PrinterStatus(offline=True, error=True), "error"),  # S
        ("1A 52 1A 12", PrinterStatus(offline=True, error=True, cutter_error=True), "cutter_error"),  # S
        ("1A 52 32 12", PrinterStatus(offline=True, error=True, unrecoverable=True), "error"),  # S
        ("12 12 52 12", PrinterStatus(error=True), "error"),  # S the head is hot
        ("12 12 12 1E", PrinterStatus(paper_near_end=True), ""),  # S 0C
        ("1A 32 12 7E", PrinterStatus(offline=True, paper_near_end=True, paper_end=True), "paper_end"),  # S 60
        (
            "1A 36 12 7E",
            PrinterStatus(offline=True, cover_open=True, paper_near_end=True, paper_end=True),
            "cover_open",
        ),
    ],
)
def test_what_status_bytes_mean(answers: str, status: PrinterStatus, trouble: str) -> None:
    assert PrinterStatus.from_bytes(bytes.fromhex(answers)) == status
    assert status.trouble == trouble


@pytest.mark.parametrize("place", range(4))
@pytest.mark.parametrize("bit", [0x01, 0x02, 0x10, 0x80])
def test_wrong_fixed_bits_are_no_state(place: int, bit: int) -> None:
    answers = bytearray(b"\x12\x12\x12\x12")
    answers[place] ^= bit
    with pytest.raises(ProtocolError, match="fixed bits") as told:
        PrinterStatus.from_bytes(bytes(answers))
    assert told.value.side == "remote"


@settings(deadline=None)
@given(st.integers(-1, 256))
def test_a_byte_is_a_status_or_a_mistake_of_the_printer(value: int) -> None:
    right = 0 <= value <= 0xFF and (value & 0x93) == 0x12
    if right:
        assert checked_status(value) == value
        assert is_offline(value) == bool(value & 8)
        return
    with pytest.raises(ProtocolError):
        is_offline(value)


@pytest.mark.parametrize("size", [0, 3, 5])
def test_a_status_is_four_bytes(size: int) -> None:
    with pytest.raises(ProtocolError):
        PrinterStatus.from_bytes(b"\x12" * size)


@pytest.mark.parametrize(
    ("data", "frames", "faults"),
    [
        ("12 1A", [StatusByte(0x12), StatusByte(0x1A)], 0),
        ("11 13", [Flow.GO, Flow.STOP], 0),
        ("00 03 0C 0F", [Done.PAPER, Done.NEAR_END, Done.END, Done.NEAR_AND_END], 0),
        ("01 02 04 08", [], 4),  # no sensor says half of it
        ("14 00 00 0F", [Told(bytes.fromhex("1400000F"))], 0),  # and none of it is an answer
        ("14 00 13 00 11 0F", [Flow.STOP, Flow.GO, Told(bytes.fromhex("1400000F"))], 0),
        ("14 00 12", [StatusByte(0x12)], 1),  # its end never came
        ("14 14 00 00 00", [Told(bytes.fromhex("14000000"))], 1),
        ("92 32 B2 93", [StatusByte(0x32)], 3),
        ("10 04 01", [], 0),  # an echo: it waits, and answers nothing
        ("1D 72 01", [StatusByte(0x72)], 2),  # an echo of the other question: no answer to it either
    ],
)
def test_what_a_printer_sends(data: str, frames: list, faults: int) -> None:
    told: list[str] = []
    decoder = DeviceDecoder(lambda _kind, detail: told.append(detail))
    assert decoder.feed(bytes.fromhex(data)) == frames
    assert len(told) == faults


@pytest.mark.parametrize(
    ("data", "said", "faults"),
    [
        ("41 42 0A", ["text, 2 bytes", "line end"], 0),
        ("1B 99 41 0A", ["text, 1 bytes", "line end"], 1),  # not known: its two bytes are dropped
        ("7F 0A", ["line end"], 1),
        ("1D 28 6B 00 00 0A", ["function 6B 00 00", "line end"], 0),  # a length of nothing
        ("1D 28 6B 02 00 1B 40 0A", ["function 6B 02 00, 2 bytes of data", "line end"], 0),  # data is no command
        ("1D 56 42 00 1D 56 00", ["cut 42, 1 bytes of data", "cut 00"], 0),
        ("10 14 08 01 03 14 01 06 02 08 0A", ["act at once 08, 7 bytes of data", "line end"], 0),
        ("1B 44 " + "04 " * 62 + "0A", ["line end"], 1),  # parameters without an end
        ("41 " * 200 + "0A", ["text, 128 bytes", "text, 72 bytes", "line end"], 0),
    ],
)
def test_what_a_host_says(data: str, said: list[str], faults: int) -> None:
    told: list[str] = []
    decoder = HostDecoder(lambda _kind, detail: told.append(detail))
    assert [describe(frame) for frame in decoder.feed(bytes.fromhex(data))] == said
    assert len(told) == faults


def test_a_claimed_length_costs_no_memory() -> None:
    decoder = HostDecoder(lambda _kind, _detail: None)
    assert decoder.feed(bytes.fromhex("1D 76 30 00 FF FF FF FF") + b"x" * 100_000) == []
    assert decoder.buffered <= MOST_BUFFERED


@pytest.mark.parametrize("prefix", KINDS, ids=lambda prefix: prefix.hex())
def test_only_questions_do_not_act(prefix: bytes) -> None:
    asks = {b"\x10\x04", b"\x1d\x72", b"\x1d\x49", b"\x1b\x75", b"\x1b\x76"}
    assert KINDS[prefix].acts == (prefix not in asks)


def test_text_is_counted_and_not_shown() -> None:
    frames, _ = whole("王五 13800000000\n".encode("gbk") + b"\x1d\x6b\x04CODE39\0")
    assert [describe(frame) for frame in frames] == ["text, 16 bytes", "line end", "bar code"]
    assert FAMILY.acts(frames[0])
