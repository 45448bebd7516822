"""Interlocks: proofs of age, decisions of the gate, the licence."""

from __future__ import annotations

from typing import Literal

import msgspec

from contracts.event_base import EventData, Short, event


@event("age.check.passed")
class AgeCheckPassed(EventData, frozen=True, kw_only=True):
    """A document proved the age asked for, in this session."""

    session: Short
    method: Literal["id_card", "member_document", "staff_document", "network_id"]
    min_age: int
    staff_id: Short = ""


@event("age.check.failed")
class AgeCheckFailed(EventData, frozen=True, kw_only=True):
    """A document did not prove the age asked for."""

    session: Short
    method: Short
    min_age: int
    reason: Short = ""
    staff_id: Short = ""


@event("age.check.expired")
class AgeCheckExpired(EventData, frozen=True, kw_only=True):
    """A proof grew too old before it was used."""

    session: Short


@event("gate.decision", privacy="pseudonymous")
class GateDecision(EventData, frozen=True, kw_only=True):
    """Audit of one asking of table G. Carries rule ids and a summary, never anything of the buyer."""

    session: Short
    stage: Literal["g1", "g2", "g3", "g4", "lapse", "revoke"]
    outcome: Literal["allowed", "denied", "lapsed_after_unlock", "revoked", "lifted"]
    failed: tuple[Short, ...] = ()
    inputs: dict[Short, Short | int | float | bool | None] = msgspec.field(default_factory=dict)
    policy_version: Short = ""
    staff_id: Short = ""


@event("licence.expiring")
class LicenceExpiring(EventData, frozen=True, kw_only=True):
    """The tobacco licence ends soon."""

    scope: Short
    days_left: int


@event("licence.expired")
class LicenceExpired(EventData, frozen=True, kw_only=True):
    """The tobacco licence has ended; tobacco is blocked."""

    scope: Short
