"""Device profiles: every shipped one is right, a wrong one is refused with file, key and fix."""

from __future__ import annotations

import contextlib
import json
import struct
import tomllib
from importlib.resources import files
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import device_drivers.profiles
from device_drivers.errors import MisconfiguredError
from device_drivers.modbus_rtu import load_profile, read_profile, reading
from device_drivers.modbus_rtu.__main__ import main
from device_drivers.modbus_rtu.pdu import Read, Values
from device_drivers.modbus_rtu.profile import MAX_FILE_BYTES, json_schema, parse_profile, shipped_names

GOOD = """
[device]
title = "Meter"
title_zh = "表"
source = "a test"
sure = "P"

[value.power]
function = 3
address = 10
type = "i32"
scale = 0.01
unit = "W"
valid = [-100.0, 100.0]
"""


def read(text: str):
    return parse_profile("meter.toml", text.encode())


def test_what_is_shipped():
    assert shipped_names() == [
        "humidor",
        "refrigeration",
        "relay_16",
        "relay_4",
        "relay_8",
        "weight_transmitter",
        "weight_transmitter_f32",
        "xy_md02",
    ]


@pytest.mark.parametrize("name", shipped_names())
def test_a_shipped_profile_is_right_and_the_schema_says_so_too(name):
    profile = load_profile(name)
    assert profile.name == name
    jsonschema.validate(tomllib.loads((files(device_drivers.profiles) / f"{name}.toml").read_text()), json_schema())


def test_what_is_open_or_an_example_says_so():
    marks = {name: load_profile(name).device for name in shipped_names()}
    assert {name for name, device in marks.items() if device.template} == {"refrigeration", "weight_transmitter_f32"}
    assert all((device.sure == "?") == device.template for device in marks.values())


def test_a_file_of_ones_own_is_read_like_a_shipped_one(tmp_path: Path):
    (tmp_path / "mine.toml").write_text(GOOD)
    profile = read_profile(tmp_path / "mine.toml")
    assert (profile.name, profile.values["power"].poll_s) == ("mine", 5.0)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        # what is written in place of what, and the line that refuses it
        (("scale = 0.01", "scal = 0.01"), "meter.toml: value.power.scal: unknown key; did you mean scale?"),
        (("[device]", "[devise]"), "meter.toml: devise: unknown key; did you mean device?"),
        (("sure = ", "sures = "), "meter.toml: device.sures: unknown key; did you mean sure?"),
        (("address = 10\n", ""), "meter.toml: value.power.address: is missing; add it"),
        (("address = 10", "address = 65536"), "value.power.address: expected `int` <= 65535; mend it"),
        (("address = 10", "address = 65535"), "value.power.address: runs beyond 65535 with its 2 places; lower it"),
        (("address = 10", 'address = "10"'), "value.power.address: expected `int`, got `str`; mend it"),
        (("function = 3", "function = 5"), "value.power.function: must be one of 1, 2, 3, 4"),
        (("function = 3", "function = 1"), "value.power.type: functions 1 and 2 read bits, not i32"),
        (('"i32"', '"bit"'), "value.power.bit: is missing; say which bit of the register, 0 to 15"),
        (('"i32"', '"i64"'), "value.power.type: must be one of u16, i16, u32, i32, f32, bit"),
        (("scale = 0.01", "scale = 0.0"), "value.power.scale: must be a number other than 0"),
        (("scale = 0.01", "scale = nan"), "value.power.scale: must be a number other than 0"),
        (("scale = 0.01", "mask = 7"), "value.power.mask: belongs to a u16"),
        (("scale = 0.01", "count = 2"), "value.power.count: belongs to functions 1 and 2"),
        (("scale = 0.01", "bit = 2"), "value.power.bit: belongs to a bit of a register"),
        (('"i32"', '"i16"\nword_order = "CDAB"'), "value.power.word_order: belongs to 32-bit values; remove it"),
        (("scale = 0.01", 'decimals = "dots"'), "value.power.decimals: no value is called 'dots'; there is: power"),
        (("scale = 0.01", 'decimals = "power"'), "value.power.decimals: 'power' must be a plain u16"),
        (("[-100.0, 100.0]", "[100.0, -100.0]"), "value.power.valid: the first is not below the second"),
        (("scale = 0.01", 'word_order = "AB"'), "value.power.word_order: must be one of ABCD, CDAB, BADC, DCBA"),
        (("[-100.0, 100.0]", "[1.0]"), "value.power.valid: expected `array` of length 2, got 1; mend it"),
        (("value.power", "value.Power"), "value.Power: is no name"),
        (("[value.power]", "[[value.power]]"), "value.power: expected `object`, got `array`; mend it"),
        (("unit =", "unit ="), None),
    ],
)
def test_a_wrong_profile_is_refused_with_file_key_and_fix(change, said):
    assert change[0] in GOOD
    text = GOOD.replace(*change)
    if said is None:
        assert read(text).values["power"].unit == "W"
        return
    with pytest.raises(MisconfiguredError) as caught:
        read(text)
    assert said in str(caught.value)
    assert all(line.startswith("meter.toml: ") for line in str(caught.value).splitlines())


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("function = 5\naddress = 0\nvalues = [2]", "command.go.values: a coil takes 0 or 1"),
        ("function = 6\naddress = 0\nvalues = [1, 2]", "command.go.values: functions 5 and 6 write one value"),
        ("function = 16\naddress = 65535\nvalues = [1, 2]", "command.go.address: runs beyond 65535"),
        ("function = 16\naddress = 0\nvalues = []", "command.go.values: expected `array` of length >= 1"),
        ("function = 16\naddress = 0\nvalues = [70000]", "command.go.values[0]: expected `int` <= 65535"),
        ("function = 22\naddress = 0\nvalues = [1]", "command.go.function: must be one of 5, 6, 15, 16"),
    ],
)
def test_a_wrong_command_is_refused(command, said):
    with pytest.raises(MisconfiguredError, match=r"^meter\.toml: ") as caught:
        read(f"{GOOD}\n[command.go]\n{command}\n")
    assert said in str(caught.value)


