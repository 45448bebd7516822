"""A disk that fails as it is told to, under the real SQLite of this process."""

from __future__ import annotations

import ctypes
import os
import random
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

from simulators.faultworld.disk import vfs
from simulators.faultworld.disk.surface import Medium, Mode, Surface

Kind = Literal["open", "read", "write", "truncate", "sync", "delete", "index"]
_HOOKS = frozenset({"Write", "Truncate", "Sync", "ShmMap"})
_CODES = {
    ("open", "io"): vfs.CANTOPEN,
    ("open", "full"): vfs.CANTOPEN,
    ("read", "io"): vfs.IOERR | 1 << 8,
    ("write", "io"): vfs.IOERR | 3 << 8,
    ("write", "full"): vfs.FULL,
    ("sync", "io"): vfs.IOERR | 4 << 8,
    ("truncate", "io"): vfs.IOERR | 6 << 8,
    ("delete", "io"): vfs.IOERR | 10 << 8,
    ("index", "io"): vfs.IOERR | 21 << 8,
    ("index", "full"): vfs.IOERR | 19 << 8,
}
INDEX = "-shm"  # the WAL's index: rebuilt after every crash, so no content of it ever counts


@dataclass(frozen=True, slots=True)
class Call:
    """One call of SQLite that the disk may answer badly; `number` counts all calls from 1."""

    number: int
    kind: Kind
    name: str
    offset: int = 0
    size_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What the disk does instead of obeying.

    `full` (writes) and `io` are errors that SQLite is told of; of a failed write `written_bytes` have come through.
    `lie` (syncs) answers well and brings nothing down: no program can be safe on such a disk, so it is outside our
    guarantee and exists to show what it does. `slow` obeys after the disk's `slow` was called with `delay_s`.
    """

    what: Literal["full", "io", "lie", "slow"]
    written_bytes: int = 0
    delay_s: float = 0.0


Plan = Callable[[Call], Fault | None]


def no_faults(_call: Call) -> None:
    """The plan of a good disk."""


class FaultyDisk:
    """The disk under all SQLite files directly in `folder`, from now until `close`.

    `plan` is asked before every call, in the thread that makes it. `capacity_bytes` is what all files of the folder
    together may hold. `reads=True` also puts reads to the plan (they are many). Not `powersafe`: a power cut may spoil
    the rest of a sector that was being written; open it by `uri`, which tells SQLite. `slow(delay_s)` is what a slow
    call waits with. The machine's own fsync is not called unless `real_syncs`: what counts is the model.
    """

    def __init__(
        self,
        folder: Path,
        *,
        plan: Plan = no_faults,
        capacity_bytes: int | None = None,
        sector_bytes: int = 512,
        powersafe: bool = True,
        reads: bool = False,
        slow: Callable[[float], None] | None = None,
        real_syncs: bool = False,
    ) -> None:
        self.folder = folder.resolve()
        self.plan = plan
        self.capacity_bytes = capacity_bytes
        self.counters: Counter[str] = Counter()
        self.dead = False
        self.calls = 0
        self._sector_bytes = sector_bytes
        self._powersafe = powersafe
        self.hooks = _HOOKS | {"Read"} if reads else _HOOKS
        self._slow = slow
        self._real_syncs = real_syncs
        self._surface = Surface()
        self._inodes: dict[str, int] = {}  # the inode behind each name, to see renames made outside SQLite
        self._read: dict[tuple[str, int, int, int], bytes] = {}
        self._errors: list[BaseException] = []
        self._lock = threading.RLock()
        vfs.attach(str(self.folder), self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Files opened from now on are the machine's own again. Raises what a plan or the shim itself raised."""
        vfs.detach(str(self.folder), self)
        if self._errors:
            raise self._errors[0]

    # -------------------------------------------------------------- for programs

    def uri(self, path: Path, *, mode: str = "rwc") -> str:
        """The URI of a database on this disk, for `sqlite3.connect(…, uri=True)`. A plain path works as well."""
        return f"{path.resolve().as_uri()}?mode={mode}&vfs={vfs.NAME}&psow={int(self._powersafe)}"

    def connect(self, path: Path, timeout_s: float = 5.0) -> sqlite3.Connection:
        """A connection without implicit transactions, usable from any thread."""
        return sqlite3.connect(
            self.uri(path), uri=True, timeout=timeout_s, isolation_level=None, check_same_thread=False
        )

    def free_bytes(self, _folder: Path) -> int:
        """What may still be written; 2**40 without a capacity. Fits `Ledger.open(free=…)`."""
        if self.capacity_bytes is None:
            return 2**40
        return max(0, self.capacity_bytes - sum(entry.stat().st_size for entry in self._entries()))

    # -------------------------------------------------------------- the power

    def unplug(self) -> None:
        """From now on every call fails and changes nothing: the program that uses this disk is no more."""
        self.dead = True

    def snapshot(self) -> Surface:
        """The disk's possibilities at this moment; `Surface.held` chooses among them at any later time."""
        with self._lock:
            self._look()
            self._surface.foreign = {
                entry.name: self._foreign(entry) for entry in self._entries() if entry.name not in self._surface.now
            }
            return self._surface.copy()

    def power_cut(self, rng: random.Random, into: Path, mode: Mode = "random") -> None:
        """Unplug, and write what the disk may hold now into a folder (made if need be; may be the disk's own)."""
        surface = self.snapshot()
        self.unplug()
        if into.resolve() == self.folder:
            vfs.detach(str(self.folder), self)
        write_files(surface.held(rng, mode, powersafe=self._powersafe), into)

    # -------------------------------------------------------------- for the shim

    def on_open(self, path: str, real: vfs.Real) -> tuple[int, Any]:
        """Asked by the shim."""
        name = path.rpartition("/")[2]

        def opened(_fault: Fault | None) -> int:
            self._look()
            existed = os.path.exists(path)  # noqa: PTH110  # hot, and a plain string is what SQLite gives
            if existed and name not in self._surface.now:  # before SQLite locks it: closing the file drops its locks
                content = Path(path).read_bytes()
                self._surface.found(name, Medium(content, self._sector_bytes))
            code = real()
            if code == vfs.OK:
                if not existed:
                    self._surface.changed(name, Medium(b"", self._sector_bytes))
                self._inodes[name] = os.stat(path).st_ino  # noqa: PTH116  # the same
            return code

        return self._answer("open", name, opened), self._surface.now.get(name)

    def on_delete(self, path: str, sync_folder: bool, real: vfs.Real) -> int:
        """Asked by the shim."""
        name = path.rpartition("/")[2]

        def deleted(_fault: Fault | None) -> int:
            code = real()
            if code == vfs.OK and self._inodes.pop(name, None) is not None:
                self._surface.changed(name, None)
            if code == vfs.OK and sync_folder:
                self._surface.sync_names()
            return code

        return self._answer("delete", name, deleted)

    def on_call(self, file: vfs.OpenFile, name: str, arguments: tuple[Any, ...]) -> int:
        """Asked by the shim."""
        match name:
            case "Write":
                return self._answer("write", file.name, self._written, arguments[3], arguments[2], file, arguments)
            case "Sync":
                return self._answer("sync", file.name, self._synced, 0, 0, file, arguments)
            case "Truncate":
                return self._answer("truncate", file.name, self._truncated, arguments[1], 0, file, arguments)
            case "ShmMap" if arguments[3]:
                return self._answer("index", file.name + INDEX, self._obeyed, 0, 0, file, name, arguments)
            case "Read":
                return self._answer("read", file.name, self._obeyed, arguments[3], arguments[2], file, name, arguments)
        return file.real[name](*arguments)

    # -------------------------------------------------------------- inside

    def _written(self, fault: Fault | None, file: vfs.OpenFile, arguments: tuple[Any, ...]) -> int:
        at, content_at, size_bytes, offset = arguments
        medium: Medium = file.own
        if self.capacity_bytes is not None:
            fault = fault or self._no_room(medium, offset, size_bytes)
        come = size_bytes if fault is None else min(size_bytes, fault.written_bytes)
        code = file.real["Write"](at, content_at, come, offset) if come else vfs.OK
        if code == vfs.OK and come:
            medium.write(offset, ctypes.string_at(content_at, come))
        return code if fault is None else _CODES["write", fault.what]

    def _truncated(self, _fault: Fault | None, file: vfs.OpenFile, arguments: tuple[Any, ...]) -> int:
        code = file.real["Truncate"](*arguments)
        if code == vfs.OK:
            file.own.truncate(arguments[1])
        return code

    def _synced(self, fault: Fault | None, file: vfs.OpenFile, arguments: tuple[Any, ...]) -> int:
        code = file.real["Sync"](*arguments) if self._real_syncs else vfs.OK
        if fault is not None and fault.what == "lie":
            return vfs.OK
        if fault is not None or code != vfs.OK:
            file.own.give_up()
            return _CODES["sync", "io"]
        file.own.sync()
        if file.fresh_name:
            self._surface.sync_names()
            file.fresh_name = False
        return code

    def _obeyed(self, _fault: Fault | None, file: vfs.OpenFile, name: str, arguments: tuple[Any, ...]) -> int:
        return file.real[name](*arguments)

    def _answer(
        self, kind: Kind, name: str, act: Callable[..., int], offset: int = 0, size_bytes: int = 0, *arguments: Any
    ) -> int:
        """Ask the plan and act on it. No exception may leave for SQLite: the first one is kept for `close`."""
        with self._lock:
            try:
                fault = None
                if not self.dead:
                    self.calls += 1
                    self.counters[kind] += 1
                    if self.plan is not no_faults:  # the usual plan need not be told
                        fault = self.plan(Call(self.calls, kind, name, offset, size_bytes))
                if self.dead:  # the plan itself may have pulled the plug
                    self.counters["refused"] += 1
                    return _CODES[kind, "io"]
                if fault is not None:
                    self.counters[f"{kind}_{fault.what}"] += 1
                    if fault.what == "slow":
                        if self._slow is not None:
                            self._slow(fault.delay_s)
                        fault = None
                    elif kind not in ("write", "sync"):
                        return _CODES[kind, fault.what]
                return act(fault, *arguments)
            except BaseException as error:  # noqa: BLE001  # ctypes would print it and answer "good"
                self._errors.append(error)
                return _CODES[kind, "io"]

    def _no_room(self, medium: Medium, offset: int, size_bytes: int) -> Fault | None:
        growth = offset + size_bytes - medium.size_bytes
        if self.capacity_bytes is None or growth <= 0:
            return None
        short_bytes = growth - self.free_bytes(self.folder)
        if short_bytes <= 0:
            return None
        self.counters["write_full"] += 1
        return Fault(what="full", written_bytes=max(0, size_bytes - short_bytes))

    def _entries(self) -> list[os.DirEntry[str]]:
        with os.scandir(self.folder) as entries:
            return [entry for entry in entries if entry.is_file() and not entry.name.endswith(INDEX)]

    def _foreign(self, entry: os.DirEntry[str]) -> bytes:
        """The bytes of a file that SQLite does not write, read again only when it has changed."""
        look = entry.stat()
        key = (entry.name, look.st_ino, look.st_size, look.st_mtime_ns)
        if key not in self._read:
            self._read = {known: content for known, content in self._read.items() if known[0] != entry.name}
            self._read[key] = Path(entry.path).read_bytes()
        return self._read[key]

    def _look(self) -> None:
        """See what was renamed or unlinked without SQLite."""
        numbers = {entry.name: entry.inode() for entry in self._entries()}
        names = {number: name for name, number in numbers.items()}
        for name, number in list(self._inodes.items()):
            if numbers.get(name) == number:
                continue
            medium, place = self._surface.now[name], names.get(number)
            del self._inodes[name]
            if place is None:
                self._surface.changed(name, None)
            else:
                self._surface.changed(place, medium, renamed_from=name)
                self._inodes[place] = number


def write_files(files: Mapping[str, bytes], folder: Path) -> None:
    """Make `folder` hold exactly `files`, each a new file: handles still open on old ones see nothing of it."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        if old.is_file():
            old.unlink()
    for name, content in files.items():
        (folder / name).write_bytes(content)
