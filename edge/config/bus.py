"""The lines of a store, and what is spoken on each of them."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from device_drivers.errors import MisconfiguredError
from device_drivers.link_url import EXAMPLE, LinkUrl, schemes
from edge.config.section import Id, Section

Protocol = Literal[
    "lock_8a",
    "lock_cu16",
    "lock_cu48",
    "lock_winnsen",
    "modbus_rtu",
    "modbus_tcp",
    "scanner",
    "id_card",
    "trial_ptp",
    "rfid_m100",
    "rfid_thingmagic",
    "mdb",
    "customer_display",
    "escpos",
]
OWNED = frozenset({"scanner", "customer_display"})  # whose driver opens the line itself
NETWORK = frozenset({"tcp", "rfc2217"})
# What only reads: a weight, a temperature, a contact or a tag that comes late opens nothing and names nobody. All else
# stays in the house: a lock opens late, a trial unit heats late, an answer to "has paid" or "is of age" can be forged
# on the way, a code, a card or a receipt can be read by others, and the drawer of a till would open late.
MAY_BE_FAR = frozenset({"modbus_rtu", "modbus_tcp", "rfid_m100", "rfid_thingmagic"})
READ_BY_LINES = frozenset({"pipe", "evdev"})  # links that only a scanner can be behind


@cache
def usual_baud(protocol: str) -> int:
    """The speed that devices of this protocol are delivered with."""
    baud: int = import_module(f"device_drivers.{protocol}.family").FAMILY.baud
    return baud


class BusConfig(Section):
    """One line and what is spoken on it."""

    id: Id
    url: str = Field(
        description="serial:///dev/ttyUSB0?baud=9600, serial://usb/VENDOR:PRODUCT/SERIAL, tcp:// or rfc2217://HOST:PORT"
        "; for a scanner also pipe:///PATH and evdev:///dev/input/… or evdev://NAME"
    )
    protocol: Protocol

    @field_validator("url")
    @classmethod
    def _names_a_link(cls, url: str) -> str:
        try:
            scheme = LinkUrl.parse(url).scheme
        except MisconfiguredError as error:
            raise ValueError(f"{error}; write for example {EXAMPLE}") from error
        if scheme not in schemes():
            raise ValueError(f"no link is called {scheme!r}; write for example {EXAMPLE}")
        return url

    @model_validator(mode="after")
    def _fits_its_link(self) -> Self:
        scheme = self.link.scheme
        if scheme in NETWORK and self.protocol not in MAY_BE_FAR:
            raise ValueError(
                f"url: {self.protocol} may not be behind a network, where a frame can act late and bytes can be read "
                f"on the way; name a port of this machine, such as {EXAMPLE}"
            )
        if self.protocol == "modbus_tcp" and scheme not in {"tcp", "sim"}:
            raise ValueError("url: modbus_tcp is spoken over a network alone; write tcp://HOST:502")
        if scheme in READ_BY_LINES and self.protocol != "scanner":
            raise ValueError(f"url: only a scanner can be behind {scheme}://; name a port, such as {EXAMPLE}")
        return self

    @property
    def link(self) -> LinkUrl:
        """Where the line is, to be opened; with the usual speed of its devices where it names none."""
        return LinkUrl.parse(self.url, baud=usual_baud(self.protocol))

    @property
    def port(self) -> str:
        """Path of the serial port; "" for a line that is found by what it is, or over the network."""
        return self.link.path if self.link.scheme == "serial" else ""
