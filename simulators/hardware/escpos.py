"""A receipt printer with a cash drawer behind it. It prints on paper that can be read, and keeps its own rules.

It stops at the end of the paper, with the cover open and with a jammed knife; real-time questions are answered even
then, all else waits in its buffer. A full buffer says stop, and loses what comes all the same. `row_s` is how long a
row takes; with 0 all is done at once. Written from the tables, without the driver's.
"""

from __future__ import annotations

from collections import Counter, deque

import segno

from simulators.hardware.escpos_paper import DOTS_A_COLUMN, Code, Glyph, Knife, Printed, Roll, Row, Side
from simulators.hardware.escpos_parse import Splitter

XON, XOFF = 0x11, 0x13
SIDES: tuple[Side, ...] = ("left", "center", "right")
HEAT_S, HEAT_MS = 10.0, 500  # a coil stands so many milliseconds in so many seconds


class Drawer:
    """The drawer and its coil. `pulses` hold real time and milliseconds; a hot coil does nothing."""

    def __init__(self, counters: Counter[str]) -> None:
        self.open = False
        self.pulses: list[tuple[float, int, int]] = []
        self._counters = counters

    def pulse(self, real_s: float, on_ms: int, off_ms: int) -> None:
        """One pulse arrives."""
        resting = bool(self.pulses) and real_s < self.pulses[-1][0] + (self.pulses[-1][1] + self.pulses[-1][2]) / 1000
        heat_ms = sum(on for at_s, on, _ in self.pulses if real_s - at_s < HEAT_S)
        if resting or heat_ms + on_ms > HEAT_MS:
            self._counters["drawer_overheated"] += 1
            return
        self._counters["drawer_pulses"] += 1
        self.pulses.append((real_s, on_ms, off_ms))
        self.open = True


