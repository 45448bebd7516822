"""How a question becomes bytes, and which bytes are its reply: the one thing in which RTU and TCP differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from device_drivers.errors import MisconfiguredError
from device_drivers.faults import OnFault
from device_drivers.modbus_rtu import codec, pdu


class ReplyParser(Protocol):
    """Hears what comes back and knows the reply."""

    def feed(self, data: bytes) -> pdu.Reply | None:
        """The reply, once whole."""


class Framing(Protocol):
    """One framing. `names_replies`: a late reply can be told from the one that is waited for."""

    @property
    def names_replies(self) -> bool: ...

    def check_address(self, address: int) -> None:
        """Raises MisconfiguredError for an address that one device cannot have."""

    def ask(self, address: int, request: pdu.Request, on_fault: OnFault) -> tuple[bytes, ReplyParser]:
        """The bytes to send, and who hears the reply."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rtu:
    """A serial line. `echo`: the adapter repeats what we send."""

    echo: bool = False

    @property
    def names_replies(self) -> bool:
        return False

    def check_address(self, address: int) -> None:
        """See `Framing`."""
        if not 1 <= address <= codec.MAX_ADDRESS:
            raise MisconfiguredError(f"Modbus address {address}: must be in 1..{codec.MAX_ADDRESS}")

    def ask(self, address: int, request: pdu.Request, on_fault: OnFault) -> tuple[bytes, ReplyParser]:
        """See `Framing`."""
        question = codec.Frame(address, request)
        return question.to_bytes(), codec.ReplyParser(question, on_fault, echo=self.echo)


RTU = Rtu()
