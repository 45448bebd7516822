"""A network reader that lists tags by itself as long as it is connected."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from device_drivers.errors import MisconfiguredError, UnavailableError
from device_drivers.rfid_llrp.client import Client, OpenClient, ReaderAddress, SllurpClient

MAX_WAITING_SIGHTS = 20_000  # beyond it the oldest are dropped
MAX_TAGS_A_REPORT = 1000
MISSED_KEEPALIVES = 3
MAX_EPC_BYTES = 62


@dataclass(frozen=True, slots=True)
class LlrpSight:
    """A tag as it was heard; `at_s` is the time of the event loop."""

    at_s: float
    epc: bytes
    antenna: int
    rssi_dbm: int


class LlrpReader:
    """`run` owns the connection; `take` hands out what was heard since the last time.

    `counters`: sights that were dropped, and tags in a report that could not be read.
    """

    def __init__(
        self,
        host: str,
        *,
        port: int = 5084,
        antennas: tuple[int, ...] = (1,),
        keepalive_s: float = 5.0,
        open_client: OpenClient = SllurpClient,
    ) -> None:
        if not antennas or not all(1 <= antenna <= 32 for antenna in antennas):
            raise MisconfiguredError("antennas: must be numbers from 1 to 32")
        if not 0.1 <= keepalive_s <= 60:
            raise MisconfiguredError("keepalive_s: must be 0.1 to 60")
        self.counters = {"dropped": 0, "unreadable": 0}
        self._address = ReaderAddress(host=host, port=port, antennas=antennas, keepalive_s=keepalive_s)
        self._open_client = open_client
        self._sights: deque[LlrpSight] = deque()
        self._open = False
        self._heard_s = 0.0

    @property
    def is_open(self) -> bool:
        """Whether the reader is connected and was heard lately."""
        return self._open

    async def run(self) -> None:
        """Own the connection until cancelled.

        Raises UnavailableError when the reader is not there, goes, or falls silent; MisconfiguredError without sllurp.
        """
        loop = asyncio.get_running_loop()

        def later(sights: Sequence[Mapping[str, Any]] | None) -> None:
            if not loop.is_closed():  # the library's thread may outlive the loop by a moment
                loop.call_soon_threadsafe(self._hear, sights)

        client = self._open_client(self._address, later, lambda: later(None))
        name = f"LLRP reader {self._address.host}"
        self._heard_s = loop.time()
        connecting = asyncio.ensure_future(asyncio.to_thread(client.connect))
        try:
            await asyncio.shield(connecting)
            self._open = True
            while client.is_alive():
                if loop.time() - self._heard_s > MISSED_KEEPALIVES * self._address.keepalive_s:
                    raise UnavailableError(f"{name}: is silent")
                await asyncio.sleep(self._address.keepalive_s / 10)
            raise UnavailableError(f"{name}: the connection is gone")
        except OSError as error:
            raise UnavailableError(f"{name}: {error.strerror or error}") from None
        finally:
            self._open = False
            self._sights.clear()
            await asyncio.shield(_hang_up(client, connecting))

    def take(self) -> list[LlrpSight]:
        """What was heard since the last time. Raises UnavailableError while there is no connection."""
        if not self._open:
            raise UnavailableError(f"LLRP reader {self._address.host}: is not connected")
        taken = list(self._sights)
        self._sights.clear()
        return taken

    def _hear(self, tags: Sequence[Mapping[str, Any]] | None) -> None:
        """A sign of life, with tags or without."""
        self._heard_s = asyncio.get_running_loop().time()
        for tag in (tags or ())[:MAX_TAGS_A_REPORT]:
            try:
                epc = bytes.fromhex(bytes(tag["EPC"]).decode("ascii"))
                sight = LlrpSight(self._heard_s, epc, int(tag["AntennaID"]), int(tag["PeakRSSI"]))
            except (KeyError, TypeError, ValueError):
                self.counters["unreadable"] += 1
                continue
            if not 0 < len(epc) <= MAX_EPC_BYTES:
                self.counters["unreadable"] += 1
                continue
            if len(self._sights) >= MAX_WAITING_SIGHTS:
                self._sights.popleft()
                self.counters["dropped"] += 1
            self._sights.append(sight)


async def _hang_up(client: Client, connecting: asyncio.Future[None]) -> None:
    """A thread that still connects cannot be cancelled: it is waited for, and its connection closed."""
    await asyncio.gather(connecting, return_exceptions=True)
    await asyncio.to_thread(client.close)
