"""The code that a distributor's ink jet puts on a carton of cigarettes: two rows of sixteen characters.

Row 1: last digit of the year, month, day of sorting, nine digits, place of the carton in its case (01 to 50).
Row 2: four letters of the company, then the shop's licence: six digits of region, one of enterprise, five of number.
Sources differ on how the nine digits divide, so they stay one opaque word.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, timedelta
from enum import Enum
from typing import Literal

from device_drivers.errors import ProtocolError

MAX_TEXT_CHARS = 64
MISMATCH_REASON = "carton.code.mismatch"
LAST_INDEX = 50
LICENCE_DIGITS = 12

_BETWEEN = re.compile(r"[ \t\r\n]+")
_CODE = re.compile(r"([0-9])([0-9]{2})([0-9]{2})([0-9]{9})([0-9]{2})([A-Z]{4})([0-9]{6})([0-9])([0-9]{5})")
_LICENCE = re.compile(rf"[0-9]{{{LICENCE_DIGITS}}}")
_ENTERPRISES: dict[str, Enterprise] = {"1": "self_employed", "2": "company"}

Enterprise = Literal["self_employed", "company", "unknown"]


class Finding(Enum):
    """What is odd about a code that can be read."""

    SUSPECT_INDEX = "suspect_index"
    IMPOSSIBLE_DATE = "impossible_date"
    FOREIGN_LICENCE = "foreign_licence"


@dataclass(frozen=True, slots=True)
class CartonCode:
    """One code. `sorted_on` is None for a day that there is not, or that lies ahead."""

    row1: str
    row2: str
    sorted_on: date | None
    middle: str
    index: int
    company: str
    licence: str
    region: str
    enterprise: Enterprise
    findings: frozenset[Finding]

    @property
    def reason(self) -> str:
        """Why this carton must not be sold here: the licence is another shop's. "" if it may be."""
        return MISMATCH_REASON if Finding.FOREIGN_LICENCE in self.findings else ""


def parse_carton_code(text: str, *, own_licence: str, today: date) -> CartonCode:
    """Read a code; rows may be apart, letters may be small.

    Raises ProtocolError(remote) for a text that is none, ProtocolError(local) for a licence that is none.
    """
    if not _LICENCE.fullmatch(own_licence):
        raise ProtocolError(f"a licence has {LICENCE_DIGITS} digits", side="local")
    if len(text) > MAX_TEXT_CHARS or not text.isascii():
        raise ProtocolError("no carton code: too long, or with other characters than digits and letters")
    bare = _BETWEEN.sub("", text).upper()
    found = _CODE.fullmatch(bare)
    if found is None:
        raise ProtocolError("no carton code: two rows of sixteen are needed")
    year, month, day, middle, index, company, region, enterprise, number = found.groups()
    licence = region + enterprise + number
    sorted_on = _day(int(year), int(month), int(day), today)
    odd = {
        Finding.SUSPECT_INDEX: not 1 <= int(index) <= LAST_INDEX,
        Finding.IMPOSSIBLE_DATE: sorted_on is None,
        Finding.FOREIGN_LICENCE: licence != own_licence,
    }
    return CartonCode(
        row1=bare[:16],
        row2=bare[16:],
        sorted_on=sorted_on,
        middle=middle,
        index=int(index),
        company=company,
        licence=licence,
        region=region,
        enterprise=_ENTERPRISES.get(enterprise, "unknown"),
        findings=frozenset(finding for finding, is_so in odd.items() if is_so),
    )


def _day(year_digit: int, month: int, day: int, today: date) -> date | None:
    """The day in the latest year with this last digit; a day of slack, for clocks and the turn of a year."""
    latest = today + timedelta(days=1)
    year = latest.year - (latest.year - year_digit) % 10
    try:
        found = date(year, month, day)
    except ValueError:
        return None
    return found if found <= latest else None
