"""What can be wrong with a ledger, typed by what the person at the store does next."""

from __future__ import annotations


class LedgerOpenError(Exception):
    """The ledger cannot be opened; the message is one sentence that says what to do. Nothing was changed."""


class ForeignLedgerError(LedgerOpenError):
    """The file is the ledger of another store, or no ledger at all."""


class NewerLedgerError(LedgerOpenError):
    """The file was written by a newer version of the agent."""


class FullDiskError(LedgerOpenError):
    """There is no room to open the ledger safely."""


class LedgerInUseError(LedgerOpenError):
    """Another agent owns the file."""


class ForkRefusedError(ValueError):
    """A fork at a sequence that is not retained, or of a stream that is left already."""


class LedgerDamagedError(Exception):
    """The disk gave back something else than was written, while the agent ran: only opening anew can heal that."""
