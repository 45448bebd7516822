"""What every family of lock boards promises: one pulse at most, the guard at the wire, and doors that tell of now."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from random import Random

import pytest

from device_drivers.capabilities import Door, Lock, UnlockReply
from device_drivers.errors import DeviceError, MisconfiguredError, UnavailableError
from device_drivers.family import family
from device_drivers.lock_board import LATE_S, MAX_STALE_REPLIES, REPLY_TIMEOUT_S, LockBoard
from device_drivers.lock_boards import LOCK_BOARDS
from device_drivers.lock_profile import Profile
from simulators.conformance.lines import ECHOING, LINES, delayed, echoing, perfect
from simulators.conformance.memory_link import MemoryLink, bus_on
from simulators.conformance.virtual_time import in_virtual_time
from tests.device_drivers.lock_peers import LockPeer, flipped


@dataclass(frozen=True)
class Kind:
    """A family in one dialect."""

    family: str
    dialect: str = ""
    polarity: str = "locked_short"

    def peer(self, **board: object) -> LockPeer:
        return LockPeer(self.family, polarity=self.polarity, dialect=self.dialect, **board)

    def board(self, bus, **settings: object) -> LockBoard:
        profile = Profile(feedback_polarity=self.polarity, dialect=self.dialect, **settings)
        return LOCK_BOARDS[self.family].make(bus, 1, profile)

    @property
    def answers_pulses(self) -> bool:
        return self.family in ("lock_8a", "lock_winnsen") or self.dialect == "cu12"

    def unlocks(self, frames: list[bytes]) -> list[bytes]:
        """Those of these frames that move something."""
        found = family(self.family)
        return [one for one in frames if any(map(found.acts, found.from_host(lambda _k, _d: None).feed(one)))]


KINDS = [
    Kind("lock_8a"),
    Kind("lock_8a", polarity="open_short"),
    Kind("lock_cu16"),
    Kind("lock_cu16", polarity="open_short"),
    Kind("lock_cu48"),
    Kind("lock_cu48", "cu48_length", "open_short"),
    Kind("lock_cu48", "cu12"),
    Kind("lock_winnsen"),
    Kind("lock_winnsen", "status_first", "open_short"),
]
each_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: f"{kind.family} {kind.dialect} {kind.polarity}")


def run(scenario) -> None:
    in_virtual_time(scenario)()


@each_kind
@pytest.mark.parametrize("line", [perfect, echoing])
@pytest.mark.parametrize("jammed", [False, True])
def test_an_unlock_and_the_door_after_it(kind, line, jammed):
    async def scenario() -> None:
        peer = kind.peer()
        peer.wall.jammed = {3} if jammed else set()
        link = MemoryLink(peer, line=line)
        async with bus_on(link) as bus:
            board: Lock = kind.board(bus, echo=line in ECHOING)
            assert await board.door(3) is Door.CLOSED
            reply = await board.unlock(3, lambda: True)
            assert reply.result == ("opened" if not jammed else "refused" if kind.answers_pulses else "no_reply")
            assert await board.door(3) is (Door.CLOSED if jammed else Door.OPEN)
            assert await board.door(4) is Door.CLOSED
        assert [channel for _, channel in peer.wall.pulses] == [3]
        assert len(kind.unlocks(link.frames)) == 1

    run(scenario)


@each_kind
def test_the_status_holds_every_channel(kind):
    async def scenario() -> None:
        peer = kind.peer()
        peer.wall.open = {1, 12}
        async with bus_on(MemoryLink(peer)) as bus:
            board = kind.board(bus)
            doors = await board.status()
            assert list(doors) == list(range(1, board.channels + 1))
            assert {channel for channel, door in doors.items() if door is Door.OPEN} == {1, 12}
            assert board.channels == LOCK_BOARDS[kind.family].channels_of(kind.dialect)

    run(scenario)


@each_kind
def test_a_lost_reply_is_no_reply_and_the_door_tells_the_rest(kind):
    """The board acted and nobody heard of it. A query resolves it; nothing pulses again."""

    async def scenario() -> None:
        peer = kind.peer()
        link = MemoryLink(peer)
        async with bus_on(link) as bus:
            board = kind.board(bus)
            peer.silent = True
            assert await board.unlock(2, lambda: True) == UnlockReply("no_reply")
            peer.silent = False
            assert await board.door(2) is Door.OPEN
            await asyncio.sleep(60)
        assert [channel for _, channel in peer.wall.pulses] == [2]
        assert len(kind.unlocks(link.frames)) == 1

    run(scenario)


@each_kind
def test_a_lost_unlock_is_never_sent_again(kind):
    async def scenario() -> None:
        peer = kind.peer()
        link = MemoryLink(peer)
        async with bus_on(link) as bus:
            board = kind.board(bus)
            peer.deaf = True
            assert await board.unlock(2, lambda: True) == UnlockReply("no_reply")
            peer.deaf = False
            assert await board.door(2) is Door.CLOSED
            await asyncio.sleep(60)
        assert peer.wall.pulses == []
        assert len(kind.unlocks(link.frames)) == 1

    run(scenario)


@each_kind
def test_the_guard_is_asked_once_in_the_step_that_writes(kind):
    """No other task runs between the guard's yes and the bytes; its no leaves no byte on the wire."""

    async def scenario() -> None:
        peer = kind.peer()
        link = MemoryLink(peer)
        steps = 0

        async def count() -> None:
            nonlocal steps
            while True:
                await asyncio.sleep(0)
                steps += 1

        asked: list[int] = []
        written: list[int] = []
        write = link.write

        def seen(data: bytes) -> None:
            written.append(steps)
            write(data)

        link.write = seen
        async with bus_on(link) as bus:
            board = kind.board(bus)
            assert await board.unlock(1, lambda: False) == UnlockReply("not_sent")
            assert written == []
            counter = asyncio.create_task(count(), name="count")
            unlock = asyncio.create_task(board.unlock(1, lambda: asked.append(steps) or True), name="unlock")
            while not written:
                await asyncio.sleep(0)
            counter.cancel()
            await unlock
        assert asked == written[:1]

    run(scenario)


