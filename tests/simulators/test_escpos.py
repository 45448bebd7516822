"""The simulated receipt printer: what is read on its paper, its own rules, and the driver's receipts on it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device_drivers.escpos import Columns, Cut, Feed, Promotion, Qr, Receipt, Rule, Text
from device_drivers.escpos.layout import laid_out
from device_drivers.escpos.text import cleaned
from simulators.hardware.escpos import XOFF, XON, Printer, on_bench
from simulators.hardware.escpos_paper import Code, Knife, Row
from tests.device_drivers.test_escpos import RECEIPTS

OTHERS: dict[str, str] = json.loads(
    (Path(__file__).parents[1] / "device_drivers/python_escpos.json").read_text(encoding="utf-8")
)


def put(printer: Printer, data: bytes | str, real_s: float = 10.0) -> bytes:
    """Bytes in at once; what comes back."""
    raw = bytes.fromhex(data) if isinstance(data, str) else data
    return b"".join(printer.answer(unit, real_s) for unit in printer.split(raw, real_s))


def printed(*lines, columns: int = 32, charset="gbk", tobacco: bool = False) -> Printer:
    """A printer on which a receipt was printed."""
    printer = Printer(columns=columns, gb18030=charset == "gb18030", buffer_bytes=1 << 20)
    job = laid_out(Receipt(lines=lines, has_tobacco=tobacco), columns=columns, charset=charset)
    put(printer, job.data)
    assert not printer.counters, "our own bytes are all known, and no line is wrapped by the printer"
    return printer


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("10 04 01", "12"),  # idle
        ("10 04 02", "12"),
        ("10 04 03", "12"),
        ("10 04 04", "12"),
        ("1D 72 01", "00"),
        ("10 04 09", ""),  # there is no such status
        ("1B 40", ""),
        ("10", ""),  # not whole
    ],
)
def test_golden_answers_of_a_well_printer(asked: str, said: str) -> None:
    assert put(Printer(), asked).hex(" ").upper() == said


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("cover", "1A 16 12 12"),
        ("near", "12 12 12 1E"),
        ("end", "1A 32 12 7E"),
        ("knife", "1A 52 1A 12"),
        ("drawer", "16 12 12 12"),
    ],
)
def test_golden_answers_of_an_ill_one(what: str, said: str) -> None:
    printer = Printer(rows={"near": 19, "end": 0}.get(what, 1000))
    printer.cover_open, printer.knife_jammed = what == "cover", what == "knife"
    printer.drawer.open = what == "drawer"
    assert put(printer, "10 04 01 10 04 02 10 04 03 10 04 04").hex(" ").upper() == said


def test_what_a_customer_reads() -> None:
    printer = printed(
        Text(text="掌柜便利店", align="center", bold=True, wide=2, tall=2),
        Rule(),
        Columns(left="可口可乐 330ml", right="¥3.50"),
        Columns(left="一包名字很长很长很长很长的薯片", right="¥12.00", bold=True),
        Text(text="谢谢惠顾", align="right"),
        Promotion(text="第二件半价"),
        Qr(text="https://store.example/r/1"),
        Feed(2),
        Cut(),
    )
    assert printer.roll.text().split("\n") == [
        "      掌柜便利店",
        "--------------------------------",
        "可口可乐 330ml            ￥3.50",
        "一包名字很长很长很长很长的薯片",  # thirty columns: the amount has no room beside it
        "                         ￥12.00",
        "                        谢谢惠顾",
        "第二件半价",
        "[QR https://store.example/r/1]",
        "",
        "",
        "✂",
    ]
    head, amount, code = printer.roll.printed[0], printer.roll.printed[4], printer.roll.printed[7]
    assert isinstance(head, Row)
    assert (head.start, head.used, head.rows) == (6, 20, 2)
    assert all(glyph.bold and glyph.wide and glyph.tall for glyph in head.glyphs)
    assert isinstance(amount, Row)
    assert (amount.used, amount.cells[-1]) == (32, "0")  # at the very edge
    assert isinstance(code, Code)
    assert (code.dots, code.side) == (25 * 6, "center")
    assert printer.roll.printed[-1] == Knife(whole=False)


@settings(deadline=None)
@given(RECEIPTS, st.sampled_from([24, 32, 48]), st.sampled_from(["gbk", "gb18030"]))
def test_the_paper_shows_every_text_and_nothing_else(receipt: Receipt, columns: int, charset) -> None:
    printer = printed(*receipt.lines, columns=columns, charset=charset)
    shown = "".join(part.text for part in printer.roll.printed).replace(" ", "")
    wanted = ""
    for line in receipt.lines:
        match line:
            case Text(text=text):
                wanted += cleaned(text, charset)[0]
            case Columns(left=left, right=right):
                wanted += cleaned(left, charset)[0] + cleaned(right, charset)[0]
            case Qr(text=text):
                wanted += f"[QR {text}]"
            case Rule(char=char):
                wanted += char * columns
            case Cut():
                wanted += "✂"
    assert shown.replace("\u3000", "") == wanted.replace(" ", "").replace("\u3000", "")
    assert all(part.used <= columns for part in printer.roll.printed if isinstance(part, Row))


@pytest.mark.parametrize("columns", [24, 32, 48, 64])
def test_the_longest_code_fits_any_paper(columns: int) -> None:
    printer = printed(Qr(text="x" * 213), columns=max(columns, 32))
    assert isinstance(printer.roll.printed[0], Code)
    assert printer.roll.printed[0].dots == 57 * 6


def test_a_code_too_wide_is_not_printed_and_nobody_is_told() -> None:
    printer = Printer(columns=24)
    put(printer, bytes.fromhex("1D 28 6B 03 00 31 43 10 1D 28 6B 83 00 31 50 30") + b"x" * 128)
    put(printer, "1D 28 6B 03 00 31 51 30")
    assert printer.roll.printed == []
    assert printer.counters == {"code_too_wide": 1}


@pytest.mark.parametrize(
    ("data", "text", "counted"),
    [
        ("D6 D0 CE C4 0A", "中文", {}),
        ("1C 2E D6 0A", "╓", {}),  # not in Chinese mode: a page of pictures
        ("95 32 82 36 0A", "□2□6", {"no_glyph": 2}),  # four bytes on a printer of two
        ("FE FE 0A", "□", {"no_glyph": 1}),
        ("1B 99 41 0A", "A", {"unknown": 1}),
        ("7F 41 0A", "A", {"unknown": 1}),
        ("41 1B 61 01 42 0A", "AB", {"bad_parameter": 1}),  # amid a line nothing turns
        ("1B 61 07 41 0A", "A", {"bad_parameter": 1}),
        ("1B 61 31 41 0A", " " * 15 + "A", {}),  # digits do as well
        ("1D 28 6B 03 00 31 51 30", "", {"bad_parameter": 1}),  # nothing to print
        ("1D 28 6B FF FF 41 0A", "A", {"unknown": 1}),  # longer than any function
        ("41 " * 33 + "0A", "A" * 32 + "\nA", {"wrapped": 1}),
        ("1B 21 38 41 D6 D0 0A", "A中", {}),
        ("1B 74 00 1B 64 02", "\n", {"ignored": 1}),
        ("41 1D 56 00", "A\n✂", {}),
    ],
)
def test_what_it_makes_of_bytes(data: str, text: str, counted: dict[str, int]) -> None:
    printer = Printer(columns=32)
    put(printer, data)
    assert printer.roll.text() == text
    assert printer.counters == counted


def test_a_print_mode_is_for_letters_and_a_size_for_all() -> None:
    by_mode, by_size = Printer(), Printer()
    put(by_mode, "1B 21 38 41 D6 D0 0A")
    put(by_size, "1B 45 01 1D 21 11 41 D6 D0 0A")
    sizes = [[(g.columns, g.bold, g.wide, g.tall) for g in p.roll.printed[0].glyphs] for p in (by_mode, by_size)]
    assert sizes == [
        [(2, True, True, True), (2, True, False, False)],
        [(2, True, True, True), (4, True, True, True)],
    ]


def test_python_escpos_and_ours_print_the_same_receipt() -> None:
    ours = printed(
        Text(text="掌柜便利店", align="center", bold=True, wide=2, tall=2),
        Rule(),
        Columns(left="可口可乐 330ml", right="¥3.50"),
        Text(text="Total 3.50", align="right"),
        Qr(text="https://store.example/r/1"),
        Feed(2),
        Cut(),
        columns=48,
    )
    theirs = Printer(columns=48)
    put(theirs, OTHERS["receipt"])
    assert ours.roll.printed == theirs.roll.printed  # sides, sizes, bold, the code and the knife too


@pytest.mark.parametrize("name", OTHERS)
def test_python_escpos_says_nothing_that_is_unknown(name: str) -> None:
    printer = Printer(chinese=True)
    put(printer, OTHERS[name])
    assert set(printer.counters) <= {"ignored", "drawer_pulses"}


def test_the_paper_ends_in_the_middle_and_the_rest_waits() -> None:
    printer = Printer(rows=3)
    put(printer, b"1\n2\n3\n4\n5\n")
    assert put(printer, "1D 72 01") == b""  # in its turn, which does not come
    assert printer.roll.text() == "1\n2\n3"
    assert put(printer, "10 04 02") == b"\x32"
    printer.load()
    assert printer.tick(11.0) == b"\x00"
    assert printer.roll.text() == "1\n2\n3\n4\n5"


def test_a_part_that_the_paper_ends_in_is_lost() -> None:
    printer = Printer(rows=1)
    put(printer, "1D 21 11 41 0A")  # two rows tall
    printer.load()
    printer.tick(11.0)
    assert printer.roll.printed == []
    assert printer.counters == {"torn_parts": 1}


def test_a_cover_stops_it_and_a_power_cut_forgets() -> None:
    printer = Printer()
    printer.cover_open = True
    put(printer, b"1\n\x1ba\x012\n")
    assert (printer.roll.printed, printer.idle) == ([], False)
    printer.power_cycle()
    printer.cover_open = False
    put(printer, b"3\n")
    assert printer.roll.text() == "3"


def test_a_jammed_knife_stops_it_until_somebody_helps() -> None:
    printer = Printer()
    printer.jam_at_next_cut = True
    put(printer, b"\x1dVB\x001\n")
    assert put(printer, "10 04 03") == b"\x1a"
    put(printer, "10 05 01")  # recover
    assert put(printer, "10 04 03") == b"\x12"
    assert printer.roll.text() == "1"


def test_it_prints_as_fast_as_it_can_and_says_stop() -> None:
    printer = Printer(row_s=1.0, buffer_bytes=30)
    assert put(printer, b"1234567\n" * 4, 10.0) == bytes([XOFF])
    assert len(printer.roll.printed) == 1
    assert printer.tick(11.5) == b""
    assert len(printer.roll.printed) == 2
    assert printer.tick(20.0) == bytes([XON])
    assert printer.roll.text() == "\n".join(["1234567"] * 4)
    put(printer, b"x" * 60, 20.0)
    assert printer.counters["overrun_bytes"] == 0  # it takes text at once: only rows take time
    put(printer, b"a\n" * 60, 20.0)
    assert printer.counters["overrun_bytes"] > 0


def test_a_drawer_counts_its_pulses_and_its_coil_rests() -> None:
    printer, pulse = Printer(), "1B 70 00 19 FA"
    put(printer, pulse, 10.0)
    put(printer, pulse, 10.1)  # while the first one runs
    assert printer.counters == {"drawer_pulses": 1, "drawer_overheated": 1}
    for number in range(20):
        put(printer, pulse, 11.0 + number / 2)
    assert printer.counters["drawer_pulses"] <= 11  # half a second in ten
    assert printer.drawer.open
    assert all(one[1:] == (50, 500) for one in printer.drawer.pulses)


def test_one_that_is_deaf_to_questions_prints_all_the_same() -> None:
    printer = Printer(deaf=True, row_s=1.0, buffer_bytes=30)
    assert put(printer, b"10\n" * 12 + bytes.fromhex("10 04 01 1D 72 01")) == b""
    assert printer.tick(99.0) == b""
    assert len(printer.roll.printed) > 1


@settings(deadline=None)
@given(st.lists(st.binary(max_size=40), max_size=20), st.booleans())
def test_no_bytes_harm_it(pieces: list[bytes], wide4: bool) -> None:
    printer = Printer(gb18030=wide4, rows=50)
    for number, piece in enumerate(pieces):
        put(printer, piece, float(number))
        printer.tick(number + 0.5)
    assert all(isinstance(part.text, str) for part in printer.roll.printed)


def test_the_bench_has_one() -> None:
    assert put(on_bench(), "10 04 01") == b"\x12"
    assert on_bench().disguise(b"\x12") == b"\x92"
