"""The trial unit's driver against the simulated unit: repeats that act once, a host that is missed, bugs that are caught."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import patch

import pytest

from device_drivers.errors import DeviceError, MisconfiguredError, ProtocolError, UnavailableError
from device_drivers.trial_ptp import (
    ActReply,
    Method,
    Proof,
    TrialRefusedError,
    TrialUnit,
    driver,
    heat,
    machine,
    mint,
    payloads,
)
from device_drivers.trial_ptp.codec import Frame
from device_drivers.trial_ptp.family import FAMILY
from device_drivers.trial_ptp.heat import Heat, HeatWatch
from device_drivers.trial_ptp.machine import Call, HostMachine
from device_drivers.trial_ptp.names import NO_FLAGS, Command, EndReason, Flag, State, Status
from simulators.conformance.lines import echoing
from simulators.conformance.memory_link import MemoryLink, bus_on
from simulators.conformance.virtual_time import in_virtual_time
from simulators.hardware import trial_ptp as sim
from simulators.hardware import trial_ptp_wire as wire
from simulators.hardware.faults import Faults
from simulators.hardware.pty_port import PtyPort
from tests.device_drivers.trial_checks import CHECKS, UNIX_S, Line, bench, ready_to, told, yes

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_driver_holds(check) -> None:
    told(check)


@in_virtual_time
async def test_a_whole_trial() -> None:
    async with bench() as (device, unit, _):
        company = asyncio.create_task(unit.run(), name="company")
        await asyncio.sleep(0.1)
        assert await (await ready_to(unit, "start"))(yes) == ActReply("done")
        while (await unit.status()).state != State.READY:
            await asyncio.sleep(0.5)
        for _ in range(6):
            assert device.unit.core.draw(asyncio.get_running_loop().time(), 1.5)
            await asyncio.sleep(3)
        while (await unit.status()).state != State.IDLE:
            await asyncio.sleep(5)
        await asyncio.sleep(1)
        company.cancel()
        events = [await unit.next_event() for _ in range(len(unit._host.events))]
    assert [e.state for e in events if isinstance(e, payloads.StateChanged)] == [
        0,
        1,
        2,
        3,
        4,
        5,
        *[6, 5] * 5,
        6,
        7,
        8,
        1,
    ]
    assert [e.index for e in events if isinstance(e, payloads.Puff)] == [1, 2, 3, 4, 5, 6]
    assert [e.reason for e in events if isinstance(e, payloads.SessionEnded)] == [EndReason.PUFFS_USED]
    assert device.unit.core.slots[1].remaining == 19


@in_virtual_time
async def test_what_does_not_fit_a_frame_is_told_to_its_caller_and_harms_nobody_else() -> None:
    """Found out only when it is encoded, at the head of the queue, it would take the bus down for all."""
    async with bench() as (_device, unit, _):
        for ask in (lambda: unit.ping(bytes(201)), lambda: unit.get_config(bytes(201))):
            with pytest.raises(ProtocolError) as caught:
                await ask()
            assert caught.value.side == "local"
        assert await unit.ping(b"abc") == b"abc"


@in_virtual_time
async def test_every_question_has_its_answer() -> None:
    async with bench() as (device, unit, _):
        hello = await unit.hello()
        assert (hello.serial, hello.capabilities, hello.max_puffs) == (0xC0FFEE, 0x3F, 6)
        assert await unit.ping(b"abc") == b"abc"
        assert await unit.self_test(0x11) == 0x11
        await unit.set_config({1: b"\x08\xfc"})
        assert await unit.get_config() == {1: b"\x08\xfc", 2: b"\x06", 3: b"\x00\xb4"}
        assert await unit.get_config(b"\x02") == {2: b"\x06"}
        assert (await unit.sample(1)).remaining == 20
        with pytest.raises(TrialRefusedError, match="SAMPLE_GET: NO_SAMPLE") as caught:
            await unit.sample(8)
        assert caught.value.status == Status.NO_SAMPLE
        staff = Proof(session=0, method=Method.DOCUMENT_SHOWN, staff_id=7, issued_at_s=UNIX_S, life_s=60, max_puffs=0)
        token = mint(staff, nonce=await unit.challenge(), address=5, key=sim.DEMO_KEY)
        await unit.set_sample(payloads.SampleSet(8, b"S" * 12, b"2000000000022", 5, 4_000_000_000, token))
        assert (await unit.sample(8)).ean == b"2000000000022"
        assert (await unit.counters_of_unit()).power_ups == 1
        page = await unit.log()
        assert [entry.detail for entry in page.entries] == [State.BOOT, State.IDLE]
        assert (await unit.log(page.cursor)).entries == ()
        await ready_to(unit, "arm")
        await unit.disarm(42)
        with pytest.raises(TrialRefusedError, match="NO_SESSION"):
            await unit.disarm(42)
        assert (await unit.status()).state == State.IDLE
        assert await unit.start(42, yes) == ActReply("refused", Status.NOT_AUTHORIZED)
        assert await (await ready_to(unit, "dispense", 43))(yes) == ActReply("done")
        assert device.unit.core.counters["dispensed"] == 1


@in_virtual_time
async def test_an_adapter_that_echoes_confuses_nobody() -> None:
    async with bench(line=echoing) as (_, unit, _wire):
        assert await (await ready_to(unit, "start"))(yes) == ActReply("done")
        assert unit.counters["echo"] >= 4


@in_virtual_time
async def test_a_unit_that_is_alone_on_no_line_is_unavailable_and_nothing_acts() -> None:
    async with bench() as (device, unit, link):
        act = await ready_to(unit, "start")
        link.unplug()
        await asyncio.sleep(0.01)
        device.asked.clear()
        assert await act(yes) == ActReply("not_sent")
        with pytest.raises(UnavailableError):
            await unit.abort(42)
        assert device.asked == []


@in_virtual_time
async def test_an_unplugged_cable_in_the_middle_of_a_start_leaves_it_unknown() -> None:
    async with bench() as (device, unit, link):
        act = await ready_to(unit, "start")
        device.lose_requests = 9
        asyncio.get_running_loop().call_later(0.1, link.unplug)
        assert await act(yes) == ActReply("no_reply")


@pytest.mark.parametrize("address", [0, 0xF8, 0xFF])
@in_virtual_time
async def test_an_address_that_no_unit_has_is_a_mistake_of_the_description(address: int) -> None:
    async with bus_on(MemoryLink()) as bus:
        with pytest.raises(MisconfiguredError):
            TrialUnit(bus, address=address)
        with pytest.raises(MisconfiguredError):
            TrialUnit(bus, address=5, line="carrier pigeon")


class Stranger:
    """Answers everything with one status and payload."""

    def __init__(self, status: int, payload: bytes = b"") -> None:
        self.status, self.payload = status, payload

    def receive(self, data: bytes) -> bytes:
        asked = Frame.from_wire(data)
        own = {"address": 5, "sequence": asked.sequence, "command": asked.command}
        return wire.frame_of(flags=1, status=self.status, payload=self.payload, **own)


@in_virtual_time
async def test_strange_answers_are_typed_by_who_must_act() -> None:
    async with bus_on(MemoryLink(Stranger(Status.BAD_VERSION))) as bus:
        with pytest.raises(MisconfiguredError, match="another version"):
            await TrialUnit(bus, address=5).status()
    async with bus_on(MemoryLink(Stranger(0, b"short"))) as bus:
        unit = TrialUnit(bus, address=5)
        with pytest.raises(ProtocolError) as caught:
            await unit.hello()
        assert caught.value.side == "remote"
        with pytest.raises(ProtocolError):
            await unit.challenge()
        with pytest.raises(ProtocolError) as caught:
            await unit.authorize(b"no token", yes)
        assert caught.value.side == "local"


def test_an_unknown_event_is_counted_and_the_queue_of_events_has_an_end() -> None:
    host = HostMachine(address=5, first_sequence=0, at_once=True, on_fault=lambda *_: None)
    host.hear(Frame(5, 0x8001, 0x99, flags=Flag.EVENT).to_wire())
    host.hear(Frame(5, 0x8002, 0x82, b"cut", flags=Flag.EVENT).to_wire())
    assert (host.counters["unknown_event"], len(host.events)) == (2, 0)
    state = payloads.StateChanged(State.IDLE, 0).to_bytes()
    for number in range(100):
        host.hear(Frame(5, 0x9000 + number, 0x82, state, flags=Flag.EVENT).to_wire())
    assert (len(host.events), host.counters["events_dropped"]) == (64, 36)


@in_virtual_time
async def test_a_probe_says_who_is_there() -> None:
    async with bus_on(MemoryLink(Line())) as bus:
        assert FAMILY.probe is not None
        assert await FAMILY.probe(bus, 5, {}) == (
            "trial unit 5: PTP/1, model 2, firmware 1.3, serial 00C0FFEE; heat, puff sensor, igniter, stick dispenser, "
            "exhaust, sample rfid; IDLE"
        )


def _new_sequence(self: Call) -> bytes | None:
    if self.attempts:
        self.frame = replace(self.frame, sequence=(self.frame.sequence + 1) % 0x8000)
    return _NEXT(self)


def _unmarked(self: Call) -> bytes | None:
    data = _NEXT(self)
    return data and replace(Frame.from_wire(data), flags=NO_FLAGS).to_wire()


def _any_sequence(self: HostMachine, frame: Frame) -> None:
    call = next((c for c in self._open.values() if c.attempts), None)
    if call is not None:
        frame = replace(frame, sequence=call.frame.sequence)
    _TAKE_REPLY(self, frame)


def _any_command(self: HostMachine, frame: Frame) -> None:
    if (call := self._open.get(frame.sequence)) is not None:
        call.reply = frame


def _any_unit(self: HostMachine, data: bytes) -> None:
    for frame in self._decoder.feed(data):
        _HEAR(self, replace(frame, address=self._address).to_wire())


async def _one_guard(self: TrialUnit, call: Call, priority: Any, guard: Callable[[], bool], **other: Any) -> Frame:
    return await _EXCHANGE(self, call, priority, lambda: bool(call.attempts) or guard(), **other)


def _abort_withdraws_nothing(self: HostMachine, command: Command, payload: bytes = b"") -> Call:
    call = Call(Frame(self._address, self._take_sequence(), command, payload))
    self._open[call.frame.sequence] = call
    return call


def _thought_cold(self: HeatWatch) -> None:
    _HEAT_INIT(self)
    self.state = Heat.OFF


def _greets_always(self: HostMachine, command: int, now_s: float) -> bool:
    return self.heat.allows(command, now_s)


def _any_slot(self: HostMachine, call: Call, frame: Frame) -> bool:
    end = payloads.PollEnd(len(call.told), frame.payload[1])
    return _SLOT(self, call, replace(frame, payload=end.to_bytes()))


def _never_forgets(self: HostMachine) -> Call:
    return self.begin(Command.POLL_EVT, payloads.PollAsk(0).to_bytes())


def _forgets_what_came_at_once(self: HostMachine, frame: Frame) -> None:
    _HAND_OVER(self, frame)
    self._told_at_once.clear()


_NEXT, _HEAR, _TAKE_REPLY, _SLOT = (
    Call.next_bytes,
    HostMachine.hear,
    HostMachine._take_reply,
    HostMachine._slot_is_whole,
)
_EXCHANGE, _HAND_OVER = TrialUnit._exchange, HostMachine._hand_over
_HEAT_INIT = HeatWatch.__init__
Plant = Callable[[], AbstractContextManager[object]]


@dataclass(frozen=True, slots=True)
class Mutant:
    """A bug planted in the driver."""

    name: str
    target: Any
    attribute: str
    made: Any


MUTANTS = (
    Mutant("a repeat has a sequence of its own", Call, "next_bytes", _new_sequence),
    Mutant("a repeat does not say that it is one", Call, "next_bytes", _unmarked),
    Mutant("a reply with any sequence is taken", HostMachine, "_take_reply", _any_sequence),
    Mutant("a reply to any command is taken", HostMachine, "_take_reply", _any_command),
    Mutant("a reply of any unit is taken", HostMachine, "hear", _any_unit),
    Mutant("the guard is asked once", TrialUnit, "_exchange", _one_guard),
    Mutant("ABORT leaves a START to be repeated", HostMachine, "begin", _abort_withdraws_nothing),
    Mutant("nobody is greeted", HostMachine, "needs_greeting", False),
    Mutant("greeted in the middle of an act", HostMachine, "needs_greeting", property(lambda host: not host.greeted)),
    Mutant("anything may be said to heat that nobody owns", HeatWatch, "allows", lambda *_: True),
    Mutant("an owner that leaves is not missed", HeatWatch, "leave", lambda _: None),
    Mutant("nobody is told to end heat", HeatWatch, "is_settled", True),
    Mutant("a unit is thought cold at first", HeatWatch, "__init__", _thought_cold),
    Mutant("a question without an answer may follow the last", HeatWatch, "unanswered", lambda *_: None),
    Mutant("silence too short", heat, "QUIET_S", 1.0),
    Mutant("greeted in a session", HostMachine, "_may_write", _greets_always),
    Mutant("a cut slot is taken for whole", HostMachine, "_slot_is_whole", _any_slot),
    Mutant("the unit is never told what was heard", HostMachine, "begin_poll", _never_forgets),
    Mutant("what came at once is told again", HostMachine, "_hand_over", _forgets_what_came_at_once),
    Mutant("company every three seconds", driver, "KEEP_ALIVE_S", 3.0),
    Mutant("an act waits for ever", driver, "QUEUE_TIMEOUT_S", None),
    Mutant("ten tries", machine, "RETRIES", 9),
    Mutant("one try", machine, "RETRIES", 0),
    Mutant("a second and a half for each try", driver, "REQUEST_TIMEOUT_S", 1.5),
)


def fails(check: Callable[[], Any]) -> bool:
    try:
        told(check)
    except (AssertionError, DeviceError, StopIteration, RuntimeError, TimeoutError):
        return True
    return False


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_planted_bug_is_noticed(mutant: Mutant) -> None:
    with patch.object(mutant.target, mutant.attribute, mutant.made):
        if mutant.attribute == "RETRIES":
            with patch.object(driver, "RETRIES", mutant.made):
                assert any(fails(check) for check in CHECKS)
        else:
            assert any(fails(check) for check in CHECKS)


HOST = f"""
import asyncio, sys
from device_drivers.bus import Bus
from device_drivers.serial_link import open_serial
from device_drivers.trial_ptp import Method, Proof, TrialUnit, mint

