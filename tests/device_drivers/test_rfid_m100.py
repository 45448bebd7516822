"""UHF modules of the BB family: golden frames, cut by length alone, captured streams, and a driver that believes no late reply."""

from __future__ import annotations

import asyncio
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device_drivers.errors import MisconfiguredError, ProtocolError, RefusedError, UnavailableError
from device_drivers.rfid_m100 import Bank, Region, RfidReaderM100, TagRead, codec
from device_drivers.rfid_m100.codec import Code, Frame, FrameDecoder, Kind
from device_drivers.rfid_m100.family import FAMILY, acts, describe
from simulators.conformance.memory_link import MemoryLink, bus_on
from simulators.conformance.virtual_time import in_virtual_time
from simulators.hardware.rfid_field import Field, Tag
from simulators.hardware.rfid_m100 import RfidM100, on_bench
from tests.device_drivers.cases.rfid_m100 import Peer

TAG_1 = "BB 02 22 00 11 C9 34 00 30 75 1F EB 70 5C 59 04 E3 D5 0D 70 3A 76 EF 7E"
TAG_2 = "BB 02 22 00 11 C4 30 00 E2 00 00 1D 73 15 01 65 21 40 8F C6 B8 3E C2 7E"  # a capture of a real module
NO_TAG = "BB 01 FF 00 01 15 16 7E"
INFO = "BB 01 03 00 10 00 4D 31 30 30 20 32 36 64 42 6D 20 56 31 2E 30 92 7E"
INFO_MISPRINTED = "BB 01 03 00 10 00 4D 31 30 30 20 32 36 64 42 6D 20 56 31 2E 30 22 7E"

# Marks: V recomputed and matches a public source, S stated in one, C computed from a public rule, K general knowledge.
COMMANDS = [
    # mark, bytes, frame
    ("V", "BB 00 03 00 01 00 04 7E", codec.module_info("hardware")),
    ("V", "BB 00 22 00 00 22 7E", codec.inventory_once()),
    ("V", "BB 00 27 00 03 22 27 10 83 7E", codec.inventory_many(10_000)),
    ("V", "BB 00 27 00 03 22 FF FF 4A 7E", codec.inventory_many(65_535)),
    ("V", "BB 00 28 00 00 28 7E", codec.stop()),
    ("V", "BB 00 B7 00 00 B7 7E", codec.get_power()),
    ("V", "BB 00 B6 00 02 0A 28 EA 7E", codec.set_power(26)),
    ("C", "BB 00 07 00 01 01 09 7E", codec.set_region(Region.CHINA_900)),  # the code is S, the sum C
    ("C", "BB 00 07 00 01 04 0C 7E", codec.set_region(Region.CHINA_800)),
    ("K", "BB 00 08 00 00 08 7E", codec.get_region()),
    ("C", "BB 00 39 00 09 00 00 00 00 01 00 02 00 06 4B 7E", codec.read_bank(Bank.EPC, start_word=2, words=6)),
]
ANSWERS = [
    ("C", INFO, Frame(1, Code.MODULE_INFO, b"\0M100 26dBm V1.0")),  # a public copy prints 22 as the sum: see below
    ("V", TAG_1, Frame(2, Code.INVENTORY_ONCE, bytes.fromhex("C9340030751FEB705C5904E3D50D703A76"))),
    ("V", TAG_2, Frame(2, Code.INVENTORY_ONCE, bytes.fromhex("C43000E200001D7315016521408FC6B83E"))),
    ("V", NO_TAG, Frame(1, Code.FAILED, b"\x15")),
    ("C", "BB 01 28 00 01 00 2A 7E", Frame(1, Code.STOP, b"\0")),
    ("V", "BB 01 B7 00 02 0A 28 EC 7E", Frame(1, Code.GET_POWER, b"\x0a\x28")),
    ("C", "BB 01 B6 00 01 00 B8 7E", Frame(1, Code.SET_POWER, b"\0")),
    ("C", "BB 01 07 00 01 00 09 7E", Frame(1, Code.SET_REGION, b"\0")),
]


def raw(text: str) -> bytes:
    return bytes.fromhex(text)


def ignore(kind: str, detail: str) -> None:
    pass


