"""What the ledger's state keeps of a command, under its id: enough to answer it again and to do it never twice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from contracts.event_types import CommandCompleted, CommandRefused, EventData
from contracts.ids import MAX_WHOLE

KIND = "command"  # of the ledger's state, by id
FLOOR_KIND = "command_floor"
FLOOR_KEY = "expires_at"

Outcome = Literal["done", "failed", "unknown"]
Arg = str | int | None


@dataclass(frozen=True, slots=True)
class Result:
    """How an effect ended. `detail` is a code; `found` holds codes and figures of a query."""

    outcome: Outcome
    detail: str = ""
    found: Mapping[str, str | int] = field(default_factory=dict)


class Row(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One id. `state` is `intent` until the outcome is durable; `stream` is where that outcome was written last."""

    state: Literal["intent", "done", "failed", "unknown", "refused"]
    kind: str
    stream: str
    expires_at: int
    args: dict[str, Arg] = {}
    detail: str = ""
    found: dict[str, str | int] = {}

    def word(self, command: str) -> EventData:
        """The event that says the outcome. Only for a row that has one."""
        if self.state == "refused":
            return CommandRefused(command=command, kind=self.kind, reason=self.detail)
        assert self.state != "intent"
        return CommandCompleted(
            command=command, kind=self.kind, outcome=self.state, detail=self.detail, result=dict(self.found)
        )


UNREADABLE = Row(state="unknown", kind="unknown", stream="", expires_at=MAX_WHOLE, detail="row_unreadable")


def decode_row(raw: bytes) -> Row:
    """The row in `raw`. Raises msgspec.MsgspecError."""
    return msgspec.json.decode(raw, type=Row)
