"""A scanner with the serial trigger SYN T CR and SYN U CR. It acknowledges nothing and reads one code a trigger."""

from __future__ import annotations

from simulators.hardware.scanner import TriggeredScanner

SYN = 0x16
ON, OFF = b"\x16T\r", b"\x16U\r"


class HoneywellScanner(TriggeredScanner):
    """See `TriggeredScanner`. A SYN begins a command anew; any other command is not for a trigger and is counted."""

    def split(self, data: bytes, real_s: float) -> list[bytes]:
        self._buffer.add(data, real_s)
        held, frames = self._buffer.bytes, []
        while held:
            if held[0] != SYN or (len(held) > 1 and held[1] == SYN):
                self._buffer.skip()
            elif len(held) < 3:
                break
            elif held[:3] in (ON, OFF):
                frames.append(self._buffer.cut(3))
            else:
                self.counters["bad_request"] += 1
                self._buffer.skip()
        return frames

    def answer(self, frame: bytes, real_s: float) -> bytes:
        del real_s
        self.looking = frame == ON
        return b""


def on_bench() -> HoneywellScanner:
    """A scanner with nothing before it."""
    return HoneywellScanner()
