"""A scanner with Newland's unified commands: `7E 01 0000 TAG NAME VALUE ; 03`, each acknowledged by its name."""

from __future__ import annotations

from simulators.hardware.scanner import TriggeredScanner

START, PREFIX, END = b"\x7e\x01", b"\x7e\x010000", b";\x03"
SHORT = b"\x1b1"
ACK, NAK, ENQ = b"\x06", b"\x15", b"\x05"
LONGEST = 64
VALUES = {b"SCNTRG": (b"0", b"1"), b"SCNMOD": (b"0", b"2")}  # the first is the factory's
NAME_BYTES = 6


class NewlandScanner(TriggeredScanner):
    """See `TriggeredScanner`. In mode 2 it looks always. What is set with "@" outlives a reboot, with "#" not."""

    def __init__(self, *, knows_short_trigger: bool = True) -> None:
        super().__init__()
        self.knows_short_trigger = knows_short_trigger
        self.mode = b"0"
        self._kept_mode = b"0"

    def split(self, data: bytes, real_s: float) -> list[bytes]:
        self._buffer.add(data, real_s)
        held, frames = self._buffer.bytes, []
        while held:
            if held[:1] == SHORT[:1] and len(held) == 1:
                break
            if held[:2] == SHORT:
                frames.append(self._buffer.cut(2))
            elif not PREFIX.startswith(held[: len(PREFIX)]):
                self._buffer.skip()
            elif (end := held.find(END)) >= 0:
                frames.append(self._buffer.cut(end + len(END)))
            elif len(held) < LONGEST:
                break
            else:
                self.counters["too_long"] += 1
                self._buffer.skip()
        return frames

    def answer(self, frame: bytes, real_s: float) -> bytes:
        del real_s
        if frame == SHORT:
            self.looking = self.looking or self.knows_short_trigger
            return b""
        tag, name, value = frame[6:7], frame[7 : 7 + NAME_BYTES], frame[7 + NAME_BYTES : -2]
        if tag not in (b"@", b"#"):
            self.counters["bad_request"] += 1
            return b""
        known = VALUES.get(name)
        if known is None:
            return self._said(frame, ENQ)
        if value == b"*":
            now = self.mode if name == b"SCNMOD" else b"%d" % self.looking
            return self._said(frame[: 7 + NAME_BYTES] + now + END, ACK)
        if value not in known:
            return self._said(frame, NAK)
        if name == b"SCNMOD":
            self.mode = value
            self._kept_mode = value if tag == b"@" else self._kept_mode
            self.looking = value == b"2"
        else:
            self.looking = value == b"1" or self.mode == b"2"
        return self._said(frame, ACK)

    def disguise(self, reply: bytes) -> bytes:
        """A scanner has no address; another's reply is one to another command."""
        return reply[:7] + b"GRBENA" + reply[7 + NAME_BYTES :]

    def reboot(self) -> None:
        super().reboot()
        self.mode = self._kept_mode
        self._has_read()

    def _has_read(self) -> None:
        self.looking = self.mode == b"2"

    def _said(self, frame: bytes, status: bytes) -> bytes:
        self.counters[f"said_{status.hex()}"] += 1
        return b"\x02" + frame[1:-2] + status + END


def on_bench() -> NewlandScanner:
    """A scanner with nothing before it."""
    return NewlandScanner()
