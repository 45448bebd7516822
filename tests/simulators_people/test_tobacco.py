"""Customers and staff of the tobacco story against a desk that answers by a script: what they ask, what they do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from contracts.clock import ManualClock, ScaledClock
from edge.config import StoreConfig
from edge.desk.client import AGENT_UNREACHABLE
from edge.desk.messages import BasketLine, CabinetDesk, CountDesk, DeskState, Goods, Reply, SessionDesk, StaffDesk
from simulators.hardware.id_card import IdCardReader
from simulators.hardware.rig import Rig
from simulators.hardware.run import run_store
from simulators.people.tobacco import (
    ADULT_CARD,
    BEAT_EVERY_S,
    MINOR_CARD,
    STAFF_CARD,
    TobaccoHabits,
    TobaccoStory,
    serve,
)
from simulators.truth import TruthRecord, read_truth
from simulators.world import World
from tests.simulators.stores import cabinet, product, store

PLAIN = TobaccoHabits(mean_gap_s=20.0, minor_p=0.0, refuse_p=0.0, fewer_p=0.0, walk_off_p=0.0)
STORY_S = 600.0


class FakeDesk:
    """Stands in for the agent and its socket: one tobacco cabinet, staff, and rules that a test may spoil."""

    def __init__(self, world: World, reader: IdCardReader, clock: ManualClock) -> None:
        self._world, self._reader, self._clock = world, reader, clock
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.on_duty = self.known = self.armed = False
        self.session: SessionDesk | None = None
        self.counts: tuple[CountDesk, ...] = ()
        self.reachable = True
        self.stale = False
        self.opens = True  # a release opens the latch
        self.reads = self.reads_staff = True  # a card is read
        self.refuses: dict[str, str] = {}  # action: why not
        self.ended = asyncio.Event()
        self._count = 0

    # -------------------------------------------------------------- what a client offers

    async def run(self) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            self.ended.set()

    @property
    def state(self) -> DeskState | None:
        if not self.reachable:
            return None
        self._look_at_the_card()
        cabinet = CabinetDesk(
            cabinet="tobacco", name_zh="烟", name_en="T", mode="staff_release", compartments=(), session=self.session
        )
        amy = StaffDesk(staff_id="amy", name="Amy", manager=True, on_duty=self.on_duty, known=self.known)
        return DeskState(store_zh="店", store_en="S", cabinets=(cabinet,), staff=(amy,), counts=self.counts)

    async def ask(self, action: str, **fields: Any) -> Reply:
        self.asked.append((action, fields))
        if not self.reachable:
            return Reply(id="", ok=False, reason=AGENT_UNREACHABLE)
        if action in self.refuses:
            return Reply(id="", ok=False, reason=self.refuses[action])
        if action == "sign_in":
            self.on_duty, self.known, self.armed = True, False, False
        elif action == "know":
            self.armed = True
        elif action == "start" and "session" not in fields:
            self._count += 1
            name = f"s{self._count}"
            self.session = SessionDesk(
                session=name,
                compartment=fields["compartment"],
                mode="staff_release",
                state="asked",
                needs=("age", "release"),
            )
            return Reply(id="", ok=True, session=name)
        elif action == "start":
            line = BasketLine(sku=fields["sku"], name_zh="x", name_en="x", qty=fields["qty"], price_fen=1)
            self._become(declared=(line,))
        elif action == "release":
            self._become(needs=())
            if self.opens:
                self._world.pulse("board-2", 1)
        elif action in ("cancel", "refuse"):
            self.session = None
        elif action == "count":
            self.counts = ()
        return Reply(id="", ok=True)

    # -------------------------------------------------------------- inside

    def _become(self, **changes: Any) -> None:
        assert self.session is not None
        known = {name: getattr(self.session, name) for name in self.session.__struct_fields__}
        self.session = SessionDesk(**(known | changes))

    def _look_at_the_card(self) -> None:
        card = self._reader.card
        if self.armed and card and card.number == STAFF_CARD and self.reads_staff:
            assert self.session is None or "age" not in self.session.needs, "it would be read as the customer's"
            self.known, self.armed = True, False
        if self.session and "age" in self.session.needs and card and self.reads and card.number == ADULT_CARD:
            self._become(needs=("release",), adult_by="id_card")

    def actions(self, *names: str) -> list[str]:
        return [action for action, _ in self.asked if not names or action in names]


class Story:
    """One store with a tobacco cabinet, and people in it."""

    def __init__(
        self, folder: Path, habits: TobaccoHabits = PLAIN, *, seed: int = 1, config: StoreConfig | None = None
    ):
        self.clock = ManualClock()
        self.config = config or store(folder)
        self.truth: list[TruthRecord] = []
        self.world = World(self.config, clock=self.clock, seed=1, record=self.truth.append)
        rig = Rig(self.config, self.world, clock=self.clock, seed=1, faults={})
        reader = rig.ports["card-bus"].device
        assert isinstance(reader, IdCardReader)
        self.reader = reader
        self.desk = FakeDesk(self.world, reader, self.clock)
        self.people = TobaccoStory(
            config=self.config,
            world=self.world,
            rig=rig,
            desk=self.desk,  # type: ignore[arg-type]  # it offers what the story uses
            clock=self.clock,
            seed=seed,
            pins={"amy": "2468"},
            habits=habits,
        )

    async def play(self, until: Callable[[], bool] = lambda: False, story_s: float = STORY_S) -> None:
        """Run staff and customers for so long, or until something holds, and let the last visitor leave."""
        stop = False
        task = asyncio.create_task(
            serve(self.people, self.desk, lambda now_s: not stop and now_s < story_s),  # type: ignore[arg-type]  # as above
            name="people",
        )
        while not task.done():
            stop = stop or until()
            await self.clock.advance(0.25)
        await task

    def kinds(self, *names: str) -> list[str]:
        return [r.kind for r in self.truth if r.kind in names]

    def count(self, name: str) -> int:
        return self.people.counters[name]


async def test_adults_buy_what_they_declared_and_leave_with_their_card(tmp_path: Path) -> None:
    story = Story(tmp_path)
    await story.play(lambda: story.count("tobacco.visits") >= 5)  # the shelf holds twenty packs
    visits = story.count("tobacco.visits")
    assert visits >= 5
    assert story.count("staff.released") == visits
    declared = [fields for action, fields in story.desk.asked if action == "start" and "session" in fields]
    assert len(declared) == visits
    taken = [r for r in story.truth if r.kind == "taken"]
    assert [r.qty for r in taken] == [d["qty"] for d in declared]
    assert {(r.shelf, r.sku) for r in taken} == {("shelf-t1", "smoke")}
    assert story.count("tobacco.packs") == sum(r.qty for r in taken)
    # every door that was opened was closed by its visitor, and nobody is left inside
    assert len(story.kinds("door_opened")) == len(story.kinds("door_closed")) == visits
    assert not story.world.visits
    assert story.reader.card is None
    assert story.desk.ended.is_set()


async def test_staff_count_what_truly_stands_behind_a_closed_door(tmp_path: Path) -> None:
    story = Story(tmp_path, replace(PLAIN, mean_gap_s=10_000.0))
    smoke = Goods(sku="smoke", name_zh="x", name_en="x", price_fen=1, units=99)  # the book is wrong
    story.desk.counts = (CountDesk(cabinet="tobacco", compartment="t1", goods=(smoke,)),)
    truth = story.world.shelf("shelf-t1").units()["smoke"]
    story.world.force("t1")
    await story.play(lambda: False, story_s=60.0)
    assert story.desk.actions("count") == []  # somebody has it open
    story.world.close("t1")
    story.desk.refuses["count"] = "busy"
    await story.play(lambda: len(story.desk.actions("count")) == 2, story_s=200.0)
    asked_s = story.clock.now_s()
    assert asked_s >= 70.0  # no more often than staff walk
    del story.desk.refuses["count"]
    await story.play(lambda: story.count("staff.counted") == 1, story_s=400.0)
    assert story.count("staff.counted") == 1
    units = {"cabinet": "tobacco", "compartment": "t1", "staff_id": "amy", "units": {"smoke": truth}}
    assert story.desk.asked[-1] == ("count", units)


async def test_some_take_fewer_than_they_asked_for(tmp_path: Path) -> None:
    story = Story(tmp_path, replace(PLAIN, fewer_p=1.0))
    await story.play(story_s=200.0)
    declared = sum(f["qty"] for a, f in story.desk.asked if a == "start" and "session" in f)
    assert story.count("tobacco.packs") == declared - story.count("tobacco.visits")


async def test_a_minor_waits_cancels_and_opens_nothing(tmp_path: Path) -> None:
    story = Story(tmp_path, replace(PLAIN, minor_p=1.0))
    seen: set[str] = set()

    def watch() -> bool:
        if story.reader.card is not None:
            seen.add(story.reader.card.number)
        return story.count("tobacco.not_proven") >= 2

    await story.play(watch)
    assert seen <= {STAFF_CARD, MINOR_CARD}
    assert MINOR_CARD in seen
    assert story.count("tobacco.not_proven") == story.count("tobacco.visits") >= 2
    assert len(story.desk.actions("cancel")) == story.count("tobacco.visits")
    assert story.desk.actions("release", "refuse") == []
    assert story.kinds("door_opened", "taken", "pulsed") == []


async def test_a_refusal_sends_the_customer_away(tmp_path: Path) -> None:
    story = Story(tmp_path, replace(PLAIN, refuse_p=1.0))
    await story.play(lambda: story.count("tobacco.not_opened") >= 2)
    assert story.count("staff.refused") == story.count("tobacco.not_opened") >= 2
    assert story.desk.actions("release") == []
    assert story.kinds("door_opened", "taken") == []
    assert next(f["reason"] for a, f in story.desk.asked if a == "refuse") == "not_served"


async def test_who_walks_off_leaves_a_free_door_shut(tmp_path: Path) -> None:
    story = Story(tmp_path, replace(PLAIN, walk_off_p=1.0))
    await story.play(lambda: story.count("tobacco.walked_off") >= 2)
    assert story.count("tobacco.walked_off") == story.count("staff.released") >= 2
    assert len(story.kinds("pulsed")) == story.count("tobacco.walked_off")
    assert story.kinds("door_opened", "taken") == []
    assert story.reader.card is None


async def test_staff_lay_their_own_card_once_and_take_it_back(tmp_path: Path) -> None:
    story = Story(tmp_path)
    rig, laid = story.people._rig, list[str]()
    lay = rig.lay_card

    def watched(reader: str, number: str | None, *, visit: str = "") -> None:
        assert not (number and story.reader.card), "a card is laid upon a card"
        laid.append(number or "")
        lay(reader, number, visit=visit)

    rig.lay_card = watched  # type: ignore[method-assign]  # it looks, and does the same
    await story.play(lambda: story.count("tobacco.visits") >= 3)
    assert laid.count(STAFF_CARD) == story.count("staff.known") == story.desk.actions().count("know") == 1
    assert laid[laid.index(STAFF_CARD) + 1] == ""
    assert laid.count(ADULT_CARD) >= 2
    know = next(fields for action, fields in story.desk.asked if action == "know")
    assert know == {"staff_id": "amy", "cabinet": "tobacco", "terminal": "counter"}


async def test_a_reader_that_does_not_know_staff_is_tried_again(tmp_path: Path) -> None:
    story = Story(tmp_path, replace(PLAIN, mean_gap_s=10_000.0))
    story.desk.reads_staff = False
    story.desk.refuses["know"] = "no_reader"
    await story.play(lambda: story.count("staff.no_reader") == 1)
    del story.desk.refuses["know"]
    await story.play(lambda: story.desk.actions().count("know") == 2, story_s=300.0)
    story.desk.reads_staff = True
    await story.play(lambda: story.count("staff.known") == 1, story_s=600.0)
    assert story.count("staff.known") == 1
    assert story.reader.card is None


REFUSED = [
    # what the agent says no to, what is counted, what is asked after it
    ("start", "closed", "tobacco.closed"),
    ("release", "wrong_pin", "tobacco.not_opened"),
]


@pytest.mark.parametrize(("action", "reason", "counter"), REFUSED)
async def test_a_no_of_the_agent_is_counted_by_its_reason(
    tmp_path: Path, action: str, reason: str, counter: str
) -> None:
    story = Story(tmp_path)
    story.desk.refuses[action] = reason
    await story.play(lambda: story.count(counter) >= 2)
    assert story.count(counter) == story.count("tobacco.visits") >= 2
    assert story.kinds("door_opened", "taken") == []
    assert not story.world.visits
    tried = [f["session"] for a, f in story.desk.asked if a == "release"]
    assert len(tried) == len(set(tried)) == (story.count("tobacco.visits") if action == "release" else 0)  # once each


async def test_a_basket_that_is_refused_is_cancelled(tmp_path: Path) -> None:
    story = Story(tmp_path)
    real = story.desk.ask

    async def ask(action: str, **fields: Any) -> Reply:
        if action == "start" and "session" in fields:
            return Reply(id="", ok=False, reason="over_cap")
        return await real(action, **fields)

    story.desk.ask = ask  # type: ignore[method-assign]  # one answer of the script is another
    await story.play(lambda: story.count("tobacco.over_cap") >= 1)
    assert len(story.desk.actions("cancel")) == story.count("tobacco.over_cap") >= 1
    assert story.kinds("door_opened") == []


async def test_without_an_agent_people_come_try_and_leave(tmp_path: Path) -> None:
    story = Story(tmp_path)
    story.desk.reachable = False
    await story.play(lambda: story.count("tobacco.visits") >= 2)
    assert story.count(f"tobacco.{AGENT_UNREACHABLE}") == story.count("tobacco.visits") >= 2
    assert set(story.desk.actions()) == {"start"}  # staff ask nothing of a page that shows nothing
    assert not story.world.visits


async def test_an_agent_that_dies_while_a_customer_waits_costs_a_sale_not_the_story(tmp_path: Path) -> None:
    story = Story(tmp_path)
    gone = False

    def kill() -> bool:
        nonlocal gone
        if not gone and story.desk.session is not None and story.desk.session.declared:
            gone, story.desk.reachable = True, False
        elif gone and story.count("tobacco.not_opened") >= 1 and not story.desk.reachable:
            # it is started again: in memory nobody is on duty, and no session lives
            story.desk.reachable, story.desk.on_duty, story.desk.session = True, False, None
        return story.count("staff.signed_in") >= 2 and story.count("tobacco.packs") >= 1

    await story.play(kill)
    assert story.count("tobacco.not_opened") == 1
    assert story.count("staff.signed_in") == 2
    assert story.count("tobacco.packs") >= 1


async def test_a_door_that_somebody_else_shuts_disturbs_and_ends_the_visit(tmp_path: Path) -> None:
    story = Story(tmp_path)

    def shut() -> bool:
        if story.world.doors["t1"].is_open and not story.kinds("taken"):
            story.world.close("t1")
        return story.count("tobacco.disturbed") >= 1

    await story.play(shut)
    assert story.count("tobacco.disturbed") >= 1
    assert not story.world.visits


async def test_staff_sign_in_once_beat_and_answer_each_request_once(tmp_path: Path) -> None:
    story = Story(tmp_path)
    story.desk.opens = False
    await story.play()
    assert story.count("staff.signed_in") == 1
    beats = len(story.desk.actions("beat"))
    assert STORY_S / BEAT_EVERY_S / 2 <= beats <= STORY_S / BEAT_EVERY_S + 2
    released = [fields["session"] for action, fields in story.desk.asked if action == "release"]
    assert len(released) == len(set(released)) > 0
    assert {f["terminal"] for a, f in story.desk.asked if a in ("beat", "sign_in")} == {"counter"}


async def test_staff_do_nothing_on_a_stale_page_or_under_an_unknown_name(tmp_path: Path) -> None:
    story = Story(tmp_path)
    story.desk.stale = True
    await story.play(lambda: story.count("tobacco.visits") >= 1)
    assert story.desk.actions("sign_in", "release") == []


async def test_the_same_seed_gives_the_same_day(tmp_path: Path) -> None:
    days = []
    for seed in (1, 1, 2):
        story = Story(tmp_path, TobaccoHabits(mean_gap_s=20.0), seed=seed)
        await story.play(story_s=200.0)
        days.append(story.truth)
    assert days[0] == days[1] != days[2]


async def test_a_store_without_tobacco_has_no_tobacco_customers(tmp_path: Path) -> None:
    only_snacks = store(
        tmp_path,
        cabinet=[cabinet("snacks-a", "self_service", ("a1", "board-1", 1, [("shelf-a1", "scale-1", ["crisps"])]))],
        product=[product("crisps", 45.0, 0.3)],
        device=[
            {"kind": "lock_board", "id": "board-1", "bus": "lock-bus", "address": 1, "feedback_polarity": "open_short"},
            {"kind": "scale", "id": "scale-1", "bus": "scale-bus", "address": 1},
            {"kind": "id_card", "id": "reader-1", "bus": "card-bus", "cabinet": "snacks-a"},
        ],
    )
    story = Story(tmp_path, config=only_snacks)
    await story.play()
    assert story.truth == []
    assert set(story.desk.actions()) <= {"sign_in", "beat"}


async def test_a_whole_store_sends_tobacco_customers_and_stays_plugged_in_when_the_story_is_over(
    tmp_path: Path,
) -> None:
    """No agent runs: customers ask over the real socket, nobody answers, and the hardware waits to be unplugged."""
    clock = ScaledClock.create(tmp_path / "clock", speed=200.0, start=datetime(2026, 6, 1, tzinfo=UTC))
    quiet = asyncio.Event()
    running = asyncio.create_task(
        run_store(
            store(tmp_path),
            clock=clock,
            seed=1,
            truth_path=tmp_path / "truth",
            member_codes=[],
            duration_s=400.0,
            linger_s=0.1,
            pins={"amy": "2468"},
            on_quiet=quiet.set,
        ),
        name="store",
    )
    async with asyncio.timeout(30):
        await quiet.wait()
    assert (tmp_path / "locks").is_symlink()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert not (tmp_path / "locks").is_symlink()
    kinds = [r.kind for r in read_truth(tmp_path / "truth")]
    assert set(kinds) == {"visit_started", "visit_ended"}
    assert kinds.count("visit_started") == kinds.count("visit_ended") >= 2
