"""What a tool may see of a reader's line: which command, which status, how long; never the content."""

from __future__ import annotations

from dataclasses import dataclass

from device_drivers.faults import OnFault
from device_drivers.id_card.codec import ANSWER_LENGTHS, FrameFinder

COMMAND_LENGTHS = range(3, 64 + 1)  # from CMD PARA CHK on


@dataclass(frozen=True, slots=True)
class CommandSeen:
    """CMD and PARA."""

    command: bytes


@dataclass(frozen=True, slots=True)
class AnswerSeen:
    """SW3, and how many bytes of data there were."""

    status: int
    data_bytes: int


class CommandWatcher(FrameFinder):
    """What the host sends."""

    def __init__(self, on_fault: OnFault) -> None:
        super().__init__(on_fault, COMMAND_LENGTHS)

    def feed(self, data: bytes) -> list[CommandSeen]:
        """The commands that are whole now."""
        rest, seen = memoryview(data), []
        while rest:
            rest = self.put(rest)
            while (content := self.find()) is not None:
                seen.append(CommandSeen(bytes(content[:2])))
                self.forget_first(content)
        return seen


class AnswerWatcher(FrameFinder):
    """What the reader sends; its data is zeroed as soon as it was counted."""

    def __init__(self, on_fault: OnFault) -> None:
        super().__init__(on_fault, ANSWER_LENGTHS)

    def feed(self, data: bytes) -> list[AnswerSeen]:
        """The answers that are whole now."""
        rest, seen = memoryview(data), []
        while rest:
            rest = self.put(rest)
            while (content := self.find()) is not None:
                seen.append(AnswerSeen(content[2], len(content) - 3))
                self.forget_first(content)
        return seen
