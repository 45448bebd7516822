"""A writer without a thread: each job is done within the call. What a simulation passes to the ledger."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from edge.ledger.rows import Pending
from edge.ledger.store import Store
from edge.ledger.writer import Settled


class InlineWriter:
    """Start, commit, call, close as the real one; one commit a group, no probing by itself."""

    def __init__(self, *, open_store: Callable[[], Store], settled: Settled, probe_every_s: float) -> None:
        self._open_store = open_store
        self._settled = settled
        self._store: Store | None = None

    async def start(self) -> Store:
        self._store = self._open_store()
        return self._store

    async def commit(self, pending: Pending) -> None:
        assert self._store is not None
        outcomes: Sequence[Exception | None] = self._store.commit([pending])
        self._settled([pending], outcomes, self._store.lanes)
        if outcomes[0] is not None:
            raise outcomes[0]

    async def call(self, work: Callable[[Store], Any]) -> Any:
        assert self._store is not None
        try:
            return work(self._store)
        finally:
            self._settled((), (), self._store.lanes)

    async def close(self) -> None:
        if self._store is not None:
            self._store.connection.close()
