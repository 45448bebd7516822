"""Names that may stand in a topic, fresh random identities, and how large a number may be."""

from __future__ import annotations

import re
import uuid

ID_PATTERN = r"^[A-Za-z0-9_-]{1,64}$"
_ID = re.compile(ID_PATTERN)
MAX_WHOLE = 2**53 - 1  # the largest whole number that every JSON reader and every database keeps as it is


class BadIdError(ValueError):
    """A name that may not stand in a topic."""


def check_id(value: str, what: str) -> str:
    """`value` if it matches `[A-Za-z0-9_-]{1,64}`; else BadIdError that names `what`."""
    if not _ID.fullmatch(value):  # match would let a line break at the end pass
        raise BadIdError(f"{what}: {value!r} may hold only letters, digits, '_' and '-', 1 to 64 of them")
    return value


def new_uuid() -> str:
    """A random identity (UUID 4, 36 characters)."""
    return str(uuid.uuid4())
