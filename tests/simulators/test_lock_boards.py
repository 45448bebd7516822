"""The KERONG and Winnsen boards against the makers' tables, byte for byte, and the rules that they keep by themselves."""

from __future__ import annotations

import pytest

from simulators.hardware.bench import bench_devices
from simulators.hardware.lock_8a import LockBus
from simulators.hardware.lock_cu16 import LineCU16
from simulators.hardware.lock_cu48 import LineCU48
from simulators.hardware.lock_line import Board, LockLine
from simulators.hardware.lock_winnsen import LineWinnsen
from tests.simulators.test_lock_board import Wall


def line(make: type[LockLine], **board: object) -> tuple[LockLine, Wall]:
    wall = Wall()
    return make({0: Board("zero", "locked_short", **board), 1: Board("one", "open_short", **board)}, wall), wall


def ask(on: LockLine, frame: str, real_s: float = 100.0) -> str:
    return b"".join(on.answer(one, real_s) for one in on.split(bytes.fromhex(frame), real_s)).hex(" ").upper()


# Wall has doors 1 to 12; an empty clamp is a broken contact, so locks 13 and up read as open (locked_short).
GOLDEN = [
    # line, settings, open doors of board 0, frame, reply
    (LineCU16, {}, [], "02 00 30 03 35", "02 00 35 FF 0F 00 00 03 48"),
    (LineCU16, {}, [1], "02 00 30 03 35", "02 00 35 FE 0F 00 00 03 47"),
    (LineCU16, {"goods": {2, 16}}, [], "02 00 30 03 35", "02 00 35 FF 0F 02 80 03 CA"),
    (LineCU16, {"bit_order": "last_msb"}, [1], "02 00 30 03 35", "02 00 35 F0 7F 00 00 03 A9"),
    (LineCU16, {}, [], "02 10 30 03 45", "02 10 35 00 00 00 00 03 4A"),  # wired the other way: 0 is locked
    (LineCU48, {"with_etx": False}, [], "02 00 00 60 03 65", "02 00 00 75 FF 0F 00 00 00 00 85"),
    (LineCU48, {}, [1], "02 00 00 60 03 65", "02 00 00 75 FE 0F 00 00 00 00 03 87"),
    (LineCU48, {"dialect": "cu48_length"}, [], "02 00 00 60 03 65", "02 00 00 75 06 FF 0F 00 00 00 00 03 8E"),
    (LineCU48, {"dialect": "cu12"}, [], "02 00 00 80 00 00 03 85", "02 00 00 80 10 02 03 97 FF 0F"),
    (LineCU48, {"dialect": "cu12"}, [12], "02 00 00 80 00 00 03 85", "02 00 00 80 10 02 03 97 FF 07"),
    (LineCU48, {"dialect": "cu12"}, [], "02 00 00 81 00 00 03 86", "02 00 00 81 10 00 03 96"),  # fired
    (LineWinnsen, {}, [], "90 06 12 00 03 03", "90 07 92 00 03 00 03"),
    (LineWinnsen, {}, [3], "90 06 12 00 03 03", "90 07 92 00 03 01 03"),
    (LineWinnsen, {"dialect": "status_first"}, [3], "90 06 12 00 03 03", "90 07 92 00 01 03 03"),
    (LineWinnsen, {}, [], "90 06 12 01 03 03", "90 07 92 01 03 01 03"),  # wired the other way: 01 is closed
    (LineWinnsen, {}, [], "90 06 05 00 03 03", "90 07 85 00 03 01 03"),  # fired
    (LineWinnsen, {}, [], "90 06 05 00 0D 03", "90 07 85 00 0D 00 03"),  # nothing is wired to channel 13
]


@pytest.mark.parametrize(("make", "board", "opened", "frame", "reply"), GOLDEN)
def test_golden_replies(make, board, opened, frame, reply):
    on, wall = line(make, **board)
    wall.open |= {("zero", channel) for channel in opened}
    assert ask(on, frame) == reply


@pytest.mark.parametrize(
    ("make", "dialect", "frame", "channel"),
    [
        (LineCU16, "", "02 02 31 03 38", 3),
        (LineCU48, "", "02 00 02 61 03 68", 3),
        (LineCU48, "cu12", "02 00 0B 81 00 00 03 91", 12),
        (LineWinnsen, "", "90 06 05 00 0C 03", 12),
    ],
)
def test_an_unlock_fires_its_own_solenoid_once_and_the_board_rests(make, dialect, frame, channel):
    refused: list[tuple[str, int]] = []
    wall = Wall()
    on = make(
        {0: Board("zero", "locked_short", dialect=dialect, busy_after_unlock=False)},
        wall,
        on_refused=lambda *one: refused.append(one),
    )
    ask(on, frame, 100.0)
    ask(on, frame, 100.449)
    assert wall.pulses == [("zero", channel)]
    assert refused == [("zero", channel)]
    ask(on, frame, 100.451)
    assert wall.pulses == [("zero", channel)] * 2


