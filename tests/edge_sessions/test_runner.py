"""The shell of a cabinet against a lock, a scale, a provider and a ledger in memory."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from contracts.event_types import (
    CabinetDoorForced,
    CabinetSessionEnded,
    CabinetSettlementNeedsReview,
    CabinetSettlementResolved,
    CabinetStockChanged,
    CabinetStockUnexplained,
    CabinetUnlockCompleted,
    GateDecision,
    InventoryCounted,
    PaymentCaptured,
)
from device_drivers.capabilities import AdultReading
from edge.ports import Transaction
from edge.sessions.core.records import Quota
from tests.edge_sessions.build import line, policy
from tests.edge_sessions.fakes import PIN, FakeLedger, Shop

ADULT = AdultReading(adult=True, doc_valid=True, person_day_key="ab" * 16)


async def open_snack(shop: Shop) -> str:
    asked = await shop.runner.request("self_service", "k1", "")
    assert asked.ok, asked
    await shop.until(lambda: shop.state() == "open")
    return asked.session


async def open_tobacco(shop: Shop, qty: int = 1) -> str:
    assert await shop.staff.sign_in("anna", PIN, "counter") == ""
    asked = await shop.runner.request("staff_release", "k1", "m1", (line("biscuit", qty),))
    assert asked.ok, asked
    assert (await shop.runner.age_proof(asked.session, ADULT, "id_card")).ok
    assert (await shop.runner.release(asked.session, "anna", PIN)).ok
    return asked.session


async def test_a_snack_is_sold_by_weight():
    shop = Shop()
    async with shop.boot():
        # first start: the book is what the scale shows
        assert {(e.sku, e.units) for e in shop.ledger.events if isinstance(e, InventoryCounted)} == {
            ("biscuit", 10),
            ("juice", 10),
        }
        session = await open_snack(shop)
        shop.scale.gross_g -= 140.0
        shop.close()
        await shop.ended("settled")
        resolved = shop.ledger.last(CabinetSettlementResolved)
        assert {(x.sku, x.qty) for x in resolved.lines} == {("biscuit", 1), ("juice", 1)}
        assert {(e.sku, e.delta_units) for e in shop.ledger.events if isinstance(e, CabinetStockChanged)} == {
            ("biscuit", -1),
            ("juice", -1),
        }
        assert shop.ledger.last(PaymentCaptured).amount_fen == 1300
        assert shop.payment.captures == {session: 1}
        assert shop.outcome() == "settled"
        assert shop.runner.snapshot().compartments[0].units[("k1-s1", "juice")] == 9
        assert shop.changes > 5


async def test_two_shelves_are_one_basket():
    shop = Shop(shelves=2)
    async with shop.boot():
        await open_snack(shop)
        shop.scales["scale-1"].gross_g -= 50.0
        shop.scales["scale-2"].gross_g -= 90.0
        shop.close()
        await shop.ended("settled")
        assert {(x.sku, x.shelf) for x in shop.ledger.last(CabinetSettlementResolved).lines} == {
            ("biscuit", "k1-s1"),
            ("juice", "k1-s2"),
        }


async def test_a_door_opened_for_nothing_costs_nothing():
    shop = Shop()
    async with shop.boot():
        await open_snack(shop)
        shop.close()
        await shop.ended("nothing_taken")
        assert shop.payment.captures == {}


async def test_tobacco_needs_a_person_a_proof_and_a_release():
    shop = Shop("staff_release")
    async with shop.boot():
        # nobody is on duty: not even a session
        assert (await shop.runner.request("staff_release", "k1", "m1", (line(),))).reason == "staff_absent"
        assert await shop.staff.sign_in("anna", PIN, "counter") == ""
        asked = await shop.runner.request("staff_release", "k1", "m1", (line(),))
        assert shop.runner.snapshot().session.needs == ("age", "release")
        # a release before the proof is denied, and says which rule
        assert (await shop.runner.release(asked.session, "anna", PIN)).reason == "T03"
        assert shop.runner.snapshot().session.failed_rules == ("T02", "T03")
        minor = AdultReading(adult=False, doc_valid=True, person_day_key="")
        assert (await shop.runner.age_proof(asked.session, minor, "id_card")).reason == "not_adult"
        assert (await shop.runner.age_proof(asked.session, ADULT, "id_card")).ok
        assert (await shop.runner.release(asked.session, "ben", PIN)).reason == "staff_absent"
        assert (await shop.runner.release(asked.session, "anna", "0000")).reason == "wrong_pin"
        assert shop.lock.frames == 0
        assert (await shop.runner.release(asked.session, "anna", PIN)).ok
        await shop.until(lambda: shop.state() == "open")
        shop.scale.gross_g -= 50.0
        shop.close()
        await shop.ended("settled")
        assert shop.lock.frames == 1
        stages = [(e.stage, e.outcome) for e in shop.ledger.events if isinstance(e, GateDecision)]
        assert stages[-3:] == [("g1", "allowed"), ("g2", "allowed"), ("g3", "allowed")]
        # what names a person for a day stays on the edge
        assert ADULT.person_day_key not in repr(shop.ledger.events)


@pytest.mark.parametrize(
    "meddle",
    [
        "revoke",  # closes in memory, before anything is durable
        "sign_out",  # the releaser leaves with the frame at the head of the queue
        "cancel",  # the buyer walks away
        "clock",  # the calendar is not known any more
    ],
)
async def test_what_changes_before_the_frame_stops_it(meddle):
    shop = Shop("staff_release")
    asks: list[asyncio.Task] = []
    async with shop.boot():

        def before() -> None:
            session = shop.runner.snapshot().session.session
            if meddle == "clock":
                shop.wall_known = False
                return
            work = {
                "revoke": lambda: shop.runner.revoke("store"),
                "sign_out": lambda: shop.staff.sign_out("anna", "counter"),
                "cancel": lambda: shop.runner.cancel(session),
            }[meddle]()
            asks.append(asyncio.ensure_future(work))

        real = shop.lock.unlock

        async def unlock(channel, guard):
            before()
            await asyncio.sleep(0.01)
            return await real(channel, guard)

        shop.lock.unlock = unlock
        await open_tobacco(shop)
        await shop.ended("voided")
        await asyncio.gather(*asks)
    assert shop.lock.frames == 0
    assert shop.ledger.last(CabinetUnlockCompleted).result == "not_sent"
    assert shop.payment.captures == {}


async def test_a_lost_reply_is_no_denial():
    shop = Shop()
    shop.lock.mute = 1
    async with shop.boot():
        await open_snack(shop)
        shop.scale.gross_g -= 90.0
        shop.close()
        await shop.ended("settled")
        assert shop.ledger.last(CabinetUnlockCompleted).result == "no_reply"
        assert shop.lock.frames == 1


async def test_a_refused_snack_gets_one_more_pulse_tobacco_none():
    shop = Shop()
    shop.lock.deaf = 1
    async with shop.boot():
        await open_snack(shop)  # by the second intent
        assert shop.lock.frames == 2
        shop.close()
        await shop.ended("nothing_taken")
    shop = Shop("staff_release")
    shop.lock.deaf = 1
    async with shop.boot():
        await open_tobacco(shop)
        await shop.ended("not_opened")
        assert shop.lock.frames == 1


async def test_more_than_was_released_waits_for_staff():
    shop = Shop("staff_release")
    async with shop.boot():
        session = await open_tobacco(shop)
        await shop.until(lambda: shop.state() == "open")
        shop.scale.gross_g -= 100.0
        shop.close()
        await shop.until(lambda: bool(shop.runner.snapshot().reviews))
        review = shop.runner.snapshot().reviews[0]
        assert (review.session, review.reason, review.delta_g) == (session, "over_declared", 100.0)
        assert shop.outcome() == "review"
        # the hold covers one piece: two cannot be charged
        assert (await shop.runner.decide_review(session, "anna", accept=True)).reason == "over_hold"
        assert (await shop.runner.decide_review(session, "ben", accept=True)).reason == "staff_absent"
        assert (await shop.runner.decide_review(session, "anna", accept=False)).ok
        await shop.ended("review_dropped")


async def test_what_moves_without_a_session_is_an_incident():
    shop = Shop()
    async with shop.boot():
        shop.lock.open[1] = True
        await shop.until(lambda: shop.reason() == "blocked")
        assert (await shop.runner.request("self_service", "k1", "")).reason == "blocked"
        assert [a.code for a in shop.runner.snapshot().alarms] == ["door_forced"]
        shop.scale.gross_g -= 50.0
        shop.close()
        await shop.until(lambda: shop.reason() == "")
        assert isinstance(shop.ledger.last(CabinetDoorForced), CabinetDoorForced)
        assert shop.ledger.last(CabinetStockUnexplained).shelves[0].delta_g == 50.0


async def test_a_scale_that_restarts_is_told_after_the_ledger():
    shop = Shop()
    async with shop.boot():
        shop.scale.power_on, shop.scale.gross_g = True, 0.0
        await shop.until(lambda: shop.scale.acknowledged == 1)
        assert shop.ledger.kinds["epoch"]["k1-s1"] == b"{}" or b"n" in shop.ledger.kinds["epoch"]["k1-s1"]
        await shop.until(lambda: shop.runner.snapshot().compartments[0].count_due)
        assert shop.ledger.last(CabinetStockUnexplained).shelves[0].delta_g is None
        assert await shop.staff.sign_in("anna", PIN, "counter") == ""
        assert shop.reason() == "count_due"
        assert (await shop.runner.request("self_service", "k1", "")).reason == "count_due"
        counted = {"k1-s1": {"biscuit": 4, "juice": 9}}
        assert (await shop.runner.count("k1", counted, "ben")).reason == "staff_absent"
        assert (await shop.runner.count("k1", counted, "anna")).ok
        assert shop.runner.snapshot().compartments[0].units[("k1-s1", "biscuit")] == 4
        assert not shop.runner.snapshot().compartments[0].count_due
        assert shop.reason() == ""
        assert (await shop.runner.request("self_service", "k1", "")).ok


@pytest.mark.parametrize("fault", ["unstable", "dead_board"])
async def test_without_evidence_nobody_is_charged(fault):
    shop = Shop()
    async with shop.boot():
        await open_snack(shop)
        shop.scale.gross_g -= 90.0
        shop.scale.stable = False
        if fault == "unstable":
            shop.close()
            want = "unstable"
        else:
            shop.close()
            await shop.until(lambda: shop.state() == "weigh")
            shop.lock.dead = True
            want = "lock_unreachable"
        await shop.until(lambda: bool(shop.runner.snapshot().reviews))
        review = shop.runner.snapshot().reviews[0]
        assert (review.reason, review.delta_g) == (want, None)
        shop.scale.stable, shop.lock.dead = True, False
        await shop.until(lambda: shop.reason() == "count_due")  # not blocked any more; staff count before it sells
        assert shop.payment.captures == {}


async def test_a_full_disk_opens_nothing_and_loses_nothing():
    shop = Shop()
    async with shop.boot():
        shop.ledger.full = True
        assert (await shop.runner.request("self_service", "k1", "")).reason == "ledger_full"
        await shop.until(lambda: shop.reason() == "ledger_full")
        shop.ledger.full = False
        await shop.until(lambda: shop.reason() == "")  # found out by a probe
        await open_snack(shop)
        shop.scale.gross_g -= 90.0
        shop.ledger.full = True
        shop.close()
        await asyncio.sleep(0.05)
        assert shop.state() == "open"  # the closing cannot be written: the state stands still
        assert "ledger_full" in [a.code for a in shop.runner.snapshot().alarms]
        shop.ledger.full = False
        await shop.ended("settled")


async def test_on_the_last_reserve_an_open_door_is_closed_and_settled_and_nothing_new_begins():
    shop = Shop()
    async with shop.boot():
        await open_snack(shop)
        shop.scale.gross_g -= 90.0
        shop.ledger.only_reserve, shop.ledger.writable = True, False
        await shop.until(lambda: "ledger_full" in [a.code for a in shop.runner.snapshot().alarms])
        shop.close()
        await shop.ended("settled")  # these words still fit
        assert "ledger_full" in [a.code for a in shop.runner.snapshot().alarms]
        assert (await shop.runner.request("self_service", "k1", "")).reason == "ledger_full"
        assert shop.reason() == "ledger_full"
        shop.ledger.only_reserve = False
        await shop.until(lambda: shop.reason() == "")
        assert "ledger_full" not in [a.code for a in shop.runner.snapshot().alarms]


async def test_a_full_disk_after_the_frame_keeps_its_outcome():
    shop = Shop()
    async with shop.boot():
        shop.lock.before_guard = lambda: setattr(shop.ledger, "full", True)
        asked = await shop.runner.request("self_service", "k1", "")
        assert asked.ok
        await shop.until(lambda: shop.state() == "sent")
        shop.lock.before_guard, shop.ledger.full = None, False
        await shop.until(lambda: shop.state() == "open")
        assert shop.ledger.last(CabinetUnlockCompleted).result == "opened"
        shop.close()
        await shop.ended("nothing_taken")


async def test_money_is_asked_again_with_the_same_key():
    shop = Shop()
    shop.payment.lose.update({"capture": 2, "void": 1})
    async with shop.boot():
        session = await open_snack(shop)
        shop.scale.gross_g -= 90.0
        shop.close()
        await shop.ended("settled")
        assert shop.payment.captures == {session: 1}
        assert shop.payment.calls["capture"] == 3
        await open_snack(shop)
        shop.close()
        await shop.ended("nothing_taken")
        assert shop.payment.calls["void"] == 2


async def test_an_unanswered_hold_is_voided_never_unlocked():
    shop = Shop()
    shop.payment.lose["authorise"] = 1
    async with shop.boot():
        assert (await shop.runner.request("self_service", "k1", "")).ok
        await shop.ended("voided")
    assert shop.lock.frames == 0
    assert list(shop.payment.word.values()) == ["voided"]
    shop = Shop()
    shop.payment.decline = True
    async with shop.boot():
        assert (await shop.runner.request("self_service", "k1", "")).ok
        await shop.ended("declined")


async def test_a_dead_board_is_not_sent_to():
    shop = Shop()
    async with shop.boot():

        async def gone(channel, guard):
            shop.lock.dead = True
            return await type(shop.lock).unlock(shop.lock, channel, guard)

        shop.lock.unlock = gone
        assert (await shop.runner.request("self_service", "k1", "")).ok
        await shop.ended("voided")
        assert shop.ledger.last(CabinetUnlockCompleted).result == "not_sent"
        await shop.until(lambda: shop.reason() == "device_offline")
        assert (await shop.runner.request("self_service", "k1", "")).reason == "device_offline"


async def test_restock_is_an_entry_not_a_sale():
    shop = Shop("staff_release")
    async with shop.boot():
        assert await shop.staff.sign_in("anna", PIN, "counter") == ""
        asked = await shop.runner.request("restock", "k1", "anna")
        assert asked.ok
        assert (await shop.runner.release(asked.session, "anna", PIN)).ok
        await shop.until(lambda: shop.state() == "open")
        shop.scale.gross_g += 100.0
        shop.close()
        await shop.ended("restocked")
        assert shop.runner.snapshot().compartments[0].units[("k1-s1", "biscuit")] == 12
        assert shop.payment.calls == {}


async def test_refuse_cancel_lift_and_limits():
    shop = Shop("staff_release")
    async with shop.boot():
        assert await shop.staff.sign_in("anna", PIN, "counter") == ""
        first = await shop.runner.request("staff_release", "k1", "m1", (line(),))
        assert (await shop.runner.request("staff_release", "k1", "m1", (line(),))).reason == "busy"
        assert (await shop.runner.refuse(first.session, "ben", "")).reason == "staff_absent"
        assert (await shop.runner.refuse(first.session, "anna", "drunk")).ok
        assert (await shop.runner.cancel(first.session)).reason == "no_session"
        assert (await shop.runner.revoke("cabinet:cab")).ok
        assert shop.reason() == "revoked"
        assert (await shop.runner.request("staff_release", "k1", "m1", (line(),))).reason == "revoked"
        assert (await shop.runner.lift("cabinet:cab", "ben", PIN)).reason == "not_manager"
        assert (await shop.runner.lift("cabinet:cab", "anna", "0000")).reason == "wrong_pin"
        assert (await shop.runner.lift("store", "anna", PIN)).reason == "not_revoked"
        assert (await shop.runner.lift("cabinet:cab", "anna", PIN)).ok
        assert shop.reason() == ""
        assert (await shop.runner.request("staff_release", "k1", "m" * 65, (line(),))).reason == "bad_request"
        assert (await shop.runner.revoke("x" * 81)).reason == "bad_target"
        assert (await shop.runner.release("nobody", "anna", PIN)).reason == "no_session"


async def test_a_revoke_outlives_a_restart_and_a_full_disk():
    shop = Shop()
    async with shop.boot():
        shop.ledger.full = True
        assert (await shop.runner.revoke("store")).ok
        shop.ledger.full = False
        await shop.until(lambda: "revoke" in shop.ledger.kinds)
    async with shop.boot(books=False):
        await shop.until(lambda: shop.reason() == "revoked")


@pytest.mark.parametrize(
    ("after", "outcome", "frames"),
    [
        ("cabinet.session.started", "cancelled", 0),  # start
        ("payment.authorised", "voided", 0),  # held, no intent
        ("cabinet.unlock.granted", "not_opened", 0),  # the intent is never sent again
        ("cabinet.unlock.completed", "nothing_taken", 1),  # the door stood open at the restart
        ("cabinet.door.opened", "nothing_taken", 1),
        ("cabinet.settlement.resolved", "nothing_taken", 1),  # the money half goes on alone
    ],
)
async def test_a_crash_is_taken_up_where_the_ledger_left_it(after, outcome, frames):
    shop = Shop()
    died = asyncio.Event()

    def kill(transaction) -> None:
        if any(after == r.data.TYPE for r in transaction.records):
            died.set()
            raise asyncio.CancelledError  # the process dies right after this commit

    shop.ledger.watch = kill
    async with shop.boot():
        asked = asyncio.ensure_future(shop.runner.request("self_service", "k1", ""))
        await shop.until(lambda: shop.state() == "open" or died.is_set())
        if after == "cabinet.settlement.resolved":
            shop.close()
        await died.wait()
        asked.cancel()
    shop.ledger.watch = None
    async with shop.boot(books=False):
        await asyncio.sleep(0.05)
        shop.close()
        await shop.ended(outcome)
    assert shop.lock.frames == frames
    assert sum(isinstance(e, CabinetSessionEnded) for e in shop.ledger.events) == 1


async def test_a_blind_session_is_never_charged_by_itself():
    shop = Shop()
    async with shop.boot():
        await open_snack(shop)
    shop.scale.gross_g -= 90.0
    shop.close()
    async with shop.boot(books=False):
        await shop.until(lambda: bool(shop.runner.snapshot().reviews))
        review = shop.ledger.last(CabinetSettlementNeedsReview)
        assert review.blind
        assert [(x.sku, x.qty) for x in review.proposal] == [("juice", 1)]
        assert await shop.staff.sign_in("anna", PIN, "counter") == ""
        assert (await shop.runner.decide_review(review.session, "anna", accept=True)).ok
        await shop.ended("review_charged")


async def test_cash_is_a_pended_basket():
    shop = Shop()
    shop.cash = True
    async with shop.boot():
        await open_snack(shop)
        shop.scale.gross_g -= 50.0
        shop.close()
        await shop.ended("settled")
        assert b"captured" in next(iter(shop.ledger.kinds["basket"].values()))


async def test_nothing_is_asked_before_recovery():
    shop = Shop()
    async with shop.boot(books=False):
        assert (await shop.runner.request("self_service", "k1", "")).reason == "starting"


async def test_who_waits_when_the_agent_stops_is_told():
    shop = Shop()
    never = asyncio.Event()
    async with shop.boot():
        commit = shop.ledger.commit

        async def stuck(transaction) -> None:
            if any(r.data.TYPE == "cabinet.session.started" for r in transaction.records):
                await never.wait()
            await commit(transaction)

        shop.ledger.commit = stuck
        first = asyncio.ensure_future(shop.runner.request("self_service", "k1", ""))
        second = asyncio.ensure_future(shop.runner.request("self_service", "k1", ""))
        await asyncio.sleep(0.05)
    assert (await first).reason == "starting"
    assert (await second).reason == "starting"


async def test_a_crowd_is_bounded_and_counted():
    shop = Shop()
    async with shop.boot():
        answers = await asyncio.gather(*(shop.runner.request("self_service", "k1", "") for _ in range(50)))
        assert sum(a.ok for a in answers) == 1
        assert {a.reason for a in answers} == {"", "busy"}
        assert shop.runner.snapshot().counters["asks_dropped"] == 18


async def test_a_person_has_one_quota_in_all_cabinets():
    shop = Shop("staff_release", rules=policy(tobacco_day_units=3))
    async with shop.boot():
        other = Quota(cabinet="other", person=ADULT.person_day_key, day="2026-03-02", units=3)
        shop.ledger.kinds["quota"] = {"s0": msgspec.json.encode(other)}
        assert await shop.staff.sign_in("anna", PIN, "counter") == ""
        asked = await shop.runner.request("staff_release", "k1", "m1")
        assert (await shop.runner.declare(asked.session, (line(),))).reason == "age_needed"
        assert (await shop.runner.age_proof(asked.session, ADULT, "id_card")).ok
        assert (await shop.runner.declare(asked.session, (line(),))).reason == "over_cap"
        shop.ledger.kinds["quota"] = {
            "s0": msgspec.json.encode(Quota(cabinet="other", person="x", day="2026-03-02", units=3))
        }
        assert (await shop.runner.declare(asked.session, (line(),))).ok


async def test_a_basket_that_changes_while_the_pin_is_checked_is_not_released():
    """Staff have seen one piece; the customer asks for two before the word is given."""
    shop = Shop("staff_release")
    async with shop.boot():
        assert await shop.staff.sign_in("anna", PIN, "counter") == ""
        asked = await shop.runner.request("staff_release", "k1", "m1", (line("biscuit", 1),))
        assert (await shop.runner.age_proof(asked.session, ADULT, "id_card")).ok
        released, declared = await asyncio.gather(
            shop.runner.release(asked.session, "anna", PIN),
            shop.runner.declare(asked.session, (line("biscuit", 2),)),
        )
        assert (declared.ok, released.ok, released.reason) == (True, False, "basket_changed")
        assert (shop.state(), shop.lock.frames) == ("asked", 0)
        assert (await shop.runner.release(asked.session, "anna", PIN)).ok  # they have looked again
        await shop.until(lambda: shop.lock.frames == 1)


class SlowLedger(FakeLedger):
    """Commits in order, whoever waits for them, as the real one does; while `held`, none is made."""

    def __init__(self) -> None:
        super().__init__()
        self._turn, self.free = asyncio.Lock(), asyncio.Event()
        self.free.set()

    async def commit(self, transaction: Transaction) -> None:
        await asyncio.shield(asyncio.ensure_future(self._write(transaction)))

    async def _write(self, transaction: Transaction) -> None:
        async with self._turn:
            await self.free.wait()
            await super().commit(transaction)


async def test_a_runner_that_falls_in_the_middle_of_a_commit_takes_up_what_it_held():
    """The supervisor starts it again at once, while another program still locks the disk."""
    shop = Shop()
    shop.ledger = SlowLedger()
    async with shop.boot():
        shop.ledger.free.clear()
        asking = asyncio.create_task(shop.runner.request("self_service", "k1", ""))
        await shop.until(shop.ledger._turn.locked)
        fallen = next(t for t in asyncio.all_tasks() if t.get_name() == "runner")
        fallen.cancel()
        await asyncio.wait({fallen})
        assert not (await asking).ok
        again = asyncio.create_task(shop.runner.run())
        await shop.clock.sleep(1.0)
        shop.ledger.free.set()
        await shop.ended("cancelled")
        assert shop.ledger.last(CabinetSessionEnded).reason == "restart"
        again.cancel()
        await asyncio.wait({again})
