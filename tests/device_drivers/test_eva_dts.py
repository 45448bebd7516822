"""Audit files: the golden seal, files as machines spoil them, typed totals, and any bytes at all."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device_drivers.errors import ProtocolError
from device_drivers.eva_dts import AuditFile, Segment, audit_of, parse, totals
from device_drivers.eva_dts.audit import MAX_FIELD_CHARS, MAX_FIELDS, MAX_FILE_BYTES, MAX_SEGMENTS, lines
from device_drivers.eva_dts.crc import crc16

# Marks: V proven on a public capture, C computed from a public rule.
GOLDEN = [
    # mark, CRC, bytes it is over
    ("V", 0xBB3D, b"123456789"),  # the check value that CRC-16/ARC is listed with
    (
        "C",
        0x7BEC,
        b"ST*001*0001\r\nID1*SSK000001*CAB1*0100\r\nVA1*1000*2*1000*2\r\nPA1*1*500\r\nPA2*2*1000*2*1000\r\n",
    ),
    ("C", 0x0000, b""),
]
BODY = (
    Segment("ID1", ("SSK000001", "CAB1", "0100")),
    Segment("ID4", ("2", "1156", "CNY")),
    Segment("VA1", ("1000", "2", "1000", "2")),
    Segment("CA2", ("400", "1", "400", "1")),
    Segment("DA2", ("600", "1", "600", "1")),
    Segment("PA1", ("1", "500", "WATER 0.5 ")),
    Segment("PA2", ("2", "1000", "2", "1000")),
    Segment("PA3", ("7",)),
    Segment("PA1", ("2", "", "")),
    Segment("PA7", ("1", "DA", "1", "500", "1", "600", "1", "600")),
    Segment("EA1", ("DOOR", "20261126", "1740", "3")),
    Segment("EA2", ("DOOR", "4", "9")),
)
FILE = audit_of(*BODY)
GOOD = FILE.to_bytes()


def kinds(data: bytes) -> list[str]:
    return [remark.kind for remark in parse(data).remarks]


@pytest.mark.parametrize(("mark", "crc", "data"), GOLDEN)
def test_golden_check_sums(mark, crc, data):
    assert crc16(data) == crc
    assert crc16(data[5:], crc16(data[:5])) == crc


def test_the_golden_file_is_sealed_as_the_vector_says():
    body = tuple(
        Segment(name, tuple(fields))
        for name, *fields in (line.split("*") for line in GOLDEN[1][2].decode().splitlines()[1:])
    )
    sealed = audit_of(*body)
    assert b"G85*7BEC\r\nSE*7*0001\r\nDXE*1*1\r\n" in sealed.to_bytes()
    assert kinds(sealed.to_bytes()) == []


def test_a_written_file_is_read_without_a_remark_and_written_the_same():
    read = parse(GOOD)
    assert read == FILE
    assert read.to_bytes() == GOOD
    assert read.sealed() == FILE


@pytest.mark.parametrize(
    ("how", "data", "remarks"),
    [
        ("lines end in LF", GOOD.replace(b"\r\n", b"\n"), ["line_ends"]),
        ("lines end in CR", GOOD.replace(b"\r\n", b"\r"), ["line_ends"]),
        ("the last line has no end", GOOD[:-2], []),
        ("SE counts other segments", GOOD.replace(b"SE*15", b"SE*54"), ["se_count"]),
        ("SE counts nothing", GOOD.replace(b"SE*15", b"SE*"), ["se_count"]),
        ("no seal", GOOD.replace(GOOD[GOOD.index(b"G85") : GOOD.index(b"SE*")], b""), ["g85_missing", "se_count"]),
        ("a seal of small letters", re.sub(rb"G85.\w+", lambda seal: b"G85" + seal.group()[3:].lower(), GOOD), []),
        ("a seal that is none", GOOD.replace(b"G85*", b"G85*XY"), ["g85_wrong"]),
        ("one digit turned", GOOD.replace(b"PA2*2*1000", b"PA2*3*1000"), ["g85_wrong"]),
        ("cut inside a line", GOOD[: GOOD.index(b"PA2") + 7], ["truncated", "g85_missing", "truncated", "truncated"]),
        ("cut after the seal", GOOD[: GOOD.index(b"SE*")], ["truncated", "truncated"]),
        ("without its beginning", GOOD[GOOD.index(b"VA1") :], ["truncated"]),
        ("without its wrapper", GOOD[GOOD.index(b"ST*") : GOOD.index(b"DXE")], []),
        ("padded with zeros", GOOD + bytes(100), []),
        ("blank lines behind", GOOD + b"\r\n\r\n", []),
        ("a line of noise", GOOD.replace(b"SE*", b"?? hello\r\nSE*"), ["not_a_segment"]),
        ("a field too long", GOOD.replace(b"CAB1", b"C" * (MAX_FIELD_CHARS + 1)), ["too_much", "g85_wrong"]),
        ("too many fields", GOOD.replace(b"DXE*1", b"DXE*1" + b"*" * MAX_FIELDS), ["too_much"]),
    ],
)
def test_what_is_odd_is_remarked_and_read_all_the_same(how, data, remarks):
    assert kinds(data) == remarks
    assert parse(data).segments


@pytest.mark.parametrize("noise", [b"\r", b"\n", b"\r\n", b"\r\r\n", b"*", b"\0", b" "], ids=repr)
def test_a_file_full_of_the_same_is_read_at_once(noise):
    """A megabyte, as a machine may hand it over: anything quadratic in it would stand still for half an hour."""
    data = b"ST*001*0001\r\n"
    data += noise * ((MAX_FILE_BYTES - len(data)) // len(noise))
    started_s = time.process_time()
    assert parse(data).segments[0].name == "ST"
    assert time.process_time() - started_s < 20


def test_half_a_number_is_never_read():
    """Cut after 4 of 400: a last line without an end is left out, whatever it looks like."""
    for cut in range(GOOD.index(b"CA2"), GOOD.index(b"DA2") - 1):  # its CR is an end
        assert totals.cash_vends(parse(GOOD[:cut])) is None
    assert totals.cash_vends(parse(GOOD[: GOOD.index(b"DA2")])) == totals.Totals(400, 1, 400, 1)


def test_two_sets_in_one_file_are_checked_each_by_itself():
    start, end = GOOD.index(b"ST*"), GOOD.index(b"DXE")
    spoilt = GOOD[start:end].replace(b"CAB1", b"CAB2")
    both = GOOD[:end] + spoilt + GOOD[end:]
    assert kinds(both) == ["g85_wrong"]
    with pytest.raises(ProtocolError, match="2 sets") as caught:
        parse(both).sealed()
    assert caught.value.side == "local"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\r\n\r\n",
        b"hello\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n<html>",
        b"\x89PNG\r\n\x1a\n" + bytes(50),
        b"ST*001",
        bytes(MAX_FILE_BYTES + 1),
    ],
    ids=["nothing", "blank", "a word", "a web page", "a picture", "a beginning cut off", "too large"],
)
def test_what_is_no_audit_file_is_refused(data):
    with pytest.raises(ProtocolError) as caught:
        parse(data)
    assert caught.value.side == "remote"


def test_segments_beyond_the_cap_are_left_out_and_told():
    data = b"ST*001*0001\r\n" + b"EA2*X*1\r\n" * (MAX_SEGMENTS + 5)
    read = parse(data)
    assert len(read.segments) == MAX_SEGMENTS
    assert read.remarks[0].kind == "too_much"
    assert read.remarks[0].detail.startswith("6 ")


@pytest.mark.parametrize(
    "segment",
    [
        Segment("PA1", ("1*2",)),
        Segment("PA1", ("a\r\nG85",)),
        Segment("PA1", ("水",)),
        Segment("pa1", ()),
        Segment("", ()),
        Segment("PA1", ("1",) * (MAX_FIELDS + 1)),
        Segment("PA1", ("1" * (MAX_FIELD_CHARS + 1),)),
    ],
    ids=repr,
)
def test_what_would_be_read_as_something_else_is_not_written(segment):
    with pytest.raises(ProtocolError) as caught:
        audit_of(segment)
    assert caught.value.side == "local"


def test_a_file_over_the_caps_is_not_written():
    with pytest.raises(ProtocolError, match="larger"):
        AuditFile((Segment("EA2"),) * (MAX_SEGMENTS + 1)).to_bytes()


def test_totals_are_typed():
    read = parse(GOOD)
    assert totals.machine(read) == totals.Machine("SSK000001", "CAB1", "0100")
    assert totals.currency(read) == totals.Currency(2, "1156", "CNY")
    assert totals.paid_vends(read) == totals.Totals(1000, 2, 1000, 2)
    assert totals.cashless_vends(read) == (totals.Totals(600, 1, 600, 1), None)
    assert totals.products(read) == (
        totals.Product("1", 500, "WATER 0.5", 2, 1000, 2, 1000, tests=7),
        totals.Product("2", None, ""),
    )
    assert totals.paid_by(read) == (totals.PaidBy("1", "DA", "1", 500, 1, 600, 1, 600),)
    assert totals.event_counts(read) == (totals.EventCount("DOOR", 4, 9),)
    assert totals.event_times(read) == (totals.EventTime("DOOR", "20261126", "1740", 3),)


def test_what_a_machine_does_not_count_is_none_and_not_zero():
    read = parse(audit_of(Segment("VA1", ("", "x", "9" * 16))).to_bytes())
    assert totals.paid_vends(read) == totals.Totals(None, None, None, None)
    assert totals.currency(read) is None
    assert totals.machine(read) is None
    assert totals.products(read) == ()


fields = st.text(st.characters(codec="latin-1", exclude_characters="*\r\n"), max_size=12)
segments = st.builds(
    Segment,
    st.from_regex(r"[A-Z]{2}[0-9]{1,2}", fullmatch=True),
    st.lists(fields, max_size=6).map(tuple),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(segments, max_size=12))
def test_round_trip(body):
    file = audit_of(*body)
    read = parse(file.to_bytes())
    assert read == file
    assert lines(read.segments) == file.to_bytes()


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=400), st.integers(0, len(GOOD)), st.integers(0, len(GOOD)))
def test_any_bytes_are_read_or_refused(noise, start, end):
    for data in (noise, GOOD[:start] + noise + GOOD[end:]):
        try:
            read = parse(data)
        except ProtocolError:
            continue
        again = parse(read.to_bytes())
        assert again.segments == read.segments
        totals.products(read)
        totals.paid_by(read)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, len(GOOD) - 1), st.integers(0, 7))
def test_one_turned_bit_is_never_silent(at, bit):
    """Between ST and the seal the check sum tells; around it the count, or a line that is missing."""
    spoilt = bytearray(GOOD)
    spoilt[at] ^= 1 << bit
    body = slice(GOOD.index(b"ST*"), GOOD.index(b"G85"))
    if body.start <= at < body.stop:
        assert parse(bytes(spoilt)).remarks
