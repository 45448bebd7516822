"""How a trial unit judges tokens: one nonce, one use of it, three bad tokens and it shuts for five minutes."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from simulators.hardware.trial_ptp_wire import Permit, permit_of, vouched

TOKEN_BAD, TOKEN_EXPIRED, NONCE_USED = 0x21, 0x22, 0x23
NONCE_LIFE_S = 60.0
LOCKED_S = 300.0
BAD_TOKENS = 3
ADULT = 18
FORWARD_S = 5  # a token may come from a clock that is this much ahead


@dataclass(slots=True, kw_only=True)
class TokenDesk:
    """The unit's key, its nonce, its clock. Lock-out outlives a power cut; nonce and clock do not."""

    key: bytes
    address: int
    rng: Random
    nonce: bytes = b""
    nonce_s: float = 0.0
    clock: tuple[int, float] | None = None  # unix seconds, and the moment in which they were told
    bad: int = 0
    bad_ever: int = 0
    locked_until_s: float = 0.0

    def challenge(self, now_s: float) -> bytes:
        """A new nonce; the one before is void."""
        self.nonce, self.nonce_s = self.rng.randbytes(8), now_s
        return self.nonce

    def judge(self, token: bytes, now_s: float) -> tuple[int, Permit]:
        """The status, and what the token says. Whoever made it with the key has used its nonce up."""
        permit = permit_of(token)
        if not self._genuine(token) or not self._lawful(permit):
            self._count_bad(now_s)
            return TOKEN_BAD, permit
        self.bad = 0
        if not self.nonce or permit.nonce != self.nonce:
            return NONCE_USED, permit
        self._use_up()
        if self._nonce_old(now_s) or not self._in_time(permit, now_s):
            return TOKEN_EXPIRED, permit
        return 0, permit

    def locked(self, now_s: float) -> bool:
        """Whether three bad tokens in a row came less than five minutes ago."""
        return now_s < self.locked_until_s

    def power_up(self) -> None:
        """What a power cut forgets."""
        self.nonce, self.clock = b"", None

    def _genuine(self, token: bytes) -> bool:
        return vouched(token, self.address, self.key)

    def _lawful(self, permit: Permit) -> bool:
        return permit.version == 1 and permit.min_age >= ADULT and 1 <= permit.method <= 4 and permit.staff > 0

    def _count_bad(self, now_s: float) -> None:
        self.bad += 1
        self.bad_ever += 1
        if self.bad >= BAD_TOKENS:
            self.bad, self.locked_until_s = 0, now_s + LOCKED_S

    def _use_up(self) -> None:
        self.nonce = b""

    def _nonce_old(self, now_s: float) -> bool:
        return now_s - self.nonce_s > NONCE_LIFE_S

    def _in_time(self, permit: Permit, now_s: float) -> bool:
        """A unit that was never told the time judges no token."""
        if self.clock is None:
            return False
        age_s = self.clock[0] + (now_s - self.clock[1]) - permit.issued_s
        return -FORWARD_S <= age_s <= permit.life_s
