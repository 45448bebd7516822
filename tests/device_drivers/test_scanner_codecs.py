"""The commands and replies of scanners: golden vectors, round trips, and codes between replies.

Marks: V recomputed and matches a public source, S stated in one, C computed from a public rule, K general knowledge.
"""

from __future__ import annotations

from typing import ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device_drivers.errors import ProtocolError
from device_drivers.scanner import gm65, honeywell, newland
from device_drivers.scanner.family import FAMILY, acts, describe
from device_drivers.scanner.stream import MOST_BUFFERED, TalkDecoder, command_finder


def ignore(kind: str, detail: str) -> None:
    pass


def raw(text: str) -> bytes:
    return bytes.fromhex(text)


COMMANDS = [
    # GM65: the check sums of the maker's examples
    (gm65.Command(8, 0x0002, b"\x01"), "7E 00 08 01 00 02 01 02 DA"),  # [V] trigger
    (gm65.Command(8, 0x0002, b"\x01", checked=False), "7E 00 08 01 00 02 01 AB CD"),  # [V] the same, unchecked
    (gm65.Command(9, 0, b"\x00"), "7E 00 09 01 00 00 00 DE C8"),  # [V] save
    (gm65.Command(8, 0x002A, b"\x39\x01"), "7E 00 08 02 00 2A 39 01 A7 EA"),  # [V] 9600
    (gm65.Command(7, 0x002A, b"\x02"), "7E 00 07 01 00 2A 02 D8 0F"),  # [V] read the speed
    (gm65.Command(10, 0, b"\x00"), "7E 00 0A 01 00 00 00 30 1A"),  # [V] heartbeat
    (honeywell.Command(on=True), "16 54 0D"),  # [S] SYN T CR
    (honeywell.Command(on=False), "16 55 0D"),  # [S] SYN U CR
    (newland.start(kept=True), "7E 01 30 30 30 30 40 53 43 4E 54 52 47 31 3B 03"),  # [S] @SCNTRG1;
    (newland.start(), "7E 01 30 30 30 30 23 53 43 4E 54 52 47 31 3B 03"),  # [S] #SCNTRG1; until the next power cut
    (newland.stop(kept=True), "7E 01 30 30 30 30 40 53 43 4E 54 52 47 30 3B 03"),  # [S] @SCNTRG0;
    (newland.mode(newland.LEVEL, kept=True), "7E 01 30 30 30 30 40 53 43 4E 4D 4F 44 30 3B 03"),  # [S] @SCNMOD0;
    (newland.mode(newland.AUTO, kept=True), "7E 01 30 30 30 30 40 53 43 4E 4D 4F 44 32 3B 03"),  # [S] @SCNMOD2;
    (newland.ask_mode(), "7E 01 30 30 30 30 23 53 43 4E 4D 4F 44 2A 3B 03"),  # [S] the star asks for the present value
    (newland.ShortTrigger(), "1B 31"),  # [S] on some modules
]
REPLIES = [
    (gm65.Reply("command", 0, b"\x00"), "02 00 00 01 00 33 31"),  # [V] done
    (gm65.Reply("heartbeat", 0, b"\x00"), "03 00 00 01 00 33 31"),  # [V] it lives
    (gm65.Reply("command", 0, b"\x39\x01"), "02 00 00 02 39 01 C1 4C"),  # [C] the speed zone holds 9600
    (newland.Reply("SCNTRG", "1", "ack", True), "02 01 30 30 30 30 40 53 43 4E 54 52 47 31 06 3B 03"),  # [S] done
    (newland.Reply("SCNTRG", "7", "nak"), "02 01 30 30 30 30 23 53 43 4E 54 52 47 37 15 3B 03"),  # [S] no such value
    (newland.Reply("SCNTRX", "1", "enq"), "02 01 30 30 30 30 23 53 43 4E 54 52 58 31 05 3B 03"),  # [S] no such command
]


@pytest.mark.parametrize(("frame", "text"), COMMANDS)
def test_golden_commands_both_ways(frame, text):
    assert frame.to_bytes() == raw(text)
    assert command_finder(ignore).feed(raw(text)) == [frame]
    if not isinstance(frame, newland.ShortTrigger):
        assert type(frame).from_bytes(raw(text)) == frame


@pytest.mark.parametrize(("frame", "text"), REPLIES)
def test_golden_replies_both_ways(frame, text):
    assert frame.to_bytes() == raw(text)
    assert type(frame).from_bytes(raw(text)) == frame
    assert TalkDecoder(ignore).feed(raw(text)) == [frame]


def test_the_functions_of_gm65_make_the_same_frames():
    assert gm65.read_zone(0x2A, 2) == gm65.read_baud() == raw("7E 00 07 01 00 2A 02 D8 0F")
    assert gm65.write_zone(0x2A, b"\x39\x01") == gm65.set_baud(9600)
    assert gm65.read_zone(0x2A, 2, checked=False) == raw("7E 00 07 01 00 2A 02 AB CD")


