"""PTP/1: golden frames before stuffing and on the wire, tokens, payloads; no bytes break the codec and none pile up."""

from __future__ import annotations

import ast
import contextlib
import inspect
import struct
from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device_drivers.errors import ProtocolError
from device_drivers.trial_ptp import cobs, payloads
from device_drivers.trial_ptp.codec import (
    BROADCAST,
    MAX_PAYLOAD,
    MAX_WIRE_BYTES,
    Frame,
    FrameDecoder,
    crc16,
    describe,
    request,
)
from device_drivers.trial_ptp.family import FAMILY
from device_drivers.trial_ptp.names import Capability, Command, Event, Flag, State, Status
from device_drivers.trial_ptp.token import Method, Proof, Token, is_authentic, mint
from simulators.hardware import trial_ptp_wire as other

ROOT = Path(__file__).parents[2]
KEY = bytes(range(32))
NONCE = bytes.fromhex("A1B2C3D4E5F60718")
PROOF = Proof(
    session=42, method=Method.ID_CARD, staff_id=1007, issued_at_s=1767225600, life_s=60, max_puffs=6
)  # issued 2026-01-01T00:00:00Z
TOKEN = mint(PROOF, nonce=NONCE, address=5, key=KEY)
RESP, EVENT = Flag.RESP, Flag.EVENT

# All are C: computed from our own proposal by a reference script; no public original exists (P).
GOLDEN = [
    # mark, name, frame before stuffing, on the wire, what it is
    (
        "C",
        "HELLO",
        "10 05 00 01 01 00 00 C4 30",
        "00 03 10 05 03 01 01 01 03 C4 30 00",
        request(5, 1, Command.HELLO),
    ),
    (
        "C",
        "HELLO reply",
        "11 05 00 01 01 00 0B 01 02 01 03 00 C0 FF EE 00 3F 06 4D 72",
        "00 03 11 05 03 01 01 06 0B 01 02 01 03 04 C0 FF EE 05 3F 06 4D 72 00",
        Frame(5, 1, Command.HELLO, payloads.Hello(1, 2, 0x0103, 0x00C0FFEE, 0x3F, 6).to_bytes(), flags=RESP),
    ),
    (
        "C",
        "CHALLENGE",
        "10 05 00 02 0F 00 00 44 ED",
        "00 03 10 05 03 02 0F 01 03 44 ED 00",
        request(5, 2, Command.CHALLENGE),
    ),
    (
        "C",
        "CHALLENGE reply",
        "11 05 00 02 0F 00 08 A1 B2 C3 D4 E5 F6 07 18 72 3D",
        "00 03 11 05 03 02 0F 0C 08 A1 B2 C3 D4 E5 F6 07 18 72 3D 00",
        Frame(5, 2, Command.CHALLENGE, NONCE, flags=RESP),
    ),
    (
        "C",
        "AUTHORIZE",
        "10 05 00 03 10 00 2A 01 A1 B2 C3 D4 E5 F6 07 18 00 00 00 2A 01 12 00 00 03 EF 69 55 B9 00 00 3C 06 57 4E 50 54 9D BC B5 CD 0B 98 AF A1 41 B5 86 DE 9B DA",
        "00 03 10 05 03 03 10 0B 2A 01 A1 B2 C3 D4 E5 F6 07 18 01 01 04 2A 01 12 01 06 03 EF 69 55 B9 01 15 3C 06 57 4E 50 54 9D BC B5 CD 0B 98 AF A1 41 B5 86 DE 9B DA 00",
        request(5, 3, Command.AUTHORIZE, TOKEN),
    ),
    (
        "C",
        "AUTHORIZE reply, OK",
        "11 05 00 03 10 00 06 02 00 00 00 2A 06 34 C5",
        "00 03 11 05 03 03 10 03 06 02 01 01 05 2A 06 34 C5 00",
        Frame(5, 3, Command.AUTHORIZE, payloads.Authorized(State.AUTHORIZED, 42, 6).to_bytes(), flags=RESP),
    ),
    (
        "C",
        "AUTHORIZE reply, TOKEN_BAD",
        "11 05 00 03 10 21 00 D0 BD",
        "00 03 11 05 04 03 10 21 03 D0 BD 00",
        Frame(5, 3, Command.AUTHORIZE, status=Status.TOKEN_BAD, flags=RESP),
    ),
    (
        "C",
        "ARM slot 2",
        "10 05 00 04 11 00 06 00 00 00 2A 02 06 C3 77",
        "00 03 10 05 03 04 11 02 06 01 01 06 2A 02 06 C3 77 00",
        request(5, 4, Command.ARM, payloads.Arm(42, 2, 6).to_bytes()),
    ),
    (
        "C",
        "START",
        "10 05 00 05 12 00 04 00 00 00 2A 50 4A",
        "00 03 10 05 03 05 12 02 04 01 01 04 2A 50 4A 00",
        request(5, 5, Command.START, payloads.OfSession(42).to_bytes()),
    ),
    (
        "C",
        "event PUFF: 1850 ms, 4.2 ml, 231.5 degrees",
        "12 05 80 01 81 00 0B 00 00 00 2A 01 07 3A 00 2A 09 0B 1A 58",
        "00 06 12 05 80 01 81 02 0B 01 01 05 2A 01 07 3A 06 2A 09 0B 1A 58 00",
        Frame(5, 0x8001, Event.PUFF, payloads.Puff(42, 1, 1850, 42, 2315).to_bytes(), flags=EVENT),
    ),
    (
        "C",
        "ABORT",
        "10 05 00 06 13 00 05 00 00 00 2A 01 2F E3",
        "00 03 10 05 03 06 13 02 05 01 01 05 2A 01 2F E3 00",
        request(5, 6, Command.ABORT, payloads.Abort(42, 1).to_bytes()),
    ),
    (
        "C",
        "STATUS",
        "10 05 00 07 02 00 00 BA F9",
        "00 03 10 05 03 07 02 01 03 BA F9 00",
        request(5, 7, Command.STATUS),
    ),
    (
        "C",
        "STATUS reply, READY",
        "11 05 00 07 02 00 0F 05 00 00 00 2A 09 0B 09 60 01 06 00 05 07 00 E2 CC",
        "00 03 11 05 03 07 02 03 0F 05 01 01 08 2A 09 0B 09 60 01 06 03 05 07 03 E2 CC 00",
        Frame(
            5,
            7,
            Command.STATUS,
            payloads.StatusReport(State.READY, 42, 2315, 2400, 1, 6, 5, 7, 0).to_bytes(),
            flags=RESP,
        ),
    ),
]
GOLDEN_IDS = [row[1] for row in GOLDEN]


