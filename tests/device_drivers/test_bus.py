"""The owner of a line: who is next, what is never sent, and what everybody learns when the cable is out."""

from __future__ import annotations

import asyncio
import itertools
import logging
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device_drivers.bus import MAX_DEVICES, MAX_WAITING, MAX_WAITING_A_DEVICE, Bus, Exchange, NoReplyError, Priority
from device_drivers.errors import MisconfiguredError, ProtocolError, UnavailableError
from tests.device_drivers.twins import Twin, Wire, bus_on
from tests.device_drivers.virtual_time import in_virtual_time


class EchoTwin(Twin):
    """Answers every frame with itself, but is deaf to frames that begin with a dash."""

    def receive(self, data: bytes) -> bytes:
        return b"" if data.startswith(b"-") else data


def exchange(
    frame: bytes | None, *, priority=Priority.STATUS, timeout_s=0.2, queue_timeout_s=None, not_sent=None, device=""
):
    """One frame that expects itself as the reply."""
    heard = bytearray()

    def feed(data: bytes) -> bytes | None:
        heard.extend(data)
        return bytes(heard) if frame is not None and len(heard) >= len(frame) else None

    return Exchange(
        priority=priority,
        encode=lambda: frame,
        feed=feed,
        timeout_s=timeout_s,
        queue_timeout_s=queue_timeout_s,
        not_sent=not_sent,
        device=device,
    )


async def until(condition) -> None:
    while not condition():  # a step of the loop, not an event: the step matters here
        await asyncio.sleep(0)


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def ask(bus: Bus, frame: bytes, **options) -> bytes | Exception:
    try:
        return await bus.request(exchange(frame, **options))
    except UnavailableError as error:
        return error


@in_virtual_time
async def test_an_unlock_overtakes_and_equals_keep_their_order():
    wire = Wire(EchoTwin())
    async with bus_on(wire) as bus, asyncio.TaskGroup() as tasks:
        tasks.create_task(ask(bus, b"first", priority=Priority.TEMPERATURE))
        await asyncio.sleep(0.001)  # the first is on its way now
        for frame, priority in (
            (b"temperature", Priority.TEMPERATURE),
            (b"weight 1", Priority.WEIGHT),
            (b"weight 2", Priority.WEIGHT),
            (b"status", Priority.STATUS),
            (b"unlock", Priority.UNLOCK),
        ):
            tasks.create_task(ask(bus, frame, priority=priority))
    assert wire.frames == [b"first", b"unlock", b"status", b"weight 1", b"weight 2", b"temperature"]


@in_virtual_time
async def test_an_unlock_that_comes_inside_the_gap_still_goes_first():
    wire = Wire(EchoTwin())
    async with bus_on(wire, gap_s=0.05) as bus, asyncio.TaskGroup() as tasks:
        tasks.create_task(ask(bus, b"first"))
        await asyncio.sleep(0.01)  # sent and answered: the gap runs
        tasks.create_task(ask(bus, b"weight", priority=Priority.WEIGHT))
        await asyncio.sleep(0.02)
        tasks.create_task(ask(bus, b"unlock", priority=Priority.UNLOCK))
    assert wire.frames == [b"first", b"unlock", b"weight"]


@in_virtual_time
async def test_no_priority_starves_another():
    """A poller that never pauses lets the temperature through after its patience, and an unlock before that."""
    wire = Wire(EchoTwin())
    async with bus_on(wire) as bus:

        async def poll() -> None:
            while True:
                await bus.request(exchange(b"poll"))

        pollers = [asyncio.create_task(poll(), name=f"poller {n}") for n in range(2)]
        assert await ask(bus, b"temperature", priority=Priority.TEMPERATURE) == b"temperature"
        for poller in pollers:
            poller.cancel()
    assert len(wire.frames) > 10


@in_virtual_time
async def test_a_device_that_asks_much_leaves_every_second_turn_to_the_other():
    wire = Wire(EchoTwin())
    async with bus_on(wire) as bus:
        many = [asyncio.create_task(ask(bus, b"a%d" % number, device="a")) for number in range(6)]
        await settle()
        few = [asyncio.create_task(ask(bus, b"b%d" % number, device="b")) for number in range(2)]
        await asyncio.gather(*many, *few)
    assert wire.frames == [b"a0", b"b0", b"a1", b"b1", b"a2", b"a3", b"a4", b"a5"]


