"""Modbus TCP as a framing for the drivers of `modbus_rtu`: the same questions in another envelope."""

from __future__ import annotations

import itertools

from device_drivers.errors import MisconfiguredError
from device_drivers.faults import OnFault
from device_drivers.modbus_rtu import pdu
from device_drivers.modbus_rtu.framing import ReplyParser
from device_drivers.modbus_tcp import codec


class Tcp:
    """A connection to a device or to a gateway with devices (units) behind it.

    Each question has a number of its own, so one `Tcp` may serve every driver of the process.
    """

    def __init__(self) -> None:
        self._transactions = itertools.count(1)

    @property
    def names_replies(self) -> bool:
        return True

    def check_address(self, address: int) -> None:
        """See `Framing`."""
        if not (1 <= address <= codec.MAX_UNIT or address == codec.DIRECT_UNIT):
            raise MisconfiguredError(
                f"Modbus unit {address}: must be in 1..{codec.MAX_UNIT}, or {codec.DIRECT_UNIT} for the device itself"
            )

    def ask(self, address: int, request: pdu.Request, on_fault: OnFault) -> tuple[bytes, ReplyParser]:
        """See `Framing`."""
        question = codec.Frame(next(self._transactions) & 0xFFFF, address, request)
        return question.to_bytes(), codec.ReplyParser(question, on_fault)


TCP = Tcp()