def ignore(kind: str, detail: str) -> None:
    pass


@pytest.mark.parametrize(("mark", "name", "plain", "wire", "frame"), GOLDEN, ids=GOLDEN_IDS)
def test_golden_frames_both_ways_before_stuffing_and_on_the_wire(mark, name, plain, wire, frame):
    assert frame.to_bytes() == bytes.fromhex(plain)
    assert frame.to_wire() == bytes.fromhex(wire)
    assert Frame.from_bytes(bytes.fromhex(plain)) == frame
    assert Frame.from_wire(bytes.fromhex(wire)) == frame
    assert FrameDecoder(ignore).feed(bytes.fromhex(wire)) == [frame]


@pytest.mark.parametrize(("mark", "name", "plain", "wire", "frame"), GOLDEN, ids=GOLDEN_IDS)
def test_the_simulator_writes_the_golden_frames_with_a_codec_of_its_own(mark, name, plain, wire, frame):
    data = bytes.fromhex(plain)
    assert other.stuffed(data) == bytes.fromhex(wire)
    assert other.unstuffed(bytes.fromhex(wire)[1:-1]) == data
    assert other.sound(data)
    own = {"flags": data[0] & 15, "address": data[1], "command": data[4], "status": data[5]}
    assert other.frame_of(**own, sequence=data[2] << 8 | data[3], payload=data[7:-2]) == bytes.fromhex(wire)


def test_the_check_sum_is_the_standard_one():
    assert crc16(b"123456789") == other.crc(b"123456789") == 0x29B1


def test_the_golden_token_both_ways():
    assert Token.from_bytes(TOKEN) == Token(PROOF, NONCE, TOKEN[26:])
    assert len(TOKEN) == 42
    assert is_authentic(TOKEN, address=5, key=KEY)
    assert other.vouched(TOKEN, 5, KEY)


@pytest.mark.parametrize(
    ("data", "address", "key"),
    [
        (TOKEN, 6, KEY),  # of another unit
        (TOKEN, 5, bytes(32)),  # another key
        (TOKEN[:25] + b"\x14" + TOKEN[26:], 5, KEY),  # more puffs than were granted
        (TOKEN[:-1] + bytes([TOKEN[-1] ^ 1]), 5, KEY),  # the last bit
        (TOKEN[:-1], 5, KEY),  # cut
        (b"", 5, KEY),
    ],
)
def test_a_token_that_is_not_this_units_is_not_authentic(data, address, key):
    assert not is_authentic(data, address=address, key=key)
    assert len(data) != 42 or not other.vouched(data, address, key)


