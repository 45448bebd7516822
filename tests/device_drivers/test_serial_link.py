"""A real pseudo-terminal: raw bytes both ways, one owner, and a cable that is pulled at each point."""

from __future__ import annotations

import asyncio
import errno
import os
import pty
import termios

import pytest
import serial

from device_drivers import serial_link
from device_drivers.bus import Bus, Exchange, NoReplyError, Priority
from device_drivers.descriptor_link import MAX_BUFFERED_BYTES, MAX_FLUSH_READS, READ_BYTES
from device_drivers.errors import MisconfiguredError, UnavailableError
from device_drivers.lock_8a import LockBoard8A
from device_drivers.serial_link import SerialLink, open_serial
from tests.device_drivers.twins import LockTwin


class Terminal:
    """The device's end of a pseudo-terminal."""

    def __init__(self) -> None:
        self.master, slave = pty.openpty()
        self.port = os.ttyname(slave)
        os.close(slave)
        os.set_blocking(self.master, False)
        self._open = True

    def unplug(self) -> None:
        if self._open:
            self._open = False
            os.close(self.master)

    def send(self, data: bytes) -> None:
        os.write(self.master, data)

    def play(self, twin) -> None:
        """Let a twin answer everything that arrives."""

        def readable() -> None:
            try:
                data = os.read(self.master, 4096)
            except OSError:
                return
            self.send(twin.receive(data))

        asyncio.get_running_loop().add_reader(self.master, readable)

    async def received(self, count: int) -> bytes:
        """The next `count` bytes that the host wrote."""
        data = b""
        while len(data) < count:
            try:
                data += os.read(self.master, count - len(data))
            except BlockingIOError:
                await asyncio.sleep(0.001)
        return data


@pytest.fixture
def terminal():
    terminal = Terminal()
    yield terminal
    terminal.unplug()


async def read_all(link: SerialLink, count: int) -> bytes:
    data = b""
    while len(data) < count:
        data += await asyncio.wait_for(link.read(), 10)
    return data


EVERY_BYTE = bytes(range(256))  # with XON, XOFF, ^C, ^D, CR, LF, DEL: a line that is not raw eats or changes some


async def test_every_byte_passes_both_ways_unchanged(terminal):
    link = await open_serial(terminal.port, 9600)
    try:
        terminal.send(EVERY_BYTE)
        assert await read_all(link, 256) == EVERY_BYTE
        link.write(EVERY_BYTE)
        assert await terminal.received(256) == EVERY_BYTE
        assert link.flush() == b""  # and nothing was echoed
    finally:
        link.close()


async def test_flush_takes_what_the_event_loop_has_not_seen_yet(terminal):
    link = await open_serial(terminal.port, 9600)
    try:
        terminal.send(b"late")
        assert link.flush() == b"late"
        terminal.send(b"fresh")
        assert await read_all(link, 5) == b"fresh"
    finally:
        link.close()


async def test_a_flood_is_capped_and_counted(terminal):
    link = await open_serial(terminal.port, 9600)
    try:
        sent = 0
        while sent < 3 * MAX_BUFFERED_BYTES:
            try:
                sent += os.write(terminal.master, b"x" * 1024)
            except BlockingIOError:
                await asyncio.sleep(0)  # the loop takes it in; nobody reads
        while len(link._buffer) + link.dropped_bytes < sent:
            await asyncio.sleep(0)
        assert len(link._buffer) == MAX_BUFFERED_BYTES
        assert link.dropped_bytes == sent - MAX_BUFFERED_BYTES
    finally:
        link.close()


async def test_a_port_has_one_owner(terminal):
    link = await open_serial(terminal.port, 9600)
    with pytest.raises(UnavailableError, match="in use by another program"):
        await open_serial(terminal.port, 9600)
    link.close()
    (await open_serial(terminal.port, 9600)).close()


async def test_a_missing_port_says_so(tmp_path):
    with pytest.raises(UnavailableError, match="is not there; is the cable plugged in"):
        await open_serial(str(tmp_path / "ttyUSB0"), 9600)


