"""People counted, members greeted."""

from __future__ import annotations

from typing import Literal

from contracts.event_base import Count, EventData, Short, event


@event("people.crossing", lane="telemetry")
class PeopleCrossing(EventData, frozen=True, kw_only=True):
    """Someone crossed a counting line."""

    line: Short
    direction: Literal["in", "out"]
    count: int = 1
    method: Short = "vision"


@event("people.count.interval", lane="telemetry")
class PeopleCountInterval(EventData, frozen=True, kw_only=True):
    """`in` and `out` of the vocabulary are spelled `entered` and `left` here: `in` is a word of the language."""

    line: Short
    start: Short
    end: Short
    entered: Count
    left: Count
    quality: float
    frames: Count = 0
    skipped: Count = 0


@event("people.occupancy", lane="telemetry")
class PeopleOccupancy(EventData, frozen=True, kw_only=True):
    """How many are inside, by the counts."""

    value: int
    line: Short = ""


@event("member.recognised", privacy="pseudonymous")
class MemberRecognised(EventData, frozen=True, kw_only=True):
    """The cloud knew the member who began this session."""

    session: Short
    member_ref: Short
    method: Literal["qr", "nfc", "phone", "face"]


@event("recommendation.shown")
class RecommendationShown(EventData, frozen=True, kw_only=True):
    """What was offered, and why."""

    session: Short
    slot: Short
    items: tuple[Short, ...]
    reason_codes: tuple[Short, ...]
