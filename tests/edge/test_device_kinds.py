"""Every kind of device that a store can describe: from its file to online on a real pseudo-terminal, and back again."""

from __future__ import annotations

import asyncio
import os
from importlib.resources import files
from pathlib import Path
from typing import Any, get_args

import pytest

from contracts.event_types import DeviceFault, DeviceRecovered
from device_drivers import profiles
from device_drivers.errors import DeviceError
from edge.config import DeviceConfig, load_store
from edge.devices.build import BUILDERS
from simulators.hardware.mdb import MdbAdapter
from simulators.hardware.mdb_age import ACCEPTED, AgeDevice
from simulators.hardware.mdb_reader import Reader
from simulators.hardware.modbus import ModbusBus
from simulators.hardware.modbus_units import FridgeController, RelayBoard
from simulators.hardware.rfid_field import Tag
from simulators.hardware.trial_ptp import TrialUnit
from tests.edge.kinds import described, line, running

DEVICE = '[[device]]\nkind = "{kind}"\nid = "it"\nbus = "line"\n{more}\n'
ANTENNA = '[[device.antenna]]\nshelf = "A-1a"\n'
KINDS = [
    # kind, protocol, what else stands in the file, what it shows at least
    pytest.param("climate", "modbus_rtu", "address = 1\npoll_s = 0.5", {"temperature_c", "humidity_rh"}, id="climate"),
    pytest.param("climate", "modbus_rtu", 'address = 9\nprofile = "humidor"', {"temperature_c"}, id="a humidor"),
    pytest.param("climate", "modbus_rtu", "address = 1\necho = true", {"temperature_c"}, id="an adapter that echoes"),
    pytest.param("fridge", "modbus_rtu", "address = 2\npoll_s = 0.5", {"temperature_c", "setpoint_c"}, id="fridge"),
    pytest.param(
        "relay_inputs", "modbus_rtu", 'address = 3\nnames = ["back_door"]', {"back_door", "input_2"}, id="relay_inputs"
    ),
    pytest.param(
        "trial_unit", "trial_ptp", 'address = 5\nkey_file = "unit.key"', {"state", "sessions", "heater_c"}, id="trial"
    ),
    pytest.param("rfid", "rfid_m100", f'family = "m100"\nlisten_s = 0.3\n{ANTENNA}', {"tags", "tags_A-1a"}, id="m100"),
    pytest.param("rfid", "rfid_thingmagic", f'family = "thingmagic"\n{ANTENNA}', {"tags"}, id="thingmagic"),
    pytest.param("cashless", "mdb", "address = 16", {"state"}, id="cashless"),
    pytest.param("cashless", "mdb", 'coding = "hex_lines"\nacknowledge = true', {"state"}, id="cashless, hex lines"),
    pytest.param("age_device", "mdb", "", {"state"}, id="age_device"),
    pytest.param("scanner", "scanner", 'cabinet = "A"', set(), id="a plain scanner"),
    pytest.param("scanner", "scanner", 'cabinet = "A"\ndialect = "gm65"', set(), id="gm65"),
    pytest.param("scanner", "scanner", 'cabinet = "A"\ndialect = "newland"', set(), id="newland"),
    pytest.param("scanner", "scanner", 'cabinet = "A"\ndialect = "honeywell"', set(), id="honeywell"),
    pytest.param("printer", "escpos", "poll_s = 1.0", {"state", "paper_end"}, id="printer"),
    pytest.param("display", "customer_display", "", set(), id="led8"),
    pytest.param("display", "customer_display", 'dialect = "cd5220"', set(), id="cd5220"),
]


@pytest.mark.parametrize(("kind", "protocol", "more", "shown"), KINDS)
async def test_a_device_comes_online_goes_and_comes_back(
    tmp_path: Path, kind: str, protocol: str, more: str, shown: set[str]
) -> None:
    toml = described(tmp_path, line(tmp_path, protocol) + DEVICE.format(kind=kind, more=more))
    before = asyncio.all_tasks()
    async with running(toml) as store:
        await store.until(lambda: store.state("it") == "online" and shown <= set(store.shown("it")))
        store.rig.unplug("line")
        await store.until(lambda: store.state("it") == "offline")
        assert store.devices.health["it"].last_error
        store.rig.replug("line")
        await store.until(lambda: store.state("it") == "online")
    assert asyncio.all_tasks() == before


async def test_a_scale_by_a_profile_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_bytes(files(profiles).joinpath("weight_transmitter_f32.toml").read_bytes())
    toml = described(tmp_path, scale='profile = "mine.toml"')
    async with running(toml) as store:
        scale = store.devices.scales["scale-a"]
        sample = None
        for _ in range(200):
            try:
                sample = await scale.sample()
                break
            except DeviceError:  # the port opens in a moment
                await asyncio.sleep(0.05)
        assert sample is not None
        assert abs(sample.gross_g - store.world.shelves["A-1a"].true_g) < 5


async def test_contacts_are_read_and_no_relay_ever_moves(tmp_path: Path) -> None:
    more = DEVICE.format(kind="relay_inputs", more='address = 3\nnames = ["back_door"]')
    async with running(described(tmp_path, line(tmp_path, "modbus_rtu") + more)) as store:
        board = _unit(store, 3)
        assert isinstance(board, RelayBoard)
        await store.until(lambda: store.shown("it").get("back_door") == 0.0)
        board.inputs[0] = True
        await store.until(lambda: store.shown("it")["back_door"] == 1.0)
        assert board.moves == []


