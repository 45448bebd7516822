"""The money of a session."""

from __future__ import annotations

from typing import Literal

from contracts.event_base import Count, EventData, Short, event


@event("payment.requested")
class PaymentRequested(EventData, frozen=True, kw_only=True):
    """The next act with the money, durable before it is sent."""

    session: Short
    kind: Literal["authorise", "capture", "void"]
    key: Short
    amount_fen: Count


@event("payment.authorised")
class PaymentAuthorised(EventData, frozen=True, kw_only=True):
    """The provider holds the amount."""

    session: Short
    key: Short
    amount_fen: Count
    txn: Short = ""


@event("payment.captured")
class PaymentCaptured(EventData, frozen=True, kw_only=True):
    """The provider took the amount."""

    session: Short
    key: Short
    amount_fen: Count
    txn: Short = ""


@event("payment.failed")
class PaymentFailed(EventData, frozen=True, kw_only=True):
    """A final no of the provider."""

    session: Short
    key: Short
    code: Short
    amount_fen: Count = 0


@event("payment.voided")
class PaymentVoided(EventData, frozen=True, kw_only=True):
    """The hold is given back."""

    session: Short
    key: Short
