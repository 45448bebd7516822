"""What is said of a device by hand, `--set name=value`: read, checked, and used by the harmless questions."""

from __future__ import annotations

import pytest

from device_drivers.errors import MisconfiguredError
from device_drivers.family import families, family
from device_drivers.link_url import LinkUrl
from device_drivers.lock_profile import Profile
from device_drivers.looking import Probed, ask_again, probe
from device_drivers.settings import flag, number, one_of


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        # nothing said: what is usual, and the switch as a maker's table has it
        ({}, Profile(feedback_polarity="locked_short")),
        ({"feedback_polarity": "open_short"}, Profile(feedback_polarity="open_short")),
        (
            {"dialect": "cu12", "bit_order": "last_msb", "hold_off_s": "1.5", "echo": "true"},
            Profile(
                feedback_polarity="locked_short", dialect="cu12", bit_order="last_msb", hold_off_s=1.5, echo=True
            ),
        ),
        ({"echo": "false"}, Profile(feedback_polarity="locked_short")),
    ],
)  # fmt: skip
def test_a_lock_is_described(settings, expected) -> None:
    assert Profile.of(settings) == expected


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"feedback_polarity": "short"}, "feedback_polarity: 'short' must be locked_short or open_short"),
        ({"feedback_polarity": ""}, "feedback_polarity: '' must be"),  # an empty value is no value
        ({"bit_order": "lsb"}, "bit_order: 'lsb' must be first_lsb, first_msb, last_lsb or last_msb"),
        ({"hold_off_s": "half"}, "hold_off_s: 'half' must be a number"),
        ({"hold_off_s": "nan"}, "hold_off_s: must be 0.5 to 60"),  # a number that is none
        ({"hold_off_s": "0.1"}, "hold_off_s: must be 0.5 to 60"),  # the coil needs its rest
        ({"echo": "yes"}, "echo: 'yes' must be true or false"),
    ],
)
def test_a_value_that_cannot_be_is_named_with_those_that_can(settings, said) -> None:
    with pytest.raises(MisconfiguredError, match=said):
        Profile.of(settings)


def test_what_is_not_said_is_usual() -> None:
    assert (one_of({}, "x", ("a", "b"), "b"), flag({}, "x"), number({}, "x", 2.5)) == ("b", False, 2.5)
    with pytest.raises(MisconfiguredError, match=r"x: 'c' must be a$"):
        one_of({"x": "c"}, "x", ("a",), "a")


def test_a_setting_that_a_family_does_not_have_is_named_with_those_that_it_has() -> None:
    with pytest.raises(MisconfiguredError, match="lock_cu16: there is no setting 'dialect'; there are: feedback_pol"):
        family("lock_cu16").known({"echo": "true", "dialect": "x"})
    assert family("lock_cu48").known({"dialect": "cu12"}) == {"dialect": "cu12"}


async def asked(name: str, addresses: range, **settings: str) -> Probed:
    return await probe(LinkUrl.parse(f"sim://{name}"), family(name), addresses, settings=settings, tell=lambda _: None)


@pytest.mark.parametrize(
    ("name", "addresses", "settings", "found"),
    [
        # on the bench stand a CU48 at 1 and a CU12 at 2; neither understands the other's question
        ("lock_cu48", range(1, 3), {}, ["KERONG CU48 board 1: lock 1 is closed (feedback_polarity = locked_short)"]),
        ("lock_cu48", range(1, 3), {"dialect": "cu12"}, ["KERONG CU12 board 2: lock 1 is closed (feedback_polarity = locked_short)"]),
        # the wiring turns every bit
        ("lock_8a", range(1, 2), {"feedback_polarity": "open_short"}, ["8A/80 lock board 1: lock 1 is open (feedback_polarity = open_short)"]),
        ("lock_cu16", range(1, 2), {"feedback_polarity": "open_short"}, ["KERONG CU16 board 1: lock 1 is open (feedback_polarity = open_short)"]),
        ("lock_winnsen", range(1, 2), {"feedback_polarity": "open_short"}, ["Winnsen station 1: lock 1 is open (feedback_polarity = open_short)"]),
        # on a line that does not echo the first bytes are not our own, and nothing is believed
        ("lock_8a", range(1, 2), {"echo": "true"}, []),
        ("mdb", range(16, 17), {"coding": "words"}, ["MDB peripheral 10 has something to say (00) (coding = words)"]),
        ("mdb", range(16, 17), {"coding": "hex_lines"}, []),
        ("scanner", range(1, 2), {"dialect": "gm65"}, ["scanner of the GM65 family: it lives"]),
        ("scanner", range(1, 2), {"dialect": "newland"}, []),
    ],
)  # fmt: skip
async def test_a_probe_asks_as_it_is_told(name, addresses, settings, found) -> None:
    assert await asked(name, addresses, **settings) == Probed(found)


@pytest.mark.parametrize(
    ("name", "settings", "why"),
    [
        ("lock_cu48", {"dialect": "cu13"}, "dialect 'cu13': must be one of cu48, "),
        ("mdb", {}, "MDB address 0x01: must be a multiple of 8"),  # no address of the span can be
        ("mdb", {"coding": "morse"}, "MDB address 0x01"),
        ("scanner", {"dialect": "honeywell"}, "dialect: honeywell has no question"),
        ("trial_ptp", {"line": "lan"}, "line: 'lan' must be rs485 or usb"),
        ("modbus_rtu", {"echo": "no"}, "echo: 'no' must be true or false"),
    ],
)
async def test_what_cannot_be_is_not_called_silence(name, settings, why) -> None:
    heard = await asked(name, range(1, 3), **settings)
    assert (heard.found, heard.impossible[: len(why)]) == ([], why)


async def test_a_span_that_is_partly_possible_is_asked() -> None:
    heard = await asked("mdb", range(15, 18))
    assert len(heard.found) == 1
    assert heard.impossible == ""


async def test_asking_again_and_again_ends_at_once_with_what_cannot_be() -> None:
    with pytest.raises(MisconfiguredError, match="cu13"):
        await ask_again(
            LinkUrl.parse("sim://lock_cu48"), family("lock_cu48"), 1,
            settings={"dialect": "cu13"}, heard=lambda _way, _data: None, every_s=0.05, seconds=5.0,
        )  # fmt: skip


@pytest.mark.parametrize("one", [one for one in families().values() if one.probe], ids=lambda one: one.name)
async def test_every_family_is_asked_with_a_setting_of_another_and_says_no(one) -> None:
    with pytest.raises(MisconfiguredError, match=f"{one.name}: there is no setting 'colour'"):
        await asked(one.name, range(one.first_address, one.first_address + 1), colour="red")
