"""Modbus TCP: the envelope, and that a reply answers its own question alone."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device_drivers.bus import Bus
from device_drivers.errors import MisconfiguredError, ProtocolError, RefusedError, UnavailableError
from device_drivers.exchange import NoReplyError
from device_drivers.modbus_rtu import Relay, WeightTransmitter, pdu
from device_drivers.modbus_rtu.pdu import Read, Refusal, Values, WriteCoil, Written
from device_drivers.modbus_tcp import TCP, Tcp
from device_drivers.modbus_tcp.codec import Frame, FrameDecoder, ReplyParser
from device_drivers.modbus_tcp.family import FAMILY
from device_drivers.tcp_link import open_tcp
from simulators.conformance.memory_link import MemoryLink, bus_on
from simulators.conformance.virtual_time import in_virtual_time
from simulators.hardware.modbus_rtu import bench_units
from simulators.hardware.modbus_tcp import ModbusTcpLine, ModbusTcpServer

# The data of the proven RTU frames in the envelope of the standard: all C, computed by its rule.
GOLDEN = [
    ("C", "00 01 00 00 00 06 01 03 00 50 00 02", Read(3, 80, 2), "00 01 00 00 00 07 01 03 04 00 00 00 84", Values(3, b"\0\0\0\x84")),
    ("C", "12 34 00 00 00 06 11 01 00 00 00 08", Read(1, 0, 8), "12 34 00 00 00 04 11 01 01 41", Values(1, b"\x41")),
    ("C", "FF FF 00 00 00 06 FF 05 00 00 FF 00", WriteCoil(0, True), "FF FF 00 00 00 06 FF 05 00 00 FF 00", WriteCoil(0, True)),
    ("C", "00 00 00 00 00 08 01 0F 00 00 00 08 01 FF", pdu.WriteCoils(0, (True,) * 8), "00 00 00 00 00 06 01 0F 00 00 00 08", Written(15, 0, 8)),
    ("C", "00 02 00 00 00 06 01 03 00 09 00 01", Read(3, 9, 1), "00 02 00 00 00 03 01 83 02", Refusal(3, 2)),
]  # fmt: skip


def ignore(kind: str, detail: str) -> None:
    pass


@pytest.mark.parametrize(("mark", "sent", "request_pdu", "reply", "reply_pdu"), GOLDEN)
def test_golden_frames(mark, sent, request_pdu, reply, reply_pdu):
    raw = bytes.fromhex(sent)
    question = Frame(int.from_bytes(raw[:2], "big"), raw[6], request_pdu)
    answer = Frame(question.transaction, question.unit, reply_pdu)
    assert question.to_bytes() == raw
    assert Frame.request_from_bytes(raw) == question
    assert FrameDecoder(ignore, from_host=True).feed(raw) == [question]
    assert answer.to_bytes() == bytes.fromhex(reply)
    assert FrameDecoder(ignore, from_host=False).feed(bytes.fromhex(reply)) == [answer]
    assert ReplyParser(question, ignore).feed(bytes.fromhex(reply)) == reply_pdu


@pytest.mark.parametrize(
    "reply",
    [
        "00 02 00 00 00 07 01 03 04 00 00 00 84",  # another question's
        "00 01 00 00 00 07 02 03 04 00 00 00 84",  # another unit's
        "00 01 00 01 00 07 01 03 04 00 00 00 84",  # another protocol
        "00 01 00 00 00 05 01 03 02 00 84",  # another length
        "00 01 00 00 00 07 01 04 04 00 00 00 84",  # another function
        "00 01 00 00 00 03 01 84 02",  # a refusal of another function
        "00 01 00 00 00 07 01 03 04 00 00 00",  # not whole
    ],
)
def test_what_is_no_reply_to_this_question(reply):
    assert ReplyParser(Frame(1, 1, Read(3, 80, 2)), ignore).feed(bytes.fromhex(reply)) is None


@pytest.mark.parametrize(
    "frame", [Frame(1, 0, Read(3, 0, 1)), Frame(1, 248, Read(3, 0, 1)), Frame(65536, 1, Read(3, 0, 1))]
)
def test_frames_that_cannot_be_encoded(frame):
    """Above all unit 0, which speaks to everybody."""
    with pytest.raises(ProtocolError) as caught:
        frame.to_bytes()
    assert caught.value.side == "local"


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_a_frame_or_a_protocol_error(data):
    for read in (Frame.request_from_bytes, Frame.reply_from_bytes):
        with contextlib.suppress(ProtocolError):
            frame = read(data)
            assert frame.pdu.to_bytes() == data[7:]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.binary(max_size=300), max_size=8), st.booleans())
def test_no_bytes_break_a_decoder_and_none_pile_up(pieces, from_host):
    decoder = FrameDecoder(ignore, from_host=from_host)
    for piece in pieces:
        decoder.feed(piece)
        assert decoder.buffered <= FAMILY.most_buffered


def test_transactions_differ_and_begin_again_at_the_end():
    framing = Tcp()
    framing._transactions = iter((0xFFFF, 0x10000))
    assert framing.ask(1, Read(3, 0, 1), ignore)[0][:2] == b"\xff\xff"
    assert framing.ask(1, Read(3, 0, 1), ignore)[0][:2] == b"\0\0"


@pytest.mark.parametrize("unit", [0, 248, 254, 256])
def test_a_wrong_unit_is_refused(unit):
    @in_virtual_time
    async def scenario() -> None:
        async with bus_on(MemoryLink()) as bus:
            with pytest.raises(MisconfiguredError):
                Relay(bus, address=unit, framing=TCP)

    scenario()


class Server:
    """The simulated devices; `late` holds replies back."""

    def __init__(self) -> None:
        self.units = bench_units()
        self.line = ModbusTcpLine(self.units)
        self.late: list[bytes] | None = None

    def receive(self, data: bytes) -> bytes:
        reply = b"".join(self.line.answer(frame, 0.0) for frame in self.line.split(data, 0.0))
        if self.late is None:
            return reply
        self.late.append(reply)
        return b""


@in_virtual_time
async def test_a_late_reply_never_answers_a_later_question_and_costs_no_second_one():
    server = Server()
    link = MemoryLink(server)
    async with bus_on(link) as bus:
        relay = Relay(bus, address=1, framing=TCP)
        server.late = []
        with pytest.raises(NoReplyError):
            await relay.set(1, on=True)
        late, server.late = server.late, None
        asyncio.get_running_loop().call_later(0.001, link.deliver, late[0])
        server.units[1].stuck.add(0)
        await relay.set(1, on=True)
        assert bus.counters["framing"] >= 1  # the late one was noise to it
    assert len(link.frames) == 2


@in_virtual_time
async def test_a_gateway_without_the_device_is_asked_again():
    async with bus_on(MemoryLink(Server())) as bus:
        with pytest.raises(UnavailableError, match="exception 11"):
            await Relay(bus, address=99, framing=TCP).states()
        with pytest.raises(RefusedError, match="exception 1 "):
            await Relay(bus, address=3, framing=TCP).states()
        assert await FAMILY.probe(bus, 1, {}) == "Modbus device 1: holding register 0 is 1"


def test_a_frame_in_words():
    frame = Frame.request_from_bytes(bytes.fromhex(GOLDEN[0][1]))
    assert FAMILY.describe(frame) == "[1] unit 1: read 2 holding registers from 80"
    assert not FAMILY.acts(frame)


async def test_over_a_real_connection_that_is_lost_and_found_again():
    server = ModbusTcpServer(bench_units())
    port = await server.start()
    bus = Bus(name="tcp", open_link=lambda: open_tcp("127.0.0.1", port), on_fault=ignore, gap_s=0.0)
    scale, relay = WeightTransmitter(bus, address=2, framing=TCP), Relay(bus, address=1, framing=TCP)
    for _ in range(2):
        owner = asyncio.create_task(bus.run(), name="bus")
        async with asyncio.timeout(10):
            while not bus._open:
                await asyncio.sleep(0.001)
            assert (await scale.sample()).gross_g == 500.0
            await relay.set(2, on=True)
            assert await relay.states() == (False, True, *(False,) * 6)
            server.hang_up()
            with pytest.raises(UnavailableError):
                await owner
    await server.close()
