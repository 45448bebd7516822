"""What stands behind one type of command: one handler a type, found by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Generic, TypeVar

from contracts.command_types import CommandArgs
from edge.commands.records import Result

A = TypeVar("A", bound=CommandArgs)


class Handler(Generic[A]):
    """One type of command. Everything but `run` is quick and touches no device."""

    def __init__(self, args: type[A]) -> None:
        self.args = args

    def why_not(self, _args: A) -> str:
        """Why it may not begin now, a code; "" if it may. Asked at the receipt and right before the effect."""
        return ""

    def close(self, args: A) -> None:
        """Shut in memory, at once (closers only)."""

    def state(self, _args: A) -> Mapping[tuple[str, str], bytes]:
        """Durable state that becomes true together with the intent."""
        return {}

    def so(self, _args: A) -> str:
        """What is so after a crash, a code: nobody saw how the command ended, and it is not done again."""
        return "crashed"

    async def run(self, args: A) -> Result:
        """Do it, once."""
        raise LookupError(f"{type(self).__name__} does nothing with {type(args).__name__}")


Handlers = Mapping[str, Handler[Any]]
"""By type of command. The machine has checked the arguments of a type before its handler is asked anything."""
