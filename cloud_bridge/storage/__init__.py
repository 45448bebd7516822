"""The bridge's database behind one port: work runs in transactions, and a write is told done after its commit.

Everything the bridge must not forget stands here: streams with their watermark, the exact bytes of every event,
gaps, parked batches, leases, presence, members. What is derived from events lives in `read_models`, in memory.
"""

from cloud_bridge.storage.address import open_reader, open_storage, open_writer
from cloud_bridge.storage.errors import (
    StorageAddressError,
    StorageAwayError,
    StorageBusyError,
    StorageClosedError,
    StorageConflictError,
    StorageError,
    StorageFullError,
    StorageNewerError,
    StorageRefusedError,
    StorageShortError,
)
from cloud_bridge.storage.letters import DeadLetter, dead_letters
from cloud_bridge.storage.port import Connection, Db, EventRow, Row, Storage, Work
from cloud_bridge.storage.readers import read_events, read_gaps
from cloud_bridge.storage.sqlite_storage import SqliteStorage

__all__ = [
    "Connection",
    "Db",
    "DeadLetter",
    "EventRow",
    "Row",
    "SqliteStorage",
    "Storage",
    "StorageAddressError",
    "StorageAwayError",
    "StorageBusyError",
    "StorageClosedError",
    "StorageConflictError",
    "StorageError",
    "StorageFullError",
    "StorageNewerError",
    "StorageRefusedError",
    "StorageShortError",
    "Work",
    "dead_letters",
    "open_reader",
    "open_storage",
    "open_writer",
    "read_events",
    "read_gaps",
]
