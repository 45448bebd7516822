"""KERONG CU48 and its dialect CU12: golden frames, replies told apart by their length, locks behind the sum."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device_drivers.capabilities import Door, UnlockReply
from device_drivers.errors import ProtocolError, UnavailableError
from device_drivers.lock_cu48 import LockBoardCU48
from device_drivers.lock_cu48.codec import (
    BARE,
    LENGTH_WITH_ETX,
    LONGEST,
    WITH_ETX,
    Command12,
    Command48,
    Reply12,
    Status48,
    finder,
    from_bytes,
)
from device_drivers.lock_cu48.family import FAMILY
from device_drivers.lock_profile import Profile
from simulators.conformance.memory_link import MemoryLink, bus_on
from simulators.conformance.virtual_time import in_virtual_time
from simulators.hardware.lock_line import total
from tests.device_drivers.lock_peers import LockPeer

ALL = b"\xff" * 6
# Marks: V recomputed and matches a public source, C computed from a public rule, K general knowledge, ? uncertain.
SENT = [
    # mark, bytes, frame
    ("V", "02 00 00 60 03 65", Command48(0, 0, 0x60)),  # status of board 0
    ("V", "02 00 00 61 03 66", Command48(0, 0, 0x61)),  # unlock lock 1
    ("C", "02 00 2F 61 03 95", Command48(0, 47, 0x61)),  # unlock lock 48
    ("C", "02 01 00 61 03 67", Command48(1, 0, 0x61)),  # unlock lock 1 of board 1
    ("C", "02 00 00 80 00 00 03 85", Command12(0, 0, 0x80)),  # CU12: status
    ("C", "02 00 00 81 00 00 03 86", Command12(0, 0, 0x81)),  # CU12: unlock lock 1
]
HEARD = [
    ("?", "02 00 00 75 FF FF FF FF FF FF 71", Status48(0, ALL)),  # 11 bytes
    ("?", "02 00 00 75 FF FF FF FF FF FF 03 74", Status48(0, ALL)),  # 12 bytes
    ("?", "02 00 00 75 06 FF FF FF FF FF FF 77", Status48(0, ALL, has_length=True)),  # 12 bytes, a length byte
    ("?", "02 00 00 75 06 FF FF FF FF FF FF 03 7A", Status48(0, ALL, has_length=True)),
    ("?", "02 00 00 80 10 02 03 97 FF 0F", Reply12(0, 0, 0x80, 0x10, b"\xff\x0f")),  # 10 for "done": K
    ("?", "02 00 00 81 10 00 03 96", Reply12(0, 0, 0x81, 0x10)),
    ("?", "02 00 00 81 11 00 03 97", Reply12(0, 0, 0x81, 0x11)),  # 11 for "failed": K
]


def raw(text: str) -> bytes:
    return bytes.fromhex(text)


def deaf(_kind: str, _detail: str) -> None:
    pass


@pytest.mark.parametrize(("mark", "text", "frame"), SENT)
def test_golden_commands_both_ways(mark, text, frame):
    assert from_bytes(raw(text)) == frame
    assert frame.to_bytes() == raw(text)
    assert FAMILY.acts(frame) is (frame.cmd in (0x61, 0x81))
    assert FAMILY.describe(frame)


@pytest.mark.parametrize(("mark", "text", "frame"), HEARD)
def test_golden_replies(mark, text, frame):
    assert from_bytes(raw(text)) == frame
    assert not FAMILY.acts(frame)
    assert FAMILY.describe(frame)


@settings(max_examples=300, deadline=None)
@given(st.integers(-1, 300), st.integers(-1, 300), st.integers(0, 255))
def test_no_command_can_be_written_that_pulses_more_than_one_lock(address, lock, cmd):
    for make, cmds, locks in ((Command48, (0x60, 0x61), 48), (Command12, (0x80, 0x81), 12)):
        try:
            frame = make(address, lock, cmd).to_bytes()
        except ProtocolError:
            continue
        assert frame[3] in cmds
        assert frame[1] <= 31
        assert frame[2] == lock < (locks if frame[3] == cmds[1] else 1)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 31), st.integers(0, 11))
def test_round_trip(address, lock):
    for frame in (Command48(address, lock, 0x61), Command12(address, lock, 0x81), Command12(address, 0, 0x80)):
        assert from_bytes(frame.to_bytes()) == frame


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 31), st.binary(min_size=6, max_size=6), st.booleans())
def test_a_status_says_the_same_with_and_without_its_end(address, locks, has_length):
    """Above all where the first eleven bytes of twelve already have a right sum."""
    head = bytes((2, address, 0, 0x75)) + (b"\x06" if has_length else b"")
    forms = (BARE, WITH_ETX) if not has_length else (BARE._replace(has_length=True), LENGTH_WITH_ETX)
    for end in (b"", b"\x03"):
        frame = head + locks + end + total(head + locks + end)
        assert finder(deaf, forms).feed(frame)[0] == Status48(address, locks, has_length)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.binary(max_size=64), max_size=8))
def test_no_bytes_break_a_decoder_and_none_pile_up(pieces):
    decoder = finder(deaf)
    for piece in pieces:
        decoder.feed(piece)
        assert decoder.buffered <= FAMILY.most_buffered < LONGEST
        with suppress(ProtocolError):
            from_bytes(piece)


@settings(max_examples=60, deadline=None)
@given(st.binary(min_size=6, max_size=6))
def test_no_turned_bit_goes_unnoticed_where_the_form_is_known(locks):
    for form, end in ((BARE, b""), (WITH_ETX, b"\x03")):
        body = b"\x02\x01\x00\x75" + locks + end
        frame = body + total(body)
        for bit in range(len(frame) * 8):
            spoilt = bytearray(frame)
            spoilt[bit // 8] ^= 1 << bit % 8
            assert not [one for one in finder(deaf, (form,)).feed(bytes(spoilt)) if isinstance(one, Status48)]


def board_on(bus, dialect="", **settings) -> LockBoardCU48:
    profile = Profile(feedback_polarity="locked_short", dialect=dialect, **settings)
    return LockBoardCU48(bus, address=1, profile=profile)


@pytest.mark.parametrize("dialect", ["cu48_length", "cu12"])
@pytest.mark.parametrize("spoken", ["cu48", "cu48_length", "cu12"])
def test_a_board_of_another_dialect_says_nothing_rather_than_a_wrong_door(dialect, spoken):
    @in_virtual_time
    async def scenario() -> None:
        faults: list[tuple[str, str]] = []
        peer = LockPeer("lock_cu48", dialect=spoken)
        async with bus_on(MemoryLink(peer), faults) as bus:
            if spoken == dialect:
                assert set((await board_on(bus, dialect).status()).values()) == {Door.CLOSED}
                return
            with pytest.raises(UnavailableError):
                await board_on(bus, dialect).door(1)

    scenario()


@in_virtual_time
async def test_a_length_byte_is_named_with_its_remedy():
    faults: list[tuple[str, str]] = []
    async with bus_on(MemoryLink(LockPeer("lock_cu48", dialect="cu48_length")), faults) as bus:
        with pytest.raises(UnavailableError):
            await board_on(bus).door(1)
    assert ("unexpected", "this board writes a length byte, set dialect = cu48_length") in faults


@in_virtual_time
async def test_a_cu48_says_nothing_to_a_pulse_and_its_door_is_looked_at():
    peer = LockPeer("lock_cu48")
    link = MemoryLink(peer)
    async with bus_on(link) as bus:
        board = board_on(bus)
        assert await board.unlock(48, lambda: True) == UnlockReply("opened")
        peer.wall.jammed.add(47)
        assert await board.unlock(47, lambda: True) == UnlockReply("no_reply")  # a closed door denies nothing
    assert [channel for _, channel in peer.wall.pulses] == [48, 47]
    assert [frame[3] for frame in link.frames] == [0x61, 0x60, 0x61, 0x60]


@in_virtual_time
async def test_a_cu12_says_how_it_went():
    peer = LockPeer("lock_cu48", dialect="cu12")
    peer.wall.jammed.add(2)
    async with bus_on(MemoryLink(peer)) as bus:
        board = board_on(bus, "cu12")
        assert board.channels == 12
        assert (await board.unlock(12, lambda: True)).result == "opened"
        refused = await board.unlock(2, lambda: True)
        assert (refused.result, refused.reason) == ("refused", "failed")
        assert await board.door(12) is Door.OPEN
