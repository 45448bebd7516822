"""The alert stream of a simulated camera, over real sockets: accounts, stalls, halves, and a network that goes."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta, timezone
from random import Random

import pytest

from contracts.clock import SystemClock
from device_drivers.errors import MisconfiguredError
from device_drivers.people_counter import AlertReader, CameraFold, Credentials, Line
from simulators.hardware.people_counter import PeopleCamera, part
from simulators.hardware.people_counter_server import PeopleCounterServer
from tests.device_drivers.virtual_time import in_virtual_time

START = datetime(2026, 3, 2, 9, 0, tzinfo=timezone(timedelta(hours=8)))
USER, PASSWORD = "shopkeeper", "q9-unsayable-Q9"
WITHIN_S = 10.0
HEARTBEAT_S = 40


class Clock(SystemClock):
    """The machine's time, which writes down how long it was asked to sleep."""

    def __init__(self) -> None:
        self.slept_s: list[float] = []

    async def sleep(self, duration_s: float) -> None:
        self.slept_s.append(duration_s)
        await super().sleep(min(duration_s, 0.05))


class Door:
    """A camera on a socket, and the reader with its fold."""

    def __init__(self, method: str = "realTime", *, stall_s: float = 5.0, password: str = PASSWORD, **camera) -> None:
        self.camera = PeopleCamera(START, **camera)
        self.server = PeopleCounterServer(self.camera, user=USER, password=PASSWORD)
        self.fold = CameraFold(method=method, resets_daily=True)
        self.clock = Clock()
        self.faults: list[tuple[str, str]] = []
        self.reader: AlertReader | None = None
        self.running: asyncio.Task[None] | None = None
        self._how = {"stall_s": stall_s, "credentials": Credentials(USER, password)}

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Door]:
        async with self.server.serve():
            self.reader = AlertReader(
                url=self.server.url,
                on_alert=lambda alert: self.fold.add(alert, self.camera.now),
                on_lost=self.fold.interrupted,
                clock=self.clock,
                rng=Random(1),
                base_s=0.01,
                cap_s=0.04,
                on_fault=lambda *fault: self.faults.append(fault),
                **self._how,
            )
            self.running = asyncio.create_task(self.reader.run(), name="reader")
            try:
                yield self
            finally:
                self.running.cancel()
                await asyncio.gather(self.running, return_exceptions=True)

    async def until(self, holds) -> None:
        async with asyncio.timeout(WITHIN_S):
            while not holds():
                await asyncio.sleep(0.005)

    async def connected(self, times: int = 1) -> None:
        await self.until(lambda: self.reader.counters["connected"] >= times and self.reader.is_connected)

    def cross(self, *directions: str) -> None:
        for direction in directions:
            self.camera.advance(2)
            self.camera.cross(direction)

    @property
    def entered(self) -> int:
        line = self.fold.lines.get(Line("1", "1"))
        return line.total.entered if line else -1


@pytest.mark.parametrize("schema", ["psia", "isapi"])
@pytest.mark.parametrize(("with_length", "garbage"), [(True, b""), (False, b""), (True, b"\r\nrubbish\x00\r\n")])
async def test_counts_come_through(schema, with_length, garbage):
    async with Door(schema=schema).open() as door:
        door.server.with_length, door.server.garbage = with_length, garbage
        await door.until(lambda: door.server.counters["streams"] == 1)
        door.camera.heartbeat()
        await door.connected()
        door.cross("in", "in", "out", "in")
        door.camera.heartbeat()  # without lengths it is what ends the last part
        await door.until(lambda: door.entered == 2)  # the first count is where we begin
        assert door.server.counters["streams"] == 1
        assert door.server.counters["requests"] == 2  # one without an account, one with
        assert door.reader.counters["bad_alerts"] == 0
        assert bool(door.faults) == bool(garbage)


