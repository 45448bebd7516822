"""The shared suite over every family: any line, any cut, any rubbish."""

from __future__ import annotations

import importlib
import logging
import pkgutil

import pytest

from device_drivers.family import families
from simulators.conformance.lines import LINES, Line
from simulators.conformance.suite import (
    UNPLUGGED,
    CodecCase,
    DriverCase,
    check_codec,
    check_day,
    check_driver,
    check_unplug,
)
from tests.device_drivers import cases

_MODULES = [
    importlib.import_module(f"{cases.__name__}.{module.name}") for module in pkgutil.iter_modules(cases.__path__)
]
DRIVERS: list[DriverCase] = [case for module in _MODULES for case in getattr(module, "DRIVERS", ())]
ONE_A_FAMILY = {case.name.split(":", 1)[0]: case for case in reversed(DRIVERS)}
CODECS: list[CodecCase] = [case for module in _MODULES for case in getattr(module, "CODECS", ())]


SEEDS = [0, *(pytest.param(seed, marks=pytest.mark.proof) for seed in (1, 2, 3))]  # one by default, all in the proof


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("line", LINES, ids=lambda line: line.__name__)
@pytest.mark.parametrize("case", DRIVERS, ids=lambda case: case.name)
def test_an_answer_is_right_or_there_is_none(case: DriverCase, line: Line, seed: int) -> None:
    if line in dict(case.avoid):
        return  # the reason stands in the case
    assert check_driver(case, line, seed) == ""


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("where", UNPLUGGED)
@pytest.mark.parametrize("case", DRIVERS, ids=lambda case: case.name)
def test_a_cable_that_is_pulled_out_at_any_moment_costs_nothing_but_time(
    case: DriverCase, where: str, seed: int
) -> None:
    assert check_unplug(case, where, seed) == ""


@pytest.mark.parametrize("case", ONE_A_FAMILY.values(), ids=lambda case: case.name)
def test_a_day_with_unplugs_leaves_nothing_behind(case: DriverCase, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "zhanggui")  # pytest keeps what is logged, and it would count as left behind
    assert check_day(case) == ""


@pytest.mark.parametrize("case", CODECS, ids=lambda case: case.name)
def test_every_frame_can_be_read_aloud(case: CodecCase) -> None:
    one = families().get(case.name.split(":", 1)[0])
    if one is None:
        return  # a codec beside the families
    for frame in case.decoder(lambda _kind, _detail: None).feed(b"".join(case.frames)):
        said = one.describe(frame)
        assert 0 < len(said) <= 200
        assert said.isprintable()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("case", CODECS, ids=lambda case: case.name)
def test_a_codec_takes_any_bytes_cut_anywhere(case: CodecCase, seed: int) -> None:
    assert check_codec(case, seed) == ""


def test_every_family_is_in_the_suite() -> None:
    named = {case.name.split(":", 1)[0] for case in CODECS}
    assert set(families()) <= named, "a family without a CodecCase named 'family: …' in tests/device_drivers/cases"
