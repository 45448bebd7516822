"""RFID readers: rounds of inventory, and how many tagged pieces are present on each shelf."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from device_drivers.errors import UnavailableError
from device_drivers.rfid_llrp import LlrpReader
from device_drivers.rfid_m100 import Region, RfidReaderM100
from device_drivers.rfid_thingmagic import ThingMagicReader
from edge.config import RfidConfig
from edge.devices.built import Building, DoorOpen
from edge.devices.limits import Values
from edge.devices.polled import Polled
from edge.devices.tags import Place, ShelfTags

HEARD_S = 15.0  # a module that tells of one tag a question: what it has named lately is there
MOST_HEARD = 1024
_REGIONS = {"china_900": Region.CHINA_900, "china_800": Region.CHINA_800}


def build_rfid(device: RfidConfig, around: Building) -> None:
    """One reader, of any of the three families."""
    ask: Callable[[], Awaitable[Values]]
    company: Callable[[], Awaitable[None]] | None = None
    counters: Mapping[str, int]
    if device.family == "llrp":
        numbers = tuple(antenna.number for antenna in device.antenna)
        network = LlrpReader(device.host, port=device.port, antennas=numbers)
        llrp = _Llrp(network, _Shelves(device, around))
        ask, company, counters = llrp.ask, network.run, network.counters
    elif device.family == "m100":
        module = RfidReaderM100(around.devices.buses[device.bus])
        ask, counters = _M100(module, device, _Shelves(device, around)).ask, module.counters
    else:
        single = ThingMagicReader(around.devices.buses[device.bus])
        ask, counters = _OneByOne(single, device).ask, single.counters
    around.devices.polled.append(
        Polled(
            device=device.id,
            kind=device.kind,
            bus=device.bus,
            ask=ask,
            health=around.watch(device.id, device.kind),
            poll_s=device.poll_s,
            company=company,
            counters=lambda: counters,
        )
    )


class _Shelves:
    """The doors and shelves before one reader's antennas."""

    def __init__(self, device: RfidConfig, around: Building) -> None:
        behind = {
            shelf.id: compartment.id for _, compartment in around.store.compartments() for shelf in compartment.shelf
        }
        self._door_open: DoorOpen = around.door_open
        self._places = {a.number: Place(a.shelf, behind[a.shelf], a.threshold_dbm) for a in device.antenna}
        self._tags: ShelfTags | None = None

    @property
    def tags(self) -> ShelfTags:
        """What is known so far."""
        if self._tags is None:
            self._tags = ShelfTags(self._places, asyncio.get_running_loop().time())
        return self._tags

    def look_at_doors(self) -> None:
        """Doors now."""
        now_s = asyncio.get_running_loop().time()
        for compartment in sorted({place.compartment for place in self._places.values()}):
            self.tags.door(compartment, is_open=self._door_open(compartment), at_s=now_s)

    def shown(self) -> Values:
        """By shelf, and all of them."""
        counts = self.tags.counts()
        return {"tags": sum(counts.values()), **{f"tags_{shelf}": count for shelf, count in counts.items()}}


class _M100:
    """A module that listens for some seconds and rests. Its settings are made anew after every silence."""

    def __init__(self, module: RfidReaderM100, device: RfidConfig, shelves: _Shelves) -> None:
        self._module = module
        self._device = device
        self._shelves = shelves
        self._set = False

    async def ask(self) -> Values:
        try:
            if not self._set:
                await self._module.set_region(_REGIONS[self._device.region])
                if self._device.power_dbm is not None:
                    await self._module.set_power(self._device.power_dbm)
                self._set = True
            self._shelves.look_at_doors()
            heard = await self._module.inventory(listen_s=self._device.listen_s)
        except UnavailableError:
            self._set = False
            raise
        for sight in heard.sights:
            self._shelves.tags.sight(sight.tag.epc, antenna=1, rssi_dbm=sight.tag.rssi_dbm, at_s=sight.at_s)
        if not heard.complete:
            self._set = bool(heard.sights)
            if not heard.sights:
                raise UnavailableError("RFID module: an inventory was not acknowledged")
        else:
            self._shelves.look_at_doors()
            self._shelves.tags.round(started_s=heard.started_s, at_s=heard.ended_s)
        return self._shelves.shown()


class _Llrp:
    """A reader in the network, which lists tags by itself as long as it is connected."""

    def __init__(self, reader: LlrpReader, shelves: _Shelves) -> None:
        self._reader = reader
        self._shelves = shelves
        self._taken_s: float | None = None

    async def ask(self) -> Values:
        now_s = asyncio.get_running_loop().time()
        try:
            sights = self._reader.take()
        except UnavailableError:
            self._taken_s = None
            raise
        self._shelves.look_at_doors()
        for sight in sights:
            self._shelves.tags.sight(sight.epc, antenna=sight.antenna, rssi_dbm=sight.rssi_dbm, at_s=sight.at_s)
        if self._taken_s is not None:
            self._shelves.tags.round(started_s=self._taken_s, at_s=now_s)
        self._taken_s = now_s
        return self._shelves.shown()


class _OneByOne:
    """A module whose driver names one tag a question and no strength: what it has named lately is a lower bound."""

    def __init__(self, module: ThingMagicReader, device: RfidConfig) -> None:
        self._module = module
        self._shelf = device.antenna[0].shelf
        self._listen_ms = round(device.listen_s * 1000)
        self._heard: dict[bytes, float] = {}

    async def ask(self) -> Values:
        epc = await self._module.first_tag(timeout_ms=min(self._listen_ms, 5000))
        now_s = asyncio.get_running_loop().time()
        self._heard = {tag: at_s for tag, at_s in self._heard.items() if now_s - at_s < HEARD_S}
        if epc is not None and (epc in self._heard or len(self._heard) < MOST_HEARD):
            self._heard[epc] = now_s
        return {"tags": float(len(self._heard)), f"tags_{self._shelf}": float(len(self._heard))}
