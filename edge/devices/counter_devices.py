"""What stands at the counter: printers, displays. Watched; nothing is printed or shown to a customer yet."""

from __future__ import annotations

from functools import partial

from device_drivers.customer_display import Cd5220Display, CustomerDisplay, Led8Display
from device_drivers.errors import UnavailableError
from device_drivers.escpos import ReceiptPrinter
from device_drivers.link_url import open_link
from edge.config import DisplayConfig, PrinterConfig
from edge.devices.built import Building
from edge.devices.limits import Limit, Values
from edge.devices.polled import Polled

LOOK_EVERY_S = 2.0


PRINTER_LIMITS = (
    Limit("paper_end", "paper_end", most=0),
    Limit("cover_open", "cover_open", most=0, for_s=60.0),  # somebody changes the roll meanwhile
    Limit("error", "printer_error", most=0),
)


def build_printer(device: PrinterConfig, around: Building) -> None:
    """A receipt printer that is asked how it is."""
    bus = around.devices.buses[device.bus]
    printer = ReceiptPrinter(bus, columns=device.columns, charset=device.charset, status=device.status)
    around.devices.polled.append(
        Polled(
            device=device.id,
            kind=device.kind,
            bus=device.bus,
            ask=partial(_status, printer),
            health=around.watch(device.id, device.kind),
            poll_s=device.poll_s,
            limits=PRINTER_LIMITS,
        )
    )


async def _status(printer: ReceiptPrinter) -> Values:
    said = await printer.status()
    return {
        "state": said.trouble or "ready",
        "paper_near_end": float(said.paper_near_end),
        "paper_end": float(said.paper_end),
        "cover_open": float(said.cover_open),
        "error": float(said.cutter_error or said.unrecoverable),
    }


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