@each_kind
def test_the_hold_off_is_the_one_that_was_said(kind):
    async def scenario() -> None:
        peer = kind.peer(hold_off_s=0.7)
        loop = asyncio.get_running_loop()
        asked_s: list[float] = []
        async with bus_on(MemoryLink(peer)) as bus:
            board = kind.board(bus, hold_off_s=0.75)
            replies = await asyncio.gather(
                *(board.unlock(channel, lambda: asked_s.append(loop.time()) or True) for channel in (1, 2))
            )
        assert [reply.result for reply in replies] == ["opened", "opened"]
        (first_s, _), (second_s, _) = peer.wall.pulses
        assert second_s - first_s >= 0.75
        assert asked_s == [first_s, second_s]
        assert peer.line.counters["held_off"] == 0

    run(scenario)


@pytest.mark.parametrize("hold_off_s", [0.0, 0.49, 61.0, float("nan"), float("inf")])
def test_a_hold_off_below_half_a_second_is_refused(hold_off_s):
    with pytest.raises(MisconfiguredError, match="hold_off_s"):
        Profile(feedback_polarity="locked_short", hold_off_s=hold_off_s)


@pytest.mark.parametrize("wrong", [{"feedback_polarity": "normal"}, {"bit_order": "big"}])
def test_a_setting_that_does_not_exist_is_refused(wrong):
    with pytest.raises(MisconfiguredError):
        Profile(**({"feedback_polarity": "locked_short"} | wrong))


@pytest.mark.parametrize("name", LOCK_BOARDS)
def test_an_address_or_a_dialect_that_does_not_exist_is_refused(name):
    kind = LOCK_BOARDS[name]

    async def scenario() -> None:
        async with bus_on(MemoryLink()) as bus:
            for address in (kind.addresses[0] - 1, kind.addresses[-1] + 1):
                with pytest.raises(MisconfiguredError, match="address"):
                    kind.make(bus, address, Profile(feedback_polarity="locked_short"))
            with pytest.raises(MisconfiguredError, match="dialect"):
                kind.make(bus, kind.addresses[0], Profile(feedback_polarity="locked_short", dialect="latin"))
            for dialect in kind.dialects:
                board = kind.make(bus, kind.addresses[-1], Profile(feedback_polarity="locked_short", dialect=dialect))
                assert board.channels == kind.channels_of(dialect)

    run(scenario)


