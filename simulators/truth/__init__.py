"""What really happened in a simulated store, and whether the ledger says the same."""

from simulators.truth.log import TruthLog, read_truth
from simulators.truth.records import TruthRecord

__all__ = ["TruthLog", "TruthRecord", "read_truth"]
