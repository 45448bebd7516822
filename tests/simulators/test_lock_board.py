"""The lock board against the makers' vectors, byte for byte."""

from __future__ import annotations

import pytest

from simulators.hardware.lock_8a import LockBus
from simulators.hardware.lock_line import Board, Polarity


class Wall:
    """Doors 1 to 12 on every board; all closed unless said."""

    def __init__(self) -> None:
        self.open: set[tuple[str, int]] = set()
        self.pulses: list[tuple[str, int]] = []

    def pulse(self, lock: str, channel: int) -> bool:
        if channel > 12:
            return False
        self.pulses.append((lock, channel))
        return True

    def door_is_open(self, lock: str, channel: int) -> bool | None:
        return None if channel > 12 else (lock, channel) in self.open


def bus(polarity: Polarity = "locked_short") -> tuple[LockBus, Wall]:
    wall = Wall()
    return LockBus({1: Board("one", polarity), 2: Board("two", polarity)}, wall), wall


def ask(line: LockBus, frame: str, real_s: float = 100.0) -> str:
    replies = b"".join(line.answer(one, real_s) for one in line.split(bytes.fromhex(frame), real_s))
    return replies.hex(" ").upper()


@pytest.mark.parametrize(
    ("frame", "channel"),
    [
        ("8A 01 01 11 9B", 1),
        ("8A 01 02 11 98", 2),
        ("8A 01 03 11 99", 3),
        ("8A 01 04 11 9E", 4),
        ("8A 01 05 11 9F", 5),
        ("8A 01 06 11 9C", 6),
        ("8A 01 07 11 9D", 7),
        ("8A 01 08 11 92", 8),
        ("8A 01 09 11 93", 9),
        ("8A 01 0A 11 90", 10),
        ("8A 01 0B 11 91", 11),
        ("8A 01 0C 11 96", 12),
    ],
)
def test_an_opening_frame_fires_its_own_solenoid_once(frame: str, channel: int) -> None:
    line, wall = bus()
    ask(line, frame)
    assert wall.pulses == [("one", channel)]


@pytest.mark.parametrize(
    ("polarity", "doors_open", "frame", "reply"),
    [
        ("locked_short", False, "8A 01 01 11 9B", "8A 01 01 00 8A"),  # opened
        ("open_short", False, "8A 01 01 11 9B", "8A 01 01 11 9B"),  # opened, and the same bytes as the command
        ("locked_short", False, "80 01 01 33 B3", "80 01 01 11 91"),  # closed
        ("locked_short", True, "80 01 01 33 B3", "80 01 01 00 80"),  # open
        ("open_short", False, "80 01 01 33 B3", "80 01 01 00 80"),  # closed, wired the other way
        ("open_short", True, "80 01 01 33 B3", "80 01 01 11 91"),  # open, wired the other way
    ],
)
def test_golden_replies(polarity: Polarity, doors_open: bool, frame: str, reply: str) -> None:
    line, wall = bus(polarity)
    if doors_open:
        wall.open.add(("one", 1))
    assert ask(line, frame) == reply


def test_a_refusal_in_hold_off_is_the_command_itself_and_fires_nothing() -> None:
    line, wall = bus()
    ask(line, "8A 01 01 11 9B", 100.0)
    assert ask(line, "8A 01 02 11 98", 100.449) == "8A 01 02 11 98"
    assert wall.pulses == [("one", 1)]
    assert ask(line, "8A 01 02 11 98", 100.451) == "8A 01 02 00 89"
    assert wall.pulses == [("one", 1), ("one", 2)]


def test_each_board_has_its_own_hold_off_and_address() -> None:
    line, wall = bus()
    ask(line, "8A 01 01 11 9B" + "8A 02 01 11 98")
    assert wall.pulses == [("one", 1), ("two", 1)]
    assert ask(line, "80 03 01 33 B1") == ""  # nobody has address 3
    assert line.counters["foreign_address"] == 1


def test_query_all_has_lock_one_in_the_last_bit() -> None:
    wall = Wall()
    wall.door_is_open = lambda lock, channel: channel == 1  # type: ignore[method-assign]  # 24 wired doors
    line = LockBus({1: Board("one", "locked_short")}, wall)
    assert ask(line, "80 01 00 33 B2") == "80 01 FF FF FE 33 4C"


def test_open_all_fires_every_wired_solenoid() -> None:
    line, wall = bus()
    ask(line, "8A 02 00 11 99")
    assert wall.pulses == [("two", channel) for channel in range(1, 13)]


@pytest.mark.parametrize(
    ("frame", "counter"),
    [
        ("8A 01 18 11 82", "not_wired"),  # refused: channel 24 has no lock
        ("8A 01 01 33 B9", "bad_request"),  # an opening head with the function of a query
        ("80 01 19 33 AB", "bad_request"),  # channel 25
        ("8A 01 01 11 9A", "bad_bcc"),
        ("FF 00", "noise_bytes"),
    ],
)
def test_what_it_does_not_understand_is_counted_and_moves_nothing(frame: str, counter: str) -> None:
    line, wall = bus()
    ask(line, frame)
    assert line.counters[counter] > 0
    assert wall.pulses == []


def test_a_broken_clamp_reads_as_open_contact() -> None:
    line, _ = bus()
    assert ask(line, "80 01 18 33 AA") == "80 01 18 00 99"


def test_a_stuck_sensor_lies_until_it_lets_go() -> None:
    line, wall = bus()
    line.boards[1].stuck[1] = True
    assert ask(line, "80 01 01 33 B3") == "80 01 01 00 80"
    wall.open.add(("one", 1))
    line.boards[1].stuck[1] = False
    assert ask(line, "80 01 01 33 B3") == "80 01 01 11 91"


def test_one_byte_at_a_time_with_noise_before_every_frame() -> None:
    line, wall = bus()
    replies = b""
    for byte in bytes.fromhex("00 80" + "80 01 01 33 B3" + "8A" + "8A 01 01 11 9B" + "55"):
        for frame in line.split(bytes([byte]), 100.0):
            replies += line.answer(frame, 100.0)
    assert replies.hex(" ").upper() == "80 01 01 11 91 8A 01 01 00 8A"
    assert wall.pulses == [("one", 1)]


def test_a_fragment_that_falls_silent_is_forgotten() -> None:
    line, wall = bus()
    ask(line, "8A 01 01", 100.0)
    assert ask(line, "11 9B", 100.2) == ""
    assert wall.pulses == []
    assert line.counters["fragment_forgotten"] == 1


def test_a_disguised_reply_is_whole_but_of_another_board() -> None:
    line, _ = bus()
    assert line.disguise(bytes.fromhex("80 01 01 11 91")).hex(" ") == "80 02 01 11 92"


def test_a_reboot_forgets_the_hold_off() -> None:
    line, wall = bus()
    ask(line, "8A 01 01 11 9B", 100.0)
    line.reboot(line.boards[1])
    assert ask(line, "8A 01 02 11 98", 100.1) == "8A 01 02 00 89"
    assert len(wall.pulses) == 2
