"""Network readers by LLRP: our side of the seam always, sllurp against the simulated reader where it is installed."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from random import Random

import pytest

from device_drivers.errors import MisconfiguredError, UnavailableError
from device_drivers.rfid_llrp import LlrpReader, reader
from device_drivers.rfid_llrp.client import ReaderAddress
from simulators.hardware.llrp_server import LlrpServer
from simulators.hardware.rfid_field import Field, Tag

EPC_1, EPC_2 = bytes.fromhex("30751FEB705C5904E3D50D70"), bytes.fromhex("E2000001")
# sllurp is under the GPL 3 and no part of what developers install; without it these tests have no case.
SLLURP = ["sllurp"] if find_spec("sllurp") else []


class Played:
    """A client without a network; its reports come from a thread, as those of a library do."""

    def __init__(self, address: ReaderAddress, on_report, on_alive) -> None:
        self.address, self.on_report, self.on_alive = address, on_report, on_alive
        self.alive = False
        self.error: OSError | None = None
        self.closed = 0

    def connect(self) -> None:
        if self.error:
            raise self.error
        self.alive = True

    def close(self) -> None:
        self.closed += 1
        self.alive = False

    def is_alive(self) -> bool:
        return self.alive

    def report(self, tags: list[dict]) -> None:
        thread = threading.Thread(target=self.on_report, args=(tags,))
        thread.start()
        thread.join()


@asynccontextmanager
async def running(one: LlrpReader) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(one.run())
    try:
        async with asyncio.timeout(20):
            while not one.is_open and not task.done():
                await asyncio.sleep(0.01)
            yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def played(**settings: object) -> tuple[LlrpReader, list[Played]]:
    made: list[Played] = []

    def open_client(*args: object) -> Played:
        made.append(Played(*args))
        return made[-1]

    return LlrpReader("rfid.example", keepalive_s=0.1, open_client=open_client, **settings), made


async def test_without_sllurp_the_sentence_names_the_command(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "sllurp.llrp", None)
    with pytest.raises(MisconfiguredError, match="pip install sllurp"):
        await LlrpReader("rfid.example").run()


async def test_what_a_thread_reports_is_taken_once():
    one, made = played(antennas=(1, 2))
    with pytest.raises(UnavailableError, match="not connected"):
        one.take()
    async with running(one):
        made[0].report([{"EPC": b"e2000001", "AntennaID": 2, "PeakRSSI": -55}])
        await asyncio.sleep(0)
        [sight] = one.take()
        assert (sight.epc, sight.antenna, sight.rssi_dbm) == (EPC_2, 2, -55)
        assert one.take() == []
    assert made[0].address.antennas == (1, 2)
    assert made[0].closed == 1
    assert not one.is_open


@pytest.mark.parametrize(
    "tag",
    [
        {},
        {"EPC": b"xyz", "AntennaID": 1, "PeakRSSI": -1},
        {"EPC": "e2", "AntennaID": 1, "PeakRSSI": -1},
        {"EPC": b"e2", "AntennaID": None, "PeakRSSI": -1},
        {"EPC": b"e2" * 63, "AntennaID": 1, "PeakRSSI": -1},
        {"EPC": b"", "AntennaID": 1, "PeakRSSI": -1},
        {"EPC": b"\xff\xff", "AntennaID": 1, "PeakRSSI": -1},
    ],
)
async def test_a_tag_that_cannot_be_read_is_counted(tag: dict):
    one, made = played()
    async with running(one):
        made[0].report([tag])
        await asyncio.sleep(0)
        assert one.take() == []
    assert one.counters == {"dropped": 0, "unreadable": 1}


async def test_nobody_takes_and_nothing_piles_up(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(reader, "MAX_WAITING_SIGHTS", 3)
    one, made = played()
    async with running(one):
        made[0].report([{"EPC": b"e2", "AntennaID": n, "PeakRSSI": -1} for n in range(5)])
        await asyncio.sleep(0)
        assert [sight.antenna for sight in one.take()] == [2, 3, 4]
    assert one.counters["dropped"] == 2


async def test_a_reader_that_is_not_there_goes_or_falls_silent_is_unavailable():
    one, made = played()
    async with running(one) as task:
        with pytest.raises(UnavailableError, match="silent"):
            await task
    async with running(one) as task:
        made[1].alive = False
        with pytest.raises(UnavailableError, match="gone"):
            await task
    assert [client.closed for client in made] == [1, 1]

    def refused(*args: object) -> Played:
        client = Played(*args)
        client.error = ConnectionRefusedError(111, "Connection refused")
        return client

    with pytest.raises(UnavailableError, match="Connection refused"):
        await LlrpReader("rfid.example", open_client=refused).run()


@pytest.mark.parametrize("settings", [{"antennas": ()}, {"antennas": (0,)}, {"antennas": (33,)}, {"keepalive_s": 0}])
def test_a_wrong_description(settings: dict):
    with pytest.raises(MisconfiguredError):
        LlrpReader("rfid.example", **settings)


def server() -> LlrpServer:
    return LlrpServer({1: Field([Tag(EPC_1)], rng=Random(1)), 2: Field([Tag(EPC_2)], rng=Random(2))})


@pytest.mark.parametrize("library", SLLURP)
async def test_sllurp_lists_the_tags_of_a_simulated_reader(library: str):
    async with server().serve() as simulated:
        one = LlrpReader("127.0.0.1", port=simulated.port, antennas=(1, 2), keepalive_s=0.5)
        async with running(one):
            seen: set[tuple[bytes, int]] = set()
            while len(seen) < 2:
                await asyncio.sleep(0.05)
                seen |= {(sight.epc, sight.antenna) for sight in one.take()}
            assert seen == {(EPC_1, 1), (EPC_2, 2)}
            assert simulated.conversation is not None
            assert list(simulated.conversation.rospecs.values()) == ["active"]
            await asyncio.sleep(2.5)  # five keepalives: unanswered ones would end it
            assert one.is_open
        talk = simulated.conversation
        assert talk is None or talk.rospecs == {}  # it was stopped, not only left


@pytest.mark.parametrize("library", SLLURP)
@pytest.mark.parametrize("how", ["hangs up", "is silent"])
async def test_sllurp_tells_of_a_reader_that_goes(library: str, how: str):
    async with server().serve() as simulated:
        one = LlrpReader("127.0.0.1", port=simulated.port, antennas=(1, 2), keepalive_s=0.3)
        async with running(one) as task:
            while not one.take():
                await asyncio.sleep(0.05)
            if how == "hangs up":
                simulated.hang_up()
            else:
                simulated.mute = True
            with pytest.raises(UnavailableError, match="gone" if how == "hangs up" else "silent"):
                await task


@pytest.mark.parametrize("library", SLLURP)
async def test_sllurp_and_a_port_where_nobody_listens(library: str):
    async with server().serve() as simulated:
        port = simulated.port
    with pytest.raises(UnavailableError):
        await LlrpReader("127.0.0.1", port=port).run()
