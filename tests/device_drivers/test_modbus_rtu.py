"""Modbus RTU: golden frames, replies found by their exact shape, and a weight transmitter over them.

Marks of the golden frames: V recomputed and public, S stated by a source, C computed by a stated rule.
"""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device_drivers.capabilities import WeightSample
from device_drivers.errors import MisconfiguredError, ProtocolError, UnavailableError
from device_drivers.modbus_rtu import WeightTransmitter, load_profile, pdu, reading
from device_drivers.modbus_rtu.codec import Frame, FrameDecoder, ReplyParser, crc16, is_sealed, seal
from device_drivers.modbus_rtu.pdu import (
    Read,
    Refusal,
    Values,
    WriteCoil,
    WriteCoils,
    WriteRegister,
    WriteRegisters,
    Written,
)
from tests.device_drivers.twins import LINES, ScaleTwin, Wire, bus_on, echoing, modbus_crc, perfect
from tests.device_drivers.virtual_time import in_virtual_time

# mark, request, its meaning, reply, its meaning
GOLDEN = [
    ("V", "01 05 00 00 FF 00 8C 3A", WriteCoil(0, True), "01 05 00 00 FF 00 8C 3A", WriteCoil(0, True)),
    ("V", "01 05 00 00 00 00 CD CA", WriteCoil(0, False), "01 05 00 00 00 00 CD CA", WriteCoil(0, False)),
    ("S", "01 05 00 01 FF 00 DD FA", WriteCoil(1, True), "01 05 00 01 FF 00 DD FA", WriteCoil(1, True)),
    ("S", "01 05 00 01 00 00 9C 0A", WriteCoil(1, False), "01 05 00 01 00 00 9C 0A", WriteCoil(1, False)),
    ("S", "01 05 00 02 FF 00 2D FA", WriteCoil(2, True), "01 05 00 02 FF 00 2D FA", WriteCoil(2, True)),
    ("S", "01 05 00 03 FF 00 7C 3A", WriteCoil(3, True), "01 05 00 03 FF 00 7C 3A", WriteCoil(3, True)),
    ("V", "01 01 00 00 00 08 3D CC", Read(1, 0, 8), "01 01 01 41 91 B8", Values(1, b"\x41")),
    ("C", "01 0F 00 00 00 08 01 FF BE D5", WriteCoils(0, (True,) * 8), "01 0F 00 00 00 08 54 0D", Written(15, 0, 8)),
    ("C", "01 0F 00 00 00 08 01 00 FE 95", WriteCoils(0, (False,) * 8), "01 0F 00 00 00 08 54 0D", Written(15, 0, 8)),
    ("C", "01 0F 00 00 00 04 01 0F 7E 92", WriteCoils(0, (True,) * 4), None, None),
    ("C", "01 02 00 00 00 08 79 CC", Read(2, 0, 8), None, None),
    ("V", "01 06 00 00 04 D2 0B 57", WriteRegister(0, 1234), "01 06 00 00 04 D2 0B 57", WriteRegister(0, 1234)),
    ("C", None, Read(3, 9, 1), "01 83 02 C0 F1", Refusal(3, 2)),
    ("V", "01 03 00 50 00 02 C4 1A", Read(3, 80, 2), "01 03 04 00 00 00 84 FA 50", Values(3, b"\0\0\0\x84")),  # 132
    (
        "V",
        "01 03 00 52 00 02 65 DA",
        Read(3, 82, 2),
        "01 03 04 FF FF C1 EF EA 0B",
        Values(3, b"\xff\xff\xc1\xef"),
    ),  # -15889
    ("V", "01 03 00 08 00 01 05 C8", Read(3, 8, 1), "01 03 02 08 02 3E 45", Values(3, b"\x08\x02")),  # peak, 2 decimals
    ("V", "01 03 00 1E 00 02 A4 0D", Read(3, 30, 2), "01 03 04 00 00 01 62 7A 4A", Values(3, b"\0\0\x01\x62")),  # 354
    ("C", "01 03 00 50 00 02 C4 1A", Read(3, 80, 2), "01 03 04 00 00 04 D2 78 AE", Values(3, b"\0\0\x04\xd2")),  # 1234
    (
        "C",
        "01 03 00 50 00 02 C4 1A",
        Read(3, 80, 2),
        "01 03 04 FF FF FF F4 BA 60",
        Values(3, b"\xff\xff\xff\xf4"),
    ),  # -12
    ("V", "01 10 00 00 00 01 02 00 02 27 91", WriteRegisters(0, (2,)), "01 10 00 00 00 01 01 C9", Written(16, 0, 1)),
    (
        "V",
        "01 04 00 01 00 02 20 0B",
        Read(4, 1, 2),
        "01 04 04 01 31 02 22 2A CE",
        Values(4, b"\x01\x31\x02\x22"),
    ),  # 30.5, 54.6
]
# A public document prints this for "all four on"; its check sum is of something else.
PRINTED_WRONG = "01 0F 00 00 00 04 01 0F B5 CC"


