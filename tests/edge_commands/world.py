"""A store around the machine of commands: a ledger that may be full, a cloud that confirms, effects that are counted."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from typing import Any

from contracts.command_types import MAX_TTL_MS, CommandArgs
from contracts.event_types import CommandAccepted, CommandCompleted, CommandRefused, EventData
from contracts.messages import Command
from edge.commands.machine import Action, Append, Close, CommandMachine, Effect, Facts, Link, Look
from edge.commands.records import Result, Row

S1 = "11111111-2222-4333-8444-555555555555"
S2 = "22222222-2222-4333-8444-555555555555"
T0_MS = 1_800_000_000_000
CABINET = {"cabinet": "T1"}
DEVICE = {"device": "scale-1"}


def order(
    command: str = "c1",
    kind: str = "telemetry.flush",
    args: dict[str, Any] | None = None,
    *,
    stream: str = S1,
    ttl_s: float = 60.0,
    at_s: float = 0.0,
    left_s: float | None = None,
) -> Command:
    """As the bridge publishes it at `at_s`, to live for `ttl_s`; `left_s`: what is left of that in this copy."""
    wanted = {"session.revoke": CABINET, "device.restart": DEVICE, "device.self_test": DEVICE}
    return Command(
        id=command,
        stream=stream,
        type=kind,
        args=wanted.get(kind, {}) if args is None else args,
        issued_by="amy",
        expires_at=T0_MS + int((at_s + ttl_s) * 1000),
        ttl_ms=int((ttl_s if left_s is None else left_s) * 1000),
    )


@dataclass
class Disk:
    """What survives: events of the current stream as (stream, event), rows, the floor."""

    events: list[tuple[str, EventData]] = field(default_factory=list)
    rows: dict[str, Row] = field(default_factory=dict)
    floor_ms: int | None = None
    stream: str = S1

    def copy(self) -> Disk:
        return replace(self, events=list(self.events), rows=dict(self.rows))


class Store:
    """One box. `now_s` is the true time; the cloud's clock is `T0_MS + now_s` and the box bounds it from above by
    `error_s`; None: it does not know it."""

    def __init__(self, disk: Disk | None = None) -> None:
        self.disk = disk or Disk()
        self.now_s = 0.0
        self.error_s: float | None = 0.0
        self.link: Link = "ready"
        self.watermark = 0
        self.full = False
        self.stands_against: dict[str, str] = {}
        self.closed: list[str] = []
        self.closed_at_s: dict[str, float] = {}  # with a known clock
        self.effects: list[str] = []
        self.running: dict[str, Effect] = {}
        self.looks: list[Look] = []
        self.todo: deque[Action] = deque()
        self.boot()

    # -------------------------------------------------------------- the box

    def boot(self) -> None:
        """A process start over the same disk."""
        self.machine = CommandMachine(why_not=self.why_not)
        self.running.clear()
        self.todo.clear()
        self.do(self.machine.started(dict(self.disk.rows), self.disk.floor_ms, self.facts()))

    def why_not(self, kind: str, _args: CommandArgs) -> str:
        return self.stands_against.get(kind, "")

    def facts(self) -> Facts:
        latest_ms = None if self.error_s is None else T0_MS + (self.now_s + self.error_s) * 1000.0
        return Facts(
            now_s=self.now_s, link=self.link, stream=self.disk.stream, watermark=self.watermark, latest_ms=latest_ms
        )

    def do(self, actions: Any, *, commit: bool = True) -> None:
        for action in actions:
            if isinstance(action, Close):  # nothing comes before it
                self.closed.append(action.command)
                if self.error_s is not None:
                    self.closed_at_s[action.command] = self.now_s
            else:
                self.todo.append(action)
        while commit and self.todo:
            self.step()

    def step(self) -> None:
        """Carry out one action."""
        action = self.todo.popleft()
        match action:
            case Append():
                seq = None
                if not self.full:
                    self.disk.events.append((self.disk.stream, action.word))
                    self.disk.rows[action.command] = action.row
                    for gone in action.forget:
                        self.disk.rows.pop(gone, None)
                    if action.floor_ms is not None:
                        self.disk.floor_ms = action.floor_ms
                    seq = self.tail
                self.do(self.machine.appended(action.command, self.facts(), seq=seq), commit=False)
            case Effect():
                if instead := self.machine.begin(action.command, self.facts()):
                    self.do(instead, commit=False)
                    return
                self.effects.append(action.command)
                self.running[action.command] = action
            case Look():
                self.looks.append(action)
                self.do(self.machine.looked(action.command, "door_closed", self.facts()), commit=False)

    def receive(self, command: Command, *, commit: bool = True) -> None:
        self.do(self.machine.received(command, self.facts()), commit=commit)

    def look(self) -> None:
        self.do(self.machine.look(self.facts()))

    def wait(self, duration_s: float) -> None:
        self.now_s += duration_s
        self.look()

    def end(self, command: str, result: Result | None = None) -> None:
        del self.running[command]
        self.do(self.machine.ended(command, result or Result("done", "ok"), self.facts()))

    def confirm(self) -> None:
        """The cloud has all that the ledger holds."""
        self.watermark = self.tail
        self.look()

    def fork(self, stream: str = S2) -> None:
        self.disk.stream, self.watermark = stream, 0
        self.look()

    # -------------------------------------------------------------- what is to be seen

    @property
    def tail(self) -> int:
        return sum(stream == self.disk.stream for stream, _ in self.disk.events)

    def said(self, command: str = "c1") -> list[str]:
        """The words about one command, in order."""
        found = []
        for _, event in self.disk.events:
            match event:
                case CommandAccepted(command=name) if name == command:
                    found.append("accepted")
                case CommandRefused(command=name) if name == command:
                    found.append(f"refused {event.reason}")
                case CommandCompleted(command=name) if name == command:
                    found.append(f"{event.outcome} {event.detail}".strip())
        return found


FAR_S = MAX_TTL_MS / 1000
