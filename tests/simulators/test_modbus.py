"""The weight transmitter against public vectors, byte for byte."""

from __future__ import annotations

import pytest

from simulators.hardware.modbus import ModbusBus, Transmitter, crc16, words
from simulators.world.scales import Reading


def reply_read(address: int, registers: list[int]) -> bytes:
    """The reply of FC03 with these register values."""
    body = bytes((address, 3, 2 * len(registers))) + b"".join(value.to_bytes(2, "big") for value in registers)
    return body + crc16(body).to_bytes(2, "little")


class Cell:
    def __init__(
        self, gross_g: float = 0.0, *, stable: bool = True, power_on: bool = False, overload: bool = False
    ) -> None:
        self.reading = Reading(gross_g, stable, power_on, overload)
        self.acknowledged = 0

    def read(self) -> Reading:
        return self.reading

    def acknowledge(self) -> None:
        self.acknowledged += 1


def ask(cell: Cell, frame: str, decimals: int = 0) -> str:
    line = ModbusBus({1: Transmitter("one", cell, decimals)})
    return b"".join(line.answer(one, 0.0) for one in line.split(bytes.fromhex(frame), 0.0)).hex(" ").upper()


@pytest.mark.parametrize(
    ("gross_g", "decimals", "frame", "reply"),
    [
        (132, 0, "01 03 00 50 00 02 C4 1A", "01 03 04 00 00 00 84 FA 50"),
        (-15889, 0, "01 03 00 52 00 02 65 DA", "01 03 04 FF FF C1 EF EA 0B"),
        (354, 0, "01 03 00 1E 00 02 A4 0D", "01 03 04 00 00 01 62 7A 4A"),
        (12.34, 2, "01 03 00 50 00 02 C4 1A", "01 03 04 00 00 04 D2 78 AE"),
        (-12, 0, "01 03 00 50 00 02 C4 1A", "01 03 04 FF FF FF F4 BA 60"),
    ],
)
def test_golden_weights(gross_g: float, decimals: int, frame: str, reply: str) -> None:
    assert ask(Cell(gross_g), frame, decimals) == reply


def test_golden_status_frame() -> None:
    assert reply_read(1, [0x0802]).hex(" ").upper() == "01 03 02 08 02 3E 45"


@pytest.mark.parametrize(
    ("cell", "status"),
    [
        (Cell(10.0), 0x0001),  # one decimal, stable
        (Cell(10.0, stable=False), 0x0021),
        (Cell(10.0, power_on=True), 0x0011),
        (Cell(10.0, overload=True), 0x0201),
        (Cell(-10.0), 0x0009),
        (Cell(0.0), 0x0081),
    ],
)
def test_status_bits(cell: Cell, status: int) -> None:
    assert ask(cell, "01 03 00 08 00 01 05 C8", 1) == reply_read(1, [status]).hex(" ").upper()


def sealed(body: str) -> str:
    raw = bytes.fromhex(body)
    return (raw + crc16(raw).to_bytes(2, "little")).hex(" ").upper()


@pytest.mark.parametrize(
    ("request_body", "reply_body"),
    [
        ("01 03 00 09 00 01", "01 83 02"),  # no such register
        ("01 03 00 50 00 03 ", None),  # 80 to 82 exist: weight and half of net
        ("01 03 00 53 00 02", "01 83 02"),  # runs over the end
        ("01 03 00 50 00 00", "01 83 03"),  # nothing asked
        ("01 03 00 00 00 7E", "01 83 03"),  # 126 registers
        ("01 04 00 50 00 02", "01 84 01"),  # input registers are not there
        ("01 0F 00 00 00 08 01 FF", "01 8F 01"),  # nor coils
        ("01 10 00 08 00 01 02 00 01", "01 90 03"),  # status takes only 0
        ("01 10 00 08 00 02 02 00 00", "01 90 03"),  # count and bytes differ
        ("01 10 00 50 00 01 02 00 00", "01 90 02"),  # weight is not for writing
        ("02 03 00 50 00 02", ""),  # another address: silence
        ("00 10 00 08 00 01 02 00 00", ""),  # broadcast: silence
    ],
)
def test_exceptions(request_body: str, reply_body: str | None) -> None:
    cell = Cell(1.0)
    reply = ask(cell, sealed(request_body))
    assert cell.acknowledged == 0
    assert reply == (
        sealed("01 03 06 00 00 00 01 00 00") if reply_body is None else sealed(reply_body) if reply_body else ""
    )


def test_golden_exception() -> None:
    assert ask(Cell(), sealed("01 03 00 09 00 01")) == sealed("01 83 02") == "01 83 02 C0 F1"


def test_writing_zero_to_the_status_acknowledges_a_power_up() -> None:
    cell = Cell(power_on=True)
    assert ask(cell, sealed("01 10 00 08 00 01 02 00 00")) == sealed("01 10 00 08 00 01")
    assert cell.acknowledged == 1


def test_one_byte_at_a_time_with_noise_and_a_bad_crc_between() -> None:
    line = ModbusBus({1: Transmitter("one", Cell(132.0), 0)})
    good = bytes.fromhex("01 03 00 50 00 02 C4 1A")
    replies = []
    for byte in b"\x00\xff" + good + b"\x01\x03\x00\x50\x00\x02\x00\x00" + good + good:
        replies += [line.answer(frame, 0.0).hex(" ").upper() for frame in line.split(bytes([byte]), 0.0)]
    assert replies == ["01 03 04 00 00 00 84 FA 50"] * 3
    assert line.counters["bad_crc"] > 0


def test_a_value_beyond_32_bits_saturates() -> None:
    assert words(2**40) == (0x7FFF, 0xFFFF)
    assert words(-(2**40)) == (0x8000, 0)


def test_a_disguised_reply_is_whole_but_of_another_address() -> None:
    line = ModbusBus({})
    assert line.disguise(bytes.fromhex("01 83 02 C0 F1")).hex(" ").upper() == sealed("02 83 02")
