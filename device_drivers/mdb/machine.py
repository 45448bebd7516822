"""What a machine may say to a cashless reader, and what it knows of it, as tables without any I/O.

One rule is above all: a vend is over only by a word of the reader that says so. Any other way out of it (the reader
starts again, is out of sequence, falls silent) leaves it `unresolved`; nothing is asked or charged again for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from device_drivers.errors import RefusedError
from device_drivers.mdb.cashless import (
    BeginSession,
    EndSession,
    JustReset,
    Message,
    Order,
    OutOfSequence,
    ReaderConfig,
    RevalueApproved,
    RevalueDenied,
    VendApproved,
    VendDenied,
)

NON_RESPONSE_S = 5.0  # a reader that answers nothing for so long is reset


class State(Enum):
    """Of the reader, as far as we know."""

    INACTIVE = "inactive"
    DISABLED = "disabled"
    ENABLED = "enabled"
    SESSION_IDLE = "session idle"
    VEND = "vend: asked"
    APPROVED = "vend: approved"
    REVALUE = "revalue"
    CLOSING = "session closing"


_O, _S = Order, State
_ALWAYS = frozenset({_O.RESET, _O.POLL})
ALLOWED: dict[State, frozenset[Order]] = {
    _S.INACTIVE: _ALWAYS | {_O.SETUP_CONFIG},
    _S.DISABLED: _ALWAYS
    | {
        _O.SETUP_CONFIG,
        _O.SETUP_PRICES,
        _O.READER_ENABLE,
        _O.CASH_SALE,
        _O.EXPANSION_ID,
        _O.EXPANSION_OPTIONS,
        _O.DIAGNOSTICS,
    },
    _S.ENABLED: _ALWAYS
    | {
        _O.READER_DISABLE,
        _O.READER_CANCEL,
        _O.CASH_SALE,
        _O.EXPANSION_ID,
        _O.DIAGNOSTICS,
    },
    _S.SESSION_IDLE: _ALWAYS | {_O.VEND_REQUEST, _O.SESSION_COMPLETE, _O.REVALUE_REQUEST, _O.REVALUE_LIMIT},
    _S.VEND: _ALWAYS | {_O.VEND_CANCEL},
    _S.APPROVED: _ALWAYS | {_O.VEND_SUCCESS, _O.VEND_FAILURE},
    _S.REVALUE: _ALWAYS,
    _S.CLOSING: _ALWAYS,
}
# From the moment that the block is written: it may have arrived, whatever we hear.
ON_WRITTEN: dict[tuple[State, Order], State] = {
    (_S.SESSION_IDLE, _O.VEND_REQUEST): _S.VEND,
    (_S.SESSION_IDLE, _O.REVALUE_REQUEST): _S.REVALUE,
    (_S.SESSION_IDLE, _O.SESSION_COMPLETE): _S.CLOSING,
}
# Only once it was acknowledged.
ON_ACKNOWLEDGED: dict[tuple[State, Order], State] = {
    (_S.DISABLED, _O.READER_ENABLE): _S.ENABLED,
    (_S.ENABLED, _O.READER_DISABLE): _S.DISABLED,
    (_S.APPROVED, _O.VEND_SUCCESS): _S.SESSION_IDLE,
    (_S.APPROVED, _O.VEND_FAILURE): _S.SESSION_IDLE,
}
ON_HEARD: dict[tuple[State, type], State] = {
    (_S.INACTIVE, ReaderConfig): _S.DISABLED,
    (_S.ENABLED, BeginSession): _S.SESSION_IDLE,
    (_S.VEND, VendApproved): _S.APPROVED,
    (_S.VEND, VendDenied): _S.SESSION_IDLE,
    (_S.REVALUE, RevalueApproved): _S.SESSION_IDLE,
    (_S.REVALUE, RevalueDenied): _S.SESSION_IDLE,
    (_S.CLOSING, EndSession): _S.ENABLED,
    (_S.SESSION_IDLE, EndSession): _S.ENABLED,
}
# Money may be on its way in these.
OPEN = frozenset({_S.VEND, _S.APPROVED, _S.REVALUE})


@dataclass(slots=True)
class CashlessMachine:
    """`must_reset`: only RESET helps now. `unresolved` counts the vends that nobody can tell the end of."""

    state: State = State.INACTIVE
    must_reset: bool = True
    unresolved: int = 0
    config: ReaderConfig | None = None
    silent_since_s: float | None = None  # the first question without an answer

    def check(self, order: Order) -> None:
        """Raises RefusedError for what must not be said now."""
        if self.must_reset and order not in (Order.RESET, Order.POLL):
            raise RefusedError(f"{order.name}: the reader must be reset first")
        if order not in ALLOWED[self.state]:
            raise RefusedError(f"{order.name} is not allowed while the reader is {self.state.value}")

    def written(self, order: Order) -> None:
        """The block is on the line."""
        if order is Order.RESET:
            self.lose()
        self.state = ON_WRITTEN.get((self.state, order), self.state)

    def acknowledged(self, order: Order) -> None:
        """The reader has it."""
        if order is Order.RESET:
            self.must_reset = False
        self.state = ON_ACKNOWLEDGED.get((self.state, order), self.state)

    def heard(self, message: Message) -> None:
        """A message of the reader. One that does not fit the state changes nothing."""
        if isinstance(message, JustReset | OutOfSequence):
            # While it is inactive there is nothing to lose, and after our own RESET the first is what we wait for.
            if self.state is not State.INACTIVE:
                self.lose()
            return
        if isinstance(message, ReaderConfig):
            self.config = message
        self.state = ON_HEARD.get((self.state, type(message)), self.state)

    def answered(self) -> None:
        """Anything at all came from the reader."""
        self.silent_since_s = None

    def silent(self, asked_s: float, now_s: float) -> bool:
        """The question of `asked_s` has no answer. Whether none had one for so long that the reader must be reset;
        then it is. While nobody asks it, a reader is not silent."""
        if self.silent_since_s is None:
            self.silent_since_s = asked_s
        if now_s - self.silent_since_s < NON_RESPONSE_S:
            return False
        self.lose()
        return True

    def lose(self) -> None:
        """Nothing is known of the reader any more, nor of a vend that was open."""
        if self.state in OPEN:
            self.unresolved += 1
        self.state = State.INACTIVE
        self.must_reset = True

    def doubt(self) -> None:
        """A vend whose end was acknowledged, and then taken back or not confirmed."""
        self.state = State.INACTIVE
        self.must_reset = True
        self.unresolved += 1
