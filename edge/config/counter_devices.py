"""Devices at the counter that show or print: kept connected and watched; what they show comes later."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from device_drivers.escpos.layout import COLUMNS
from edge.config.section import Id, Section


class PrinterConfig(Section):
    """A receipt printer on a line of its own. It is asked how it is, and prints nothing yet."""

    kind: Literal["printer"]
    id: Id
    bus: Id
    columns: int = Field(default=48, description="characters across the paper: 32 (58 mm) or 48 (80 mm) mostly")
    charset: Literal["gbk", "gb18030"] = "gbk"
    status: Literal["ordered", "realtime"] = Field(default="ordered", description="what it answers; see its family")
    poll_s: float = Field(default=5.0, ge=1, le=3600)

    @field_validator("columns")
    @classmethod
    def _fits_paper(cls, columns: int) -> int:
        if columns not in COLUMNS:
            raise ValueError(f"must be {COLUMNS[0]} to {COLUMNS[-1]}")
        return columns


class DisplayConfig(Section):
    """A display that faces the customer. It shows nothing yet, and is kept empty."""

    kind: Literal["display"]
    id: Id
    bus: Id
    dialect: Literal["led8", "cd5220"] = "led8"
