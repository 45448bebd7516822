"""A compact world around the real machine: people, doors, scales, a lock bus, a provider, a disk, and their faults.

Truth (what is so) and belief (what the agent is shown) are kept apart. `BrokenError` is raised by the first invariant that
does not hold. Faults of the agent (mutants) are planted by the tests, never here; `flags` only lets the world play a
shell that forgets a duty of its own (a fence, a ledger, a tombstone).
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cache
from random import Random

import msgspec

from contracts.event_types import (
    CabinetDoorForced,
    CabinetDoorOpened,
    CabinetSessionEnded,
    CabinetSessionStarted,
    CabinetSettlementNeedsReview,
    CabinetSettlementResolved,
    CabinetStockUnexplained,
    CabinetUnlockCompleted,
    CabinetUnlockGranted,
    EventData,
    InventoryCounted,
    Line,
)
from edge.sessions.core.cabinet import CabinetMachine
from edge.sessions.core.draft import load
from edge.sessions.core.gate import Release
from edge.sessions.core.inputs import (
    CLAIMED,
    Acknowledge,
    Answer,
    Authorise,
    Count,
    Decide,
    Declare,
    Drop,
    Effect,
    Facts,
    Frame,
    Give,
    Head,
    Input,
    Lift,
    Look,
    Memory,
    PowerUp,
    Prove,
    Reply,
    Request,
    Revoke,
    Silent,
    Start,
    Unlock,
    Unstable,
    View,
    Weight,
)
from tests.edge_sessions.build import BISCUIT, JUICE, NOON, START_G, cabinet, line, policy

UNIT_G = {"biscuit": BISCUIT.unit_g, "juice": JUICE.unit_g}
ODD_G = 17.0  # never a whole number of pieces, even twice
LATCH_S = 4.5  # a pulsed latch stays free at most so long

BUDGET = {
    "odd": 2,
    "force": 2,
    "stuck": 1,
    "restart": 1,
    "unstable": 1,
    "lose": 4,
    "dead": 2,
    "crash": 3,
    "full": 2,
    "drop": 3,
    "dup": 3,
    "decline": 1,
    "expire": 1,
    "env": 1,
    "revoke": 1,
}  # how often each fault may happen in one schedule


class BrokenError(AssertionError):
    """An invariant does not hold."""


@dataclass
class Place:
    """Physical truth of one compartment."""

    open: bool = False
    free_until_s: float = -1.0
    who: str = ""  # session whose pulse opened it; "" = by force
    units: Counter[str] = field(default_factory=lambda: Counter({"biscuit": 10, "juice": 10}))
    odd: int = 0
    stuck: bool | None = None
    zero_g: float = 0.0
    power_on: bool = False
    moved_s: float = -10.0

    @property
    def gross_g(self) -> float:
        return UNIT_G["biscuit"] * self.units["biscuit"] + UNIT_G["juice"] * self.units["juice"] + ODD_G * self.odd


@dataclass
class Ghost:
    """What really happened in a session."""

    mode: str
    place: str
    units: int
    buyer: str
    took: Counter[str] = field(default_factory=Counter)
    frames: int = 0
    intents: int = 0
    pulsed: set[str] = field(default_factory=set)
    outs: Counter[str] = field(default_factory=Counter)
    ends: list[str] = field(default_factory=list)
    settled: int = 0
    concluded: bool = False


@cache
def machine(mode: str, count: int) -> CabinetMachine:
    """Holds no state, so all schedules share it."""
    return CabinetMachine(cabinet(mode, count=count), policy())


class World:
    """One cabinet in one store, driven by a seeded random schedule."""

    def __init__(
        self, seed: int, mode: str, *, count: int = 1, flags: frozenset[str] = frozenset(), faults: bool = True
    ) -> None:
        self.rng = Random(seed)
        self.flags, self.mode = flags, mode
        self.policy = policy()
        self.machine = machine(mode, count)
        self.now = 100.0
        self.places = {c: Place() for c in self.machine.spec.compartments}
        self.state: dict[str, dict[str, bytes]] = {}
        self.ghosts: dict[str, Ghost] = {}
        self.up, self.boot = True, 1
        self.full = self.believed_full = self.dead = False
        self.dead_since = 0.0
        self.staff: dict[str, tuple[float, float]] = {}  # person: signed in, last beat
        self.releases: dict[str, tuple[Release, int]] = {}
        self.spent: Counter[str] = Counter()
        self.known: dict[str, tuple[str, date | None]] = {}  # person on duty: own card, and the day it was read
        self.proofs: dict[str, tuple[float, int, str, date | None]] = {}
        self.wall_known, self.wall_shift_h = True, 0.0
        self.revoked: set[str] = set()
        self.queue: Unlock | None = None
        self.flight: tuple[str, str, str] | None = None  # intent, session, compartment
        self.line_reply = ""
        self.net: list[tuple[str, str]] = []
        self.answers: list[tuple[str, str, str]] = []
        self.provider: dict[str, str] = {}
        self.charges: Counter[str] = Counter()
        self.gone_g = dict.fromkeys(self.places, 0.0)
        self.unknown: set[str] = set()
        self.uncounted: dict[str, set[str]] = {}  # compartment: products that must be counted before it sells again
        self.serial = 0
        self.log: list[str] = []
        self.left: Counter[str] = Counter()
        budget = 1 if faults else 0
        faults_of_a_week = Counter({k: budget * n for k, n in BUDGET.items()})
        self.memory = Memory()
        self.calm = self.rng.choice([0.6, 0.7, 0.8, 0.85])
        self.start()
        for _ in range(2):  # the first books, then the latches of the boot before are over
            self.look()
            self.now += 10.0
        self.left = faults_of_a_week
        self.latch_s = LATCH_S
        if "slow_latch" in flags:  # so slow that the first pulse still lives when a snack's second intent waits
            self.latch_s, self.left["dead"] = 9.0, 0

    # ---------------------------------------------------------- belief

    def facts(self) -> Facts:
        duty = {p: s for p, (s, beat) in self.staff.items() if self.now - beat <= self.policy.timeouts_s.presence}
        return Facts(
            wall=NOON + timedelta(seconds=self.now, hours=self.wall_shift_h) if self.wall_known else None,
            on_duty=duty,
            adult_staff=frozenset({"anna"}),
            staff_keys={p: key for p, (key, day) in self.known.items() if p in duty and day == self.today()},
            day_units=0,
            writable=not self.believed_full,
            views={c: self.view(c) for c in self.places},
        )

    def today(self) -> date | None:
        """The day of the store's calendar, as the clock shows it."""
        if not self.wall_known:
            return None
        return self.policy.hours.local(NOON + timedelta(seconds=self.now, hours=self.wall_shift_h)).date()

    def view(self, c: str) -> View:
        if self.dead:
            return View()
        p = self.places[c]
        fenced = self.flight is None or "no_fence" in self.flags
        seen = p.open if p.stuck is None else p.stuck
        weights = None
        if not p.power_on and not p.open and self.now - p.moved_s >= 0.3:
            since_s = max(p.moved_s, self.now - 0.3)
            weights = {f"{c}-s1": Weight(p.gross_g - p.zero_g, self.machine.epoch(self.memory, f"{c}-s1"), since_s)}
        return View(open=seen, fenced=fenced, fresh=True, weights=weights)

    # ---------------------------------------------------------- the agent

    def agent(self, given: Input) -> bool:
        """One step of the agent: commit, memory, effects; a crash may fall between any two."""
        step = self.machine.step(self.memory, given, self.facts(), self.now)
        if not step.silent:
            if self.left["crash"] and self.rng.random() < 0.01:
                self.crash()
                return False
            if self.full:
                self.believed_full = True
                if "disk_ignored" not in self.flags:
                    return False
            else:
                self.believed_full = False
                for (kind, key), value in step.transaction.puts.items():
                    self.state.setdefault(kind, {})[key] = value
                for kind, key in step.transaction.deletes:
                    self.state.get(kind, {}).pop(key, None)
                for record in step.transaction.records:
                    self.hear(record.data)
            if self.left["crash"] and self.rng.random() < 0.01:
                self.crash()
                return False
        self.memory = step.memory
        for effect in step.effects:
            self.effect(effect)
        return not step.answer

    def effect(self, effect: Effect) -> None:
        if isinstance(effect, Authorise):
            self.net.append(("authorise", effect.session))
        elif isinstance(effect, Unlock):
            self.queue = effect
        elif isinstance(effect, Acknowledge):
            self.places[effect.shelf.split("-")[0]].power_on = False

    def start(self) -> None:
        self.memory = Memory(durable=load(lambda kind: self.state.get(kind, {}), lambda *_: True))
        self.agent(Start())

    def crash(self) -> None:
        self.left["crash"] -= 1
        self.log.append("crash")
        self.up = False
        self.queue = None
        self.line_reply = self.line_reply if "no_fence" in self.flags else ""
        self.staff.clear()
        self.known.clear()
        self.answers.clear()
        self.revoked = {key.removeprefix("cab|") for key in self.state.get("revoke", {})}

    def restart(self) -> None:
        if self.full:
            return
        self.boot += 1
        self.up = True
        self.believed_full = False
        self.start()

    def look(self) -> None:
        for c, p in self.places.items():
            if p.power_on and not self.dead and self.up:
                self.agent(PowerUp(f"{c}-s1"))
        if not self.up:
            return
        if self.flight is None and not self.dead and "no_fence" not in self.flags:
            slot = self.memory.slot
            if slot is None or slot.state != "sent":
                self.line_reply = ""  # a status query flushes late replies
        self.agent(Look())

    def head(self) -> None:
        """The frame stands at the head of the bus queue."""
        unlock, self.queue = self.queue, None
        if unlock is None or (self.dead and self.rng.random() < 0.5):
            return self.not_sent(unlock)
        if self.memory.slot is None:
            return None
        step = self.machine.step(self.memory, Head(), self.facts(), self.now)
        self.memory = step.memory
        if any(isinstance(e, Frame) for e in step.effects):
            self.encode(unlock)
            return None
        return self.not_sent(unlock)

    def not_sent(self, unlock: Unlock | None) -> None:
        if (
            unlock is not None
            and not self.agent(Reply(unlock.intent, "not_sent"))
            and self.up
            and self.memory.slot is not None
        ):
            self.queue = (
                unlock if self.memory.slot.intent == unlock.intent and self.memory.slot.state == "intent" else None
            )

    def encode(self, unlock: Unlock) -> None:
        """Bytes on the wire: here the truth is asked, independently of what the agent believes."""
        g, c = self.ghosts[unlock.session], unlock.compartment
        g.frames += 1
        if g.intents < g.frames:
            raise BrokenError("I3 a frame without its own durable intent")
        if self.revoked & {"store", "cabinet:cab", f"session:{unlock.session}"}:
            raise BrokenError("I1 a frame after a revoke")
        if self.mode == "self_service":
            if g.frames > 2:
                raise BrokenError("I2 a third pulse")
        else:
            self.lawful(unlock.session, g)
        if self.flight is not None:
            raise BrokenError("I2 two frames in flight")
        p = self.places[c]
        if p.open:
            p.who = unlock.session  # forced, and its sensor is stuck: nobody can know
        self.flight = (unlock.intent, unlock.session, c)

    def lawful(self, session: str, g: Ghost) -> None:
        limits = self.policy.timeouts_s
        if g.frames > 1:
            raise BrokenError("I2 a second pulse for one tobacco session")
        duty = {p for p, (_, beat) in self.staff.items() if self.now - beat <= limits.presence}
        if not duty:
            raise BrokenError("I1 a tobacco frame without T01")
        good = [
            r
            for r, boot in self.releases.values()
            if boot == self.boot
            and (r.session, r.compartment) == (session, g.place)
            and self.now - r.at_s <= limits.release
            and r.staff_id in duty
            and self.staff[r.staff_id][0] <= r.at_s
            and (r.staff_id == g.buyer) == (g.mode == "restock")
            and not self.spent[r.id]
            and (g.mode == "restock" or self.two_people(r.staff_id, session))
        ]
        if not good:
            raise BrokenError("I1 a tobacco frame without T02")
        for r in good:
            self.spent[r.id] += 1
        proof = self.proofs.get(session)
        if g.mode != "restock" and (proof is None or proof[1] != self.boot or self.now - proof[0] > limits.age):
            raise BrokenError("I1 a tobacco frame without T03")
        if g.mode == "restock" and g.buyer != "anna":
            raise BrokenError("I1 a tobacco restock without T03")
        if not self.wall_known:
            raise BrokenError("I1 a tobacco frame without a clock")
        wall = NOON + timedelta(seconds=self.now, hours=self.wall_shift_h)
        licence, local = self.policy.licence, self.policy.hours.local(wall)
        assert licence is not None
        if not licence.valid_from <= local.date() <= licence.valid_until:
            raise BrokenError("I1 a tobacco frame without T04")
        h = self.policy.hours
        first, last = (h.restock_open, h.restock_close) if g.mode == "restock" else (h.open, h.close)
        if not first <= local.time() < last:
            raise BrokenError("I1 a tobacco frame without T05")
        if g.mode != "restock" and g.units > self.policy.sale.tobacco_cap_units:
            raise BrokenError("I1 a tobacco frame without T06")

    def two_people(self, staff_id: str, session: str) -> bool:
        """Whether two cards, both read today, prove that whoever releases is not the buyer."""
        key, day = self.known.get(staff_id, ("", None))
        _, _, buyer, proven = self.proofs.get(session, (0.0, 0, "", None))
        return bool(key and buyer) and key != buyer and day == proven == self.today() is not None

    # ---------------------------------------------------------- the ledger, read as an auditor would

    def hear(self, e: EventData) -> None:
        if isinstance(e, CabinetUnlockGranted):
            self.ghosts[e.session].intents += 1
        elif isinstance(e, CabinetUnlockCompleted):
            g = self.ghosts[e.session]
            g.outs[e.intent] += 1
            if e.result == "opened" and e.intent not in g.pulsed:
                raise BrokenError("I3 the ledger says opened, the board never pulsed")
            if g.outs[e.intent] > 1:
                raise BrokenError("I3 an intent has two outcomes")
        elif isinstance(e, CabinetDoorOpened):
            p = self.places[e.compartment]
            if p.open and p.who != e.session and not e.blind and p.stuck is None:
                raise BrokenError("I4 a door is given to a session that did not open it")
        elif isinstance(e, CabinetDoorForced):
            p, slot = self.places[e.compartment], self.memory.slot
            live = slot is not None and p.who == slot.session and not self.ghosts[p.who].concluded
            if p.open and p.stuck is None and live:
                raise BrokenError("I4 a session's own door is called forced")
        elif isinstance(e, CabinetSettlementResolved):
            g = self.ghosts[e.session]
            g.settled += 1
            g.concluded = True
            if g.settled > 1:
                raise BrokenError("I5 settled twice")
            self.account(g.place, {s.shelf: s.delta_g for s in e.shelves})
            if e.decided_by == "weight" and e.lines:
                charged = Counter({ln.sku: ln.qty for ln in e.lines})
                if charged != +g.took:
                    raise BrokenError(f"I6 charged {dict(charged)}, the buyer holds {dict(+g.took)}")
                if g.mode == "staff_release" and charged.total() > g.units:
                    raise BrokenError("I6 more charged than was released")
        elif isinstance(e, CabinetSettlementNeedsReview):
            self.ghosts[e.session].concluded = True
            self.account(self.ghosts[e.session].place, {s.shelf: s.delta_g for s in e.shelves})
        elif isinstance(e, CabinetStockUnexplained):
            self.account(e.compartment, {s.shelf: s.delta_g for s in e.shelves})
            if any(s.delta_g is None for s in e.shelves):
                self.uncounted[e.compartment] = set(UNIT_G)
        elif isinstance(e, CabinetSessionStarted):
            if e.mode != "restock" and self.uncounted.get(e.compartment):
                raise BrokenError("I9 a sale begins where staff must count first")
        elif isinstance(e, InventoryCounted):
            self.uncounted.get(e.shelf.split("-")[0], set()).discard(e.sku)
        elif isinstance(e, CabinetSessionEnded):
            g = self.ghosts[e.session]
            g.ends.append(e.outcome)
            if g.mode == "restock" and e.outcome in ("restocked", "review_dropped"):
                self.uncounted[g.place] = set() if e.outcome == "restocked" else set(UNIT_G)
            if len(g.ends) > 1:
                raise BrokenError("I5 a session ends twice")
            if g.outs.total() < g.intents:
                raise BrokenError("I3 an intent has no outcome")
            if g.pulsed and e.outcome in ("cancelled", "voided", "declined"):
                raise BrokenError("I4 a session ends as never opened, the board executed its pulse")

    def account(self, c: str, deltas: dict[str, float | None]) -> None:
        for delta in deltas.values():
            if delta is None:
                self.unknown.add(c)
            else:
                self.gone_g[c] += delta

    def check(self) -> None:
        for session, n in self.charges.items():
            if n > 1:
                raise BrokenError("I7 charged twice")
            if not self.ghosts[session].settled:
                raise BrokenError("I7 captured, no settlement is durable")

    # ---------------------------------------------------------- people, devices, provider

    def spend(self, what: str) -> bool:
        if self.left[what] <= 0:
            return False
        self.left[what] -= 1
        self.log.append(what)
        return True

    def request(self) -> None:
        self.serial += 1
        session = f"s{self.serial}"
        place = self.rng.choice(list(self.places))
        restock = self.rng.random() < 0.2
        mode = "restock" if restock else self.mode
        buyer = self.rng.choice(["anna", "anna", "ben"]) if restock else self.rng.choice(["", "", "", "anna"])
        qty = self.rng.choice([1, 1, 2, 3, 5])
        shelf = f"{place}-s1"
        declared = (line(self.rng.choice(["biscuit", "juice"]), qty, shelf),) if mode == "staff_release" else ()
        if declared and self.rng.random() < 0.5:  # the kiosk's way: the door first, the goods after the proof
            declared, qty = (), 0
        self.ghosts[session] = Ghost(mode, place, qty, buyer)
        self.agent(Request(session, mode, place, buyer, declared))  # type: ignore[arg-type]  # mode is one of three

    def person(self) -> str:
        return self.rng.choice(["anna", "ben"])

    def sign_in(self) -> None:
        p = self.person()
        if p not in self.staff:
            self.staff[p] = (self.now, self.now)
            self.known.pop(p, None)
            if self.rng.random() < 0.9:
                self.know()

    def know(self) -> None:
        """Everyone on duty lays their own card, once a day."""
        for p in self.staff:
            if self.known.get(p, ("", None))[1] != self.today():
                self.known[p] = (f"card-{p}", self.today())

    def beat(self) -> None:
        self.staff = {
            p: (s, self.now) for p, (s, b) in self.staff.items() if self.now - b <= self.policy.timeouts_s.presence
        }

    def prove(self) -> None:
        slot = self.memory.slot
        if slot is not None:
            passed = self.rng.random() < 0.9
            card = "card-of-a-customer" if self.rng.random() < 0.9 else self.rng.choice(["card-anna", "card-ben", ""])
            if self.agent(Prove(slot.session, "id_card", passed, card)):
                self.proofs[slot.session] = (self.now, self.boot, card, self.today())
            if self.rng.random() < 0.8:
                self.declare()

    def declare(self) -> None:
        """The buyer says what is wanted; the truth follows only if the agent took the word."""
        slot = self.memory.slot
        if slot is None or slot.session not in self.ghosts:
            return
        qty = self.rng.choice([1, 1, 2, 3, 5])
        lines = (line(self.rng.choice(["biscuit", "juice"]), qty, f"{slot.compartment}-s1"),)
        self.agent(Declare(slot.session, lines))
        session = self.memory.durable.session.get(slot.session)
        if session is not None and session.declared == tuple(self.priced(x) for x in lines):
            self.ghosts[slot.session].units = qty

    @staticmethod
    def priced(one: Line) -> Line:
        """A line with the cabinet's own price."""
        return msgspec.structs.replace(one, price_fen={"biscuit": 500, "juice": 800}[one.sku])

    def release(self) -> None:
        slot, p = self.memory.slot, self.person()
        duty = self.facts().on_duty or {}
        if slot is None or p not in duty:
            return
        place = slot.compartment if self.rng.random() < 0.9 else self.rng.choice(list(self.places))
        self.serial += 1
        r = Release(f"r{self.serial}", p, slot.session, place, self.now)
        if self.agent(Give(r)):
            self.releases[r.id] = (r, self.boot)

    def drop(self) -> None:
        if self.memory.slot is not None:
            self.agent(Drop(self.memory.slot.session, "cancelled"))

    def environment(self) -> None:
        which = self.rng.choice(["clock", "hours", "licence"])
        if which == "clock":
            self.wall_known = not self.wall_known
        else:
            self.wall_shift_h = {"hours": 12.0, "licence": 24.0 * 400}[which] if not self.wall_shift_h else 0.0

    def revoke(self) -> None:
        target = self.rng.choice(["store", "cabinet:cab"])
        self.revoked.add(target)
        self.memory = self.machine.shut(self.memory, target)
        self.agent(Revoke(target))

    def lift(self) -> None:
        for target in sorted(self.revoked):
            if self.agent(Lift(target, "anna")):
                self.revoked.discard(target)

    def claimed(self, c: str) -> str:
        slot = self.memory.slot
        if self.up and slot is not None and slot.compartment == c and (slot.state in CLAIMED or slot.attempt == 2):
            return slot.session
        return ""

    def door(self) -> None:
        c = self.rng.choice(list(self.places))
        p = self.places[c]
        if p.open:
            p.open = False
            p.moved_s = self.now
        elif self.now < p.free_until_s and self.rng.random() < 0.8:
            p.open, p.free_until_s, p.moved_s = True, -1.0, self.now
        elif self.rng.random() < (0.1 if self.up else 0.5) and self.spend("force"):
            p.open, p.free_until_s, p.who, p.moved_s = True, -1.0, self.claimed(c), self.now

    def hands(self) -> None:
        for p in self.places.values():
            if not p.open:
                continue
            g = self.ghosts.get(p.who)
            sku = self.rng.choice(["biscuit", "juice"])
            p.moved_s = self.now
            if g is not None and g.mode == "restock" and self.rng.random() < 0.8:
                p.units[sku] += 1
            elif g is not None and +g.took and self.rng.random() < 0.2:
                back = self.rng.choice(sorted(+g.took))
                g.took[back] -= 1
                p.units[back] += 1
            elif self.rng.random() < 0.1 and self.spend("odd"):
                p.odd += self.rng.choice([1, -1])
            elif p.units[sku] > 0 and (g is None or g.took.total() < 4):
                p.units[sku] -= 1
                if g is not None:
                    g.took[sku] += 1

    def board(self) -> None:
        if self.flight is None:
            return
        (intent, session, c), self.flight = self.flight, None
        if self.dead:
            return
        p, lossy = self.places[c], self.rng.random()
        if lossy < 0.15 and self.spend("lose"):
            if lossy < 0.07:
                self.line_reply = "refused"
            return  # refused, or the request was lost: no pulse
        self.ghosts[session].pulsed.add(intent)
        if not p.open:
            p.free_until_s, p.who = self.now + self.latch_s, session
        self.line_reply = "opened"
        if lossy > 0.8 and self.spend("lose"):
            self.line_reply = "refused" if lossy > 0.9 else ""  # an echo is read as refused; or the reply is lost

    def reply(self) -> None:
        slot = self.memory.slot
        if slot is None or slot.state != "sent":
            return
        word, self.line_reply = self.line_reply, ""
        if word or self.flight is None or self.rng.random() < 0.3:
            result = "opened" if word == "opened" else "refused" if word == "refused" else "no_reply"
            if not self.agent(Reply(slot.intent, result)) and self.up:
                self.line_reply = word

    def faults(self) -> None:
        kind = self.rng.choice(["stuck", "restart", "unstable", "dead", "full", "env", "revoke", "crash"])
        p = self.rng.choice(list(self.places.values()))
        if kind == "unstable":
            if self.memory.slot is not None and self.memory.slot.state == "weigh" and self.spend(kind):
                self.agent(Unstable())
        elif self.spend(kind):
            if kind == "stuck":
                p.stuck = self.rng.random() < 0.5
            elif kind == "restart":
                p.zero_g, p.power_on = p.gross_g, True
            elif kind == "dead":
                self.dead, self.dead_since = True, self.now
            elif kind == "full":
                self.full = True
            elif kind == "env":
                self.environment()
            elif kind == "revoke":
                self.revoke()
            else:
                self.left["crash"] += 1
                self.crash()

    def repair(self) -> None:
        self.rng.choice([self.mend_bus, self.mend_disk, self.mend_doors, self.lift, self.mend_clock])()

    def mend_bus(self) -> None:
        self.dead = False

    def mend_disk(self) -> None:
        self.full = False

    def mend_doors(self) -> None:
        for p in self.places.values():
            p.stuck = None

    def mend_clock(self) -> None:
        self.wall_known, self.wall_shift_h = True, 0.0

    def silent(self) -> None:
        if self.dead and self.now - self.dead_since >= self.policy.timeouts_s.verify and not self.full:
            self.agent(Silent())

    def money(self) -> None:
        slot = self.memory.slot
        if "capture_early" in self.flags and slot is not None and slot.state == "weigh":
            self.net.append(("capture", slot.session))
        for session in list(self.memory.durable.session.values()):
            if (
                session.money
                and (session.money, session.id) not in self.net
                and not any(s == session.id for s, _, _ in self.answers)
            ):
                self.net.append((session.money, session.id))
        if self.net:
            self.transfer()
        if self.answers:
            session, asked, word = self.answers.pop(self.rng.randrange(len(self.answers)))
            before = self.believed_full
            self.agent(Answer(session, asked, word))  # type: ignore[arg-type]  # words of the provider
            if self.believed_full and not before:
                self.answers.append((session, asked, word))

    def transfer(self) -> None:
        asked, key = self.net.pop(self.rng.randrange(len(self.net)))
        if self.rng.random() < 0.1 and self.spend("drop"):
            return
        now = self.provider.get(key, "")
        if asked == "authorise":
            word = now or ("declined" if self.rng.random() < 0.1 and self.spend("decline") else "held")
        elif asked == "void":
            word = now if now in ("captured", "declined") else "voided"
        else:
            word = "captured" if now in ("held", "captured") else now or "voided"
            if word == "captured" and now != "captured":
                self.charges[key] += 1
        if not (asked == "void" and not now and "no_tombstone" in self.flags):
            self.provider[key] = word
        if self.rng.random() < 0.1 and self.spend("dup"):
            self.net.append((asked, key))
        if self.rng.random() < 0.1 and self.spend("drop"):
            return
        self.answers.append((key, asked, word))

    def provider_forgets(self) -> None:
        held = [k for k, v in self.provider.items() if v == "held"]
        if held and self.spend("expire"):
            self.provider[self.rng.choice(held)] = "voided"

    def review(self) -> None:
        for s in list(self.memory.durable.session.values()):
            if s.conclusion == "review" and not s.money:
                self.agent(Decide(s.id, "anna", accept=self.rng.random() < 0.5))
                return

    def count(self) -> None:
        """Staff count what the cabinet asks for; sometimes they stop half-way."""
        for c in sorted(self.memory.durable.count_due):
            skus = ["juice"] if self.rng.random() < 0.2 else list(UNIT_G)
            self.agent(Count(c, {f"{c}-s1": {sku: self.places[c].units[sku] for sku in skus}}, "anna"))

    def time(self) -> None:
        self.now += self.rng.choice([0.3, 1.0, 2.0, 5.5, 5.5, 11.0, 11.0, 31.0, 61.0, 125.0, 310.0])

    # ---------------------------------------------------------- schedules

    def helpful(self) -> None:
        """What a shop does on a good day, by the state of the session."""
        slot, rng = self.memory.slot, self.rng
        if slot is None:
            self.sign_in()
            self.beat()
            rng.choice([self.request, self.request, self.money, self.review, self.soon])()
            if self.memory.durable.count_due and rng.random() < 0.5:
                self.count()
            self.look()
        elif slot.state == "asked":
            self.sign_in()
            self.beat()
            rng.choice([self.look] if self.mode == "self_service" else [self.prove, self.release, self.release])()
        elif slot.state == "held":
            rng.choice([self.look, self.look, self.soon, self.release])()
        elif slot.state == "sent":
            rng.choice([self.board, self.reply])()
        elif slot.state == "wait":
            rng.choice([self.door, self.door, self.door, self.look, self.soon])()
        elif slot.state == "open":
            rng.choice([self.hands, self.hands, self.door, self.look])()
        else:
            row = {
                "paying": [self.money],
                "intent": [self.head, self.head, self.meddle],
                "verify": [self.look, self.soon, self.board],
            }
            rng.choice(row.get(slot.state, [self.soon, self.look]))()

    def meddle(self) -> None:
        """Something changes between the intent and its frame."""
        if "slow_latch" in self.flags:
            self.door()
            self.look()
            return
        self.rng.choice([self.leave_all, self.leave, self.later, self.change])()

    def later(self) -> None:
        self.now += self.rng.choice([0.5, 5.0, 31.0, 61.0])

    def change(self) -> None:
        if self.rng.random() < 0.6 and self.spend("env"):
            self.environment()
        elif self.spend("revoke"):
            self.revoke()

    def leave_all(self) -> None:
        self.staff.clear()
        self.known.clear()

    def soon(self) -> None:
        self.now += self.rng.choice([0.1, 0.3, 0.5, 1.0, 2.0])

    def once(self) -> None:
        """One thing happens: mostly what helps, else anything."""
        r = self.rng.random()
        if not self.up:
            self.rng.choice([self.restart, self.door, self.hands, self.board, self.money_alone, self.repair])()
        elif r < self.calm:
            self.helpful()
        elif r < self.calm + 0.12:
            self.look()
        else:
            self.rng.choice(
                [
                    *(self.door, self.hands, self.board, self.reply, self.head, self.money, self.soon, self.time),
                    *(
                        self.faults,
                        self.faults,
                        self.repair,
                        self.silent,
                        self.review,
                        self.provider_forgets,
                        self.beat,
                    ),
                    *(self.release, self.prove, self.request, self.rng.choice([self.drop, self.leave, self.count])),
                ]
            )()
        self.check()

    def leave(self) -> None:
        p = self.person()
        self.staff.pop(p, None)
        self.known.pop(p, None)

    def money_alone(self) -> None:
        if self.net:
            self.transfer()
            self.answers.clear()

    def run(self, steps: int) -> None:
        for _ in range(steps):
            self.once()
        self.rest()

    def rest(self) -> None:
        """Faults stop and scheduling is fair: everything must come to an end, accounted for."""
        self.left.clear()
        self.mend_bus()
        self.mend_disk()
        self.mend_doors()
        self.mend_clock()
        quiet = 0
        for n in range(120):
            if not self.up:
                self.restart()
            self.board()
            self.reply()
            if self.queue is not None:
                self.head()
            for p in self.places.values():
                if p.open:
                    p.open, p.moved_s = False, self.now
            for _ in range(3):
                self.money()
            self.now += 2.0
            self.look()
            self.count()
            self.check()
            quiet = quiet + 1 if not (self.memory.durable.session or self.net) and self.quiet() else 0
            if quiet > 6:
                break
            if n > 40 and n % 5 == 0:
                self.now += self.policy.timeouts_s.review / 2
        self.at_rest()

    def quiet(self) -> bool:
        return not (self.memory.durable.incident or self.memory.durable.count_due) and self.memory.slot is None

    def at_rest(self) -> None:
        if self.memory.durable.session:
            raise BrokenError(f"I8 sessions never end: {list(self.memory.durable.session.values())}")
        for session, word in self.provider.items():
            if word == "held":
                raise BrokenError(f"I7 the hold of {session} is neither captured nor voided")
        for session, g in self.ghosts.items():
            if g.intents and not g.ends:
                raise BrokenError(f"I8 {session} never ends")
            if g.outs.total() < g.intents:
                raise BrokenError(f"I3 an intent of {session} has no outcome")
        for c, p in self.places.items():
            if p.open or c in self.memory.durable.incident:
                raise BrokenError(f"I8 {c} stays open or blocked")
            if c in self.memory.durable.count_due:
                raise BrokenError(f"I8 {c} waits for a count that was made")
            if c not in self.unknown and not math.isclose(START_G - self.gone_g[c], p.gross_g, abs_tol=1.0):
                raise BrokenError(f"I6 {c}: {START_G - self.gone_g[c]} g by the ledger, {p.gross_g} g in truth")


def schedule(seed: int, *, flags: frozenset[str] = frozenset(), mode: str = "", steps: int = 70) -> World:
    """One seeded schedule, to rest. Raises BrokenError."""
    rng = Random(seed)
    world = World(seed, mode or rng.choice(["self_service", "staff_release"]), count=rng.choice([1, 1, 2]), flags=flags)
    world.run(steps)
    return world
