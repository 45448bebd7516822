"""Which stores are there: believed by when they were last heard, never by a retained word."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from cloud_bridge.counters import Counters
from cloud_bridge.storage import Db
from contracts.messages import Presence

HEARTBEAT_MS = 30_000
ONLINE_WITHIN_MS = 2 * HEARTBEAT_MS
MAX_STORES = 20_000
_RETIRED_BOOTS = 16
Row = tuple[str, str, str, int, str, str, int, int]


@dataclass(slots=True)
class Heard:
    """What is known of one store's connection. `boot` is "" until its first presence message."""

    boot: str = ""
    conn: int = 0
    instance: str = ""
    agent_version: str = ""
    gone: bool = False  # said by the current pair, or by its will
    last_seen_ms: int = 0
    retired: deque[str] = field(default_factory=lambda: deque(maxlen=_RETIRED_BOOTS))


class PresenceBook:
    """Presence of every store, in memory; `rows` and `restore` carry it over a restart of the bridge."""

    def __init__(self, counters: Counters) -> None:
        self._stores: dict[tuple[str, str], Heard] = {}
        self._counters = counters

    def heard(self, tenant: str, store: str, now_ms: int) -> None:
        """A live message of any kind came from the store."""
        if (known := self._of(tenant, store)) is not None:
            known.last_seen_ms = max(known.last_seen_ms, now_ms)
            known.gone = False

    def take(self, tenant: str, store: str, said: Presence, *, retained: bool, now_ms: int) -> bool:
        """A presence message or a will. True if it was of the current pair, False (counted) if it was ignored.

        A retained message tells the pair and a farewell, but never that the store is there now.
        """
        known = self._of(tenant, store)
        if known is None:
            return False
        if said.boot == known.boot:
            fresh = said.conn == known.conn or (said.online and said.conn > known.conn)
        else:
            fresh = said.boot not in known.retired and (said.online or not known.boot)
        if not fresh:
            self._counters.add("presence_not_current")
            return False
        if known.boot and said.boot != known.boot:
            known.retired.append(known.boot)
        known.boot, known.conn = said.boot, said.conn
        known.instance, known.agent_version = said.instance, said.agent_version
        if not said.online:
            known.gone = True
        elif not retained:
            self.heard(tenant, store, now_ms)
        return True

    def online(self, tenant: str, store: str, now_ms: int) -> bool:
        """Heard of within two heartbeats, and no farewell since."""
        known = self._stores.get((tenant, store))
        return known is not None and not known.gone and 0 < known.last_seen_ms >= now_ms - ONLINE_WITHIN_MS

    def last_seen_ms(self, tenant: str, store: str) -> int:
        """When the store was last heard; 0 for never."""
        known = self._stores.get((tenant, store))
        return known.last_seen_ms if known else 0

    def stores(self) -> Iterable[tuple[str, str]]:
        """(tenant, store) of all that were ever heard of."""
        return tuple(self._stores)

    def row(self, tenant: str, store: str) -> Row | None:
        """What to keep of a store for the next start; None for one not heard of."""
        known = self._stores.get((tenant, store))
        if known is None:
            return None
        return (
            tenant, store, known.boot, known.conn, known.instance, known.agent_version,
            int(not known.gone), known.last_seen_ms,
        )  # fmt: skip

    def restore(self, rows: Iterable[Row]) -> None:
        """Know again what an earlier run knew."""
        for tenant, store, boot, conn, instance, version, online, last_seen_ms in rows:
            self._stores[tenant, store] = Heard(boot, conn, instance, version, not online, last_seen_ms)

    def _of(self, tenant: str, store: str) -> Heard | None:
        known = self._stores.get((tenant, store))
        if known is None:
            if len(self._stores) >= MAX_STORES:
                self._counters.add("presence_too_many_stores")
                return None
            known = self._stores[tenant, store] = Heard()
        return known


def save_presence(db: Db, row: Row) -> None:
    """Keep one store's presence."""
    db.execute(
        """
        INSERT INTO presence (tenant, store, boot, conn, instance, agent_version, online, last_seen_ms)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?)
        ON CONFLICT (tenant, store) DO UPDATE SET
            boot = excluded.boot, conn = excluded.conn, instance = excluded.instance,
            agent_version = excluded.agent_version, online = excluded.online, last_seen_ms = excluded.last_seen_ms
        """,
        row,
    )


def load_presence(db: Db) -> list[Row]:
    """Every store's presence as it was last kept."""
    return db.rows("SELECT tenant, store, boot, conn, instance, agent_version, online, last_seen_ms FROM presence")
