"""Who logs in at a camera, out of a file, so that the store's description holds no password."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from device_drivers.camera.url import Login
from device_drivers.errors import MisconfiguredError

MAX_BYTES = 1024


def read_login(path: Path) -> Login:
    """The one line `user:password` of a file that only its owner may read; nothing in it is percent-encoded.

    Raises MisconfiguredError that names the file, never what is in it.
    """
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise MisconfiguredError(f"camera login {path}: {error.strerror}; write user:password into it") from None
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise MisconfiguredError(f"camera login {path}: others may read it; run: chmod 600 {path}")
    try:
        user, colon, password = raw.decode().removesuffix("\n").removesuffix("\r").partition(":")
    except UnicodeDecodeError:
        user, colon, password = "", "", ""
    if not colon or len(raw) > MAX_BYTES or "\n" in user + password:
        raise MisconfiguredError(f"camera login {path}: must be one line, user:password")
    return Login(user, password)
