"""What became of a command, from the words of all streams of its store. Pure.

    done      some stream says done: it was done, whatever else is said (a restored disk may say otherwise)
    unknown   some stream holds an intent and no end of it, and the time is over; or a store that fell says unknown
    failed    some stream says that it was tried and did not succeed, and nothing above holds
    refused   some stream says refused, and nothing above holds, nor was this cloud restored meanwhile
    accepted  an intent without an end, and the time is not over
    expired   nobody has said anything, and the time is over
    unknown   nobody has said anything, and this cloud was restored meanwhile: it may have been said to what was lost
    issued    nobody has said anything yet

A later word may still come: a store that was cut off says what it did when it is back. Then the word counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

State = Literal["issued", "accepted", "done", "failed", "refused", "unknown", "expired"]
Said = Literal["accepted", "done", "failed", "refused", "unknown"]
OPEN: frozenset[State] = frozenset({"issued", "accepted"})
GRACE_MS = 60_000  # after the expiry: an effect that began in time is over by then, and its word is here


@dataclass(frozen=True, slots=True)
class Word:
    """One event about a command. `stream` tells which life of the store said it."""

    stream: str
    seq: int
    said: Said
    detail: str = ""
    result: Mapping[str, str | int] = field(default_factory=dict)
    received_ms: int = 0


@dataclass(frozen=True, slots=True)
class Verdict:
    """`word` is the one that decided, None where none did."""

    state: State
    word: Word | None = None

    @property
    def final(self) -> bool:
        """Nothing more is waited for."""
        return self.state not in OPEN


def verdict(words: Iterable[Word], *, expires_ms: int, now_ms: int, lost: bool) -> Verdict:
    """The state of a command. `lost`: the cloud was restored while it was open."""
    by = sorted(words, key=lambda word: (word.received_ms, word.stream, word.seq))
    closed = {word.stream for word in by if word.said in ("done", "failed", "refused")}
    opened = [word for word in by if word.said == "accepted" and word.stream not in closed]

    def last(said: Said) -> Word | None:
        return next((word for word in reversed(by) if word.said == said), None)

    if done := last("done"):
        return Verdict("done", done)
    unknown = last("unknown")
    over = lost or now_ms > expires_ms + GRACE_MS
    if opened and unknown is None and not over:
        return Verdict("accepted", opened[-1])
    if unknown is not None or opened:
        return Verdict("unknown", unknown or opened[-1])
    if word := last("failed"):
        return Verdict("failed", word)
    if lost:  # a refusal may be that of a disk, or of an old stream, that knows nothing of what was done before
        return Verdict("unknown", last("refused"))
    if word := last("refused"):
        return Verdict("refused", word)
    return Verdict("expired") if over else Verdict("issued")