async def test_a_file_is_no_port(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(MisconfiguredError, match="is not a serial port"):
        await open_serial(str(tmp_path / "file"), 9600)


async def test_a_speed_that_does_not_exist(terminal):
    with pytest.raises(MisconfiguredError):
        await open_serial(terminal.port, -1)


@pytest.mark.parametrize(
    ("cause", "kind", "sentence"),
    [
        # tests may run as root, to whom nothing is forbidden: the errors are played
        (serial.SerialException(errno.EACCES, "x"), MisconfiguredError, "no permission"),
        (serial.SerialException(errno.EBUSY, "x"), UnavailableError, "in use"),
        (serial.SerialException(errno.EIO, "x"), UnavailableError, "Input/output error"),
        (termios.error(errno.EIO, "x"), UnavailableError, "Input/output error"),  # pulled out while being opened
        (serial.SerialException("odd"), UnavailableError, "odd"),
    ],
)
async def test_errors_of_opening_reach_who_must_act(monkeypatch, cause, kind, sentence):
    def refuse(*args, **kwargs):
        raise cause

    monkeypatch.setattr(serial_link.serial, "Serial", refuse)
    with pytest.raises(kind, match=sentence):
        await open_serial("/dev/ttyUSB0", 9600)


async def test_a_pulled_cable_ends_a_waiting_read_and_everything_after(terminal):
    link = await open_serial(terminal.port, 9600)
    reader = asyncio.create_task(link.read(), name="reader")
    await asyncio.sleep(0)
    terminal.unplug()
    with pytest.raises(UnavailableError):
        await asyncio.wait_for(reader, 10)
    for use in (link.flush, lambda: link.write(b"x")):
        with pytest.raises(UnavailableError):
            use()
    with pytest.raises(UnavailableError):
        await link.read()
    link.close()
    link.close()


async def test_write_and_flush_notice_the_pulled_cable_first(terminal):
    """No await since the pull: the event loop has not told anybody yet."""
    link = await open_serial(terminal.port, 9600)
    terminal.unplug()
    with pytest.raises(UnavailableError):
        link.write(b"x")
    link.close()


async def test_flush_notices_the_pulled_cable_first(terminal):
    link = await open_serial(terminal.port, 9600)
    terminal.unplug()
    with pytest.raises(UnavailableError):
        link.flush()
    link.close()


def empty(fd: int, count: int) -> bytes:
    return b""


def broken(fd: int, count: int) -> bytes:
    raise OSError(errno.EIO, "Input/output error")


@pytest.mark.parametrize(
    ("read", "sentence"),
    [
        (empty, "hung up"),  # an adapter that was pulled out is readable and empty
        (broken, "read failed: Input/output error"),  # or fails, as its driver pleases
    ],
)
async def test_both_ways_in_which_a_port_goes_away(terminal, monkeypatch, read, sentence):
    link = await open_serial(terminal.port, 9600)
    monkeypatch.setattr(serial_link.os, "read", read)
    with pytest.raises(UnavailableError, match=sentence):
        link.flush()
    link.close()


async def test_a_port_that_never_runs_dry_does_not_hold_the_loop(terminal, monkeypatch):
    link = await open_serial(terminal.port, 9600)
    monkeypatch.setattr(serial_link.os, "read", lambda fd, count: b"x" * count)
    assert len(link.flush()) == MAX_BUFFERED_BYTES
    assert link.dropped_bytes == (MAX_FLUSH_READS * READ_BYTES) - MAX_BUFFERED_BYTES
    link.close()


async def test_close_ends_a_waiting_read(terminal):
    link = await open_serial(terminal.port, 9600)
    reader = asyncio.create_task(link.read(), name="reader")
    await asyncio.sleep(0)
    link.close()
    with pytest.raises(UnavailableError, match="closed"):
        await reader


async def test_a_port_that_takes_half_a_frame_is_lost(terminal, monkeypatch):
    """pyserial #331: a driver that waits here waits for ever."""
    link = await open_serial(terminal.port, 9600)
    monkeypatch.setattr(serial_link.os, "write", lambda fd, data: len(data) - 1)
    with pytest.raises(UnavailableError, match="took 4 of 5 bytes"):
        link.write(b"12345")
    link.close()


async def test_a_port_that_fails_in_close_is_still_closed(terminal, monkeypatch):
    """Pitfall 7: the failure comes in flush or close, and nobody hears of the loss."""
    link = await open_serial(terminal.port, 9600)
    original = link._port.close

    def fail() -> None:
        original()
        raise OSError(errno.EIO, "gone")

    monkeypatch.setattr(link._port, "close", fail)
    link.close()
    with pytest.raises(UnavailableError):
        await link.read()


def bus_of(port: str) -> Bus:
    return Bus(name="pty", open_link=lambda: open_serial(port, 9600), on_fault=lambda *_: None)


async def opened(bus: Bus) -> None:
    while not bus._open:
        await asyncio.sleep(0)


async def test_a_lock_board_behind_a_real_port(terminal):
    twin = LockTwin()
    terminal.play(twin)
    bus = bus_of(terminal.port)
    owner = asyncio.create_task(bus.run(), name="owner")
    await opened(bus)
    board = LockBoard8A(bus, address=1, feedback_polarity="locked_short")
    assert (await board.door(1)).value == "closed"
    assert (await board.unlock(1, lambda: True)).result == "opened"
    assert (await board.door(1)).value == "open"
    asyncio.get_running_loop().remove_reader(terminal.master)
    owner.cancel()
    await asyncio.gather(owner, return_exceptions=True)


@pytest.mark.parametrize("moment", ["idle", "gap", "reply"])
async def test_the_owner_of_the_line_learns_of_the_pulled_cable(terminal, moment):
    """Pitfalls 7 and 8, on a real port: idle, in the gap before a frame, and while waiting for a reply."""
    bus = bus_of(terminal.port)
    owner = asyncio.create_task(bus.run(), name="owner")
    await opened(bus)
    request = None
    if moment != "idle":
        exchange = Exchange(priority=Priority.STATUS, encode=lambda: b"?", feed=lambda _: None, timeout_s=3600)
        bus._gap_s = 3600 if moment == "gap" else 0.0
        bus._last_byte_s = asyncio.get_running_loop().time()
        request = asyncio.create_task(bus.request(exchange), name="request")
        if moment == "reply":
            assert await terminal.received(1) == b"?"
        else:
            await asyncio.sleep(0)
            await asyncio.sleep(0)
    terminal.unplug()
    with pytest.raises(UnavailableError):
        await asyncio.wait_for(owner, 10)
    if request is not None:
        with pytest.raises(NoReplyError if moment == "reply" else UnavailableError) as caught:
            await asyncio.wait_for(request, 10)
        assert isinstance(caught.value, NoReplyError) == (moment == "reply")
    with pytest.raises(UnavailableError):
        await bus.run()  # the port is not there any more
