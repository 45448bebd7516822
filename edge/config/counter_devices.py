"""Devices at the counter that show or print: kept connected and watched; what they show comes later."""

from __future__ import annotations

from typing import Literal

from edge.config.section import Id, Section


class DisplayConfig(Section):
    """A display that faces the customer. It shows nothing yet, and is kept empty."""

    kind: Literal["display"]
    id: Id
    bus: Id
    dialect: Literal["led8", "cd5220"] = "led8"
