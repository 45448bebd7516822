"""The shared suite over every family: any line, any cut, any rubbish."""

from __future__ import annotations

import importlib
import pkgutil

import pytest

from device_drivers.family import families
from simulators.conformance.lines import LINES, Line
from simulators.conformance.suite import UNPLUGGED, CodecCase, DriverCase, check_codec, check_driver, check_unplug
from tests.device_drivers import cases

_MODULES = [
    importlib.import_module(f"{cases.__name__}.{module.name}") for module in pkgutil.iter_modules(cases.__path__)
]
DRIVERS: list[DriverCase] = [case for module in _MODULES for case in getattr(module, "DRIVERS", ())]
CODECS: list[CodecCase] = [case for module in _MODULES for case in getattr(module, "CODECS", ())]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("line", LINES, ids=lambda line: line.__name__)
@pytest.mark.parametrize("case", DRIVERS, ids=lambda case: case.name)
def test_an_answer_is_right_or_there_is_none(case: DriverCase, line: Line, seed: int) -> None:
    if line in dict(case.avoid):
        return  # the reason stands in the case
    assert check_driver(case, line, seed) == ""


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("where", UNPLUGGED)
@pytest.mark.parametrize("case", DRIVERS, ids=lambda case: case.name)
def test_a_cable_that_is_pulled_out_at_any_moment_costs_nothing_but_time(
    case: DriverCase, where: str, seed: int
) -> None:
    assert check_unplug(case, where, seed) == ""


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("case", CODECS, ids=lambda case: case.name)
def test_a_codec_takes_any_bytes_cut_anywhere(case: CodecCase, seed: int) -> None:
    assert check_codec(case, seed) == ""


def test_every_family_is_in_the_suite() -> None:
    named = {case.name.split(":", 1)[0] for case in CODECS}
    assert set(families()) <= named, "a family without a CodecCase named 'family: …' in tests/device_drivers/cases"
