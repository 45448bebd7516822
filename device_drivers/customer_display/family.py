"""What customer displays say of themselves. They answer nothing, so there is no probe."""

from __future__ import annotations

from device_drivers.customer_display.codec import (
    MOST_BUFFERED,
    Amount,
    Clear,
    Frame,
    Init,
    Light,
    Line,
    Return,
    Silence,
    finder,
)
from device_drivers.customer_display.driver import BAUD
from device_drivers.family import Family


def describe(frame: Frame) -> str:
    """One frame in words."""
    match frame:
        case Init():
            return "begin anew"
        case Clear():
            return "show nothing"
        case Return():
            return "end what was begun"
        case Light():
            return f"lamp {frame.lamp.name.lower()}"
        case Amount():
            return f"amount {frame.text}"
        case Line():
            return f"line {frame.row}: {frame.text}"


def acts(frame: Frame) -> bool:
    """Nothing here moves, heats, pays or outlives a power cut."""
    del frame
    return False


FAMILY = Family(
    name="customer_display",
    title="Customer displays (LED8, CD5220)",
    title_zh="顾客显示屏（LED8、CD5220）",
    from_host=finder,
    from_device=Silence,
    describe=describe,
    acts=acts,
    most_buffered=MOST_BUFFERED,
    simulator="simulators.hardware.customer_display:on_bench",
    baud=BAUD,
    settings={"dialect": "led8 or cd5220: what the display can show"},
)