@in_virtual_time
async def test_a_device_fills_its_share_of_the_queue_and_no_more():
    async with bus_on(Wire(EchoTwin())) as bus:
        many = [asyncio.create_task(ask(bus, b"-", device="a")) for _ in range(MAX_WAITING_A_DEVICE + 3)]
        await settle()
        other = asyncio.create_task(ask(bus, b"b", device="b"))
        answers = await asyncio.gather(*many)
        assert await other == b"b"
    refused = [answer for answer in answers if "requests of a wait already" in str(answer)]
    assert len(refused) == bus.counters["refused_full"]
    assert 2 <= len(refused) <= 3  # the first may have been at its turn


@pytest.mark.parametrize(("silent", "faults"), [(False, [("timeout", "no reply within 0.2 s")]), (True, [])])
def test_silence_of_a_device_that_may_be_silent_is_no_fault(silent: bool, faults: list[tuple[str, str]]):
    @in_virtual_time
    async def scenario():
        heard: list[tuple[str, str]] = []
        async with bus_on(Wire(EchoTwin()), heard) as bus:
            with pytest.raises(NoReplyError):
                await bus.request(replace(exchange(b"-"), may_be_silent=silent))
        assert heard == faults
        assert bus.counters["no_reply"] == len(faults)

    scenario()


@in_virtual_time
async def test_the_turns_of_few_devices_are_remembered():
    async with bus_on(Wire(EchoTwin())) as bus:
        for number in range(MAX_DEVICES + 10):
            await ask(bus, b"x", device=f"d{number}")
        assert len(bus._turns) == MAX_DEVICES


@in_virtual_time
async def test_one_silent_device_does_not_take_the_turns_of_another():
    """Pitfall 6: two devices on one line, one is dead; the other keeps its turn between the other's time-outs."""
    wire = Wire(EchoTwin())
    faults: list[tuple[str, str]] = []
    answers = {b"alive": 0, b"-dead": 0}
    async with bus_on(wire, faults) as bus:

        async def poll(frame: bytes) -> None:
            while True:
                reply = await ask(bus, frame, timeout_s=0.1)
                answers[frame] += reply == frame

        pollers = [asyncio.create_task(poll(frame), name=f"poll {frame!r}") for frame in answers]
        await asyncio.sleep(10)
        for poller in pollers:
            poller.cancel()
    assert answers[b"-dead"] == 0
    assert answers[b"alive"] >= 85  # one turn in 0.1 s of the dead one's time-out, plus gaps
    assert {kind for kind, _ in faults} == {"timeout"}
    assert bus.counters["timeout"] == bus.counters["no_reply"] == len(faults)


@in_virtual_time
async def test_frames_keep_their_distance():
    wire = Wire(EchoTwin())
    async with bus_on(wire, gap_s=0.02) as bus:
        for _ in range(3):
            await bus.request(exchange(b"x"))
    times = [time_s for time_s, _ in wire.sent]
    assert all(later - earlier >= 0.02 + 0.002 - 1e-6 for earlier, later in itertools.pairwise(times))


@in_virtual_time
async def test_a_babbling_line_is_spoken_over_after_a_while():
    wire = Wire(EchoTwin())
    async with bus_on(wire) as bus:

        async def babble() -> None:
            while True:
                wire.deliver(b"?")
                await asyncio.sleep(0.001)

        noise = asyncio.create_task(babble(), name="babble")
        await asyncio.sleep(0.01)
        await ask(bus, b"hello")
        noise.cancel()
    assert wire.frames == [b"hello"]
    assert 1000.25 <= wire.sent[0][0] <= 1000.3
    assert bus.counters["line_busy"] == 1


@in_virtual_time
async def test_a_late_reply_is_flushed_and_counted_and_answers_nobody():
    wire = Wire()
    async with bus_on(wire) as bus:
        assert isinstance(await ask(bus, b"one", timeout_s=0.1), NoReplyError)
        wire.deliver(b"one")  # heard while nobody asks
        await asyncio.sleep(0.01)
        second = asyncio.create_task(ask(bus, b"two", timeout_s=0.1), name="second")
        wire.deliver(b"one")  # in the port, not yet read, when the next frame goes out
        assert isinstance(await second, NoReplyError)
    assert bus.counters["late_bytes"] == 6