@pytest.mark.parametrize("baud", [1200, 4800, 9600, 14400, 19200, 38400, 57600, 115200])
def test_a_speed_that_was_set_reads_back(baud):
    assert gm65.baud_of(gm65.Command.from_bytes(gm65.set_baud(baud)).data) == baud


@pytest.mark.parametrize("zone", [b"", b"\x39", b"\x39\x02", b"\x39\x01\x00"])
def test_a_zone_that_holds_no_speed(zone):
    with pytest.raises(ProtocolError):
        gm65.baud_of(zone)


@pytest.mark.parametrize(
    "encode",
    [
        lambda: gm65.read_zone(0, 0),  # nothing asked
        lambda: gm65.read_zone(0, 65),  # a reply beyond the cap
        lambda: gm65.write_zone(0, b""),
        lambda: gm65.write_zone(0, bytes(256)),
        lambda: gm65.write_zone(0x10000, b"\x00"),
        lambda: gm65.Command(6, 0, b"\x00").to_bytes(),  # a type that there is not
        lambda: gm65.Reply("command", 256, b"\x00").to_bytes(),
        lambda: newland.Command("scntrg", "1").to_bytes(),  # small letters
        lambda: newland.Command("SCNTRG1", "").to_bytes(),  # seven
        lambda: newland.Command("SCNTRG", "1;@FACDEF").to_bytes(),  # a second command smuggled in
        lambda: newland.Command("SCNTRG", "\x03").to_bytes(),
        lambda: newland.Command("SCNTRG", "1" * 33).to_bytes(),
    ],
)
def test_what_cannot_be_said_is_our_own_mistake(encode):
    with pytest.raises(ProtocolError) as caught:
        encode()
    assert caught.value.side == "local"


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (gm65.Command, "7E 00 08 01 00 02 01 02 DB"),  # wrong CRC
        (gm65.Command, "7E 00 08 02 00 02 01 02 DA"),  # wrong length
        (gm65.Command, "7E 00 0B 01 00 02 01 02 DA"),  # no type of this family
        (gm65.Command, ""),
        (honeywell.Command, "16 56 0D"),
        (honeywell.Command, "16 54"),
        (newland.Command, "7E 01 30 30 30 30 40 53 43 4E 54 52 47 31 3B"),  # the end is missing
        (newland.Command, "7E 01 30 30 30 30 41 53 43 4E 54 52 47 31 3B 03"),  # no tag
        (newland.Reply, "02 01 30 30 30 30 40 53 43 4E 54 52 47 31 3B 03"),  # no status
        (newland.Reply, "02 01 30 30 30 30 40 53 43 4E 54 52 47 31 07 3B 03"),  # no known status
    ],
)
def test_broken_frames(kind, text):
    with pytest.raises(ProtocolError) as caught:
        kind.from_bytes(raw(text))
    assert caught.value.side == "remote"


OK, ALIVE = "02 00 00 01 00 33 31", "03 00 00 01 00 33 31"
DONE, LIVES = gm65.Reply("command", 0, b"\x00"), gm65.Reply("heartbeat", 0, b"\x00")


@pytest.mark.parametrize("step", [1, 3, 4096])
@pytest.mark.parametrize(
    ("stream", "found"),
    [
        (raw(OK) + b"690\r", [DONE, "690"]),  # a reply has no line end, and takes no code with it
        (b"690\r" + raw(OK) + b"691\r", ["690", DONE, "691"]),
        (raw(OK) + raw(ALIVE) + b"690\r\n", [DONE, LIVES, "690"]),
        (b"690" + raw(OK) + b"123\r691\r", [DONE, "691"]),  # broken in two: neither half is a code
        (b"\x02690\r691\r", ["691"]),  # begins like a reply and is none: what stands there is no code
        (b"\x02\x00\x00\xff690\r691\r", ["691"]),  # a length beyond the cap
        (raw(OK)[:-1] + b"\r690\r", ["690"]),  # a wrong check sum costs its line
        (raw("7E 00 0A 01 00 00 00 30 1A") + raw(ALIVE) + b"690\r", [LIVES, "690"]),  # our own question came back first
        (b"\x16T\r690\r\x1b1" + b"691\r", ["690", "691"]),  # the same, of other makers
        (b"a~b\r~\r~~\r", ["a~b", "~", "~~"]),  # a tilde begins a command, and stands in codes
        (b"~\x00\x07\xff690\r691\r", ["691"]),  # longer than anything we say
        (raw("02 01 30 30 30 30 40") + b"x" * 60 + b"\r690\r", ["690"]),  # a reply that never ends
        (raw("02 01 30 30 30 30 40 53 3B 31 3B 03") + b"\r690\r", ["690"]),  # no form of a reply
        (
            raw("02 01 30 30 30 30 23 53 43 4E 54 52 47 31 06 3B 03") + b"690\r",
            [newland.Reply("SCNTRG", "1", "ack"), "690"],
        ),
    ],
)
def test_codes_between_replies(stream, found, step):
    decoder = TalkDecoder(ignore)
    heard = []
    for at in range(0, len(stream), step):
        heard += decoder.feed(stream[at : at + step])
        assert decoder.buffered <= MOST_BUFFERED
    assert heard == found


