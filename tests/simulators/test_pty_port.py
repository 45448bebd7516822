"""A port is a real terminal: pyserial opens it, speaks golden bytes, loses it, finds it again."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from random import Random

import pytest
import serial

from simulators.hardware.faults import FaultPlan, Faults
from simulators.hardware.lock_8a import LockBus
from simulators.hardware.lock_line import Board
from simulators.hardware.modbus import ModbusBus, Transmitter
from simulators.hardware.pty_port import PtyPort
from simulators.hardware.scanner import Scanner
from tests.simulators.test_lock_board import Wall
from tests.simulators.test_modbus import Cell

QUERY, CLOSED = bytes.fromhex("80 01 01 33 B3"), bytes.fromhex("80 01 01 11 91")
OPEN, OPENED = bytes.fromhex("8A 01 01 11 9B"), bytes.fromhex("8A 01 01 00 8A")


@pytest.fixture
async def port(tmp_path: Path) -> AsyncIterator[PtyPort]:
    port = PtyPort(
        tmp_path / "ports" / "locks", LockBus({1: Board("one", "locked_short")}, Wall()), Faults(rng=Random(1))
    )
    port.plug()
    yield port
    port.unplug()


def opened(port: PtyPort) -> serial.Serial:
    return serial.Serial(str(port.path), 9600, timeout=2, write_timeout=2, exclusive=True)


async def spoken(line: serial.Serial, request: bytes, count: int) -> bytes:
    """Write and read `count` bytes in a thread, so that the loop can serve the other side."""

    def talk() -> bytes:
        line.write(request)
        return bytes(line.read(count))

    return await asyncio.to_thread(talk)


async def until(holds: Callable[[], bool]) -> None:
    """Let the loop run until something has happened; a test that waits for ever is stopped by its runner."""
    while not holds():  # what is waited for is bytes in the kernel, which set no event
        await asyncio.sleep(0)


async def test_golden_bytes_through_pyserial(port: PtyPort) -> None:
    with opened(port) as line:
        assert await spoken(line, QUERY, 5) == CLOSED
        assert await spoken(line, OPEN, 5) == OPENED
        for byte in QUERY[:-1]:  # byte by byte
            line.write(bytes([byte]))
        assert await spoken(line, QUERY[-1:], 5) == CLOSED


async def test_a_second_host_may_open_it_after_the_first_and_the_line_is_alive(port: PtyPort) -> None:
    for _ in range(2):
        with opened(port) as line:
            assert await spoken(line, QUERY, 5) == CLOSED


async def test_echo_comes_before_the_reply(port: PtyPort) -> None:
    port.echo = True
    with opened(port) as line:
        assert await spoken(line, OPEN, 10) == OPEN + OPENED
        assert await spoken(line, OPEN, 10) == OPEN + OPEN  # hold-off: the refusal is the command itself


async def test_binary_bytes_pass_unchanged_both_ways(tmp_path: Path) -> None:
    # 0x0A, 0x0D, 0x11, 0x13, 0x03, 0x1A and 0x04 mean something to a terminal that is not raw
    line = ModbusBus({0x0D: Transmitter("one", Cell(0x0A0D1113), 0), 0x03: Transmitter("two", Cell(0x031A0411), 0)})
    port = PtyPort(tmp_path / "scales", line, Faults(rng=Random(1)))
    port.plug()
    with opened(port) as host:
        for address, weight in ((0x0D, "0A 0D 11 13"), (0x03, "03 1A 04 11")):
            body = bytes([address]) + bytes.fromhex("03 00 50 00 02")
            reply = await spoken(host, body + crc(body), 9)
            assert reply[:7] == bytes([address]) + bytes.fromhex("03 04" + weight)
    port.unplug()


def crc(body: bytes) -> bytes:
    value = 0xFFFF
    for byte in body:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0xA001 if value & 1 else 0)
    return value.to_bytes(2, "little")


async def test_unplug_fails_the_host_and_removes_the_path_and_replug_makes_another_terminal(port: PtyPort) -> None:
    # pitfall 7: the host's read or write raises, it does not hang
    with opened(port) as line:
        assert await spoken(line, QUERY, 5) == CLOSED
        port.unplug()
        assert not port.path.exists()
        assert not port.path.is_symlink()
        with pytest.raises((serial.SerialException, OSError)):
            await spoken(line, QUERY, 5)
    with pytest.raises(serial.SerialException):
        opened(port)
    port.unplug()  # twice is nothing
    assert port.send(b"x") is False
    port.plug()
    port.plug()  # twice is nothing
    with opened(port) as line:
        assert await spoken(line, QUERY, 5) == CLOSED
    assert port.counters["plugged"] == 2
    assert port.counters["unplugged"] == 1


async def test_a_real_file_or_another_ones_symlink_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "tty"
    path.write_text("mine")
    port = PtyPort(path, Scanner(), Faults(rng=Random(1)))
    with pytest.raises(FileExistsError):
        port.plug()
    assert path.read_text() == "mine"
    path.unlink()
    port.plug()
    path.unlink()
    path.symlink_to("/dev/null")
    port.unplug()
    assert path.is_symlink()


async def test_bytes_nobody_reads_are_lost_and_counted_never_waited_for(port: PtyPort) -> None:
    while port.send(b"x" * 4096):
        pass
    assert port.counters["overrun_bytes"] > 0


@pytest.mark.parametrize("touch", [lambda port: port.send(b"x"), lambda port: port._on_readable()])
async def test_a_terminal_that_died_unplugs_itself(port: PtyPort, touch: Callable[[PtyPort], object]) -> None:
    assert port._master is not None
    asyncio.get_running_loop().remove_reader(port._master)
    dead = os.open("/", os.O_RDONLY)  # reading and writing a folder both fail
    os.dup2(dead, port._master)
    os.close(dead)
    touch(port)
    assert not port.plugged
    assert not port.path.is_symlink()


async def test_a_wake_up_without_bytes_is_nothing(port: PtyPort) -> None:
    port._on_readable()
    assert port.plugged
    assert port.counters["bytes_in"] == 0


@pytest.mark.parametrize("plan", [FaultPlan(drop_p=1.0), FaultPlan(wrong_addr_p=1.0)])
async def test_a_lost_frame_and_a_wrong_address_reach_the_host_as_planned(port: PtyPort, plan: FaultPlan) -> None:
    port.faults.plan = plan
    with opened(port) as line:
        line.write(QUERY * 20)
        await until(lambda: port.counters["frames_in"] == 20)
        port.faults.plan = FaultPlan()
        seen = await spoken(line, QUERY, 5 + 100 * (plan.drop_p == 0))
    frames = {seen[i : i + 5] for i in range(0, len(seen) - 5, 5)}
    if plan.drop_p:
        counters = port.faults.counters
        assert counters["request_dropped"] > 0
        assert counters["reply_dropped"] > 0
    else:
        assert frames == {bytes.fromhex("80 02 01 11 92")}
    assert seen[-5:] == CLOSED


async def test_a_reply_held_back_comes_late_and_in_order(port: PtyPort) -> None:
    port.faults.plan = FaultPlan(delay_ms=30)
    with opened(port) as line:
        assert await spoken(line, OPEN + QUERY + QUERY, 15) == OPENED + CLOSED + CLOSED
    assert port.faults.counters["delayed"] == 3


async def test_a_silent_line_answers_again_after_its_reboot(port: PtyPort) -> None:
    port.silence(60.0)
    with opened(port) as line:
        line.write(QUERY)
        await until(lambda: port.counters["bytes_in"] == 5)
        assert line.in_waiting == 0
        port.silence(0.0)
        assert await spoken(line, QUERY, 5) == CLOSED


async def test_unplug_forgets_replies_that_wait(port: PtyPort) -> None:
    port.faults.plan = FaultPlan(delay_ms=60_000)
    with opened(port) as line:
        line.write(QUERY)
        await until(lambda: bool(port._waiting))
        port.unplug()
        assert not port._waiting


async def test_a_scanner_prints_its_text_and_a_carriage_return(tmp_path: Path) -> None:
    scanner = Scanner()
    port = PtyPort(tmp_path / "scanner", scanner, Faults(rng=Random(1)))
    port.plug()
    with opened(port) as line:
        port.send(scanner.printed("ZG1.m1.0011223344556677"))
        assert await spoken(line, b"hello", 24) == b"ZG1.m1.0011223344556677\r"
        await until(lambda: scanner.counters["ignored_bytes"] == 5)
    port.unplug()


@pytest.mark.parametrize("text", ["", "a\rb", "a\nb", "x" * 1025])
def test_a_scanner_refuses_what_none_would_print(text: str) -> None:
    with pytest.raises(ValueError, match="code"):
        Scanner().printed(text)


def test_a_scanner_answers_nobody() -> None:
    scanner = Scanner()
    assert scanner.answer(b"x", 0.0) == b""
    assert scanner.disguise(b"x") == b"x"