@pytest.mark.parametrize("function", [is_authentic, other.vouched])
def test_macs_are_compared_in_constant_time(function):
    """`==` tells by its time how many bytes were right."""
    tree = ast.parse(inspect.getsource(function))
    called = {
        node.func.attr for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    }
    assert "compare_digest" in called
    left = [node for node in ast.walk(tree) if isinstance(node, ast.Compare) and "len" not in ast.dump(node)]
    assert left == []


@pytest.mark.parametrize(
    "change",
    [
        {"min_age": 17},  # below the law's
        {"staff_id": 0},  # nobody vouches
        {"life_s": 0},
        {"life_s": 61},  # longer than a nonce lives
        {"session": 0},  # puffs without a session
        {"max_puffs": 0},  # a session without puffs
        {"max_puffs": 256},
        {"issued_at_s": -1},
        {"method": 5},
    ],
)
def test_a_proof_that_proves_nothing_gives_no_token(change):
    with pytest.raises(ProtocolError) as caught:
        mint(replace(PROOF, **change), nonce=NONCE, address=5, key=KEY)
    assert caught.value.side == "local"


@pytest.mark.parametrize("lacking", [{"nonce": b"short"}, {"key": b"short"}, {"address": 256}])
def test_a_token_needs_a_whole_nonce_a_whole_key_and_a_unit(lacking):
    with pytest.raises(ProtocolError):
        mint(PROOF, **({"nonce": NONCE, "address": 5, "key": KEY} | lacking))


def test_a_token_says_nothing_of_the_buyer():
    assert {field.name for field in fields(Proof)} == {
        "session",
        "method",
        "staff_id",
        "issued_at_s",
        "life_s",
        "max_puffs",
        "min_age",
    }


proofs = st.builds(
    Proof,
    session=st.integers(1, 2**32 - 1),
    method=st.sampled_from(Method),
    staff_id=st.integers(1, 2**32 - 1),
    issued_at_s=st.integers(0, 2**32 - 1),
    life_s=st.integers(1, 60),
    max_puffs=st.integers(1, 255),
    min_age=st.integers(18, 255),
)


@settings(max_examples=100, deadline=None)
@given(proofs, st.binary(min_size=8, max_size=8), st.integers(1, 0xF7), st.binary(min_size=32, max_size=32), st.data())
def test_any_token_is_read_back_and_any_turned_bit_is_noticed(proof, nonce, address, key, data):
    made = mint(proof, nonce=nonce, address=address, key=key)
    assert made == mint(proof, nonce=nonce, address=address, key=key)
    assert Token.from_bytes(made).proof == proof
    assert other.vouched(made, address, key)
    bit = data.draw(st.integers(0, 42 * 8 - 1))
    spoilt = bytearray(made)
    spoilt[bit // 8] ^= 1 << bit % 8
    assert not is_authentic(bytes(spoilt), address=address, key=key)
    assert not other.vouched(bytes(spoilt), address, key)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=64) | st.binary(min_size=250, max_size=520))
def test_stuffing_leaves_no_zero_and_comes_back(data):
    stuffed = cobs.encode(data)
    assert 0 not in stuffed
    assert cobs.decode(stuffed) == data
    if len(data) < 254:
        assert other.stuffed(data) == b"\0" + stuffed + b"\0"
        assert other.unstuffed(stuffed) == data


@pytest.mark.parametrize(
    ("plain", "stuffed"),
    [
        # The examples of the paper's tables: an empty frame, zeros only, zeros in between, one byte short of a block.
        ("", "01"),
        ("00", "01 01"),
        ("00 00", "01 01 01"),
        ("11 22 00 33", "03 11 22 02 33"),
        ("11 00 00 00", "02 11 01 01 01"),
        ("01" * 253, "FE" + "01" * 253),
        ("01" * 254, "FF" + "01" * 254 + "01"),
    ],
)
def test_stuffing_by_hand(plain, stuffed):
    assert cobs.encode(bytes.fromhex(plain)) == bytes.fromhex(stuffed)
    assert cobs.decode(bytes.fromhex(stuffed)) == bytes.fromhex(plain)


@pytest.mark.parametrize("data", ["", "00", "03 11", "02 00", "FF 01"])
def test_what_is_not_stuffed_is_refused(data):
    with pytest.raises(ProtocolError):
        cobs.decode(bytes.fromhex(data))


