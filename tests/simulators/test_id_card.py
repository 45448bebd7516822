"""The card reader against its vectors; the numbers belong to nobody."""

from __future__ import annotations

import pytest

from simulators.hardware.id_card import Card, IdCardReader

FIND, SELECT, READ = "AA AA AA 96 69 00 03 20 01 22", "AA AA AA 96 69 00 03 20 02 21", "AA AA AA 96 69 00 03 30 01 32"
FOUND = "AA AA AA 96 69 00 08 00 00 9F 00 00 00 00 97"
NONE = "AA AA AA 96 69 00 04 00 00 80 84"
SELECTED = "AA AA AA 96 69 00 0C 00 00 90 00 00 00 00 00 00 00 00 9C"
OK = "AA AA AA 96 69 00 04 00 00 90 94"
ADULT = "000000199001010018"


def ask(reader: IdCardReader, frame: str) -> str:
    raw = bytes.fromhex(frame)
    return b"".join(reader.answer(one, 0.0) for one in reader.split(raw, 0.0)).hex(" ").upper()


def refusal(status: int) -> str:
    return f"AA AA AA 96 69 00 04 00 00 {status:02X} {4 ^ status:02X}"


@pytest.mark.parametrize(
    ("card", "frames", "replies"),
    [
        (None, [FIND], [NONE]),
        (ADULT, [FIND, SELECT], [FOUND, SELECTED]),
        (None, [FIND, SELECT], [NONE, refusal(0x81)]),
        (ADULT, [SELECT], [refusal(0x81)]),  # not found yet
        (ADULT, [READ], [refusal(0x41)]),  # not selected yet
        (None, ["AA AA AA 96 69 00 03 11 FF ED"], [OK]),  # status
        (None, ["AA AA AA 96 69 00 03 10 FF EC"], [OK]),  # reset
        (None, ["AA AA AA 96 69 00 03 12 FF EE"], ["AA AA AA 96 69 00 14 00 00 90 " + "00 " * 16 + "84"]),
        (None, ["AA AA AA 96 69 00 03 20 01 23"], [refusal(0x10)]),  # checksum
        (None, ["AA AA AA 96 69 00 04 20 01 00 25"], [refusal(0x11)]),  # length
        (None, ["AA AA AA 96 69 00 03 77 01 75"], [refusal(0x21)]),  # no such command
        (None, ["FF AA " + FIND], [NONE]),  # noise that looks like the head
        (None, ["AA AA AA 96 69 FF FF " + FIND], [NONE]),  # a length nobody sends
    ],
)
def test_replies(card: str | None, frames: list[str], replies: list[str]) -> None:
    reader = IdCardReader()
    reader.card = Card(card) if card else None
    assert [ask(reader, frame) for frame in frames] == replies


def test_reading_gives_1295_bytes_with_the_fields_where_the_chip_has_them() -> None:
    reader = IdCardReader()
    reader.card = Card("00000020040229001X", valid_to="长期")
    assert reader.card is not None
    ask(reader, FIND)
    ask(reader, SELECT)
    raw = bytes.fromhex(ask(reader, READ))
    assert len(raw) == 1295
    assert raw[:14].hex(" ").upper() == "AA AA AA 96 69 05 08 00 00 90 01 00 04 00"
    check = 0
    for byte in raw[5:]:
        check ^= byte
    assert check == 0
    text = raw[14:270]
    fields, at = [], 0
    for size in (30, 2, 4, 16, 70, 36, 30, 16, 16, 36):
        fields.append(text[at : at + size].decode("utf-16-le").rstrip())
        at += size
    assert fields[1:4] == ["1", "01", "20040229"]
    assert fields[5] == "00000020040229001X"
    assert fields[7:] == ["20200101", "长期", ""]


def test_a_card_taken_away_has_to_be_found_again() -> None:
    reader = IdCardReader()
    reader.card = Card(ADULT)
    ask(reader, FIND)
    reader.card = Card(ADULT)
    assert ask(reader, SELECT) == refusal(0x81)


def test_one_byte_at_a_time() -> None:
    reader = IdCardReader()
    reader.card = Card(ADULT)
    frames = [f for byte in bytes.fromhex(FIND + SELECT) for f in reader.split(bytes([byte]), 0.0)]
    assert [reader.answer(f, 0.0).hex(" ").upper() for f in frames] == [FOUND, SELECTED]


def test_a_disguised_reply_has_no_head() -> None:
    assert IdCardReader().disguise(bytes.fromhex(OK))[0] != 0xAA


@pytest.mark.parametrize("number", ["110105194912310023", "00000019900101001"])
def test_a_number_that_could_be_somebodys_is_refused(number: str) -> None:
    with pytest.raises(ValueError, match="made-up"):
        Card(number)
