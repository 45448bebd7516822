"""RFID readers: which antenna hears which shelf."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from edge.config.section import Id, Section


class AntennaConfig(Section):
    """One antenna. A tag whose median is not stronger than `threshold_dbm` lies elsewhere."""

    shelf: Id
    number: int = Field(default=1, ge=1, le=32)
    threshold_dbm: float = Field(default=-65.0, ge=-90, le=-10)


class RfidConfig(Section):
    """A reader on a serial line of its own (`bus`), or one in the network that speaks LLRP (`host`)."""

    kind: Literal["rfid"]
    id: Id
    family: Literal["m100", "thingmagic", "llrp"]
    bus: Id = ""
    host: str = Field(default="", max_length=253, description="of a reader that speaks LLRP")
    port: int = Field(default=5084, ge=1, le=65535)
    region: Literal["china_900", "china_800"] = "china_900"
    power_dbm: float | None = Field(default=None, description="transmit power; else the module's own (m100)")
    listen_s: float = Field(default=2.0, ge=0.2, le=30, description="how long one inventory listens")
    poll_s: float = Field(default=5.0, ge=0.5, le=3600, description="rest between two inventories")
    antenna: tuple[AntennaConfig, ...] = Field(min_length=1, max_length=32)
