"""KERONG CU16: golden frames, infrared, and a board that loses the frame behind a pulse."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device_drivers.capabilities import Door, UnlockReply
from device_drivers.errors import ProtocolError, UnavailableError
from device_drivers.lock_cu16 import LockBoardCU16
from device_drivers.lock_cu16.codec import Command, StatusReply, finder, from_bytes
from device_drivers.lock_cu16.family import FAMILY
from device_drivers.lock_profile import Profile
from simulators.conformance.memory_link import MemoryLink, bus_on
from simulators.conformance.virtual_time import in_virtual_time
from tests.device_drivers.lock_peers import LockPeer

# Marks: V recomputed and matches a public source, S stated in one, C computed from a public rule, ? uncertain.
GOLDEN = [
    # mark, bytes, frame
    ("V", "02 00 30 03 35", Command(0, 0, 0x30)),  # status of board 0
    ("V", "02 00 31 03 36", Command(0, 0, 0x31)),  # unlock lock 1
    ("C", "02 0F 31 03 45", Command(0, 15, 0x31)),  # unlock lock 16
    ("C", "02 10 31 03 46", Command(1, 0, 0x31)),  # unlock lock 1 of board 1
    ("C", "02 00 35 FF FF 00 00 03 38", StatusReply(0, b"\xff\xff", b"\0\0")),  # all locked, nothing seen
    ("C", "02 00 35 FE FF 00 00 03 37", StatusReply(0, b"\xfe\xff", b"\0\0")),  # lock 1 open
]
NEVER_SENT = [
    ("C", "02 00 33 03 38", Command(0, 0, 0x33)),  # unlock all
    ("C", "02 F0 33 03 28", Command(15, 0, 0x33)),  # unlock all on all boards
    ("C", "02 F0 31 03 26", Command(15, 0, 0x31)),  # unlock on the broadcast address
    ("S", "02 F0 32 03 27", Command(15, 0, 0x32)),  # status of all boards
    ("S", "02 00 37 01 F4 03 31", Command(0, 0, 0x37, b"\x01\xf4")),  # pulse time
    ("S", "02 00 39 05 03 43", Command(0, 0, 0x39, b"\x05")),  # delayed unlock
    ("S", "02 00 38 03 3D", Command(0, 0, 0x38)),  # harmless, and not needed
]


def raw(text: str) -> bytes:
    return bytes.fromhex(text)


def deaf(_kind: str, _detail: str) -> None:
    pass


@pytest.mark.parametrize(("mark", "text", "frame"), GOLDEN)
def test_golden_frames_both_ways(mark, text, frame):
    assert from_bytes(raw(text)) == frame
    assert frame.to_bytes() == raw(text)
    assert FAMILY.acts(frame) is (raw(text)[2] == 0x31)
    assert FAMILY.describe(frame)


@pytest.mark.parametrize(("mark", "text", "frame"), NEVER_SENT)
def test_what_is_read_and_never_written(mark, text, frame):
    assert from_bytes(raw(text)) == frame
    assert FAMILY.describe(frame)
    with pytest.raises(ProtocolError) as caught:
        frame.to_bytes()
    assert caught.value.side == "local"


@settings(max_examples=300, deadline=None)
@given(st.integers(-1, 300), st.integers(-1, 300), st.integers(0, 255), st.binary(max_size=2))
def test_no_command_can_be_written_that_pulses_more_than_one_lock(board, lock, cmd, data):
    try:
        frame = Command(board, lock, cmd, data).to_bytes()
    except ProtocolError:
        return
    assert frame[2] in (0x30, 0x31)
    assert frame[1] >> 4 <= 9
    assert (frame[1] & 0x0F) == (lock if cmd == 0x31 else 0)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 9), st.integers(0, 15), st.binary(min_size=2, max_size=2), st.binary(min_size=2, max_size=2))
def test_round_trip(board, lock, hooks, infrared):
    for frame in (Command(board, lock, 0x31), Command(board, 0, 0x30), StatusReply(board << 4, hooks, infrared)):
        assert from_bytes(frame.to_bytes()) == frame


@settings(max_examples=100, deadline=None)
@given(st.lists(st.binary(max_size=64), max_size=8))
def test_no_bytes_break_a_decoder_and_none_pile_up(pieces):
    decoder = finder(deaf)
    for piece in pieces:
        decoder.feed(piece)
        assert decoder.buffered <= FAMILY.most_buffered
        with suppress(ProtocolError):
            from_bytes(piece)


@pytest.mark.parametrize(("mark", "text", "frame"), [row for row in GOLDEN if " 35 " in row[1]])
def test_no_turned_bit_goes_unnoticed(mark, text, frame):
    for bit in range(len(raw(text)) * 8):
        spoilt = bytearray(raw(text))
        spoilt[bit // 8] ^= 1 << bit % 8
        assert not [one for one in finder(deaf).feed(bytes(spoilt)) if isinstance(one, StatusReply)]


def board_on(bus, **settings) -> LockBoardCU16:
    return LockBoardCU16(bus, address=1, profile=Profile(feedback_polarity="locked_short", **settings))


@in_virtual_time
async def test_infrared_sensors_see_goods_whatever_the_wiring_of_the_locks():
    for polarity in ("locked_short", "open_short"):
        peer = LockPeer("lock_cu16", polarity=polarity, goods={1, 9, 16})
        async with bus_on(MemoryLink(peer)) as bus:
            board = LockBoardCU16(bus, address=1, profile=Profile(feedback_polarity=polarity))
            assert [channel for channel, seen in (await board.goods()).items() if seen] == [1, 9, 16]
            assert set((await board.status()).values()) == {Door.CLOSED}


@in_virtual_time
async def test_a_busy_board_loses_one_query_and_never_gets_a_second_pulse():
    peer = LockPeer("lock_cu16")
    link = MemoryLink(peer)
    async with bus_on(link) as bus:
        started_s = asyncio.get_running_loop().time()
        reply = await board_on(bus).unlock(2, lambda: True)
        assert reply == UnlockReply("opened")
        assert asyncio.get_running_loop().time() - started_s < 0.4  # a door may open and shut soon
        await asyncio.sleep(10)
    assert [channel for _, channel in peer.wall.pulses] == [2]
    assert peer.line.counters["swallowed"] == 1
    assert link.frames[0] == raw("02 11 31 03 47")
    assert set(link.frames[1:]) == {raw("02 10 30 03 45")}


@in_virtual_time
async def test_whoever_asks_first_behind_a_pulse_asks_again():
    """A poll gets between the pulse and the driver's own question, and is lost: nobody notices but the clock."""
    peer = LockPeer("lock_cu16")
    async with bus_on(MemoryLink(peer)) as bus:
        board = board_on(bus)
        unlock = asyncio.create_task(board.unlock(2, lambda: True), name="unlock")
        await asyncio.sleep(0.01)
        assert await board.door(2) is Door.OPEN
        assert (await unlock).result == "opened"
    assert peer.line.counters["swallowed"] == 1
    assert len(peer.wall.pulses) == 1


