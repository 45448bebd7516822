"""The simulated audit plug keeps its own rules, and the product reads its file over a real terminal."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from device_drivers.errors import RefusedError, UnavailableError
from device_drivers.eva_dts import Segment, audit_of, parse, read_audit
from device_drivers.eva_dts.phases import Rules
from device_drivers.serial_link import open_serial
from simulators.hardware.eva_dts import AuditPlug
from simulators.hardware.faults import FaultPlan, Faults
from simulators.hardware.pty_port import PtyPort

HEADER = bytes.fromhex("10 01 53 53 4B 30 30 30 30 30 30 31 52 52 30 31 4C 30 31 10 03 30 93")
FILE = audit_of(*(Segment("PA1", (str(n), str(n * 5))) for n in range(60))).to_bytes()


def say(plug: AuditPlug, data: bytes) -> bytes:
    return b"".join(plug.answer(frame, 0.0) for frame in plug.split(data, 0.0))


def test_a_whole_talk_byte_for_byte():
    plug = AuditPlug(b"hello")
    assert say(plug, b"\x05") == b"\x10\x30"
    assert say(plug, HEADER) == b"\x10\x31"
    assert plug.asked == [b"SSK0000001RR01L01"]
    assert say(plug, b"\x04") == b"\x05"
    assert say(plug, b"\x10\x30").startswith(b"\x10\x01" + b"00SIM0000001R01L01" + b"\x10\x03")
    assert say(plug, b"\x10\x31") == b"\x04\x05"
    assert say(plug, b"\x10\x30").startswith(b"\x10\x02hello\x10\x03")
    assert say(plug, b"\x10\x31") == b"\x04"
    assert plug.counters["talks"] == 1


@pytest.mark.parametrize(
    ("said", "counter"),
    [
        ((HEADER,), "out_of_turn"),  # no call before it
        ((b"\x05", HEADER[:-1] + b"\x00"), "bad_crc"),
        ((b"\x10\x30",), "wrong_acknowledgement"),
        ((b"\x05", HEADER, b"\x04", b"\x10\x31"), "wrong_acknowledgement"),
        ((b"\x05", HEADER, b"\x04", b"\x05"), "begun_again"),
        ((b"\x05", HEADER, b"\x04", b"\x10\x30", *[b"\x15"] * 6), "given_up"),
    ],
)
def test_rules_that_it_keeps(said, counter):
    plug = AuditPlug(b"hello")
    for data in said:
        say(plug, data)
    assert plug.counters[counter] == 1


def test_an_operation_that_it_does_not_know_is_answered_with_no():
    plug = AuditPlug(b"hello")
    wrong = b"SSK0000001SR01L01"
    from simulators.hardware.eva_dts import ETX, SOH, framed

    say(plug, b"\x05" + framed(SOH, wrong, ETX) + b"\x04")
    assert say(plug, b"\x10\x30")[2:4] == b"01"
    assert say(plug, b"\x10\x31") == b"\x04"


@pytest.fixture
def port(tmp_path: Path):
    ports = []

    def plug(device: AuditPlug, plan: FaultPlan | None = None) -> str:
        faults = Faults(rng=Random(1), plan=plan if plan is not None else FaultPlan())
        ports.append(PtyPort(tmp_path / "plug", device, faults))
        ports[-1].plug()
        return str(ports[-1].path)

    yield plug
    for one in ports:
        one.unplug()


async def read(path: str, rules: Rules | None = None) -> bytes:
    link = await open_serial(path, 9600)
    try:
        return await read_audit(link, comm_id="ZGG0000001", on_fault=lambda _kind, _detail: None, rules=rules)
    finally:
        link.close()


async def test_the_product_reads_it_over_a_terminal(port):
    data = await read(port(AuditPlug(FILE)))
    assert data == FILE
    assert parse(data).remarks == ()


async def test_spoilt_blocks_are_asked_for_again(port):
    """A turned bit in a block is a NAK; one in an acknowledgement of the machine is a call again."""
    plug = AuditPlug(FILE)
    rules = Rules(reply_s=0.05, settle_s=0.01, idle_s=0.3, linger_s=0.1, byte_gap_s=0.05, baud=1_000_000, sessions=50)
    data = await read(port(plug, FaultPlan(corrupt_p=0.1)), rules)
    assert data == FILE or parse(data).remarks


async def test_a_machine_that_says_no(port):
    with pytest.raises(RefusedError):
        await read(port(AuditPlug(FILE, response=b"02")))


async def test_nobody_answers(port):
    with pytest.raises(UnavailableError, match="nobody answers"):
        await read(port(AuditPlug(FILE), FaultPlan(drop_p=1.0)), Rules(reply_s=0.01, tries=2, sessions=2))
