"""The durable ledger: every decision of the store in one SQLite file, synced before its effect.

Two lanes, each a stream with a gapless sequence and a hash chain: `ledger` is never dropped, `telemetry` is bounded.
Only the cloud's confirmation frees an event.
"""

from edge.ledger.disk_watch import DiskUse, Level
from edge.ledger.errors import (
    ForeignLedgerError,
    ForkRefusedError,
    FullDiskError,
    LedgerDamagedError,
    LedgerInUseError,
    LedgerOpenError,
    NewerLedgerError,
)
from edge.ledger.inspect import LaneReport, Report, ShownEvent, show, verify
from edge.ledger.keeper import Keeper
from edge.ledger.lanes import LaneView
from edge.ledger.ledger import Ledger
from edge.ledger.machine_id import machine_instance
from edge.ledger.retention import Retention
from edge.ledger.rows import Mark, Slice
from edge.ledger.tail import Tail
from edge.ledger.tidy import Tidied

__all__ = [
    "DiskUse",
    "ForeignLedgerError",
    "ForkRefusedError",
    "FullDiskError",
    "Keeper",
    "LaneReport",
    "LaneView",
    "Ledger",
    "LedgerDamagedError",
    "LedgerInUseError",
    "LedgerOpenError",
    "Level",
    "Mark",
    "NewerLedgerError",
    "Report",
    "Retention",
    "ShownEvent",
    "Slice",
    "Tail",
    "Tidied",
    "machine_instance",
    "show",
    "verify",
]
