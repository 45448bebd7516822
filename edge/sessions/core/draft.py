"""One atomic step in the making: table code changes the draft, `done` says what to append, store and do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

import msgspec

from contracts.event_types import (
    CabinetSessionEnded,
    EventData,
    Line,
)
from edge.ports import Record, Transaction
from edge.sessions.core.inputs import Effect, Ended, Facts, Memory, Slot, State
from edge.sessions.core.records import KINDS, Book, Durable, Flag, Incident, Session, Stored


@dataclass(frozen=True, slots=True)
class Step:
    """Append `transaction` (fsync), then take `memory`, then do `effects`. Without the first nothing of it happens."""

    transaction: Transaction
    memory: Memory
    effects: tuple[Effect, ...] = ()
    answer: str = ""  # why an input was not taken; empty: it was

    @property
    def silent(self) -> bool:
        """Nothing to make durable."""
        t = self.transaction
        return not (t.records or t.puts or t.deletes)


@dataclass(slots=True)
class Draft:
    """The next memory while a row is being applied. `facts` and `now_s` are those of the step."""

    old: Memory
    facts: Facts
    now_s: float
    cabinet: str = ""
    records: list[Record] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)
    answer: str = ""
    _kinds: dict[str, dict[str, Any]] = field(init=False)
    slot: Slot | None = field(init=False)
    revoked: frozenset[str] = field(init=False)
    pulses: dict[str, float] = field(init=False)
    unfenced: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        self._kinds = {k: dict(getattr(self.old.durable, k)) for k in KINDS}
        self.slot, self.revoked = self.old.slot, self.old.revoked
        self.pulses, self.unfenced = dict(self.old.pulses), self.old.unfenced

    # -------------------------------------------------------------- state

    def kind(self, name: str) -> dict[str, Any]:
        """State of one kind, to be changed through the methods below or by item."""
        return self._kinds[name]

    @property
    def sessions(self) -> Mapping[str, Session]:
        return self._kinds["session"]

    def session(self, session: str, **changes: Any) -> Session:
        """Change one session; the new one."""
        new = msgspec.structs.replace(self.sessions[session], **changes)
        self._kinds["session"][session] = new
        return new

    def incident(self, compartment: str, *, forced: bool | None = None, unknown: bool | None = None) -> None:
        """Open or change the incident of a compartment."""
        old: Incident = self._kinds["incident"].get(compartment, Incident())
        self._kinds["incident"][compartment] = Incident(
            forced=old.forced if forced is None else forced, unknown=old.unknown if unknown is None else unknown
        )

    def flag(self, kind: str, key: str, n: int = 1) -> None:
        self._kinds[kind][key] = Flag(n=n)

    def go(self, state: State, **changes: Any) -> Slot:
        """Move the slot to another state, now."""
        assert self.slot is not None
        self.slot = replace(self.slot, state=state, since_s=self.now_s, **changes)
        return self.slot

    def keep(self, **changes: Any) -> Slot:
        """Change the slot without leaving its state."""
        assert self.slot is not None
        self.slot = replace(self.slot, **changes)
        return self.slot

    # -------------------------------------------------------------- words

    def say(self, data: EventData) -> None:
        """Append one event of this cabinet."""
        self.records.append(Record(data=data, device=self.cabinet))

    def do(self, effect: Effect) -> None:
        """Do this after the commit."""
        self.effects.append(effect)

    def end(self, session: str, outcome: Any, reason: str = "", lines: tuple[Line, ...] = ()) -> None:
        """The one end of a session."""
        self.say(CabinetSessionEnded(session=session, outcome=outcome, reason=reason))
        del self._kinds["session"][session]
        self.do(Ended(session, outcome, lines))

    def done(self) -> Step:
        """The step: differences of state become puts and deletes."""
        puts: dict[tuple[str, str], bytes] = {}
        deletes: list[tuple[str, str]] = []
        for name in KINDS:
            before, after = getattr(self.old.durable, name), self._kinds[name]
            if before == after:
                continue
            puts |= {(name, k): msgspec.json.encode(v) for k, v in after.items() if before.get(k) != v}
            deletes += [(name, k) for k in before if k not in after]
        durable = Durable(**self._kinds) if puts or deletes else self.old.durable
        return Step(
            Transaction(tuple(self.records), puts, tuple(deletes)),
            Memory(durable, self.slot, self.revoked, self.pulses, self.unfenced),
            tuple(self.effects),
            self.answer,
        )


def total_fen(lines: tuple[Line, ...]) -> int:
    return sum(line.qty * line.price_fen for line in lines)


def move_units(d: Draft, shelf: str, change: Mapping[str, int]) -> None:
    """Change the pieces that the book believes in; never below none."""
    book: Book | None = d.kind("book").get(shelf)
    if book is None:
        return
    units = dict(book.units)
    for sku, n in change.items():
        units[sku] = max(0, units.get(sku, 0) + n)
    d.kind("book")[shelf] = msgspec.structs.replace(book, units=units)


def load(state: Callable[[str], Mapping[str, bytes]], mine: Callable[[str, str, Stored], bool]) -> Durable:
    """The durable state of one cabinet out of the ledger. `mine(kind, key, value)` tells what belongs to it."""
    kinds: dict[str, dict[str, Any]] = {}
    for name, cls in KINDS.items():
        values = {k: msgspec.json.decode(v, type=cls) for k, v in state(name).items()}
        kinds[name] = {k: v for k, v in values.items() if mine(name, k, v)}
    return Durable(**kinds)


assert {f.name for f in fields(Durable)} == set(KINDS)
