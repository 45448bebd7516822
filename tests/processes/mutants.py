"""Planted faults for the helper programs, chosen by `ZHANGGUI_TEST_MUTANT`; a run with one of them must fail."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from typing import Any

from edge.ledger import Ledger
from edge.ports import LedgerFullError, Transaction
from edge.uplink import lane_runner
from edge.uplink.machine import Action, Confirm, LaneMachine

ENV = "ZHANGGUI_TEST_MUTANT"
LATE_S = 1.5


ALL = (
    "edge_accepts_before_commit",
    "edge_hides_full_disk",
    "edge_appends_again",
    "edge_frees_what_was_sent",
    "bridge_acks_before_commit",
    "bridge_counts_nothing",
)


def chosen() -> str:
    """The planted fault of this process; "" for none."""
    return os.environ.get(ENV, "")


class AcceptsBeforeTheCommit(Ledger):
    """The append comes back before anything is on disk."""

    async def commit(self, transaction: Transaction) -> None:
        async def later() -> None:
            await asyncio.sleep(LATE_S)
            await super(AcceptsBeforeTheCommit, self).commit(transaction)

        asyncio.get_running_loop().create_task(later(), name="later").add_done_callback(lambda t: t.exception())


class HidesAFullDisk(Ledger):
    """A refused append is told as accepted."""

    async def commit(self, transaction: Transaction) -> None:
        try:
            await super().commit(transaction)
        except LedgerFullError:
            return


class AppendsAgain(Ledger):
    """Every hundredth append is tried once more though it had succeeded."""

    count = 0

    async def commit(self, transaction: Transaction) -> None:
        await super().commit(transaction)
        self.count += 1
        if self.count % 100 == 0:
            await super().commit(transaction)


_LEDGERS: dict[str, type[Ledger]] = {
    "edge_accepts_before_commit": AcceptsBeforeTheCommit,
    "edge_hides_full_disk": HidesAFullDisk,
    "edge_appends_again": AppendsAgain,
}


def ledger_class() -> type[Ledger]:
    """The ledger of this process."""
    return _LEDGERS.get(chosen(), Ledger)


class FreesWhatWasSent(LaneMachine):
    """Frees an event as soon as the broker has it."""

    def sent(self, nonce: str, last_seq: int, now_s: float) -> Sequence[Action]:
        confirmed = [Confirm(last_seq)] if last_seq > self.lane.freed.seq else []
        return [*confirmed, *super().sent(nonce, last_seq, now_s)]


def spoil_uplink() -> None:
    """Plant the uplink's fault, if one of its own is chosen; before an uplink is made."""
    if chosen() == "edge_frees_what_was_sent":
        lane_runner.LaneMachine = FreesWhatWasSent  # type: ignore[misc]


def spoil_bridge() -> None:
    """Plant the bridge's fault, if one of its own is chosen."""
    if chosen() == "bridge_acks_before_commit":
        _ack_before_commit()
    elif chosen() == "bridge_counts_nothing":
        _count_nothing()


def _count_nothing() -> None:
    """Every event is stored as if it were the copy of another: no sum has it."""
    from cloud_bridge.storage import sqlite

    honest = sqlite._INSERT_BATCH
    sqlite._INSERT_BATCH = honest.replace("?3, 1,", "?3, 0,")
    assert honest != sqlite._INSERT_BATCH


def _ack_before_commit() -> None:
    """The answer to a batch goes out before its commit, which comes later, if at all."""
    from cloud_bridge.ingest.service import Ingest

    class DryRunError(Exception):
        """Carries the result of a transaction that is undone."""

    honest = Ingest.batch

    async def batch(self: Ingest, place: Any, message: Any) -> Any:
        storage = self._storage

        class Ahead:
            """Tells what a write would come to, and does it later."""

            async def write(self, work: Any) -> Any:
                def dry(connection: Any) -> Any:
                    raise DryRunError(work(connection))

                try:
                    await storage.write(dry)
                except DryRunError as told:

                    async def later() -> None:
                        await asyncio.sleep(LATE_S)
                        await storage.write(work)

                    asyncio.get_running_loop().create_task(later(), name="later").add_done_callback(
                        lambda t: t.exception()
                    )
                    return told.args[0]

        hasty = object.__new__(Ingest)
        hasty.__dict__.update({**self.__dict__, "_storage": Ahead()})
        return await honest(hasty, place, message)

    Ingest.batch = batch  # type: ignore[method-assign]
