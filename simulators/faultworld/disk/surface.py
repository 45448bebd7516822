"""What a disk may hold after the power fails: a pure model of one folder, its names and the sectors of its files.

Since the last sync of a file each of its sectors may hold any content it has had since then, and its size may be any
it has had. Since the last sync of the folder its names may stand as after any of the changes made since then, in
their order (file systems keep their directories in a journal). Nothing else may differ.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Literal

Mode = Literal["lose", "keep", "random"]
_CHANCES = (0.05, 0.5, 0.95)  # of a sector to be behind; one of them for a whole cut, so that near misses come often


@dataclass(slots=True)
class Medium:
    """One file. `write`, `truncate` and `sync` say what the program asked; `held` what a power cut leaves.

    Every sector that may differ has its history: contents, each with the truncation that its blocks were born after.
    Most writes are followed by a sync and nobody asks what might have been: they lie in `log` until somebody does.
    """

    settled: bytes | bytearray
    sector_bytes: int
    sizes: list[tuple[int, int]] = field(default_factory=list)  # (truncations before it, size), the last is current
    maybe: dict[int, list[tuple[int, bytes]]] = field(default_factory=dict)
    dirty: set[int] = field(default_factory=set)  # sectors that the next sync brings down; the rest of `maybe` it loses
    shared: bool = False  # with a copy: `settled` is to be copied before it changes
    log: list[tuple[int, bytes]] = field(default_factory=list)  # the last writes, not yet in `maybe` and `dirty`

    def __post_init__(self) -> None:
        self.sizes = self.sizes or [(0, len(self.settled))]

    @property
    def size_bytes(self) -> int:
        return self.sizes[-1][1]

    def write(self, offset: int, data: bytes) -> None:
        """Bytes at an offset, as the file system's cache takes them."""
        self.log.append((offset, data))
        end = offset + len(data)
        if end > self.size_bytes:
            self.sizes.append((self.sizes[-1][0], end))

    def _unfold(self) -> None:
        """Give the sectors of the last writes their histories."""
        step = self.sector_bytes
        for offset, data in self.log:
            end = offset + len(data)
            for sector in range(offset // step, -(-end // step)):
                low, high = max(offset, sector * step), min(end, (sector + 1) * step)
                born, before = self._history(sector)[-1]
                start = low - sector * step
                after = before[:start] + data[low - offset : high - offset] + before[start + high - low :]
                self.maybe[sector].append((born, after))
                self.dirty.add(sector)
        self.log.clear()

    def truncate(self, size_bytes: int) -> None:
        """Cut (or stretch with zeros) to a size."""
        self._unfold()
        step, before = self.sector_bytes, self.size_bytes
        truncations = self.sizes[-1][0] + 1
        self.sizes.append((truncations, size_bytes))
        for sector in range(size_bytes // step, -(-before // step)):
            keep = max(0, size_bytes - sector * step)
            history = self._history(sector)
            cut = [content[:keep] + bytes(step - keep) for born, content in history if born == history[-1][0]]
            history.extend((truncations, content) for content in (cut if keep else cut[-1:]))
            self.dirty.add(sector)

    def sync(self) -> None:
        """Everything written since the last sync is on the disk; what a failed sync gave up may still be missing."""
        if self.maybe:
            self._unfold()
        step, size = self.sector_bytes, self.size_bytes
        if self.shared or not isinstance(self.settled, bytearray):
            self.settled, self.shared = bytearray(self.settled), False
        del self.settled[size:]
        self.settled.extend(bytes(size - len(self.settled)))
        for offset, data in self.log:
            self.settled[offset : offset + len(data)] = data
        self.log.clear()
        for sector in self.dirty:
            content = self.maybe.pop(sector)[-1][1]
            self.settled[sector * step : (sector + 1) * step] = content[: max(0, size - sector * step)]
        self.dirty.clear()
        for sector, history in self.maybe.items():
            self.maybe[sector] = [(0, content) for born, content in history if born == history[-1][0]]
        self.sizes = [(0, self.size_bytes)]

    def give_up(self) -> None:
        """A sync has failed: the cache calls its pages clean, so that no later sync brings them down unless they are
        written again. Whether they came down is not known. Linux does so."""
        self._unfold()
        self.dirty.clear()

    def held(self, rng: random.Random, mode: Mode, *, powersafe: bool = True) -> bytes:
        """The file after a power cut; `lose` and `keep` are its two ends."""
        self._unfold()
        step = self.sector_bytes
        behind, garbage = rng.choice(_CHANCES), rng.random() < 0.125
        truncations, size = self.sizes[_place(rng, mode, len(self.sizes), behind)]
        found = bytearray(self.settled[:size].ljust(size, b"\0"))
        torn = rng.choice(sorted(self.maybe)) if self.maybe and mode == "random" and rng.random() < 0.25 else None
        for sector, history in sorted(self.maybe.items()):
            if sector * step >= size:
                continue
            alive = max((born for born, _ in history if born <= truncations), default=0)
            contents = [content for born, content in history if born == alive]
            place = _place(rng, mode, len(contents), behind)
            content = contents[place]
            if mode == "random":
                if sector == torn and place + 1 < len(contents):  # a write goes through its sector from end to end
                    at = rng.randrange(step)
                    content = contents[place + 1][:at] + content[at:]
                elif garbage and place == 0 and sector * step >= len(self.settled):
                    content = rng.randbytes(step)  # blocks that were given to the file and never written
                elif not powersafe and len(contents) > 1 and rng.random() < 0.5:
                    content = rng.randbytes(step)
            found[sector * step : min(size, (sector + 1) * step)] = content[: size - sector * step]
        return bytes(found)

    def copy(self) -> Medium:
        """The same, to be kept while this one changes."""
        self.shared = True
        maybe = {sector: list(history) for sector, history in self.maybe.items()}
        return Medium(
            self.settled, self.sector_bytes, list(self.sizes), maybe, set(self.dirty), shared=True, log=list(self.log)
        )

    def _history(self, sector: int) -> list[tuple[int, bytes]]:
        if sector not in self.maybe:
            start = sector * self.sector_bytes
            content = bytes(self.settled[start : start + self.sector_bytes]).ljust(self.sector_bytes, b"\0")
            self.maybe[sector] = [(0, content)]
        return self.maybe[sector]


@dataclass(slots=True)
class Surface:
    """The files of one folder by name, and the changes of names that no sync of the folder has settled yet.

    A change is (name, what it names now or None, name it was renamed from or "").
    """

    settled: dict[str, Medium] = field(default_factory=dict)
    changes: list[tuple[str, Medium | None, str]] = field(default_factory=list)
    now: dict[str, Medium] = field(default_factory=dict)
    foreign: dict[str, bytes] = field(default_factory=dict)  # files that SQLite did not write: taken as they are

    def found(self, name: str, medium: Medium) -> None:
        """A file that was there before anybody looked."""
        self.settled[name] = self.now[name] = medium

    def changed(self, name: str, medium: Medium | None, renamed_from: str = "") -> None:
        """A name was created, deleted (None) or renamed."""
        self.changes.append((name, medium, renamed_from))
        _change(self.now, name, medium, renamed_from)

    def sync_names(self) -> None:
        """The folder itself was synced."""
        self.settled, self.changes = dict(self.now), []

    def held(self, rng: random.Random, mode: Mode = "random", *, powersafe: bool = True) -> dict[str, bytes]:
        """Every file after a power cut."""
        count = _place(rng, mode, len(self.changes) + 1, 0.5)
        names = dict(self.settled)
        for change in self.changes[:count]:
            _change(names, *change)
        files = {name: medium.held(rng, mode, powersafe=powersafe) for name, medium in sorted(names.items())}
        return {**self.foreign, **files}

    def copy(self) -> Surface:
        """The same, to be kept while this one changes."""
        media = [*self.settled.values(), *(medium for _, medium, _ in self.changes if medium), *self.now.values()]
        copies = {id(medium): medium.copy() for medium in media}
        return Surface(
            {name: copies[id(medium)] for name, medium in self.settled.items()},
            [(name, copies[id(medium)] if medium else None, old) for name, medium, old in self.changes],
            {name: copies[id(medium)] for name, medium in self.now.items()},
            dict(self.foreign),
        )


def _place(rng: random.Random, mode: Mode, count: int, behind: float) -> int:
    """Which of `count` states, the oldest first: the newest but for a chance to be behind."""
    if mode != "random":
        return 0 if mode == "lose" else count - 1
    return rng.randrange(count) if rng.random() < behind else count - 1


def _change(names: dict[str, Medium], name: str, medium: Medium | None, renamed_from: str) -> None:
    names.pop(renamed_from, None)
    if medium is None:
        names.pop(name, None)
    else:
        names[name] = medium
