"""What the cloud is told of how a store is built: once, and again whenever that differs from what was told last."""

from __future__ import annotations

import asyncio
import hashlib
import logging

import msgspec

from contracts.clock import Clock
from contracts.event_types import ConfigChanged
from edge.config import StoreConfig
from edge.ports import LedgerFullError, LedgerPort, Record, Transaction

AGAIN_EVERY_S = 30.0
log = logging.getLogger("zhanggui.edge")


class Description:
    """Owns the description that runs; `config` may be replaced while the store runs."""

    def __init__(self, config: StoreConfig, *, ledger: LedgerPort, clock: Clock) -> None:
        self.config = config
        self._ledger = ledger
        self._clock = clock

    async def tell(self) -> bool:
        """Append it if it is news; False on a full disk."""
        document = msgspec.json.encode(self.config.document())
        digest = hashlib.sha256(document).hexdigest()[:32]
        if self._ledger.state("config").get("digest") != msgspec.json.encode(digest):
            event = ConfigChanged(source="store.toml", digest=digest, document=msgspec.Raw(document))
            puts = {("config", "digest"): msgspec.json.encode(digest)}
            try:
                await self._ledger.commit(Transaction(records=[Record(data=event)], puts=puts))
            except LedgerFullError as error:
                log.warning("the ledger has no room (%s): no door opens until there is some", error)
                return False
        return True

    async def tell_when_there_is_room(self) -> None:
        """A full disk at start stops no agent: doors stay watched, and the description follows."""
        while not await self.tell():
            await self._clock.sleep(AGAIN_EVERY_S)
        await asyncio.Event().wait()
