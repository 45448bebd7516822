"""MDB blocks: golden words in both codings, the page's wrong last byte, any bytes at all, and the machine's tables."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device_drivers.errors import MisconfiguredError, ProtocolError, RefusedError
from device_drivers.mdb import age, cashless
from device_drivers.mdb.age import AgeVerdict, AgeVerifier, age_message_of
from device_drivers.mdb.cashless import ACTING, Order, message_of, order_of
from device_drivers.mdb.codec import (
    MOST_BUFFERED,
    Command,
    DeviceControl,
    DeviceDecoder,
    HostControl,
    HostDecoder,
    Reply,
    ReplyParser,
)
from device_drivers.mdb.driver import CashlessReader
from device_drivers.mdb.family import acts, describe
from device_drivers.mdb.line import MdbLine
from device_drivers.mdb.machine import (
    ALLOWED,
    NON_RESPONSE_S,
    ON_ACKNOWLEDGED,
    ON_HEARD,
    ON_WRITTEN,
    OPEN,
    CashlessMachine,
    State,
)
from device_drivers.mdb.words import CODINGS, decode, encode

CONFIG = cashless.ReaderConfig(level=3, country=0x1156, scale=1, decimals=2, response_s=5, options=0)
# Marks: V its check sum holds on a public page, C computed from a stated rule, K general knowledge, ? uncertain.
HOST = [
    # mark, words, frame
    ("C", "110 010", cashless.ordered(Order.RESET, 0x10)),
    ("C", "112 012", cashless.ordered(Order.POLL, 0x10)),
    ("C", "111 000 003 000 000 000 014", cashless.setup_config(0x10)),
    ("C", "111 001 0FF 0FF 000 000 010", cashless.setup_prices(0x10)),
    ("C", "114 001 015", cashless.ordered(Order.READER_ENABLE, 0x10)),
    ("C", "114 000 014", cashless.ordered(Order.READER_DISABLE, 0x10)),
    ("C", "113 000 001 0F4 000 003 00B", cashless.vend_request(0x10, 500, 3)),
    ("C", "113 002 000 003 018", cashless.vend_success(0x10, 3)),
    ("C", "113 003 016", cashless.ordered(Order.VEND_FAILURE, 0x10)),
    ("C", "113 004 017", cashless.ordered(Order.SESSION_COMPLETE, 0x10)),
    ("C", "113 001 014", cashless.ordered(Order.VEND_CANCEL, 0x10)),
    ("C", "16F 0FF 005 006 012 044 052 041 056 050 008", age.switch_on(18)),
    ("K", "160 060", cashless.ordered(Order.RESET, 0x60)),
    ("K", "000", HostControl.ACK),
    ("K", "0AA", HostControl.RET),
    ("K", "0FF", HostControl.NAK),
]
DEVICE = [
    # mark, words, frame, meaning
    ("C", "001 003 011 056 001 002 005 000 173", Reply(bytes.fromhex("01 03 11 56 01 02 05 00")), CONFIG),
    ("C", "003 003 0E8 1EE", Reply(bytes.fromhex("03 03 E8")), cashless.BeginSession(1000)),
    ("C", "005 001 0F4 1FA", Reply(bytes.fromhex("05 01 F4")), cashless.VendApproved(500)),
    ("C", "006 106", Reply(b"\x06"), cashless.VendDenied()),
    ("C", "007 107", Reply(b"\x07"), cashless.EndSession()),
    ("K", "000 100", Reply(b"\x00"), cashless.JustReset()),
    ("K", "100", DeviceControl.ACK, None),
    ("K", "1FF", DeviceControl.NAK, None),
]
AGE = [
    # mark, words, meaning
    ("V", "0FF 005 006 000 044 052 041 056 050 187", age.Switched(0)),
    ("C", "0FF 006 007 000 000 044 052 041 056 053 18C", AgeVerdict.NO_AGE),
    ("C", "0FF 006 007 00E 010 044 052 041 056 053 1AA", AgeVerdict.TOO_YOUNG),
    ("C", "0FF 006 007 01E 010 044 052 041 056 053 1BA", AgeVerdict.ACCEPTED),
    ("K", "000 100", age.Started()),
]
# The public page prints 60 as the last byte of DRAVP. Its own reply checks, this does not.
WRONG_PAGE = "16F 0FF 005 006 012 044 052 041 056 050 060"


def deaf(kind, detail):
    pass


def words(text):
    return [int(word, 16) for word in text.split()]


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize(("mark", "text", "frame"), HOST, ids=[row[1] for row in HOST])
def test_golden_blocks_of_the_host(mark, text, frame, coding):
    raw = encode(words(text), coding)
    assert frame.to_bytes(coding) == raw
    assert HostDecoder(deaf, coding).feed(raw) == [frame]
    assert HostDecoder(deaf).feed(raw) == [frame]
    if isinstance(frame, Command):
        assert Command.from_bytes(raw, coding) == frame


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize(("mark", "text", "frame", "message"), DEVICE, ids=[row[1] for row in DEVICE])
def test_golden_blocks_of_the_reader(mark, text, frame, message, coding):
    raw = encode(words(text), coding)
    assert frame.to_bytes(coding) == raw
    assert DeviceDecoder(deaf, coding).feed(raw) == [frame]
    assert DeviceDecoder(deaf).feed(raw) == [frame]
    if isinstance(frame, Reply):
        assert message_of(frame.data) == message


@pytest.mark.parametrize(("mark", "text", "message"), AGE, ids=[row[1] for row in AGE])
def test_golden_blocks_of_the_age_device(mark, text, message):
    assert age_message_of(Reply.from_words(words(text)).data) == message


def test_the_golden_bytes_of_the_age_device():
    """As its maker's page writes them, a byte a word; the check sum of DRAVP is the right one, not the page's."""
    asked, answered = bytes.fromhex("6F FF 05 06 12 44 52 41 56 50 08"), bytes.fromhex("FF 05 06 00 44 52 41 56 50 87")
    assert bytes(word & 0xFF for word in age.switch_on(18).to_words()) == asked
    assert bytes(word & 0xFF for word in Reply(answered[:-1]).to_words()) == answered


def test_the_words_of_a_coding_are_what_the_page_shows():
    assert encode(words("110 010"), "words") == bytes.fromhex("01 10 00 10")
    assert encode(words("110 010"), "hex_lines") == b"110 010\r\n"


def test_the_wrong_last_byte_of_the_page_is_refused():
    with pytest.raises(ProtocolError, match="check sum") as caught:
        Command.from_words(words(WRONG_PAGE))
    assert caught.value.side == "remote"
    assert HostDecoder(deaf, "words").feed(encode(words(WRONG_PAGE), "words")) == []
    assert HostDecoder(deaf, "hex_lines").feed(encode(words(WRONG_PAGE), "hex_lines")) == []


def test_only_the_known_value_is_an_adult():
    known = {(0x1E, 0x10): AgeVerdict.ACCEPTED, (0x0E, 0x10): AgeVerdict.TOO_YOUNG, (0, 0): AgeVerdict.NO_AGE}
    for bits in itertools.product(range(256), repeat=2):
        verdict = age_message_of(b"\xff\x06\x07" + bytes(bits) + b"DRAVS")
        assert verdict is known.get(bits, AgeVerdict.UNKNOWN)
        assert verdict.adult is (bits == (0x1E, 0x10))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x01",
        b"\xff",
        b"\xff\x06\x07\x1e\x10DRAVP",
        b"\xff\x06\x08\x1e\x10DRAVS",
        b"\xff\x05\x06\x00DRAVS",
        b"\xff\x06\x07\x1e\x10DRAV",
    ],
)
def test_a_message_of_another_form_says_nothing_of_an_age(data):
    with pytest.raises(ProtocolError):
        age_message_of(data)


@pytest.mark.parametrize("years", [0, 17, 100])
def test_a_child_is_no_adult_by_configuration(years):
    with pytest.raises(MisconfiguredError):
        AgeVerifier(None, minimum_age=years)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Command(0x11, 0).to_words(),
        lambda: Command(0, 2).to_words(),
        lambda: Command(0x10, 8).to_words(),
        lambda: Command(0x10, 3, bytes(35)).to_words(),
        lambda: Reply(b"").to_words(),
        lambda: Reply(bytes(36)).to_words(),
        lambda: encode([0x200], "words"),
        lambda: cashless.vend_request(0x10, 65536, 1),
        lambda: cashless.vend_request(0x10, 1, -1),
        lambda: cashless.expansion_id(0x10, maker="LONG"),
        lambda: cashless.expansion_id(0x10, serial="水"),
        lambda: age.switch_on(0),
    ],
)
def test_what_the_bus_does_not_have_is_not_written(make):
    with pytest.raises(ProtocolError) as caught:
        make()
    assert caught.value.side == "local"


@pytest.mark.parametrize("text", ["", "110", "010 110", "110 011", "110 110", "113 002 000 003 019"])
def test_what_is_no_block_of_a_host_is_refused(text):
    with pytest.raises(ProtocolError) as caught:
        Command.from_words(words(text))
    assert caught.value.side == "remote"


@pytest.mark.parametrize("text", ["", "100", "006 006", "106 106", "006 107"])
def test_what_is_no_block_of_a_peripheral_is_refused(text):
    with pytest.raises(ProtocolError):
        Reply.from_words(words(text))


@pytest.mark.parametrize(
    ("data", "coding"),
    [
        (b"\x01", "words"),
        (b"\x02\x00", "words"),
        (b"11", "hex_lines"),
        (b"110010", "hex_lines"),
        (b"200\r\n", "hex_lines"),
    ],
)
def test_bytes_that_are_no_words_are_refused(data, coding):
    with pytest.raises(ProtocolError):
        decode(data, coding)


@pytest.mark.parametrize("size", range(1, 8))
def test_messages_that_are_too_short_are_refused(size):
    with pytest.raises(ProtocolError):
        message_of(bytes((1, *range(size - 1))))


def test_a_message_that_is_not_known_changes_nothing():
    assert message_of(b"\x7f\x01") == cashless.UnknownMessage(0x7F)
    machine = CashlessMachine(state=State.APPROVED, must_reset=False)
    machine.heard(message_of(b"\x7f"))
    assert machine.state is State.APPROVED


def test_a_message_keeps_no_card_number_and_no_text():
    begun = message_of(bytes.fromhex("03 03 E8 12 34 56 78 00 00 00"))
    assert begun == cashless.BeginSession(1000)
    assert message_of(b"\x02\x10HELLO LI MING") == cashless.DisplayRequest(0x10)
    assert message_of(bytes.fromhex("03 FF FF")) == cashless.BeginSession(None)


def parser(**kwargs):
    settings_ = {"coding": "words", "echo": False, "on_fault": deaf} | kwargs
    return ReplyParser(bytes.fromhex("01 12 00 12"), **settings_)


def test_an_acknowledgement_after_noise_is_not_believed_and_a_block_is():
    """One word without a check sum stands in every other stream; see `01 00` in the middle of a configuration."""
    assert parser().feed(b"\x01\x00") is DeviceControl.ACK
    assert parser().feed(b"\x47\x01\x00") is None
    assert parser().feed(encode(words(DEVICE[0][1]), "words")[1:]) != DeviceControl.ACK
    assert parser().feed(b"\x47" + encode(words("006 106"), "words")) == Reply(b"\x06")


def test_an_echo_is_taken_off_by_position():
    assert parser(echo=True).feed(bytes.fromhex("01 12 00 12 01 00")) is DeviceControl.ACK
    deaf_parser = parser(echo=True)
    assert deaf_parser.feed(bytes.fromhex("01 00")) is None
    assert deaf_parser.feed(bytes.fromhex("01 00")) is None


commands = st.builds(Command, st.integers(1, 31).map(lambda n: n << 3), st.integers(0, 7), st.binary(max_size=34))
replies = st.builds(Reply, st.binary(min_size=1, max_size=35))


@settings(max_examples=200, deadline=None)
@given(commands, replies, st.sampled_from(CODINGS))
def test_round_trip(command, reply, coding):
    assert Command.from_bytes(command.to_bytes(coding), coding) == command
    assert Reply.from_bytes(reply.to_bytes(coding), coding) == reply
    assert DeviceDecoder(deaf, coding).feed(reply.to_bytes(coding)) == [reply]


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.one_of(st.binary(max_size=200), st.text("0123456789ABCDEF \r\n", max_size=200).map(str.encode)), max_size=6
    )
)
def test_no_bytes_break_a_decoder(pieces):
    for decoder in [kind(deaf, coding) for kind in (HostDecoder, DeviceDecoder) for coding in (None, *CODINGS)]:
        for piece in pieces:
            for frame in decoder.feed(piece):
                assert describe(frame)
                acts(frame)
            assert decoder.buffered <= MOST_BUFFERED


pieces = st.one_of(
    st.binary(max_size=6),
    st.sampled_from([encode(words(row[1]), coding) for row in (*HOST, *DEVICE, *AGE) for coding in CODINGS]),
    st.sampled_from([b"\r\n", b"\x00\x00", b"\x01", b"113 000", b"\x01\x6f\x00\xff\x00\x05\x00\xff"]),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(pieces, max_size=10).map(b"".join), st.integers(0, 60), st.integers(0, 7))
def test_any_bytes_give_the_same_frames_however_they_are_cut(data, at, bit):
    spoilt = bytearray(data)
    if at < len(spoilt):
        spoilt[at] ^= 1 << bit
    for stream in (data, bytes(spoilt)):
        for kind in (HostDecoder, DeviceDecoder):
            for coding in (None, *CODINGS):
                one_by_one = kind(deaf, coding)
                found = [frame for byte in stream for frame in one_by_one.feed(bytes((byte,)))]
                assert found == kind(deaf, coding).feed(stream)


def test_the_first_control_after_noise_is_not_believed_and_the_next_is():
    decoder = DeviceDecoder(deaf, "words")
    assert decoder.feed(b"\x47\x01\x00") == []
    assert decoder.feed(b"\x01\x00") == [DeviceControl.ACK]
    assert decoder.skipped == 2


def test_what_lets_money_go_is_marked():
    assert {order_of(frame) for _, _, frame in HOST if acts(frame)} == {
        Order.RESET,
        Order.VEND_REQUEST,
        Order.VEND_SUCCESS,
        Order.VEND_FAILURE,
        Order.VEND_CANCEL,
        Order.SESSION_COMPLETE,
    }
    assert acts(Command(0x10, 3, b"\x77"))  # a vend that is not known is none to try
    assert acts(Command(0x58, 2, b"")) is False
    assert acts(Command(0x58, 3, b"\x01"))  # a hopper pays out


# The machine.
TABLE = [
    # state, what happens, state afterwards
    (State.INACTIVE, ("heard", CONFIG), State.DISABLED),
    (State.DISABLED, ("acked", Order.READER_ENABLE), State.ENABLED),
    (State.ENABLED, ("acked", Order.READER_DISABLE), State.DISABLED),
    (State.ENABLED, ("heard", cashless.BeginSession(5)), State.SESSION_IDLE),
    (State.SESSION_IDLE, ("written", Order.VEND_REQUEST), State.VEND),
    (State.VEND, ("heard", cashless.VendApproved(5)), State.APPROVED),
    (State.VEND, ("heard", cashless.VendDenied()), State.SESSION_IDLE),
    (State.APPROVED, ("acked", Order.VEND_SUCCESS), State.SESSION_IDLE),
    (State.APPROVED, ("acked", Order.VEND_FAILURE), State.SESSION_IDLE),
    (State.SESSION_IDLE, ("written", Order.REVALUE_REQUEST), State.REVALUE),
    (State.REVALUE, ("heard", cashless.RevalueApproved()), State.SESSION_IDLE),
    (State.REVALUE, ("heard", cashless.RevalueDenied()), State.SESSION_IDLE),
    (State.SESSION_IDLE, ("written", Order.SESSION_COMPLETE), State.CLOSING),
    (State.CLOSING, ("heard", cashless.EndSession()), State.ENABLED),
    (State.SESSION_IDLE, ("heard", cashless.EndSession()), State.ENABLED),
    # what changes nothing
    (State.SESSION_IDLE, ("heard", cashless.VendApproved(5)), State.SESSION_IDLE),
    (State.APPROVED, ("heard", cashless.VendDenied()), State.APPROVED),
    (State.APPROVED, ("heard", cashless.EndSession()), State.APPROVED),
    (State.APPROVED, ("written", Order.VEND_SUCCESS), State.APPROVED),
    (State.VEND, ("heard", cashless.SessionCancelRequest()), State.VEND),
    (State.VEND, ("heard", cashless.Malfunction(0x10)), State.VEND),
    (State.DISABLED, ("heard", cashless.BeginSession(5)), State.DISABLED),
    (State.DISABLED, ("written", Order.READER_ENABLE), State.DISABLED),
]


def at(state):
    return CashlessMachine(state=state, must_reset=False)


@pytest.mark.parametrize(("state", "what", "after"), TABLE)
def test_the_table(state, what, after):
    machine = at(state)
    kind, value = what
    {"heard": machine.heard, "written": machine.written, "acked": machine.acknowledged}[kind](value)
    assert machine.state is after
    assert machine.unresolved == 0


def test_the_table_here_is_the_whole_of_it():
    moves = {
        (state, what[0], what[1] if isinstance(what[1], Order) else type(what[1]))
        for state, what, after in TABLE
        if state is not after
    }
    assert moves == (
        {(state, "written", order) for state, order in ON_WRITTEN}
        | {(state, "acked", order) for state, order in ON_ACKNOWLEDGED}
        | {(state, "heard", kind) for state, kind in ON_HEARD}
    )


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("loss", ["just reset", "out of sequence", "our reset", "silence"])
def test_every_other_way_out_of_a_vend_leaves_it_unresolved(state, loss):
    machine = at(state)
    {
        "just reset": lambda: machine.heard(cashless.JustReset()),
        "out of sequence": lambda: machine.heard(cashless.OutOfSequence(None)),
        "our reset": lambda: machine.written(Order.RESET),
        "silence": lambda: machine.silent(100.0, 100.0 + NON_RESPONSE_S),
    }[loss]()
    assert machine.unresolved == (state in OPEN)
    assert machine.state is State.INACTIVE
    assert machine.must_reset or state is State.INACTIVE


def test_silence_shorter_than_the_limit_loses_nothing():
    machine = at(State.VEND)
    machine.answered()
    assert not machine.silent(100.0, 100.0 + NON_RESPONSE_S - 0.001)
    assert machine.state is State.VEND


def test_silence_begins_with_the_first_question_without_an_answer_and_ends_with_an_answer():
    machine = at(State.VEND)
    assert not machine.silent(100.0, 100.25)
    machine.answered()
    assert not machine.silent(104.0, 104.25)
    assert not machine.silent(108.0, 108.25)
    assert machine.state is State.VEND
    assert machine.silent(108.8, 104.0 + NON_RESPONSE_S)
    assert (machine.state, machine.unresolved) == (State.INACTIVE, 1)


@pytest.mark.parametrize("state", State)
def test_out_of_turn_is_refused_before_it_is_sent(state):
    machine = at(state)
    for order in Order:
        if order in ALLOWED[state]:
            machine.check(order)
            continue
        with pytest.raises(RefusedError, match=state.value):
            machine.check(order)


def test_a_lost_reader_is_only_reset_or_polled():
    machine = CashlessMachine()
    for order in Order:
        if order in (Order.RESET, Order.POLL):
            machine.check(order)
        else:
            with pytest.raises(RefusedError, match="reset first"):
                machine.check(order)


def test_money_moves_only_in_a_session():
    """Of the orders that let money go, only a cash sale, RESET and a call-off stand outside of one."""
    outside = ALLOWED[State.INACTIVE] | ALLOWED[State.DISABLED] | ALLOWED[State.ENABLED]
    assert outside & ACTING == {Order.RESET, Order.CASH_SALE, Order.READER_CANCEL}


def test_addresses_and_codings_are_checked():
    with pytest.raises(MisconfiguredError, match="0x10 or 0x60"):
        CashlessReader(None, address=0x08)
    with pytest.raises(MisconfiguredError, match="coding"):
        MdbLine(None, coding="morse")