@pytest.mark.parametrize("lose", [TalkDecoder.lost, TalkDecoder.forget])
def test_no_half_of_a_code_outlives_a_gap(lose):
    decoder = TalkDecoder(ignore)
    assert decoder.feed(b"69012\x02\x00") == []
    lose(decoder)
    assert decoder.buffered == 0
    assert decoder.feed(b"345\r690\r") == (["690"] if lose is TalkDecoder.lost else ["345", "690"])


commands = st.one_of(
    st.builds(
        gm65.Command, st.sampled_from([7, 8, 9, 10]), st.integers(0, 0xFFFF), st.binary(min_size=1, max_size=255)
    ).filter(lambda frame: gm65.crc16(frame.to_bytes()[2:-2]) != gm65.UNCHECKED),
    st.builds(honeywell.Command, st.booleans()),
    st.builds(
        newland.Command,
        st.from_regex("[A-Z]{6}", fullmatch=True),
        st.from_regex("[ -:<-~]{0,32}", fullmatch=True),
        st.booleans(),
    ),
    st.builds(newland.ShortTrigger),
)
replies = st.one_of(
    st.builds(
        gm65.Reply, st.sampled_from(["command", "heartbeat"]), st.integers(0, 255), st.binary(min_size=1, max_size=64)
    ),
    st.builds(
        newland.Reply,
        st.from_regex("[A-Z]{6}", fullmatch=True),
        st.from_regex("[ -:<-~]{0,32}", fullmatch=True),
        st.sampled_from(["ack", "nak", "enq"]),
        st.booleans(),
    ),
)
texts = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=40)


@settings(max_examples=100, deadline=None)
@given(st.lists(commands, max_size=6), st.integers(1, 50))
def test_commands_come_out_as_they_went_in(frames, step):
    stream = b"".join(frame.to_bytes() for frame in frames)
    finder = command_finder(ignore)
    found = []
    for at in range(0, len(stream), step):
        found += finder.feed(stream[at : at + step])
    assert found == frames


@settings(max_examples=100, deadline=None)
@given(st.lists(st.one_of(replies, texts), max_size=6), st.integers(1, 50))
def test_codes_and_replies_come_out_as_they_went_in(items, step):
    stream = b"".join(item.encode() + b"\r" if isinstance(item, str) else item.to_bytes() for item in items)
    decoder = TalkDecoder(ignore)
    found = []
    for at in range(0, len(stream), step):
        found += decoder.feed(stream[at : at + step])
    assert found == items


class Any:
    """Bytes that look like frames now and then."""

    PIECES: ClassVar = [raw(text) for _, text in (*COMMANDS, *REPLIES)] + [
        b"690\r",
        b"\x02\x00",
        b"\x02\x010000",
        b"\x7e",
    ]
    STREAMS = st.lists(st.one_of(st.binary(max_size=40), st.sampled_from(PIECES)), max_size=12)


@settings(max_examples=200, deadline=None)
@given(Any.STREAMS)
def test_no_bytes_break_either_side_and_none_pile_up(pieces):
    both = command_finder(ignore), TalkDecoder(ignore)
    for piece in pieces:
        for decoder in both:
            for frame in decoder.feed(piece):
                assert len(describe(frame).splitlines()) == 1
                acts(frame)
            assert decoder.buffered <= FAMILY.most_buffered


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from([gm65.Command, gm65.Reply, honeywell.Command, newland.Command, newland.Reply]),
    st.binary(max_size=60),
)
def test_any_bytes_are_a_frame_or_a_protocol_error(kind, data):
    try:
        frame = kind.from_bytes(data)
    except ProtocolError:
        return
    assert frame.to_bytes() == data


@pytest.mark.parametrize(
    ("frame", "changes"),
    [
        (gm65.Command(8, 2, b"\x01"), False),  # looking changes nothing
        (gm65.Command(7, 2, b"\x01"), False),
        (gm65.Command(10, 0, b"\x00"), False),
        (gm65.Command(8, 0x2A, b"\x39\x01"), True),  # another speed: nobody would hear it any more
        (gm65.Command(9, 0, b"\x00"), True),
        (newland.start(), False),
        (newland.ask_mode(), False),
        (newland.mode(newland.AUTO), True),
        (newland.ShortTrigger(), False),
        (honeywell.Command(on=True), False),
        ("690", False),
    ],
)
def test_what_a_tool_for_looking_never_sends(frame, changes):
    assert acts(frame) is changes


def test_a_code_is_told_by_its_length_alone():
    assert describe("ZG1.member-7.00") == "a code of 15 characters"
    assert FAMILY.personal
