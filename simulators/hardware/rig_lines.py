"""Which simulators stand on a line of a store: one builder for each protocol beside those of locks.

Each device takes its settings from the description, as somebody who wires a store would set them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from random import Random

from contracts.clock import Clock
from edge.config import (
    AgeDeviceConfig,
    CashlessConfig,
    ClimateConfig,
    DeviceConfig,
    DisplayConfig,
    FridgeConfig,
    MdbConfig,
    PrinterConfig,
    RelayInputsConfig,
    ScaleConfig,
    ScannerConfig,
    TrialUnitConfig,
    profile_of,
)
from edge.keys import read_key
from simulators.hardware.customer_display import Cd5220, Led8
from simulators.hardware.device import Device
from simulators.hardware.escpos import Printer
from simulators.hardware.fridge import Fridge
from simulators.hardware.id_card import IdCardReader
from simulators.hardware.mdb import MdbAdapter, Peripheral
from simulators.hardware.mdb_age import AgeDevice
from simulators.hardware.mdb_reader import Reader
from simulators.hardware.modbus import Cell, ModbusBus, Transmitter
from simulators.hardware.modbus_profiled import ProfiledUnit
from simulators.hardware.modbus_unit import Unit
from simulators.hardware.modbus_units import ClimateSensor, FridgeController, RelayBoard
from simulators.hardware.rfid_field import Field
from simulators.hardware.rfid_m100 import RfidM100
from simulators.hardware.rfid_thingmagic import ThingMagic
from simulators.hardware.scanner import CONTINUOUS, GM65, MODE_ZONE, Scanner
from simulators.hardware.scanner_honeywell import HoneywellScanner
from simulators.hardware.scanner_newland import NewlandScanner
from simulators.hardware.trial_ptp import TrialUnit

ROOM_C, ROOM_RH = 22.0, 55.0
DAY_S = 86_400.0
AS_BUILT = {"climate": ("", "xy_md02", "humidor"), "fridge": ("", "refrigeration")}
CellOf = Callable[[ScaleConfig], Cell]


def modbus_line(devices: Sequence[DeviceConfig], clock: Clock, cell_of: CellOf) -> tuple[Device, bool]:
    """Everything on a Modbus line, and whether its adapter echoes."""
    units: dict[int, Unit] = {}
    for device in devices:
        match device:
            case ScaleConfig():
                units[device.address] = _scale(device, cell_of(device))
            case ClimateConfig():
                units[device.address] = _climate(device, clock)
            case FridgeConfig():
                units[device.address] = _fridge(device, clock)
            case RelayInputsConfig():
                units[device.address] = RelayBoard(profile_of(device).values["inputs"].count)
            case _:
                pass
    return ModbusBus(units), any(getattr(device, "echo", False) for device in devices)


def other_line(protocol: str, devices: Sequence[DeviceConfig], seed: int) -> tuple[Device, bool]:
    """The line of any protocol beside locks and Modbus."""
    match protocol:
        case "scanner":
            return _scanner(devices), False
        case "id_card":
            return IdCardReader(), False
        case "escpos":
            columns = next(device.columns for device in devices if isinstance(device, PrinterConfig))
            return Printer(columns=columns), False
        case "customer_display":
            wide = any(device.dialect == "cd5220" for device in devices if isinstance(device, DisplayConfig))
            return (Cd5220() if wide else Led8()), False
        case "trial_ptp":
            return _trial(devices, seed), False
        case "mdb":
            return _mdb(devices), any(device.echo for device in devices if isinstance(device, MdbConfig))
        case _:
            field = Field(rng=Random(f"{seed}:field"))
            return (RfidM100(field) if protocol == "rfid_m100" else ThingMagic(field)), False


def _scale(device: ScaleConfig, cell: Cell) -> Unit:
    if not device.profile or device.profile == "weight_transmitter":
        return Transmitter(device.id, cell)
    profile = profile_of(device)
    per_unit = 1000.0 if profile.values["weight"].unit == "kg" else 1.0

    def shown() -> Mapping[str, float | bool]:
        reading = cell.read()
        flags = {"unstable": not reading.stable, "power_on": reading.power_on, "overload": reading.overload}
        return {"weight": reading.gross_g / per_unit, **flags}

    return ProfiledUnit(profile, shown)


def _climate(device: ClimateConfig, clock: Clock) -> Unit:
    def sense() -> tuple[float, float]:
        """A room that is warmest in the afternoon."""
        wave = math.sin(2 * math.pi * (clock.now_s() / DAY_S))
        return ROOM_C + 1.5 * wave, ROOM_RH - 4.0 * wave

    if device.profile in AS_BUILT["climate"]:
        return ClimateSensor(sense)
    return ProfiledUnit(profile_of(device), lambda: dict(zip(("temperature", "humidity"), sense(), strict=True)))


def _fridge(device: FridgeConfig, clock: Clock) -> Unit:
    fridge = Fridge(clock.now_s)
    if device.profile in AS_BUILT["fridge"]:
        return FridgeController(fridge)
    return ProfiledUnit(
        profile_of(device),
        lambda: {
            "temperature": fridge.air_c,
            "setpoint": fridge.set_point_c,
            "door_open": fridge.door_open,
            "compressor_on": fridge.compressor_on,
            "alarm_bits": fridge.alarms,
        },
    )


def _scanner(devices: Sequence[DeviceConfig]) -> Device:
    """One that looks by itself, as it is set up once for a store."""
    dialect = next((device.dialect for device in devices if isinstance(device, ScannerConfig)), "plain")
    if dialect == "gm65":
        gm65 = GM65()
        gm65.zones[MODE_ZONE] |= CONTINUOUS
        gm65.looking = True
        return gm65
    if dialect == "newland":
        newland = NewlandScanner()
        newland.mode, newland.looking = b"2", True
        return newland
    if dialect == "honeywell":
        return HoneywellScanner()
    return Scanner()


def _trial(devices: Sequence[DeviceConfig], seed: int) -> Device:
    unit = next(device for device in devices if isinstance(device, TrialUnitConfig))
    key = read_key(unit.key_file, "the unit's key")
    return TrialUnit(address=unit.address, key=key, rng=Random(f"{seed}:trial:{unit.id}"))


def _mdb(devices: Sequence[DeviceConfig]) -> Device:
    peripherals: dict[int, Peripheral] = {}
    coding, acknowledge = "words", False
    for device in devices:
        if isinstance(device, CashlessConfig):
            peripherals[device.address] = Reader()
        elif isinstance(device, AgeDeviceConfig):
            peripherals[device.address] = AgeDevice()
        if isinstance(device, MdbConfig):
            coding, acknowledge = device.coding, device.acknowledge
    return MdbAdapter(peripherals, coding="words" if coding == "words" else "hex_lines", acknowledges=not acknowledge)
