"""The tenant's key for member codes, out of its file."""

from __future__ import annotations

from pathlib import Path

from edge.config import ConfigError

MIN_KEY_BYTES = 16
MAX_FILE_BYTES = 4096


def read_member_key(path: Path) -> bytes:
    """The key in `path`: hex digits, at least 16 bytes. Raises ConfigError that never repeats the content."""
    try:
        raw = path.read_bytes()[:MAX_FILE_BYTES]
    except OSError as error:
        raise ConfigError(f"{path}: member_key_file: {error.strerror}; copy the tenant's key there") from error
    if path.stat().st_mode & 0o077:
        raise ConfigError(f"{path}: member_key_file: others may read it; chmod 600 {path}")
    try:
        key = bytes.fromhex(raw.decode("ascii").strip())
    except ValueError:
        raise ConfigError(f"{path}: member_key_file: not hex digits; copy the tenant's key there again") from None
    if len(key) < MIN_KEY_BYTES:
        raise ConfigError(f"{path}: member_key_file: {len(key)} bytes, at least {MIN_KEY_BYTES}")
    return key
