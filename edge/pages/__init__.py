"""The store's own pages, a process apart from the agent: a kiosk for each cabinet and a tablet for staff.

A page shows what the agent says and asks; it decides nothing. What is on the screen is a pure function of the agent's
state and of the few choices the visitor has made since (`*_view`), drawn as values (`*_draw`); `kiosk` and `staff` hold
the wiring.
"""

from edge.pages.app import PortInUseError, run

__all__ = ["PortInUseError", "run"]
