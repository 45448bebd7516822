"""The lines of a store, and what is spoken on each of them."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from device_drivers.errors import MisconfiguredError
from device_drivers.link_url import EXAMPLE, LinkUrl, schemes
from edge.config.section import Id, Section

NETWORK = frozenset({"tcp", "rfc2217"})
MAY_BE_FAR = frozenset({"modbus_rtu"})  # a weight that comes late opens nothing, and names nobody


class BusConfig(Section):
    """One line and what is spoken on it."""

    id: Id
    url: str = Field(
        description="serial:///dev/ttyUSB0?baud=9600, serial://usb/VENDOR:PRODUCT/SERIAL, tcp:// or rfc2217://HOST:PORT"
    )
    protocol: Literal["lock_8a", "lock_cu16", "lock_cu48", "lock_winnsen", "modbus_rtu", "scanner", "id_card"]

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
    def _no_lock_behind_a_network(self) -> Self:
        if self.link.scheme in NETWORK and self.protocol not in MAY_BE_FAR:
            raise ValueError(
                f"url: {self.protocol} may not be behind a network, where a frame can act late and bytes can be read "
                f"on the way; name a port of this machine, such as {EXAMPLE}"
            )
        return self

    @property
    def link(self) -> LinkUrl:
        """Where the line is, to be opened."""
        return LinkUrl.parse(self.url)

    @property
    def port(self) -> str:
        """Path of the serial port; "" for a line that is found by what it is, or over the network."""
        return self.link.path if self.link.scheme == "serial" else ""
