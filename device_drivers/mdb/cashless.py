"""What a machine says to a cashless reader, and what the reader answers: commands and messages by name.

Amounts are in the reader's own units here: its scale and decimals come with `ReaderConfig`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from device_drivers.errors import ProtocolError
from device_drivers.mdb.codec import (
    EXPANSION,
    POLL,
    READER,
    RESET,
    REVALUE,
    SETUP,
    VEND,
    Command,
)

MAX_AMOUNT = 0xFFFF
UNKNOWN_AMOUNT = 0xFFFF
LEVEL = 3


class Order(Enum):
    """Every command, by its number and its first data byte."""

    RESET = (RESET, None)
    SETUP_CONFIG = (SETUP, 0x00)
    SETUP_PRICES = (SETUP, 0x01)
    POLL = (POLL, None)
    VEND_REQUEST = (VEND, 0x00)
    VEND_CANCEL = (VEND, 0x01)
    VEND_SUCCESS = (VEND, 0x02)
    VEND_FAILURE = (VEND, 0x03)
    SESSION_COMPLETE = (VEND, 0x04)
    CASH_SALE = (VEND, 0x05)
    NEGATIVE_VEND = (VEND, 0x06)
    READER_DISABLE = (READER, 0x00)
    READER_ENABLE = (READER, 0x01)
    READER_CANCEL = (READER, 0x02)
    REVALUE_REQUEST = (REVALUE, 0x00)
    REVALUE_LIMIT = (REVALUE, 0x01)
    EXPANSION_ID = (EXPANSION, 0x00)
    EXPANSION_OPTIONS = (EXPANSION, 0x04)
    DIAGNOSTICS = (EXPANSION, 0xFF)


# What lets money go, or ends a session in which money is on its way: a tool for looking never sends one.
ACTING = frozenset(
    {
        Order.RESET,
        Order.VEND_REQUEST,
        Order.VEND_CANCEL,
        Order.VEND_SUCCESS,
        Order.VEND_FAILURE,
        Order.SESSION_COMPLETE,
        Order.CASH_SALE,
        Order.NEGATIVE_VEND,
        Order.READER_CANCEL,
        Order.REVALUE_REQUEST,
    }
)


def order_of(command: Command) -> Order | None:
    """Which order a block is; None for one that is not known."""
    for first in (command.data[0] if command.data else None, None):
        try:
            return Order((command.command, first))
        except ValueError:
            continue
    return None


def ordered(order: Order, address: int, data: bytes = b"") -> Command:
    """The block of an order; `data` is what follows its first data byte."""
    number, first = order.value
    return Command(address, number, data if first is None else bytes((first,)) + data)


def money(amount: int) -> bytes:
    """Two bytes. Raises ProtocolError(local) for what does not fit."""
    if not 0 <= amount <= MAX_AMOUNT:
        raise ProtocolError(f"an amount of {amount} units does not fit into two bytes", side="local")
    return amount.to_bytes(2, "big")


def setup_config(address: int, *, columns: int = 0, rows: int = 0, display: int = 0) -> Command:
    """Our level, and the display that we lend to the reader: none."""
    return ordered(Order.SETUP_CONFIG, address, bytes((LEVEL, columns, rows, display)))


def setup_prices(address: int, *, highest: int = UNKNOWN_AMOUNT, lowest: int = 0) -> Command:
    """The dearest and the cheapest thing; FFFF and 0 say that we do not know."""
    return ordered(Order.SETUP_PRICES, address, money(highest) + money(lowest))


def vend_request(address: int, price: int, item: int) -> Command:
    """May this be sold?"""
    return ordered(Order.VEND_REQUEST, address, money(price) + money(item))


def vend_success(address: int, item: int) -> Command:
    """It was handed out."""
    return ordered(Order.VEND_SUCCESS, address, money(item))


def cash_sale(address: int, price: int, item: int) -> Command:
    """It was sold for cash; the reader keeps the books."""
    return ordered(Order.CASH_SALE, address, money(price) + money(item))


def expansion_id(address: int, *, maker: str = "ZGG", serial: str = "", model: str = "", version: int = 0) -> Command:
    """Who are you? We say first who we are. Raises ProtocolError(local) for text that does not fit."""
    text = b"".join(_padded(part, width) for part, width in ((maker, 3), (serial, 12), (model, 12)))
    return ordered(Order.EXPANSION_ID, address, text + version.to_bytes(2, "big"))


def _padded(text: str, width: int) -> bytes:
    if len(text) > width or not text.isascii():
        raise ProtocolError(f"{text!r}: must be up to {width} ASCII letters", side="local")
    return text.ljust(width).encode("ascii")


@dataclass(frozen=True, slots=True)
class JustReset:
    """00: the reader has started, and knows nothing of before."""


@dataclass(frozen=True, slots=True)
class ReaderConfig:
    """01. An amount in units times `scale`, with `decimals` digits behind the point, is money of `country` (BCD).
    `response_s`: the longest that an answer to a vend may take."""

    level: int
    country: int
    scale: int
    decimals: int
    response_s: int
    options: int


@dataclass(frozen=True, slots=True)
class DisplayRequest:
    """02: the reader wants something shown for tenths of a second. What it says may name a person: it is not kept."""

    tenths: int


@dataclass(frozen=True, slots=True)
class BeginSession:
    """03: somebody can pay up to `funds` units; None: the reader does not say. The card's number is not kept."""

    funds: int | None


