"""Errors of devices, typed by who must act."""

from __future__ import annotations

from typing import Literal


class DeviceError(Exception):
    """Base of all errors of devices; never raised itself."""


class UnavailableError(DeviceError):
    """The device or its line does not answer: the runtime retries."""


class MisconfiguredError(DeviceError):
    """The description of the device is wrong: a person must mend `store.toml`."""


class RefusedError(DeviceError):
    """The device understood and said no: a person or the caller decides."""


class ProtocolError(DeviceError):
    """Bytes that break the protocol. `side` tells whose fault: ours (`local`) or the device's (`remote`)."""

    def __init__(self, message: str, side: Literal["local", "remote"] = "remote") -> None:
        super().__init__(message)
        self.side = side
