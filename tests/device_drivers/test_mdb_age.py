"""The age-verification device: the host decides, and what is not known is no adult."""

from __future__ import annotations

import asyncio

import pytest

from device_drivers.errors import UnavailableError
from device_drivers.mdb import AgeVerdict, AgeVerifier, CashlessReader
from device_drivers.mdb.words import CODINGS
from simulators.conformance.lines import delayed, lossy, one_byte
from simulators.conformance.virtual_time import in_virtual_time
from simulators.hardware.mdb_age import ACCEPTED, NO_AGE, TOO_YOUNG, AgeDevice
from simulators.hardware.mdb_reader import Reader
from tests.device_drivers.mdb_bench import bench

DRAVP = bytes.fromhex("01 6F 00 FF 00 05 00 06 00 12 00 44 00 52 00 41 00 56 00 50 00 08")


def later(action, *arguments):
    asyncio.get_running_loop().call_later(1.0, action, *arguments)


@pytest.mark.parametrize(
    ("bits", "verdict", "adult"),
    [
        (ACCEPTED, AgeVerdict.ACCEPTED, True),
        (TOO_YOUNG, AgeVerdict.TOO_YOUNG, False),
        (NO_AGE, AgeVerdict.NO_AGE, False),
        (b"\x1e\x11", AgeVerdict.UNKNOWN, False),
        (b"\x1f\x10", AgeVerdict.UNKNOWN, False),
        (b"\xff\xff", AgeVerdict.UNKNOWN, False),
    ],
)
@pytest.mark.parametrize("coding", CODINGS)
@in_virtual_time
async def test_a_card_is_judged(coding, bits, verdict, adult):
    device = AgeDevice()
    async with bench({0x68: device}, coding=coding) as on:
        driver = AgeVerifier(on.line)
        await driver.start()
        assert device.minimum_age == 18
        later(device.show, bits)
        found = await driver.check(within_s=5.0)
        assert (found, found.adult) == (verdict, adult)


@in_virtual_time
async def test_the_golden_block_switches_it_on_once():
    device = AgeDevice(later=True)
    async with bench({0x68: device}) as on:
        driver = AgeVerifier(on.line, setup=b"\x00")
        await driver.start()
        assert driver.on
        assert device.counters["setups"] == 1
        assert on.sent(DRAVP) == 1


@in_virtual_time
async def test_a_card_of_before_does_not_count():
    """The last customer was an adult; this one shows nothing."""
    device = AgeDevice()
    async with bench({0x68: device}) as on:
        driver = AgeVerifier(on.line)
        await driver.start()
        device.show(ACCEPTED)
        device.show(ACCEPTED)
        assert await driver.check(within_s=2.0) is None


@in_virtual_time
async def test_a_device_that_refuses_is_not_on():
    async with bench({0x68: AgeDevice(refuses=True)}) as on:
        driver = AgeVerifier(on.line)
        with pytest.raises(UnavailableError, match="switched on"):
            await driver.start()
        with pytest.raises(UnavailableError, match="not switched on"):
            await driver.check(within_s=1.0)


@pytest.mark.parametrize("when", ["before", "while"])
@in_virtual_time
async def test_a_device_that_starts_again_is_off_until_it_is_switched_on(when):
    device = AgeDevice()
    async with bench({0x68: device}) as on:
        driver = AgeVerifier(on.line)
        await driver.start()
        if when == "before":
            device.reboot()
        else:
            later(device.reboot)
        with pytest.raises(UnavailableError, match="not switched on"):
            await driver.check(within_s=5.0)
        assert not driver.on
        device.show(ACCEPTED)
        assert device.counters["shown_while_off"] == 1
        await driver.start()
        later(device.show, ACCEPTED)
        assert (await driver.check(within_s=5.0)).adult


@in_virtual_time
async def test_other_messages_say_nothing_of_an_age():
    device = AgeDevice()
    async with bench({0x68: device}) as on:
        driver = AgeVerifier(on.line)
        await driver.start()
        for data in (b"\x7f", b"\xff\x06\x07\x1e\x10DRAVX", b"\xff\x06\x06\x1eDRAVS", b"\x05\x01\xf4"):
            later(device.say, data)
        assert await driver.check(within_s=3.0) is None
        assert [kind for kind, _ in on.faults] == ["unexpected"] * 4


@in_virtual_time
async def test_a_device_that_never_stops_talking_is_left():
    device = AgeDevice()
    async with bench({0x68: device}) as on:
        driver = AgeVerifier(on.line)
        await driver.start()
        for _ in range(8):
            device.show(ACCEPTED)
        with pytest.raises(UnavailableError, match="stop talking"):
            await driver.check(within_s=3.0)


@in_virtual_time
async def test_a_silent_device_is_unavailable_and_costs_its_neighbour_no_right_answer():
    device, reader = AgeDevice(), Reader()
    async with bench({0x68: device, 0x10: reader}) as on:
        driver, cash = AgeVerifier(on.line), CashlessReader(on.line)
        await driver.start()
        await cash.start()
        device.silent = True
        reader.present(1000)

        async def check():
            with pytest.raises(UnavailableError):
                await driver.check(within_s=3.0)

        async def sell():
            assert await cash.wait_session(within_s=5.0)
            assert (await cash.request_vend(price_minor=100, item=1)).answer == "approved"
            assert await cash.vend_succeeded(item=1) == "charged"

        await asyncio.gather(check(), sell())
        assert reader.charges == [(100, 1)]


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("bits", [TOO_YOUNG, NO_AGE, b"\x1f\x10"])
@pytest.mark.parametrize("line", [one_byte, lossy, delayed], ids=lambda line: line.__name__)
@in_virtual_time
async def test_no_line_makes_an_adult_of_a_child(line, bits, seed):
    device = AgeDevice()
    async with bench({0x68: device}, line=line, seed=seed) as on:
        driver = AgeVerifier(on.line)
        for _ in range(6):
            try:
                if not driver.on:
                    await driver.start()
                later(device.show, bits)
                found = await driver.check(within_s=4.0)
            except UnavailableError:
                continue
            assert found is None or not found.adult
