"""Orders of the cloud: each accepted once, done at most once, never late, and ended by a word in the ledger.

`machine` decides, without I/O; `runner` carries out; `effects` holds one handler a type. None of them has a way to a
lock: a handler is given callables that look, close or restart, and there is none that opens.
"""

from edge.commands.effects import Doings, handlers
from edge.commands.machine import CommandMachine, Facts
from edge.commands.probes import DeviceProbe
from edge.commands.records import Result
from edge.commands.reload import Reloader
from edge.commands.runner import CommandRunner
from edge.commands.wiring import doings_of

__all__ = [
    "CommandMachine",
    "CommandRunner",
    "DeviceProbe",
    "Doings",
    "Facts",
    "Reloader",
    "Result",
    "doings_of",
    "handlers",
]
