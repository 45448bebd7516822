"""A serial port that is really there: a pseudo-terminal behind a symlink, which can be pulled out and put back."""

from __future__ import annotations

import asyncio
import logging
import os
import tty
from collections import Counter
from pathlib import Path

from simulators.hardware.device import Device
from simulators.hardware.faults import Faults

READ_BYTES = 4096
log = logging.getLogger("zhanggui.simulators")


class PtyPort:
    """Serves `device` at `path`. `echo`: the adapter repeats every byte of the host, as half-duplex RS-485 does.

    `plug()` needs a running loop. A path that is not our own symlink is never overwritten (FileExistsError).
    """

    def __init__(self, path: Path, device: Device, faults: Faults, *, echo: bool = False) -> None:
        self.path = path
        self.device = device
        self.faults = faults
        self.echo = echo
        self.counters: Counter[str] = Counter()
        self._master: int | None = None
        self._slave: int | None = None
        self._slave_name = ""
        self._silent_until_s = 0.0
        self._last_due_s = 0.0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: set[asyncio.TimerHandle] = set()

    @property
    def plugged(self) -> bool:
        return self._master is not None

    def plug(self) -> None:
        """Make a new pseudo-terminal and point the symlink at it; nothing if it is plugged."""
        if self._master is not None:
            return
        if self.path.exists() and not self.path.is_symlink():
            raise FileExistsError(f"{self.path} is there and is no symlink; it is not overwritten")
        self._loop = asyncio.get_running_loop()
        # The slave stays open here: without it a host that closes the port would hang the line up for the next one.
        master, slave = os.openpty()
        tty.setraw(slave)
        os.set_blocking(master, False)
        self._master, self._slave, self._slave_name = master, slave, os.ttyname(slave)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.path.with_name(f".{self.path.name}.new")
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(self._slave_name)
        fresh.replace(self.path)
        self._loop.add_reader(master, self._on_readable)
        self.counters["plugged"] += 1

    def unplug(self) -> None:
        """The adapter is pulled out: the host's open port fails, the path is gone. Nothing if it is out."""
        if self._master is None or self._slave is None or self._loop is None:
            return
        self._loop.remove_reader(self._master)
        for handle in self._waiting:
            handle.cancel()
        self._waiting.clear()
        if self.path.is_symlink() and str(self.path.readlink()) == self._slave_name:
            self.path.unlink()
        os.close(self._slave)
        os.close(self._master)
        self._master = self._slave = None
        self.counters["unplugged"] += 1

    def silence(self, duration_s: float) -> None:
        """The devices on the line hear and say nothing for so many real seconds (they reboot)."""
        assert self._loop is not None
        self._silent_until_s = self._loop.time() + duration_s
        self.counters["silenced"] += 1

    def send(self, data: bytes) -> bool:
        """Bytes to the host now; False if they were lost (no port, or nobody reads), as a UART loses them."""
        if self._master is None:
            self.counters["lost_unplugged_bytes"] += len(data)
            return False
        try:
            written = os.write(self._master, data)
        except BlockingIOError:
            written = 0
        except OSError as error:
            log.warning("port %s failed: %s", self.path.name, error)
            self.unplug()
            return False
        if written < len(data):
            self.counters["overrun_bytes"] += len(data) - written
        return written == len(data)

    def _on_readable(self) -> None:
        assert self._master is not None
        assert self._loop is not None
        try:
            data = os.read(self._master, READ_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            log.warning("port %s failed: %s", self.path.name, error)
            self.unplug()
            return
        self.counters["bytes_in"] += len(data)
        if self.echo:
            self.send(data)
        now_s = self._loop.time()
        if now_s < self._silent_until_s:
            return
        for frame in self.device.split(data, now_s):
            self._serve(frame, now_s)

    def _serve(self, frame: bytes, now_s: float) -> None:
        self.counters["frames_in"] += 1
        lost = self.faults.loses()
        if lost == "request":
            return
        reply = self.device.answer(frame, now_s)
        if not reply or lost == "reply":
            return
        if self.faults.misaddresses():
            reply = self.device.disguise(reply)
        reply = self.faults.corrupted(reply)
        # Replies keep their order however long each is held back: a line is a queue.
        self._last_due_s = max(self._last_due_s, now_s + self.faults.delay_s())
        if self._last_due_s <= now_s:
            self.send(reply)
        else:
            self._later(reply, self._last_due_s)

    def _later(self, reply: bytes, due_s: float) -> None:
        assert self._loop is not None

        def fire() -> None:
            self._waiting.discard(handle)
            self.send(reply)

        handle = self._loop.call_at(due_s, fire)
        self._waiting.add(handle)
