"""Table M's contract of a provider, kept by the pended basket."""

from __future__ import annotations

import pytest

from contracts.clock import ManualClock
from edge.ports import PaymentUnansweredError
from edge.sessions import PendedBasket
from edge.sessions import payment as module
from tests.edge_sessions.fakes import FakeLedger


@pytest.mark.parametrize(
    ("script", "answers"),
    [
        ("authorise authorise capture capture", "held held captured captured"),  # same key, same answer
        ("authorise void void", "held voided voided"),
        ("void authorise capture", "voided voided voided"),  # a void of an unknown key leaves a tombstone
        ("capture authorise", "voided held"),  # a capture of nothing takes nothing
        ("authorise capture void", "held captured captured"),  # what was paid is not given back by a void
        ("authorise capture authorise", "held captured captured"),
    ],
)
async def test_answers_by_key(script, answers):
    ledger = FakeLedger()
    given = []
    for word in script.split():
        basket = PendedBasket(ledger=ledger, clock=ManualClock())  # each call in a new process: nothing is in memory
        call = {
            "authorise": lambda b: b.authorise("k", 5),
            "capture": lambda b: b.capture("k", 5),
            "void": lambda b: b.void("k"),
        }
        given.append(await call[word](basket))
    assert " ".join(given) == answers


async def test_a_full_ledger_is_no_answer():
    ledger = FakeLedger()
    ledger.full = True
    with pytest.raises(PaymentUnansweredError):
        await PendedBasket(ledger=ledger, clock=ManualClock()).authorise("k", 5)


async def test_old_baskets_are_forgotten_held_ones_never(monkeypatch):
    monkeypatch.setattr(module, "MANY", 3)
    ledger, clock = FakeLedger(), ManualClock()
    basket = PendedBasket(ledger=ledger, clock=clock)
    await basket.authorise("held", 5)
    await basket.void("old-1")
    await basket.void("old-2")
    clock.step(module.KEEP_S + 1)
    await basket.authorise("new", 5)
    assert set(ledger.kinds["basket"]) == {"held", "new"}
