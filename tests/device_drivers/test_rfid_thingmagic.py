"""ThingMagic and Silion modules: golden frames with their own CRC, and a module that has to be booted first."""

from __future__ import annotations

import asyncio
import binascii
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device_drivers.asking import Asker
from device_drivers.bus import MAX_WAITING_A_DEVICE, Bus, Link
from device_drivers.errors import MisconfiguredError, ProtocolError, RefusedError, UnavailableError
from device_drivers.rfid_thingmagic import ThingMagicReader, codec
from device_drivers.rfid_thingmagic.codec import Command, CommandDecoder, Region, Reply, ReplyDecoder
from device_drivers.rfid_thingmagic.family import FAMILY, acts, describe
from device_drivers.serial_link import open_serial
from simulators.conformance.memory_link import MemoryLink, bus_on
from simulators.conformance.virtual_time import in_virtual_time
from simulators.hardware.faults import Faults
from simulators.hardware.pty_port import PtyPort
from simulators.hardware.rfid_thingmagic import VERSIONS, divided, on_bench, said
from tests.device_drivers.cases.rfid_m100 import Peer

# Marks: V recomputed and matches a public source, C computed from a public rule, K general knowledge.
COMMANDS = [
    # mark, bytes, frame
    ("V", "FF 00 03 1D 0C", codec.version()),
    ("V", "FF 00 04 1D 0B", codec.boot_firmware()),
    ("V", "FF 01 97 02 4B BF", Command(0x97, b"\x02")),  # a region that is not ours: readable, not to be made here
    ("C", "FF 01 97 06 4B BB", codec.set_region(Region.CHINA)),  # that 06 is China: K
    ("V", "FF 02 93 00 05 51 7D", codec.set_gen2()),
    ("V", "FF 02 21 03 E8 D5 09", codec.read_single(1000)),
    ("V", "FF 02 10 00 00 F0 93", Command(0x10, b"\0\0")),
]


def raw(text: str) -> bytes:
    return bytes.fromhex(text)


def ignore(kind: str, detail: str) -> None:
    pass


@pytest.mark.parametrize(("mark", "text", "frame"), COMMANDS)
def test_golden_commands_both_ways(mark: str, text: str, frame: Command):
    assert frame.to_bytes() == raw(text)
    assert Command.from_bytes(raw(text)) == frame
    assert CommandDecoder(ignore).feed(raw(text)) == [frame]
    assert divided(raw(text)[1:-2]) == raw(text)[-2:]  # the simulator's way to the same CRC


@pytest.mark.parametrize(
    "text",
    [
        "FF 00 03 1D 0D",  # wrong CRC
        "FF 01 03 1D 0C",  # another length
        "FE 00 03 1D 0C",  # another head
        "FF 00 03",
    ],
)
def test_broken_frames_are_refused(text: str):
    with pytest.raises(ProtocolError):
        Command.from_bytes(raw(text))
    with pytest.raises(ProtocolError):
        Reply.from_bytes(raw(text))
    good = codec.version().to_bytes()
    assert CommandDecoder(ignore).feed(raw(text) + bytes(10) + good)[-1:] == [codec.version()]


def test_the_crc_is_no_plain_ccitt():
    body = raw("00 03")
    assert codec.crc16(body) == raw("1D 0C")
    assert binascii.crc_hqx(body, 0xFFFF).to_bytes(2, "big") != raw("1D 0C")
    assert binascii.crc_hqx(body, 0).to_bytes(2, "big") != raw("1D 0C")


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=64))
def test_nibbles_and_long_division_agree(data: bytes):
    assert codec.crc16(data) == divided(data)


commands = st.builds(Command, st.integers(0, 255), st.binary(max_size=codec.MAX_DATA))
replies = st.builds(Reply, st.integers(0, 255), st.integers(0, 0xFFFF), st.binary(max_size=codec.MAX_DATA))


@settings(max_examples=100, deadline=None)
@given(commands, replies)
def test_round_trip(command: Command, reply: Reply):
    assert Command.from_bytes(command.to_bytes()) == command
    assert Reply.from_bytes(reply.to_bytes()) == reply


