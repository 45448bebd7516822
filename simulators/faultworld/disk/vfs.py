"""The shim between SQLite and the machine's file system: a VFS that hands chosen calls to a disk of ours.

It is registered in the very libsqlite3 that Python's `sqlite3` uses, as the default VFS, so that no program needs to
know of it. The table of an open file is a copy of the machine's own with a few entries replaced: everything else
(locks, the shared index of the WAL, reads) stays in C. Files outside the folders of our disks are not touched at all.
"""

from __future__ import annotations

import _sqlite3
import atexit
import ctypes
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

NAME = "zhanggui-faulty"
OK, FULL, IOERR, CANTOPEN = 0, 13, 10, 14
OPEN_CREATE, OPEN_JOURNALS = 0x4, 0x800 | 0x4000 | 0x80000  # of a database, of several databases, WAL
_int, _long, _ptr = ctypes.c_int, ctypes.c_int64, ctypes.c_void_p


class UnsupportedSqliteError(RuntimeError):
    """This Python's SQLite cannot be given a VFS from Python; the message says why."""


_VFS_CALLS = """
    Open Delete Access FullPathname DlOpen DlError DlSym DlClose Randomness Sleep CurrentTime GetLastError
    CurrentTimeInt64 SetSystemCall GetSystemCall NextSystemCall
"""
_FILE_CALLS = """
    Close Read Write Truncate Sync FileSize Lock Unlock CheckReservedLock FileControl SectorSize DeviceCharacteristics
    ShmMap ShmLock ShmBarrier ShmUnmap Fetch Unfetch
"""


class _Vfs(ctypes.Structure):
    _fields_ = (
        ("version", _int),
        ("file_bytes", _int),
        ("longest_path", _int),
        ("next", _ptr),
        ("name", ctypes.c_char_p),
        ("data", _ptr),
        *((f"x{name}", _ptr) for name in _VFS_CALLS.split()),
    )


class _Methods(ctypes.Structure):
    _fields_ = (("version", _int), *((f"x{name}", _ptr) for name in _FILE_CALLS.split()))


_OPEN = ctypes.CFUNCTYPE(_int, _ptr, _ptr, _ptr, _int, _ptr)
_DELETE = ctypes.CFUNCTYPE(_int, _ptr, _ptr, _int)
_SHAPES = {
    "Close": ctypes.CFUNCTYPE(_int, _ptr),
    "Read": ctypes.CFUNCTYPE(_int, _ptr, _ptr, _int, _long),
    "Write": ctypes.CFUNCTYPE(_int, _ptr, _ptr, _int, _long),
    "Truncate": ctypes.CFUNCTYPE(_int, _ptr, _long),
    "Sync": ctypes.CFUNCTYPE(_int, _ptr, _int),
    "ShmMap": ctypes.CFUNCTYPE(_int, _ptr, _int, _int, _int, _ptr),
}
Real = Callable[..., int]


class Disk(Protocol):
    """What the shim asks of a disk; each gives back a result code of SQLite. `hooks` are those of `Read Write Truncate
    Sync ShmMap` that it wants to see: the others stay in C."""

    hooks: frozenset[str]

    def on_open(self, path: str, real: Real) -> tuple[int, Any]:
        """Also what the disk wants to find again in `OpenFile.own`."""

    def on_delete(self, path: str, sync_folder: bool, real: Real) -> int:
        """A file is to be unlinked."""

    def on_call(self, file: OpenFile, name: str, arguments: tuple[Any, ...]) -> int:
        """One of `hooks`, with the arguments as in SQLite's interface, the file's address first: those of
        `file.real[name]`."""


@dataclass(slots=True)
class OpenFile:
    """One handle that SQLite holds; `fresh_name`: its first sync also syncs the folder, as SQLite's own VFS does."""

    disk: Disk
    name: str  # without its folder
    own: Any
    fresh_name: bool
    real: dict[str, Real]


