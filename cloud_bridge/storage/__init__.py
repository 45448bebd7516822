"""The bridge's database: SQLite, one writer thread, readers beside it. A write is told done after its commit.

Everything the bridge must not forget stands here: streams with their watermark, the exact bytes of every event,
gaps, parked batches, leases, presence, members. What is derived from events lives in `read_models`, in memory.
"""

from cloud_bridge.storage.database import Storage, StorageClosedError, open_reader, open_writer
from cloud_bridge.storage.readers import read_events, read_gaps

__all__ = ["Storage", "StorageClosedError", "open_reader", "open_writer", "read_events", "read_gaps"]