@pytest.mark.parametrize(("mark", "text", "frame"), COMMANDS + ANSWERS)
def test_golden_frames_both_ways(mark: str, text: str, frame: Frame):
    assert frame.to_bytes() == raw(text)
    assert Frame.from_bytes(raw(text)) == frame
    assert FrameDecoder(ignore).feed(raw(text)) == [frame]


def test_the_public_vector_with_a_wrong_sum_is_refused():
    """A public copy of the module information ends in 22; the sum of its bytes is 92."""
    with pytest.raises(ProtocolError, match="check sum"):
        Frame.from_bytes(raw(INFO_MISPRINTED))
    faults: list[str] = []
    decoder = FrameDecoder(lambda kind, _detail: faults.append(kind))
    assert decoder.feed(raw(INFO_MISPRINTED) + raw(NO_TAG)) == [Frame(1, Code.FAILED, b"\x15")]
    assert faults == ["crc"]


@pytest.mark.parametrize(
    "text", ["BB 00 22 00 00 22 7F", "BB 00 22 00 00 23 7E", "BB 00 22 00 01 22 7E", "BB 03 22 00 00 25 7E"]
)
def test_broken_frames_are_refused(text: str):
    with pytest.raises(ProtocolError):
        Frame.from_bytes(raw(text))
    assert FrameDecoder(ignore).feed(raw(text) + raw(NO_TAG))[-1:] == [Frame(1, Code.FAILED, b"\x15")]


@pytest.mark.parametrize(
    ("text", "tag"),
    [
        (TAG_1, TagRead(-55, 0x3400, raw("30751FEB705C5904E3D50D70"), 0x3A76)),  # V
        (TAG_2, TagRead(-60, 0x3000, raw("E200001D7315016521408FC6"), 0xB83E)),  # V
    ],
)
def test_golden_tags(text: str, tag: TagRead):
    assert TagRead.from_frame(Frame.from_bytes(raw(text))) == tag
    assert len(tag.epc) == codec.epc_bytes(tag.pc) == 12
    assert tag.sound


@pytest.mark.parametrize(
    "body",
    [
        "C9 38 00 30 75 1F EB 70 5C 59 04 E3 D5 0D 70 3A 76",  # PC: seven words, six are here
        "C9 34 00 3A",  # shorter than RSSI, PC and CRC
        "",
    ],
)
def test_a_tag_whose_pc_and_length_differ_is_none(body: str):
    with pytest.raises(ProtocolError):
        TagRead.from_frame(Frame(2, Code.INVENTORY_ONCE, raw(body)))


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (0x09, "no tag to read"),
        (0x0E, "invalid parameter"),
        (0x10, "no tag to write"),
        (0x12, "no tag to kill"),
        (0x13, "no tag to lock"),
        (0x15, "no tag heard"),
        (0x16, "wrong access password"),
        (0x17, "invalid command"),
        (0x20, "no free channel"),
        (0xA3, "reading: the tag said no such memory"),
        (0xB4, "writing: the tag said memory locked"),
        (0xCB, "locking: the tag said too little power"),
        (0xD1, "killing: the tag said something unknown"),
        (0x77, "unknown failure"),
    ],
)
def test_failures_in_words(code: int, text: str):  # S
    frame = Frame.from_bytes(Frame(1, Code.FAILED, bytes([code])).to_bytes())
    assert codec.failure_text(codec.failure(frame)) == text


def test_heads_and_ends_inside_a_frame_cut_nothing():
    epc = raw("BB7EBB0122000015BB7E7E7E")
    tag = Tag(epc)
    frame = Frame(2, Code.INVENTORY_ONCE, b"\xbb" + tag.pc + epc + tag.crc)
    stream = frame.to_bytes() * 3
    decoder = FrameDecoder(ignore)
    assert [f for byte in stream for f in decoder.feed(bytes([byte]))] == [frame] * 3


def test_a_head_that_promises_too_much_costs_one_byte():
    assert FrameDecoder(ignore).feed(raw("BB 02 22 01 00") + raw(TAG_1)) == [Frame.from_bytes(raw(TAG_1))]


@pytest.mark.parametrize("seed", range(5))
def test_captured_frames_cut_at_random_borders(seed: int):
    rng = Random(seed)
    texts = [rng.choice((TAG_1, TAG_2, NO_TAG, INFO)) for _ in range(200)]
    stream = b"".join(raw(text) for text in texts)
    decoder, found, at = FrameDecoder(ignore), [], 0
    while at < len(stream):
        size = rng.choice((1, 1, 2, 3, 7, 24, 60))
        found += decoder.feed(stream[at : at + size])
        at += size
    assert found == [Frame.from_bytes(raw(text)) for text in texts]
    assert decoder.buffered == 0


