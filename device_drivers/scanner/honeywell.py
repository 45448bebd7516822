"""The serial trigger of Honeywell's scanners and of many others: SYN T CR looks, SYN U CR stops looking.

Neither is acknowledged: all that such a scanner ever says is a code.
"""

from __future__ import annotations

from dataclasses import dataclass

from device_drivers.errors import ProtocolError
from device_drivers.finder import Verdict

FRAME_BYTES = 3
_FRAMES = {b"\x16\x54\x0d": True, b"\x16\x55\x0d": False}


@dataclass(frozen=True, slots=True)
class Command:
    """Switch the trigger on or off."""

    on: bool

    def to_bytes(self) -> bytes:
        """Three bytes."""
        return b"\x16\x54\x0d" if self.on else b"\x16\x55\x0d"

    @classmethod
    def from_bytes(cls, data: bytes) -> Command:
        """Raises ProtocolError(remote) for anything else."""
        if data not in _FRAMES:
            raise ProtocolError("not a trigger command")
        return cls(_FRAMES[data])


def cut_command(front: bytes) -> tuple[Command, int] | Verdict:
    """See `Finder`: a command at the front."""
    if not any(frame.startswith(front[:FRAME_BYTES]) for frame in _FRAMES):
        return Verdict.NOISE
    if len(front) < FRAME_BYTES:
        return Verdict.MORE
    return Command.from_bytes(front[:FRAME_BYTES]), FRAME_BYTES