def raw(text: str) -> bytes:
    return bytes.fromhex(text)


def ignore(kind: str, detail: str) -> None:
    pass


@pytest.mark.parametrize(("mark", "sent", "request_pdu", "reply", "reply_pdu"), GOLDEN)
def test_golden_frames(mark, sent, request_pdu, reply, reply_pdu):
    question = Frame(1, request_pdu)
    if sent is not None:
        assert question.to_bytes() == raw(sent)
        assert Frame.request_from_bytes(raw(sent)) == question
        assert FrameDecoder(ignore, from_host=True).feed(raw(sent)) == [question]
    if reply is not None:
        answer = Frame(1, reply_pdu)
        assert answer.to_bytes() == raw(reply)
        assert Frame.reply_from_bytes(raw(reply)) == answer
        assert FrameDecoder(ignore, from_host=False).feed(raw(reply)) == [answer]
        assert ReplyParser(question, ignore).feed(raw(reply)) == reply_pdu


def test_a_check_sum_that_a_public_document_prints_wrong():
    assert not is_sealed(raw(PRINTED_WRONG))
    with pytest.raises(ProtocolError) as caught:
        Frame.request_from_bytes(raw(PRINTED_WRONG))
    assert caught.value.side == "remote"
    assert FrameDecoder(ignore, from_host=True).feed(raw(PRINTED_WRONG)) == []


def test_a_reply_that_a_public_page_prints_with_a_byte_too_many():
    """The check sum of a whole frame and a zero is right again: the length tells."""
    with pytest.raises(ProtocolError):
        Frame.reply_from_bytes(raw("01 03 04 00 00 00 84 FA 50 00"))


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300))
def test_the_check_sum_agrees_with_one_written_differently(data):
    assert crc16(data) == modbus_crc(data)


@pytest.mark.parametrize(
    ("data", "decimals", "weight_g"),
    [
        ("00 00 00 84", 2, 1.32),
        ("FF FF C1 EF", 0, -15889.0),
        ("00 00 04 D2", 2, 12.34),
        ("FF FF FF F4", 1, -1.2),
        ("7F FF FF FF", 0, 2147483647.0),
        ("80 00 00 00", 7, -214.7483648),
    ],
)
def test_weights(data, decimals, weight_g):
    known = load_profile("weight_transmitter")
    (block,) = reading.blocks(known, ["weight"])
    raws = reading.raw_values(known, block, Values(3, raw(data))) | {"decimals": decimals}
    assert reading.measured(known, "weight", raws) == reading.Measured(weight_g, "g")


@pytest.mark.parametrize(
    ("word", "decimals", "told"),
    [
        (0x0802, 2, set()),  # the golden one: peak
        (0x0020, 0, {"unstable"}),
        (0x0011, 1, {"power_on"}),
        (0x0200, 0, {"overload"}),  # load cell
        (0x0040, 0, {"overflow"}),  # converter
        (0x0489, 1, set()),  # trough, zero, sign: no matter
    ],
)
def test_status_words(word, decimals, told):
    known = load_profile("weight_transmitter")
    names = ["decimals", "unstable", "power_on", "overload", "overflow"]
    (block,) = reading.blocks(known, names)
    raws = reading.raw_values(known, block, Values(3, word.to_bytes(2, "big")))
    assert raws["decimals"] == decimals
    assert {name for name in names[1:] if reading.measured(known, name, raws).value} == told


READ = Frame(1, Read(3, 80, 2))
GOOD = "01 03 04 00 00 00 84 FA 50"
ANSWER = Values(3, raw("00 00 00 84"))


@pytest.mark.parametrize("step", [1, 3, 64])
@pytest.mark.parametrize(
    ("heard", "answer"),
    [
        ([GOOD], ANSWER),
        (["01 83 02 C0 F1"], Refusal(3, 2)),
        (["00 FF 01 03", GOOD], ANSWER),  # noise that begins like a reply
        (["01 03 00 50 00 02 C4 1A", GOOD], ANSWER),  # the echo of our own request
        (["01 03 04 00 00 00 85 FA 50", GOOD], ANSWER),  # one wrong bit, then a good one
        (["01 03 02 08 02 3E 45", GOOD], ANSWER),  # a late reply to a shorter question
        (["02 03 04 00 00 00 84 C9 50"], None),  # another device
        ([GOOD[:-3]], None),  # not whole
        (["01 83 02 C0 F2"], None),  # a refusal with a wrong bit
        ([GOOD + "00"], ANSWER),  # a public page prints one byte too many
    ],
)
def test_the_reply_is_found_by_its_shape(heard, answer, step):
    parser = ReplyParser(READ, ignore)
    stream = b"".join(raw(piece) for piece in heard)
    answers = [parser.feed(stream[at : at + step]) for at in range(0, len(stream), step)]
    assert [found for found in answers if found is not None] == ([] if answer is None else [answer])


