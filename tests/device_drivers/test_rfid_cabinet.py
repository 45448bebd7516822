"""A cabinet of cartons behind a real driver: what was taken and put is told, whatever hides in the shadows."""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from device_drivers.rfid_m100 import Presence, RfidReaderM100, Snapshot
from simulators.conformance.memory_link import MemoryLink, bus_on
from simulators.conformance.virtual_time import in_virtual_time
from simulators.hardware.rfid_field import Field, Tag
from simulators.hardware.rfid_m100 import RfidM100
from tests.device_drivers.cases.rfid_m100 import Peer

THRESHOLD_DBM = -65.0
CARTONS = [Tag(bytes.fromhex(f"E2000000000000000000{number:04X}"), rssi_dbm=-50 - number) for number in range(10)]
NEIGHBOUR = Tag(bytes.fromhex("E2000000000000000000FFFF"), rssi_dbm=-75)  # hangs in the next cabinet


class Cabinet:
    """A module, its driver and what is thought to be inside."""

    def __init__(self, module: RfidM100, link: MemoryLink, reader: RfidReaderM100) -> None:
        self.module, self.link, self.reader = module, link, reader
        self.presence = Presence({1: THRESHOLD_DBM}, door_closed=True, at_s=self.now_s)

    @property
    def now_s(self) -> float:
        return asyncio.get_running_loop().time()

    async def speak(self) -> None:
        while True:
            await asyncio.sleep(0.02)
            self.link.deliver(self.module.tick(self.now_s))

    async def visit(self, *, take: list[Tag] = (), put: list[Tag] = ()) -> None:
        self.presence.door(closed=False, at_s=self.now_s)
        for tag in take:
            self.module.field.take(tag.epc)
        for tag in put:
            self.module.field.put(tag)
        await asyncio.sleep(5)
        self.presence.door(closed=True, at_s=self.now_s)

    async def settled(self, *, within_rounds: int = 12) -> Snapshot | None:
        for _ in range(within_rounds):
            heard = await self.reader.inventory(listen_s=1.0)
            for sight in heard.sights:
                self.presence.read(sight.tag.epc, rssi_dbm=sight.tag.rssi_dbm, antenna=1, at_s=sight.at_s)
            if heard.complete and (snapshot := self.presence.full_round(started_s=heard.started_s, at_s=heard.ended_s)):
                return snapshot
        return None


def in_a_cabinet(story, *, seed: int = 1):
    @in_virtual_time
    async def run() -> None:
        module = RfidM100(Field([*CARTONS, NEIGHBOUR], rng=Random(seed)))
        link = MemoryLink(Peer(module))
        async with bus_on(link) as bus:
            cabinet = Cabinet(module, link, RfidReaderM100(bus))
            speaker = asyncio.create_task(cabinet.speak())
            try:
                first = await cabinet.settled()
                assert first is not None
                assert first.tags == {tag.epc for tag in CARTONS}
                await story(cabinet)
            finally:
                speaker.cancel()

    run()


@pytest.mark.parametrize("seed", range(5))
def test_what_was_taken_and_put_is_told(seed: int):
    async def story(cabinet: Cabinet) -> None:
        for tag in CARTONS[2:]:
            cabinet.module.field.shadow(tag.epc, 0.6)  # goods before it
        fresh = Tag(bytes.fromhex("E20000000000000000001234"), rssi_dbm=-55)
        await cabinet.visit(take=CARTONS[:2], put=[fresh])
        told = await cabinet.settled()
        assert told is not None
        assert told.removed == {tag.epc for tag in CARTONS[:2]}
        assert told.added == {fresh.epc}
        await cabinet.visit()
        again = await cabinet.settled()
        assert again is not None
        assert not again.added | again.removed

    in_a_cabinet(story, seed=seed)


def test_a_carton_held_before_the_closed_door_is_told_only_when_it_has_gone():
    async def story(cabinet: Cabinet) -> None:
        outside = Tag(CARTONS[0].epc, rssi_dbm=-72)
        await cabinet.visit(take=CARTONS[:1], put=[outside])
        assert await cabinet.settled() is None
        cabinet.module.field.take(outside.epc)
        told = await cabinet.settled()
        assert told is not None
        assert told.removed == {outside.epc}

    in_a_cabinet(story)


def test_a_module_that_went_tells_nothing():
    async def story(cabinet: Cabinet) -> None:
        await cabinet.visit(take=CARTONS[:1])
        cabinet.link._peers = ()  # the cable is loose: what is asked reaches nobody
        assert await cabinet.settled() is None
        assert cabinet.presence.present == {tag.epc for tag in CARTONS}

    in_a_cabinet(story)