@dataclass(frozen=True, slots=True)
class SessionCancelRequest:
    """04: whoever pays wants to leave."""


@dataclass(frozen=True, slots=True)
class VendApproved:
    """05: sell it; `amount` units are held."""

    amount: int


@dataclass(frozen=True, slots=True)
class VendDenied:
    """06: do not sell it; nothing is held."""


@dataclass(frozen=True, slots=True)
class EndSession:
    """07: whoever paid is gone."""


@dataclass(frozen=True, slots=True)
class Cancelled:
    """08: the answer to a reader that was called off."""


@dataclass(frozen=True, slots=True)
class PeripheralId:
    """09."""

    maker: str
    serial: str
    model: str
    version: int


@dataclass(frozen=True, slots=True)
class Malfunction:
    """0A: the upper half of `code` says what kind."""

    code: int


@dataclass(frozen=True, slots=True)
class OutOfSequence:
    """0B: the reader was in another state than we thought; later levels say in which."""

    status: int | None


@dataclass(frozen=True, slots=True)
class RevalueApproved:
    """0D."""


@dataclass(frozen=True, slots=True)
class RevalueDenied:
    """0E."""


@dataclass(frozen=True, slots=True)
class RevalueLimit:
    """0F: so many units may be put on the card."""

    amount: int


@dataclass(frozen=True, slots=True)
class UnknownMessage:
    """Any other: what it means is not known, so it changes nothing."""

    code: int


Message = (
    JustReset
    | ReaderConfig
    | DisplayRequest
    | BeginSession
    | SessionCancelRequest
    | VendApproved
    | VendDenied
    | EndSession
    | Cancelled
    | PeripheralId
    | Malfunction
    | OutOfSequence
    | RevalueApproved
    | RevalueDenied
    | RevalueLimit
    | UnknownMessage
)
REFUND_ERROR = 0xB0  # upper half of a malfunction's code: what was held may not have been given back


def _number(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 2], "big")


def _config(data: bytes) -> Message:
    return ReaderConfig(data[1], _number(data, 2), data[4], data[5], data[6], data[7])


def _begin(data: bytes) -> Message:
    funds = _number(data, 1)
    return BeginSession(None if funds == UNKNOWN_AMOUNT else funds)


def _identity(data: bytes) -> Message:
    maker, serial, model = (
        "".join(chr(byte) if 0x20 <= byte < 0x7F else "?" for byte in part).strip()
        for part in (data[1:4], data[4:16], data[16:28])
    )
    return PeripheralId(maker, serial, model, _number(data, 28))


# By first byte: the least length, and how it is read. What follows the least length belongs to later levels.
_MESSAGES: dict[int, tuple[int, Callable[[bytes], Message]]] = {
    0x00: (1, lambda _: JustReset()),
    0x01: (8, _config),
    0x02: (2, lambda data: DisplayRequest(data[1])),
    0x03: (3, _begin),
    0x04: (1, lambda _: SessionCancelRequest()),
    0x05: (3, lambda data: VendApproved(_number(data, 1))),
    0x06: (1, lambda _: VendDenied()),
    0x07: (1, lambda _: EndSession()),
    0x08: (1, lambda _: Cancelled()),
    0x09: (30, _identity),
    0x0A: (2, lambda data: Malfunction(data[1])),
    0x0B: (1, lambda data: OutOfSequence(data[1] if len(data) > 1 else None)),
    0x0D: (1, lambda _: RevalueApproved()),
    0x0E: (1, lambda _: RevalueDenied()),
    0x0F: (3, lambda data: RevalueLimit(_number(data, 1))),
}


def message_of(data: bytes) -> Message:
    """What a block of the reader says. Raises ProtocolError(remote) for one that is too short for its first byte."""
    if not data:
        raise ProtocolError("a message without a byte")
    if data[0] not in _MESSAGES:
        return UnknownMessage(data[0])
    least, read = _MESSAGES[data[0]]
    if len(data) < least:
        raise ProtocolError(f"message {data[0]:02X} has {len(data)} bytes, {least} at least are needed")
    return read(data)
