"""Links by address: what may be written, whom an error tells what, and real ports, sockets and serial servers."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
import tty
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass

import pytest
import serial
from serial import rfc2217

from device_drivers.errors import MisconfiguredError, UnavailableError
from device_drivers.link_url import LinkUrl, open_link, schemes
from device_drivers.usb_port import UsbAdapter, path_of

# ------------------------------------------------------------------ addresses


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("/dev/ttyS1", ("serial", "/dev/ttyS1", 9600, "N", 1)),  # a path alone
        ("serial:///dev/ttyS1", ("serial", "/dev/ttyS1", 9600, "N", 1)),
        ("serial:///dev/ttyS1?baud=19200&parity=E&stop_bits=2", ("serial", "/dev/ttyS1", 19200, "E", 2)),
        ("serial:///dev/serial/by-id/usb-FTDI_x-if00?baud=115200", ("serial", "/dev/serial/by-id/usb-FTDI_x-if00", 115200, "N", 1)),
        ("serial://usb/1a86:7523/A50285BI", ("serial", "", 9600, "N", 1)),
        ("tcp://10.0.0.4:4001", ("tcp", "", 9600, "N", 1)),
        ("tcp://[::1]:4001/", ("tcp", "/", 9600, "N", 1)),
        ("rfc2217://moxa.shop:4001?baud=2400", ("rfc2217", "", 2400, "N", 1)),
    ],
)  # fmt: skip
def test_an_address_says_where_a_device_is(text: str, found: tuple[object, ...]) -> None:
    url = LinkUrl.parse(text)
    assert (url.scheme, url.path, url.baud, url.parity, url.stop_bits) == found


@pytest.mark.parametrize(
    ("text", "tells"),
    [
        ("", "must be an address"),
        ("x" * 600, "must be an address"),
        ("tcp://a:1\n", "must be an address"),  # a control character
        ("serial://ttyS1", "serial:///PATH"),  # two slashes
        ("serial:", "serial:///PATH"),
        ("serial://usb/1a86", "VENDOR:PRODUCT"),
        ("serial://usb/1a86:zzzz", "VENDOR:PRODUCT"),
        ("tcp://10.0.0.4", "tcp://HOST:PORT"),
        ("tcp://:4001", "tcp://HOST:PORT"),
        ("tcp://10.0.0.4:99999", "Port out of range"),
        ("tcp://10.0.0.4:4001/more", "tcp://HOST:PORT"),
        ("rfc2217://10.0.0.4", "rfc2217://HOST:PORT"),
        ("serial:///dev/ttyS1?baud=fast", "baud must be"),
        ("serial:///dev/ttyS1?baud=1", "baud must be"),
        ("serial:///dev/ttyS1?baud=99999999999999999999", "baud must be"),
        ("serial:///dev/ttyS1?parity=M", "parity must be"),
        ("serial:///dev/ttyS1?stop_bits=3", "stop_bits"),
        ("serial:///dev/ttyS1?speed=9600", "knows no speed"),
    ],
)
def test_a_wrong_address_names_the_fix(text: str, tells: str) -> None:
    with pytest.raises(MisconfiguredError, match=tells):
        LinkUrl.parse(text)


async def test_a_scheme_that_nobody_brought() -> None:
    with pytest.raises(MisconfiguredError, match=r"no link is called 'can'; there are .*serial, .*tcp"):
        await open_link(LinkUrl.parse("can://vcan0"))
    assert {"serial", "tcp", "rfc2217", "sim"} <= set(schemes())


# ------------------------------------------------------------------ USB adapters


@dataclass
class Found:
    device: str
    vid: int | None = None
    pid: int | None = None
    serial_number: str | None = None


PORTS = [
    Found("/dev/ttyS0"),  # no USB
    Found("/dev/ttyUSB1", 0x1A86, 0x7523, "A"),
    Found("/dev/ttyUSB0", 0x1A86, 0x7523, "B"),
    Found("/dev/ttyUSB2", 0x0403, 0x6001),  # an adapter without a serial number
]


@pytest.mark.parametrize(
    ("name", "path"),
    [("/1a86:7523/B", "/dev/ttyUSB0"), ("/1A86:7523/A", "/dev/ttyUSB1"), ("/0403:6001", "/dev/ttyUSB2")],
)
def test_an_adapter_is_found_by_what_it_is(name: str, path: str) -> None:
    assert path_of(UsbAdapter.parse(name), PORTS) == path


def test_an_adapter_that_is_out_may_come_back() -> None:
    with pytest.raises(UnavailableError, match="1a86:7523/C: is not there"):
        path_of(UsbAdapter.parse("/1a86:7523/C"), PORTS)


def test_two_of_a_kind_need_a_name() -> None:
    with pytest.raises(MisconfiguredError, match=r"2 adapters fit.*ttyUSB0 \(serial B\), /dev/ttyUSB1 \(serial A\)"):
        path_of(UsbAdapter.parse("/1a86:7523"), PORTS)


async def test_the_ports_of_this_machine_are_asked() -> None:
    with pytest.raises(UnavailableError, match="dead:beef: is not there"):
        await open_link(LinkUrl.parse("serial://usb/dead:beef"))


# ------------------------------------------------------------------ real ones


@contextmanager
def echo_server() -> Iterator[tuple[int, Callable[[], None]]]:
    """A serial server with a device that repeats; its port, and how it loses its power."""
    listening = socket.create_server(("127.0.0.1", 0))
    lines: list[socket.socket] = []

    def serve() -> None:
        try:
            line, _ = listening.accept()
            lines.append(line)
            while data := line.recv(4096):
                line.sendall(data)
        except OSError:
            return

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()

    def off() -> None:
        for line in lines:
            with suppress(OSError):  # the other side may have gone
                line.shutdown(socket.SHUT_RDWR)

    with closing(listening):
        yield listening.getsockname()[1], off
    off()
    thread.join(5)
    for line in lines:
        line.close()


class NoModem(serial.Serial):
    """A pseudo-terminal has no modem lines, which the server asks for."""

    cts = dsr = ri = cd = property(lambda _self: False)

    def _update_rts_state(self) -> None:
        pass

    def _update_dtr_state(self) -> None:
        pass


@contextmanager
def rfc2217_server(deaf: threading.Event | None = None) -> Iterator[tuple[int, list[int]]]:
    """pyserial's own server over a pseudo-terminal that repeats; its port, and the speeds it was told to set.

    From `deaf` on it takes nothing from its connection, and keeps it.
    """
    master, slave = os.openpty()
    tty.setraw(slave)
    listening = socket.create_server(("127.0.0.1", 0))
    speeds: list[int] = []
    done = threading.Event()

    def repeat() -> None:
        while not done.is_set():
            try:
                os.write(master, os.read(master, 4096))
            except OSError:
                return

    def serve() -> None:
        line, _ = listening.accept()
        with closing(line), NoModem(os.ttyname(slave), timeout=0.02) as port:

            class Sender:
                def write(self, data: bytes) -> None:
                    line.sendall(data)

            manager = rfc2217.PortManager(port, Sender())
            line.settimeout(0.02)
            while not done.is_set():
                if deaf is not None and deaf.is_set():
                    done.wait()
                    return
                try:
                    data = line.recv(1024)
                    if not data:
                        return
                    port.write(b"".join(manager.filter(data)))
                except TimeoutError:
                    pass
                if back := port.read(port.in_waiting or 1):
                    line.sendall(b"".join(manager.escape(back)))
                speeds.append(port.baudrate)

    threads = [threading.Thread(target=work, daemon=True) for work in (repeat, serve)]
    for thread in threads:
        thread.start()
    try:
        yield listening.getsockname()[1], speeds
    finally:
        done.set()
        threads[1].join(5)
        os.close(slave)
        os.close(master)
        listening.close()


async def heard(link, size: int) -> bytes:
    data = b""
    async with asyncio.timeout(10):
        while len(data) < size:
            data += await link.read()
    return data


async def test_a_serial_server_passes_bytes_on_and_may_lose_its_power() -> None:
    with echo_server() as (port, off):
        link = await open_link(LinkUrl.parse(f"tcp://127.0.0.1:{port}"))
        link.write(b"\x8a\x01\x01\x11\x9b")
        assert await heard(link, 5) == b"\x8a\x01\x01\x11\x9b"
        link.write(b"late")
        async with asyncio.timeout(10):
            while not (stale := link.flush()):
                await asyncio.sleep(0)
        assert b"late".startswith(stale)
        off()
        with pytest.raises(UnavailableError, match=rf"tcp://127.0.0.1:{port}: hung up"):
            await heard(link, 99)
        with pytest.raises(UnavailableError, match="hung up"):
            link.write(b"x")
        link.close()
        link.close()  # twice is once


async def test_a_pending_read_ends_when_the_link_is_closed() -> None:
    with echo_server() as (port, _off):
        link = await open_link(LinkUrl.parse(f"tcp://127.0.0.1:{port}"))
        reading = asyncio.create_task(link.read())
        await asyncio.sleep(0)
        link.close()
        with pytest.raises(UnavailableError, match="closed"):
            await reading


async def test_nobody_listens_there() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(UnavailableError, match=rf"tcp://127.0.0.1:{port}: .*refused"):
        await open_link(LinkUrl.parse(f"tcp://127.0.0.1:{port}"))


async def test_a_host_that_is_no_host() -> None:
    with pytest.raises(MisconfiguredError, match=r"tcp://no host\.invalid:1"):
        await open_link(LinkUrl("x", "tcp", host="no host.invalid", port=1))


async def test_a_server_of_rfc_2217_sets_the_speed_and_passes_every_byte() -> None:
    every = bytes(range(256))  # 255 is Telnet's own escape
    with rfc2217_server() as (port, speeds):
        link = await open_link(LinkUrl.parse(f"rfc2217://127.0.0.1:{port}?baud=19200"))
        link.write(every)
        assert await heard(link, 256) == every
        assert speeds[-1] == 19200
        assert link.dropped_bytes == 0
        assert link.flush() == b""
        reading = asyncio.create_task(link.read())
        await asyncio.sleep(0)
        link.close()
        with pytest.raises(UnavailableError, match="closed"):
            await reading
        with pytest.raises(UnavailableError, match="closed"):
            link.write(b"x")


async def test_a_server_that_takes_no_more_costs_the_link_and_no_waiting() -> None:
    """The loop serves every other line: it never waits for the network, but takes the link as lost."""
    deaf = threading.Event()
    with rfc2217_server(deaf) as (port, _speeds):
        link = await open_link(LinkUrl.parse(f"rfc2217://127.0.0.1:{port}"))
        deaf.set()
        with pytest.raises(UnavailableError, match=r"the server took \d+ of 33554432 bytes"):
            link.write(b"\0" * 32 * 1024 * 1024)  # more than any system keeps for it
        with pytest.raises(UnavailableError, match="the server took"):
            link.write(b"x")
        with pytest.raises(UnavailableError, match="the server took"):
            link.flush()
        link.close()


@pytest.mark.parametrize("leaves_after_s", [0.0, 0.04, 0.15])  # at once, while they negotiate, towards its end
async def test_whoever_leaves_while_it_connects_leaves_no_connection_behind(leaves_after_s: float) -> None:
    with rfc2217_server() as (port, _speeds):
        opening = asyncio.create_task(open_link(LinkUrl.parse(f"rfc2217://127.0.0.1:{port}")))
        await asyncio.sleep(leaves_after_s)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        await asyncio.get_running_loop().shutdown_default_executor()  # the thread has done with connecting
        async with asyncio.timeout(10):
            while any(f"rfc2217://127.0.0.1:{port}" in thread.name for thread in threading.enumerate()):
                await asyncio.sleep(0.01)


async def test_a_server_that_does_not_speak_rfc_2217_is_not_there() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(UnavailableError, match=rf"rfc2217://127.0.0.1:{port}: cannot be opened"):
        await open_link(LinkUrl.parse(f"rfc2217://127.0.0.1:{port}"))


async def test_a_simulator_is_a_link_too() -> None:
    link = await open_link(LinkUrl.parse("sim://lock_8a"))
    link.write(bytes.fromhex("80010133B3"))
    assert (await heard(link, 5)).hex() == "8001011191"  # lock 1 is closed
    link.close()


async def test_a_simulator_that_there_is_not() -> None:
    with pytest.raises(MisconfiguredError, match=r"no simulator of 'toaster'; there are .*lock_8a"):
        await open_link(LinkUrl.parse("sim://toaster"))
