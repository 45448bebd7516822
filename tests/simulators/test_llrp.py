"""The simulated LLRP reader: its messages byte for byte, and its own rules. No library is needed."""

from __future__ import annotations

import asyncio
import struct
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulators.hardware.llrp import LlrpConversation, message, parameter, parameters
from simulators.hardware.llrp_server import LlrpServer
from simulators.hardware.rfid_field import Field, Tag

EPC = bytes.fromhex("30751FEB705C5904E3D50D70")


def field(*tags: Tag) -> Field:
    return Field(tags or (Tag(EPC, spread_db=0),), rng=Random(1))


def conversation() -> LlrpConversation:
    return LlrpConversation({1: field()}, now_s=0.0)


def rospec(number: int = 1, *, immediate: bool = True, state: int = 0) -> bytes:
    edge = parameter(178, parameter(179, bytes([immediate])) + parameter(182, b"\0" + bytes(4)))
    return parameter(177, struct.pack("!IBB", number, 0, state) + edge)


def ask(talk: LlrpConversation, kind: int, body: bytes = b"", now_s: float = 0.0) -> tuple[int, int]:
    """Type and status of the answer."""
    said = talk.receive(message(kind, 7, body), now_s)
    head, length, number = struct.unpack("!HII", said[:10])
    assert (length, number) == (len(said), 7)
    codes = [struct.unpack("!H", content[:2])[0] for kind, content in parameters(said[10:]) if kind == 287]
    return head & 0x3FF, codes[0]


def number(one: int) -> bytes:
    return struct.pack("!I", one)


# Marks: K from the standard as known, not checked against a reader.
def test_messages_byte_for_byte():
    talk = conversation()
    assert talk.greeting().hex(" ").upper() == (
        "04 3F 00 00 00 20 00 00 00 01 00 F6 00 16 00 80 00 0C 00 00 00 00 00 00 00 00 01 00 00 06 00 00"
    )
    assert talk.receive(message(64, 3), 0.0) == b""
    assert talk.receive(message(14, 9), 0.0).hex(" ").upper() == "04 04 00 00 00 12 00 00 00 09 01 1F 00 08 00 00 00 00"
    assert talk.closed


def test_a_spec_is_added_enabled_and_reports():
    talk = conversation()
    assert ask(talk, 20, rospec()) == (30, 0)
    assert talk.tick(1.0) == b""
    assert ask(talk, 24, number(1)) == (34, 0)
    report = talk.tick(1.0)
    assert report.hex(" ").upper() == (
        "04 3D 00 00 00 20 00 00 00 01 00 F0 00 16 8D 30 75 1F EB 70 5C 59 04 E3 D5 0D 70 81 00 01 86 C9"
    )
    assert talk.tick(1.05) == b""
    assert ask(talk, 25, number(0)) == (35, 0)
    assert talk.tick(2.0) == b""


def test_an_epc_of_another_length_has_the_long_form():
    talk = LlrpConversation({3: field(Tag(b"\xe2\x00\x12\x34", spread_db=0))}, now_s=0.0)
    ask(talk, 20, rospec())
    ask(talk, 24, number(1))
    assert talk.tick(1.0)[14:].hex(" ").upper() == "00 F1 00 0A 00 20 E2 00 12 34 81 00 03 86 C9"


def test_a_spec_without_an_immediate_start_waits_for_it():
    talk = conversation()
    ask(talk, 20, rospec(immediate=False))
    assert ask(talk, 22, number(1)) == (32, 101)  # not enabled
    ask(talk, 24, number(1))
    assert talk.tick(1.0) == b""
    assert ask(talk, 22, number(1)) == (32, 0)
    assert talk.tick(1.0)
    assert ask(talk, 23, number(1)) == (33, 0)
    assert talk.tick(2.0) == b""


@pytest.mark.parametrize(
    ("kind", "body", "answer"),
    [
        (20, rospec(0), (30, 101)),  # 0 means all
        (20, rospec(state=1), (30, 101)),  # a new one is disabled
        (20, b"", (30, 100)),
        (20, rospec(1), (30, 101)),  # there already
        (24, number(5), (34, 101)),
        (22, number(0), (32, 101)),
        (21, b"\0", (31, 100)),
        (21, number(0), (31, 0)),
        (41, number(0), (51, 0)),
        (1, b"\0", (11, 0)),
        (2, bytes(7), (12, 0)),
        (3, b"\0", (13, 0)),
        (999, b"", (100, 109)),
    ],
)
def test_its_rules(kind: int, body: bytes, answer: tuple[int, int]):
    talk = conversation()
    ask(talk, 20, rospec(1))
    assert ask(talk, kind, body) == answer


def test_a_client_that_answers_no_keepalive_is_left():
    talk = conversation()
    ask(talk, 3, b"\0" + parameter(220, b"\x01" + struct.pack("!I", 1000)))
    assert talk.tick(0.5) == b""
    for now_s in (1.0, 2.0, 3.0):
        assert talk.tick(now_s)[:2] == b"\x04\x3e"
    talk.receive(message(72, 1), 3.1)
    for now_s in (4.0, 5.0, 6.0):
        talk.tick(now_s)
        assert not talk.closed
    talk.tick(7.0)
    assert talk.closed


@settings(max_examples=100, deadline=None)
@given(st.lists(st.binary(max_size=200), max_size=5), st.integers(0, 120))
def test_no_bytes_break_it_and_none_pile_up(pieces: list[bytes], kind: int):
    talk = conversation()
    for piece in pieces:
        talk.receive(piece, 0.0)
        talk.receive(message(kind, 1, piece), 0.0)
        talk.tick(1.0)
    assert len(talk._buffer) <= 65536


async def test_one_client_at_a_time():
    async with LlrpServer({1: field()}).serve() as server:
        first, mine = await asyncio.open_connection("127.0.0.1", server.port)
        assert (await first.readexactly(32))[-2:] == b"\0\0"
        second, other = await asyncio.open_connection("127.0.0.1", server.port)
        assert (await second.read(64))[-2:] == b"\0\2"
        assert await second.read(1) == b""
        mine.write(message(14, 1))
        assert (await first.readexactly(18))[:2] == b"\x04\x04"
        assert await first.read(1) == b""
        for writer in (mine, other):
            writer.close()