@pytest.mark.parametrize("seed", range(5))
def test_frames_cut_at_random_borders(seed: int):
    rng = Random(seed)
    sent = [rng.choice([frame for _, _, frame in COMMANDS]) for _ in range(200)]
    stream = b"".join(frame.to_bytes() for frame in sent)
    decoder, found, at = CommandDecoder(ignore), [], 0
    while at < len(stream):
        size = rng.choice((1, 1, 2, 3, 7, 60))
        found += decoder.feed(stream[at : at + size])
        at += size
    assert found == sent
    assert decoder.buffered == 0


@settings(max_examples=100, deadline=None)
@given(st.lists(st.one_of(st.binary(max_size=300), replies.map(Reply.to_bytes)), max_size=6))
def test_no_bytes_break_a_decoder_and_none_pile_up(pieces: list[bytes]):
    for decoder in (CommandDecoder(ignore), ReplyDecoder(ignore)):
        for piece in pieces:
            for frame in decoder.feed(piece):
                describe(frame)
                acts(frame)
            assert decoder.buffered < codec.MAX_FRAME_BYTES


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300))
def test_parsing_any_bytes_raises_only_protocol_errors(data: bytes):
    for parse in (Command.from_bytes, Reply.from_bytes, lambda body: codec.tag_epc(Reply(0x21, 0, body))):
        try:
            parse(data)
        except ProtocolError as error:
            assert error.side == "remote"  # noqa: PT017


@pytest.mark.parametrize(
    "make",
    [
        lambda: codec.read_single(0),
        lambda: codec.read_single(5001),
        lambda: Command(256).to_bytes(),
        lambda: Command(0, bytes(251)).to_bytes(),
        lambda: Reply(0, 0x10000).to_bytes(),
    ],
)
def test_what_fits_no_frame_is_our_own_mistake(make):
    with pytest.raises(ProtocolError) as caught:
        make()
    assert caught.value.side == "local"


def test_descriptions():
    assert describe(codec.version()) == "version, 0 bytes"
    assert describe(Reply(0x21, 0, raw("E200 0001 ABCD"))) == "read single: tag …0001"
    assert describe(Reply(0x97, 0x0101)) == "set region: unknown here, still in the boot loader?, 0 bytes"
    assert describe(Reply(0x77, 0x1234)) == "opcode 77: status 1234, 0 bytes"
    assert [acts(frame) for _, _, frame in COMMANDS] == [False, True, True, True, True, True, False]


def ask(module, text: str) -> bytes:
    return b"".join(module.answer(frame, 0.0) for frame in module.split(raw(text), 0.0))


def test_the_simulated_boot_loader_knows_next_to_nothing():
    module = on_bench()
    assert ask(module, "FF 00 03 1D 0C") == said(0x03, 0, VERSIONS)
    for text in ("FF 01 97 02 4B BF", "FF 02 93 00 05 51 7D", "FF 02 21 03 E8 D5 09", "FF 02 10 00 00 F0 93"):
        assert ask(module, text)[2:5] == raw(text[6:8] + "0101")
    assert ask(module, "FF 00 04 1D 0B") == said(0x04, 0)
    assert ask(module, "FF 00 04 1D 0B") == said(0x04, 0x0101)  # the firmware runs
    assert ask(module, "FF 02 21 03 E8 D5 09") == said(0x21, 0x010B)  # no region
    ask(module, "FF 01 97 02 4B BF")
    assert ask(module, "FF 02 21 03 E8 D5 09") == said(0x21, 0x0301)  # no protocol
    ask(module, "FF 02 93 00 05 51 7D")
    assert ask(module, "FF 02 21 03 E8 D5 09")[3:5] == b"\0\0"
    module.field.dead = True
    assert ask(module, "FF 02 21 03 E8 D5 09") == said(0x21, 0x0400)


