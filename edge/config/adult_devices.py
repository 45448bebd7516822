"""Devices that take money, prove an age or let an adult try: connected and watched, nothing is done with them yet."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from edge.config.section import Id, Section


class TrialUnitConfig(Section):
    """A unit that speaks PTP/1. It is asked how it is, and never armed."""

    kind: Literal["trial_unit"]
    id: Id
    bus: Id
    address: int = Field(ge=0, le=255)
    line: Literal["rs485", "usb"] = Field(default="rs485", description="usb: the unit tells its events at once")
    key_file: Path = Field(description="the unit's key, hex digits, mode 600; never the key itself")
    poll_s: float = Field(default=2.0, ge=0.5, le=3600)


class MdbConfig(Section):
    """A peripheral behind an MDB adapter. What stands here of the adapter must be the same for all on its bus."""

    id: Id
    bus: Id
    coding: Literal["words", "hex_lines"] = Field(default="words", description="how the adapter carries nine bits")
    echo: bool = Field(default=False, description="true if the adapter repeats what we send")
    acknowledge: bool = Field(default=False, description="true if the adapter leaves ACK and RET to us")
    poll_s: float = Field(default=1.0, ge=0.1, le=4, description="a peripheral that hears nothing for 5 s resets")


class CashlessConfig(MdbConfig):
    """A cashless reader: brought up, switched off again (it takes no card), polled."""

    kind: Literal["cashless"]
    address: Literal[16, 96] = Field(default=16, description="0x10, or 0x60 for a second one")


class AgeDeviceConfig(MdbConfig):
    """The age-verification device at 0x68: polled and left switched off, so that it looks at nobody's card."""

    kind: Literal["age_device"]
    address: Literal[104] = 104