async def main():
    bus = Bus(name="trial", open_link=lambda: open_serial(sys.argv[1], 115200), on_fault=lambda *_: None)
    owner = asyncio.create_task(bus.run(), name="bus")
    while not bus.counters["opened"]:
        await asyncio.sleep(0.01)
    unit = TrialUnit(bus, address=5)
    company = asyncio.create_task(unit.run(), name="company")
    await unit.sync_time({UNIX_S})
    proof = Proof(session=42, method=Method.ID_CARD, staff_id=7, issued_at_s={UNIX_S}, life_s=60, max_puffs=6)
    await unit.authorize(mint(proof, nonce=await unit.challenge(), address=5, key=bytes(range(32))), lambda: True)
    await unit.arm(42, 1, 6, lambda: True)
    await unit.start(42, lambda: True)
    await company

asyncio.run(main())
"""


async def test_a_host_that_is_killed_leaves_a_cold_heater_within_2_1_s(tmp_path: Path) -> None:
    """A real process on a real terminal, killed while the unit heats."""
    unit = sim.TrialUnit(rng=Random(1))
    loop = asyncio.get_running_loop()
    unit.core.advance(loop.time())
    port = PtyPort(tmp_path / "trial", unit, Faults(rng=Random(1)))
    port.plug()
    living = asyncio.create_task(unit.live(), name="unit")
    host = await asyncio.create_subprocess_exec(sys.executable, "-c", HOST, str(port.path), cwd=ROOT)
    try:
        async with asyncio.timeout(60):
            while not unit.core.heater_enabled:
                assert host.returncode is None, "the host ended by itself"
                await asyncio.sleep(0.02)
            warm_s = loop.time()
            while loop.time() - warm_s < 3.0:  # longer than any silence: the host is really heard
                await asyncio.sleep(0.05)
            assert unit.core.heater_enabled
            os.kill(host.pid, signal.SIGKILL)
            killed_s = loop.time()
            await host.wait()
            while unit.core.heater_enabled:
                await asyncio.sleep(0.02)
        ended_s, _, why = unit.core.history[-1]
        assert why == f"end {int(EndReason.HOST_LOST)}"
        assert ended_s - killed_s <= 2.1
    finally:
        living.cancel()
        await asyncio.gather(living, return_exceptions=True)
        if host.returncode is None:
            host.kill()
            await host.wait()
        port.unplug()
