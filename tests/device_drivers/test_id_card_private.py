"""The port that keeps no copy, what tools may see of a reader's line, and errors that hold nobody."""

from __future__ import annotations

import asyncio
import os
import select
import traceback
import tty
from collections.abc import Iterator
from datetime import date

import pytest

from device_drivers.descriptor_link import MAX_BUFFERED_BYTES
from device_drivers.errors import DeviceError, MisconfiguredError, UnavailableError
from device_drivers.id_card import IdCardReader, open_private, private
from device_drivers.id_card.codec import Answer, AnswerDecoder, Command, seal
from device_drivers.id_card.family import FAMILY, acts, describe
from device_drivers.id_card.private_link import PrivateSerialLink
from device_drivers.id_card.watch import AnswerSeen, AnswerWatcher, CommandSeen, CommandWatcher
from simulators.conformance.memory_link import MemoryLink, bus_on
from simulators.conformance.virtual_time import in_virtual_time
from simulators.hardware.id_card import Card, on_bench, reply
from tests.device_drivers.cases.rfid_m100 import Peer

CARD = Card("000000199001010018", name="样本欧阳锦绣华")
NUMBER, NAME = CARD.number.encode("utf-16-le"), CARD.name.encode("utf-16-le")
CONTENT = reply(0x90, b"\x01\x00\x04\x00" + CARD.text() + bytes(range(256)) * 4)


def ignore(kind: str, detail: str) -> None:
    pass


@pytest.fixture
def terminal() -> Iterator[tuple[int, str]]:
    master, slave = os.openpty()
    tty.setraw(slave)
    yield master, os.ttyname(slave)
    for descriptor in (master, slave):
        os.close(descriptor)


async def opened(path: str) -> PrivateSerialLink:
    link = await open_private(path, 115200)
    assert isinstance(link, PrivateSerialLink)
    return link


async def test_what_was_handed_out_is_zero_after_the_next_call(terminal: tuple[int, str]):
    master, path = terminal
    link = await opened(path)
    pieces = []
    for call in ("read", "flush", "write", "close"):
        os.write(master, b"a person")
        pieces.append(await link.read())
        assert pieces[-1] == b"a person"
        assert not any(link._held)
        match call:
            case "read":
                os.write(master, b"another")
                assert await link.read() == b"another"
            case "flush":
                assert link.flush() == b""
            case "write":
                link.write(b"\0")
            case "close":
                link.close()
    assert pieces == [bytes(8)] * 4


async def test_what_nobody_takes_is_dropped_counted_and_zeroed(terminal: tuple[int, str]):
    master, path = terminal
    link = await opened(path)
    for _ in range(MAX_BUFFERED_BYTES // 1024 + 1):
        os.write(master, b"x" * 1024)
        got = 0
        while got < 1024:  # a terminal hands on what was written when it finds the time
            select.select([link._fd], [], [], 5)
            before = link._filled % MAX_BUFFERED_BYTES
            assert link._receive()
            got += link._filled - before
    assert link.dropped_bytes == MAX_BUFFERED_BYTES
    assert link.flush() == b"x" * 1024
    link.close()
    assert not any(link._held)


async def test_a_pulled_port_is_unavailable(terminal: tuple[int, str]):
    _, path = terminal
    link = await opened(path)
    waiting = asyncio.create_task(link.read())
    await asyncio.sleep(0)
    link.close()
    with pytest.raises(UnavailableError):
        await waiting
    with pytest.raises(UnavailableError):
        link.flush()
    with pytest.raises(UnavailableError):
        link.write(b"\0")


def test_a_line_on_which_others_may_listen_is_refused():
    link = MemoryLink()
    with pytest.raises(MisconfiguredError, match="port of this machine"):
        private(link)
    assert link.closed


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        (CommandSeen(b"\x20\x01"), "find"),
        (CommandSeen(b"\x30\x10"), "read with fingerprints"),
        (CommandSeen(b"\x77\x01"), "unknown command 77 01"),
        (AnswerSeen(0x80, 0), "no card"),
        (AnswerSeen(0x90, 1284), "done, 1284 bytes"),
        (AnswerSeen(0x77, 0), "unknown status 77"),
    ],
)
def test_descriptions_hold_no_content(frame: CommandSeen | AnswerSeen, said: str):
    assert describe(frame) == said


