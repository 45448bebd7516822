"""A whole agent with a climate sensor and a fridge: readings, an alarm in the ledger, a test by command, a restart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from contracts.envelope import decode_data, decode_envelope
from contracts.event_types import DeviceFault, DeviceReading, DeviceRecovered
from edge import agent as agent_module
from edge.commands.probes import probes
from edge.ledger import show
from simulators.hardware.modbus import ModbusBus
from simulators.hardware.modbus_tcp import ModbusTcpServer
from simulators.hardware.modbus_units import ClimateSensor, FridgeController
from tests.edge.kinds import described, line, running
from tests.edge.shop import Shop


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent_module, "DRAIN_S", 0.05)


def shop(folder: Path, **limits: Any) -> Shop:
    """The demo store with other limits of its fridge."""
    plain = Shop(folder).config
    devices = tuple(d.model_copy(update=limits) if d.id == "fridge-D1" else d for d in plain.device)
    return Shop(folder, device=devices)


def fridge_of(store: Shop) -> FridgeController:
    bus = store.rig.ports["climate"].device
    assert isinstance(bus, ModbusBus)
    unit = bus.units[2]
    assert isinstance(unit, FridgeController)
    return unit


def readings(store: Shop) -> list[DeviceReading]:
    raws = [e.raw for e in show(store.config.data_dir / "ledger.db", "telemetry", 0, 10_000) if e.raw is not None]
    told = [decode_data(envelope) for envelope in map(decode_envelope, raws)]
    return [data for data in told if isinstance(data, DeviceReading)]


async def test_an_alarm_begins_in_one_life_of_the_agent_and_ends_in_the_next(tmp_path: Path) -> None:
    store = shop(tmp_path, for_s=1.0, poll_s=0.5)
    async with store.running() as agent:
        await store.until(lambda: agent.devices.health["fridge-D1"].state == "online")
        fridge_of(store).fridge._air_c = 15.0
        await store.until(lambda: store.said(DeviceFault))
        (fault,) = store.said(DeviceFault)
        assert (fault.device, fault.code) == ("fridge-D1", "too_warm")
        found = await probes(agent.config, agent.devices)["fridge-D1"].test()
        assert found.detail == "ok"
        assert "temperature_c" in found.found
        assert {"device:climate-shop", "device:fridge-D1", "bus:climate"} <= set(agent.supervisor.tasks)
    assert {data.device for data in readings(store)} == {"climate-shop", "fridge-D1"}
    fridge_of(store).fridge._air_c = 4.0
    async with store.running():
        await store.until(lambda: store.said(DeviceRecovered))
        assert len(store.said(DeviceFault)) == 1
        assert all(task.crashes == 0 for task in store.agent.supervisor.tasks.values())


async def test_a_sensor_over_the_network(tmp_path: Path) -> None:
    server = ModbusTcpServer({7: ClimateSensor(lambda: (21.5, 40.0))})
    port = await server.start()
    try:
        more = line(tmp_path, "modbus_tcp", url=f"tcp://127.0.0.1:{port}")
        more += '[[device]]\nkind = "climate"\nid = "it"\nbus = "line"\naddress = 7\npoll_s = 0.5\n'
        async with running(described(tmp_path, more)) as store:
            await store.until(lambda: store.shown("it") == {"temperature_c": 21.5, "humidity_rh": 40.0})
    finally:
        await server.close()