frames = st.builds(Frame, st.sampled_from(list(Kind)).map(int), st.integers(0, 255), st.binary(max_size=255))


@settings(max_examples=100, deadline=None)
@given(frames)
def test_round_trip(frame: Frame):
    assert Frame.from_bytes(frame.to_bytes()) == frame


@settings(max_examples=100, deadline=None)
@given(st.lists(st.one_of(st.binary(max_size=400), frames.map(Frame.to_bytes)), max_size=6))
def test_no_bytes_break_the_decoder_and_none_pile_up(pieces: list[bytes]):
    decoder = FrameDecoder(ignore)
    for piece in pieces:
        for frame in decoder.feed(piece):
            describe(frame)
            acts(frame)
        assert decoder.buffered < codec.MAX_FRAME_BYTES


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_parsing_any_bytes_raises_only_protocol_errors(data: bytes):
    for parse in (
        Frame.from_bytes,
        lambda body: TagRead.from_frame(Frame(2, 0x22, body)),
        lambda body: codec.bank_content(Frame(1, 0x39, body)),
        lambda body: codec.power_dbm(Frame(1, 0xB7, body)),
    ):
        try:
            parse(data)
        except ProtocolError as error:
            assert error.side == "remote"  # noqa: PT017


@pytest.mark.parametrize(
    "make",
    [
        lambda: codec.inventory_many(0),
        lambda: codec.inventory_many(65_536),
        lambda: codec.set_power(-1),
        lambda: codec.set_power(34),
        lambda: codec.read_bank(Bank.EPC, start_word=0, words=33),
        lambda: codec.read_bank(Bank.EPC, start_word=0, words=0),
        lambda: Frame(3, 0).to_bytes(),
        lambda: Frame(0, 256).to_bytes(),
        lambda: Frame(0, 0, bytes(256)).to_bytes(),
    ],
)
def test_what_fits_no_frame_is_our_own_mistake(make):
    with pytest.raises(ProtocolError) as caught:
        make()
    assert caught.value.side == "local"


def test_a_tool_for_looking_sends_nothing_that_transmits_or_sets():
    asked = {frame.code for _, _, frame in COMMANDS if not acts(frame)}
    assert asked == {Code.MODULE_INFO, Code.STOP, Code.GET_POWER, Code.GET_REGION}
    assert not any(acts(frame) for _, _, frame in ANSWERS)


def test_a_description_shows_only_the_end_of_an_epc():
    assert describe(Frame.from_bytes(raw(TAG_2))) == "tag …8FC6 at -60 dBm"
    assert describe(Frame.from_bytes(raw(NO_TAG))) == "failure 15: no tag heard"
    assert describe(codec.get_power()) == "command get power, 0 bytes"


class Line(MemoryLink):
    """A module that also speaks by itself, at the times at which it would."""

    def __init__(self, module: RfidM100, **kwargs: object) -> None:
        super().__init__(Peer(module), **kwargs)
        self.module = module

    async def speak(self, *, lose: int = 0) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(0.02)
            said = self.module.tick(loop.time())
            self.deliver(said[lose:])


async def listened(line: Line, reader: RfidReaderM100, listen_s: float):
    speaker = asyncio.create_task(line.speak())
    try:
        return await reader.inventory(listen_s=listen_s)
    finally:
        speaker.cancel()


@in_virtual_time
async def test_an_inventory_hears_every_round_and_stops_the_module():
    line = Line(on_bench())
    async with bus_on(line) as bus:
        reader = RfidReaderM100(bus)
        inventory = await listened(line, reader, 2.0)
        assert not line.module.taking_rounds
        assert inventory.complete
        assert 1.9 < inventory.ended_s - inventory.started_s < 3
        epcs = {sight.tag.epc for sight in inventory.sights}
        assert epcs == set(line.module.field.tags)
        assert len(inventory.sights) >= 2 * 38  # two tags, a round every 50 ms
        assert reader.counters == {"unsound": 0, "dropped": 0, "unexpected": 0}


