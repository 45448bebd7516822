"""Cut the power at every call of a real program, or fail that call, and judge what comes back.

A program is an async generator: each `yield` acknowledges one step, with a check of what was promised by it. What the
files hold is looked at as a *picture*, so that "everything acknowledged, nothing half" is one comparison: after a cut
during step k the picture is that of k - 1 steps or of k.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from simulators.faultworld.disk import Call, FaultyDisk, Mode, Surface, no_faults, write_files

Check = Callable[[Path], None]  # raises AssertionError if a folder does not hold what was promised
Program = Callable[[Path], AsyncGenerator[Check, None]]
Picture = Callable[[Path], object]
Reopen = Callable[[Path], Awaitable[None]]


@dataclass(frozen=True)
class Moment:
    """What the disk may hold before a call (`call` is None after the last), and how many steps were acknowledged."""

    surface: Surface
    done: int
    call: Call | None


@dataclass
class Recording:
    """All moments of one run, the picture after 0, 1, 2 … steps, and promises that were not even written."""

    moments: list[Moment] = field(default_factory=list)
    pictures: list[object] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)


async def recorded(folder: Path, program: Program, picture: Picture, *, sector_bytes: int = 512) -> Recording:
    """Run a program once on a good disk and keep a moment before each of its calls."""
    found, beside = Recording(), folder.with_name("picture")

    def keep(call: Call | None) -> None:
        if call is None or call.kind != "open":  # nothing changes between an open and the call before it
            found.moments.append(Moment(disk.snapshot(), len(found.pictures) - 1, call))

    def look(check: Check) -> None:
        write_files(disk.snapshot().held(Random(0), "keep"), beside)
        found.pictures.append(picture(beside))
        try:
            check(beside)
        except AssertionError as error:
            found.broken.append(f"step {len(found.pictures) - 1} told too early: {error}")

    with FaultyDisk(folder, sector_bytes=sector_bytes) as disk:
        look(lambda _folder: None)
        disk.plan = keep
        async with contextlib.aclosing(program(folder)) as steps:
            async for check in steps:
                disk.plan = no_faults
                look(check)
                disk.plan = keep
        disk.plan = no_faults
        keep(None)
    return found


def cuts(moment: Moment, seeds: int, salt: int = 0) -> Iterator[tuple[str, dict[str, bytes]]]:
    """Nothing arrived, everything arrived, and `seeds` times something between; each with its name."""
    modes: list[Mode] = ["lose", "keep", *["random"] * seeds]
    for number, mode in enumerate(modes):
        at = moment.call.number if moment.call else 0
        yield f"{mode} {number}", moment.surface.held(Random(at * 1009 + number + salt * 7919), mode)


async def judge(
    recording: Recording,
    folder: Path,
    picture: Picture,
    reopen: Reopen,
    *,
    seeds: int,
    every: int = 1,
    salt: int = 0,
    reopen_every: int = 1,
    enough: int = 10,
) -> list[str]:
    """Cut at every moment (or every n-th); what came back wrong, one line each, until that is `enough`.

    `reopen` raises AssertionError.
    """
    wrong = list(recording.broken)
    for count, moment in enumerate(recording.moments):
        if count % every:
            continue
        allowed = recording.pictures[moment.done : moment.done + 2]
        for number, (name, files) in enumerate(cuts(moment, seeds, salt)):
            write_files(files, folder)
            where = f"cut before {moment.call}, {moment.done} steps done, {name}"
            try:
                found = picture(folder)
                if found not in allowed:
                    wrong.append(f"{where}: {found!r:.300} instead of {allowed!r:.600}")
                elif (count + number) % reopen_every == 0:
                    await reopen(folder)
            except (sqlite3.Error, AssertionError) as error:
                wrong.append(f"{where}: {type(error).__name__} {error}")
            if len(wrong) >= enough:
                return wrong
    return wrong


def tables(path: Path, without: frozenset[str]) -> dict[str, list[tuple[object, ...]]]:
    """Every row of every table of a database that is sound; {} where there is none."""
    if not path.exists():
        return {}
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type='table'")]
        return {
            name: connection.execute(f"SELECT * FROM {name} ORDER BY 1, 2").fetchall()
            for name in names
            if name not in without
        }
