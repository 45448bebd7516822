"""Bytes of a host as a receipt printer takes them: a command, a character of one, two or four bytes, or nothing known.

Written from the tables, without the driver's: it asks of each beginning only how long it will be.
"""

from __future__ import annotations

from collections import Counter

ESC, FS, GS, DLE = 0x1B, 0x1C, 0x1D, 0x10
MOST_HELD = 16 * 1024
MOST_DATA = 7200  # of one function; the largest code is smaller
SINGLE = frozenset(b"\x09\x0a\x0c\x0d\x18")
WHOLE = {  # bytes of a whole command, by its second byte
    ESC: dict.fromkeys(b"@2", 2) | dict.fromkeys(b" !-3EGJMRTVadrt{=", 3) | dict.fromkeys(b"Bc$\\", 4) | {0x70: 5},
    FS: dict.fromkeys(b"&.", 2) | dict.fromkeys(b"!-W", 3) | dict.fromkeys(b"Sp", 4),
    GS: dict.fromkeys(b"!BHIabfhrw|", 3) | dict.fromkeys(b"LPW", 4),
    DLE: {0x04: 3, 0x05: 3},
}


class Splitter:
    """Cuts the host's bytes into units. `wide4`: it knows characters of four bytes. Bytes of no unit are counted."""

    def __init__(self, counters: Counter[str], *, chinese: bool, wide4: bool) -> None:
        self._counters = counters
        self._at_start = self._chinese = chinese
        self._wide4 = wide4
        self._held = bytearray()

    def split(self, data: bytes) -> list[bytes]:
        """The units that are whole now."""
        self._held += data
        units = []
        while self._held:
            length = self._length()
            if length == 0:
                break
            if length < 0:
                self._counters["unknown"] += 1
                del self._held[:-length]
                continue
            unit = bytes(self._held[:length])
            del self._held[:length]
            self._follow(unit)
            units.append(unit)
        if len(self._held) > MOST_HELD:
            self._counters["overrun_bytes"] += len(self._held)
            self._held.clear()
        return units

    def forget(self) -> None:
        """As after a power cut."""
        self._held.clear()
        self._chinese = self._at_start

    def _follow(self, unit: bytes) -> None:
        if unit == b"\x1c&":
            self._chinese = True
        elif unit == b"\x1c.":
            self._chinese = False
        elif unit == b"\x1b@":
            self._chinese = self._at_start

    def _length(self) -> int:
        """Bytes of the unit at the front; 0: not whole yet; negative: so many bytes that are none."""
        held, first = self._held, self._held[0]
        if first in WHOLE:
            return self._command()
        if first < 0x20 or first == 0x7F:
            return 1 if first in SINGLE else -1
        if first < 0x81 or not self._chinese:
            return 1
        if len(held) < 2:
            return 0
        if 0x30 <= held[1] <= 0x39 and self._wide4:
            return 4 if len(held) >= 4 else 0
        return 2 if held[1] >= 0x40 else 1

    def _command(self) -> int:
        held, have = self._held, len(self._held)
        if have < 2:
            return 0
        whole = WHOLE[held[0]].get(held[1])
        if whole is None:
            whole = self._by_content()
        return whole if whole <= have else 0

    def _by_content(self) -> int:
        """The length of a command that says it itself."""
        held, have = self._held, len(self._held)
        two = bytes(held[:2])
        if two == b"\x1dV":
            return 3 if have < 3 or held[2] < 65 else 4
        if two == b"\x1d(":
            if have < 5:
                return 5
            length = held[3] + 256 * held[4]
            return 5 + length if length <= MOST_DATA else -5
        if two == b"\x10\x14":
            return {8: 10}.get(held[2] if have > 2 else 0, 5)
        return self._picture_or_code(two)

    def _picture_or_code(self, two: bytes) -> int:
        """Pictures, bar codes and tab stops: known, and nothing of them is shown."""
        held, have = self._held, len(self._held)
        if two == b"\x1b*":
            return 5 if have < 5 else 5 + (held[3] + 256 * held[4]) * (3 if held[2] > 31 else 1)
        if two == b"\x1dv":
            if have < 8:
                return 8
            length = (held[4] + 256 * held[5]) * (held[6] + 256 * held[7])
            return 8 + length if length <= MOST_HELD // 2 else -8
        if two == b"\x1dk" and have > 3 and held[2] >= 65:
            return 4 + held[3]
        if two in {b"\x1dk", b"\x1bD"}:
            end = held.find(0, 3 if two == b"\x1dk" else 2)
            return end + 1 if end > 0 else have + 1
        return -2
