"""What is wrong with an RFID reader, although each value alone is right."""

from __future__ import annotations

from collections.abc import Iterator

from device_drivers.errors import ProtocolError
from device_drivers.rfid_m100.codec import set_power
from edge.config.rfid import RfidConfig
from edge.config.store import StoreConfig


def rfid_problems(device: RfidConfig, config: StoreConfig) -> Iterator[tuple[str, str]]:
    """(key, what is wrong and how to mend it)."""
    key = f"device.{device.id}"
    yield from ((f"{key}.{name}", fix) for name, fix in _link(device))
    if device.family != "llrp" and [a.number for a in device.antenna] != [1]:
        yield f"{key}.antenna", f"a {device.family} module has one antenna; describe one, with number 1"
    numbers = [a.number for a in device.antenna]
    for number in sorted({n for n in numbers if numbers.count(n) > 1}):
        yield f"{key}.antenna.{number}", "is described twice; keep one"
    shelves = {shelf.id for _, compartment in config.compartments() for shelf in compartment.shelf}
    for antenna in device.antenna:
        if antenna.shelf not in shelves:
            yield f"{key}.antenna.{antenna.number}.shelf", f"no shelf is called {antenna.shelf!r}"
    if device.power_dbm is not None:
        if device.family != "m100":
            yield f"{key}.power_dbm", f"is not set on {device.family}; leave it out"
            return
        try:
            set_power(device.power_dbm)
        except ProtocolError as error:
            yield f"{key}.power_dbm", str(error)


def _link(device: RfidConfig) -> Iterator[tuple[str, str]]:
    if device.family == "llrp":
        if not device.host:
            yield "host", "is missing; name the reader in the network"
        if device.bus:
            yield "bus", "a reader that speaks LLRP is on no bus; remove it"
    elif device.host:
        yield "host", f"a {device.family} module is on a bus; remove it"
    if device.region != "china_900" and device.family != "m100":
        yield "region", f"{device.family} knows china_900 alone; leave it out"