@pytest.mark.parametrize(
    "frame",
    [
        Frame(0, 1, Command.STATUS),  # address 0 is nobody's
        Frame(0xF8, 1, Command.STATUS),
        Frame(5, 0x8000, Command.STATUS),  # a sequence of devices
        Frame(5, 1, Event.PUFF, flags=EVENT),  # a sequence of hosts
        Frame(5, 0x8001, Event.PUFF),  # an event that does not say so
        Frame(5, 1, Command.PING, bytes(MAX_PAYLOAD + 1)),
        Frame(5, 1, Command.STATUS, status=1),  # a request has no status
        Frame(5, 1, Command.STATUS, version=2),
        Frame(5, 0x8001, Event.PUFF, flags=EVENT | RESP),
        Frame(5, 1, 0x100),
    ],
)
def test_frames_that_must_not_be_are_not_written(frame):
    with pytest.raises(ProtocolError) as caught:
        frame.to_bytes()
    assert caught.value.side == "local"


@pytest.mark.parametrize("command", [c for c in Command if c not in (Command.HELLO, Command.ABORT)])
def test_nothing_but_hello_and_abort_can_be_said_to_all(command):
    with pytest.raises(ProtocolError, match="go to all"):
        request(BROADCAST, 1, command).to_bytes()


@pytest.mark.parametrize(
    ("spoil", "kind"),
    [
        (lambda b: b[:-1] + bytes([b[-1] ^ 1]), "crc"),
        (lambda b: b[:6] + b"\x03" + b[7:-2] + crc16(b[:6] + b"\x03" + b[7:-2]).to_bytes(2, "big"), "framing"),
        (lambda b: b[:8], "framing"),
    ],
)
def test_a_bad_frame_is_dropped_and_named(spoil, kind):
    heard = []
    good = request(5, 1, Command.PING, b"\x01\x02")
    decoder = FrameDecoder(lambda *fault: heard.append(fault[0]))
    data = b"\0" + cobs.encode(spoil(good.to_bytes())) + b"\0"
    assert decoder.feed(data + good.to_wire()) == [good]
    assert heard == [kind]


def test_a_frame_of_another_version_is_read_for_those_who_look():
    data = bytearray(request(5, 1, Command.STATUS).to_bytes()[:-2])
    data[0] = 0x20
    frame = Frame.from_bytes(bytes(data) + crc16(bytes(data)).to_bytes(2, "big"))
    assert frame.version == 2
    assert "version 2" in describe(frame)


def test_more_than_260_bytes_without_an_end_are_dropped_and_the_next_frame_is_found():
    heard = []
    decoder = FrameDecoder(lambda *fault: heard.append(fault))
    good = request(5, 1, Command.STATUS)
    for _ in range(100):
        assert decoder.feed(b"\x07" * 99) == []
        assert decoder.buffered <= MAX_WIRE_BYTES
    assert decoder.feed(good.to_wire()) == [good]
    assert heard == [("framing", "more than 260 bytes without an end")]


frames = st.builds(
    request,
    st.integers(1, 0xF7),
    st.integers(0, 0x7FFF),
    st.sampled_from(Command),
    st.binary(max_size=MAX_PAYLOAD),
) | st.builds(
    Frame,
    st.integers(1, 0xF7),
    st.integers(0x8000, 0xFFFF),
    st.sampled_from(Event),
    st.binary(max_size=MAX_PAYLOAD),
    flags=st.just(EVENT),
)


@settings(max_examples=100, deadline=None)
@given(st.lists(frames, max_size=5), st.lists(st.integers(1, 40), min_size=1, max_size=40))
def test_frames_are_found_in_pieces_of_any_size(sent, sizes):
    stream = b"".join(frame.to_wire() for frame in sent)
    decoder, found = FrameDecoder(ignore), []
    while stream:
        size = sizes[len(stream) % len(sizes)]
        found += decoder.feed(stream[:size])
        stream = stream[size:]
    assert found == sent
    assert decoder.buffered == 0


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(max_size=300), max_size=8), frames)
def test_no_bytes_break_the_decoder_and_a_frame_is_found_behind_them(pieces, frame):
    decoder = FrameDecoder(ignore)
    for piece in pieces:
        decoder.feed(piece)
        assert decoder.buffered <= MAX_WIRE_BYTES
    assert decoder.feed(frame.to_wire())[-1] == frame


READERS = [
    Frame.from_bytes,
    Frame.from_wire,
    Token.from_bytes,
    payloads.LogPage.from_bytes,
    payloads.decode_config,
    *(kind.from_bytes for kind in payloads.Payload.__subclasses__()),
]


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(READERS), st.binary(max_size=80))
def test_reading_any_bytes_raises_only_protocol_errors(read, data):
    with contextlib.suppress(ProtocolError):
        read(data)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(payloads.Payload.__subclasses__()), st.data())
