"""The scanners that are told when to look keep rules of their own. Their frames stand here as the makers write them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random

import pytest

from contracts.clock import SystemClock
from device_drivers.scanner import GM65Scanner, HoneywellScanner, NewlandScanner
from device_drivers.serial_link import open_serial
from simulators.hardware.faults import Faults
from simulators.hardware.pty_port import PtyPort
from simulators.hardware.scanner import GM65
from simulators.hardware.scanner import on_bench as gm65_on_bench
from simulators.hardware.scanner_honeywell import HoneywellScanner as SimulatedHoneywell
from simulators.hardware.scanner_honeywell import on_bench as honeywell_on_bench
from simulators.hardware.scanner_newland import NewlandScanner as SimulatedNewland
from simulators.hardware.scanner_newland import on_bench as newland_on_bench


def said(device, text: str, now_s: float = 0.0) -> str:
    frames = device.split(bytes.fromhex(text), now_s)
    return b"".join(device.answer(frame, now_s) for frame in frames).hex(" ").upper()


OK = "02 00 00 01 00 33 31"


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        ("7E 00 08 01 00 02 01 02 DA", OK),  # trigger
        ("7E 00 08 01 00 02 01 AB CD", OK),  # unchecked
        ("7E 00 09 01 00 00 00 DE C8", OK),  # save
        ("7E 00 07 01 00 2A 02 D8 0F", "02 00 00 02 39 01 C1 4C"),  # 9600
        ("7E 00 0A 01 00 00 00 30 1A", "03 00 00 01 00 33 31"),  # heartbeat
        ("55 AA 7E 00 0A 01 00 00 00 30 1A", "03 00 00 01 00 33 31"),  # noise before it
        ("7E 00 08 01 00 02 01 02 DB", ""),  # a wrong check sum
        ("7E 00 0B 01 00 00 00 AB CD", ""),  # no such type
        ("7E 00 07 01 00 FF 02 AB CD", ""),  # beyond the last zone
        ("7E 00 08 00 00 02 AB CD", ""),  # no data
        ("7E 00 0A 01", ""),  # the rest has not come
    ],
)
def test_what_a_gm65_answers(asked, answered):
    assert said(gm65_on_bench(), asked) == answered


def test_a_gm65_forgets_what_it_was_not_told_to_keep():
    device = GM65()
    said(device, "7E 00 08 02 00 2A 1A 00 AB CD")  # 115200
    device.reboot()
    assert said(device, "7E 00 07 01 00 2A 02 D8 0F") == "02 00 00 02 39 01 C1 4C"
    said(device, "7E 00 08 02 00 2A 1A 00 AB CD")
    said(device, "7E 00 08 01 00 00 02 AB CD")  # look always
    said(device, "7E 00 09 01 00 00 00 DE C8")
    device.reboot()
    assert device.zones[0x2A:0x2C] == b"\x1a\x00"
    assert device.printed("a") == b"a\r"
    assert device.printed("a") == b"a\r"


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        ("7E 01 30 30 30 30 40 53 43 4E 54 52 47 31 3B 03", "02 01 30 30 30 30 40 53 43 4E 54 52 47 31 06 3B 03"),
        ("7E 01 30 30 30 30 23 53 43 4E 54 52 47 30 3B 03", "02 01 30 30 30 30 23 53 43 4E 54 52 47 30 06 3B 03"),
        ("7E 01 30 30 30 30 23 53 43 4E 4D 4F 44 39 3B 03", "02 01 30 30 30 30 23 53 43 4E 4D 4F 44 39 15 3B 03"),
        ("7E 01 30 30 30 30 23 58 58 58 58 58 58 31 3B 03", "02 01 30 30 30 30 23 58 58 58 58 58 58 31 05 3B 03"),
        ("7E 01 30 30 30 30 23 53 43 4E 4D 4F 44 2A 3B 03", "02 01 30 30 30 30 23 53 43 4E 4D 4F 44 30 06 3B 03"),
        ("7E 01 30 30 30 30 41 53 43 4E 4D 4F 44 30 3B 03", ""),  # no tag
        ("7E 01 30 30 30 30 3B 03", ""),  # nothing in it
        ("1B 31", ""),  # the short trigger is not acknowledged
        ("7E 01 30 30" + " 41" * 70, ""),
    ],
)
def test_what_a_newland_answers(asked, answered):
    assert said(newland_on_bench(), asked) == answered


def test_a_newland_keeps_what_it_was_told_to_keep():
    device = SimulatedNewland(knows_short_trigger=False)
    said(device, "1B 31")
    assert not device.looking
    said(device, "7E 01 30 30 30 30 23 53 43 4E 4D 4F 44 32 3B 03")  # always, until the next power cut
    assert device.printed("a")
    device.reboot()
    assert not device.printed("a")
    said(device, "7E 01 30 30 30 30 40 53 43 4E 4D 4F 44 32 3B 03")  # always, kept
    device.reboot()
    assert device.printed("a")


def test_a_honeywell_obeys_and_says_nothing():
    device = honeywell_on_bench()
    assert said(device, "16 54 0D") == ""
    assert device.looking
    assert said(device, "16 16 55 0D") == ""  # a SYN begins anew
    assert not device.looking
    said(device, "16 54")
    said(device, "0D", now_s=1.0)  # a command that pauses is none
    assert not device.looking
    said(device, "16 4D 0D", now_s=2.0)
    assert device.counters["bad_request"] == 1
    said(device, "16 54 0D", now_s=3.0)
    device.reboot()
    assert not device.printed("a")


@pytest.mark.parametrize("device", [GM65(), SimulatedNewland()])
def test_a_reply_of_somebody_else_answers_nothing(device):
    asked = (
        "7E 00 08 01 00 02 01 02 DA" if isinstance(device, GM65) else "7E 01 30 30 30 30 23 53 43 4E 54 52 47 31 3B 03"
    )
    reply = bytes.fromhex(said(device, asked))
    assert device.disguise(reply) != reply
    assert len(device.disguise(reply)) == len(reply)


@pytest.mark.parametrize(
    ("make_driver", "device"),
    [
        (GM65Scanner, GM65()),
        (NewlandScanner, SimulatedNewland()),
        (HoneywellScanner, SimulatedHoneywell()),
    ],
    ids=["gm65", "newland", "honeywell"],
)
async def test_driver_and_simulator_meet_on_a_pseudo_terminal(make_driver, device, tmp_path: Path) -> None:
    port = PtyPort(tmp_path / "scanner", device, Faults(rng=Random(1)))
    port.plug()
    scanner = make_driver(open_link=lambda: open_serial(str(port.path), 9600), clock=SystemClock())
    owner = asyncio.create_task(scanner.run(), name="owner")
    try:
        async with asyncio.timeout(20):
            while not scanner.is_open:
                await asyncio.sleep(0.001)
            await scanner.start_looking()
            while not device.looking:
                await asyncio.sleep(0.001)  # a Honeywell acknowledges nothing
            port.send(device.printed("690123456789-会员"))
            assert (await scanner.next_code()).text == "690123456789-会员"
            await scanner.stop_looking()
    finally:
        owner.cancel()
        await asyncio.gather(owner, return_exceptions=True)
        port.unplug()
