"""A cashless reader with its states, limits and delays, and the books of what it truly took.

It enforces the order of a vend by itself: whatever comes out of turn is acknowledged, does nothing, and is told as
0B at the next poll. `charges` is the truth that a host's story can be held against.
"""

from __future__ import annotations

from collections import Counter, deque
from typing import Literal

State = Literal["inactive", "disabled", "enabled", "idle", "vend", "approved", "revalue"]
CONFIG = bytes.fromhex("01 03 11 56 01 02 05 00")
OUT_OF_SEQUENCE = b"\x0b"
_LENGTHS = {
    (1, 0): 6,
    (1, 1): 6,
    (3, 0): 6,
    (3, 1): 2,
    (3, 2): 4,
    (3, 3): 2,
    (3, 4): 2,
    (3, 5): 6,
    (3, 6): 6,
    (4, 0): 2,
    (4, 1): 2,
    (4, 2): 2,
    (5, 0): 4,
    (5, 1): 2,
    (7, 0): 31,
    (7, 4): 6,
}


class Reader:
    """One reader. `approval_s`: how long a vend takes to be answered; `denies`: it says no to every vend.
    `at_once`: it answers in place of an acknowledgement instead of at the next poll. `takes_on_reset`: what it held
    when it was reset in a vend stays taken. `refund_fails`: a vend that failed is a malfunction B0."""

    def __init__(
        self,
        *,
        approval_s: float = 0.3,
        denies: bool = False,
        at_once: bool = False,
        takes_on_reset: bool = False,
        refund_fails: bool = False,
    ) -> None:
        self.approval_s = approval_s
        self.denies = denies
        self.at_once = at_once
        self.takes_on_reset = takes_on_reset
        self.refund_fails = refund_fails
        self.silent = False
        self.state: State = "inactive"
        self.counters: Counter[str] = Counter()
        self.charges: list[tuple[int, int]] = []  # units, item
        self.cash: list[tuple[int, int]] = []
        self.funds = 0
        self.highest = 0xFFFF
        self._card = False
        self._queue: deque[bytes] = deque([b"\x00"])
        self._asked = (0, 0)
        self._answer_s: float | None = None

    def present(self, funds: int) -> None:
        """Somebody holds a card with so many units to the reader."""
        self._card, self.funds = True, funds

    def reboot(self) -> None:
        """It starts again: what is not finished is forgotten, or kept."""
        if self.state == "approved":
            self.counters["reset_in_vend"] += 1
            if self.takes_on_reset:
                self._charge()
        self.state = "inactive"
        self._answer_s = None
        self._queue.clear()
        self._queue.append(b"\x00")

    def length(self, body: bytes) -> int | None:
        """See `Peripheral.length`."""
        if len(body) < 2:
            return None
        return _LENGTHS.get((body[0] & 7, body[1]), 2)

    def poll(self, real_s: float) -> bytes:
        """See `Peripheral.poll`."""
        if self.state == "vend" and self._answer_s is not None and real_s >= self._answer_s:
            self._queue.append(self._decide())
        if self.state == "enabled" and self._card and not self._queue:
            self._card = False
            self.state = "idle"
            self._queue.append(b"\x03" + self.funds.to_bytes(2, "big"))
        return self._queue.popleft() if self._queue else b""

    def act(self, body: bytes, real_s: float) -> bytes | None:
        """See `Peripheral.act`."""
        if self.silent:
            return None
        command = body[0] & 7
        if command == 0:
            self.counters["resets"] += 1
            self.reboot()
            return b""
        reply = self._obey(command, body[1], body[2:], real_s)
        if reply is None:
            self.counters["out_of_sequence"] += 1
            reply = OUT_OF_SEQUENCE
        if not reply or self.at_once or command == 1:
            return reply
        self._queue.append(reply)
        return b""

    def _obey(self, command: int, first: int, data: bytes, real_s: float) -> bytes | None:
        """What it answers; b"" for nothing, None for a command out of turn."""
        match command, first:
            case 1, 0:
                return self._set_up()
            case 1, 1:
                self.highest = int.from_bytes(data[:2], "big")
                return b"" if self.state != "inactive" else None
            case 3, _:
                return self._vend(first, data, real_s)
            case 4, 0 if self.state in ("enabled", "disabled"):
                self.state = "disabled"
                return b""
            case 4, 1 if self.state == "disabled":
                self.state = "enabled"
                return b""
            case 4, 2 if self.state == "enabled":
                return b"\x08"
            case 5, 0 if self.state == "idle":
                self.funds += int.from_bytes(data[:2], "big")
                return b"\x0d"
            case 5, 1 if self.state == "idle":
                return b"\x0f\x27\x10"
            case 7, 0 if self.state != "inactive":
                return b"\x09SIM000000000042CASHLESS SIM\x01\x00"
            case 7, 4 | 255 if self.state != "inactive":
                return b""
        return None

    def _set_up(self) -> bytes | None:
        if self.state not in ("inactive", "disabled"):
            return None
        self.state = "disabled"
        return CONFIG

    def _vend(self, first: int, data: bytes, real_s: float) -> bytes | None:
        match first, self.state:
            case 0, "idle":
                self._asked = (int.from_bytes(data[:2], "big"), int.from_bytes(data[2:4], "big"))
                self.counters["vend_requests"] += 1
                self.state = "vend"
                self._answer_s = real_s + self.approval_s
                return self._decide() if self.at_once and self.approval_s <= 0 else b""
            case 1, "vend" | "approved":
                self._queue.clear()
                self._rest()
                return b"\x06"
            case 2, "approved":
                self._charge()
                self._rest()
                return b""
            case 3, "approved":
                self.counters["refunds"] += 1
                self._rest()
                return b"\x0a\xb0" if self.refund_fails else b""
            case 4, "idle":
                self.state = "enabled"
                return b"\x07"
            case 5, "enabled" | "disabled":
                self.cash.append((int.from_bytes(data[:2], "big"), int.from_bytes(data[2:4], "big")))
                return b""
        return None

    def _decide(self) -> bytes:
        self._answer_s = None
        price, _item = self._asked
        if self.denies or price > self.funds or price > self.highest:
            self.state = "idle"
            return b"\x06"
        self.state = "approved"
        return b"\x05" + price.to_bytes(2, "big")

    def _charge(self) -> None:
        self.charges.append(self._asked)
        self.funds -= self._asked[0]

    def _rest(self) -> None:
        self._answer_s = None
        self.state = "idle"
