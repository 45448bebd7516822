"""What can go wrong with the database, by who must act. Callers import these, never a driver's own errors."""

from __future__ import annotations


class StorageError(RuntimeError):
    """The database did not do what was asked; nothing of it was kept. The message holds no password and no value."""


class StorageClosedError(StorageError):
    """The storage is not running; nothing was written."""


class StorageFullError(StorageError):
    """No room is left: a person must free some."""


class StorageShortError(StorageFullError):
    """Too little room for what must be done first; nothing was begun. The message says how much is needed."""


class StorageBusyError(StorageError):
    """Somebody else holds what was needed for too long. It may work in a moment."""


class StorageConflictError(StorageError):
    """A row breaks a rule of the tables: a fault of ours, or two writers where one was promised."""


class StorageRefusedError(StorageError):
    """This is no database the bridge can use (not ours, damaged, newer, too old): a person must choose another."""


class StorageNewerError(StorageRefusedError):
    """A newer release has made these tables: a person must install that one, or choose another database."""


class StorageAddressError(StorageRefusedError):
    """This names no database that the bridge could reach: a person must write another path or URL."""


class StorageAwayError(StorageError):
    """The server does not answer. Whether a commit that was under way took place is not known; ask again later."""
