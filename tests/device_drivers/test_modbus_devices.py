"""What the drivers of Modbus devices promise: relays, inputs, climates, scales of any map, meters of any profile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from device_drivers.bus import MAX_WAITING_A_DEVICE
from device_drivers.capabilities import WeightSample
from device_drivers.errors import MisconfiguredError, RefusedError, UnavailableError
from device_drivers.exchange import NoReplyError
from device_drivers.modbus_rtu import (
    Climate,
    ClimateSample,
    Inputs,
    Meter,
    Relay,
    Rtu,
    Station,
    WeightTransmitter,
    load_profile,
    pdu,
)
from device_drivers.modbus_rtu.family import FAMILY
from device_drivers.modbus_rtu.known_mass import check_known_mass, settled_g
from device_drivers.modbus_rtu.profile import parse_profile
from simulators.conformance.memory_link import MemoryLink, bus_on
from simulators.conformance.virtual_time import in_virtual_time
from simulators.hardware.fridge import Fridge
from simulators.hardware.modbus import ModbusBus
from simulators.hardware.modbus_rtu import bench_units
from simulators.hardware.modbus_units import ClimateSensor, FridgeController, RelayBoard
from tests.device_drivers.twins import modbus_crc


class Line:
    """Simulated devices; `silent` ones act and their reply is lost; `spoil` changes a reply."""

    def __init__(self, units=None) -> None:
        self.units = units or bench_units()
        self.bus = ModbusBus(self.units)
        self.silent = False
        self.spoil: Callable[[bytes], bytes] = lambda reply: reply

    def receive(self, data: bytes) -> bytes:
        reply = b"".join(self.bus.answer(frame, 0.0) for frame in self.bus.split(data, 0.0))
        return b"" if self.silent else self.spoil(reply)


def sealed(text: str) -> bytes:
    body = bytes.fromhex(text)
    return body + modbus_crc(body)


# ---------------------------------------------------------------- relays


@in_virtual_time
async def test_a_relay_is_switched_once_and_seen():
    line = Line()
    link = MemoryLink(line)
    async with bus_on(link) as bus:
        relay = Relay(bus, address=1, profile=load_profile("relay_8"))
        await relay.set(3, on=True)
        assert await relay.states() == (False, False, True, *(False,) * 5)
        await relay.all_off()
        assert await relay.states() == (False,) * 8
    assert line.units[1].moves[0] == (2, True)
    assert link.frames[0] == bytes.fromhex("01 05 00 02 FF 00 2D FA")


@in_virtual_time
async def test_a_switch_without_a_reply_is_not_sent_again():
    line = Line()
    line.silent = True
    link = MemoryLink(line)
    async with bus_on(link) as bus:
        with pytest.raises(NoReplyError):
            await Relay(bus, address=1).set(1, on=True)
    assert len(link.frames) == 1
    assert line.units[1].moves == [(0, True)]  # it did act: nobody could know


@in_virtual_time
async def test_a_confirmation_of_something_else_is_none():
    """The reply must be the question, byte for byte: here the board says that it switched off."""
    line = Line()
    line.spoil = lambda reply: sealed("01 05 00 00 00 00")
    faults: list[tuple[str, str]] = []
    async with bus_on(MemoryLink(line), faults) as bus:
        with pytest.raises(NoReplyError):
            await Relay(bus, address=1).set(1, on=True)
    assert ("framing", "8 bytes of no reply") in faults


@in_virtual_time
async def test_a_late_confirmation_never_stands_for_a_later_switch():
    """The first switch is confirmed late, while the board has died: the second one is never believed, nor even sent."""
    line = Line()
    line.silent = True
    link = MemoryLink(line)
    async with bus_on(link) as bus:
        relay = Relay(bus, address=1)
        with pytest.raises(NoReplyError):
            await relay.set(1, on=True)
        asyncio.get_running_loop().call_later(0.001, link.deliver, sealed("01 05 00 00 FF 00"))
        with pytest.raises(UnavailableError, match="not sent") as caught:
            await relay.set(1, on=True)
        assert not isinstance(caught.value, NoReplyError)
        assert [frame[1] for frame in link.frames] == [5, 1]
        line.silent = False
        await relay.set(1, on=False)  # first it is asked where the relay stands, then it is told
    assert [frame[1] for frame in link.frames] == [5, 1, 1, 1, 5]
    assert line.units[1].relays[0] is False


@in_virtual_time
async def test_a_late_reply_that_nobody_waited_for_is_a_debt_paid():
    line = Line()
    line.silent = True
    link = MemoryLink(line)
    async with bus_on(link) as bus:
        relay = Relay(bus, address=1)
        with pytest.raises(UnavailableError):
            await relay.states()
        line.silent = False
        link.deliver(sealed("01 01 01 00"))
        await asyncio.sleep(0.01)
        await relay.states()
        assert len(link.frames) == 2


@in_virtual_time
async def test_a_reply_that_has_not_come_for_long_is_owed_no_more():
    line = Line()
    line.silent = True
    link = MemoryLink(line)
    async with bus_on(link) as bus:
        relay = Relay(bus, address=1)
        for _ in range(20):
            with pytest.raises(UnavailableError):
                await relay.states()
        line.silent = False
        before = len(link.frames)
        assert await relay.states() == (False,) * 8
        assert len(link.frames) == before + 4  # three at most are made sure of
        line.silent = True
        with pytest.raises(UnavailableError):
            await relay.states()
        line.silent = False
        await asyncio.sleep(2.1)
        before = len(link.frames)
        await relay.states()
        assert len(link.frames) == before + 1


@pytest.mark.parametrize("channel", [0, -1, 9])
def test_a_relay_that_does_not_exist_is_refused_before_anything_is_sent(channel):
    @in_virtual_time
    async def scenario() -> None:
        link = MemoryLink(Line())
        async with bus_on(link) as bus:
            with pytest.raises(MisconfiguredError):
                await Relay(bus, address=1).set(channel, on=True)
        assert link.frames == []

    scenario()


@in_virtual_time
async def test_a_board_that_says_no_is_refused_and_named():
    """A profile of 16 channels on a board of 8."""
    async with bus_on(MemoryLink(Line())) as bus:
        relay = Relay(bus, address=1, profile=load_profile("relay_16"))
        with pytest.raises(RefusedError, match=r"relay_16 1: refuses with exception 2 \(no such address\)"):
            await relay.set(16, on=True)
        with pytest.raises(RefusedError):
            await relay.states()


@pytest.mark.parametrize(
    ("code", "error"), [(1, RefusedError), (4, RefusedError), (6, UnavailableError), (11, UnavailableError)]
)
def test_what_passes_is_worth_asking_again_and_what_does_not_is_told_to_a_person(code, error):
    @in_virtual_time
    async def scenario() -> None:
        line = Line()
        line.spoil = lambda reply: sealed(f"01 81 {code:02X}")
        async with bus_on(MemoryLink(line)) as bus:
            with pytest.raises(error, match=f"exception {code} "):
                await Relay(bus, address=1).states()

    scenario()


@in_virtual_time
async def test_inputs_are_seen():
    line = Line({1: RelayBoard(4)})
    line.units[1].inputs = [True, False, False, True]
    async with bus_on(MemoryLink(line)) as bus:
        assert await Inputs(bus, address=1, profile=load_profile("relay_4")).states() == (True, False, False, True)


@in_virtual_time
async def test_a_switch_that_waited_too_long_is_not_sent():
    """Twelve silent neighbours are before it: whoever asked has gone by then."""
    line = Line()
    line.silent = True
    link = MemoryLink(line)
    async with bus_on(link) as bus:
        others = [
            asyncio.create_task(Relay(bus, address=address).states(), name=f"other-{address}")
            for address in range(2, 14)
        ]
        await asyncio.sleep(0)
        with pytest.raises(UnavailableError, match="not sent"):
            await Relay(bus, address=1).set(1, on=True)
        await asyncio.gather(*others, return_exceptions=True)
    assert all(frame[1] != 5 for frame in link.frames)


# ---------------------------------------------------------------- climate


@pytest.mark.parametrize(
    ("sensed", "sample"),
    [
        ((30.5, 54.6), ClimateSample(305, 54.6)),
        ((-12.3, 0.0), ClimateSample(-123, 0.0)),
        ((0.04, 100.0), ClimateSample(0, 100.0)),
    ],
)
def test_a_climate(sensed, sample):
    @in_virtual_time
    async def scenario() -> None:
        link = MemoryLink(Line({1: ClimateSensor(lambda: sensed)}))
        async with bus_on(link) as bus:
            assert await Climate(bus, address=1).sample() == sample
        assert link.frames == [bytes.fromhex("01 04 00 01 00 02 20 0B")]

    scenario()


@in_virtual_time
async def test_a_broken_probe_is_no_temperature():
    faults: list[tuple[str, str]] = []
    async with bus_on(MemoryLink(Line({1: ClimateSensor(lambda: None)})), faults) as bus:
        with pytest.raises(UnavailableError, match=r"temperature is 3276.7 °C, outside of -40 to 125; is its probe"):
            await Climate(bus, address=1).sample()
    assert ("unexpected", "xy_md02 1: temperature is 3276.7 °C, outside of -40 to 125") in faults


@in_virtual_time
async def test_a_humidor_holds_its_sensor_to_what_can_be_there():
    async with bus_on(MemoryLink(Line({1: ClimateSensor(lambda: (85.0, 70.0))}))) as bus:
        with pytest.raises(UnavailableError):
            await Climate(bus, address=1, profile=load_profile("humidor")).sample()


@in_virtual_time
async def test_a_refrigerator_is_a_climate_without_humidity():
    fridge = Fridge(asyncio.get_running_loop().time, air_c=6.5)
    async with bus_on(MemoryLink(Line({1: FridgeController(fridge)}))) as bus:
        sample = await Climate(bus, address=1, profile=load_profile("refrigeration")).sample()
    assert sample == ClimateSample(65, None)


# ---------------------------------------------------------------- scales of another map


class FloatScale:
    """A float in kilograms, low word first; bit 0 of register 2: unstable."""

    writes = frozenset()

    def __init__(self, registers: dict[int, int]) -> None:
        self.registers = registers

    def table(self, kind, address):
        return self.registers if kind == 3 else {}

    def write(self, kind, first, values):
        raise AssertionError("nobody writes")


@pytest.mark.parametrize(
    ("registers", "sample"),
    [
        # 1.25 kg = 3F A0 00 00, low word first
        ({0: 0x0000, 1: 0x3FA0, 2: 0}, WeightSample(1250.0, stable=True)),
        ({0: 0x0000, 1: 0xBFA0, 2: 3}, WeightSample(-1250.0, stable=False, overload=True)),
    ],
)
def test_a_scale_with_another_map_is_another_profile(registers, sample):
    @in_virtual_time
    async def scenario() -> None:
        link = MemoryLink(Line({1: FloatScale(registers)}))
        async with bus_on(link) as bus:
            scale = WeightTransmitter(bus, address=1, profile=load_profile("weight_transmitter_f32"))
            assert await scale.sample() == sample
            await scale.acknowledge_power_on()  # it has no such flag
        assert link.frames == [bytes.fromhex("01 03 00 00 00 03 05 CB")]  # weight and status in one read

    scenario()


@pytest.mark.parametrize("registers", [{0: 0, 1: 0x7FC0, 2: 0}, {0: 0, 1: 0x7F80, 2: 0}, {0: 0, 1: 0x4480, 2: 0}])
def test_what_is_no_weight_is_told(registers):
    """Not a number, infinity, and a ton on a shelf."""

    @in_virtual_time
    async def scenario() -> None:
        async with bus_on(MemoryLink(Line({1: FloatScale(registers)}))) as bus:
            scale = WeightTransmitter(bus, address=1, profile=load_profile("weight_transmitter_f32"))
            with pytest.raises(UnavailableError, match="scale 1: weight is"):
                await scale.sample()

    scenario()


class Samples:
    """A scale that says what it is told to."""

    def __init__(self, *samples: WeightSample) -> None:
        self._samples = list(samples)

    async def sample(self) -> WeightSample:
        return self._samples.pop(0) if len(self._samples) > 1 else self._samples[0]

    async def acknowledge_power_on(self) -> None:
        raise AssertionError("nobody acknowledges")


async def test_a_known_mass_is_weighed_by_stable_samples_alone():
    moving = WeightSample(900.0, stable=False)
    weights = [WeightSample(weight, stable=True) for weight in (499.0, 500.5, 501.0, 500.0, 700.0)]
    assert await settled_g(Samples(moving, *weights)) == 500.5
    with pytest.raises(RefusedError, match="did not settle"):
        await settled_g(Samples(moving))
    with pytest.raises(RefusedError, match="overload"):
        await settled_g(Samples(WeightSample(0.0, stable=True, overload=True)))


@pytest.mark.parametrize(
    ("empty_g", "loaded_g", "ok", "advice"),
    [
        (12.0, 512.0, True, ""),
        (12.0, 514.0, True, ""),  # two grams are allowed
        (12.0, 514.1, False, "calibrate"),
        (12.0, 509.9, False, "calibrate"),
        (0.0, -500.0, False, "sign"),
        (0.0, 5000.0, False, "decimals"),
        (0.0, 0.5, False, "decimals"),
        (0.0, 32768000.0, False, "word_order"),
    ],
)
def test_the_known_mass_check(empty_g, loaded_g, ok, advice):
    found = check_known_mass(empty_g, loaded_g)
    assert found.ok is ok
    assert advice in found.advice
    assert found.error_g == pytest.approx(loaded_g - empty_g - 500.0)


# ---------------------------------------------------------------- meters


@in_virtual_time
async def test_a_meter_reads_every_value_of_its_profile_in_one_read():
    fridge = Fridge(asyncio.get_running_loop().time, air_c=3.5)
    link = MemoryLink(Line({7: FridgeController(fridge)}))
    async with bus_on(link) as bus:
        found = await Meter(bus, address=7, profile=load_profile("refrigeration")).read()
    assert {name: one.value for name, one in found.items()} == {
        "temperature": 3.5,
        "setpoint": 4.0,
        "hysteresis": 2.0,
        "defrost_state": 0.0,
        "door_open": False,
        "compressor_on": False,
        "alarm_bits": 0.0,
    }
    assert found["temperature"].unit == "°C"
    assert len(link.frames) == 1


@in_virtual_time
async def test_a_value_out_of_its_range_leaves_the_others_alone():
    fridge = Fridge(asyncio.get_running_loop().time)
    fridge.probe_broken = True
    async with bus_on(MemoryLink(Line({7: FridgeController(fridge)}))) as bus:
        found = await Meter(bus, address=7, profile=load_profile("refrigeration")).read()
    assert found["temperature"].value is None
    assert found["temperature"].problem == "is 3276.7 °C, outside of -50 to 80"
    assert found["alarm_bits"].value == 8.0


@in_virtual_time
async def test_each_value_is_polled_at_its_own_period():
    fridge = Fridge(asyncio.get_running_loop().time)
    async with bus_on(MemoryLink(Line({7: FridgeController(fridge)}))) as bus:
        meter = Meter(bus, address=7, profile=load_profile("refrigeration"))
        assert len(await meter.read_due(0.0)) == 7
        assert await meter.read_due(4.9) == {}
        assert set(await meter.read_due(5.0)) == {"door_open"}
        assert set(await meter.read_due(10.0)) == {"temperature", "door_open", "compressor_on", "alarm_bits"}


@in_virtual_time
async def test_a_meter_knows_only_what_its_profile_says():
    async with bus_on(MemoryLink(Line())) as bus:
        meter = Meter(bus, address=4, profile=load_profile("refrigeration"))
        with pytest.raises(MisconfiguredError, match="no value 'power'"):
            await meter.read("power")
        with pytest.raises(MisconfiguredError, match="no command 'off'"):
            await meter.command("off")


BARE = """
[device]
title = "x"
title_zh = "x"
source = "x"
sure = "P"
[value.{}]
function = {}
address = 0
type = "{}"
unit = "{}"
"""


@pytest.mark.parametrize(
    ("make", "row", "said"),
    [
        # name, function, type and unit of the only value
        (Relay, ("lamps", 1, "bit", ""), "value.relays: is missing; add it"),
        (Relay, ("relays", 2, "bit", ""), "value.relays.function: must be 1"),
        (Inputs, ("inputs", 1, "bit", ""), "value.inputs.function: must be 2"),
        (Climate, ("temperature", 3, "i16", "°F"), "value.temperature.unit: must be °C"),
        (WeightTransmitter, ("weight", 3, "i16", "lb"), "value.weight.unit: must be g or kg"),
        (WeightTransmitter, ("mass", 3, "i16", "g"), "value.weight: is missing"),
    ],
)
def test_a_profile_that_does_not_fit_a_driver_is_refused(make, row, said):
    @in_virtual_time
    async def scenario() -> None:
        profile = parse_profile("x.toml", BARE.format(*row).encode())
        async with bus_on(MemoryLink()) as bus:
            with pytest.raises(MisconfiguredError, match=said):
                make(bus, address=1, profile=profile)

    scenario()


# ---------------------------------------------------------------- the family


@in_virtual_time
async def test_a_probe_finds_whoever_answers_anything():
    async with bus_on(MemoryLink(Line())) as bus:
        assert await FAMILY.probe(bus, 1, {}) == "Modbus device 1: holding register 0 is 1"
        assert "to holding register 0 it says: device 3: refuses with exception 2" in await FAMILY.probe(bus, 3, {})
        with pytest.raises(UnavailableError):
            await FAMILY.probe(bus, 99, {})


@pytest.mark.parametrize(
    ("side", "frame", "words", "acts"),
    [
        ("from_host", "01 05 00 00 FF 00 8C 3A", "device 1: switch coil 0 on", True),
        ("from_host", "01 01 00 00 00 08 3D CC", "device 1: read 8 coils from 0", False),
        ("from_host", "01 06 00 00 04 D2 0B 57", "device 1: write 1234 to holding register 0", True),
        ("from_host", "01 0F 00 00 00 04 01 0F 7E 92", "device 1: switch 4 coils from 0: 1, 1, 1, 1", True),
        ("from_host", "01 10 00 00 00 01 02 00 02 27 91", "device 1: write 2 to holding registers from 0", True),
        ("from_device", "01 01 01 41 91 B8", "device 1: coils: 41", False),
        ("from_device", "01 03 04 00 00 00 84 FA 50", "device 1: holding registers: 0, 132", False),
        ("from_device", "01 0F 00 00 00 08 54 0D", "device 1: has written 8 coils from 0", False),
        ("from_device", "01 83 02 C0 F1", "device 1: refuses function 03: exception 2 (no such address)", False),
    ],
)
def test_a_frame_in_words(side, frame, words, acts):
    (found,) = getattr(FAMILY, side)(lambda _kind, _detail: None).feed(bytes.fromhex(frame))
    assert FAMILY.describe(found) == words
    assert FAMILY.acts(found) is acts


@in_virtual_time
async def test_every_function_by_hand():
    """The master itself, without a profile."""
    line = Line()
    async with bus_on(MemoryLink(line)) as bus:
        station = Station(bus, address=1, framing=Rtu())
        await station.write(pdu.WriteCoils(0, (True, False, True)))
        await station.write(pdu.WriteCoil(7, True))
        assert (await station.read(pdu.read_coils(0, 8))).bits(8) == (True, False, True, *(False,) * 4, True)
        assert (await station.read(pdu.read_inputs(0, 8))).bits(8) == (False,) * 8
        await station.write(pdu.WriteRegister(0, 5))
        await station.write(pdu.WriteRegisters(0, (6, 4)))
        assert (await station.read(pdu.read_holding(0, 2))).registers() == (6, 4)
        sensor = Station(bus, address=3)
        assert (await sensor.read(pdu.read_input_registers(1, 2))).registers() == (305, 546)


@in_virtual_time
async def test_a_device_that_is_asked_much_leaves_the_queue_to_the_others():
    """A station has its share of the queue, and every second turn at most, whoever asks it."""
    line = Line()
    link = MemoryLink(line)
    async with bus_on(link) as bus:
        much, also, other = Station(bus, address=1), Station(bus, address=1, what="relay"), Station(bus, address=3)
        asked = [
            asyncio.create_task(station.read(pdu.read_coils(0, 8)))
            for _ in range(MAX_WAITING_A_DEVICE)
            for station in (much, also)
        ]
        for _ in range(3):
            await asyncio.sleep(0)
        once = asyncio.create_task(other.read(pdu.read_input_registers(1, 2)))
        answers = await asyncio.gather(*asked, return_exceptions=True)
        assert (await once).registers() == (305, 546)
    refused = [answer for answer in answers if "requests of modbus 1 wait already" in str(answer)]
    assert len(refused) == bus.counters["refused_full"] > MAX_WAITING_A_DEVICE - 3
    assert 3 in {frame[0] for frame in link.frames[:3]}
