"""Modbus against implementations that are not ours: pymodbus as the devices and as the host, mbpoll as the host.

Our master asks a pymodbus server, our simulator is asked by pymodbus and mbpoll, each over a serial line (a pair of
pseudo-terminals) and over TCP. What is not installed is left out, and is a failure where nothing may be left out.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tty
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from random import Random

import pytest

from device_drivers.bus import Bus
from device_drivers.capabilities import WeightSample
from device_drivers.errors import RefusedError, UnavailableError
from device_drivers.modbus_rtu import (
    RTU,
    Climate,
    ClimateSample,
    Inputs,
    Meter,
    Relay,
    Station,
    WeightTransmitter,
    load_profile,
    pdu,
)
from device_drivers.modbus_rtu.framing import Framing
from device_drivers.modbus_tcp import TCP
from device_drivers.serial_link import open_serial
from device_drivers.tcp_link import open_tcp
from simulators.hardware.faults import Faults
from simulators.hardware.modbus import ModbusBus
from simulators.hardware.modbus_rtu import BenchCell, bench_units
from simulators.hardware.modbus_tcp import ModbusTcpServer
from simulators.hardware.pty_port import PtyPort
from tests.must import missing

try:
    import pymodbus
except ModuleNotFoundError:
    pymodbus = None

FRAMINGS = ("rtu", "tcp")


@pytest.fixture
def theirs() -> None:
    if pymodbus is None:
        missing("pymodbus is not installed")


@pytest.fixture
def mbpoll() -> str:
    return shutil.which("mbpoll") or missing("mbpoll (a Debian package) is not installed")


class NullModem:
    """Two serial ports whose bytes go to each other."""

    def __init__(self, folder: Path) -> None:
        self._loop = asyncio.get_running_loop()
        self._pairs = [os.openpty() for _ in range(2)]
        self.ends = [folder / "one", folder / "other"]
        for end, (master, slave) in zip(self.ends, self._pairs, strict=True):
            tty.setraw(slave)
            os.set_blocking(master, False)
            end.symlink_to(os.ttyname(slave))
        masters = [master for master, _ in self._pairs]
        for here, there in (masters, reversed(masters)):
            self._loop.add_reader(here, self._pass_on, here, there)

    @staticmethod
    def _pass_on(here: int, there: int) -> None:
        os.write(there, os.read(here, 4096))

    def close(self) -> None:
        for master, slave in self._pairs:
            self._loop.remove_reader(master)
            os.close(slave)
            os.close(master)


@asynccontextmanager
async def running(bus: Bus) -> AsyncIterator[Bus]:
    owner = asyncio.create_task(bus.run(), name="bus")
    async with asyncio.timeout(20):
        while not bus._open:
            await asyncio.sleep(0.001)
        yield bus
    owner.cancel()
    await asyncio.gather(owner, return_exceptions=True)


# ---------------------------------------------------------------- our master, their devices


def their_devices():
    """One device of four tables: relays and inputs of 8, a weight of 12.34 g, 30.5 °C and 54.6 %RH."""
    from pymodbus.simulator import DataType, SimData, SimDevice

    bits = partial(SimData, datatype=DataType.BITS)
    return [
        SimDevice(
            id=unit,
            simdata=(
                [bits(0, values=[True, False] * 8)],
                [bits(0, values=[False, False, True, True] * 4)],
                [
                    SimData(0, values=[unit, 3], datatype=DataType.REGISTERS),
                    SimData(8, values=0x0812, datatype=DataType.REGISTERS),
                    SimData(80, values=1234, datatype=DataType.INT32),
                ],
                [SimData(1, values=[305, 546], datatype=DataType.INT16)],
            ),
        )
        for unit in (1, 2)
    ]


@asynccontextmanager
async def their_server(framing: str, folder: Path) -> AsyncIterator[tuple[Bus, Framing]]:
    from pymodbus.server import ModbusSerialServer, ModbusTcpServer

    faults: list[str] = []

    def on_fault(kind: str, detail: str) -> None:
        faults.append(kind)

    if framing == "tcp":
        server = ModbusTcpServer(their_devices(), address=("127.0.0.1", 0))
        await server.serve_forever(background=True)
        port = server.transport.sockets[0].getsockname()[1]
        bus = Bus(name="tcp", open_link=lambda: open_tcp("127.0.0.1", port), on_fault=on_fault, gap_s=0.0)
        async with running(bus):
            yield bus, TCP
        await server.shutdown()
        return
    modem = NullModem(folder)
    server = ModbusSerialServer(
        their_devices(), port=str(modem.ends[1]), baudrate=9600, ignore_missing_devices=True, timeout=1
    )
    await server.serve_forever(background=True)
    bus = Bus(name="rtu", open_link=lambda: open_serial(str(modem.ends[0]), 9600), on_fault=on_fault)
    async with running(bus):
        yield bus, RTU
    await server.shutdown()
    modem.close()


@pytest.mark.parametrize("framing", FRAMINGS)
async def test_our_master_reads_their_four_tables_by_its_profiles(theirs: None, framing: str, tmp_path: Path):
    async with their_server(framing, tmp_path) as (bus, how):
        assert await Relay(bus, address=1, framing=how).states() == (True, False) * 4
        assert await Inputs(bus, address=2, framing=how).states() == (False, False, True, True) * 2
        assert await Climate(bus, address=1, framing=how).sample() == ClimateSample(305, 54.6)
        scale = WeightTransmitter(bus, address=2, framing=how)
        assert await scale.sample() == WeightSample(12.34, stable=True, power_on=True)
        await scale.acknowledge_power_on()  # function 10 clears the whole word, decimals too
        assert await scale.sample() == WeightSample(1234.0, stable=True)


@pytest.mark.parametrize("framing", FRAMINGS)
async def test_our_master_writes_by_every_function_and_their_device_holds_it(
    theirs: None, framing: str, tmp_path: Path
):
    async with their_server(framing, tmp_path) as (bus, how):
        station = Station(bus, address=1, framing=how)
        await station.write(pdu.WriteCoil(1, True))
        assert (await station.read(pdu.read_coils(0, 4))).bits(4) == (True, True, True, False)
        await station.write(pdu.WriteCoils(3, (True, False, False, True, True, False, True, False, True)))
        assert (await station.read(pdu.read_coils(3, 9))).bits(9) == (
            True, False, False, True, True, False, True, False, True,
        )  # fmt: skip
        await station.write(pdu.WriteRegister(0, 1234))
        await station.write(pdu.WriteRegisters(80, (0xFFFF, 0xC1EF)))
        assert (await station.read(pdu.read_holding(0, 2))).registers() == (1234, 3)
        found = await Meter(bus, address=1, profile=load_profile("weight_transmitter"), framing=how).read("weight")
        assert found["weight"].value == -158.89


@pytest.mark.parametrize("framing", FRAMINGS)
async def test_their_exceptions_are_refusals(theirs: None, framing: str, tmp_path: Path):
    async with their_server(framing, tmp_path) as (bus, how):
        with pytest.raises(RefusedError, match="exception 2 "):
            await Station(bus, address=1, framing=how).read(pdu.read_holding(500, 2))
        with pytest.raises(RefusedError, match="exception 2 "):
            await Station(bus, address=1, framing=how).write(pdu.WriteCoil(99, True))
        with pytest.raises((UnavailableError, RefusedError)):  # silence on a line, an exception over TCP
            await Station(bus, address=9, framing=how).read(pdu.read_holding(0, 1))
        assert (await Station(bus, address=2, framing=how).read(pdu.read_holding(0, 1))).registers() == (2,)


# ---------------------------------------------------------------- our devices, their master


@asynccontextmanager
async def our_devices(framing: str, folder: Path) -> AsyncIterator[tuple[dict[int, object], Path | int]]:
    units = bench_units()
    if framing == "tcp":
        server = ModbusTcpServer(units)
        port = await server.start()
        yield units, port
        await server.close()
        return
    line = PtyPort(folder / "port", ModbusBus(units), Faults(rng=Random(0)))
    line.plug()
    yield units, line.path
    line.unplug()


@pytest.mark.parametrize("framing", FRAMINGS)
async def test_their_client_reads_and_writes_our_devices(theirs: None, framing: str, tmp_path: Path):
    from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient

    async with our_devices(framing, tmp_path) as (units, where):
        client = (
            AsyncModbusTcpClient("127.0.0.1", port=where)
            if framing == "tcp"
            else AsyncModbusSerialClient(str(where), baudrate=9600)
        )
        assert await client.connect()
        units[1].inputs[:3] = [True, False, True]
        assert not (await client.write_coil(2, True, device_id=1)).isError()
        assert not (await client.write_coils(4, [True, False, True], device_id=1)).isError()
        assert (await client.read_coils(0, count=8, device_id=1)).bits == [
            False, False, True, False, True, False, True, False,
        ]  # fmt: skip
        assert (await client.read_discrete_inputs(0, count=3, device_id=1)).bits[:3] == [True, False, True]
        assert not (await client.write_register(0, 1234, device_id=1)).isError()
        assert not (await client.write_registers(0, [5, 6], device_id=1)).isError()
        assert (await client.read_holding_registers(0, count=2, device_id=1)).registers == [5, 6]
        units[2].cell = BenchCell(gross_g=-12.5, power_on=True)
        weight = await client.read_holding_registers(80, count=2, device_id=2)
        assert client.convert_from_registers(weight.registers, client.DATATYPE.INT32) == -125
        assert not (await client.write_registers(8, [0], device_id=2)).isError()
        assert units[2].cell.power_on is False
        assert (await client.read_input_registers(1, count=2, device_id=3)).registers == [305, 546]
        assert not (await client.write_register(1, 0xFFF6, device_id=4)).isError()
        assert units[4].fridge.set_point_c == -1.0
        for refused, code in (
            (await client.read_holding_registers(3, count=1, device_id=1), 2),
            (await client.write_coil(8, True, device_id=1), 2),
            (await client.read_input_registers(0, count=1, device_id=1), 1),
            (await client.write_registers(8, [1], device_id=2), 3),
        ):
            assert (refused.isError(), refused.exception_code) == (True, code)
        client.close()


async def poll(mbpoll: str, where: Path | int, unit: int, *asked: str) -> str:
    """What mbpoll prints, once; `asked` are its options and what it shall write."""
    line = ["-m", "tcp", "-p", str(where)] if isinstance(where, int) else ["-m", "rtu", "-b", "9600", "-P", "none"]
    options = [one for one in asked if one.startswith("-")]
    values = [one for one in asked if not one.startswith("-")]
    target = "127.0.0.1" if isinstance(where, int) else str(where)
    process = await asyncio.create_subprocess_exec(
        mbpoll, *line, "-0", "-1", "-a", str(unit), *options, target, *values,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    async with asyncio.timeout(20):
        said, _ = await process.communicate()
    return said.decode(errors="replace")


def shown(said: str) -> list[str]:
    """The values in mbpoll's output: lines such as `[80]: \t-125`."""
    return [line.split(":", 1)[1].strip() for line in said.splitlines() if line.startswith("[")]


