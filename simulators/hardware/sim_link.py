"""`sim://FAMILY`: the simulator of a family as an open line in this process, with any faults that are asked for.

sim://lock_8a?drop_p=0.1&delay_ms=20&seed=7&echo=true
"""

from __future__ import annotations

import asyncio
from collections import deque
from random import Random

from device_drivers.errors import MisconfiguredError, UnavailableError
from device_drivers.exchange import Link
from device_drivers.link_url import LinkUrl
from simulators.hardware.bench import bench_device
from simulators.hardware.device import Device
from simulators.hardware.faults import FaultPlan, Faults

MAX_BUFFERED_BYTES = 16384
_PLAN = ("drop_p", "corrupt_p", "wrong_addr_p", "delay_ms")


class SimLink:
    """A `Link` with one simulated device at its end."""

    def __init__(self, device: Device, faults: Faults, *, echo: bool = False) -> None:
        self.device, self.faults, self.echo = device, faults, echo
        self._arrived: deque[bytes] = deque()
        self._size = 0
        self._dropped_bytes = 0
        self._change = asyncio.Event()
        self._lost = ""
        self._due_s = 0.0

    @property
    def dropped_bytes(self) -> int:
        """See `Link.dropped_bytes`."""
        return self._dropped_bytes

    async def read(self) -> bytes:
        """See `Link.read`."""
        while not self._arrived:
            self._check()
            self._change.clear()
            await self._change.wait()
        return self.flush()

    def flush(self) -> bytes:
        """See `Link.flush`."""
        self._check()
        data = b"".join(self._arrived)
        self._arrived.clear()
        self._size = 0
        return data

    def write(self, data: bytes) -> None:
        """See `Link.write`."""
        self._check()
        loop = asyncio.get_running_loop()
        if self.echo:
            self.deliver(data)
        for frame in self.device.split(data, loop.time()):
            lost = self.faults.loses()
            reply = b"" if lost == "request" else self.device.answer(frame, loop.time())
            if not reply or lost == "reply":
                continue
            if self.faults.misaddresses():
                reply = self.device.disguise(reply)
            # A line is a queue: a slow reply holds up the ones behind it.
            self._due_s = max(self._due_s, loop.time() + self.faults.delay_s())
            loop.call_at(self._due_s, self.deliver, self.faults.corrupted(reply))

    def deliver(self, data: bytes) -> None:
        """Bytes that arrive now; the oldest go beyond the cap."""
        self._arrived.append(data)
        self._size += len(data)
        while self._size > MAX_BUFFERED_BYTES:
            gone = len(self._arrived.popleft())
            self._size -= gone
            self._dropped_bytes += gone
        self._change.set()

    def unplug(self) -> None:
        """The adapter is pulled out."""
        self._lost = "the cable is out"
        self._change.set()

    def close(self) -> None:
        """See `Link.close`."""
        self._lost = self._lost or "closed"
        self._change.set()

    def _check(self) -> None:
        if self._lost:
            raise UnavailableError(f"sim: {self._lost}")


async def open_sim(url: LinkUrl) -> Link:
    """A new device of the family that the address names. Raises MisconfiguredError."""
    asked = dict(url.extra)
    echo = asked.pop("echo", "false")
    seed = asked.pop("seed", "0")
    wrong = next((name for name in asked if name not in _PLAN), "")
    if wrong or echo not in {"true", "false"} or not seed.isdecimal():
        raise MisconfiguredError(f"link {url.text}: may say {', '.join(_PLAN)}, seed=NUMBER and echo=true; not {wrong}")
    try:
        plan = FaultPlan(**{name: float(value) for name, value in asked.items()})
    except ValueError as error:
        raise MisconfiguredError(f"link {url.text}: {error}") from None
    return SimLink(bench_device(url.host), Faults(rng=Random(int(seed)), plan=plan), echo=echo == "true")
