"""What stands at the counter: displays. Connected and watched; nothing is shown to a customer yet."""

from __future__ import annotations

from functools import partial

from device_drivers.customer_display import Cd5220Display, CustomerDisplay, Led8Display
from device_drivers.errors import UnavailableError
from device_drivers.link_url import open_link
from edge.config import DisplayConfig
from edge.devices.built import Building
from edge.devices.limits import Values
from edge.devices.polled import Polled

LOOK_EVERY_S = 2.0


def build_display(device: DisplayConfig, around: Building) -> None:
    """A display on a port of its own. It says nothing back: it is well while its port is open."""
    link = around.lines[device.bus].link
    make = Cd5220Display if device.dialect == "cd5220" else Led8Display
    display = make(name=device.id, open_link=partial(open_link, link), baud=link.baud)
    around.devices.polled.append(
        Polled(
            device=device.id,
            kind=device.kind,
            bus="",
            ask=partial(_look, display),
            health=around.watch(device.id, device.kind),
            poll_s=LOOK_EVERY_S,
            company=display.run,
            counters=lambda: {"lost": display.counters["lost"], "heard_bytes": display.counters["heard_bytes"]},
        )
    )


async def _look(display: CustomerDisplay) -> Values:
    if not display.is_open:
        raise UnavailableError("the port is not open")
    return {}
