"""Doors and scales as they are seen: what counts as closed, as fenced, as stable, and for how long."""

from __future__ import annotations

import asyncio
from collections import Counter
from random import Random

import pytest

from contracts.clock import ManualClock
from edge.ports import Transaction
from edge.sessions.cashier import Cashier
from edge.sessions.core.draft import Step
from edge.sessions.core.inputs import Authorise, Memory
from edge.sessions.core.records import Session
from edge.sessions.eyes import DoorEye, Pace, ScaleEye
from tests.edge_sessions.build import policy
from tests.edge_sessions.fakes import FakeLock, FakePayment, FakeScale

PACE = Pace()


class Real:
    """Real time, stepped by hand."""

    def __init__(self) -> None:
        self.s = 0.0

    def __call__(self) -> float:
        return self.s


def door_eye(lock: FakeLock, real: Real, woken: list[int]) -> DoorEye:
    return DoorEye(
        lock=lock, channels={"k1": 1}, pace=PACE, real_s=real, near=lambda: True, wake=lambda: woken.append(1)
    )


def scale_eye(scale: FakeScale, real: Real, clock: ManualClock, woken: list[int]) -> ScaleEye:
    return ScaleEye(
        shelf="k1-s1",
        scale=scale,
        sigma_g=0.5,
        clock=clock,
        pace=PACE,
        real_s=real,
        near=lambda: True,
        wake=lambda: woken.append(1),
    )


@pytest.mark.parametrize(
    ("polls", "seen"),
    [
        ("c", None),  # one poll is no proof
        ("cc", None),
        ("ccc", False),
        ("o", True),  # one open poll is an open door
        ("ccco", True),
        ("ccocc", True),  # a bounce starts the count anew
        ("ccocccc", False),
        ("ccx", None),  # silence too
        ("ccxcc", None),
        ("cccx", False),  # not longer than a second
        ("cccX", None),
        ("oX", None),
    ],
)
async def test_a_door(polls, seen):
    lock, real = FakeLock(), Real()
    eye = door_eye(lock, real, [])
    for poll in polls:
        real.s += 1.1 if poll == "X" else 0.1
        lock.dead, lock.open[1] = poll in "xX", poll == "o"
        await eye._poll("k1")
    assert eye.open("k1") is seen


async def test_a_fence_is_a_query_asked_after_the_frame():
    lock, real, woken = FakeLock(), Real(), []
    eye = door_eye(lock, real, woken)
    await eye._poll("k1")
    assert eye.fenced("k1")
    eye.frame("k1")
    assert not eye.fenced("k1")
    # a query that was asked before the frame and is answered after it proves nothing
    under_way = asyncio.create_task(eye._poll("k1"))
    await asyncio.sleep(0)
    eye.frame("k1")
    await under_way
    assert not eye.fenced("k1")
    await eye._poll("k1")
    assert eye.fenced("k1")
    assert woken


def test_silence_counts_from_the_start():
    real = Real()
    eye = door_eye(FakeLock(), real, [])
    real.s = 5.0
    assert eye.silent_s("k1") == 5.0
    assert not eye.heard("k1")


async def sampled(eye: ScaleEye, clock: ManualClock, real: Real, count: int) -> None:
    for _ in range(count):
        clock.step(0.1)
        real.s += 0.1
        await eye._sample()


async def test_a_weight_is_the_median_of_five_stable_samples():
    scale, real, clock, woken = FakeScale(100.0), Real(), ManualClock(), []
    eye = scale_eye(scale, real, clock, woken)
    await sampled(eye, clock, real, 4)
    assert eye.weight(0) is None
    assert not woken
    scale.gross_g = 101.5  # one odd sample within the noise
    await sampled(eye, clock, real, 1)
    weight = eye.weight(3)
    assert weight is not None
    assert (weight.g, weight.epoch, round(weight.since_s, 1)) == (100.0, 3, 0.1)
    assert woken