@dataclass(slots=True)
class _Shim:
    """The one registered VFS of this process, made with the first disk and kept as long as the process lives."""

    library: ctypes.CDLL
    base: _Vfs
    base_at: int
    vfs: _Vfs = field(default_factory=_Vfs)
    disks: dict[str, Disk] = field(default_factory=dict)
    files: dict[int, OpenFile] = field(default_factory=dict)
    tables: dict[tuple[int, frozenset[str]], tuple[_Methods, dict[str, Real]]] = field(default_factory=dict)
    callbacks: list[Any] = field(default_factory=list)

    def disk_of(self, path_at: int | None) -> tuple[str, Disk | None]:
        path = ctypes.string_at(path_at).decode() if path_at else ""
        return path, self.disks.get(path.rpartition("/")[0])

    def open(self, _vfs: int, path_at: int | None, at: int, flags: int, flags_out: int | None) -> int:
        path, disk = self.disk_of(path_at)

        def real() -> int:
            return int(_OPEN(self.base.xOpen)(self.base_at, path_at, at, flags, flags_out))

        if disk is None:
            return real()
        methods_at = ctypes.c_size_t.from_address(at)  # the file's table of methods is its first word
        methods_at.value = 0
        code, own = disk.on_open(path, real)
        if code == OK:
            table, functions = self.table(methods_at.value, disk.hooks)
            fresh = bool(flags & OPEN_CREATE and flags & OPEN_JOURNALS)
            self.files[at] = OpenFile(disk, path.rpartition("/")[2], own, fresh, functions)
            methods_at.value = ctypes.addressof(table)
        return code

    def delete(self, _vfs: int, path_at: int, sync_folder: int) -> int:
        path, disk = self.disk_of(path_at)

        def real() -> int:
            return int(_DELETE(self.base.xDelete)(self.base_at, path_at, sync_folder))

        return real() if disk is None else disk.on_delete(path, bool(sync_folder), real)

    def closed(self, at: int) -> int:
        return self.files.pop(at).real["Close"](at)

    def hook(self, name: str) -> Callable[..., int]:
        """What stands in a table for one call; it is made often, so nothing is looked up that can be known before."""
        files = self.files
        if name == "Close":
            return self.closed

        def called(*arguments: Any) -> int:
            file = files[arguments[0]]
            return file.disk.on_call(file, name, arguments)

        return called

    def table(self, base_at: int, hooks: frozenset[str]) -> tuple[_Methods, dict[str, Real]]:
        """A copy of one of the machine's tables, with our entries for these, and the entries they stand for."""
        if (base_at, hooks) not in self.tables:
            base, ours = _Methods.from_address(base_at), _Methods()
            ctypes.memmove(ctypes.addressof(ours), base_at, ctypes.sizeof(_Methods))
            ours.version = 2  # without xFetch: a mapped file would be written behind our back
            there = {name: shape for name, shape in _SHAPES.items() if getattr(base, f"x{name}")}
            for name in there.keys() & {"Close", *hooks}:
                callback = there[name](self.hook(name))
                self.callbacks.append(callback)
                setattr(ours, f"x{name}", ctypes.cast(callback, _ptr).value)
            functions: dict[str, Real] = {name: shape(getattr(base, f"x{name}")) for name, shape in there.items()}
            self.tables[base_at, hooks] = ours, functions
        return self.tables[base_at, hooks]

    def retire(self) -> None:
        """Step out of every call, at the end of the process: connections that are still open outlive Python."""
        for (base_at, _hooks), (table, _) in self.tables.items():
            ctypes.memmove(ctypes.addressof(table), base_at, ctypes.sizeof(_Methods))
        self.vfs.xOpen, self.vfs.xDelete = self.base.xOpen, self.base.xDelete
        for lasting in (self.vfs, *(table for table, _ in self.tables.values())):
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(lasting))


_shims: list[_Shim] = []


def attach(folder: str, disk: Disk) -> None:
    """From now on `disk` stands under the files directly in `folder` (resolved, absolute). Raises
    UnsupportedSqliteError."""
    shim = _shims[0] if _shims else _made()
    shim.disks[folder] = disk
    shim.library.sqlite3_vfs_register(ctypes.byref(shim.vfs), 1)


def detach(folder: str, disk: Disk) -> None:
    """End that for files opened from now on; files that are open stay with their disk."""
    for shim in _shims:
        if shim.disks.get(folder) is disk:
            del shim.disks[folder]
        if not shim.disks:
            shim.library.sqlite3_vfs_register(shim.base_at, 1)


def _made() -> _Shim:
    try:
        library = ctypes.CDLL(getattr(_sqlite3, "__file__", None))  # a symbol is also looked for in what it links to
        library.sqlite3_vfs_find.argtypes, library.sqlite3_vfs_find.restype = (_ptr,), _ptr
        library.sqlite3_vfs_register.argtypes = _ptr, _int
        library.sqlite3_libversion.restype = ctypes.c_char_p
        version = library.sqlite3_libversion().decode()
        base_at = library.sqlite3_vfs_find(None)
    except (OSError, AttributeError) as error:
        raise UnsupportedSqliteError(
            f"Python's sqlite3 hides its library ({error}); use a dynamic libsqlite3"
        ) from None
    if version != sqlite3.sqlite_version or not base_at:
        raise UnsupportedSqliteError(f"found SQLite {version}, but Python's sqlite3 uses {sqlite3.sqlite_version}")
    shim = _Shim(library, _Vfs.from_address(base_at), base_at)
    ctypes.memmove(ctypes.addressof(shim.vfs), base_at, ctypes.sizeof(_Vfs))
    opener, deleter = _OPEN(shim.open), _DELETE(shim.delete)
    shim.callbacks += [opener, deleter]
    shim.vfs.next, shim.vfs.name = None, NAME.encode()
    shim.vfs.xOpen = ctypes.cast(opener, _ptr).value
    shim.vfs.xDelete = ctypes.cast(deleter, _ptr).value
    atexit.register(shim.retire)
    _shims.append(shim)
    return shim