@each_kind
def test_channels_that_do_not_exist_are_refused_before_anything_else(kind):
    """Above all a channel 0, which means all locks to some boards."""

    async def scenario() -> None:
        link = MemoryLink(kind.peer())
        asked: list[int] = []
        async with bus_on(link) as bus:
            board = kind.board(bus)
            for channel in (-1, 0, board.channels + 1, 255):
                with pytest.raises(MisconfiguredError):
                    await board.unlock(channel, lambda: asked.append(1) or True)
                with pytest.raises(MisconfiguredError):
                    await board.door(channel)
        assert (asked, link.frames) == ([], [])

    run(scenario)


@each_kind
def test_every_channel_pulses_its_own_lock_and_no_other(kind):
    """All unlock frames that a driver can be brought to write, at the first and the last address."""

    async def scenario() -> None:
        described = LOCK_BOARDS[kind.family]
        for address in (described.addresses[0], described.addresses[-1]):
            peer = LockPeer(kind.family, address=address, polarity=kind.polarity, dialect=kind.dialect)
            async with bus_on(MemoryLink(peer)) as bus:
                profile = Profile(feedback_polarity=kind.polarity, dialect=kind.dialect)
                board = described.make(bus, address, profile)
                for channel in range(1, board.channels + 1):
                    await board.unlock(channel, lambda: True)
                    assert [pulsed for _, pulsed in peer.wall.pulses] == list(range(1, channel + 1))
                    await asyncio.sleep(1)

    run(scenario)


@each_kind
def test_a_late_reply_never_answers_a_later_question(kind):
    """A reply of the time when the door was closed arrives in the turn of a question asked when it is open."""

    async def scenario() -> None:
        peer = kind.peer()
        link = MemoryLink(peer)
        loop = asyncio.get_running_loop()
        async with bus_on(link) as bus:
            board = kind.board(bus)
            await board.door(1)
            kept: list[bytes] = []
            receive = peer.receive
            peer.receive = lambda data: kept.append(receive(data)) or b""
            with pytest.raises(UnavailableError):
                await board.door(1)
            peer.receive = receive
            peer.wall.open.add(1)
            for delay_s in (0.0, 0.0005, 0.001, 0.0055, 0.006):
                loop.call_later(delay_s, link.deliver, kept.pop() if kept else b"")
            assert await board.door(1) is Door.OPEN
            await asyncio.sleep(LATE_S)
            before = len(link.frames)
            assert await board.door(1) is Door.OPEN
            assert len(link.frames) == before + 1  # nothing is owed any more: one question again

    run(scenario)


@each_kind
def test_a_late_reply_to_a_pulse_never_answers_a_later_pulse(kind):
    """Twice the same channel, without a fence between: what is heard then may be of the first."""
    if not kind.answers_pulses:
        return

    async def scenario() -> None:
        peer = kind.peer()
        link = MemoryLink(peer)
        loop = asyncio.get_running_loop()
        async with bus_on(link) as bus:
            board = kind.board(bus)
            receive, kept = peer.receive, list[bytes]()
            peer.receive = lambda data: kept.append(receive(data)) or b""
            assert await board.unlock(1, lambda: True) == UnlockReply("no_reply")
            peer.wall.jammed.add(1)
            loop.call_later(0.0005, link.deliver, kept[0])  # "opened", in the turn of the second pulse
            assert await board.unlock(1, lambda: True) == UnlockReply("no_reply")  # which itself was lost
            peer.receive = receive
            await board.door(2)  # a fence: whatever was to come has come
            await asyncio.sleep(1)
            assert (await board.unlock(1, lambda: True)).result == "refused"

    run(scenario)


def test_more_can_be_asked_again_than_can_go_unanswered_while_a_reply_may_be_late():
    assert LATE_S / REPLY_TIMEOUT_S <= MAX_STALE_REPLIES


