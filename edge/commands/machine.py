"""The life of a command on the edge, as a machine without I/O: what to write, what to do, what to refuse, what to keep.

    state    input                     guard                                append              then
    –        received                  standby; queue or rate full          –                   dropped, counted
    –        received                  id is open                           –                   nothing: it is under way
    –        received                  hello not answered yet               –                   held
    held     hello answered            id has its outcome                   –, or the outcome   answered (*)
    held     hello answered            a check fails                        refused             ended
    held     hello answered            all checks pass; closers close now   accepted            intent
    held     link lost                 never believed                       –                   dropped, counted
    intent   durable                   moves no hardware                    –                   effect
    intent   durable                   moves hardware                       –                   waiting
    waiting  watermark covers intent   checks pass once more, none moving   –                   effect
    waiting  any moment                expired, clock lost, busy            refused             ended
    waiting  the lane has forked       –                                    completed unknown   ended
    effect   right before it           expired, busy, forked                refused, …          ended
    effect   its result                –                                    completed           ended
    (start)  an intent without end     the device or session was asked      completed unknown   ended

    (*) The outcome is in the ledger already; only if it stands in a stream that was left is it said again.

Checks, in this order: the named stream is the ledger lane's, known type, arguments, clock, expiry, then what the store
says (`no_such_device`, `busy`, …). Expiry is judged twice: by the latest that the cloud's clock may show, and by the
age since the receipt. An append that fails is tried again; nothing of it happened.

The table of ids holds a row until a day after its command has expired. Forgetting it then is safe: a repeated id
carries its own `expires_at`, so that it is refused as expired; and while the clock is unknown, the floor (the greatest
expiry that was forgotten) refuses it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Literal

import msgspec

from contracts.command_types import COMMAND_TYPES, MAX_TTL_MS, BadArgsError, CommandArgs, CommandType, parse_args
from contracts.event_types import CommandAccepted, EventData
from contracts.messages import Command
from edge.commands.records import FLOOR_KEY, FLOOR_KIND, KIND, Result, Row

MAX_OPEN = 16
MAX_ROWS = 16_384
KEEP_MS = 24 * 3600 * 1000  # more than two clocks of a store and its cloud ever disagree
RETRY_S = 1.0
BURST, REFILL_S = 32, 5.0  # so many at once, then one in so many seconds; closers and others each
FORGET_AT_ONCE = 32

Link = Literal["off", "silent", "ready", "standby"]
State = Literal["held", "intent", "waiting", "effect", "ending"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """The world at one moment. `latest_ms`: the most that the cloud's clock can show; None: not known."""

    now_s: float
    link: Link
    stream: str
    watermark: int
    latest_ms: float | None


@dataclass(frozen=True, slots=True)
class Append:
    """Commit this in one transaction, then call `appended`. `puts` holds more state that the intent brings along."""

    command: str
    word: EventData
    row: Row
    forget: tuple[str, ...] = ()
    floor_ms: int | None = None
    with_state: bool = False  # the handler's own durable state goes into the same transaction


@dataclass(frozen=True, slots=True)
class Close:
    """Shut in memory, now, before anything is written."""

    command: str
    kind: str
    args: CommandArgs


@dataclass(frozen=True, slots=True)
class Effect:
    """Call `begin`; if it says nothing, do it, once, then call `ended`."""

    command: str
    kind: str
    args: CommandArgs


@dataclass(frozen=True, slots=True)
class Look:
    """A crash came between intent and outcome: ask what is so, then call `looked`."""

    command: str
    kind: str
    args: CommandArgs | None


Action = Append | Close | Effect | Look


@dataclass(slots=True)
class Run:
    """One command under way."""

    command: Command
    received_s: float
    state: State = "held"
    type: CommandType | None = None
    args: CommandArgs | None = None
    stream: str = ""  # of the intent
    intent_seq: int = 0
    appending: Append | None = None
    due_s: float = float("-inf")  # of the next try of an append
    believed: bool = False
    counted: bool = False  # has taken its token
    closed: bool = False

    @property
    def id(self) -> str:
        return self.command.id