def test_every_payload_comes_back(kind, data):
    raw = data.draw(st.binary(min_size=_size(kind), max_size=_size(kind)))
    assert kind.from_bytes(raw).to_bytes() == raw
    with pytest.raises(ProtocolError):
        kind.from_bytes(raw + b"\0")


def _size(kind):
    return struct.calcsize(kind.LAYOUT)


def test_a_value_that_does_not_fit_is_not_written():
    with pytest.raises(ProtocolError) as caught:
        payloads.Arm(42, 2, 256).to_bytes()
    assert caught.value.side == "local"
    with pytest.raises(ProtocolError):
        payloads.encode_config({1: bytes(256)})
    with pytest.raises(ProtocolError):
        payloads.encode_config({1: bytes(150), 2: bytes(150)})


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.integers(0, 255), st.binary(max_size=20), max_size=8))
def test_settings_come_back(values):
    assert payloads.decode_config(payloads.encode_config(values)) == values


@pytest.mark.parametrize("data", ["01", "01 05 00", "01 01 00 01 01 00"])
def test_settings_that_are_cut_or_double_are_refused(data):
    with pytest.raises(ProtocolError):
        payloads.decode_config(bytes.fromhex(data))


# The numbers of the protocol, once more and by hand: a number that moves is another protocol.
NUMBERS = {
    Command: "HELLO 1 STATUS 2 SELF_TEST 3 SET_CONFIG 4 GET_CONFIG 5 POLL_EVT E CHALLENGE F AUTHORIZE 10 ARM 11 START 12 "
    "ABORT 13 DISPENSE 14 DISARM 15 SAMPLE_GET 20 SAMPLE_SET 21 COUNTERS 30 LOG_READ 31 TIME_SYNC 40 PING 7F",
    Event: "PUFF 81 STATE 82 FAULT 83 SESSION_END 84 SAMPLE_CHANGED 85 TAMPER 86",
    State: "BOOT 0 IDLE 1 AUTHORIZED 2 ARMED 3 HEATING 4 READY 5 PUFFING 6 COOLDOWN 7 PURGE 8 FAULT 9 LOCKED A",
    Status: "OK 0 UNKNOWN_CMD 1 BAD_VERSION 2 BAD_LENGTH 3 BAD_PARAM 4 BUSY 5 WRONG_STATE 10 NO_SESSION 11 "
    "NOT_AUTHORIZED 20 TOKEN_BAD 21 TOKEN_EXPIRED 22 NONCE_USED 23 NO_SAMPLE 30 SAMPLE_EXPIRED 31 QUOTA 32 "
    "OVER_TEMP 40 AIRFLOW 41 DOOR_OPEN 42 HEATER_OPEN 43 SENSOR 44 LOCKOUT 4F",
    Capability: "HEAT 1 PUFF_SENSOR 2 IGNITER 4 STICK_DISPENSER 8 EXHAUST 10 SAMPLE_RFID 20",
    Flag: "RESP 1 EVENT 2 ACK_REQ 4 RETRY 8",
}


@pytest.mark.parametrize("kind", NUMBERS, ids=lambda kind: kind.__name__)
def test_numbers_are_the_protocols(kind):
    words = NUMBERS[kind].split()
    assert {member.name: member.value for member in kind} == {
        name: int(value, 16) for name, value in zip(words[::2], words[1::2], strict=True)
    }


@pytest.mark.parametrize("command", Command)
def test_only_what_leads_to_a_trial_or_changes_the_unit_acts(command):
    frame = request(5, 1, command, TOKEN if command is Command.AUTHORIZE else b"")
    named = {Command.START, Command.DISPENSE, Command.ARM, Command.AUTHORIZE, Command.SET_CONFIG, Command.SAMPLE_SET}
    assert FAMILY.acts(frame) is (command in named)
    assert not FAMILY.acts(replace(frame, flags=RESP))
    assert command.name in FAMILY.describe(frame)


def test_a_line_of_the_trace_holds_no_token_and_no_staff_number():
    line = describe(request(5, 3, Command.AUTHORIZE, TOKEN))
    assert line == "AUTHORIZE to unit 5, 0003"


def test_the_picture_of_the_states_is_drawn_from_the_table(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(ROOT / "docs/images")
    import make_trial_ptp

    assert (ROOT / "docs/images/trial_ptp.svg").read_text() == make_trial_ptp.svg(), (
        "run: python docs/images/make_trial_ptp.py"
    )