@each_kind
@pytest.mark.parametrize("line", [line for line in LINES if line is not perfect])
@pytest.mark.parametrize("seed", range(3))
def test_pulses_and_doors_over_bad_lines(kind, line, seed):
    """`not_sent` has no pulse, anything else one at most, and a door that is told is the door of now."""

    async def scenario() -> None:
        rng = Random(seed)
        peer = kind.peer()
        link = MemoryLink(peer, line=line, seed=seed)
        told = allowed_in_all = 0
        async with bus_on(link) as bus:
            board = kind.board(bus, echo=line in ECHOING)
            for _ in range(40):
                channel = rng.choice((1, 2, 3))
                if rng.random() < 0.3:
                    allowed, pulses = rng.random() < 0.8, len(peer.wall.pulses)
                    allowed_in_all += allowed
                    peer.wall.open.discard(channel)
                    reply = await board.unlock(channel, lambda allowed=allowed: allowed)
                    assert len(peer.wall.pulses) - pulses <= allowed
                    if reply.result in ("opened", "refused"):
                        assert (channel in peer.wall.open) == (reply.result == "opened")
                        told += 1
                    elif reply.result == "not_sent":
                        assert len(peer.wall.pulses) == pulses
                        allowed_in_all -= allowed
                    continue
                if rng.random() < 0.5:
                    peer.wall.open ^= {channel}
                try:
                    door = await board.door(channel)
                except UnavailableError:
                    await asyncio.sleep(0.01)
                    continue
                assert door is (Door.OPEN if channel in peer.wall.open else Door.CLOSED)
                told += 1
        assert told >= 5
        assert len(kind.unlocks(link.frames)) == allowed_in_all

    run(scenario)


@each_kind
@pytest.mark.parametrize("seed", range(20))
def test_many_late_replies_and_a_door_that_moves(kind, seed):
    """The same over the worst line for this promise, asked without a pause."""

    async def scenario() -> None:
        rng = Random(seed)
        peer = kind.peer()
        told = 0
        async with bus_on(MemoryLink(peer, line=delayed, seed=seed)) as bus:
            board = kind.board(bus)
            for _ in range(60):
                peer.wall.open ^= {1} if rng.random() < 0.5 else set()
                try:
                    door = await board.door(1)
                except UnavailableError:
                    continue
                assert door is (Door.OPEN if 1 in peer.wall.open else Door.CLOSED)
                told += 1
        assert told >= 5

    run(scenario)


@each_kind
def test_a_turned_bit_lies_only_where_nothing_seals_the_state(kind):
    """Why a Winnsen board, and the locks of a CU12, need a short and quiet line: their own frames cannot tell."""

    async def scenario() -> None:
        lies = answers = 0
        for seed in range(60):
            peer = kind.peer()
            async with bus_on(MemoryLink(peer, line=flipped, seed=seed)) as bus:
                board = kind.board(bus)
                for channel in (1, 2):
                    try:
                        door = await board.door(channel)
                    except DeviceError:
                        continue
                    answers += 1
                    lies += door is not Door.CLOSED
        assert (lies > 0) == (kind.family == "lock_winnsen" or kind.dialect == "cu12")
        assert (answers > 0) == (lies > 0)

    run(scenario)


@each_kind
def test_a_bit_that_turns_on_the_way_to_the_board_pulses_the_wrong_lock_only_without_a_sum(kind):
    """The gravest thing that can be said of a protocol; the documents say it."""

    async def scenario() -> None:
        link = MemoryLink(kind.peer())
        async with bus_on(link) as bus:
            await kind.board(bus).unlock(1, lambda: True)
        frame = link.frames[0]
        wrong = set()
        for bit in range(len(frame) * 8):
            spoilt = bytearray(frame)
            spoilt[bit // 8] ^= 1 << bit % 8
            peer = kind.peer()
            peer.receive(bytes(spoilt))
            wrong |= {channel for _, channel in peer.wall.pulses}
        assert wrong == ({3, 5, 9} if kind.family == "lock_winnsen" else set())

    run(scenario)
