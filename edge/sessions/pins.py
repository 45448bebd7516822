"""PINs of staff: only a salted scrypt hash is ever stored."""

from __future__ import annotations

import hashlib
import hmac
import secrets

MAX_PIN = 16
_N, _R, _P, _LENGTH = 1 << 14, 8, 1, 32


def hash_pin(pin: str) -> str:
    """What stands in `store.toml`: `scrypt$n$r$p$salt$hash`, hex."""
    if not 4 <= len(pin) <= MAX_PIN:
        raise ValueError(f"a PIN has 4 to {MAX_PIN} characters")
    salt = secrets.token_bytes(16)
    made = hashlib.scrypt(pin.encode(), salt=salt, n=_N, r=_R, p=_P, dklen=_LENGTH)
    return f"scrypt${_N}${_R}${_P}${salt.hex()}${made.hex()}"


def well_formed(stored: str) -> bool:
    """Whether this is a hash that `check_pin` can check."""
    parts = stored.split("$")
    if len(parts) != 6 or parts[0] != "scrypt" or not all(p.isdecimal() and len(p) < 7 for p in parts[1:4]):
        return False
    n = int(parts[1])
    if not (1 < n <= 1 << 17 and n & (n - 1) == 0 and 0 < int(parts[2]) <= 16 and 0 < int(parts[3]) <= 4):
        return False
    try:
        return len(bytes.fromhex(parts[4])) >= 8 and len(bytes.fromhex(parts[5])) >= 16
    except ValueError:
        return False


def check_pin(pin: str, stored: str) -> bool:
    """Whether the PIN belongs to the stored hash. Takes some 50 ms of a core by design: call it in a thread."""
    if not well_formed(stored) or len(pin) > MAX_PIN:
        return False
    _, n, r, p, salt, made = stored.split("$")
    want = bytes.fromhex(made)
    got = hashlib.scrypt(
        pin.encode(), salt=bytes.fromhex(salt), n=int(n), r=int(r), p=int(p), dklen=len(want), maxmem=256 << 20
    )
    return hmac.compare_digest(got, want)
