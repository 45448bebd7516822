"""The durable ledger: every decision of the store in one SQLite file, synced before its effect.

Two lanes, each a stream with a gapless sequence and a hash chain: `ledger` is never dropped, `telemetry` is bounded.
Only the cloud's confirmation frees an event.
"""

from edge.ledger.errors import (
    ForeignLedgerError,
    ForkRefusedError,
    FullDiskError,
    LedgerInUseError,
    LedgerOpenError,
    NewerLedgerError,
)
from edge.ledger.inspect import LaneReport, Report, ShownEvent, show, verify
from edge.ledger.lanes import LaneView
from edge.ledger.ledger import Ledger
from edge.ledger.machine_id import machine_instance
from edge.ledger.rows import Mark, Slice

__all__ = [
    "ForeignLedgerError",
    "ForkRefusedError",
    "FullDiskError",
    "LaneReport",
    "LaneView",
    "Ledger",
    "LedgerInUseError",
    "LedgerOpenError",
    "Mark",
    "NewerLedgerError",
    "Report",
    "ShownEvent",
    "Slice",
    "machine_instance",
    "show",
    "verify",
]
