"""What the trial unit's driver must hold, each as one story in virtual time; the tests run them, the planted bugs too."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from random import Random
from typing import Any

from device_drivers.bus import Exchange, Priority
from device_drivers.errors import DeviceError, UnavailableError
from device_drivers.trial_ptp import ActReply, Method, Proof, TrialUnit, mint, payloads
from device_drivers.trial_ptp.codec import Frame, FrameDecoder
from device_drivers.trial_ptp.machine import HostMachine
from device_drivers.trial_ptp.names import NO_FLAGS, Command, EndReason, Event, Flag, State
from simulators.conformance.lines import delayed, lossy
from simulators.conformance.memory_link import MemoryLink, bus_on
from simulators.conformance.virtual_time import VirtualLoop
from simulators.hardware import trial_ptp as sim
from tests.device_drivers.cases.trial_ptp import Plugged

UNIX_S = 1_767_225_600
ACTS = ("authorize", "arm", "start", "dispense")
LOSSES = ((0, 0), (3, 0), (0, 3), (1, 1), (1, 2))  # requests, then replies
Act = Callable[[Callable[[], bool]], Awaitable[ActReply]]


def yes() -> bool:
    return True


class Line(Plugged):
    """A unit at the end of a bad line: the next `lose_requests` questions, then `lose_replies` replies, get lost.

    `asked` are the questions that left the host, with their time.
    """

    def __init__(self) -> None:
        super().__init__(sim.TrialUnit(rng=Random(7)))
        self.unit.core.advance(999.0)
        self.lose_requests = self.lose_replies = 0
        self.asked: list[tuple[float, Frame]] = []

    def receive(self, data: bytes) -> bytes:
        now_s = asyncio.get_running_loop().time()
        self.asked += [(now_s, frame) for frame in FrameDecoder(lambda *_: None).feed(data)]
        if self.lose_requests:
            self.lose_requests -= 1
            return b""
        reply = super().receive(data)
        if self.lose_replies:
            self.lose_replies -= 1
            return b""
        return reply

    @property
    def frames(self) -> list[Frame]:
        return [frame for _, frame in self.asked]

    def live(self) -> State:
        """Let the unit live until now; its state."""
        self.unit.core.advance(asyncio.get_running_loop().time())
        return State(self.unit.core.state)


@asynccontextmanager
async def bench(*, kind: str = "rs485", **link: Any) -> AsyncIterator[tuple[Line, TrialUnit, MemoryLink]]:
    """A unit, its driver that has greeted it and told the time, and the wire between."""
    device = Line()
    wire = MemoryLink(device, **link)
    async with bus_on(wire) as bus:
        unit = TrialUnit(bus, address=5, line=kind)
        async with asyncio.timeout(60):
            while True:
                try:
                    await unit.sync_time(UNIX_S)
                    break
                except UnavailableError:
                    await asyncio.sleep(1)
        yield device, unit, wire


async def token_for(unit: TrialUnit, session: int = 42) -> bytes:
    """A good token over a fresh nonce."""
    proof = Proof(session=session, method=Method.ID_CARD, staff_id=1007, issued_at_s=UNIX_S, life_s=60, max_puffs=6)
    return mint(proof, nonce=await unit.challenge(), address=5, key=sim.DEMO_KEY)


async def ready_to(unit: TrialUnit, act: str, session: int = 42) -> Act:
    """Do all that comes before an act; the act. Where nobody keeps company, somebody is said to."""
    if not unit._host.heat.is_kept:
        unit._host.heat.join()
    token = await token_for(unit, session)
    if act == "authorize":
        return lambda guard: unit.authorize(token, guard)
    assert await unit.authorize(token, yes) == ActReply("done")
    if act == "arm":
        return lambda guard: unit.arm(session, 1, 6, guard)
    assert await unit.arm(session, 1, 6, yes) == ActReply("done")
    if act == "start":
        return lambda guard: unit.start(session, guard)
    return lambda guard: unit.dispense(session, 1, guard)


async def acts_take_effect_exactly_once() -> None:
    """Whatever is lost of the first three tries, an act happens once, under one sequence, and is told as done."""
    for name in ACTS:
        for requests, replies in LOSSES:
            async with bench() as (device, unit, _):
                act = await ready_to(unit, name)
                core = device.unit.core
                device.asked.clear()
                core.history.clear()
                device.lose_requests, device.lose_replies = requests, replies
                assert await act(yes) == ActReply("done")
                assert len({frame.sequence for frame in device.frames}) == 1
                assert [frame.flags for frame in device.frames] == [NO_FLAGS] + [Flag.RETRY] * (requests + replies)
                assert [s for _, s, _ in core.history] == [{"authorize": 2, "arm": 3, "start": 4, "dispense": 8}[name]]
                assert core.slots[1].remaining == (19 if name in ("start", "dispense") else 20)


async def four_tries_and_no_more() -> None:
    """After four tries in a second nothing is said, and what happened is called unknown."""
    async with bench() as (device, unit, _):
        act = await ready_to(unit, "start")
        device.asked.clear()
        device.lose_requests = 99
        began_s = asyncio.get_running_loop().time()
        assert await act(yes) == ActReply("no_reply")
        assert 0.99 <= asyncio.get_running_loop().time() - began_s <= 1.1
        await asyncio.sleep(30)
        assert len(device.asked) == 4


async def the_guard_is_asked_for_every_try() -> None:
    """A no before the first byte sends none; a no before a repeat sends no repeat."""
    for name in ACTS:
        async with bench() as (device, unit, _):
            act = await ready_to(unit, name)
            device.asked.clear()
            assert await act(lambda: False) == ActReply("not_sent")
            assert device.asked == []
            device.lose_requests = 9
            answers = iter((True, False, True, True))
            assert await act(answers.__next__) == ActReply("no_reply")
            assert len(device.asked) == 1


async def an_act_that_waited_a_second_for_its_turn_is_not_sent() -> None:
    """Somebody else of the line is silent for long; the act is dropped, and stays so."""
    async with bench() as (device, unit, _):
        act = await ready_to(unit, "start")
        device.asked.clear()
        slow = Exchange(priority=Priority.UNLOCK, encode=lambda: b"\x55", feed=lambda _: None, timeout_s=1.5)
        waiting = asyncio.create_task(_swallowed(unit._bus.request(slow)), name="slow")
        await asyncio.sleep(0.01)
        assert await act(yes) == ActReply("not_sent")
        await waiting
        await asyncio.sleep(5)
        assert device.asked == []


async def _swallowed(request: Awaitable[object]) -> None:
    with contextlib.suppress(UnavailableError):
        await request


async def an_abort_overtakes_and_nothing_acts_behind_it() -> None:
    """START is lost; ABORT goes at the next border, and START is not repeated."""
    async with bench() as (device, unit, _):
        act = await ready_to(unit, "start")
        device.asked.clear()
        device.lose_requests = 1
        starting = asyncio.create_task(_outcome(act))
        polling = [asyncio.create_task(unit.ping()) for _ in range(5)]
        await asyncio.sleep(0.1)
        await unit.abort(42)
        assert (await starting).result in ("no_reply", "not_sent")
        await asyncio.gather(*polling)
        await asyncio.sleep(5)
        commands = [frame.command for frame in device.frames]
        assert commands[:2] == [Command.START, Command.ABORT]
        assert commands.count(Command.START) == 1
        assert device.live() is State.IDLE
        assert device.unit.core.slots[1].remaining == 20


async def _outcome(act: Act) -> ActReply:
    return await act(yes)


async def company_keeps_a_unit_warm_also_over_a_bad_line() -> None:
    """With `run` nothing else need be said; a lost try costs no session."""
    async with bench() as (device, unit, _):
        company = asyncio.create_task(unit.run(), name="company")
        await asyncio.sleep(0.1)
        await (await ready_to(unit, "start"))(yes)
        for _ in range(50):
            device.lose_replies, device.lose_requests = 1, 2
            await asyncio.sleep(1.2)
            assert device.live() in (State.HEATING, State.READY)
        company.cancel()


async def a_host_that_is_gone_is_missed_within_two_seconds() -> None:
    """The owner of a session ends, `run` with it: no byte goes out, and the heater is off 2.1 s later."""
    async with bench() as (device, unit, wire):
        company = asyncio.create_task(unit.run(), name="company")
        await asyncio.sleep(0.1)
        await (await ready_to(unit, "start"))(yes)
        await asyncio.sleep(17.3)
        assert device.live() is State.READY
        company.cancel()
        await asyncio.gather(company, return_exceptions=True)
        gone_s = asyncio.get_running_loop().time()
        await asyncio.sleep(2.1)
        device.live()
        assert wire.sent[-1][0] <= gone_s
        assert not device.unit.core.heater_enabled
        assert device.unit.core.history[-1][2] == f"end {int(EndReason.HOST_LOST)}"


async def a_late_reply_answers_no_later_question() -> None:
    """Over a line on which many replies come after any time-out, each answer belongs to its question."""
    answered = 0
    for seed in range(5):
        async with bench(line=delayed, seed=seed) as (_, unit, _wire):
            for number in range(40):
                try:
                    assert await unit.ping(bytes([number])) == bytes([number])
                    answered += 1
                except UnavailableError:
                    continue
    assert answered > 100


async def a_reply_of_another_kind_or_unit_answers_nothing() -> None:
    """The right sequence is not enough."""
    for other in (Frame(6, 9, Command.PING, flags=Flag.RESP), Frame(5, 9, Command.STATUS, flags=Flag.RESP)):
        host = HostMachine(address=5, first_sequence=9, at_once=False, on_fault=lambda *_: None)
        call = host.begin(Command.PING)
        call.next_bytes()
        host.hear(other.to_wire())
        assert call.reply is None
        host.hear(Frame(5, 9, Command.PING, flags=Flag.RESP).to_wire())
        assert call.reply is not None
        host.end(call)


async def events_come_once_and_in_order_over_a_bad_line() -> None:
    """On RS-485 and on USB: every event of the unit, none twice, also if a slot is cut or repeated."""
    for kind in ("rs485", "usb"):
        for line in (lossy, delayed):
            for seed in range(3):
                async with bench(kind=kind, line=line, seed=seed) as (device, unit, wire):
                    heard = [await _fetched(unit)]
                    if kind == "usb":
                        device.unit._at_once = wire.deliver
                    for _ in range(12):
                        for state in (State.FAULT, State.COOLDOWN, State.IDLE):
                            device.unit.core.enter(state, "test")
                        heard.append(await _fetched(unit))
                    states = [event.state for batch in heard for event in batch]
                    truth = [state for _, state, _ in device.unit.core.history]
                    assert states == truth, (kind, line, seed)


async def _fetched(unit: TrialUnit) -> list[payloads.StateChanged]:
    """All that the unit has told; a slot holds eight."""
    for _ in range(20):
        try:
            if not await unit.poll():
                break
        except UnavailableError:
            await asyncio.sleep(1)
    found = []
    while unit._host.events:
        event = await unit.next_event()
        assert isinstance(event, payloads.StateChanged)
        found.append(event)
    return found


async def a_slot_with_a_hole_is_asked_for_again() -> None:
    """The middle one of three events is lost on the line: no reply counts until all three are there, in their order."""
    host = HostMachine(address=5, first_sequence=9, at_once=False, on_fault=lambda *_: None)
    call = host.begin_poll()
    call.next_bytes()
    told = [
        Frame(
            5, 0x8000 + (0x7FFE + n) % 0x8000, Event.STATE, payloads.StateChanged(n, 0).to_bytes(), flags=Flag.EVENT
        ).to_wire()
        for n in range(3)
    ]
    end = Frame(5, 9, Command.POLL_EVT, payloads.PollEnd(3, 0).to_bytes(), flags=Flag.RESP).to_wire()
    host.hear(told[0] + told[2] + end)
    assert call.reply is None
    assert not host.events
    host.hear(told[0] + told[1] + end)  # the repeat: now the last one is lost, and all three have been heard
    assert call.reply is not None
    assert [event.state for event in host.events if isinstance(event, payloads.StateChanged)] == [0, 1, 2]
    host.end(call)
    assert host.begin_poll().frame.payload == b"\x80\x00"  # up to the third, whose number began again


async def a_unit_is_greeted_before_anything_else_but_an_abort() -> None:
    """HELLO empties its memory of replies; ABORT waits for nobody. After silence it is greeted again."""
    device = Line()
    async with bus_on(MemoryLink(device)) as bus:
        unit = TrialUnit(bus, address=5)
        await unit.abort(0)
        await unit.status()
        assert [frame.command for frame in device.frames] == [Command.ABORT, Command.HELLO, Command.STATUS]
        device.lose_requests = 4
        try:
            await unit.status()
        except UnavailableError:
            device.asked.clear()
        await unit.status()
        assert [frame.command for frame in device.frames] == [Command.HELLO, Command.STATUS]


async def nobody_greets_while_an_act_is_on_its_way() -> None:
    """START acted and its reply is lost; a ping beside it is lost four times: no HELLO makes the unit forget START."""
    async with bench() as (device, unit, _):
        act = await ready_to(unit, "start")
        device.asked.clear()
        device.lose_replies = 2
        starting = asyncio.create_task(_outcome(act))
        await asyncio.sleep(0.01)
        unit._host.greeted = False
        await unit.ping()
        assert await starting == ActReply("done")
        commands = [frame.command for frame in device.frames]
        assert Command.HELLO not in commands[: len(commands) - commands[::-1].index(Command.START)]


async def usb_events_need_no_poll() -> None:
    """They come at once, and the slot that repeats them brings none twice."""
    async with bench(kind="usb") as (device, unit, wire):
        await unit.poll()
        unit._host.events.clear()
        device.unit._at_once = wire.deliver
        device.unit.core.enter(State.FAULT, "test")
        assert await unit.next_event() == payloads.StateChanged(State.FAULT, 0)
        await unit.poll()
        assert not unit._host.events


class Doomed(Line):
    """At the `fatal`th frame the owner of the session is gone, and the line turns bad in one way."""

    def __init__(self, fatal: int, then: str) -> None:
        super().__init__()
        self.fatal, self.then = fatal, then
        self.end: Callable[[], object] = lambda: None
        self.gone_s: float | None = None

    def receive(self, data: bytes) -> bytes:
        if self.gone_s is None and len(self.asked) + 1 == self.fatal:
            self.gone_s = asyncio.get_running_loop().time()
            self.end()
            if self.then == "this reply lost":
                self.lose_replies = 1
        if self.gone_s is not None:
            self.lose_replies = 99 if self.then == "deaf host" else self.lose_replies
            self.lose_requests = 99 if self.then == "deaf unit" else 0
            if self.then == "no abort" and any(
                f.command == Command.ABORT for f in FrameDecoder(lambda *_: None).feed(data)
            ):
                self.lose_requests = 1
            if self.then == "in vain":
                self.unit.core.abort = lambda: None  # taken, and nothing done
        return super().receive(data)


async def _session(unit: TrialUnit) -> None:
    """An owner: company and the acts of one session, in one group."""
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(unit.run(), name="company")
        await unit.sync_time(UNIX_S)
        token = await token_for(unit)
        assert await unit.authorize(token, yes) == ActReply("done")
        assert await unit.arm(42, 1, 6, yes) == ActReply("done")
        assert await unit.start(42, yes) == ActReply("done")
        await asyncio.sleep(30)


async def _asks_every_second(ask: Callable[[], Awaitable[object]]) -> None:
    while True:
        with contextlib.suppress(DeviceError):
            await ask()
        await asyncio.sleep(1)


THEN = ("as before", "this reply lost", "deaf host", "deaf unit", "no abort", "in vain")


async def no_heat_is_on_2_5_s_after_its_owner_is_gone() -> None:
    """At every step of a session, whatever the line does then, and though somebody else asks once a second."""
    hot = 0
    for then in THEN:
        for fatal in (*range(1, 24), 60, 100):
            device = Doomed(fatal, then)
            async with bus_on(MemoryLink(device)) as bus:
                unit = TrialUnit(bus, address=5)
                owner = asyncio.create_task(_session(unit), name="owner")
                device.end = owner.cancel
                others = [
                    asyncio.create_task(_asks_every_second(ask), name="other") for ask in (unit.status, unit.ping)
                ]
                async with asyncio.timeout(60):
                    while device.gone_s is None:
                        await asyncio.sleep(0.01)
                hot += device.unit.core.heater_enabled
                await asyncio.sleep(4.2 if then == "in vain" else 2.5)  # 2 s behind an ABORT that did nothing
                device.live()
                assert not device.unit.core.heater_enabled, (then, fatal)
                await asyncio.sleep(20)
                device.live()
                assert not device.unit.core.heater_enabled, (then, fatal)
                if then in ("as before", "this reply lost"):
                    assert await unit.ping(b"again") == b"again"
                for task in (owner, *others):
                    task.cancel()
                await asyncio.gather(owner, *others, return_exceptions=True)
    assert hot > 40


async def what_a_host_before_us_left_hot_is_ended_first() -> None:
    """The agent starts again beside a unit that heats: HELLO, STATUS, ABORT, and only then what somebody asks."""
    for ask, ends_s in (("ping", 1.0), ("hello", 1.0), ("challenge", 1.0), ("poll", 1.0), ("deaf", 3.5)):
        async with bench() as (device, unit, _):
            await (await ready_to(unit, "start"))(yes)
            device.asked.clear()
            async with bus_on(MemoryLink(device)) as bus:
                other = TrialUnit(bus, address=5)
                device.lose_replies = 99 if ask == "deaf" else 0
                asker = asyncio.create_task(_asks_every_second(getattr(other, ask.replace("deaf", "status"))))
                await asyncio.sleep(ends_s)
                device.live()
                assert not device.unit.core.heater_enabled, ask
                if ask != "deaf":
                    first = [frame.command for frame in device.frames][:4]
                    assert first == [Command.HELLO, Command.STATUS, Command.ABORT, Command.STATUS], ask
                asker.cancel()
                await asyncio.gather(asker, return_exceptions=True)


async def nobody_heats_without_company() -> None:
    """START without `run` is not sent, nor is a repeat of it once `run` is over."""
    async with bench() as (device, unit, _):
        await ready_to(unit, "start")
        unit._host.heat.leave()
        device.asked.clear()
        assert await unit.start(42, yes) == ActReply("not_sent")
        assert device.asked == []
        unit._host.heat.join()
        device.lose_requests = 9
        starting = asyncio.create_task(_outcome(lambda guard: unit.start(42, guard)))
        await asyncio.sleep(0.1)
        unit._host.heat.leave()
        assert await starting == ActReply("no_reply")
        assert [frame.command for frame in device.frames] == [Command.START]


async def nobody_greets_in_a_session() -> None:
    """HELLO makes a unit forget: asked for in a session it is told from memory, and goes again when that is over."""
    for name in ACTS:
        async with bench() as (device, unit, _):
            said = await unit.hello()
            act = await ready_to(unit, name)
            device.asked.clear()
            device.lose_replies = 2
            acting = asyncio.create_task(_outcome(act))
            await asyncio.sleep(0.01)
            assert [await unit.hello() for _ in range(3)] == [said] * 3
            by_force = unit._host.begin(Command.HELLO)
            assert unit._host.write(by_force, asyncio.get_running_loop().time()) is None
            unit._host.end(by_force)
            assert await acting == ActReply("done")
            await unit.status()
            if name != "dispense":  # which ends its session
                assert await unit.hello() == said
            assert Command.HELLO not in [frame.command for frame in device.frames]
            await unit.abort(42)
            await unit.status()
            assert await unit.hello() == said
            assert device.frames[-1].command == Command.HELLO


CHECKS: tuple[Callable[[], Coroutine[Any, Any, None]], ...] = (
    acts_take_effect_exactly_once,
    four_tries_and_no_more,
    the_guard_is_asked_for_every_try,
    an_act_that_waited_a_second_for_its_turn_is_not_sent,
    an_abort_overtakes_and_nothing_acts_behind_it,
    company_keeps_a_unit_warm_also_over_a_bad_line,
    a_host_that_is_gone_is_missed_within_two_seconds,
    a_late_reply_answers_no_later_question,
    a_reply_of_another_kind_or_unit_answers_nothing,
    events_come_once_and_in_order_over_a_bad_line,
    a_slot_with_a_hole_is_asked_for_again,
    a_unit_is_greeted_before_anything_else_but_an_abort,
    nobody_greets_while_an_act_is_on_its_way,
    usb_events_need_no_poll,
    nobody_heats_without_company,
    nobody_greets_in_a_session,
    what_a_host_before_us_left_hot_is_ended_first,
    no_heat_is_on_2_5_s_after_its_owner_is_gone,
)


def told(check: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run one story; raises AssertionError or DeviceError if it goes otherwise."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(check())
