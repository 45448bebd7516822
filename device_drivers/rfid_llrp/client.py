"""The seam to the LLRP library: what is asked of a client, and the one place that knows sllurp.

sllurp is under the GPL 3. It is imported only when a store describes an LLRP reader and somebody has installed it;
nothing of it is in this tree.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol

from device_drivers.errors import MisconfiguredError

INSTALL = "pip install sllurp"
LLRP_PORT = 5084
CONNECT_TIMEOUT_S = 5.0

OnReport = Callable[[Sequence[Mapping[str, Any]]], None]
OnSign = Callable[[], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderAddress:
    """Where the reader is and which of its antennas are used."""

    host: str
    port: int = LLRP_PORT
    antennas: tuple[int, ...] = (1,)
    keepalive_s: float = 5.0


class Client(Protocol):
    """One connection. Its callbacks come from a thread of its own."""

    def connect(self) -> None:
        """Connect and begin to list tags. Raises OSError."""

    def close(self) -> None:
        """Ask the reader to stop, then hang up. Never raises, never waits long."""

    def is_alive(self) -> bool:
        """Whether the connection is still served."""


OpenClient = Callable[[ReaderAddress, OnReport, OnSign], Client]


class SllurpClient:
    """`Client` on sllurp. Raises MisconfiguredError, with the command that mends it, where sllurp is not installed."""

    def __init__(self, address: ReaderAddress, on_report: OnReport, on_alive: OnSign) -> None:
        try:
            library = import_module("sllurp.llrp")
            self._broken: type[Exception] = import_module("sllurp.llrp_errors").LLRPError
        except ImportError:
            raise MisconfiguredError(
                f"an LLRP reader needs the library sllurp (GPL 3, never installed by itself): {INSTALL}"
            ) from None
        config = library.LLRPReaderConfig(
            {
                "antennas": list(address.antennas),
                "tx_power": dict.fromkeys(address.antennas, 0),  # 0: the most that the reader may
                "report_every_n_tags": 1,
                "keepalive_interval": round(address.keepalive_s * 1000),
                "reconnect": False,  # whoever runs the reader tries again
                "tag_content_selector": _CONTENT,
            }
        )
        self._client = library.LLRPReaderClient(address.host, address.port, config, timeout=CONNECT_TIMEOUT_S)
        self._client.add_tag_report_callback(lambda _reader, tags: on_report(tags))
        for message in ("KEEPALIVE", "RO_ACCESS_REPORT", "READER_EVENT_NOTIFICATION"):
            self._client.add_message_callback(message, lambda _reader, _message: on_alive())

    def connect(self) -> None:
        """See `Client.connect`."""
        self._client.connect()

    def close(self) -> None:
        """See `Client.close`."""
        if not self._client.is_alive():
            self._client.hard_disconnect()
            return
        with contextlib.suppress(OSError, ValueError, self._broken):  # gone meanwhile: nobody to be polite to
            self._client.disconnect(timeout=2.0)
        self._client.hard_disconnect()

    def is_alive(self) -> bool:
        """See `Client.is_alive`."""
        return bool(self._client.is_alive())


_CONTENT = {
    "EnableROSpecID": False,
    "EnableSpecIndex": False,
    "EnableInventoryParameterSpecID": False,
    "EnableAntennaID": True,
    "EnableChannelIndex": False,
    "EnablePeakRSSI": True,
    "EnableFirstSeenTimestamp": False,
    "EnableLastSeenTimestamp": False,
    "EnableTagSeenCount": False,
    "EnableAccessSpecID": False,
}
