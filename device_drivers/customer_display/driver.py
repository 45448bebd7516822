"""A customer display on a port of its own: it is told what to show, and says nothing back.

Only the newest wish counts. It is written once the bytes before it have left the port, so a slow line carries what is
wanted now and never a queue of what was. Since a display that lost its power tells nobody, the wish is repeated.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from typing import NoReturn

from device_drivers.customer_display.codec import (
    COLUMNS,
    Amount,
    Clear,
    Frame,
    Init,
    Lamp,
    Light,
    Line,
    Return,
    amount_text,
    columns,
)
from device_drivers.errors import MisconfiguredError, UnavailableError
from device_drivers.exchange import Link, until_lost

BAUD = 2400
BITS_A_BYTE = 10  # 8N1
REPEAT_S = 30.0  # a display that was switched off and on shows the wish again after so long

_BEGIN = Return().to_bytes() + Init().to_bytes() + Clear().to_bytes()
_LABELS = {
    Lamp.OFF: "",
    Lamp.UNIT_PRICE: "PRICE",
    Lamp.TOTAL: "TOTAL",
    Lamp.RECEIVED: "RECEIVED",
    Lamp.CHANGE: "CHANGE",
}
_log = logging.getLogger("zhanggui.device_drivers")


class CustomerDisplay(ABC):
    """One display. `run` owns the link; `show` and `clear` may be called at any time and never wait.

    All time here is real time: `baud` says how long bytes take. `counters`: `opened`, `lost`, `written` (states),
    `overtaken` (wishes that a newer one replaced before they were written), `heard_bytes` (a display says nothing).
    """

    def __init__(
        self,
        *,
        name: str = "display",
        open_link: Callable[[], Awaitable[Link]],
        baud: int = BAUD,
        repeat_s: float = REPEAT_S,
    ) -> None:
        if baud <= 0 or repeat_s <= 0:
            raise MisconfiguredError(f"display {name}: baud and repeat_s must be above 0")
        self.counters = dict.fromkeys(("opened", "lost", "written", "overtaken", "heard_bytes"), 0)
        self._name = name
        self._open_link = open_link
        self._byte_s = BITS_A_BYTE / baud
        self._repeat_s = repeat_s
        self._wish = Clear().to_bytes()
        self._unwritten = False
        self._changed = asyncio.Event()
        self._busy_until_s = 0.0
        self._open = False
        self._told_down = False

    @property
    def is_open(self) -> bool:
        """Whether the port is open now; whether anybody reads the display, nobody can know."""
        return self._open

    @abstractmethod
    def show(self, lamp: Lamp, price_fen: int) -> None:
        """Show an amount and what it is. Raises ProtocolError(local) for an amount that the display cannot show."""

    def clear(self) -> None:
        """Show nothing."""
        self._want(Clear())

    async def run(self) -> None:
        """Own the link until cancelled; then the display is cleared. Begins with what is wanted now.

        Raises UnavailableError when the link is lost or not there, MisconfiguredError.
        """
        try:
            link = await self._open_link()
        except (UnavailableError, MisconfiguredError) as error:
            self._tell_down(error)
            raise
        self._open, self._told_down = True, False
        self.counters["opened"] += 1
        _log.info("display %s: port is open", self._name)
        try:
            reason = await until_lost(f"display[{self._name}]", listen=self._listen(link), write=self._write(link))
        finally:
            self._open = False
            try:
                await self._leave(link)
            finally:
                link.close()
        # Only a lost port gets here: cancellation and every other error have left above.
        self.counters["lost"] += 1
        lost = UnavailableError(f"display {self._name}: {reason}")
        self._tell_down(lost)
        raise lost

    def _want(self, *frames: Frame) -> None:
        wish = b"".join(frame.to_bytes() for frame in frames)
        if wish == self._wish:
            return
        self.counters["overtaken"] += self._unwritten
        self._wish, self._unwritten = wish, True
        self._changed.set()

    async def _write(self, link: Link) -> NoReturn:
        await self._written(link, _BEGIN)
        while True:
            self._changed.clear()
            self._unwritten = False
            self.counters["written"] += 1
            await self._written(link, self._wish)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._repeat_s):
                    await self._changed.wait()

    async def _written(self, link: Link, data: bytes, behind_s: float = 0.0) -> None:
        """Write, and wait as long as the bytes take to leave: whatever is wanted meanwhile can still change."""
        link.write(data)
        takes_s = behind_s + len(data) * self._byte_s
        self._busy_until_s = asyncio.get_running_loop().time() + takes_s
        await asyncio.sleep(takes_s)

    async def _leave(self, link: Link) -> None:
        """A price must not stand there when nobody keeps it true. Closing a port drops what has not left it yet, so
        this waits: as long as one state takes at most."""
        loop = asyncio.get_running_loop()
        with contextlib.suppress(UnavailableError):
            await self._written(link, Clear().to_bytes(), max(0.0, self._busy_until_s - loop.time()))

    async def _listen(self, link: Link) -> NoReturn:
        """A read is how a lost port shows; what it brings is counted and dropped."""
        while True:
            self.counters["heard_bytes"] += len(await link.read())

    def _tell_down(self, error: Exception) -> None:
        if not self._told_down:
            self._told_down = True
            _log.warning("%s", error)


class Led8Display(CustomerDisplay):
    """Eight digits and four words that can be lit."""

    def show(self, lamp: Lamp, price_fen: int) -> None:
        """See `CustomerDisplay`."""
        self._want(Light(lamp), Amount(amount_text(price_fen)))


class Cd5220Display(CustomerDisplay):
    """Two lines of twenty columns, ASCII only."""

    def show(self, lamp: Lamp, price_fen: int) -> None:
        """The word in the upper line, the amount at the right of the lower one. See `CustomerDisplay`."""
        self.write_lines(_LABELS[lamp], amount_text(price_fen).rjust(COLUMNS))

    def write_lines(self, upper: str, lower: str) -> None:
        """Two texts. Raises ProtocolError(local) for one that is longer than twenty characters or not printable ASCII:
        what it holds must never become a command."""
        self._want(Line(1, columns(upper)), Line(2, columns(lower)))
