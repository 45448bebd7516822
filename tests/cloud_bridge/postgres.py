"""A PostgreSQL database that is emptied in a moment: quicker than making one anew."""

from __future__ import annotations

from cloud_bridge.storage.postgres import PgDb, Server


class Emptied:
    """One database, handed out again and again without a row."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._db: PgDb = Server(url).connect()
        tables = self._db.rows(
            """
            SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') AND NOT c.relispartition
            """
        )
        names = [name for (name,) in tables if name != "zhanggui_version"]
        counters = self._db.rows("SELECT relname FROM pg_class WHERE relkind = 'S'")
        self._script = ";".join(
            [*(f"DELETE FROM {name}" for name in names), *(f"ALTER SEQUENCE {name} RESTART" for (name,) in counters)]
        )

    def url(self) -> str:
        """Where it is, empty now."""
        self._db.execute("BEGIN")
        self._db.execute(self._script)
        self._db.execute("COMMIT")
        return self._url

    def close(self) -> None:
        """End the connection that empties it."""
        self._db.close()
