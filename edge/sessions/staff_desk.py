"""The staff of one store: signs in and out, beats and lapses, with their events. One for all cabinets."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from contracts.clock import Clock
from contracts.event_types import EventData, StaffPresenceLost, StaffSignedIn, StaffSignedOut
from edge.config import ConfigError, StaffConfig
from edge.ports import LedgerFullError, LedgerPort, Record, Transaction
from edge.sessions.core import staff
from edge.sessions.core.staff import Roster
from edge.sessions.pins import check_pin, well_formed
from edge.sessions.policy import Policy

MAX_WAITING = 64
MAX_CHECKS = 8  # PINs that may wait for the one core that checks them
TICK_S = 1.0
log = logging.getLogger("zhanggui.sessions")


@dataclass(frozen=True, slots=True)
class StaffPerson:
    """One person as the pages show them."""

    staff_id: str
    name: str
    manager: bool
    on_duty: bool
    beat_age_s: float | None
    locked_s: float | None = None  # left of a lock-out after wrong PINs
    known: bool = False  # their own card was read today, in this duty


class StaffDesk:
    """Presence lives in memory and dies with the boot; what closes acts at once, what opens is durable first."""

    def __init__(self, *, staff: Sequence[StaffConfig], policy: Policy, ledger: LedgerPort, clock: Clock) -> None:
        self._people = _by_id(staff)
        self._policy, self._ledger, self._clock = policy, ledger, clock
        self._roster = Roster()
        self._waiting: deque[EventData] = deque(maxlen=MAX_WAITING)
        self._listeners: list[Callable[[], None]] = []
        self._checking = asyncio.Semaphore(1)  # a hash costs a core; one at a time
        self._flushing = asyncio.Lock()  # a sign-out flushes beside `run`: nothing may be told twice
        self._queued = 0
        self.dropped_events = self.dropped_checks = 0

    def listen(self, changed: Callable[[], None]) -> None:
        """Call `changed` whenever somebody comes or goes."""
        self._listeners.append(changed)

    async def replace(self, staff: Sequence[StaffConfig]) -> None:
        """Another list of people, as `store.toml` has it now; whoever is not on it any more, or has another PIN, goes
        off duty. Raises ConfigError."""
        people = _by_id(staff)
        gone = [p.id for p in self._people.values() if p.id not in people or people[p.id].pin_hash != p.pin_hash]
        self._people = people
        for staff_id in gone:
            if duty := self._roster.on.get(staff_id):
                await self.sign_out(staff_id, duty.terminal)
        self._tell()

    # -------------------------------------------------------------- who is here

    def on_duty(self) -> Mapping[str, float]:
        """Everyone present by heartbeat, and since when."""
        return staff.on_duty(self._roster, self._policy, self._clock.now_s())

    def is_here(self, staff_id: str, terminal: str) -> bool:
        """Whether this person is on duty at this terminal."""
        return staff_id in self.on_duty() and self._roster.on[staff_id].terminal == terminal

    def keys(self, day: date | None) -> Mapping[str, str]:
        """The pseudonym of everyone on duty whose card was read on `day`; empty while the day is not known."""
        return {} if day is None else staff.keys(self._roster, self._policy, self._clock.now_s(), day)

    def know(self, staff_id: str, key: str, day: date) -> bool:
        """A person's own card was read: `key` is their pseudonym of `day`, in memory alone. False: not on duty."""
        before = self._roster
        self._roster = staff.know(before, self._policy, staff_id, self._clock.now_s(), key=key, day=day)
        if self._roster is before:
            return False
        self._tell()
        return True

    def adults(self) -> frozenset[str]:
        """Staff whose age a document has proven."""
        return frozenset(p.id for p in self._people.values() if p.adult_verified)

    def is_manager(self, staff_id: str) -> bool:
        person = self._people.get(staff_id)
        return person is not None and person.manager

    def people(self) -> tuple[StaffPerson, ...]:
        """All staff, for the pages."""
        now_s, here = self._clock.now_s(), self.on_duty()
        known = self.keys(self._policy.hours.local(self._clock.wall()).date())
        beats = {k: now_s - d.beat_s for k, d in self._roster.on.items()}
        return tuple(
            StaffPerson(
                staff_id=p.id,
                name=p.name,
                manager=p.manager,
                on_duty=p.id in here,
                beat_age_s=beats.get(p.id) if p.id in here else None,
                locked_s=staff.locked_s(self._roster, p.id, now_s),
                known=p.id in known,
            )
            for p in self._people.values()
        )

    # -------------------------------------------------------------- comings and goings

    async def confirm(self, staff_id: str, pin: str) -> str:
        """Check a PIN; why not, or empty."""
        person = self._people.get(staff_id)
        if person is None:
            return "wrong_pin"
        if self._queued >= MAX_CHECKS:
            self.dropped_checks += 1
            return "busy"
        self._queued += 1
        try:
            async with self._checking:
                if staff.locked_out(self._roster, staff_id, self._clock.now_s()):
                    return "locked_out"
                right = await asyncio.to_thread(check_pin, pin, person.pin_hash)
                now_s = self._clock.now_s()
                self._roster = staff.pin_checked(self._roster, self._policy, staff_id, now_s, right=right)
        finally:
            self._queued -= 1
        if not right and staff.locked_out(self._roster, staff_id, now_s):
            log.warning("staff %s is locked out after wrong PINs", staff_id)
        return "" if right else "wrong_pin"

    async def sign_in(self, staff_id: str, pin: str, terminal: str) -> str:
        """Come on duty; why not, or empty. Durable before it counts."""
        if why := await self.confirm(staff_id, pin):
            return why
        event = StaffSignedIn(staff_id=staff_id, method="pin", terminal=terminal)
        try:
            await self._ledger.commit(Transaction(records=(Record(event, terminal or "desk"),)))
        except LedgerFullError:
            return "ledger_full"
        self._roster = staff.sign_in(self._roster, staff_id, terminal, self._clock.now_s())
        self._tell()
        return ""

    async def sign_out(self, staff_id: str, terminal: str) -> bool:
        """Go off duty, at once; False if the person is not on duty at this terminal."""
        duty = self._roster.on.get(staff_id)
        if duty is None or duty.terminal != terminal:
            return False
        self._roster = staff.sign_out(self._roster, staff_id)
        self._say(StaffSignedOut(staff_id=staff_id, terminal=duty.terminal))
        self._tell()
        await self._flush()
        return True

    def beat(self, staff_id: str, terminal: str) -> bool:
        """A sign of life; False if the person is not on duty at this terminal."""
        self._roster = staff.beat(self._roster, self._policy, staff_id, terminal, self._clock.now_s())
        return self.is_here(staff_id, terminal)

    async def lapse(self) -> None:
        """Take everyone off the roster whose heartbeat is too old."""
        now_s = self._clock.now_s()
        gone = staff.lapsed(self._roster, self._policy, now_s)
        for staff_id, duty in gone.items():
            self._roster = staff.sign_out(self._roster, staff_id)
            self._say(
                StaffPresenceLost(staff_id=staff_id, terminal=duty.terminal, last_seen_s=round(now_s - duty.beat_s, 1))
            )
        if gone:
            self._tell()
        await self._flush()

    async def run(self) -> None:
        """Watch the heartbeats until cancelled."""
        while True:
            await self._clock.sleep(TICK_S)
            await self.lapse()

    # -------------------------------------------------------------- inside

    def _tell(self) -> None:
        for changed in self._listeners:
            changed()

    def _say(self, event: EventData) -> None:
        if len(self._waiting) == MAX_WAITING:
            self.dropped_events += 1
        self._waiting.append(event)

    async def _flush(self) -> None:
        """What has happened is appended as soon as the ledger takes it."""
        async with self._flushing:
            while self._waiting:
                event = self._waiting[0]
                try:
                    await self._ledger.commit(Transaction(records=(Record(event, "desk"),)))
                except LedgerFullError:
                    return
                if self._waiting and self._waiting[0] is event:  # a full queue may have dropped it meanwhile
                    self._waiting.popleft()


def _by_id(staff: Sequence[StaffConfig]) -> dict[str, StaffConfig]:
    for person in staff:
        if not well_formed(person.pin_hash):
            raise ConfigError(f"staff.{person.id}.pin_hash: not a hash; make one with: zhanggui edge hash-pin")
    return {p.id: p for p in staff}
