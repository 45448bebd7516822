"""What store and cloud ask of a broker's client: publish, subscribe, listen, and hear when the line is lost.

Nothing here promises delivery: a returned `publish` says that the broker had the message, not that it kept it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol


class LinkLostError(OSError):
    """There is no connection, or the broker refused what was asked."""


@dataclass(frozen=True, slots=True)
class Incoming:
    """One message that came in. `retained` says that the broker had kept it from before."""

    topic: str
    payload: bytes
    retained: bool


@dataclass(frozen=True, slots=True)
class Will:
    """What the broker publishes (QoS 1, retained) when the client vanishes."""

    topic: str
    payload: bytes


class MqttConnection(Protocol):
    """An open connection: MQTT 5, clean start, session expiry 0, QoS 1 both ways."""

    async def subscribe(self, topic: str) -> None:
        """Listen to `topic`. Raises LinkLostError if the broker refuses or is gone."""

    async def publish(self, topic: str, payload: bytes, *, encoding: str = "", retain: bool = False) -> None:
        """Return once the broker has acknowledged. `encoding` names the payload's codec. Raises LinkLostError."""

    def messages(self) -> AsyncIterator[Incoming]:
        """Messages as they come; ends by raising LinkLostError."""


class MqttPort(Protocol):
    """Where connections come from."""

    def connect(
        self, *, client_id: str, will: Will | None = None, on_dropped: Callable[[], None]
    ) -> AbstractAsyncContextManager[MqttConnection]:
        """Connect on entry, disconnect on exit; both raise LinkLostError. `on_dropped` hears of each message that
        found the queue of this client full."""