async def test_a_fridge_that_stands_open_is_an_alarm_and_is_over_once_it_is_cold(tmp_path: Path) -> None:
    more = DEVICE.format(kind="fridge", more="address = 2\npoll_s = 0.5\nmax_c = 8.0\nfor_s = 2.0")
    async with running(described(tmp_path, line(tmp_path, "modbus_rtu") + more)) as store:
        unit = _unit(store, 2)
        assert isinstance(unit, FridgeController)
        await store.until(lambda: store.state("it") == "online")
        unit.fridge._air_c = 14.0
        await store.until(lambda: store.ledger.events)
        fault = store.ledger.events[0]
        assert isinstance(fault, DeviceFault)
        assert (fault.device, fault.kind, fault.code) == ("it", "fridge", "too_warm")
        assert "wanted at most 8" in fault.detail
        unit.fridge._air_c = 7.8  # inside, but not by the hysteresis
        await asyncio.sleep(0.4)
        assert len(store.ledger.events) == 1
        unit.fridge._air_c = 4.0
        await store.until(lambda: len(store.ledger.events) == 2)
        assert isinstance(store.ledger.events[1], DeviceRecovered)
        assert store.ledger.kept == {}


async def test_tags_are_counted_where_they_lie_and_no_number_of_a_tag_is_told(tmp_path: Path) -> None:
    more = DEVICE.format(kind="rfid", more=f'family = "m100"\nlisten_s = 0.5\npoll_s = 0.5\n{ANTENNA}')
    async with running(described(tmp_path, line(tmp_path, "rfid_m100") + more)) as store:
        field = store.rig.ports["line"].device.field  # type: ignore[attr-defined]  # of the simulator
        epc = bytes.fromhex("E20000000000000000000001")
        field.put(Tag(epc))
        field.put(Tag(bytes.fromhex("E20000000000000000000002")))
        field.put(Tag(bytes.fromhex("E20000000000000000000003"), rssi_dbm=-80.0))  # lies elsewhere
        await store.until(lambda: store.shown("it").get("tags_A-1a") == 2.0)
        field.take(epc)
        await store.until(lambda: store.shown("it")["tags"] == 1.0, real_s=30.0)
        assert "E2000000" not in repr(store.told).upper()


async def test_a_trial_unit_is_watched_and_never_armed(tmp_path: Path) -> None:
    more = DEVICE.format(kind="trial_unit", more='address = 5\nkey_file = "unit.key"\npoll_s = 0.5')
    async with running(described(tmp_path, line(tmp_path, "trial_ptp") + more)) as store:
        await store.until(lambda: store.shown("it").get("state") == "idle")
        unit = store.rig.ports["line"].device
        assert isinstance(unit, TrialUnit)
        polled = store.devices.polled[0]
        assert polled.test is not None
        found = await polled.test()
        assert found["tested"] == found["passed"]
        assert int(found["tested"]) & (1 | 4 | 8) == 0  # neither heater, igniter nor dispenser
        assert {state for _, state, *_ in unit.core.history} <= {0, 1}  # BOOT, IDLE
        assert "cdcd" not in repr(store.config) + repr(store.told)


async def test_a_reader_takes_no_card_and_an_age_device_looks_at_none(tmp_path: Path) -> None:
    more = DEVICE.format(kind="cashless", more="poll_s = 0.2")
    more += DEVICE.format(kind="age_device", more="poll_s = 0.2").replace('"it"', '"age"')
    async with running(described(tmp_path, line(tmp_path, "mdb") + more)) as store:
        adapter = store.rig.ports["line"].device
        assert isinstance(adapter, MdbAdapter)
        reader, age = adapter.peripherals[0x10], adapter.peripherals[0x68]
        assert isinstance(reader, Reader)
        assert isinstance(age, AgeDevice)
        await store.until(lambda: (store.state("it"), store.state("age")) == ("online", "online"))
        reader.present(10_000)
        age.show(ACCEPTED)
        answers = store.devices.health["it"].answers
        await store.until(lambda: store.devices.health["it"].answers > answers + 5)
        assert (reader.state, reader.charges) == ("disabled", [])
        assert (age.minimum_age, age.counters["shown_while_off"]) == (0, 1)
        reader.reboot()  # it starts again by itself, and is switched off again
        age.reboot()
        answers = store.devices.health["it"].answers
        await store.until(lambda: store.devices.health["it"].answers > answers + 2 and reader.state == "disabled")


async def test_codes_come_through_a_pipe(tmp_path: Path) -> None:
    fifo = tmp_path / "codes"
    os.mkfifo(fifo, 0o600)
    more = DEVICE.format(kind="scanner", more='cabinet = "A"')
    toml = described(tmp_path, line(tmp_path, "scanner", url=f"pipe://{fifo}") + more)
    async with running(toml) as store:
        await store.until(lambda: store.state("it") == "online")
        fifo.write_text("6901028000000\n")
        code = await asyncio.wait_for(store.devices.scanners[0].scanner.next_code(), 10)
        assert code.text == "6901028000000"


async def test_a_keyboard_that_is_not_there_is_offline_and_says_why(tmp_path: Path) -> None:
    more = DEVICE.format(kind="scanner", more='cabinet = "A"')
    toml = described(tmp_path, line(tmp_path, "scanner", url="evdev://No%20Such%20Scanner") + more)
    async with running(toml) as store:
        await store.until(lambda: store.state("it") == "offline")
        assert store.devices.health["it"].last_error


def test_every_kind_but_cameras_has_its_builder(tmp_path: Path) -> None:
    union = get_args(get_args(DeviceConfig)[0])
    kinds = {get_args(one.model_fields["kind"].annotation)[0] for one in union}
    assert kinds - {"camera"} == set(BUILDERS)
    config = load_store(described(tmp_path))
    assert [d.kind for d in config.document().devices] == ["lock_board", "scale"]


def _unit(store: Any, address: int) -> object:
    bus = store.rig.ports["line"].device
    assert isinstance(bus, ModbusBus)
    return bus.units[address]
