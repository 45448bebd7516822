"""What really happened in a simulated store, and whether the ledger says the same."""

from simulators.truth.compare import Comparison, compare
from simulators.truth.log import TruthLog, read_truth
from simulators.truth.records import TruthRecord
from simulators.truth.streams import StreamFacts

__all__ = ["Comparison", "StreamFacts", "TruthLog", "TruthRecord", "compare", "read_truth"]
