"""Every call of the real ledger fails once, or from some call on the disk is full: success or a typed error, never a
wrong word, and afterwards it works on. And what a commit that was reported as failed may still do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from random import Random

import pytest

from contracts.event_types import LANES
from edge.ledger import Ledger, LedgerOpenError, verify
from edge.ledger.schema import connect
from edge.ports import LedgerFullError
from simulators.faultworld.disk import Call, Fault, FaultyDisk, Plan, Surface, no_faults, write_files
from tests.faultworld.disk.ledger_work import (
    FILE,
    SHORT,
    append,
    append_group,
    facts,
    long_work,
    open_ledger,
    reopen,
    sale,
)

pytestmark = pytest.mark.proof  # each takes its tens of seconds

GROUP = ("a group", append_group(sale(11), sale(12), sale(13)))
WORK = (*SHORT, GROUP)
ONCE = {
    "write, nothing written": ("write", Fault(what="io")),
    "write, some bytes written": ("write", Fault(what="io", written_bytes=700)),
    "disk full": ("write", Fault(what="full")),
    "disk full, some bytes written": ("write", Fault(what="full", written_bytes=700)),
    "sync": ("sync", Fault(what="io")),
    "truncate": ("truncate", Fault(what="io")),
    "delete": ("delete", Fault(what="io")),
    "open": ("open", Fault(what="io")),
    "read": ("read", Fault(what="io")),
    "index": ("index", Fault(what="full")),
}


class Life:
    """A ledger that is worked on while its disk fails: each step is tried until it is done."""

    def __init__(self, disk: FaultyDisk, folder: Path) -> None:
        self.disk = disk
        self.folder = folder
        self.ledger: Ledger | None = None
        self.failed: list[str] = []
        self.tries = 3
        self.step = 0

    async def opened(self) -> Ledger:
        for _ in range(self.tries):
            if self.ledger is None:
                try:
                    self.ledger = await open_ledger(self.folder, free=lambda _folder: 2**40)
                except LedgerOpenError as error:
                    self.failed.append(f"open: {error}")
                    self.tried()
        assert self.ledger is not None, self.failed
        return self.ledger

    def tried(self) -> None:
        """A step has failed: what a test changes then."""

    async def work(self, steps: Sequence[tuple[str, object]]) -> None:
        ledger = await self.opened()
        for self.step, (name, step) in enumerate(steps, 1):  # where it stands, for `tried`
            for _ in range(self.tries):
                before = [ledger.lane(lane).tail for lane in LANES], ledger.state("s")
                try:
                    await step(ledger)  # type: ignore[operator]  # a step of ledger_work
                except LedgerFullError as error:
                    self.failed.append(f"{name}: {error}")
                    if name != GROUP[0]:  # of a group some may be durable
                        assert ([ledger.lane(lane).tail for lane in LANES], ledger.state("s")) == before
                    self.tried()
                else:
                    break
            else:
                pytest.fail(f"{name} never worked: {self.failed}")

    async def end(self) -> None:
        if self.ledger is not None:
            await self.ledger.close()


def once(kind: str, number: int, fault: Fault) -> Plan:
    seen = 0

    def plan(call: Call) -> Fault | None:
        nonlocal seen
        seen += call.kind == kind
        return fault if seen == number and call.kind == kind else None

    return plan


async def lived(
    folder: Path, plan: Plan, *, steps=WORK, reads: bool = False, tries: int = 3
) -> tuple[FaultyDisk, Life]:
    folder.mkdir()  # noqa: ASYNC240  # in memory
    with FaultyDisk(folder, plan=plan, reads=reads) as disk:
        life = Life(disk, folder)
        life.tries = tries
        await life.work(fresh(steps))
        await life.end()
    return disk, life


def fresh(steps):
    """A group keeps what is left of it; every life gets its own."""
    return [(name, append_group(sale(11), sale(12), sale(13)) if name == GROUP[0] else step) for name, step in steps]


SAMPLED = {"write, some bytes written": 1, "sync": 1, "truncate": 1, "delete": 1, "open": 1, "index": 1}  # others: 5


@pytest.mark.parametrize("name", ONCE)
@pytest.mark.parametrize("every", ["sampled", pytest.param("all", marks=pytest.mark.soak)])
async def test_a_call_that_fails_once_is_success_or_a_full_ledger_and_then_it_works_on(
    folder: Path, name: str, every: str
):
    kind, fault = ONCE[name]
    good, _ = await lived(folder / "good", no_faults, reads=kind == "read")
    expected = facts(folder / "good")
    count = good.counters[kind]
    told = 0
    assert count
    for number in range(1, count + 1, SAMPLED.get(name, 5) if every == "sampled" else 1):
        place = folder / f"n{number}"
        disk, life = await lived(place, once(kind, number, fault), reads=kind == "read")
        assert disk.counters[f"{kind}_{fault.what}"] == 1, number
        assert facts(place) == expected, (number, life.failed)
        assert verify(place / FILE).problems == (), (number, life.failed)
        told += bool(life.failed)
    assert told or kind in ("truncate", "delete"), "no caller heard of it"


@pytest.mark.parametrize(
    ("name", "every"),
    [
        ("write, some bytes written", 5),
        ("sync", 1),
        pytest.param("disk full", 1, marks=pytest.mark.soak),
        pytest.param("write, some bytes written", 1, marks=pytest.mark.soak),
    ],
)
async def test_power_that_fails_right_after_a_failed_call_leaves_the_step_undone_or_done(
    folder: Path, name: str, every: int
):
    """Never half of it, and never less than was acknowledged; see also the next test."""
    kind, fault = ONCE[name]
    shown: list[dict[str, object]] = []  # what the ledger says after 0, 1, 2 … steps

    async def good() -> int:
        with FaultyDisk(folder) as disk:
            life = Life(disk, folder)
            await life.opened()
            for step in SHORT:
                shown.append(after(disk))
                await life.work([step])
            shown.append(after(disk))
            await life.end()
            return disk.counters[kind]

    def after(disk: FaultyDisk) -> dict[str, object]:
        write_files(disk.snapshot().held(Random(0), "keep"), beside)
        return facts(beside)

    beside, cut = folder.with_name("beside"), folder.with_name("cut")
    came_back = 0
    for number in range(1, 1 + await good(), every):
        place = folder.with_name(f"n{number}")
        place.mkdir()  # in memory
        with FaultyDisk(place, plan=once(kind, number, fault)) as disk:
            life = Life(disk, place)
            failed: list[tuple[int, Surface]] = []
            life.tried = lambda life=life, disk=disk, failed=failed: failed.append((life.step, disk.snapshot()))  # type: ignore[method-assign]  # what a failure leaves
            await life.work(SHORT)
            await life.end()
        for step, surface in failed:
            for seed, mode in enumerate(("lose", "keep", "random", "random")):
                write_files(surface.held(Random(seed), mode), cut)
                if not step:  # the ledger was not open yet: it may not even be there
                    await (await open_ledger(cut)).close()
                    continue
                found = facts(cut)
                assert found in (shown[step - 1], shown[step]), (number, step, mode)
                came_back += found == shown[step]
                if seed == number % 4:
                    await reopen(cut)
    assert bool(came_back) == (kind == "sync")


async def test_a_commit_whose_sync_failed_may_stand_after_a_crash_until_the_next_good_commit(folder: Path):
    """The truth that docs/ledger.md tells: not acknowledged, but its bytes may have come down whole."""

    async def cuts(disk: FaultyDisk) -> list[object]:
        surface, found = disk.snapshot(), []
        for seed, mode in enumerate(("lose", "keep", *["random"] * 20)):
            write_files(surface.held(Random(seed), mode), folder.with_name("cut"))
            found.append(tuple(facts(folder.with_name("cut"))["ledger"]))
            await reopen(folder.with_name("cut"))
        return found

    with FaultyDisk(folder) as disk:
        ledger = await open_ledger(folder, connect=connect)  # no checkpoint: the next sync is that of the commit
        await append(sale(1))(ledger)
        disk.plan = once("sync", 1, Fault(what="io"))
        with pytest.raises(LedgerFullError):
            await append(sale(2))(ledger)
        assert ledger.lane("ledger").tail.seq == 1
        found = await cuts(disk)
        assert set(found) == {("1",), ("1", "2")}
        assert found[1] == ("1", "2")  # everything had come down: also what a kill of the process leaves
        await append(sale(3))(ledger)
        assert set(await cuts(disk)) == {("1", "3")}
        await ledger.close()


async def test_a_disk_of_any_size_fills_up_and_goes_on_where_it_stood(folder: Path):
    """Full at every possible length of the files, twice told, then room is made."""
    await lived(folder / "good", no_faults)
    expected = facts(folder / "good")
    sizes = range(4096, 160_000, 4120)
    told = 0
    for capacity_bytes in sizes:
        place = folder / f"n{capacity_bytes}"
        place.mkdir()
        with FaultyDisk(place, capacity_bytes=capacity_bytes) as disk:
            life = Life(disk, place)

            def make_room_the_second_time(disk: FaultyDisk = disk, life: Life = life) -> None:
                if len(life.failed) % 2 == 0:
                    disk.capacity_bytes = None

            life.tried = make_room_the_second_time  # type: ignore[method-assign]  # the janitor of this disk
            await life.work(fresh(WORK))
            told += bool(life.failed)
            await life.end()
        assert facts(place) == expected, (capacity_bytes, life.failed)
        assert verify(place / FILE).problems == (), (capacity_bytes, life.failed)
    assert told > len(sizes) // 3


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(8))
async def test_a_long_life_with_a_fault_every_few_calls_loses_and_doubles_nothing(folder: Path, seed: int):
    steps = long_work(Random(seed), 200)
    await lived(folder / "good", no_faults, steps=steps)
    rng = Random(seed)

    def plan(call: Call) -> Fault | None:
        if rng.random() > 0.005 or call.kind not in ("write", "sync", "truncate", "open"):
            return None
        return Fault(what="io", written_bytes=rng.randrange(600))

    _, life = await lived(folder / "bad", plan, steps=steps, tries=50)
    assert life.failed
    assert facts(folder / "bad") == facts(folder / "good")
    assert verify(folder / "bad" / FILE).problems == ()
