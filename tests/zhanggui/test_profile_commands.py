"""`zhanggui device profile …`: a wrong profile is named with its field and the fix."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

import pytest
from typer.testing import CliRunner

from device_drivers import profiles
from device_drivers.modbus_rtu.profile import shipped_names
from zhanggui.cli import app
from zhanggui.errors import UserError

GOOD = files(profiles).joinpath("refrigeration.toml").read_text()


def ran(*words: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, ["device", "profile", *words])
    if isinstance(result.exception, UserError):
        assert code == 2
        return str(result.exception)
    assert result.exit_code == code, result.output
    return result.output


@pytest.mark.parametrize(
    ("profile", "kinds"),
    [
        ("weight_transmitter", ["scale"]),
        ("xy_md02", ["climate", "fridge"]),
        ("refrigeration", ["climate", "fridge"]),
        ("relay_16", ["relay_inputs"]),
    ],
)
def test_a_shipped_one_says_whom_it_serves(profile: str, kinds: list[str]) -> None:
    assert json.loads(ran("check", profile, "--json"))["kinds"] == kinds
    assert ("a template" in ran("check", profile)) == (profile == "refrigeration")


def test_every_shipped_one_serves_somebody() -> None:
    assert [name for name in shipped_names() if not json.loads(ran("check", name, "--json"))["kinds"]] == []


@pytest.mark.parametrize(
    ("before", "after", "named"),
    [
        ("function = 3", "function = 9", "value.temperature.function"),  # no such function
        ("scale = 0.1", "scale = 0.0", "value.temperature.scale"),  # nothing could ever be measured
        ("[device]", "[devise]", "devise"),  # a table that is not known
        ('type = "i16"', 'type = "int"', "value.temperature.type"),  # a type of another language
        ("address = 0", "", "value.temperature.address"),  # where?
        ("[device]", "[device", "not TOML"),
    ],
)
def test_a_wrong_one_is_refused_with_its_field(tmp_path: Path, before: str, after: str, named: str) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(GOOD.replace(before, after, 1))
    said = ran("check", str(file), code=2)
    assert named in said
    assert str(file) in said


def test_a_file_that_is_not_there_names_those_that_are(tmp_path: Path) -> None:
    assert "xy_md02" in ran("check", str(tmp_path / "none.toml"), code=2)


def test_the_schema_is_one() -> None:
    schema = json.loads(ran("schema"))
    assert "$defs" in schema or "properties" in schema
    assert "DeviceTable" in json.dumps(schema)
