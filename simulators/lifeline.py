"""Processes that end with whoever started them, however that ends: Linux tells them."""

from __future__ import annotations

import contextlib
import ctypes
import signal
import sys
import threading
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1


def ends_with_us(death: signal.Signals = signal.SIGKILL) -> Callable[[], None] | None:
    """For `preexec_fn`: the child gets `death` when we are gone. None where that cannot be had.

    Linux counts the thread that started it as the parent, and only the main thread lives as long as the process. A
    child that changes its user afterwards loses it again.
    """
    if sys.platform != "linux" or threading.current_thread() is not threading.main_thread():
        return None

    def bind() -> None:
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, death)  # one call of libc, which takes no lock

    return bind
