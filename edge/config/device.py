"""The devices on serial lines that cabinets are made of: locks, scales, scanners, card readers."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from device_drivers.lock_profile import MAX_HOLD_OFF_S, MIN_HOLD_OFF_S, BitOrder
from edge.config.section import Id, Section


class LockBoardConfig(Section):
    kind: Literal["lock_board"]
    id: Id
    bus: Id
    family: Literal["lock_8a", "lock_cu16", "lock_cu48", "lock_winnsen"] = Field(
        default="lock_8a", description="what the board speaks; its bus must speak the same"
    )
    address: int = Field(ge=0, le=32)
    feedback_polarity: Literal["locked_short", "open_short"] = Field(
        description="how the feedback switch is wired; it inverts every status bit, so it must be said"
    )
    dialect: str = Field(default="", max_length=32, description="a form of the family's frames; empty: the usual one")
    bit_order: BitOrder | Literal[""] = Field(
        default="", description="where lock 1 stands in the status of a whole board; empty: as usual in its family"
    )
    hold_off_s: float = Field(
        default=MIN_HOLD_OFF_S, ge=MIN_HOLD_OFF_S, le=MAX_HOLD_OFF_S, description="seconds between two pulses"
    )
    echo: bool = Field(default=False, description="true if the RS-485 adapter repeats what we send")


class ScaleConfig(Section):
    kind: Literal["scale"]
    id: Id
    bus: Id
    address: int = Field(ge=0, le=255)
    sigma_g: float = Field(default=0.5, gt=0, description="standard deviation of a stable sample, grams")
    profile: str = Field(default="", max_length=200, description="a shipped profile, or the path of a .toml of yours")
    echo: bool = Field(default=False, description="true if the RS-485 adapter repeats what we send")


class ScannerConfig(Section):
    kind: Literal["scanner"]
    id: Id
    bus: Id
    cabinet: Id
    dialect: Literal["plain", "gm65", "honeywell", "newland"] = Field(
        default="plain",
        description="whose replies it knows; gm65 and newland are asked if they live",
    )


class IdCardConfig(Section):
    kind: Literal["id_card"]
    id: Id
    bus: Id
    cabinet: Id
