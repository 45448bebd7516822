"""A device played by its profile is read back as it was meant, whatever its types and orders."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device_drivers.errors import RefusedError
from device_drivers.modbus_rtu import Meter, Profile, Relay, WeightTransmitter, load_profile
from device_drivers.modbus_rtu.profile import parse_profile, shipped_names
from simulators.conformance.memory_link import MemoryLink, bus_on
from simulators.conformance.virtual_time import VirtualLoop, in_virtual_time
from simulators.hardware.modbus import ModbusBus
from simulators.hardware.modbus_profiled import ProfiledUnit, Shown

EVERYTHING = """
[device]
title = "Everything"
title_zh = "全"
source = "a test"
sure = "P"
max_gap = 4
[value.u16]
function = 3
address = 0
type = "u16"
[value.i16]
function = 4
address = 1
type = "i16"
scale = 0.1
[value.u32]
function = 3
address = 2
type = "u32"
word_order = "BADC"
[value.i32]
function = 3
address = 6
type = "i32"
word_order = "DCBA"
scale = 0.001
[value.f32]
function = 3
address = 8
type = "f32"
word_order = "CDAB"
[value.low]
function = 3
address = 10
type = "u16"
mask = 0x00F0
[value.flag]
function = 3
address = 10
type = "bit"
bit = 15
[value.dots]
function = 3
address = 11
type = "u16"
[value.dotted]
function = 3
address = 12
type = "i32"
decimals = "dots"
[value.coils]
function = 1
address = 100
type = "bit"
count = 11
[value.input]
function = 2
address = 65535
type = "bit"
"""
everything = st.fixed_dictionaries(
    {
        "u16": st.integers(0, 65535),
        "i16": st.integers(-32768, 32767).map(lambda n: n / 10),
        "u32": st.integers(0, 2**32 - 1),
        "i32": st.integers(-(2**31), 2**31 - 1).map(lambda n: n / 1000),
        "f32": st.floats(width=32, allow_nan=False, allow_infinity=False),
        "low": st.integers(0, 15),
        "flag": st.booleans(),
        "dots": st.integers(0, 4),
        "dotted": st.integers(-9999, 9999),
        "coils": st.lists(st.booleans(), min_size=11, max_size=11).map(tuple),
        "input": st.booleans(),
    }
)


class OnLine:
    def __init__(self, unit: ProfiledUnit) -> None:
        self._bus = ModbusBus({1: unit})

    def receive(self, data: bytes) -> bytes:
        return b"".join(self._bus.answer(frame, 0.0) for frame in self._bus.split(data, 0.0))


def read_all(profile: Profile, shown: Shown) -> dict[str, object]:
    async def ask() -> dict[str, object]:
        async with bus_on(MemoryLink(OnLine(ProfiledUnit(profile, lambda: shown)))) as bus:
            return {name: one.value for name, one in (await Meter(bus, address=1, profile=profile).read()).items()}

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(ask())


@settings(max_examples=40, deadline=None)
@given(everything)
def test_every_type_comes_back_as_it_was_meant(shown: Shown) -> None:
    profile = parse_profile("everything.toml", EVERYTHING.encode())
    found = read_all(profile, shown)
    assert found.pop("coils") == shown["coils"]
    assert found == pytest.approx({name: value for name, value in shown.items() if name != "coils"})


@pytest.mark.parametrize("name", shipped_names())
def test_every_shipped_profile_can_be_played(name: str) -> None:
    profile = load_profile(name)
    shown = {key: value.valid[0] for key, value in profile.values.items() if value.valid is not None}
    found = read_all(profile, shown)
    assert set(found) == set(profile.values)
    assert {key: found[key] for key in shown} == pytest.approx(shown)


@in_virtual_time
async def test_drivers_meet_a_played_profile() -> None:
    scale = ProfiledUnit(load_profile("weight_transmitter_f32"), lambda: {"weight": 1.25, "unstable": True})
    async with bus_on(MemoryLink(OnLine(scale))) as bus:
        sample = await WeightTransmitter(bus, address=1, profile=load_profile("weight_transmitter_f32")).sample()
    assert (sample.gross_g, sample.stable) == (1250.0, False)
    board = ProfiledUnit(load_profile("relay_4"), lambda: {"relays": (False, True, False, True)})
    async with bus_on(MemoryLink(OnLine(board))) as bus:
        relay = Relay(bus, address=1, profile=load_profile("relay_4"))
        assert await relay.states() == (False, True, False, True)
        await relay.all_off()
        with pytest.raises(RefusedError):
            await Relay(bus, address=1).states()  # eight channels are not there
    assert set(board.written.values()) == {0}
