"""The driver against its device, over every line that the shared suite knows."""

import pytest
from puck import Puck
from simulators.conformance.lines import LINES
from simulators.conformance.suite import (
    UNPLUGGED,
    CodecCase,
    DriverCase,
    check_codec,
    check_driver,
    check_unplug,
)

from acme_climate import Decoder, probe

DRIVER = DriverCase(
    name="acme_climate: 21.5 °C", device=Puck, drive=lambda bus, echo: lambda: probe(bus, 7, {}), expected="21.5 °C"
)
CODEC = CodecCase(
    name="acme_climate: both ways",
    decoder=Decoder,
    frames=[bytes.fromhex("A50701AD"), bytes.fromhex("A5078100D704")],
    most_buffered=5,
)


@pytest.mark.parametrize("line", LINES, ids=lambda line: line.__name__)
def test_an_answer_is_right_or_there_is_none(line):
    assert check_driver(DRIVER, line, seed=1) == ""


@pytest.mark.parametrize("where", UNPLUGGED)
def test_a_cable_pulled_out_costs_nothing_but_time(where):
    assert check_unplug(DRIVER, where, seed=1) == ""


def test_the_codec_takes_any_bytes():
    assert check_codec(CODEC, seed=1) == ""
