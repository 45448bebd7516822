"""What the rest of the bridge knows of its database: a handle for SQL, and a storage that runs work in transactions.

One SQL text serves both databases: parameters are `?`, conflicts are said with `ON CONFLICT`, and a row that must not
change until the commit is read with `lock=True`. The text holds neither `?` nor `%` in any other sense.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeVar

T = TypeVar("T")
Row = tuple[Any, ...]
Params = Sequence[object]
EventRow = tuple[int, int, int, int, str | None, str | None, bytes, bytes]
"""stream (its number), seq, received_ms, counted (0 for a fork's copy), type and reason of a dead letter, hash, raw."""
EVENT_COLUMNS = "stream, seq, received_ms, counted, type, dead, hash, raw"


class Db(Protocol):
    """One connection, inside a transaction that somebody else began and will end. Every method raises StorageError."""

    def execute(self, sql: str, params: Params = ()) -> int:
        """Run one statement; how many rows it changed."""

    def insert_batch(
        self, stream: int, first_seq: int, received_ms: int, hashes: Sequence[bytes], raws: Sequence[bytes]
    ) -> None:
        """Put consecutive events with nothing unusual about any into their table, as fast as this database can. Every
        hash has 32 bytes, no event is empty."""

    def insert_events(self, events: Sequence[EventRow]) -> None:
        """Put events of one stream into their table, whatever they are."""

    def executemany(self, sql: str, rows: Iterable[Params]) -> None:
        """Run one statement for each of `rows`."""

    def one(self, sql: str, params: Params = (), *, lock: bool = False) -> Row | None:
        """The first row, or None. With `lock` it stays as it is until this transaction ends."""

    def rows(self, sql: str, params: Params = ()) -> list[Row]:
        """All rows. Say LIMIT, or know that they are few."""

    def each(self, sql: str, params: Params = ()) -> Iterator[Row]:
        """Row by row, however many they are."""


Work = Callable[[Db], T]


class Connection(Db, Protocol):
    """A connection of one's own, for commands and tools beside the bridge. Use it from one thread at a time."""

    def transaction(self) -> AbstractContextManager[None]:
        """Commit at the end, or roll back and raise. Raises StorageError when the commit failed."""

    def close(self) -> None:
        """End it. Twice is harmless."""


class Storage(Protocol):
    """The database of one bridge. `open` before use, `close` after; both may block for a moment."""

    def open(self) -> None:
        """Make or migrate the database and begin to serve. Raises StorageError, OSError."""

    def close(self) -> None:
        """Finish what waits, then stop."""

    async def write(self, work: Work[T]) -> T:
        """Run `work(db)` in a transaction; its result after the commit.

        Raises what `work` raised, or StorageError, with nothing of it kept. `work` runs in another thread, and may run
        again after it was rolled back: it has no effect but on the database.
        """

    async def read(self, work: Work[T]) -> T:
        """Run `work(db)` where nothing can be written; its result. Raises StorageError."""