async def test_a_network_that_was_away_costs_nobody():
    """Intervals that were told to nobody are told again, and counters bridge the time."""
    for method in ("timeRange", "realTime"):
        async with Door(method).open() as door:
            await door.connected()
            door.cross("in")
            door.camera.advance(900)
            await door.until(lambda door=door: len(door.fold.lines) == 1)
            door.camera.network(up=False)
            await door.until(lambda door=door: not door.reader.is_connected)
            door.cross("in", "in", "in")
            door.camera.advance(1800)
            door.camera.network(up=True)
            await door.connected(2)
            door.cross("in")
            door.camera.advance(900)
            expected = {"timeRange": 5, "realTime": 4}[method]
            await door.until(lambda door=door, expected=expected: door.entered == expected)
            (line,) = door.fold.lines.values()
            assert [gap.why for gap in line.gaps if gap.why != "outage"] == []
            assert door.camera.counters["told_late"] > 0


async def test_a_restart_of_the_camera_is_told_and_counts_go_on():
    async with Door().open() as door:
        await door.connected()
        door.cross("in", "in", "in")
        await door.until(lambda: door.entered == 2)
        door.camera.restart()
        await door.until(lambda: not door.reader.is_connected)
        await door.connected(2)
        door.cross("in", "in")
        await door.until(lambda: door.entered == 4)
        (line,) = door.fold.lines.values()
        assert [gap.why for gap in line.gaps] == ["reset"]


async def test_midnight_over_a_socket():
    async with Door().open() as door:
        await door.connected()
        door.cross("in", "in", "in")
        door.camera.advance(20 * 3600)
        door.cross("in")
        await door.until(lambda: door.entered == 3)
        (line,) = door.fold.lines.values()
        assert line.gaps == []


async def test_a_camera_that_hangs_is_found_and_asked_anew():
    async with Door(stall_s=0.3).open() as door:
        await door.connected()
        door.server.hangs = True
        await door.until(lambda: door.reader.counters["stalled"] > 0)
        door.server.hangs = False
        await door.connected(2)
        door.cross("in", "in")
        await door.until(lambda: door.entered == 1)
        assert ("timeout", "no alert for 0.3 s") in door.faults


async def test_bytes_without_an_alert_are_no_sign_of_life():
    """A camera that trickles, or that sends parts which are none."""
    async with Door(stall_s=0.3).open() as door:
        await door.connected()
        door.server.hangs = True
        async with asyncio.timeout(WITHIN_S):
            while not door.reader.counters["stalled"]:
                for writer in list(door.server._writers):
                    writer.write(part("<not an alert>") if len(door.faults) % 2 else b"\x00")
                await asyncio.sleep(0.02)
        assert door.reader.counters["bad_alerts"] > 0


async def test_half_a_part_counts_nothing():
    async with Door().open() as door:
        await door.connected()
        door.cross("in")
        await door.until(lambda: door.entered == 0)
        door.server.half_a_part()
        await door.connected(2)
        door.cross("in")
        await door.until(lambda: door.entered == 1)
        assert door.fold.counters == {"counted": 2}


async def test_a_wrong_password_is_not_tried_again_and_never_shown(caplog):
    caplog.set_level(logging.DEBUG)
    wrong = "w7-unsayable-W7"
    async with Door(password=wrong).open() as door:
        with pytest.raises(MisconfiguredError, match="refuses the account") as caught:
            await asyncio.wait_for(door.running, WITHIN_S)
        assert door.server.counters["wrong_password"] == 1  # cameras lock out whoever goes on trying
        assert door.clock.slept_s == []
    said = "".join((caplog.text, repr(caught.value), repr(door.reader), repr(door._how), str(caught.value.__context__)))
    for secret in (wrong, PASSWORD, USER):
        assert secret not in said
    assert [one.levelname for one in caplog.records if one.name == "zhanggui.device_drivers"] == ["WARNING"]


@pytest.mark.parametrize(
    ("attribute", "value", "match"),
    [
        ("answers", 403, "refuses the account"),
        ("answers", 404, "there is no /ISAPI"),
        ("algorithm", "MD4", "a kind of digest"),
    ],
)
async def test_what_a_person_must_mend(attribute, value, match):
    door = Door()
    setattr(door.server, attribute, value)
    async with door.open():
        with pytest.raises(MisconfiguredError, match=match):
            await asyncio.wait_for(door.running, WITHIN_S)