@in_virtual_time
async def test_two_pulses_in_a_row_both_reach_a_busy_board():
    """The question between them takes the blow."""
    peer = LockPeer("lock_cu16")
    async with bus_on(MemoryLink(peer)) as bus:
        board = board_on(bus)
        assert (await board.unlock(1, lambda: True)).result == "opened"
        assert (await board.unlock(2, lambda: True)).result == "opened"
    assert [channel for _, channel in peer.wall.pulses] == [1, 2]


@in_virtual_time
async def test_a_board_that_is_not_busy_is_asked_once():
    peer = LockPeer("lock_cu16", busy_after_unlock=False)
    link = MemoryLink(peer)
    async with bus_on(link) as bus:
        assert (await board_on(bus).unlock(1, lambda: True)).result == "opened"
    assert len(link.frames) == 2


@in_virtual_time
async def test_a_dead_board_is_asked_twice_behind_a_pulse_and_once_later():
    peer = LockPeer("lock_cu16")
    peer.deaf = True
    link = MemoryLink(peer)
    async with bus_on(link) as bus:
        board = board_on(bus)
        assert await board.unlock(1, lambda: True) == UnlockReply("no_reply")
        assert len(link.frames) == 3
        with pytest.raises(UnavailableError):
            await board.door(1)
        assert len(link.frames) == 4
    assert [frame[2] for frame in link.frames] == [0x31, 0x30, 0x30, 0x30]


@in_virtual_time
async def test_a_reply_of_the_next_board_on_the_line_is_not_ours():
    peer = LockPeer("lock_cu16")
    link = MemoryLink(peer)
    async with bus_on(link) as bus:
        peer.deaf = True
        asyncio.get_running_loop().call_later(0.003, link.deliver, raw("02 20 35 FE FF 00 00 03 57"))
        with pytest.raises(UnavailableError):
            await board_on(bus).door(1)
