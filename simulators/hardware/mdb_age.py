"""The age-verification device at 68: off until it is told an age, and then it tells of each card once."""

from __future__ import annotations

from collections import Counter, deque

ACCEPTED, TOO_YOUNG, NO_AGE = b"\x1e\x10", b"\x0e\x10", b"\x00\x00"


class AgeDevice:
    """`refuses`: it answers DRAVP with 01 instead of 00. `later`: that answer comes with the next poll."""

    def __init__(self, *, refuses: bool = False, later: bool = False) -> None:
        self.refuses = refuses
        self.later = later
        self.silent = False
        self.counters: Counter[str] = Counter()
        self.minimum_age = 0  # 0: off
        self._queue: deque[bytes] = deque([b"\x00"])

    def show(self, bits: bytes) -> None:
        """A card; `bits` are the two bytes that the device makes of it. Nothing while it is off."""
        if self.minimum_age:
            self._queue.append(b"\xff\x06\x07" + bits + b"DRAVS")
        else:
            self.counters["shown_while_off"] += 1

    def say(self, data: bytes) -> None:
        """Anything at all, at the next poll."""
        self._queue.append(data)

    def reboot(self) -> None:
        """It starts again, and is off."""
        self.minimum_age = 0
        self._queue.clear()
        self._queue.append(b"\x00")

    def length(self, body: bytes) -> int | None:
        """See `Peripheral.length`."""
        if body[0] & 7 == 7 and len(body) > 1 and body[1] == 0xFF:
            return 4 + body[3] if len(body) > 3 else None
        return 2 if len(body) > 1 else None

    def poll(self, real_s: float) -> bytes:
        """See `Peripheral.poll`."""
        del real_s
        return self._queue.popleft() if self._queue else b""

    def act(self, body: bytes, real_s: float) -> bytes | None:
        """See `Peripheral.act`."""
        del real_s
        if self.silent:
            return None
        match body[0] & 7, body[1:3], body[5:]:
            case 0, _, _:
                self.reboot()
                return b""
            case 7, b"\xff\x05", b"DRAVP":
                return self._switch(body[4])
            case 1, _, _:
                self.counters["setups"] += 1
                return b""
        self.counters["bad_request"] += 1
        return b""

    def _switch(self, minimum_age: int) -> bytes:
        self.minimum_age = 0 if self.refuses else minimum_age
        answer = b"\xff\x05\x06" + (b"\x01" if self.refuses else b"\x00") + b"DRAVP"
        if not self.later:
            return answer
        self._queue.append(answer)
        return b""