class TestNeverSent:
    """What must not reach the wire."""

    @in_virtual_time
    async def test_a_caller_who_left_the_queue(self):
        wire = Wire(EchoTwin())
        async with bus_on(wire) as bus:
            first = asyncio.create_task(ask(bus, b"-first"), name="first")
            await asyncio.sleep(0.001)
            second = asyncio.create_task(ask(bus, b"second", priority=Priority.UNLOCK), name="second")
            await asyncio.sleep(0.001)
            second.cancel()
            await asyncio.gather(second, return_exceptions=True)
            assert bus._waiting == []  # at once, not when its turn would have come
            await first
            await asyncio.sleep(1)
        assert wire.frames == [b"-first"]
        assert bus.counters["cancelled"] == 1

    @in_virtual_time
    async def test_a_caller_cancelled_in_the_very_step_in_which_its_turn_comes(self):
        """The cancellation is requested, the caller has not run yet, and the owner of the line runs before it."""
        wire = Wire(EchoTwin())
        async with bus_on(wire) as bus:
            caller = asyncio.create_task(ask(bus, b"late"), name="caller")
            await until(lambda: bus._waiting)
            caller.cancel()
            await asyncio.gather(caller, return_exceptions=True)
            await asyncio.sleep(1)
            assert await ask(bus, b"next") == b"next"
        assert wire.frames == [b"next"]
        assert bus.counters["cancelled"] == 1

    @in_virtual_time
    async def test_a_guard_that_says_no(self):
        wire = Wire(EchoTwin())
        async with bus_on(wire) as bus:
            assert await bus.request(exchange(None, not_sent=b"not sent")) == b"not sent"
            with pytest.raises(UnavailableError, match="not sent") as caught:
                await bus.request(exchange(None))
        assert not isinstance(caught.value, NoReplyError)
        assert wire.frames == []
        assert bus.counters["not_sent"] == 2

    @in_virtual_time
    async def test_a_guard_that_breaks(self):
        """Nothing is written, the callers learn it, and the fall is not hidden from the supervisor."""
        wire = Wire(EchoTwin())
        bus = Bus(name="test", open_link=lambda: asyncio.sleep(0, wire), on_fault=lambda *_: None)
        owner = asyncio.create_task(bus.run(), name="owner")
        await settle()
        with pytest.raises(UnavailableError) as caught:
            await bus.request(
                Exchange(priority=Priority.UNLOCK, encode=lambda: 1 // 0, feed=lambda _: b"", timeout_s=1)
            )
        assert not isinstance(caught.value, NoReplyError)
        with pytest.raises(ExceptionGroup) as group:
            await owner
        assert group.group_contains(ZeroDivisionError)
        assert wire.frames == []

    @in_virtual_time
    async def test_whoever_waited_too_long(self):
        """The answer comes at the limit, not when the line is free again."""
        wire = Wire(EchoTwin())
        async with bus_on(wire) as bus:
            first = asyncio.create_task(ask(bus, b"-first", timeout_s=5), name="first")
            await asyncio.sleep(0.001)
            before_s = asyncio.get_running_loop().time()
            reply = await bus.request(exchange(b"second", queue_timeout_s=1, not_sent=b"not sent"))
            assert reply == b"not sent"
            assert asyncio.get_running_loop().time() - before_s == pytest.approx(1)
            await first
            await asyncio.sleep(1)
        assert wire.frames == [b"-first"]

    @in_virtual_time
    async def test_whoever_is_overdue_in_the_step_in_which_its_turn_comes(self):
        """The timer is due but has not run: the head of the queue looks at the time itself."""
        wire = Wire(EchoTwin())
        async with bus_on(wire) as bus:
            reply = await bus.request(exchange(b"x", queue_timeout_s=-1, not_sent=b"not sent"))
        assert reply == b"not sent"
        assert wire.frames == []

    @in_virtual_time
    async def test_one_more_than_the_queue_holds(self):
        wire = Wire(EchoTwin())
        async with bus_on(wire) as bus:
            first = asyncio.create_task(ask(bus, b"-first", timeout_s=1), name="first")
            await asyncio.sleep(0.001)
            crowd = [asyncio.create_task(ask(bus, b"x"), name=f"crowd {n}") for n in range(MAX_WAITING)]
            await asyncio.sleep(0)
            with pytest.raises(UnavailableError, match="wait already"):
                await bus.request(exchange(b"too many", priority=Priority.UNLOCK))
            assert bus.counters["refused_full"] == 1
            assert await asyncio.gather(*crowd) == [b"x"] * MAX_WAITING
            await first
        assert b"too many" not in wire.frames

    @in_virtual_time
    async def test_anything_while_the_port_is_closed(self):
        wire = Wire(EchoTwin())
        async with bus_on(wire) as bus:
            pass
        with pytest.raises(UnavailableError, match="not open"):
            await bus.request(exchange(b"x"))
        assert wire.frames == []


@in_virtual_time
async def test_a_caller_who_leaves_after_the_write_does_not_disturb_the_next():
    """The reply still comes; the line waits for it, so that it cannot be taken for the next one's."""
    wire = Wire(EchoTwin())
    async with bus_on(wire) as bus:
        first = asyncio.create_task(ask(bus, b"one"), name="first")
        await until(lambda: wire.sent)
        first.cancel()
        assert await ask(bus, b"two") == b"two"
    assert wire.frames == [b"one", b"two"]
    assert bus.counters["replies"] == 2
    assert bus.counters["late_bytes"] == 0


@in_virtual_time
async def test_bytes_right_behind_a_reply_are_late_and_disturb_nobody():
    """Two pieces arrive in one step of the loop: the second has no request any more."""
    wire = Wire()
    async with bus_on(wire) as bus:
        request = asyncio.create_task(ask(bus, b"one"), name="request")
        await until(lambda: wire.sent)
        wire.deliver(b"one")
        wire.deliver(b"junk")
        assert await request == b"one"
    assert bus.counters["late_bytes"] == 4


@in_virtual_time
async def test_a_parser_that_refuses_bytes_is_counted_and_goes_on():
    wire = Wire()
    faults: list[tuple[str, str]] = []

    def feed(data: bytes) -> bytes | None:
        if data == b"bad":
            raise ProtocolError("not ours")
        return data

    async with bus_on(wire, faults) as bus:
        asyncio.get_running_loop().call_later(0.02, wire.deliver, b"bad")
        asyncio.get_running_loop().call_later(0.03, wire.deliver, b"good")
        reply = await bus.request(Exchange(priority=Priority.STATUS, encode=lambda: b"?", feed=feed, timeout_s=0.2))
    assert reply == b"good"
    assert faults == [("framing", "not ours")]


class TestUnplugged:
    """Pitfalls 7 and 8: the cable is pulled at each point where the owner can stand."""

    @pytest.mark.parametrize(
        ("moment", "first"),
        [
            ("idle", None),  # nobody asks
            ("gap", UnavailableError),  # a request waits for silence
            ("flush", UnavailableError),  # before the guard is asked
            ("write", NoReplyError),  # perhaps a part has left
            ("reply", NoReplyError),  # sent, no reply yet
        ],
    )
    def test_everybody_learns_at_once(self, moment, first):
        @in_virtual_time
        async def scenario() -> None:
            wire = Wire()
            loop = asyncio.get_running_loop()
            bus = Bus(name="test", open_link=lambda: asyncio.sleep(0, wire), on_fault=lambda *_: None, gap_s=0.05)
            owner = asyncio.create_task(bus.run(), name="owner")
            await settle()
            requests = []
            if moment != "idle":
                if moment == "gap":
                    wire.deliver(b"noise")
                    await settle()
                else:
                    await asyncio.sleep(0.06)
                wire.unplug_on = moment
                requests = [asyncio.create_task(ask(bus, b"x", timeout_s=9), name=f"r{n}") for n in range(3)]
                await settle()
            pulled_s = loop.time()
            wire.unplug()
            with pytest.raises(UnavailableError, match="the cable is out") as lost:
                await owner
            assert type(lost.value) is UnavailableError
            answers = await asyncio.gather(*requests)
            assert loop.time() == pulled_s
            assert [type(answer) for answer in answers] == ([first] + [UnavailableError] * 2 if requests else [])
            assert wire.closed
            assert bus.counters["lost"] == 1
            with pytest.raises(UnavailableError):
                await bus.request(exchange(b"x"))

        scenario()

    @in_virtual_time
    async def test_a_bus_can_be_run_again(self):
        wires = [Wire(EchoTwin()), Wire(EchoTwin())]
        opened = iter(wires)
        wires[0].dropped_bytes, wires[1].dropped_bytes = 3, 4
        bus = Bus(name="test", open_link=lambda: asyncio.sleep(0, next(opened)), on_fault=lambda *_: None)
        for wire in wires:
            owner = asyncio.create_task(bus.run(), name="owner")
            await settle()
            assert await ask(bus, b"hello") == b"hello"
            wire.unplug()
            with pytest.raises(UnavailableError):
                await owner
        assert bus.counters["opened"] == bus.counters["lost"] == 2
        assert bus.counters["dropped_bytes"] == 7

    @pytest.mark.parametrize("error", [UnavailableError("no port"), MisconfiguredError("no permission")])
    def test_a_port_that_cannot_be_opened_is_logged_once(self, error, caplog):
        @in_virtual_time
        async def scenario() -> None:
            async def open_link() -> Wire:
                raise error

            bus = Bus(name="test", open_link=open_link, on_fault=lambda *_: None)
            for _ in range(3):
                with pytest.raises(type(error)):
                    await bus.run()

        with caplog.at_level(logging.INFO):
            scenario()
        assert [record.levelname for record in caplog.records] == ["WARNING"]

    @in_virtual_time
    async def test_cancelling_the_owner_frees_the_port_and_the_callers(self):
        wire = Wire()
        async with bus_on(wire) as bus:
            active = asyncio.create_task(ask(bus, b"active", timeout_s=9), name="active")
            waiting = asyncio.create_task(ask(bus, b"waiting", timeout_s=9), name="waiting")
            await asyncio.sleep(0.1)
        assert [type(error) for error in (await active, await waiting)] == [NoReplyError, UnavailableError]
        assert wire.closed

    @pytest.mark.parametrize("late_steps", [0, 1], ids=["in the same step", "one step later"])
    def test_a_cancellation_is_not_lost_when_the_port_goes_in_the_same_moment(self, late_steps):
        @in_virtual_time
        async def scenario() -> None:
            loop = asyncio.get_running_loop()

            def end(steps: int) -> None:
                if steps:
                    loop.call_soon(end, steps - 1)
                else:
                    owner.cancel()

            class Gone(Wire):
                async def read(self) -> bytes:
                    end(late_steps)
                    raise UnavailableError("the cable is out")

            wire = Gone()
            bus = Bus(name="test", open_link=lambda: asyncio.sleep(0, wire), on_fault=lambda *_: None)
            owner = asyncio.create_task(bus.run(), name="owner")
            await asyncio.wait({owner})
            assert owner.cancelled()
            assert wire.closed

        scenario()

    @in_virtual_time
    async def test_a_broken_parser_takes_the_bus_down_and_strands_nobody(self):
        wire = Wire(EchoTwin())
        bus = Bus(name="test", open_link=lambda: asyncio.sleep(0, wire), on_fault=lambda *_: None)
        owner = asyncio.create_task(bus.run(), name="owner")
        await settle()
        with pytest.raises(NoReplyError):
            await bus.request(
                Exchange(priority=Priority.STATUS, encode=lambda: b"x", feed=lambda _: 1 // 0, timeout_s=9)
            )
        with pytest.raises(ExceptionGroup) as group:
            await owner
        assert group.group_contains(ZeroDivisionError)
        assert wire.closed


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(list(Priority)),
            st.floats(0, 0.5),  # asked at
            st.none() | st.floats(0, 1),  # leaves after
            st.none() | st.floats(0.01, 0.5),  # longest wait
            st.sampled_from(["answers", "silent", "guard says no"]),
        ),
        max_size=25,
    ),
    st.none() | st.floats(0, 1),  # the cable is pulled at
)
def test_whatever_happens_a_frame_is_sent_at_most_once_and_only_for_a_caller_who_waits(plan, pulled_s):
    """Every caller gets exactly one truth: a reply or NoReplyError if its frame was written, and neither if not."""

    @in_virtual_time
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        wire = Wire(EchoTwin())
        written: set[int] = set()
        present: set[int] = set()
        outcome: dict[int, str] = {}

        async def caller(n, priority, asked_s, longest_s, kind) -> None:
            frame = f"{'-' if kind == 'silent' else '+'}{n}".encode()
            heard = bytearray()

            def encode() -> bytes | None:
                assert n in present
                assert n not in written
                if kind == "guard says no":
                    return None
                written.add(n)
                return frame

            def feed(data: bytes) -> str | None:
                heard.extend(data)
                return "reply" if heard == frame else None

            await asyncio.sleep(asked_s)
            present.add(n)
            try:
                outcome[n] = await bus.request(
                    Exchange(
                        priority=priority,
                        encode=encode,
                        feed=feed,
                        timeout_s=0.1,
                        queue_timeout_s=longest_s,
                        not_sent="not sent",
                    )
                )
            except NoReplyError:
                outcome[n] = "no reply"
            except UnavailableError:
                outcome[n] = "unavailable"
            except asyncio.CancelledError:
                outcome[n] = "left"
                raise
            finally:
                present.discard(n)

        async with bus_on(wire) as bus:
            tasks = []
            for n, (priority, asked_s, leaves_s, longest_s, kind) in enumerate(plan):
                task = asyncio.create_task(caller(n, priority, asked_s, longest_s, kind), name=f"caller {n}")
                tasks.append(task)
                if leaves_s is not None:
                    loop.call_later(asked_s + leaves_s, task.cancel)
            if pulled_s is not None:
                loop.call_later(pulled_s, wire.unplug)
            await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.sleep(1)
        assert len(wire.frames) == len(set(wire.frames)) == len(written)
        for n, result in outcome.items():
            if result in ("reply", "no reply"):
                assert n in written
            if result in ("not sent", "unavailable"):
                assert n not in written
        assert bus._waiting == []

    scenario()
