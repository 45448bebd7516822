"""A whole agent sells through each family of lock boards: whatever a board says to a pulse, one door opens once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from contracts.event_types import CabinetUnlockCompleted, PaymentCaptured
from edge import agent as agent_module
from tests.edge import shop as shop_module
from tests.edge.shop import Shop

BASKET = {("S1-a", "690001"): 2, ("S1-b", "690004"): 1}  # 2 × 6.50 + 18.90


def shop(folder: Path, family: str, **settings: Any) -> Shop:
    """The demo store behind other lock boards."""
    plain = Shop(folder / "plain").config
    boards = tuple(
        d.model_copy(update={"family": family, **settings}) if d.kind == "lock_board" else d for d in plain.device
    )
    lines = tuple(b.model_copy(update={"protocol": family}) if b.id == "locks" else b for b in plain.bus)
    ports = {b.id: b.url.replace(str(folder / "plain"), str(folder)) for b in lines}
    return Shop(folder, device=boards, bus=tuple(b.model_copy(update={"url": ports[b.id]}) for b in lines))


@pytest.mark.parametrize(
    ("family", "settings", "said"),
    [
        ("lock_8a", {"dialect": "8a_99"}, {"opened"}),
        ("lock_cu16", {}, {"opened", "no_reply"}),  # mute and busy: `opened` if a hand is quicker than the question
        ("lock_cu48", {"feedback_polarity": "open_short"}, {"opened", "no_reply"}),
        ("lock_cu48", {"dialect": "cu12", "echo": True}, {"opened"}),
        ("lock_winnsen", {"dialect": "status_first"}, {"opened"}),
    ],
)
async def test_a_snack_is_sold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, family: str, settings: dict[str, Any], said: set[str]
) -> None:
    monkeypatch.setattr(agent_module, "DRAIN_S", 0.05)
    monkeypatch.setattr(shop_module, "SPEED", 4.0)  # a hand does not open and shut a door while its board is busy
    store = shop(tmp_path, family, **settings)
    async with store.running():
        assert await store.buys(BASKET) == "settled"
        (completed,) = store.said(CabinetUnlockCompleted)
        assert completed.result in said
        assert [c.amount_fen for c in store.said(PaymentCaptured)] == [3190]
        assert store.pulses() == 1
    assert store.judged().findings == ()