@pytest.mark.parametrize(("attribute", "value"), [("answers", 503), ("answers", 301), ("content_type", "text/html")])
async def test_what_passes_is_tried_again_with_longer_pauses(attribute, value):
    door = Door()
    well = getattr(door.server, attribute)
    setattr(door.server, attribute, value)
    async with door.open():
        await door.until(lambda: len(door.clock.slept_s) >= 8)
        setattr(door.server, attribute, well)
        await door.connected()
        for number, slept_s in enumerate(door.clock.slept_s):
            assert slept_s <= min(0.04, 0.01 * 2**number)


async def test_a_challenge_with_a_body_that_does_not_end_is_not_read():
    door = Door()
    well, door.server.page = door.server.page, "x" * 1_000_000
    async with door.open():
        await door.until(lambda: len(door.clock.slept_s) >= 2)
        door.server.page = well
        await door.connected()


async def test_a_camera_that_drops_at_once_is_not_stormed():
    """Each connection comes up for a moment; the pauses grow all the same."""
    async with Door().open() as door:
        for _ in range(8):
            await door.until(lambda: door.reader.is_connected)
            door.server.cut()
            await door.until(lambda: not door.reader.is_connected)
        assert door.reader._backoff.failures >= 8


async def test_down_and_up_are_told_once(caplog):
    caplog.set_level(logging.INFO, "zhanggui.device_drivers")
    async with Door().open() as door:
        await door.connected()
        door.camera.network(up=False)
        await door.until(lambda: len(door.clock.slept_s) >= 5)
        door.camera.network(up=True)
        await door.connected(2)
    levels = [one.levelname for one in caplog.records if one.name == "zhanggui.device_drivers"]
    assert levels == ["INFO", "WARNING", "INFO"]


async def test_nothing_is_left_behind():
    before = asyncio.all_tasks()
    async with Door().open() as door:
        await door.connected()
        for _ in range(3):
            door.server.cut()
            await door.connected(door.reader.counters["lost"] + 1)
    await asyncio.sleep(0.05)
    assert asyncio.all_tasks() == before


@in_virtual_time
async def test_a_day_with_unplugs_leaves_nothing_behind(caplog):
    """Real sockets, and time that jumps from one heartbeat to the next."""
    caplog.set_level(logging.CRITICAL)  # pytest keeps what is logged, and it would count as left behind
    sizes: list[int] = []
    async with Door(stall_s=60.0).open() as door:
        door.camera.now = door.camera._began = START.replace(hour=0)
        await door.connected()
        for hour in range(24):
            for _ in range(3600 // HEARTBEAT_S):
                await asyncio.sleep(HEARTBEAT_S)
                door.camera.advance(HEARTBEAT_S - 1)
                door.camera.heartbeat()
                door.camera.cross("in")
            await asyncio.sleep(1)
            door.server.cut()
            await door.connected(hour + 2)
            door.clock.slept_s.clear()
            if hour in {1, 23}:  # warm, and at the end
                gc.collect()
                sizes.append(len(gc.get_objects()))
        await asyncio.sleep(1)
        assert door.entered == door.camera.truth["in"] - 1
        assert door.reader.counters["stalled"] == 0
    # what the fold keeps has filled its cap meanwhile; a leak of one object an alert would be thousands more
    assert sizes[1] - sizes[0] < 1000


@pytest.mark.parametrize(
    ("url", "match"),
    [
        ("http://admin:secret@10.0.0.4", "no account"),
        ("ftp://10.0.0.4", "must be http"),
        ("http://", "must be http"),
        ("http://10.0.0.4/ISAPI", "must be http"),
        ("http://10.0.0.4?x=1", "must be http"),
        ("http://10.0.0.4:port", "must be http"),
    ],
)
def test_an_address_that_is_none(url, match):
    with pytest.raises(MisconfiguredError, match=match) as caught:
        AlertReader(
            url=url,
            credentials=Credentials("a", "b"),
            on_alert=lambda _alert: None,
            on_lost=lambda: None,
            clock=SystemClock(),
            rng=Random(1),
        )
    assert "secret" not in str(caught.value)


def test_credentials_are_not_shown():
    assert repr(Credentials(USER, PASSWORD)) == "Credentials()"