@in_virtual_time
async def test_an_empty_field_is_a_complete_inventory_of_nothing():
    line = Line(RfidM100(Field(rng=Random(1))))
    async with bus_on(line) as bus:
        inventory = await listened(line, RfidReaderM100(bus), 1.0)
    assert (inventory.sights, inventory.complete) == ((), True)


@in_virtual_time
async def test_a_caller_who_leaves_does_not_leave_the_module_transmitting():
    line = Line(on_bench())
    async with bus_on(line) as bus:
        task = asyncio.create_task(RfidReaderM100(bus).inventory(listen_s=30))
        await asyncio.sleep(1)
        assert line.module.taking_rounds
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not line.module.taking_rounds


@in_virtual_time
async def test_a_silent_module_makes_no_complete_inventory():
    async with bus_on(MemoryLink()) as bus:
        inventory = await RfidReaderM100(bus).inventory(listen_s=1.0)
    assert (inventory.sights, inventory.complete) == ((), False)


@in_virtual_time
async def test_settings_are_read_back():
    line = Line(on_bench())
    async with bus_on(line) as bus:
        reader = RfidReaderM100(bus)
        assert await reader.model() == "M100 26dBm V1.0"
        await reader.set_power(20.5)
        assert await reader.power_dbm() == 20.5
        await reader.set_region(Region.CHINA_800)
        assert line.module.region == 4
        with pytest.raises(MisconfiguredError, match="invalid parameter"):
            await reader.set_power(10)  # below what this module has
        with pytest.raises(MisconfiguredError, match="not in"):
            await reader.set_power(40)
        with pytest.raises(MisconfiguredError, match="listen_s"):
            await reader.inventory(listen_s=0)


@in_virtual_time
async def test_every_tag_of_the_first_answer_counts():
    line = Line(on_bench())
    async with bus_on(line) as bus:
        inventory = await RfidReaderM100(bus).inventory(listen_s=0.1, rounds=1)
    assert {sight.tag.epc for sight in inventory.sights} == set(line.module.field.tags)


class Forgetful:
    """Answers a command only at the second asking."""

    def __init__(self, command: int) -> None:
        self.command, self.asked, self.simulated = command, 0, Peer(on_bench())

    def receive(self, data: bytes) -> bytes:
        answer = self.simulated.receive(data)
        self.asked += data[2] == self.command
        return b"" if data[2] == self.command and self.asked == 1 else answer


@in_virtual_time
async def test_a_stop_whose_answer_is_lost_is_said_once_more():
    link = MemoryLink(Forgetful(0x28))
    async with bus_on(link) as bus:
        assert (await RfidReaderM100(bus).inventory(listen_s=0.1)).complete
    assert [frame[2] for frame in link.frames] == [0x27, 0x28, 0x28, 0x28]  # the last for the answer that is owed


@in_virtual_time
async def test_a_question_is_asked_twice_only_while_a_reply_is_owed():
    link = MemoryLink(Forgetful(0xB7))
    async with bus_on(link) as bus:
        reader = RfidReaderM100(bus)
        with pytest.raises(UnavailableError):
            await reader.power_dbm()
        for frames in (3, 4, 5):
            assert await reader.power_dbm() == 26.0
            assert len(link.frames) == frames


@in_virtual_time
async def test_a_reply_that_came_after_the_caller_left_is_not_owed():
    link = MemoryLink(Peer(on_bench()))
    async with bus_on(link) as bus:
        reader = RfidReaderM100(bus)
        leaving = asyncio.create_task(reader.power_dbm())
        await asyncio.sleep(0.001)  # it is written, and not answered yet
        leaving.cancel()
        await asyncio.sleep(0.1)
        assert await reader.power_dbm() == 26.0
    assert len(link.frames) == 2


@in_virtual_time
async def test_noise_that_promises_a_long_frame_swallows_no_reply():
    link = MemoryLink(Peer(on_bench()))
    async with bus_on(link) as bus:
        reader = RfidReaderM100(bus)
        link.deliver(raw("BB 01 22 00 F0"))
        await asyncio.sleep(1)
        assert await reader.power_dbm() == 26.0


