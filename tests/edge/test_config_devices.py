"""Whatever a store says wrongly of a device is refused with the key and the fix, before anything opens."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import pytest

from edge.check import check_store
from edge.config import ConfigError, load_store
from tests.edge.kinds import described, line

ANTENNA = '[[device.antenna]]\nshelf = "A-1a"'


def device(kind: str, *more: str, name: str = "it", bus: str = "line") -> str:
    on = f'bus = "{bus}"\n' if bus else ""
    return f'[[device]]\nkind = "{kind}"\nid = "{name}"\n{on}' + "\n".join(more) + "\n"


def refused(folder: Path, protocol: str, devices: Iterable[str], url: str = "") -> str:
    toml = described(folder, line(folder, protocol, url=url) + "".join(devices))
    with pytest.raises(ConfigError) as error:
        load_store(toml)
    return str(error.value)


TRIAL = ("address = 5", 'key_file = "unit.key"')
M100 = ('family = "m100"',)
WRONG = [
    # protocol of the line, the devices on it, what the message must name: the key and the fix
    pytest.param("modbus_rtu", [device("climate", "address = 0")], ["it.address", "1..247"], id="no address"),
    pytest.param("modbus_rtu", [device("fridge", "address = 248")], ["it.address", "1..247"], id="beyond RTU"),
    pytest.param("scanner", [device("climate", "address = 1")], ["it.bus", "needs modbus_rtu or modbus_tcp"], id="bus"),
    pytest.param("modbus_rtu", [device("trial_unit", *TRIAL)], ["it.bus", "needs trial_ptp"], id="a trial unit there"),
    pytest.param("mdb", [device("rfid", *M100, ANTENNA)], ["it.bus", "needs rfid_m100"], id="a reader there"),
    pytest.param("modbus_rtu", [device("cashless")], ["it.bus", "needs mdb"], id="a cashless reader there"),
    pytest.param(
        "modbus_rtu", [device("climate", "address = 1", bus="lime")], ["it.bus", "line"], id="a bus not there"
    ),
    pytest.param(
        "modbus_rtu",
        [device("climate", "address = 4"), device("fridge", "address = 4", name="other")],
        ["other.address", "'it' has address 4", "another one"],
        id="one address twice",
    ),
    pytest.param(
        "mdb", [device("cashless"), device("cashless", name="two")], ["two.address", "16"], id="two cashless at 0x10"
    ),
    pytest.param(
        "rfid_m100",
        [device("rfid", *M100, ANTENNA), device("rfid", *M100, ANTENNA, name="two")],
        ["two.bus", "its own"],
        id="two modules on one line",
    ),
    # profiles
    pytest.param(
        "modbus_rtu",
        [device("climate", "address = 1", 'profile = "xy_md03"')],
        ["it.profile", "xy_md03", "there are: humidor"],
        id="no such profile",
    ),
    pytest.param(
        "modbus_rtu",
        [device("climate", "address = 1", 'profile = "mine.toml"')],
        ["it.profile", "mine.toml"],
        id="no file",
    ),
    pytest.param(
        "modbus_rtu",
        [device("climate", "address = 1", 'profile = "relay_8"')],
        ["it.profile", "value.temperature", "add it"],
        id="a profile without a temperature",
    ),
    pytest.param(
        "modbus_rtu",
        [device("relay_inputs", "address = 1", 'profile = "xy_md02"')],
        ["it.profile", "value.inputs"],
        id="a profile without contacts",
    ),
    pytest.param(
        "modbus_rtu",
        [device("relay_inputs", "address = 1", 'profile = "relay_4"', 'names = ["a", "b", "c", "d", "e"]')],
        ["it.names", "4 inputs"],
        id="more names than contacts",
    ),
    # limits
    pytest.param(
        "modbus_rtu",
        [device("climate", "address = 1", "min_c = 8.0", "max_c = 8.5")],
        ["min_c", "hysteresis_c"],
        id="no room between two limits",
    ),
    pytest.param(
        "modbus_rtu", [device("climate", "address = 1", "max_c = inf")], ["max_c", "finite"], id="a limit without end"
    ),
    pytest.param("modbus_rtu", [device("climate", "address = 1", "poll_s = 0.0")], ["poll_s"], id="no rest at all"),
    pytest.param(
        "modbus_rtu",
        [device("climate", "address = 1"), device("fridge", "address = 2", "echo = true", name="two")],
        ["two.echo", "'it'", "say the same"],
        id="an adapter that echoes for one of two",
    ),
    # what pays, proves an age, lets try
    pytest.param("trial_ptp", [device("trial_unit", "address = 5")], ["key_file", "missing"], id="no key"),
    pytest.param(
        "trial_ptp",
        [device("trial_unit", "address = 5", 'key_file = "none.key"')],
        ["it.key_file", "copy the unit's key there"],
        id="a key that is not there",
    ),
    pytest.param(
        "trial_ptp",
        [device("trial_unit", "address = 5", 'key_file = "open.key"')],
        ["it.key_file", "chmod 600"],
        id="a key that others may read",
    ),
    pytest.param(
        "trial_ptp",
        [device("trial_unit", *TRIAL, f'key = "{"cd" * 16}"')],
        ["key", "unknown key"],
        id="the key itself in the file",
    ),
    pytest.param("trial_ptp", [device("trial_unit", "address = 0", TRIAL[1])], ["it.address", "1 to"], id="no unit"),
    pytest.param("mdb", [device("cashless", "address = 17")], ["address", "16 or 96"], id="no cashless address"),
    pytest.param(
        "mdb",
        [device("cashless"), device("age_device", 'coding = "hex_lines"', name="age")],
        ["age.coding", "'words'", "say the same"],
        id="an adapter with two codings",
    ),
    # readers of tags
    pytest.param("rfid_m100", [device("rfid", *M100)], ["antenna", "missing"], id="no antenna"),
    pytest.param(
        "rfid_m100",
        [device("rfid", *M100, ANTENNA.replace("A-1a", "B-9"))],
        ["it.antenna.1.shelf", "B-9"],
        id="a shelf that is not there",
    ),
    pytest.param(
        "rfid_m100",
        [device("rfid", *M100, ANTENNA + "\nnumber = 2")],
        ["it.antenna", "number 1"],
        id="antenna 2 of one",
    ),
    pytest.param(
        "rfid_m100", [device("rfid", *M100, "power_dbm = 99.0", ANTENNA)], ["it.power_dbm", "99"], id="too much power"
    ),
    pytest.param(
        "rfid_thingmagic",
        [device("rfid", 'family = "thingmagic"', 'region = "china_800"', ANTENNA)],
        ["it.region", "leave it out"],
        id="a band that it does not know",
    ),
    pytest.param("rfid_m100", [device("rfid", 'family = "llrp"', ANTENNA)], ["it.host", "it.bus"], id="LLRP on a bus"),
    pytest.param(
        "rfid_m100",
        [device("rfid", 'family = "llrp"', 'host = "10.0.0.9"', ANTENNA, ANTENNA, bus="")],
        ["it.antenna.1", "keep one"],
        id="one antenna twice",
    ),
    pytest.param("escpos", [device("printer", "columns = 7")], ["columns", "must be"], id="no paper is so narrow"),
    pytest.param("escpos", [device("display")], ["it.bus", "needs customer_display"], id="a display on a printer's"),
    pytest.param("scanner", [device("scanner", 'cabinet = "Z"')], ["it.cabinet", "'Z'"], id="a scanner of no cabinet"),
    pytest.param(
        "scanner", [device("scanner", 'cabinet = "A"', 'dialect = "x"')], ["dialect", "gm65"], id="no dialect"
    ),
]


@pytest.mark.parametrize(("protocol", "devices", "names"), WRONG)
def test_what_is_wrong_is_named_with_its_fix(
    tmp_path: Path, protocol: str, devices: list[str], names: list[str]
) -> None:
    (tmp_path / "open.key").write_text("ab" * 32)
    (tmp_path / "open.key").chmod(0o644)
    said = refused(tmp_path, protocol, devices)
    assert [name for name in names if name not in said] == [], said
    assert "cdcd" not in said  # no key is ever repeated
    assert "abab" not in said


FAR = "tcp://10.0.0.1:4001"
LINKS = [
    # protocol, address of the line, what a refusal names; "" may be so
    ("modbus_rtu", FAR, ""),  # a reading that comes late opens nothing
    ("modbus_tcp", FAR, ""),
    ("rfid_m100", FAR, ""),  # tags are goods
    ("rfid_thingmagic", "rfc2217://10.0.0.1:4001", ""),
    ("mdb", FAR, "network"),  # "has paid", "is of age": to be forged on the way
    ("trial_ptp", FAR, "network"),  # it heats
    ("escpos", FAR, "network"),  # a drawer would open late
    ("customer_display", FAR, "network"),
    ("lock_8a", FAR, "network"),  # it opens late
    ("scanner", FAR, "network"),  # a code may be a member's
    ("id_card", FAR, "network"),
    ("modbus_tcp", "serial:///dev/x", "tcp://HOST:502"),  # an envelope without a network
    ("mdb", "pipe:///run/x", "only a scanner"),
    ("lock_8a", "evdev://x", "only a scanner"),
    ("scanner", "pipe:///run/x", ""),
    ("scanner", "evdev:///dev/input/by-id/x", ""),
    ("scanner", "evdev://A%20Scanner", ""),
    ("scanner", "pipe://run/x", "pipe:///PATH"),  # a path that is none
    ("scanner", "evdev://", "evdev://NAME"),
    ("scanner", "evdev://name/path", "evdev://NAME"),
]


@pytest.mark.parametrize(("protocol", "url", "named"), LINKS)
def test_which_link_may_carry_what(tmp_path: Path, protocol: str, url: str, named: str) -> None:
    toml = described(tmp_path, line(tmp_path, protocol, url=url))
    if named:
        with pytest.raises(ConfigError, match=r"bus\.2.*url") as error:
            load_store(toml)
        assert named in str(error.value)
    else:
        assert next(bus for bus in load_store(toml).bus if bus.id == "line").link.text == url


def test_a_dialect_needs_a_scanner_that_can_be_asked(tmp_path: Path) -> None:
    said = refused(
        tmp_path, "scanner", [device("scanner", 'cabinet = "A"', 'dialect = "gm65"')], url="pipe:///run/codes"
    )
    assert "device.it.dialect" in said
    assert "leave the dialect out" in said


@pytest.mark.parametrize(("protocol", "baud"), [("trial_ptp", 115200), ("rfid_m100", 115200), ("modbus_rtu", 9600)])
def test_a_line_that_names_no_speed_has_that_of_its_devices(tmp_path: Path, protocol: str, baud: int) -> None:
    config = load_store(described(tmp_path, line(tmp_path, protocol)))
    assert next(bus for bus in config.bus if bus.id == "line").link.baud == baud


def test_two_lines_over_a_network_are_two_ports(tmp_path: Path) -> None:
    more = "".join(line(tmp_path, "modbus_rtu", name=f"far-{n}", url=f"tcp://10.0.0.{n}:4001") for n in (1, 2))
    assert len(load_store(described(tmp_path, more)).bus) == 4


def test_a_template_and_a_missing_library_are_told_by_the_check(tmp_path: Path) -> None:
    reader = device("rfid", 'family = "llrp"', 'host = "10.0.0.9"', ANTENNA, bus="")
    toml = described(tmp_path, line(tmp_path, "modbus_rtu") + device("fridge", "address = 2", name="cold") + reader)
    found = {finding.what: finding for finding in check_store(toml)}
    assert re.search("template.*fill in", found["profile of cold"].found)
    assert found["reader it"].ok or "zhanggui[llrp]" in found["reader it"].found


def test_paths_count_from_the_folder_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(
        '[device]\ntitle = "x"\ntitle_zh = "x"\nsource = "x"\nsure = "?"\n[value.temperature]\nfunction = 3\n'
        'address = 7\ntype = "i16"\nunit = "°C"\n'
    )
    more = line(tmp_path, "modbus_rtu") + device("fridge", "address = 2", 'profile = "mine.toml"')
    config = load_store(described(tmp_path, more))
    assert config.device[-1].profile == str(tmp_path / "mine.toml")  # type: ignore[union-attr]  # a fridge
    assert config.document().devices[-1].model == "mine"
