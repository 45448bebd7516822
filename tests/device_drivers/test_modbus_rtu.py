"""Modbus RTU: golden frames, replies found by their exact shape, and a weight transmitter over them."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device_drivers.capabilities import WeightSample
from device_drivers.errors import MisconfiguredError, ProtocolError, UnavailableError
from device_drivers.modbus_rtu import WeightTransmitter
from device_drivers.modbus_rtu.codec import ReadHolding, Refusal, ReplyParser, WriteRegisters, crc16, is_sealed, seal
from device_drivers.modbus_rtu.weight_transmitter import Status, weight_from_registers
from tests.device_drivers.twins import LINES, ScaleTwin, Wire, bus_on, echoing, modbus_crc, perfect
from tests.device_drivers.virtual_time import in_virtual_time

# Frames of the whole family, for the check sum. V recomputed and public, C computed, S stated by a source.
SEALED = [
    ("V", "01 05 00 00 FF 00 8C 3A"),
    ("V", "01 05 00 00 00 00 CD CA"),
    ("S", "01 05 00 01 FF 00 DD FA"),
    ("S", "01 05 00 01 00 00 9C 0A"),
    ("S", "01 05 00 02 FF 00 2D FA"),
    ("S", "01 05 00 03 FF 00 7C 3A"),
    ("V", "01 01 00 00 00 08 3D CC"),
    ("V", "01 01 01 41 91 B8"),
    ("C", "01 0F 00 00 00 08 01 FF BE D5"),
    ("C", "01 0F 00 00 00 08 01 00 FE 95"),
    ("C", "01 0F 00 00 00 08 54 0D"),
    ("C", "01 0F 00 00 00 04 01 0F 7E 92"),
    ("C", "01 02 00 00 00 08 79 CC"),
    ("V", "01 06 00 00 04 D2 0B 57"),
    ("C", "01 83 02 C0 F1"),
]

GOLDEN_READS = [
    # mark, request, reply, question, data of the reply
    ("V", "01 03 00 50 00 02 C4 1A", "01 03 04 00 00 00 84 FA 50", ReadHolding(1, 80, 2), "00 00 00 84"),  # 132
    ("V", "01 03 00 52 00 02 65 DA", "01 03 04 FF FF C1 EF EA 0B", ReadHolding(1, 82, 2), "FF FF C1 EF"),  # -15889
    ("V", "01 03 00 08 00 01 05 C8", "01 03 02 08 02 3E 45", ReadHolding(1, 8, 1), "08 02"),  # peak, 2 decimals
    ("V", "01 03 00 1E 00 02 A4 0D", "01 03 04 00 00 01 62 7A 4A", ReadHolding(1, 30, 2), "00 00 01 62"),  # 354
    ("C", "01 03 00 50 00 02 C4 1A", "01 03 04 00 00 04 D2 78 AE", ReadHolding(1, 80, 2), "00 00 04 D2"),  # 1234
    ("C", "01 03 00 50 00 02 C4 1A", "01 03 04 FF FF FF F4 BA 60", ReadHolding(1, 80, 2), "FF FF FF F4"),  # -12
]
GOLDEN_WRITE = ("V", "01 10 00 00 00 01 02 00 02 27 91", "01 10 00 00 00 01 01 C9", WriteRegisters(1, 0, (2,)))


def raw(text: str) -> bytes:
    return bytes.fromhex(text)


def ignore(kind: str, detail: str) -> None:
    pass


@pytest.mark.parametrize(("mark", "text"), SEALED)
def test_check_sums(mark, text):
    assert is_sealed(raw(text))


def test_a_check_sum_that_a_public_document_prints_wrong():
    assert not is_sealed(raw("01 0F 00 00 00 04 01 0F B5 CC"))


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300))
def test_the_check_sum_agrees_with_one_written_differently(data):
    assert crc16(data) == modbus_crc(data)


@pytest.mark.parametrize(("mark", "sent", "reply", "question", "data"), GOLDEN_READS)
def test_golden_reads(mark, sent, reply, question, data):
    assert question.to_bytes() == raw(sent)
    assert ReplyParser(question, ignore).feed(raw(reply)) == raw(data)


def test_golden_write():
    _, sent, reply, question = GOLDEN_WRITE
    assert question.to_bytes() == raw(sent)
    assert ReplyParser(question, ignore).feed(raw(reply)) == b""


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
    assert weight_from_registers(raw(data), decimals) == weight_g


@pytest.mark.parametrize(
    ("word", "status"),
    [
        (0x0802, Status(decimals=2, unstable=False, power_on=False, overload=False)),  # the golden one: peak
        (0x0020, Status(decimals=0, unstable=True, power_on=False, overload=False)),
        (0x0011, Status(decimals=1, unstable=False, power_on=True, overload=False)),
        (0x0200, Status(decimals=0, unstable=False, power_on=False, overload=True)),  # load cell
        (0x0040, Status(decimals=0, unstable=False, power_on=False, overload=True)),  # converter
        (0x0489, Status(decimals=1, unstable=False, power_on=False, overload=False)),  # trough, zero, sign: no matter
    ],
)
def test_status_words(word, status):
    assert Status.from_word(word) == status


READ = ReadHolding(1, 80, 2)
GOOD = "01 03 04 00 00 00 84 FA 50"


@pytest.mark.parametrize("step", [1, 3, 64])
@pytest.mark.parametrize(
    ("heard", "answer"),
    [
        ([GOOD], raw("00 00 00 84")),
        (["01 83 02 C0 F1"], Refusal(2)),
        (["00 FF 01 03", GOOD], raw("00 00 00 84")),  # noise that begins like a reply
        (["01 03 00 50 00 02 C4 1A", GOOD], raw("00 00 00 84")),  # the echo of our own request
        (["01 03 04 00 00 00 85 FA 50", GOOD], raw("00 00 00 84")),  # one wrong bit, then a good one
        (["01 03 02 08 02 3E 45", GOOD], raw("00 00 00 84")),  # a late reply to a shorter question
        (["02 03 04 00 00 00 84 C9 50"], None),  # another device
        ([GOOD[:-3]], None),  # not whole
        (["01 83 02 C0 F2"], None),  # a refusal with a wrong bit
        ([GOOD + "00"], raw("00 00 00 84")),  # a public page prints one byte too many
    ],
)
def test_the_reply_is_found_by_its_shape(heard, answer, step):
    parser = ReplyParser(READ, ignore)
    stream = b"".join(raw(piece) for piece in heard)
    answers = [parser.feed(stream[at : at + step]) for at in range(0, len(stream), step)]
    assert [found for found in answers if found is not None] == ([] if answer is None else [answer])


def test_what_follows_a_reply_is_not_kept():
    parser = ReplyParser(READ, ignore)
    assert parser.feed(raw(GOOD) * 50) == raw("00 00 00 84")
    assert parser.buffered == 0


def test_the_echo_of_a_write_is_not_its_reply():
    """Both begin with the same six bytes."""
    question = WriteRegisters(1, 8, (0,))
    parser = ReplyParser(question, ignore)
    assert parser.feed(question.to_bytes()) is None
    assert parser.feed(seal(raw("01 10 00 08 00 01"))) == b""


reads = st.integers(1, 125).flatmap(
    lambda count: st.builds(ReadHolding, st.integers(1, 247), st.integers(0, 0x10000 - count), st.just(count))
)
writes = st.lists(st.integers(0, 0xFFFF), min_size=1, max_size=123).flatmap(
    lambda values: st.builds(
        WriteRegisters, st.integers(1, 247), st.integers(0, 0x10000 - len(values)), st.just(tuple(values))
    )
)


@settings(max_examples=100, deadline=None)
@given(reads, st.data())
def test_every_read_finds_its_reply(question, data):
    content = data.draw(st.binary(min_size=2 * question.count, max_size=2 * question.count))
    reply = seal(bytes((question.address, 3, 2 * question.count)) + content)
    assert is_sealed(question.to_bytes())
    assert ReplyParser(question, ignore).feed(reply) == content


@settings(max_examples=100, deadline=None)
@given(writes)
def test_every_write_finds_its_reply(question):
    sent = question.to_bytes()
    assert is_sealed(sent)
    assert len(sent) == 9 + 2 * len(question.values)
    assert ReplyParser(question, ignore).feed(seal(sent[:6])) == b""


@settings(max_examples=100, deadline=None)
@given(reads | writes, st.lists(st.binary(max_size=300), max_size=6))
def test_no_bytes_break_a_parser_and_none_pile_up(question, pieces):
    parser = ReplyParser(question, ignore)
    for piece in pieces:
        parser.feed(piece)
        assert parser.buffered < question.reply_bytes()


@pytest.mark.parametrize(
    "make",
    [
        lambda: ReadHolding(0, 0, 1),
        lambda: ReadHolding(248, 0, 1),
        lambda: ReadHolding(1, 0, 0),
        lambda: ReadHolding(1, 0, 126),
        lambda: ReadHolding(1, 0xFFFF, 2),
        lambda: ReadHolding(1, -1, 2),
        lambda: WriteRegisters(1, 0, ()),
        lambda: WriteRegisters(1, 0, (0x10000,)),
        lambda: WriteRegisters(1, 0, (0,) * 124),
    ],
)
def test_questions_that_cannot_be_asked(make):
    with pytest.raises(ProtocolError) as caught:
        make()
    assert caught.value.side == "local"


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
