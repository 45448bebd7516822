"""The simulated UHF module: golden frames, its own rules, its field; and the driver against it on a real terminal."""

from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random

import pytest

from device_drivers.bus import Bus, Link
from device_drivers.rfid_m100 import RfidReaderM100
from device_drivers.serial_link import open_serial
from simulators.hardware.faults import Faults
from simulators.hardware.pty_port import PtyPort
from simulators.hardware.rfid_field import Field, Tag
from simulators.hardware.rfid_m100 import RfidM100, on_bench

EPC_1, EPC_2 = bytes.fromhex("30751FEB705C5904E3D50D70"), bytes.fromhex("E200001D7315016521408FC6")


def ask(module: RfidM100, text: str, real_s: float = 10.0) -> str:
    frames = module.split(bytes.fromhex(text), real_s)
    return b"".join(module.answer(frame, real_s) for frame in frames).hex(" ").upper()


def module(*tags: Tag) -> RfidM100:
    return RfidM100(Field(tags, rng=Random(1)))


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("BB 00 03 00 01 00 04 7E", "BB 01 03 00 10 00 4D 31 30 30 20 32 36 64 42 6D 20 56 31 2E 30 92 7E"),
        ("BB 00 22 00 00 22 7E", "BB 01 FF 00 01 15 16 7E"),
        ("BB 00 28 00 00 28 7E", "BB 01 28 00 01 00 2A 7E"),
        ("BB 00 B7 00 00 B7 7E", "BB 01 B7 00 02 0A 28 EC 7E"),
        ("BB 00 B6 00 02 0A 28 EA 7E", "BB 01 B6 00 01 00 B8 7E"),
        ("BB 00 07 00 01 01 09 7E", "BB 01 07 00 01 00 09 7E"),
        ("BB 00 27 00 03 22 27 10 83 7E", "BB 01 FF 00 01 15 16 7E"),
        ("BB 00 39 00 09 00 00 00 00 01 00 02 00 06 4B 7E", "BB 01 FF 00 01 09 0A 7E"),
        ("BB 00 07 00 01 09 11 7E", "BB 01 FF 00 01 0E 0F 7E"),  # no such region
        ("BB 00 B6 00 02 00 00 B8 7E", "BB 01 FF 00 01 0E 0F 7E"),  # below its power
        ("BB 00 99 00 00 99 7E", "BB 01 FF 00 01 17 18 7E"),  # no such command
    ],
)
def test_golden_answers(question: str, answer: str):
    assert ask(module(), question) == answer


def test_golden_sights():
    one = module(Tag(EPC_1, rssi_dbm=-55, spread_db=0, pc_low=0x400))
    assert ask(one, "BB 00 22 00 00 22 7E") == (
        "BB 02 22 00 11 C9 34 00 30 75 1F EB 70 5C 59 04 E3 D5 0D 70 3A 76 EF 7E"
    )
    two = module(Tag(EPC_2, rssi_dbm=-60, spread_db=0))
    assert ask(two, "BB 00 22 00 00 22 7E") == (
        "BB 02 22 00 11 C4 30 00 E2 00 00 1D 73 15 01 65 21 40 8F C6 B8 3E C2 7E"
    )


def test_while_it_takes_rounds_it_hears_only_stop():
    one = module(Tag(EPC_1))
    ask(one, "BB 00 27 00 03 22 27 10 83 7E", 10.0)
    assert ask(one, "BB 00 B7 00 00 B7 7E", 10.01) == ""
    assert one.counters["not_heard_in_rounds"] == 1
    assert one.tick(10.049) == b""
    assert len(one.tick(10.52)) == 10 * 24
    assert ask(one, "BB 00 28 00 00 28 7E", 10.6) == "BB 01 28 00 01 00 2A 7E"
    assert one.tick(20.0) == b""


def test_its_rounds_end_by_themselves():
    one = module()
    ask(one, "BB 00 27 00 03 22 00 03 4F 7E", 10.0)
    one.tick(20.0)
    assert one.counters["rounds"] == 3
    assert not one.taking_rounds


@pytest.mark.parametrize(
    ("text", "counter"),
    [
        ("BB 00 22 00 00 23 7E", "bad_sum"),
        ("BB 00 22 00 00 22 7F", "bad_sum"),
        ("BB 00 22 00 7F 00", "too_long"),
        ("BB 01 22", "noise_bytes"),
        ("7E 7E", "noise_bytes"),
    ],
)
def test_what_it_does_not_understand_is_counted(text: str, counter: str):
    one = module()
    assert ask(one, text) == ""
    assert one.counters[counter] > 0


def test_a_shadow_hides_and_a_lower_power_reaches_less_far():
    field = Field([Tag(EPC_1, rssi_dbm=-55), Tag(EPC_2, rssi_dbm=-80)], rng=Random(1))
    assert {one.tag.epc for one in field.round()} == {EPC_1, EPC_2}
    assert {one.tag.epc for one in field.round(power_loss_db=10)} == {EPC_1}
    field.shadow(EPC_1, 0.5)
    seen = sum(any(one.tag.epc == EPC_1 for one in field.round()) for _ in range(1000))
    assert 400 < seen < 600
    field.shadow(EPC_1, 1.0)
    assert {one.tag.epc for one in field.round()} == {EPC_2}


def test_a_stuck_antenna_repeats_and_a_dead_one_hears_nothing():
    field = Field([Tag(EPC_1)], rng=Random(1))
    heard = field.round()
    field.stuck = True
    field.take(EPC_1)
    assert field.round() == heard
    field.stuck, field.dead = False, True
    field.put(Tag(EPC_2))
    assert field.round() == []


def test_a_tag_has_whole_words():
    with pytest.raises(ValueError, match="words"):
        module(Tag(b"\xe2"))


async def test_the_driver_meets_it_on_a_real_terminal(tmp_path: Path):
    device = on_bench()
    port = PtyPort(tmp_path / "rfid", device, Faults(rng=Random(1)))
    port.plug()
    loop = asyncio.get_running_loop()
    handle: asyncio.TimerHandle | None = None

    def speak() -> None:
        nonlocal handle
        if said := device.tick(loop.time()):
            port.send(said)
        handle = loop.call_later(0.01, speak)

    async def link() -> Link:
        return await open_serial(str(port.path), 115200)

    bus = Bus(name="rfid", open_link=link, on_fault=lambda _kind, _detail: None)
    owner = asyncio.create_task(bus.run())
    speak()
    try:
        while not bus.counters["opened"]:
            await asyncio.sleep(0)
        reader = RfidReaderM100(bus)
        assert await reader.model() == "M100 26dBm V1.0"
        await reader.set_power(24)
        assert device.power == 2400
        inventory = await reader.inventory(listen_s=0.3)
        assert inventory.complete
        assert {sight.tag.epc for sight in inventory.sights} == set(device.field.tags)
        assert not device.taking_rounds
        assert await reader.power_dbm() == 24
    finally:
        assert handle is not None
        handle.cancel()
        owner.cancel()
        await asyncio.gather(owner, return_exceptions=True)
        port.unplug()
