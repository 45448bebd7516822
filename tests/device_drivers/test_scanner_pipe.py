"""Codes of other programs, over real named pipes and descriptors."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest

from contracts.clock import SystemClock
from device_drivers.capabilities import CodeScanned
from device_drivers.descriptor_link import MAX_BUFFERED_BYTES
from device_drivers.errors import MisconfiguredError, UnavailableError
from device_drivers.scanner import SerialScanner
from device_drivers.scanner.pipe import open_descriptor, open_pipe


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    path = tmp_path / "codes"
    os.mkfifo(path, 0o660)
    return path


def write(path: Path, data: bytes) -> None:
    """One writer, who comes and goes."""
    path.write_bytes(data)


def open_descriptors() -> int:
    return len([*Path("/proc/self/fd").iterdir()])


@asynccontextmanager
async def reading(path: Path):
    scanner = SerialScanner(name="pipe", open_link=partial(open_pipe, str(path)), clock=SystemClock())
    owner = asyncio.create_task(scanner.run(), name="owner")
    await until(lambda: scanner.is_open)
    try:
        yield scanner
    finally:
        owner.cancel()
        await asyncio.gather(owner, return_exceptions=True)


async def until(holds) -> None:
    async with asyncio.timeout(20):
        while not holds():
            await asyncio.sleep(0.001)


async def next_text(scanner: SerialScanner) -> str:
    async with asyncio.timeout(20):
        return (await scanner.next_code()).text


async def test_writers_come_and_go(pipe: Path) -> None:
    """`echo CODE > pipe`, again and again: no code is lost and the reader is never down."""
    async with reading(pipe) as scanner:
        for number in range(20):
            with pipe.open("wb", buffering=0) as writer:
                writer.write(b"code-%d\n" % number)
            assert await next_text(scanner) == f"code-{number}"
        assert scanner.is_open


async def test_a_writer_of_another_process(pipe: Path) -> None:
    async with reading(pipe) as scanner:
        script = f"open({str(pipe)!r}, 'w').write('6901234567892\\r\\n会员\\n')"
        assert await asyncio.to_thread(subprocess.call, [sys.executable, "-c", script]) == 0
        assert [await next_text(scanner), await next_text(scanner)] == ["6901234567892", "会员"]


async def test_an_idle_pipe_costs_nothing(pipe: Path) -> None:
    """After its last writer a pipe says "end" for ever; it is not asked again and again."""
    async with reading(pipe) as scanner:
        write(pipe, b"a\n")
        assert await next_text(scanner) == "a"
        reads = 0
        link = scanner._link
        receive = link._receive

        def counted() -> bool:
            nonlocal reads
            reads += 1
            return receive()

        link._receive = counted
        await asyncio.sleep(0.1)
        assert reads <= 1


@pytest.mark.parametrize(
    ("first", "second", "texts", "unprintable"),
    [
        (b"690", b"123\n691\n", ["123", "691"], 1),  # the half line of one who left is joined to no other
        (b"690\n", b"691\n", ["690", "691"], 0),
        (b"690\r", b"691\r", ["690", "691"], 0),
        (b"690\n69", b"", ["690"], 1),
        (b"", b"690\n", ["690"], 0),
        (b"6\x1b90\n\x00\n691\n", b"", ["691"], 2),  # control characters are no code
        (b"\xff\xfe\n690\n", b"", ["690"], 1),  # nor is what is not UTF-8
    ],
)
async def test_what_one_writer_leaves_behind(pipe: Path, first, second, texts, unprintable) -> None:
    async with reading(pipe) as scanner:
        write(pipe, first)
        await asyncio.sleep(0.02)
        write(pipe, second)
        assert [await next_text(scanner) for _ in texts] == texts
        await until(lambda: scanner.counters["unprintable"] == unprintable)


async def test_a_line_without_end_takes_no_memory(pipe: Path) -> None:
    async with reading(pipe) as scanner:

        def flood() -> None:
            with pipe.open("wb", buffering=0) as writer:
                for _ in range(100):
                    writer.write(b"x" * 4096)
                writer.write(b"\n690\n")

        await asyncio.to_thread(flood)
        assert await next_text(scanner) == "690"
        assert scanner._decoder.buffered == 0
        assert len(scanner._link._buffer) <= MAX_BUFFERED_BYTES


async def test_a_code_whose_beginning_was_dropped_is_no_code(pipe: Path) -> None:
    """More than the cap at once, while the event loop does something else."""
    async with reading(pipe) as scanner:
        writer = os.open(pipe, os.O_WRONLY)
        os.write(writer, b"0123456789\n" * 3000)
        link = scanner._link
        while link._receive():
            pass
        os.close(writer)
        link._rouse()
        assert await next_text(scanner) == "0123456789"
        assert scanner.counters["bytes"] == 33_000 - MAX_BUFFERED_BYTES
        await asyncio.sleep(0.01)
        assert scanner.counters["unprintable"] == scanner.counters["too_long"] == 0
        assert {code.text for _, code in scanner._codes} <= {"0123456789"}


async def test_a_pipe_that_is_taken_away_is_told(pipe: Path) -> None:
    scanner = SerialScanner(open_link=partial(open_pipe, str(pipe)), clock=SystemClock())
    owner = asyncio.create_task(scanner.run(), name="owner")
    await until(lambda: scanner.is_open)
    with pipe.open("wb", buffering=0) as writer:
        writer.write(b"a\n")
        await asyncio.to_thread(pipe.unlink)
    async with asyncio.timeout(20):
        with pytest.raises(UnavailableError, match="gone"):
            await owner
    with pytest.raises(UnavailableError, match="mkfifo"):
        await scanner.run()
    os.mkfifo(pipe, 0o660)  # and its owner opens it again
    async with reading(pipe) as again:
        write(pipe, b"b\n")
        assert await next_text(again) == "b"


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda path: None, UnavailableError, "mkfifo"),
        (lambda path: path.touch(), MisconfiguredError, "no named pipe"),
        (lambda path: path.mkdir(), MisconfiguredError, "no named pipe"),
        (
            lambda path: (os.mkfifo(path), path.chmod(0o662)),
            MisconfiguredError,
            "chmod o-w",
        ),  # anybody could write codes
    ],
)
async def test_what_is_no_pipe_of_ours_is_refused(tmp_path: Path, make, error, words) -> None:
    path = tmp_path / "codes"
    make(path)
    descriptors = open_descriptors()
    with pytest.raises(error, match=words):
        await open_pipe(str(path))
    assert open_descriptors() == descriptors


async def test_any_descriptor_will_do(tmp_path: Path) -> None:
    """What the other end wrote before it hung up is read first by whoever waits; then the owner is told."""
    reading_end, writing_end = os.pipe()
    scanner = SerialScanner(open_link=partial(open_descriptor, reading_end), clock=SystemClock())
    owner = asyncio.create_task(scanner.run(), name="owner")
    await until(lambda: scanner.is_open)
    os.write(writing_end, b"690\n")
    assert await scanner.next_code() == CodeScanned("690")
    os.close(writing_end)
    async with asyncio.timeout(20):
        with pytest.raises(UnavailableError, match="hung up"):
            await owner
    os.close(reading_end)  # our own copy was closed, theirs was not
    with pytest.raises(UnavailableError, match="descriptor"):
        await open_descriptor(reading_end)
