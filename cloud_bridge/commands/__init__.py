"""Orders to stores: issued here, published until a store has answered, and judged by what its ledger says.

`verdict` decides, without I/O; `book` is the SQL; `desk` publishes and publishes again; `api` is the door for people
and programs. What became of a command is never stored: it follows from the words of the store's own ledger.
"""

from cloud_bridge.commands.book import Issued, Order, mark_restored, note_words
from cloud_bridge.commands.desk import CommandDesk
from cloud_bridge.commands.verdict import State, Verdict, Word, verdict

__all__ = ["CommandDesk", "Issued", "Order", "State", "Verdict", "Word", "mark_restored", "note_words", "verdict"]
