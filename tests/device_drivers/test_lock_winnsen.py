"""Winnsen: frames without a check sum, two orders of lock and state, and a cooldown that is a refusal."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device_drivers.capabilities import Door, UnlockReply
from device_drivers.errors import ProtocolError, UnavailableError
from device_drivers.lock_profile import Profile
from device_drivers.lock_winnsen import LockBoardWinnsen
from device_drivers.lock_winnsen.codec import LOCKS, REPLY_BYTES, Command, Reply, finder, from_bytes
from device_drivers.lock_winnsen.driver import COOLDOWN_S
from device_drivers.lock_winnsen.family import FAMILY
from simulators.conformance.memory_link import MemoryLink, bus_on
from simulators.conformance.virtual_time import in_virtual_time
from tests.device_drivers.lock_peers import LockPeer

# Marks: S stated in a public source (the layout), C put together from it here; there is no sum to recompute.
SENT = [
    ("C", "90 06 05 01 01 03", Command(1, 1, 0x05)),  # unlock lock 1 of station 1
    ("C", "90 06 05 00 10 03", Command(0, 16, 0x05)),
    ("C", "90 06 12 01 01 03", Command(1, 1, 0x12)),  # query
]
HEARD = [
    # mark, bytes, frame, lock and state in status_last, in status_first
    ("C", "90 07 85 01 01 01 03", Reply(1, 1, 1, 0x85), (1, 1), (1, 1)),  # opened
    ("C", "90 07 85 01 01 00 03", Reply(1, 1, 0, 0x85), (1, 0), (1, 0)),  # failed
    ("C", "90 07 85 01 01 02 03", Reply(1, 1, 2, 0x85), (1, 2), (1, 2)),  # cooling down
    ("C", "90 07 92 01 08 01 03", Reply(1, 8, 1, 0x92), (8, 1), (1, 8)),  # open, lock first
    ("C", "90 07 92 01 01 08 03", Reply(1, 1, 8, 0x92), (1, 8), (8, 1)),  # open, state first
]
NO_FRAMES = [
    "90 06 05 01 00 03",  # lock 0: perhaps all of them
    "90 06 05 01 11 03",  # lock 17
    "90 06 05 20 01 03",  # station 32
    "90 07 05 01 01 03",  # the length of a reply
    "90 06 85 01 01 03",  # the function of one
    "90 06 05 01 01 04",  # no end
    "90 07 85 01 01 03 03",  # a state that is none
    "90 07 92 01 11 11 03",  # neither byte is a state
    "90 07 92 01 00 00 03",  # neither byte is a lock
]


def raw(text: str) -> bytes:
    return bytes.fromhex(text)


def deaf(_kind: str, _detail: str) -> None:
    pass


@pytest.mark.parametrize(("mark", "text", "frame"), SENT)
def test_commands_both_ways(mark, text, frame):
    assert from_bytes(raw(text)) == frame
    assert frame.to_bytes() == raw(text)
    assert FAMILY.acts(frame) is (frame.func == 0x05)
    assert FAMILY.describe(frame)


@pytest.mark.parametrize(("mark", "text", "frame", "last", "first"), HEARD)
def test_replies(mark, text, frame, last, first):
    assert from_bytes(raw(text)) == frame
    assert frame.parts("status_last") == last
    assert frame.parts("status_first") == first
    assert not FAMILY.acts(frame)
    assert FAMILY.describe(frame)


@pytest.mark.parametrize("text", NO_FRAMES)
def test_a_frame_is_as_strict_as_it_can_be_without_a_sum(text):
    with pytest.raises(ProtocolError):
        from_bytes(raw(text))
    assert finder(deaf).feed(raw(text)) == []


@settings(max_examples=300, deadline=None)
@given(st.integers(-1, 300), st.integers(-1, 300), st.integers(0, 255))
def test_no_command_can_be_written_that_pulses_more_than_one_lock(station, lock, func):
    try:
        frame = Command(station, lock, func).to_bytes()
    except ProtocolError:
        return
    assert frame[2] in (0x05, 0x12)
    assert 1 <= frame[4] == lock <= LOCKS
    assert from_bytes(frame) == Command(station, lock, func)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.binary(max_size=64), max_size=8))
def test_no_bytes_break_a_decoder_and_none_pile_up(pieces):
    decoder = finder(deaf)
    for piece in pieces:
        decoder.feed(piece)
        assert decoder.buffered <= FAMILY.most_buffered < REPLY_BYTES
        with suppress(ProtocolError):
            from_bytes(piece)


def board_on(bus, dialect="", **settings) -> LockBoardWinnsen:
    profile = Profile(feedback_polarity="locked_short", dialect=dialect, **settings)
    return LockBoardWinnsen(bus, address=1, profile=profile)


@pytest.mark.parametrize("is_open", [True, False])
@pytest.mark.parametrize(("dialect", "spoken"), [("status_last", "status_first"), ("status_first", "status_last")])
def test_a_wrong_dialect_says_nothing_rather_than_a_wrong_door(dialect, spoken, is_open):
    """Lock 1 that is open reads the same in both orders: it is open in both."""

    @in_virtual_time
    async def scenario() -> None:
        faults: list[tuple[str, str]] = []
        peer = LockPeer("lock_winnsen", dialect=spoken)
        peer.wall.open |= set(range(1, 17)) if is_open else set()
        async with bus_on(MemoryLink(peer), faults) as bus:
            board = board_on(bus, dialect)
            for channel in range(1, 17):
                if is_open and channel == 1:
                    assert await board.door(1) is Door.OPEN
                    continue
                with pytest.raises(UnavailableError):
                    await board.door(channel)
        assert ("unexpected", "a reply for another lock, or a wrong dialect") in faults

    scenario()


@in_virtual_time
async def test_a_cooldown_is_a_refusal_with_its_reason_and_a_hold_off():
    """A lock that its board holds off longer than the host does: nothing is sent to it while it cools."""
    peer = LockPeer("lock_winnsen", hold_off_s=3.0)
    link = MemoryLink(peer)
    async with bus_on(link) as bus:
        board = board_on(bus)
        assert (await board.unlock(1, lambda: True)).result == "opened"
        refused = await board.unlock(1, lambda: True)
        assert (refused.result, refused.reason) == ("refused", "cooldown")
        sent = len(link.frames)
        asked: list[int] = []
        held = await board.unlock(1, lambda: asked.append(1) or True)
        assert (held, asked, len(link.frames)) == (UnlockReply("not_sent", reason="cooldown"), [], sent)
        await asyncio.sleep(COOLDOWN_S)
        assert (await board.unlock(1, lambda: True)).result == "opened"
    assert [channel for _, channel in peer.wall.pulses] == [1, 1]


@in_virtual_time
async def test_a_lock_that_cools_down_holds_no_other_up():
    peer = LockPeer("lock_winnsen", hold_off_s=0.45)
    async with bus_on(MemoryLink(peer)) as bus:
        board = board_on(bus)
        board._cool_until_s[1] = asyncio.get_running_loop().time() + 60
        first, second = await asyncio.gather(board.unlock(1, lambda: True), board.unlock(2, lambda: True))
        assert (first.result, second.result) == ("not_sent", "opened")


@in_virtual_time
async def test_a_cooldown_is_no_state_of_a_door():
    peer = LockPeer("lock_winnsen")
    link = MemoryLink(peer)
    async with bus_on(link) as bus:
        peer.silent = True
        asyncio.get_running_loop().call_later(0.003, link.deliver, raw("90 07 92 01 01 02 03"))
        with pytest.raises(UnavailableError):
            await board_on(bus).door(1)


@in_virtual_time
async def test_a_whole_station_is_asked_lock_by_lock():
    peer = LockPeer("lock_winnsen")
    peer.wall.open.add(7)
    link = MemoryLink(peer)
    async with bus_on(link) as bus:
        doors = await board_on(bus).status()
    assert [channel for channel, door in doors.items() if door is Door.OPEN] == [7]
    assert len(link.frames) == len(doors) == 16
