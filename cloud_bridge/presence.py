"""Which stores are there: believed by when they were last heard, never by a retained word.

What is true stands in the database, for several bridges hear one store: which `{boot, conn}` is current is decided
there, in the statement that writes it. The book is one process's copy, made anew from the database now and then.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from cloud_bridge.counters import Counters
from cloud_bridge.storage import Db
from contracts.messages import Presence

HEARTBEAT_MS = 30_000
ONLINE_WITHIN_MS = 2 * HEARTBEAT_MS
MAX_STORES = 20_000
_RETIRED_CHARS = 1040  # of boots that were replaced: sixteen at least
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
    told_ms: int = 0  # the last sign of life that the database was told of by this process


class PresenceBook:
    """Presence of every store, as far as this process knows: from the database, and from what it heard since."""

    def __init__(self, counters: Counters) -> None:
        self._stores: dict[tuple[str, str], Heard] = {}
        self._counters = counters

    def heard(self, tenant: str, store: str, now_ms: int) -> bool:
        """A live message of any kind came from the store. True if the database is to be told: once a heartbeat."""
        known = self._of(tenant, store)
        if known is None:
            return False
        known.last_seen_ms = max(known.last_seen_ms, now_ms)
        if not known.gone and max(0, now_ms - HEARTBEAT_MS) < known.told_ms <= now_ms:
            return False
        known.gone = False
        known.told_ms = now_ms
        return True

    def has_room(self, tenant: str, store: str) -> bool:
        """Whether the store is known, or one more may be; counted if not."""
        return self._of(tenant, store) is not None

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

    def follow(self, rows: Iterable[Row]) -> None:
        """Take over what the database says. A sign of life that it was not told of yet stays."""
        for tenant, store, boot, conn, instance, version, online, last_seen_ms in rows:
            known = self._of(tenant, store)
            if known is None:
                continue
            known.boot, known.conn, known.instance, known.agent_version = boot, conn, instance, version
            known.gone = not online
            known.last_seen_ms = max(known.last_seen_ms, last_seen_ms)
            known.told_ms = max(known.told_ms, last_seen_ms)

    def _of(self, tenant: str, store: str) -> Heard | None:
        known = self._stores.get((tenant, store))
        if known is None:
            if len(self._stores) >= MAX_STORES:
                self._counters.add("presence_too_many_stores")
                return None
            known = self._stores[tenant, store] = Heard()
        return known


# What is current: a heartbeat of the current boot, not of an older connection; or of a boot that was never replaced.
# Asked and written in one statement, for another bridge may be told of another pair at this moment.
_CURRENT = "((boot = ? AND conn <= ?) OR (boot <> ? AND replace(retired, ?, '') = retired))"
_FAREWELL = "((boot = ? AND conn = ?) OR boot = '')"
_RETIRED = f"CASE WHEN boot = ? OR boot = '' THEN retired ELSE substr(' ' || boot || retired, 1, {_RETIRED_CHARS}) END"
_UPDATE = f"""
    UPDATE presence SET retired = {_RETIRED}, boot = ?, conn = ?, instance = ?, agent_version = ?, %s
    WHERE tenant = ? AND store = ? AND %s
"""  # noqa: S608 - names and texts of our own
_UPDATES = {
    "farewell": _UPDATE % ("online = 0", _FAREWELL),
    "retained": _UPDATE % ("online = online", _CURRENT),
    "live": _UPDATE % ("online = 1, last_seen_ms = CASE WHEN last_seen_ms < ? THEN ? ELSE last_seen_ms END", _CURRENT),
}
_ROW = "SELECT tenant, store, boot, conn, instance, agent_version, online, last_seen_ms FROM presence"


def take_presence(db: Db, tenant: str, store: str, said: Presence, *, retained: bool, now_ms: int) -> Row | None:
    """A presence message or a will: what is true after it, or None if it is not of the current pair.

    A retained message tells the pair and a farewell, but never that the store is there now.
    """
    kind = "farewell" if not said.online else "retained" if retained else "live"
    pair = (said.boot, said.boot, said.conn, said.instance, said.agent_version)
    seen = (now_ms, now_ms) if kind == "live" else ()
    current = (said.boot, said.conn) if kind == "farewell" else (said.boot, said.conn, said.boot, f" {said.boot} ")
    for _ in range(2):  # the second time if another bridge put the row there in between
        if db.execute(_UPDATES[kind], (*pair, *seen, tenant, store, *current)):
            break
        fresh = (tenant, store, said.boot, said.conn, said.instance, said.agent_version)
        if _insert(db, (*fresh, int(said.online), now_ms if kind == "live" else 0)):
            break
    else:
        return None
    return db.one(f"{_ROW} WHERE tenant = ? AND store = ?", (tenant, store))


def note_heard(db: Db, tenant: str, store: str, now_ms: int) -> None:
    """A sign of life; nothing is written while another bridge has told of one within this heartbeat."""
    known = db.one("SELECT online, last_seen_ms FROM presence WHERE tenant = ? AND store = ?", (tenant, store))
    if known is None and _insert(db, (tenant, store, "", 0, "", "", 1, now_ms)):
        return
    if known is None or not known[0] or known[1] <= now_ms - HEARTBEAT_MS:
        db.execute(
            "UPDATE presence SET online = 1, last_seen_ms = ? WHERE tenant = ? AND store = ? AND last_seen_ms <= ?",
            (now_ms, tenant, store, now_ms),
        )


def load_presence(db: Db) -> list[Row]:
    """Every store's presence."""
    return db.rows(_ROW)


def _insert(db: Db, row: Row) -> bool:
    """Put a store there that was never heard of; False if it is there."""
    return bool(
        db.execute(
            """
            INSERT INTO presence (tenant, store, boot, conn, instance, agent_version, online, last_seen_ms, retired)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ' ') ON CONFLICT DO NOTHING
            """,
            row,
        )
    )