def test_a_winnsen_board_says_that_it_cools_down():
    on, wall = line(LineWinnsen)
    assert ask(on, "90 06 05 00 01 03", 100.0) == "90 07 85 00 01 01 03"
    assert ask(on, "90 06 05 00 02 03", 100.1) == "90 07 85 00 02 02 03"
    assert wall.pulses == [("zero", 1)]


def test_a_busy_board_loses_the_next_frame_that_is_for_it_and_only_that():
    on, wall = line(LineCU16)
    assert ask(on, "02 00 31 03 36") == ""
    assert ask(on, "02 10 30 03 45") != ""  # the neighbour is not busy
    assert ask(on, "02 01 31 03 37", 101.0) == ""  # lost: nothing fires
    assert wall.pulses == [("zero", 1)]
    assert on.counters["swallowed"] == 1
    assert ask(on, "02 00 30 03 35", 101.0) != ""


def test_a_reboot_ends_a_busy_state_and_a_rest():
    on, wall = line(LineCU16)
    ask(on, "02 00 31 03 36")
    on.reboot(on.boards[0])
    ask(on, "02 01 31 03 37", 100.1)
    assert wall.pulses == [("zero", 1), ("zero", 2)]


def test_unlock_all_is_a_real_frame_of_a_cu16():
    """Which is why no driver of this house can write it."""
    on, wall = line(LineCU16)
    ask(on, "02 00 33 03 38")
    assert wall.pulses == [("zero", channel) for channel in range(1, 13)]


@pytest.mark.parametrize(
    ("make", "frame", "counter"),
    [
        (LineCU16, "02 20 30 03 55", "foreign_address"),
        (LineCU16, "02 F0 33 03 28", "foreign_address"),
        (LineCU16, "02 00 30 03 36", "bad_sum"),
        (LineCU16, "02 00 38 03 3D", "not_played"),
        (LineCU16, "FF 02 00 99", "noise_bytes"),
        (LineCU48, "02 05 00 60 03 6A", "foreign_address"),
        (LineCU48, "02 00 30 61 03 96", "bad_request"),  # lock 49
        (LineCU48, "02 00 00 80 00 00 03 85", "bad_request"),  # another dialect
        (LineCU48, "02 00 00 60 03 66", "bad_sum"),
        (LineWinnsen, "90 06 05 09 01 03", "foreign_address"),
        (LineWinnsen, "90 06 05 00 00 03", "bad_request"),  # lock 0
        (LineWinnsen, "90 06 05 00 01 04", "noise_bytes"),
    ],
)
def test_what_it_does_not_understand_is_counted_and_moves_nothing(make, frame, counter):
    on, wall = line(make)
    assert ask(on, frame) == ""
    assert on.counters[counter] > 0
    assert wall.pulses == []


@pytest.mark.parametrize(
    ("make", "frame", "reply"),
    [
        (LineCU16, "02 00 30 03 35", "02 00 35 FF 0F 00 00 03 48"),
        (LineCU48, "02 00 00 60 03 65", "02 00 00 75 FF 0F 00 00 00 00 03 88"),
        (LineWinnsen, "90 06 12 00 03 03", "90 07 92 00 03 00 03"),
    ],
)
def test_one_byte_at_a_time_with_noise_before(make, frame, reply):
    on, _ = line(make)
    replies = b""
    for byte in b"\x00\x55" + bytes.fromhex(frame):
        for one in on.split(bytes([byte]), 100.0):
            replies += on.answer(one, 100.0)
    assert replies.hex(" ").upper() == reply


@pytest.mark.parametrize(
    ("make", "reply", "disguised"),
    [
        (LineCU16, "02 00 35 FF FF 00 00 03 38", "02 10 35 FF FF 00 00 03 48"),
        (LineCU48, "02 00 00 75 FF FF FF FF FF FF 03 74", "02 01 00 75 FF FF FF FF FF FF 03 75"),
        (LineCU48, "02 00 00 80 10 02 03 97 FF 0F", "02 01 00 80 10 02 03 98 FF 0F"),
        (LineWinnsen, "90 07 92 00 03 00 03", "90 07 92 01 03 00 03"),
    ],
)
def test_a_disguised_reply_is_whole_but_of_another_board(make, reply, disguised):
    on, _ = line(make)
    assert on.disguise(bytes.fromhex(reply)).hex(" ").upper() == disguised


def test_every_family_stands_on_the_bench_with_address_1():
    devices = bench_devices()
    for name, query in (
        ("lock_8a", "80 01 01 33 B3"),
        ("lock_cu16", "02 10 30 03 45"),
        ("lock_cu48", "02 01 00 60 03 66"),
        ("lock_winnsen", "90 06 12 01 01 03"),
    ):
        on = devices[name]()
        assert ask(on, query) != ""


def test_an_older_8a_board_is_asked_for_its_whole_with_another_function():
    on, _ = line(LockBus, dialect="8a_99")
    assert ask(on, "80 01 00 33 B2") == ""
    assert ask(on, "80 01 00 99 18") == "80 01 00 00 00 99 18"  # open_short: 24 broken contacts, doors 1 to 12 closed
    assert ask(on, "80 01 01 33 B3") == "80 01 01 00 80"
