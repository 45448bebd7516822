"""The far end of the lines that `benchmarks.devices` measures: devices on pseudo-terminals, in a process of their own.

    python -m benchmarks.devices_far FOLDER PORTS REPLY_AFTER_MS

Each port answers a Modbus question (03, two registers) and lock frames of the 8A/80 family. Of every frame that opens
it says on its output when it came, in nanoseconds of CLOCK_MONOTONIC.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
import tty
from functools import reduce
from operator import xor
from pathlib import Path

MODBUS_REPLY = bytes.fromhex("01030400000084FA50")
OPEN, QUERY = 0x8A, 0x80


class Port:
    """One pseudo-terminal and all devices on it."""

    def __init__(self, path: Path, reply_after_s: float) -> None:
        self._after_s = reply_after_s
        self._held = b""
        master, slave = os.openpty()
        tty.setraw(slave)
        os.set_blocking(master, False)
        self._master, self._slave = master, slave  # the slave stays open: a host may come and go
        path.symlink_to(os.ttyname(slave))
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(master, self._readable)

    def _readable(self) -> None:
        now_ns = time.monotonic_ns()
        self._held += os.read(self._master, 4096)
        while self._held:
            modbus = self._held[0] not in {OPEN, QUERY}
            size = 8 if modbus else 5
            if len(self._held) < size:
                return
            frame, self._held = self._held[:size], self._held[size:]
            if frame[0] == OPEN:
                print(json.dumps({"came_ns": now_ns}), flush=True)
            reply = MODBUS_REPLY if modbus else self._lock(frame)
            if self._after_s:
                self._loop.call_later(self._after_s, self._say, reply)
            else:
                self._say(reply)

    def _lock(self, frame: bytes) -> bytes:
        body = bytes((frame[0], frame[1], frame[2], 0x00 if frame[0] == OPEN else 0x11))
        return body + bytes((reduce(xor, body),))

    def _say(self, reply: bytes) -> None:
        os.write(self._master, reply)


async def main(folder: Path, ports: int, reply_after_s: float) -> None:
    """Serve until the input ends."""
    kept = [Port(folder / f"line-{number}", reply_after_s) for number in range(ports)]
    print(json.dumps({"ready": len(kept)}), flush=True)
    told = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(told), sys.stdin)
    await told.read()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]) / 1000))
