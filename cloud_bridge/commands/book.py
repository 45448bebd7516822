"""The SQL of commands: what was issued, to which stream, and every word that a store has said about it.

Every function runs inside the caller's transaction; one text for both databases.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import msgspec

from cloud_bridge.commands.verdict import Said, Verdict, Word, verdict
from cloud_bridge.storage import Db, open_writer
from contracts.clock import Clock, unix_ms
from contracts.envelope import BadEventError, decode_data, decode_envelope
from contracts.event_types import CommandAccepted, CommandCompleted, CommandRefused
from contracts.messages import Command

MARK = b"cn.zhanggui.command."
MAX_AT_ONCE = 64  # commands of one store that are said again after one hello
OUTCOMES = ("done", "failed", "refused", "unknown")
_COLUMNS = "id, stream, type, args, issued_by, issued_ms, expires_ms, lost_ms"


@dataclass(frozen=True, slots=True)
class Issued:
    """One command as it was issued. `args` as its type takes them; `lost`: the cloud was restored while it was open."""

    tenant: str
    store: str
    id: str
    stream: str
    type: str
    args: dict[str, str | int | None]
    issued_by: str
    issued_ms: int
    expires_ms: int
    lost: bool = False

    def message(self, now_ms: int) -> Command:
        """What is published now: its life is what is left of it."""
        return Command(
            id=self.id,
            stream=self.stream,
            type=self.type,
            args=self.args,
            issued_by=self.issued_by,
            expires_at=self.expires_ms,
            ttl_ms=max(0, self.expires_ms - now_ms),
        )


@dataclass(frozen=True, slots=True)
class Order:
    """A command and what is known of it."""

    issued: Issued
    words: tuple[Word, ...]

    def verdict(self, now_ms: int) -> Verdict:
        """What became of it, as far as is known."""
        return verdict(self.words, expires_ms=self.issued.expires_ms, now_ms=now_ms, lost=self.issued.lost)


# ------------------------------------------------------------------ where a store stands


def heard(db: Db, tenant: str, store: str, stream: str, now_ms: int) -> None:
    """The active instance of a store has said hello in this stream of its ledger lane: commands name it from now on."""
    row = db.one("SELECT stream FROM command_targets WHERE tenant = ? AND store = ?", (tenant, store))
    if row is not None and row[0] == stream:
        return
    db.execute(
        """
        INSERT INTO command_targets (tenant, store, stream, since_ms) VALUES (?, ?, ?, ?)
        ON CONFLICT (tenant, store) DO UPDATE SET stream = excluded.stream, since_ms = excluded.since_ms
        """,
        (tenant, store, stream, now_ms),
    )
    # A fork because this cloud has lost what the store had freed: what was open then may have been done.
    if db.one("SELECT 1 FROM lost WHERE child = ?", (stream,)):
        db.execute(
            "UPDATE commands SET lost_ms = ? WHERE tenant = ? AND store = ? AND stream <> ? AND lost_ms = 0",
            (now_ms, tenant, store, stream),
        )


def target(db: Db, tenant: str, store: str) -> str | None:
    """The stream that a command to this store must name; None before its first hello."""
    row = db.one("SELECT stream FROM command_targets WHERE tenant = ? AND store = ?", (tenant, store))
    return None if row is None else str(row[0])


def restored(db: Db, now_ms: int) -> int:
    """An operator's word that this database is an old copy: everything open becomes unknown; how many."""
    return db.execute(
        f"UPDATE commands SET lost_ms = ? WHERE lost_ms = 0 AND NOT {_ANSWERED}",  # noqa: S608 - a text of ours
        (now_ms,),
    )


def mark_restored(database: Path | str, *, clock: Clock) -> int:
    """The same for a database beside a running bridge; how many. Raises StorageError."""
    with contextlib.closing(open_writer(database)) as db, db.transaction():
        return restored(db, unix_ms(clock.wall()))


_ANSWERED = """EXISTS (SELECT 1 FROM command_words w WHERE w.tenant = commands.tenant AND w.store = commands.store
    AND w.command = commands.id AND w.said <> 'accepted')"""


# ------------------------------------------------------------------ commands


def issue(db: Db, issued: Issued) -> Issued:
    """Write it down, once; the one that stands there, which is another's if the id was used before."""
    db.execute(
        """
        INSERT INTO commands
            (tenant, store, id, stream, type, args, issued_by, issued_ms, expires_ms, published_ms, lost_ms)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0) ON CONFLICT DO NOTHING
        """,
        (
            issued.tenant,
            issued.store,
            issued.id,
            issued.stream,
            issued.type,
            msgspec.json.encode(issued.args).decode(),
            issued.issued_by,
            issued.issued_ms,
            issued.expires_ms,
        ),
    )
    found = find(db, issued.tenant, issued.store, issued.id)
    assert found is not None
    return found.issued


