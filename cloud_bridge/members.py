"""Who is a member: imported from a file, found by reference. A refused file names the line, never the person."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from cloud_bridge.storage import Db, Storage, open_writer
from contracts.ids import check_id

MAX_FILE_BYTES = 64 << 20
MAX_MEMBERS = 500_000
MAX_LINE_CHARS = 4096
MAX_NAME_CHARS = 64
MAX_POINTS = 1_000_000_000
_REF = re.compile(r"[A-Za-z0-9_-]{1,32}")
_FIELDS = ("member_ref", "name", "points")


class MembersFileError(ValueError):
    """A members file that was refused as a whole; the message is `file:line: reason`."""


@dataclass(frozen=True, slots=True)
class Member:
    """`points` are those of the import; what was earned since is a projection."""

    member_ref: str
    name: str
    points: int


def read_members(file: Path) -> list[Member]:
    """The members in a CSV file (with a header) or a JSON-lines file (`.jsonl`, `.ndjson`). Raises MembersFileError."""
    try:
        size = file.stat().st_size
        if size > MAX_FILE_BYTES:
            raise MembersFileError(f"{file.name}:0: {size} bytes, at most {MAX_FILE_BYTES}")
        with file.open(encoding="utf-8-sig", newline="") as lines:
            json_lines = file.suffix in {".jsonl", ".ndjson"}
            return _checked(file.name, _json_rows(file.name, lines) if json_lines else _csv_rows(file.name, lines))
    except OSError as error:
        raise MembersFileError(f"{file.name}:0: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise MembersFileError(f"{file.name}:0: is not UTF-8 text") from error


def _capped(name: str, lines: Iterator[str]) -> Iterator[str]:
    for number, line in enumerate(lines, 1):
        if len(line) > MAX_LINE_CHARS:
            raise MembersFileError(f"{name}:{number}: more than {MAX_LINE_CHARS} characters")
        yield line


def _csv_rows(name: str, lines: Iterator[str]) -> Iterator[tuple[int, object]]:
    reader = csv.DictReader(_capped(name, lines), strict=True)
    try:
        if not reader.fieldnames or set(reader.fieldnames) != set(_FIELDS):
            raise MembersFileError(f"{name}:1: the header must be {','.join(_FIELDS)}")
        for row in reader:
            yield reader.line_num, row
    except csv.Error as error:
        raise MembersFileError(f"{name}:{reader.reader.line_num}: {error}") from error


def _json_rows(name: str, lines: Iterator[str]) -> Iterator[tuple[int, object]]:
    for number, line in enumerate(_capped(name, lines), 1):
        if not line.strip():
            continue
        try:
            yield number, json.loads(line)
        except (ValueError, RecursionError) as error:
            raise MembersFileError(f"{name}:{number}: is no JSON object") from error


def _checked(name: str, rows: Iterator[tuple[int, object]]) -> list[Member]:
    found: dict[str, Member] = {}
    for number, row in rows:
        try:
            member = _member(row)
        except ValueError as error:
            raise MembersFileError(f"{name}:{number}: {error}") from error
        if member.member_ref in found:
            raise MembersFileError(f"{name}:{number}: member_ref: stands in the file already")
        if len(found) >= MAX_MEMBERS:
            raise MembersFileError(f"{name}:{number}: more than {MAX_MEMBERS} members")
        found[member.member_ref] = member
    return list(found.values())


def _member(row: object) -> Member:
    """One row as a member. Raises ValueError with the field and the reason, never the value."""
    if not isinstance(row, dict) or set(row) != set(_FIELDS):
        raise ValueError(f"must hold exactly {', '.join(_FIELDS)}")
    ref, name, points = (row[key] for key in _FIELDS)
    if not isinstance(ref, str) or not _REF.fullmatch(ref):
        raise ValueError("member_ref: may hold only letters, digits, '_' and '-', 1 to 32 of them")
    if not isinstance(name, str) or not 1 <= len(name) <= MAX_NAME_CHARS or not name.isprintable():
        raise ValueError(f"name: must be 1 to {MAX_NAME_CHARS} printable characters")
    if isinstance(points, str) and re.fullmatch(r"\d{1,10}", points, re.ASCII):
        points = int(points)
    if not isinstance(points, int) or isinstance(points, bool) or not 0 <= points <= MAX_POINTS:
        raise ValueError(f"points: must be a whole number from 0 to {MAX_POINTS}")
    return Member(ref, name, points)


def save_members(db: Db, tenant: str, members: list[Member]) -> int:
    """Add or replace members of a tenant; how many."""
    check_id(tenant, "tenant")
    db.executemany(
        """
        INSERT INTO members (tenant, member_ref, name, points) VALUES (?, ?, ?, ?)
        ON CONFLICT (tenant, member_ref) DO UPDATE SET name = excluded.name, points = excluded.points
        """,
        ((tenant, member.member_ref, member.name, member.points) for member in members),
    )
    return len(members)


def import_members(database: Path | str, file: Path, *, tenant: str) -> int:
    """Import `file` into the database at `database`, whole or not at all; how many members.

    Raises MembersFileError, BadIdError, StorageError. A running bridge sees the new members at once.
    """
    members = read_members(file)
    with closing(open_writer(database)) as db, db.transaction():
        return save_members(db, tenant, members)


async def import_into(storage: Storage, file: Path, *, tenant: str) -> int:
    """The same through an open storage."""
    members = read_members(file)
    return await storage.write(lambda db: save_members(db, tenant, members))


def find_member(db: Db, tenant: str, member_ref: str) -> Member | None:
    """The member of this tenant; None for nobody."""
    row = db.one(
        "SELECT member_ref, name, points FROM members WHERE tenant = ? AND member_ref = ?", (tenant, member_ref)
    )
    return Member(*row) if row else None
