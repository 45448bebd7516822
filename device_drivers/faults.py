"""What can go wrong on a line, by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

FaultKind = Literal["crc", "timeout", "framing", "unexpected"]

# Called with the kind and one short sentence. The sentence never holds bytes of a reply: they may name a person.
OnFault = Callable[[FaultKind, str], None]
