"""Keys out of their files: hex digits that nobody else may read. No error repeats what stands in a file."""

from __future__ import annotations

from pathlib import Path

from edge.config.section import ConfigError

MIN_KEY_BYTES = 16
MAX_FILE_BYTES = 4096


def read_key(path: Path, what: str) -> bytes:
    """The key in `path`: hex digits, at least 16 bytes. Raises ConfigError; `what` is whose key it is."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_FILE_BYTES)
        mode = path.stat().st_mode
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}; copy {what} there") from error
    if mode & 0o077:
        raise ConfigError(f"{path}: others may read it; chmod 600 {path}")
    try:
        key = bytes.fromhex(raw.decode("ascii").strip())
    except ValueError:
        raise ConfigError(f"{path}: not hex digits; copy {what} there again") from None
    if len(key) < MIN_KEY_BYTES:
        raise ConfigError(f"{path}: {len(key)} bytes, at least {MIN_KEY_BYTES}")
    return key


def read_member_key(path: Path) -> bytes:
    """The tenant's key for member codes. Raises ConfigError."""
    try:
        return read_key(path, "the tenant's key")
    except ConfigError as error:
        raise ConfigError(f"member_key_file: {error}") from error
