"""A scanner on a port of its own: it speaks when it reads a code, and nobody asks it anything."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable

from contracts.clock import Clock
from device_drivers.bus import Link
from device_drivers.capabilities import CodeScanned
from device_drivers.errors import MisconfiguredError, UnavailableError
from device_drivers.faults import OnFault
from device_drivers.scanner.codec import DuplicateFilter, LineDecoder

MAX_WAITING_CODES = 16  # beyond it the oldest is dropped
MAX_AGE_S = 10.0  # a code that nobody fetched in time belongs to a person who has gone

_log = logging.getLogger("zhanggui.device_drivers")


class SerialScanner:
    """Implements `CodeReader`. `run` owns the port; `next_code` hands out what was read, oldest first.

    `on_fault` hears of bytes that make no text; `counters` tell of every code that was dropped.

    A code may name a person: no text is ever logged, and none outlives a lost port.
    """

    def __init__(
        self,
        *,
        name: str = "scanner",
        open_link: Callable[[], Awaitable[Link]],
        clock: Clock,
        suffix: bytes | None = None,
        on_fault: OnFault = lambda _kind, _detail: None,
    ) -> None:
        self._name = name
        self._open_link = open_link
        self._clock = clock
        self._decoder = LineDecoder(on_fault, suffix)
        self._filter = DuplicateFilter()
        self._codes: deque[tuple[float, CodeScanned]] = deque()
        self._changed = asyncio.Event()
        self._open = False
        self._told_down = False
        self._dropped = {"overflow": 0, "stale": 0, "bytes": 0}

    @property
    def is_open(self) -> bool:
        """Whether the port is open now; a scanner says nothing until it reads a code."""
        return self._open

    @property
    def counters(self) -> dict[str, int]:
        """Every code that was dropped, by reason."""
        return {
            **self._dropped,
            "too_long": self._decoder.too_long,
            "unprintable": self._decoder.unprintable,
            "duplicate": self._filter.suppressed,
        }

    async def run(self) -> None:
        """Own the port until cancelled. Raises UnavailableError when it is lost or not there, MisconfiguredError."""
        link: Link | None = None
        try:
            link = await self._open_link()
            self._up()
            dropped_before = self._dropped["bytes"]
            while True:
                data = await link.read()
                self._dropped["bytes"] = dropped_before + link.dropped_bytes
                for text in self._decoder.feed(data):
                    self._keep(text)
        except (UnavailableError, MisconfiguredError) as error:
            if not self._told_down:
                self._told_down = True
                _log.warning("scanner %s: %s", self._name, error)
            raise
        finally:
            self._open = False
            self._codes.clear()
            self._decoder.forget()
            self._filter.forget()
            self._changed.set()
            if link is not None:
                link.close()

    async def next_code(self) -> CodeScanned:
        """The next code, at most 10 s old. Raises UnavailableError when the scanner is gone."""
        while True:
            if not self._open:
                raise UnavailableError(f"scanner {self._name}: port is not open")
            while self._codes:
                read_s, code = self._codes.popleft()
                if self._clock.now_s() - read_s <= MAX_AGE_S:
                    return code
                self._dropped["stale"] += 1
            self._changed.clear()
            await self._changed.wait()

    def _up(self) -> None:
        self._open = True
        self._told_down = False
        _log.info("scanner %s: port is open", self._name)

    def _keep(self, text: str) -> None:
        now_s = self._clock.now_s()
        if not self._filter.is_new(text, now_s):
            return
        if len(self._codes) >= MAX_WAITING_CODES:
            self._codes.popleft()
            self._dropped["overflow"] += 1
        self._codes.append((now_s, CodeScanned(text)))
        self._changed.set()