def test_what_follows_a_reply_is_not_kept():
    parser = ReplyParser(READ, ignore)
    assert parser.feed(raw(GOOD) * 50) == ANSWER
    assert parser.buffered == 0


def test_the_echo_of_a_write_is_not_its_reply():
    """Both begin with the same six bytes."""
    question = Frame(1, WriteRegisters(8, (0,)))
    parser = ReplyParser(question, ignore)
    assert parser.feed(question.to_bytes()) is None
    assert parser.feed(seal(raw("01 10 00 08 00 01"))) == Written(16, 8, 1)


def places(most: int) -> st.SearchStrategy[tuple[int, int]]:
    return st.integers(1, most).flatmap(lambda count: st.tuples(st.integers(0, 0x10000 - count), st.just(count)))


bit_reads = st.builds(lambda function, place: Read(function, *place), st.sampled_from((1, 2)), places(2000))
register_reads = st.builds(lambda function, place: Read(function, *place), st.sampled_from((3, 4)), places(125))
place, word = st.integers(0, 0xFFFF), st.integers(0, 0xFFFF)
writes = st.one_of(
    st.builds(WriteCoil, place, st.booleans()),
    st.builds(WriteRegister, place, word),
    st.builds(WriteCoils, st.integers(0, 0xF000), st.lists(st.booleans(), min_size=1, max_size=1968).map(tuple)),
    st.builds(WriteRegisters, st.integers(0, 0xF000), st.lists(word, min_size=1, max_size=123).map(tuple)),
)
requests = st.one_of(bit_reads, register_reads, writes)
addresses = st.integers(1, 247)


def reply_to(request: pdu.Request, data: st.DataObject) -> pdu.Reply:
    if isinstance(request, Read):
        size = request.data_bytes()
        return Values(request.function, data.draw(st.binary(min_size=size, max_size=size)))
    if isinstance(request, WriteCoils):
        return Written(15, request.first, len(request.on))
    if isinstance(request, WriteRegisters):
        return Written(16, request.first, len(request.values))
    return request


@settings(max_examples=150, deadline=None)
@given(addresses, requests, st.data())
def test_every_question_finds_its_reply_and_both_come_back_from_their_bytes(address, request, data):
    question, answer = Frame(address, request), Frame(address, reply_to(request, data))
    assert is_sealed(question.to_bytes())
    assert len(answer.to_bytes()) == request.reply_bytes() + 3 <= 256
    assert Frame.request_from_bytes(question.to_bytes()) == question
    assert Frame.reply_from_bytes(answer.to_bytes()) == answer
    assert ReplyParser(question, ignore).feed(answer.to_bytes()) == answer.pdu
    refused = Frame(address, Refusal(request.function, 2))
    assert ReplyParser(question, ignore).feed(refused.to_bytes()) == refused.pdu


@settings(max_examples=100, deadline=None)
@given(requests, st.lists(st.binary(max_size=300), max_size=6), st.booleans())
def test_no_bytes_break_a_parser_and_none_pile_up(request, pieces, echo):
    parser = ReplyParser(Frame(1, request), ignore, echo=echo)
    for piece in pieces:
        parser.feed(piece)
        assert parser.buffered < request.reply_bytes() + 3


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300), st.booleans())
def test_any_bytes_are_a_frame_or_a_protocol_error(data, good_sum):
    for read in (Frame.request_from_bytes, Frame.reply_from_bytes):
        with contextlib.suppress(ProtocolError):
            frame = read(seal(data) if good_sum else data)
            assert frame.pdu.to_bytes() == (data[1:] if good_sum else data[1:-2])


@pytest.mark.parametrize(
    "make",
    [
        lambda: Frame(0, Read(3, 0, 1)).to_bytes(),  # everybody at once
        lambda: Frame(248, Read(3, 0, 1)).to_bytes(),
        lambda: Read(5, 0, 1),
        lambda: Read(3, 0, 0),
        lambda: Read(3, 0, 126),
        lambda: Read(1, 0, 2001),
        lambda: Read(3, 0xFFFF, 2),
        lambda: Read(3, -1, 2),
        lambda: WriteCoil(0x10000, True),
        lambda: WriteRegister(0, -1),
        lambda: WriteCoils(0, ()),
        lambda: WriteCoils(0, (True,) * 1969),
        lambda: WriteRegisters(0, ()),
        lambda: WriteRegisters(0, (0x10000,)),
        lambda: WriteRegisters(0, (0,) * 124),
    ],
)
def test_questions_that_cannot_be_asked(make):
    with pytest.raises(ProtocolError) as caught:
        make()
    assert caught.value.side == "local"


