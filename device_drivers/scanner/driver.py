"""A scanner on a port of its own: it speaks when it reads a code, and nobody asks it anything."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping

from contracts.clock import Clock
from device_drivers.exchange import Link
from device_drivers.faults import OnFault
from device_drivers.scanner.codec import LineDecoder
from device_drivers.scanner.reader import LinkReader


class SerialScanner(LinkReader):
    """See `LinkReader`. `suffix` is what the scanner sends after a code; without one every line end ends a code.

    `on_fault` hears of bytes that make no text.
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
        super().__init__(name=name, open_link=open_link, clock=clock)
        self._decoder = LineDecoder(on_fault, suffix)

    def _texts(self, data: bytes) -> Iterable[str]:
        return self._decoder.feed(data)

    def _forget(self, reason: str) -> None:
        del reason
        self._decoder.forget()

    def _lost_bytes(self) -> None:
        self._decoder.lost()

    def _undecoded(self) -> Mapping[str, int]:
        return self._decoder.counters