def test_a_tool_for_looking_reads_no_card():
    harmless = {command for command in Command if not acts(CommandSeen(command.value))}
    assert harmless == {Command.FIND, Command.SAM_STATUS, Command.SAM_ID}
    assert acts(CommandSeen(b"\x99\x99"))
    assert not acts(AnswerSeen(0x90, 1284))
    assert FAMILY.personal


@pytest.mark.parametrize("step", [1, 7, 4096])
def test_a_watcher_counts_and_keeps_nothing(step: int):
    watcher = AnswerWatcher(ignore)
    stream = b"\xaa\xaa" + CONTENT * 3 + reply(0x80)
    seen = [one for at in range(0, len(stream), step) for one in watcher.feed(stream[at : at + step])]
    assert seen == [AnswerSeen(0x90, 1284)] * 3 + [AnswerSeen(0x80, 0)]
    assert not any(watcher._buffer)
    commands = CommandWatcher(ignore)
    assert commands.feed(seal(b"\x20\x01") + seal(b"\x30\x01")) == [CommandSeen(b"\x20\x01"), CommandSeen(b"\x30\x01")]


def test_no_repr_shows_content():
    decoder = AnswerDecoder(ignore)
    answer = decoder.feed(CONTENT)
    assert isinstance(answer, Answer)
    assert bytes(answer.data[4:260]) == CARD.text()
    for shown in (repr(answer), repr(decoder), str(answer)):
        assert "样" not in shown
        assert "\\x" not in shown


class Misbehaving:
    """A reader whose READ goes wrong in one way."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.simulated = Peer(on_bench())

    def receive(self, data: bytes) -> bytes:
        return self.content if data == Command.READ.to_bytes() else self.simulated.receive(data)


@pytest.mark.parametrize(
    "content",
    [
        CONTENT[:-1],  # the last byte never comes
        CONTENT[:-1] + bytes([CONTENT[-1] ^ 1]),  # a wrong check byte
        reply(0x77, CARD.text()),  # a status nobody knows, with content
    ],
)
def test_an_error_with_all_its_locals_holds_nobody(content: bytes):
    @in_virtual_time
    async def scenario() -> None:
        faults: list[tuple[str, str]] = []
        async with bus_on(MemoryLink(Misbehaving(content)), faults) as bus:
            reader = IdCardReader(bus, day_key=lambda: b"key", today=lambda: date(2026, 11, 22))
            with pytest.raises(DeviceError) as caught:
                await reader.read()
            error = caught.value.with_traceback(caught.value.__traceback__.tb_next)  # this test knows the card
            told = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
            assert "decoder" in told  # the locals are there
            for secret in (CARD.number, CARD.name, CARD.number[6:14], repr(NUMBER)[2:-1], repr(NAME)[2:-1]):
                assert secret not in told
                assert secret not in repr(faults)

    scenario()


@in_virtual_time
async def test_a_late_card_is_never_the_next_persons():
    """The reader needs longer than we wait: whatever it says later answers no question about the next card."""
    first, second = Card("000000199001010018"), Card("000000201001010018")
    bench = on_bench()

    class Late:
        def __init__(self) -> None:
            self.owed = b""

        def receive(self, data: bytes) -> bytes:
            owed, self.owed = self.owed, b""
            answer = Peer(bench).receive(data)
            if data == Command.READ.to_bytes() and bench.card is first:
                self.owed = answer
                bench.card = second
                return b""
            return owed + answer

    bench.card = first
    async with bus_on(MemoryLink(Late())) as bus:
        reader = IdCardReader(bus, day_key=lambda: b"key", today=lambda: date(2026, 11, 22))
        readings = []
        for _ in range(4):
            try:
                readings.append(await reader.read())
            except UnavailableError:
                await asyncio.sleep(1)
    assert readings
    assert {reading.adult for reading in readings if reading} == {False}


@in_virtual_time
async def test_the_probe_looks_at_no_card():
    async with bus_on(MemoryLink(Peer(on_bench()))) as bus:
        assert await FAMILY.probe(bus, 1, {}) == "ID-card reader: the security module says done"