@dataclass(slots=True)
class _Bucket:
    tokens: float = field(default_factory=lambda: float(BURST))
    at_s: float | None = None

    def take(self, now_s: float) -> bool:
        if self.at_s is not None:
            self.tokens = min(float(BURST), self.tokens + max(0.0, now_s - self.at_s) / REFILL_S)
        self.at_s = now_s
        if self.tokens < 1.0:
            return False
        self.tokens -= 1.0
        return True


@dataclass(slots=True, kw_only=True)
class CommandMachine:
    """Inputs are methods, each returns what to do, in order.

    `why_not(kind, args)` says why a command may not begin now, "" if it may: a pure look at the store's own state.
    """

    why_not: Callable[[str, CommandArgs], str]
    types: Mapping[str, CommandType] = field(default_factory=lambda: COMMAND_TYPES)
    counters: Counter[str] = field(default_factory=Counter)

    rows: dict[str, Row] = field(default_factory=dict, init=False)
    open: dict[str, Run] = field(default_factory=dict, init=False)
    floor_ms: int | None = field(default=None, init=False)
    _buckets: dict[bool, _Bucket] = field(default_factory=lambda: {True: _Bucket(), False: _Bucket()}, init=False)

    # -------------------------------------------------------------- inputs

    def started(self, rows: Mapping[str, Row], floor_ms: int | None, facts: Facts) -> Sequence[Action]:
        """The process begins with this table: whatever has no outcome is never done again."""
        self.rows, self.floor_ms = dict(rows), floor_ms
        todo: list[Action] = []
        for command, row in rows.items():
            if row.state == "intent":
                kind = self.types.get(row.kind)
                self.open[command] = Run(_again(command, row), facts.now_s, "effect", kind, stream=row.stream)
                todo.append(Look(command, row.kind, _args(kind, row.args)))
        return todo

    def received(self, command: Command, facts: Facts) -> Sequence[Action]:
        """A copy of a command has arrived."""
        self.counters["received"] += 1
        if facts.link == "standby":
            return self._drop("standby")
        if command.id in self.open:
            return self._drop("repeated")
        if len(self.open) >= MAX_OPEN and not self._closes(command):
            return self._drop("queue_full")
        if len(self.open) >= 2 * MAX_OPEN:
            return self._drop("queue_full")
        run = self.open[command.id] = Run(command, facts.now_s)
        return self._take(run, facts) if facts.link == "ready" else ()

    def appended(self, command: str, facts: Facts, *, seq: int | None) -> Sequence[Action]:
        """The transaction of an Append is durable, its events at or before `seq`; None: it failed, nothing happened."""
        run = self.open.get(command)
        if run is None or run.appending is None:
            return ()
        append, run.appending = run.appending, None
        if seq is None:
            self.counters["not_written"] += 1
            run.due_s = facts.now_s + RETRY_S
            if run.state == "intent":
                run.state = "held"
            else:
                run.appending = replace(append, forget=(), floor_ms=None)
            return ()
        self._settle(append)
        if run.state != "intent":
            del self.open[command]
            return ()
        run.intent_seq, run.state = seq, "waiting"
        return self._advance(run, facts)

    def begin(self, command: str, facts: Facts) -> Sequence[Action]:
        """Asked with the Effect in hand, and no wait between this and its first step: time may have passed since it
        was decided. Nothing: do it; else do these instead."""
        run = self.open[command]
        assert run.type is not None
        if run.type.only_closes:  # closed it is since the receipt; what follows only says so
            return ()
        if facts.stream != run.stream:
            return self._complete(run, Result("unknown", "forked"), facts)
        if reason := self._not_now(run, facts):
            return self._refuse(run, reason, facts)
        return ()

    def ended(self, command: str, result: Result, facts: Facts) -> Sequence[Action]:
        """The effect is over."""
        run = self.open.get(command)
        if run is None or run.state != "effect":
            return ()
        return self._complete(run, result, facts)

    def looked(self, command: str, detail: str, facts: Facts) -> Sequence[Action]:
        """What the device or session said of a command whose end nobody saw."""
        return self.ended(command, Result("unknown", detail), facts)

    def look(self, facts: Facts) -> Sequence[Action]:
        """Time has passed, the watermark or the link has moved."""
        todo: list[Action] = []
        for run in list(self.open.values()):
            if run.appending is not None:
                if run.due_s > float("-inf") and run.due_s <= facts.now_s:
                    run.due_s = float("-inf")
                    todo.append(run.appending)
            elif run.state == "held":
                todo.extend(self._hold(run, facts))
            elif run.state == "waiting":
                todo.extend(self._advance(run, facts))
        return todo

    # -------------------------------------------------------------- believing

    def _drop(self, why: str) -> Sequence[Action]:
        self.counters[f"dropped_{why}"] += 1
        return ()

    def _closes(self, command: Command) -> bool:
        kind = self.types.get(command.type)
        return kind is not None and kind.only_closes

    def _hold(self, run: Run, facts: Facts) -> Sequence[Action]:
        if facts.link == "ready":
            return self._take(run, facts) if run.due_s <= facts.now_s else ()
        if facts.link == "standby" or (facts.link == "off" and not run.believed):
            del self.open[run.id]
            return self._drop("standby" if facts.link == "standby" else "link_lost")
        return ()

    def _take(self, run: Run, facts: Facts) -> Sequence[Action]:
        """The hello is answered: the command is believed, and judged."""
        run.believed = True
        command, row = run.command, self.rows.get(run.id)
        if row is not None:
            self.counters["dropped_repeated"] += 1
            return self._answer_again(run, row, facts)
        if not run.counted and not self._buckets[self._closes(command)].take(facts.now_s):
            del self.open[run.id]
            return self._drop("too_fast")
        run.counted = True
        if len(self.rows) >= MAX_ROWS and not self._old(facts):
            del self.open[run.id]
            return self._drop("table_full")
        if reason := self._judge(run, facts):
            return self._refuse(run, reason, facts)
        assert run.type is not None
        assert run.args is not None
        todo: list[Action] = []
        if run.type.only_closes and not run.closed:
            run.closed = True
            todo.append(Close(run.id, run.type.name, run.args))
        run.state, run.stream = "intent", facts.stream
        args = dict(command.args)
        row = Row(state="intent", kind=command.type, stream=facts.stream, expires_at=command.expires_at, args=args)
        todo.append(self._append(run, CommandAccepted(command=run.id, kind=command.type), row, facts, with_state=True))
        return todo

    def _answer_again(self, run: Run, row: Row, facts: Facts) -> Sequence[Action]:
        """Nothing moves. An outcome in a stream that was left may be lost to the cloud: say it once in this one."""
        if row.state == "intent" or row.stream == facts.stream:
            del self.open[run.id]
            return ()
        run.state = "ending"
        return [self._append(run, row.word(run.id), msgspec.structs.replace(row, stream=facts.stream), facts)]

    def _judge(self, run: Run, facts: Facts) -> str:
        """Why the command is refused; "" if it is not."""
        command = run.command
        if command.stream != facts.stream:
            return "other_stream"
        run.type = self.types.get(command.type)
        if run.type is None:
            return "unknown_type"
        try:
            run.args = parse_args(run.type, command.args)
        except BadArgsError:
            return "bad_args"
        if facts.latest_ms is not None and command.expires_at - facts.latest_ms > MAX_TTL_MS + KEEP_MS:
            return "expiry_too_far"
        return self._not_now(run, facts)

    def _not_now(self, run: Run, facts: Facts) -> str:
        """What is asked at the receipt and once more right before the effect."""
        assert run.type is not None
        assert run.args is not None
        if run.type.moves_hardware and facts.latest_ms is None:
            return "clock_unknown"
        if self._expired(run, facts):
            return "expired"
        return self.why_not(run.type.name, run.args)

    def _expired(self, run: Run, facts: Facts) -> bool:
        command = run.command
        if facts.latest_ms is not None and facts.latest_ms > command.expires_at:
            return True
        if self.floor_ms is not None and command.expires_at <= self.floor_ms:
            return True
        return (facts.now_s - run.received_s) * 1000.0 > command.ttl_ms

    # -------------------------------------------------------------- doing

    def _advance(self, run: Run, facts: Facts) -> Sequence[Action]:
        """An accepted command: its effect, once it may."""
        assert run.type is not None
        assert run.args is not None
        if facts.stream != run.stream:
            return self._complete(run, Result("unknown", "forked"), facts)
        if not run.type.moves_hardware:
            run.state = "effect"
            return [Effect(run.id, run.type.name, run.args)]
        if reason := self._not_now(run, facts):
            return self._refuse(run, reason, facts)
        covered = facts.link == "ready" and facts.watermark >= run.intent_seq
        if not covered or any(r.state == "effect" and _moves(r) for r in self.open.values()):
            return ()
        run.state = "effect"
        return [Effect(run.id, run.type.name, run.args)]

    def _refuse(self, run: Run, reason: str, facts: Facts) -> Sequence[Action]:
        self.counters[f"refused_{reason}"] += 1
        return self._end(run, "refused", reason, {}, facts)

    def _complete(self, run: Run, result: Result, facts: Facts) -> Sequence[Action]:
        self.counters[f"completed_{result.outcome}"] += 1
        return self._end(run, result.outcome, result.detail, result.found, facts)

    def _end(
        self,
        run: Run,
        state: Literal["done", "failed", "unknown", "refused"],
        detail: str,
        found: Mapping[str, str | int],
        facts: Facts,
    ) -> Sequence[Action]:
        run.state = "ending"
        row = Row(
            state=state,
            kind=run.command.type,
            stream=facts.stream,
            expires_at=run.command.expires_at,
            detail=detail[:64],
            found=dict(found),
        )
        return [self._append(run, row.word(run.id), row, facts)]

    # -------------------------------------------------------------- the table of ids

    def _append(self, run: Run, word: EventData, row: Row, facts: Facts, *, with_state: bool = False) -> Append:
        old = self._old(facts)
        floors = [self.rows[command].expires_at for command in old]
        if floors:  # raised at once, so that no append that is still on its way can lower what is durable
            self.floor_ms = max(*floors, self.floor_ms or 0)
        append = Append(run.id, word, row, old, self.floor_ms if floors else None, with_state)
        run.appending, run.due_s = append, float("-inf")
        return append

    def _old(self, facts: Facts) -> tuple[str, ...]:
        """Ids whose commands have expired more than `KEEP_MS` ago; a few at a time."""
        if facts.latest_ms is None:
            return ()
        limit_ms = facts.latest_ms - KEEP_MS
        old = (command for command, row in self.rows.items() if row.expires_at < limit_ms and command not in self.open)
        return tuple(islice(old, FORGET_AT_ONCE))

    def _settle(self, append: Append) -> None:
        for command in append.forget:
            self.rows.pop(command, None)
        self.rows[append.command] = append.row


def state_of(append: Append) -> tuple[dict[tuple[str, str], bytes], list[tuple[str, str]]]:
    """What an Append puts into the ledger's state, and what it deletes there."""
    puts = {(KIND, append.command): msgspec.json.encode(append.row)}
    if append.floor_ms is not None:
        puts[FLOOR_KIND, FLOOR_KEY] = msgspec.json.encode(append.floor_ms)
    return puts, [(KIND, command) for command in append.forget]


def _moves(run: Run) -> bool:
    return run.type is not None and run.type.moves_hardware


def _args(kind: CommandType | None, args: Mapping[str, str | int | None]) -> CommandArgs | None:
    try:
        return None if kind is None else parse_args(kind, args)
    except BadArgsError:
        return None


def _again(command: str, row: Row) -> Command:
    """What the table still knows of a command that an earlier process accepted."""
    return Command(
        id=command,
        stream=row.stream,
        type=row.kind,
        args=dict(row.args),
        issued_by="ledger",
        expires_at=row.expires_at,
        ttl_ms=0,
    )