class Printer:
    """One printer. `rows` of paper; `buffer_bytes` wait at most; `flow`: it says stop and go; `chinese`: it starts in
    Chinese mode; `gb18030`: it knows characters of four bytes; `deaf`: nothing of it ever comes back."""

    def __init__(
        self,
        *,
        columns: int = 48,
        rows: int = 5000,
        row_s: float = 0.0,
        buffer_bytes: int = 4096,
        flow: bool = True,
        chinese: bool = True,
        gb18030: bool = False,
        deaf: bool = False,
    ) -> None:
        self.counters: Counter[str] = Counter()
        self.columns = columns
        self.roll = Roll(rows)
        self.drawer = Drawer(self.counters)
        self.cover_open = self.knife_jammed = self.jam_at_next_cut = False
        self._row_s, self._buffer_bytes, self._flow, self._deaf = row_s, buffer_bytes, flow, deaf
        self._charset = "gb18030" if gb18030 else "gbk"
        self._chinese_at_start = chinese
        self._splitter = Splitter(self.counters, chinese=chinese, wide4=gb18030)
        self._waiting: deque[bytes] = deque()
        self._coming: deque[Printed] = deque()
        self._free_s = 0.0
        self._stopped = False
        self._start_anew()

    # What somebody does to it.

    def load(self, rows: int = 5000) -> None:
        """A new roll."""
        self.roll.left = rows

    def power_cycle(self) -> None:
        """It forgets what it had not printed."""
        self.counters["power_cycles"] += 1
        self._waiting.clear()
        self._coming.clear()
        self._splitter.forget()
        self._stopped = self.knife_jammed = False
        self._start_anew()

    @property
    def well(self) -> bool:
        """Whether it prints."""
        return not (self.cover_open or self.knife_jammed or self.roll.left <= 0)

    @property
    def room(self) -> int:
        """Bytes that it still takes."""
        return self._buffer_bytes - sum(map(len, self._waiting))

    @property
    def idle(self) -> bool:
        """Whether nothing waits to be printed."""
        return not self._waiting and not self._coming

    # What its line does.

    def split(self, data: bytes, real_s: float) -> list[bytes]:
        del real_s
        return self._splitter.split(data)

    def answer(self, frame: bytes, real_s: float) -> bytes:
        said = self._work(real_s)
        if frame[:2] == b"\x10\x04":
            said += self._state(frame[2])
        elif frame[:2] == b"\x10\x05":
            self.knife_jammed = False
        elif len(frame) > self.room:
            self.counters["overrun_bytes"] += len(frame)
        else:
            self._waiting.append(frame)
            said += self._work(real_s)
        return b"" if self._deaf else said + self._stop_or_go()

    def tick(self, real_s: float) -> bytes:
        """What it says by itself until now."""
        said = self._work(real_s)
        return b"" if self._deaf else said + self._stop_or_go()

    def disguise(self, reply: bytes) -> bytes:
        """It has no address: what comes is no printer's."""
        return bytes(byte ^ 0x80 for byte in reply)

    # How it is.

    def _state(self, number: int) -> bytes:
        bits = {
            1: 0x04 * self.drawer.open + 0x08 * (not self.well),
            2: 0x04 * self.cover_open + 0x20 * (self.roll.left <= 0) + 0x40 * self.knife_jammed,
            3: 0x08 * self.knife_jammed,
            4: 0x0C * self.roll.near_end + 0x60 * (self.roll.left <= 0),
        }.get(number)
        if bits is None:
            self.counters["unknown"] += 1
            return b""
        return bytes([0x12 + bits])

    def _stop_or_go(self) -> bytes:
        if not self._flow:
            return b""
        if not self._stopped and self.room < self._buffer_bytes // 4:
            self._stopped = True
            self.counters["stops"] += 1
            return bytes([XOFF])
        if self._stopped and self.room > self._buffer_bytes * 3 // 4:
            self._stopped = False
            return bytes([XON])
        return b""

    # What it does, in order.

    def _work(self, real_s: float) -> bytes:
        said = b""
        if self.idle or not self.well:
            self._free_s = max(self._free_s, real_s)
        while self.well and self._free_s <= real_s:
            if self._coming:
                self._come_out(self._coming.popleft())
            elif self._waiting:
                said += self._do(self._waiting.popleft(), real_s)
            else:
                break
        return said

    def _come_out(self, part: Printed) -> None:
        if isinstance(part, Knife) and self.jam_at_next_cut:
            self.knife_jammed, self.jam_at_next_cut = True, False
            return
        if part.rows > self.roll.left:
            self.counters["torn_parts"] += 1  # the paper ends inside it
            self.roll.left = 0
            return
        self.roll.left -= part.rows
        self.roll.printed.append(part)
        self._free_s += part.rows * self._row_s

    def _do(self, unit: bytes, real_s: float) -> bytes:
        if unit[0] >= 0x20:
            self._put(unit)
            return b""
        match unit[:2]:
            case b"\x0a":
                self._end_row()
            case b"\x1b@":
                self._start_anew()
            case b"\x1ba":
                self._stand(unit[2])
            case b"\x1bE":
                self._bold = bool(unit[2] & 1)
            case b"\x1b!":
                self._bold = bool(unit[2] & 0x08)
                self._ascii = (bool(unit[2] & 0x20), bool(unit[2] & 0x10))
            case b"\x1d!":
                self._ascii = self._wide_ones = (unit[2] >> 4 == 1, unit[2] & 0x0F == 1)
                if unit[2] & 0xEE:
                    self.counters["bad_parameter"] += 1
            case b"\x1bd":
                for _ in range(unit[2]):
                    self._end_row()
            case b"\x1c&" | b"\x1c.":
                self._chinese = unit[1] == 0x26
            case b"\x1dV":
                self._cut(unit)
            case b"\x1bp":
                self.drawer.pulse(real_s, 2 * unit[3], 2 * unit[4])
            case b"\x1dr":
                return bytes([0x03 * self.roll.near_end + 0x0C * (self.roll.left <= 0)])
            case b"\x1d(":
                self._function(unit)
            case _:
                self.counters["ignored"] += 1
        return b""

    def _start_anew(self) -> None:
        self._line: list[Glyph] = []
        self._side: Side = "left"
        self._bold = False
        self._ascii = self._wide_ones = (False, False)
        self._chinese = self._chinese_at_start
        self._code, self._module, self._level = b"", 3, "l"

    def _stand(self, number: int) -> None:
        number -= 0x30 if number >= 0x30 else 0
        if self._line or number >= len(SIDES):
            self.counters["bad_parameter"] += 1  # in the midst of a line it changes nothing
            return
        self._side = SIDES[number]

    def _put(self, unit: bytes) -> None:
        try:
            char = unit.decode(self._charset if self._chinese else "cp437")
        except UnicodeDecodeError:
            self.counters["no_glyph"] += 1
            char = "□"
        wide, tall = self._ascii if unit[0] < 0x80 else self._wide_ones
        columns = (1 if len(unit) == 1 else 2) * (2 if wide else 1)
        if sum(glyph.columns for glyph in self._line) + columns > self.columns:
            self.counters["wrapped"] += 1
            self._end_row()
        self._line.append(Glyph(char, columns, self._bold, wide, tall))

    def _end_row(self) -> None:
        self._coming.append(Row(tuple(self._line), self._side, self.columns))
        self._line = []

    def _cut(self, unit: bytes) -> None:
        if self._line:
            self._end_row()
        self._coming.append(Knife(whole=unit[2] in (0x00, 0x30, 0x41)))

    def _function(self, unit: bytes) -> None:
        """A QR code: `1D 28 6B`, a length, 31, and what is asked."""
        body = unit[5:]
        if unit[2] != 0x6B or body[:1] != b"\x31":
            self.counters["ignored"] += 1
            return
        match body[1]:
            case 0x41 if body[2:] in (b"2\x00", b"1\x00"):
                pass
            case 0x43 if len(body) == 3 and 1 <= body[2] <= 16:
                self._module = body[2]
            case 0x45 if len(body) == 3 and 0x30 <= body[2] <= 0x33:
                self._level = "lmqh"[body[2] - 0x30]
            case 0x50 if body[2:3] == b"0" and len(body) > 3:
                self._code = body[3:]
            case 0x51 if self._code:
                self._print_code()
            case _:
                self.counters["bad_parameter"] += 1

    def _print_code(self) -> None:
        symbol = segno.make(self._code, error=self._level, micro=False, boost_error=False)
        dots = len(symbol.matrix) * self._module
        if dots > self.columns * DOTS_A_COLUMN:
            self.counters["code_too_wide"] += 1  # nothing is printed then
            return
        self._coming.append(Code(self._code.decode("latin-1"), dots, self._side))


def on_bench() -> Printer:
    """A printer with paper for a while."""
    return Printer()
