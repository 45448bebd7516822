"""What a simulated network camera can be made to do wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Close = Literal["", "accepting", "playing"]


@dataclass(slots=True)
class CameraFaults:
    """Changed while it runs; what is on a line at that moment may still be the old."""

    refuse_login: bool = False
    """Every login is wrong."""
    close: Close = ""
    """Hang up as soon as somebody connects, or as soon as the stream has begun."""
    stall_at: int = -1
    """Send half of this frame, then nothing more on any connection; -1: never."""
    garbage_every: int = 0
    """The pictures of every n-th frame are noise; 0: none."""
    noise: bool = False
    """What is sent instead of the stream is neither RTP nor HTTP."""
    redirect: str = ""
    """Send everybody who asks for the stream to this address."""
    hang_on_teardown: bool = False
    """TEARDOWN is never answered, and the connection stays."""