@in_virtual_time
async def test_it_is_booted_once_and_again_after_a_power_cut():
    module = on_bench()
    link = MemoryLink(Peer(module))
    async with bus_on(link) as bus:
        reader = ThingMagicReader(bus)
        assert await reader.first_tag() == raw("E20000000000000000000001")
        assert [frame[2] for frame in link.frames] == [0x04, 0x97, 0x93, 0x21]
        module.field.dead = True
        assert await reader.first_tag() is None
        assert len(link.frames) == 5
        module.reboot()
        with pytest.raises(UnavailableError, match="boot loader"):
            await reader.first_tag()
        module.field.dead = False
        assert await reader.first_tag() == raw("E20000000000000000000001")
        assert module.region == Region.CHINA


@pytest.mark.parametrize("silent", [False, True], ids=["between two reads", "during a read"])
def test_a_module_that_boots_by_itself_gets_its_band_anew_after_a_power_cut(silent: bool):
    """Its firmware runs again and nothing is in its boot loader, but band and protocol are forgotten."""

    class Cut(Peer):
        silent = False

        def receive(self, data: bytes) -> bytes:
            return b"" if self.silent else super().receive(data)

    @in_virtual_time
    async def scenario() -> None:
        module = on_bench()
        peer = Cut(module)
        async with bus_on(MemoryLink(peer)) as bus:
            reader = ThingMagicReader(bus)
            assert await reader.first_tag() is not None
            peer.silent = silent
            module.reboot()
            module.booted = True
            with pytest.raises(UnavailableError if silent else RefusedError):
                await reader.first_tag()
            peer.silent = False
            assert await reader.first_tag() is not None
            assert module.region == Region.CHINA

    scenario()


@in_virtual_time
async def test_firmware_that_runs_already_is_taken_as_it_is():
    module = on_bench()
    module.booted = True
    async with bus_on(MemoryLink(Peer(module))) as bus:
        assert await ThingMagicReader(bus).first_tag() is not None


@in_virtual_time
async def test_refusals_and_nonsense():
    class Sulking:
        def receive(self, data: bytes) -> bytes:
            return said(data[2], 0 if data[2] in (0x04, 0x97, 0x93) else 0x0105)

    async with bus_on(MemoryLink(Sulking())) as bus:
        reader = ThingMagicReader(bus)
        with pytest.raises(RefusedError, match="0105"):
            await reader.first_tag()
        with pytest.raises(MisconfiguredError, match="timeout_ms"):
            await reader.first_tag(timeout_ms=0)

    class Odd:
        def receive(self, data: bytes) -> bytes:
            return said(data[2], 0, b"\1\2\3")

    async with bus_on(MemoryLink(Odd())) as bus:
        with pytest.raises(ProtocolError, match="wrong length"):
            await ThingMagicReader(bus).first_tag()


async def test_the_driver_meets_it_on_a_real_terminal(tmp_path: Path):
    module = on_bench()
    port = PtyPort(tmp_path / "rfid", module, Faults(rng=Random(1)))
    port.plug()

    async def link() -> Link:
        return await open_serial(str(port.path), 115200)

    bus = Bus(name="rfid", open_link=link, on_fault=lambda _kind, _detail: None)
    owner = asyncio.create_task(bus.run())
    try:
        while not bus.counters["opened"]:
            await asyncio.sleep(0)
        assert await FAMILY.probe(bus, 1, {}) == f"ThingMagic or Silion module, version {VERSIONS.hex(' ').upper()}"
        assert not module.booted
        assert await ThingMagicReader(bus).first_tag() == raw("E20000000000000000000001")
    finally:
        owner.cancel()
        await asyncio.gather(owner, return_exceptions=True)
        port.unplug()


@in_virtual_time
async def test_an_asker_says_who_is_asked_so_that_nobody_fills_the_queue_for_all():
    async with bus_on(MemoryLink()) as bus:
        asker = Asker(bus, device="a module", decoder=ReplyDecoder, on_other=lambda _frame: None, timeout_s=0.01)
        frame = codec.version().to_bytes()
        asked = [asyncio.create_task(asker.ask(0, frame, lambda _reply: True)) for _ in range(MAX_WAITING_A_DEVICE + 3)]
        answers = await asyncio.gather(*asked, return_exceptions=True)
    refused = [answer for answer in answers if "requests of a module wait already" in str(answer)]
    assert 2 <= len(refused) == bus.counters["refused_full"]