def test_every_problem_of_a_file_is_told_at_once():
    with pytest.raises(MisconfiguredError) as caught:
        read(GOOD.replace("scale", "scal").replace("sure", "sur"))
    assert len(str(caught.value).splitlines()) == 2


@pytest.mark.parametrize("raw", [b"[device", b"\xff", b"a" * (MAX_FILE_BYTES + 1), b"value = 3", b""])
def test_what_is_no_profile_at_all(raw):
    with pytest.raises(MisconfiguredError, match=r"^meter\.toml: "):
        parse_profile("meter.toml", raw)


def test_a_file_that_is_not_there(tmp_path: Path):
    with pytest.raises(MisconfiguredError, match="No such file"):
        read_profile(tmp_path / "none.toml")
    with pytest.raises(MisconfiguredError, match="there are: humidor, refrigeration"):
        load_profile("fridge")


toml_values = st.one_of(st.integers(-1, 70000), st.floats(), st.sampled_from(["bit", "i32", "u16", "ABCD", "x"]))
keys = st.sampled_from(["function", "address", "type", "scale", "bit", "mask", "count", "valid", "decimals", "poll_s"])


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(keys, toml_values, max_size=8))
def test_no_table_raises_anything_else(table):
    lines = "\n".join(f"{key} = {value!r}" for key, value in table.items())
    with contextlib.suppress(MisconfiguredError):
        read(GOOD.split("[value", maxsplit=1)[0] + "[value.x]\n" + lines)


@pytest.mark.parametrize(
    ("order", "data"),
    [("ABCD", "00 01 02 03"), ("CDAB", "02 03 00 01"), ("BADC", "01 00 03 02"), ("DCBA", "03 02 01 00")],
)
@pytest.mark.parametrize(("kind", "expected"), [("i32", 0x00010203), ("f32", None)])
def test_word_orders(order, data, kind, expected):
    profile = read(GOOD.replace('"i32"', f'"{kind}"\nword_order = "{order}"').replace("scale = 0.01\n", ""))
    (block,) = reading.blocks(profile, ["power"])
    raw = reading.raw_values(profile, block, Values(3, bytes.fromhex(data)))["power"]
    assert raw == (struct.unpack(">f", b"\0\1\2\3")[0] if expected is None else expected)


NEIGHBOURS = """
[device]
title = "x"
title_zh = "x"
source = "x"
sure = "P"
max_read = 6
max_gap = {gap}

[value.a]
function = 3
address = 0
type = "i32"
[value.b]
function = 3
address = 2
type = "u16"
[value.c]
function = 3
address = 5
type = "u16"
[value.d]
function = 4
address = 0
type = "u16"
[value.e]
function = 3
address = 6
type = "u16"
[value.low]
function = 3
address = 1
type = "bit"
bit = 0
"""


@pytest.mark.parametrize(
    ("gap", "reads"),
    [
        (0, [Read(3, 0, 3), Read(3, 5, 2), Read(4, 0, 1)]),
        (1, [Read(3, 0, 3), Read(3, 5, 2), Read(4, 0, 1)]),
        (2, [Read(3, 0, 6), Read(3, 6, 1), Read(4, 0, 1)]),  # not beyond max_read
    ],
)
def test_neighbours_are_read_together_as_far_as_the_profile_allows(gap, reads):
    profile = read(NEIGHBOURS.format(gap=gap))
    found = reading.blocks(profile, profile.values)
    assert [block.request for block in found] == reads
    assert sorted(name for block in found for name in block.names) == sorted(profile.values)


@pytest.mark.parametrize(
    ("raw", "measured"),
    [
        (1234, reading.Measured(12.34, "W")),
        (-10000, reading.Measured(-100.0, "W")),
        (10001, reading.Measured(None, "W", "is 100.01 W, outside of -100 to 100")),
        (float("nan"), reading.Measured(None, "W", "is not a number")),
        (float("inf"), reading.Measured(None, "W", "is not a number")),
    ],
)
def test_a_number_is_scaled_and_held_against_its_range(raw, measured):
    assert reading.measured(read(GOOD), "power", {"power": raw}) == measured


def test_more_decimals_than_can_be_are_rubbish():
    profile = load_profile("weight_transmitter")
    assert reading.measured(profile, "weight", {"weight": 1, "decimals": 10}).problem


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(shipped_names()), st.data())
def test_no_reply_of_the_right_length_breaks_a_reading(name, data):
    profile = load_profile(name)
    raws = {}
    for block in reading.blocks(profile, profile.values):
        size = block.request.data_bytes()
        raws |= reading.raw_values(
            profile, block, Values(block.request.function, data.draw(st.binary(min_size=size, max_size=size)))
        )
    for value in profile.values:
        one = reading.measured(profile, value, raws)
        assert (one.value is None) == bool(one.problem)


def test_a_maker_of_profiles_gets_the_schema_and_a_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main([]) == 0
    assert json.loads(capsys.readouterr().out) == json_schema()
    good, bad = tmp_path / "good.toml", tmp_path / "bad.toml"
    good.write_text(GOOD)
    bad.write_text(GOOD.replace("scale", "scal"))
    assert main([str(good)]) == 0
    assert capsys.readouterr().out == f"{good}: 1 values in 1 reads, 0 commands\n"
    assert main([str(bad), str(good)]) == 1
    assert capsys.readouterr().err == f"{bad}: value.power.scal: unknown key; did you mean scale?\n"