@pytest.mark.parametrize("framing", FRAMINGS)
async def test_mbpoll_reads_and_writes_our_devices(mbpoll: str, framing: str, tmp_path: Path):
    async with our_devices(framing, tmp_path) as (units, where):
        ask = partial(poll, mbpoll, where)
        units[1].inputs[0] = True
        assert "Written 1 references" in await ask(1, "-t0", "-r2", "1")
        assert "Written 3 references" in await ask(1, "-t0", "-r4", "1", "0", "1")
        assert units[1].relays == [False, False, True, False, True, False, True, False]
        assert shown(await ask(1, "-t0", "-r0", "-c8")) == ["0", "0", "1", "0", "1", "0", "1", "0"]
        assert shown(await ask(1, "-t1", "-r0", "-c2")) == ["1", "0"]
        assert "Written 1 references" in await ask(1, "-t4", "-r0", "1234")
        assert "Written 2 references" in await ask(1, "-t4", "-r0", "5", "6")
        assert shown(await ask(1, "-t4", "-r0", "-c2")) == ["5", "6"]
        units[2].cell = BenchCell(gross_g=132.0)
        assert shown(await ask(2, "-t4:int", "-B", "-r80", "-c1")) == ["1320"]
        assert shown(await ask(3, "-t3", "-r1", "-c2")) == ["305", "546"]
        assert "Illegal data address" in await ask(1, "-t4", "-r3", "-c1")
        assert "Illegal function" in await ask(3, "-t0", "-r0", "-c1")