@in_virtual_time
async def test_a_sight_that_the_stop_cuts_in_two_is_not_lost():
    class Module:
        def receive(self, data: bytes) -> bytes:
            if data[2] == Code.INVENTORY_MANY:
                return raw(TAG_1)
            return raw(TAG_2)[10:] + raw("BB 01 28 00 01 00 2A 7E")

    link = MemoryLink(Module())
    async with bus_on(link) as bus:
        asyncio.get_running_loop().call_later(0.05, link.deliver, raw(TAG_2)[:10])
        inventory = await RfidReaderM100(bus).inventory(listen_s=0.1)
    assert [sight.tag.rssi_dbm for sight in inventory.sights] == [-55, -60]


class Deaf:
    """Acknowledges everything, changes nothing."""

    def receive(self, data: bytes) -> bytes:
        if data[2] in (0xB7, 0x08):
            return raw("BB 01 B7 00 02 0A 28 EC 7E" if data[2] == 0xB7 else "BB 01 08 00 01 01 0B 7E")
        return raw("BB 01 B6 00 01 00 B8 7E" if data[2] == 0xB6 else "BB 01 07 00 01 00 09 7E")


@in_virtual_time
async def test_an_acknowledgement_without_an_effect_is_found():
    async with bus_on(MemoryLink(Deaf())) as bus:
        reader = RfidReaderM100(bus)
        with pytest.raises(RefusedError, match="another power"):
            await reader.set_power(20)
        with pytest.raises(RefusedError, match="another band"):
            await reader.set_region(Region.CHINA_800)


@in_virtual_time
async def test_memory_passwords_and_a_missing_tag():
    tag = Tag(raw("E20000000000000000000001"), password=7, memory={2: raw("E2003412"), 3: b""})
    line = Line(RfidM100(Field((tag,), rng=Random(1))))
    async with bus_on(line) as bus:
        reader = RfidReaderM100(bus)
        assert await reader.read_bank(Bank.TID, start_word=0, words=2, password=7) == (tag.epc, raw("E2003412"))
        with pytest.raises(RefusedError, match="wrong access password"):
            await reader.read_bank(Bank.TID, start_word=0, words=2)
        with pytest.raises(RefusedError, match="no such memory"):
            await reader.read_bank(Bank.USER, start_word=0, words=1, password=7)
        assert (await reader.first_tag()).epc == tag.epc
        line.module.field.take(tag.epc)
        assert await reader.read_bank(Bank.TID, start_word=0, words=2, password=7) is None
        assert await reader.first_tag() is None


class Sluggish:
    """Answers what the power was, one question late."""

    def __init__(self) -> None:
        self.answers: list[bytes] = []
        self.power = 1500

    def receive(self, data: bytes) -> bytes:
        self.power += 100
        body = b"\x01\xb7\x00\x02" + self.power.to_bytes(2, "big")
        self.answers.append(b"\xbb" + body + bytes([sum(body) % 256, 0x7E]))
        return self.answers.pop(0) if len(self.answers) > 1 else b""


@in_virtual_time
async def test_a_late_reply_answers_no_later_question():
    device = Sluggish()
    async with bus_on(MemoryLink(device)) as bus:
        reader = RfidReaderM100(bus)
        with pytest.raises(UnavailableError):
            await reader.power_dbm()  # its answer, 16 dBm, comes with the next question
        assert await reader.power_dbm() == 17.0  # asked once more: the first reply was the owed one


@in_virtual_time
async def test_a_sight_with_a_wrong_crc_of_the_tag_is_counted_and_not_believed():
    body = bytearray(raw(TAG_2)[5:-2])
    body[5] ^= 1

    class Module:
        def receive(self, data: bytes) -> bytes:
            frame = Frame(2, 0x22, bytes(body)) if data[2] in (0x22, 0x27) else Frame(1, data[2], b"\0")
            return frame.to_bytes()

    async with bus_on(MemoryLink(Module())) as bus:
        reader = RfidReaderM100(bus)
        assert (await reader.inventory(listen_s=0.1)).sights == ()
        assert reader.counters["unsound"] == 1
        with pytest.raises(ProtocolError, match="CRC"):
            await reader.first_tag()


@in_virtual_time
async def test_the_probe_transmits_nothing():
    line = Line(on_bench())
    async with bus_on(line) as bus:
        assert await FAMILY.probe(bus, 1, {}) == "M100 26dBm V1.0, 26 dBm"
    assert line.module.counters["rounds"] == 0
