"""A machine on the bench: inputs one by one, facts in which all is well unless a row says otherwise."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from edge.sessions.core.cabinet import CabinetMachine
from edge.sessions.core.draft import Step, load
from edge.sessions.core.inputs import (
    Answer,
    Give,
    Head,
    Input,
    Look,
    Memory,
    Prove,
    Reply,
    Request,
    Start,
    View,
    Weight,
)
from edge.sessions.core.records import Session
from tests.edge_sessions.build import START_G, cabinet, facts, line, policy, release


class Bench:
    """One compartment `k1`, one session `s1`."""

    def __init__(self, mode: str = "self_service", **sale: int) -> None:
        self.policy = policy(**sale)
        self.machine = CabinetMachine(cabinet(mode), self.policy)
        self.mode, self.now = mode, 100.0
        self.g, self.epoch, self.opened = START_G, 0, False
        self.fenced = self.fresh = self.stable = True
        self.dead = False
        self.state: dict[str, dict[str, bytes]] = {}
        self.said: list[str] = []
        self.outcomes: list[str] = []
        self.memory = Memory()
        self.start()
        self.do(Look())
        self.now += 10.0

    # -------------------------------------------------------------- driving

    def view(self) -> View:
        if self.dead:
            return View()
        weights = None if self.opened or not self.stable else {"k1-s1": Weight(self.g, self.epoch, self.now)}
        return View(open=self.opened, fenced=self.fenced, fresh=self.fresh, weights=weights)

    def do(self, given: Input, *, dt: float = 0.0, **changes: Any) -> Step:
        """One step, committed."""
        self.now += dt
        step = self.machine.step(self.memory, given, facts(self.view(), **changes), self.now)
        for (kind, key), value in step.transaction.puts.items():
            self.state.setdefault(kind, {})[key] = value
        for kind, key in step.transaction.deletes:
            del self.state[kind][key]
        self.said = [r.data.TYPE for r in step.transaction.records]
        self.outcomes += [
            e.outcome for r in step.transaction.records if hasattr(e := r.data, "outcome") and "ended" in e.TYPE
        ]
        self.memory = step.memory
        return step

    def look(self, dt: float = 0.0, **changes: Any) -> Step:
        return self.do(Look(), dt=dt, **changes)

    def start(self) -> Step:
        """A new process on the same ledger."""
        self.memory = Memory(durable=load(lambda kind: self.state.get(kind, {}), lambda *_: True))
        return self.do(Start())

    # -------------------------------------------------------------- reading

    @property
    def at(self) -> str:
        return self.memory.slot.state if self.memory.slot else ""

    @property
    def session(self) -> Session:
        return self.memory.durable.session["s1"]

    # -------------------------------------------------------------- going

    def ask(self, mode: str = "", qty: int = 1, buyer: str = "m1") -> Step:
        mode = mode or self.mode
        declared = (line("biscuit", qty),) if mode == "staff_release" else ()
        return self.do(Request("s1", mode, "k1", buyer, declared))  # type: ignore[arg-type]  # one of three

    def to(self, state: str, mode: str = "") -> Bench:
        """Walk the good way to a state."""
        mode = mode or self.mode
        self.ask(mode, buyer="anna" if mode == "restock" else "m1")
        for _ in range(40):
            if self.at == state:
                return self
            self.on(mode)
        raise AssertionError(f"never reached {state}, stands at {self.at!r}")

    def on(self, mode: str) -> None:
        """The next row of the good way."""
        slot = self.memory.slot
        assert slot is not None
        if slot.state == "asked" and self.mode == "staff_release":
            if mode != "restock":
                self.do(Prove("s1", "id_card", passed=True, person_day_key="p"))
            self.do(Give(replace(release(), at_s=self.now)))
        elif slot.state == "paying":
            self.do(Answer("s1", "authorise", "held"))
        elif slot.state == "intent":
            self.do(Head())
            self.fenced = False
        elif slot.state == "sent":
            self.do(Reply("s1-1", "opened"))
            self.fenced = True
        elif slot.state == "wait":
            self.opened = True
            self.look(0.5)
        elif slot.state == "open":
            self.opened = False
            self.look(3.0)
        else:
            self.look()