def open_commands(db: Db, tenant: str, store: str, now_ms: int) -> list[Issued]:
    """What is unanswered, unexpired and not in doubt: what is said again after a hello."""
    rows = db.rows(
        f"""
        SELECT tenant, store, {_COLUMNS} FROM commands
        WHERE tenant = ? AND store = ? AND expires_ms > ? AND lost_ms = 0 AND NOT {_ANSWERED}
        ORDER BY issued_ms, id LIMIT {MAX_AT_ONCE}
        """,  # noqa: S608 - a text of ours
        (tenant, store, now_ms),
    )
    return [_issued(row) for row in rows]


def count_open(db: Db, tenant: str, store: str, now_ms: int) -> int:
    """How many commands of a store are unanswered and unexpired."""
    row = db.one(
        f"SELECT count(*) FROM commands WHERE tenant = ? AND store = ? AND expires_ms > ? AND NOT {_ANSWERED}",  # noqa: S608 - the same
        (tenant, store, now_ms),
    )
    assert row is not None
    return int(row[0])


def unpublished(db: Db, now_ms: int) -> list[Issued]:
    """What nobody has published yet; another process may have issued it."""
    rows = db.rows(
        f"""
        SELECT tenant, store, {_COLUMNS} FROM commands
        WHERE published_ms = 0 AND expires_ms > ? AND lost_ms = 0 AND NOT {_ANSWERED} ORDER BY issued_ms, id LIMIT 200
        """,  # noqa: S608 - a text of ours
        (now_ms,),
    )
    return [_issued(row) for row in rows]


def published(db: Db, commands: Iterable[Issued], now_ms: int) -> None:
    """The broker has taken these."""
    db.executemany(
        "UPDATE commands SET published_ms = ? WHERE tenant = ? AND store = ? AND id = ?",
        [(now_ms, c.tenant, c.store, c.id) for c in commands],
    )


def find(db: Db, tenant: str, store: str, command: str) -> Order | None:
    """One command with its words."""
    row = db.one(
        f"SELECT tenant, store, {_COLUMNS} FROM commands WHERE tenant = ? AND store = ? AND id = ?",  # noqa: S608 - ours
        (tenant, store, command),
    )
    return None if row is None else Order(_issued(row), _words(db, tenant, store, [command]).get(command, ()))


def latest(db: Db, tenant: str, store: str, limit: int) -> list[Order]:
    """The last commands of a store, newest first."""
    rows = db.rows(
        f"""
        SELECT tenant, store, {_COLUMNS} FROM commands
        WHERE tenant = ? AND store = ? ORDER BY issued_ms DESC, id LIMIT ?
        """,  # noqa: S608 - a text of ours
        (tenant, store, limit),
    )
    found = [_issued(row) for row in rows]
    words = _words(db, tenant, store, [issued.id for issued in found])
    return [Order(issued, words.get(issued.id, ())) for issued in found]


def _issued(row: tuple[Any, ...]) -> Issued:
    tenant, store, command, stream, kind, args, issued_by, issued_ms, expires_ms, lost_ms = row
    return Issued(
        tenant, store, command, stream, kind, msgspec.json.decode(args), issued_by, issued_ms, expires_ms, bool(lost_ms)
    )


def _words(db: Db, tenant: str, store: str, commands: list[str]) -> dict[str, tuple[Word, ...]]:
    if not commands:
        return {}
    marks = ", ".join("?" * len(commands))
    rows = db.rows(
        f"""
        SELECT command, stream, seq, said, detail, result, received_ms FROM command_words
        WHERE tenant = ? AND store = ? AND command IN ({marks}) ORDER BY received_ms, stream, seq
        """,  # noqa: S608 - question marks of ours
        (tenant, store, *commands),
    )
    found: dict[str, tuple[Word, ...]] = {}
    for command, stream, seq, said, detail, result, received_ms in rows:
        word = Word(stream, seq, cast("Said", said), detail, msgspec.json.decode(result), received_ms)
        found[command] = (*found.get(command, ()), word)
    return found


# ------------------------------------------------------------------ words


def note_words(
    db: Db, *, tenant: str, store: str, stream: str, events: Iterable[tuple[int, bytes]], now_ms: int
) -> None:
    """Keep what a batch of the ledger lane says about commands, in the batch's own transaction.

    `events` are (sequence, bytes); what is none of ours, or broken, says nothing.
    """
    found = [(seq, raw) for seq, raw in events if MARK in raw]
    rows = [
        (tenant, store, command, stream, seq, said, detail, result, now_ms)
        for seq, raw in found
        for command, said, detail, result in _said(raw)
    ]
    if rows:
        db.executemany(
            """
            INSERT INTO command_words (tenant, store, command, stream, seq, said, detail, result, received_ms)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING
            """,
            rows,
        )


def _said(raw: bytes) -> Iterable[tuple[str, str, str, str]]:
    try:
        data = decode_data(decode_envelope(raw))
    except BadEventError:
        return
    match data:
        case CommandAccepted():
            yield data.command, "accepted", "", "{}"
        case CommandRefused():
            yield data.command, "refused", data.reason, "{}"
        case CommandCompleted():
            yield data.command, data.outcome, data.detail, msgspec.json.encode(data.result).decode()
        case _:
            return