def test_the_echo_of_a_switch_is_taken_off_by_its_position():
    question = Frame(1, WriteCoil(0, True))
    sent = question.to_bytes()
    parser = ReplyParser(question, ignore, echo=True)
    assert parser.feed(sent[:3]) is None
    assert parser.feed(sent[3:]) is None  # the echo is no confirmation
    assert parser.feed(sent) == question.pdu
    faults = []
    deaf = ReplyParser(question, lambda kind, detail: faults.append(kind), echo=True)
    assert deaf.feed(b"\x00" + sent + sent) is None
    assert faults == ["framing"]


@pytest.mark.parametrize(
    ("raw_weight", "status", "sample"),
    [
        (12340, 0x0001, WeightSample(1234.0, stable=True)),
        (-12, 0x0021, WeightSample(-1.2, stable=False)),
        (0, 0x0011, WeightSample(0.0, stable=True, power_on=True)),
        (99999, 0x0201, WeightSample(9999.9, stable=True, overload=True)),
    ],
)
def test_a_sample(raw_weight, status, sample):
    @in_virtual_time
    async def scenario() -> None:
        async with bus_on(Wire(ScaleTwin(raw=raw_weight, status=status))) as bus:
            assert await WeightTransmitter(bus, address=1).sample() == sample

    scenario()


@pytest.mark.parametrize("line", [perfect, echoing])
def test_power_up_stays_until_it_is_acknowledged(line):
    @in_virtual_time
    async def scenario() -> None:
        wire = Wire(ScaleTwin(status=0x0011), line=line)
        async with bus_on(wire) as bus:
            scale = WeightTransmitter(bus, address=1)
            assert (await scale.sample()).power_on
            assert (await scale.sample()).power_on
            await scale.acknowledge_power_on()
            assert not (await scale.sample()).power_on
        assert raw("01 10 00 08 00 01 02 00 00 A7 18") in wire.frames

    scenario()


@in_virtual_time
async def test_both_halves_of_a_sample_are_next_to_each_other():
    """Four scales ask at once: nobody's status comes between another's status and weight."""
    wire = Wire(*(ScaleTwin(address) for address in (1, 2, 3, 4)))
    async with bus_on(wire) as bus:
        await asyncio.gather(*(WeightTransmitter(bus, address=address).sample() for address in (1, 2, 3, 4)))
    assert [frame[0] for frame in wire.frames] == [1, 1, 2, 2, 3, 3, 4, 4]


@in_virtual_time
async def test_a_silent_scale_is_unavailable_and_its_late_status_is_not_believed():
    twin = ScaleTwin(raw=10, status=0x0001)
    wire = Wire(twin)
    async with bus_on(wire) as bus:
        scale = WeightTransmitter(bus, address=1)
        twin.silent = True
        with pytest.raises(UnavailableError):
            await scale.sample()
        twin.silent = False
        twin.status = 0x0021  # a hand leans on the shelf now
        stable_long_ago = seal(raw("01 03 02 00 01"))
        asyncio.get_running_loop().call_later(0.001, wire.deliver, stable_long_ago)  # inside the next turn
        assert not (await scale.sample()).stable


@in_virtual_time
async def test_a_refusal_is_unavailable_and_named():
    faults: list[tuple[str, str]] = []
    twin = ScaleTwin()
    twin.exception = 2
    async with bus_on(Wire(twin), faults) as bus:
        scale = WeightTransmitter(bus, address=1)
        with pytest.raises(UnavailableError, match="exception 2"):
            await scale.sample()
        with pytest.raises(UnavailableError, match="exception 2"):
            await scale.acknowledge_power_on()
    assert faults == [("unexpected", "address 1 refuses with exception 2")] * 2


@pytest.mark.parametrize("address", [0, 248])
def test_a_wrong_address_is_refused(address):
    @in_virtual_time
    async def scenario() -> None:
        async with bus_on(Wire()) as bus:
            with pytest.raises(MisconfiguredError):
                WeightTransmitter(bus, address=address)

    scenario()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("line", LINES)
def test_every_sample_over_a_bad_line_is_true_or_none(line, seed):
    """The weight on the scale changes with every sample; what is read is the weight of now or an error."""

    @in_virtual_time
    async def scenario() -> None:
        twin = ScaleTwin()
        good = 0
        async with bus_on(Wire(twin, line=line, seed=seed)) as bus:
            scale = WeightTransmitter(bus, address=1)
            for n in range(40):
                twin.raw = n * 10
                try:
                    sample = await scale.sample()
                except UnavailableError:
                    await asyncio.sleep(1)  # longer than the slowest reply of these lines
                    continue
                assert sample == WeightSample(float(n), stable=True)
                good += 1
        assert good >= 10

    scenario()
