"""Cash or the counter's POS as a provider of holds: the hold is the pended basket, kept in the ledger's state."""

from __future__ import annotations

import asyncio
from itertools import islice
from typing import Literal

import msgspec

from contracts.clock import Clock
from edge.ports import LedgerFullError, LedgerPort, PaymentAnswer, PaymentUnansweredError, Transaction

KIND = "basket"
KEEP_S = 30 * 86400.0  # far longer than a key can still be asked for
MANY = 2000


class Basket(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One key and its final or pending answer."""

    word: Literal["held", "captured", "voided"]
    amount_fen: int = 0
    wall_s: float = 0.0


class PendedBasket:
    """Implements `Payment`: idempotent by key; a void of an unknown key leaves a tombstone."""

    def __init__(self, *, ledger: LedgerPort, clock: Clock) -> None:
        self._ledger, self._clock = ledger, clock
        self._turn = asyncio.Lock()

    async def authorise(self, key: str, amount_fen: int) -> PaymentAnswer:
        """Pend a basket: `held`, or what has become of this key before."""
        async with self._turn:
            basket = self._basket(key)
            if basket is None:
                basket = await self._write(key, Basket(word="held", amount_fen=amount_fen, wall_s=self._wall_s()))
            return basket.word

    async def capture(self, key: str, amount_fen: int) -> PaymentAnswer:
        """The basket is paid at the counter: `captured`, or `voided` if there is no such basket."""
        async with self._turn:
            basket = self._basket(key)
            if basket is None or basket.word == "voided":
                return "voided"
            if basket.word == "held":
                await self._write(key, Basket(word="captured", amount_fen=amount_fen, wall_s=self._wall_s()))
            return "captured"

    async def void(self, key: str) -> PaymentAnswer:
        """The basket is dropped: `voided`, or `captured` if it was paid."""
        async with self._turn:
            basket = self._basket(key)
            if basket is not None and basket.word != "held":
                return basket.word
            return (await self._write(key, Basket(word="voided", wall_s=self._wall_s()))).word

    def _wall_s(self) -> float:
        return self._clock.wall().timestamp()

    def _basket(self, key: str) -> Basket | None:
        raw = self._ledger.state(KIND).get(key)
        return None if raw is None else msgspec.json.decode(raw, type=Basket)

    def _forgettable(self, wall_s: float) -> list[tuple[str, str]]:
        """Baskets that nobody can ask for any more; looked for only when there are many."""
        baskets = self._ledger.state(KIND)
        if len(baskets) < MANY:
            return []
        known = ((k, msgspec.json.decode(raw, type=Basket)) for k, raw in baskets.items())
        old = ((KIND, k) for k, b in known if b.word != "held" and wall_s - b.wall_s > KEEP_S)
        return list(islice(old, MANY))

    async def _write(self, key: str, basket: Basket) -> Basket:
        old = self._forgettable(basket.wall_s)
        try:
            await self._ledger.commit(Transaction(puts={(KIND, key): msgspec.json.encode(basket)}, deletes=old))
        except LedgerFullError as error:
            raise PaymentUnansweredError("the ledger cannot hold the basket") from error
        return basket
