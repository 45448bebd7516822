"""A reader of codes on a link of its own: it speaks when it reads a code, and whoever waits gets it."""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping

from contracts.clock import Clock
from device_drivers.capabilities import CodeScanned
from device_drivers.errors import MisconfiguredError, UnavailableError
from device_drivers.exchange import Link
from device_drivers.scanner.codec import DuplicateFilter

MAX_WAITING_CODES = 16  # beyond it the oldest is dropped
MAX_AGE_S = 10.0  # a code that nobody fetched in time belongs to a person who has gone

_log = logging.getLogger("zhanggui.device_drivers")


class LinkReader(ABC):
    """Implements `CodeReader`. `run` owns the link; `next_code` hands out what was read, oldest first.

    `counters` tell of every code that was dropped. A code may name a person: no text is ever logged, and none outlives
    a lost link.
    """

    def __init__(self, *, name: str, open_link: Callable[[], Awaitable[Link]], clock: Clock) -> None:
        self._name = name
        self._open_link = open_link
        self._clock = clock
        self._filter = DuplicateFilter()
        self._codes: deque[tuple[float, CodeScanned]] = deque()
        self._changed = asyncio.Event()
        self._link: Link | None = None
        self._open = False
        self._told_down = False
        self._dropped = {"overflow": 0, "stale": 0, "bytes": 0}

    @property
    def is_open(self) -> bool:
        """Whether the link is open now; a scanner says nothing until it reads a code."""
        return self._open

    @property
    def counters(self) -> dict[str, int]:
        """Every code that was dropped, by reason."""
        return {**self._dropped, **self._undecoded(), "duplicate": self._filter.suppressed}

    async def run(self) -> None:
        """Own the link until cancelled. Raises UnavailableError when it is lost or not there, MisconfiguredError."""
        reason = "the reader was stopped"
        try:
            self._link = await self._open_link()
            self._up()
            await self._listen(self._link)
        except (UnavailableError, MisconfiguredError) as error:
            reason = str(error)
            if not self._told_down:
                self._told_down = True
                _log.warning("scanner %s: %s", self._name, error)
            raise
        finally:
            self._open = False
            self._codes.clear()
            self._filter.forget()
            self._forget(reason)
            self._changed.set()
            link, self._link = self._link, None
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

    @abstractmethod
    def _texts(self, data: bytes) -> Iterable[str]:
        """The codes that are whole with these bytes."""

    @abstractmethod
    def _forget(self, reason: str) -> None:
        """The link is gone: keep nothing of it."""

    @abstractmethod
    def _undecoded(self) -> Mapping[str, int]:
        """What was read and made no code, by reason."""

    @abstractmethod
    def _lost_bytes(self) -> None:
        """Bytes were dropped before these, because nobody took them in time: no half of a code passes for a whole."""

    async def _listen(self, link: Link) -> None:
        dropped_before, lost = self._dropped["bytes"], 0
        while True:
            data = await link.read()
            if link.dropped_bytes != lost:
                lost = link.dropped_bytes
                self._dropped["bytes"] = dropped_before + lost
                self._lost_bytes()
            for text in self._texts(data):
                self._keep(text)

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