@pytest.mark.parametrize("what", ["unstable", "moving", "dead", "old", "disturbed", "restarted"])
async def test_what_is_no_weight(what):
    scale, real, clock = FakeScale(100.0), Real(), ManualClock()
    eye = scale_eye(scale, real, clock, [])
    await sampled(eye, clock, real, 5)
    if what == "unstable":
        scale.stable = False
    elif what == "moving":
        scale.gross_g = 103.0  # stable, but not where it was
    elif what == "dead":
        scale.dead = True
    elif what == "old":
        real.s += 2.1
    elif what == "disturbed":
        eye.disturb(clock.now_s() + 0.8)
    else:
        scale.power_on = True
    if what != "old":
        await sampled(eye, clock, real, 1)
    assert eye.weight(0) is None
    scale.stable, scale.dead = True, False
    await sampled(eye, clock, real, 12)
    assert (eye.weight(0) is None) is (what == "restarted")


async def test_a_restarted_scale_is_told_when_the_ledger_knows():
    scale, real, clock = FakeScale(100.0), Real(), ManualClock()
    scale.power_on = True
    eye = scale_eye(scale, real, clock, [])
    await sampled(eye, clock, real, 3)
    assert (eye.unbooked, scale.acknowledged) == (True, 0)
    eye.booked()
    assert not eye.unbooked
    await sampled(eye, clock, real, 5)
    assert scale.acknowledged == 1
    assert eye.weight(1) is not None


class Book:
    """A ledger of one session's money, as the cashier sees it."""

    def __init__(self, money: str) -> None:
        self.session: Session | None = Session(
            id="s1", cabinet="cab", compartment="k1", mode="self_service", money=money, amount_fen=5
        )
        self.given: list[str] = []
        self.refuse = 0

    async def answer(self, given):
        await asyncio.sleep(0)
        if self.refuse:
            self.refuse -= 1
            return None
        self.given.append(f"{given.asked} {given.answer}")
        stale = given.asked == "authorise" and given.answer == "voided"
        if given.asked in ("void", "capture") and given.answer in ("voided", "captured"):
            self.session = None
        return Step(Transaction(), Memory(), (), "stale" if stale else "")


def cashier(book: Book, payment: FakePayment, counters: Counter[str]) -> Cashier:
    class Now(ManualClock):
        async def sleep(self, duration_s: float) -> None:
            await asyncio.sleep(0)

    return Cashier(
        cabinet="cab",
        payment=payment,
        timeouts=policy().timeouts_s,
        clock=Now(),
        rng=Random(1),
        retry_s=0.0,
        session=lambda _: book.session,
        answer=book.answer,
        counters=counters,
    )


@pytest.mark.parametrize(
    ("money", "before", "refuse", "given", "counted"),
    [
        ("void", "held", 0, ["void voided"], {}),
        ("capture", "held", 0, ["capture captured"], {}),
        ("capture", "voided", 0, ["capture voided"], {}),  # the hold had expired
        ("capture", "held", 3, ["capture captured"], {}),  # a full ledger: asked again with the same key
        ("void", "lost", 0, ["void voided"], {"void_unanswered": 2}),
    ],
)
async def test_the_cashier_asks_until_the_ledger_has_the_answer(money, before, refuse, given, counted):
    book, payment, counters = Book(money), FakePayment(), Counter()
    book.refuse = refuse
    if before == "lost":
        payment.lose["void"] = 2
    else:
        payment.word["s1"] = before
    till = cashier(book, payment, counters)
    async with asyncio.TaskGroup() as group:
        till.open(group)
        till.move([book.session])
        till.move([book.session])  # one task a session
    assert book.given == given
    assert counters == counted
    assert payment.captures.total() <= 1


async def test_a_hold_is_asked_for_once():
    book, payment, counters = Book(""), FakePayment(), Counter()
    book.refuse = 2  # the answer waits for the ledger, it is not asked again
    till = cashier(book, payment, counters)
    async with asyncio.TaskGroup() as group:
        till.open(group)
        till.authorise(Authorise("s1", 5))
    assert (book.given, payment.calls["authorise"]) == (["authorise held"], 1)
    payment.lose["authorise"] = 1
    payment.word["s2"] = "voided"
    async with asyncio.TaskGroup() as group:
        till.open(group)
        till.authorise(Authorise("s1", 5))
    async with asyncio.TaskGroup() as group:
        till.open(group)
        till.authorise(Authorise("s2", 5))
    assert counters == {"authorise_unanswered": 1, "stale_answer": 1}
