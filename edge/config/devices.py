"""Every kind of device that a store may describe: what each speaks, and what it is called."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from device_drivers.lock_boards import LOCK_BOARDS
from edge.config.adult_devices import AgeDeviceConfig, CashlessConfig, TrialUnitConfig
from edge.config.camera import CameraConfig
from edge.config.counter_devices import DisplayConfig, PrinterConfig
from edge.config.device import IdCardConfig, LockBoardConfig, ScaleConfig, ScannerConfig
from edge.config.metered import ClimateConfig, FridgeConfig, RelayInputsConfig
from edge.config.profiles import USUAL_PROFILE, ProfiledConfig
from edge.config.rfid import RfidConfig

DeviceConfig = Annotated[
    LockBoardConfig
    | ScaleConfig
    | ScannerConfig
    | IdCardConfig
    | CameraConfig
    | ClimateConfig
    | FridgeConfig
    | RelayInputsConfig
    | TrialUnitConfig
    | RfidConfig
    | CashlessConfig
    | AgeDeviceConfig
    | PrinterConfig
    | DisplayConfig,
    Field(discriminator="kind"),
]
Addressed = (
    LockBoardConfig
    | ScaleConfig
    | ClimateConfig
    | FridgeConfig
    | RelayInputsConfig
    | TrialUnitConfig
    | CashlessConfig
    | AgeDeviceConfig
)
# Without an address, so that nothing else can be on their line.
Alone = ScannerConfig | IdCardConfig | RfidConfig | PrinterConfig | DisplayConfig
MODBUS = ("modbus_rtu", "modbus_tcp")
_SPEAKS: dict[str, tuple[str, ...]] = {
    "scale": MODBUS,
    "climate": MODBUS,
    "fridge": MODBUS,
    "relay_inputs": MODBUS,
    "scanner": ("scanner",),
    "id_card": ("id_card",),
    "trial_unit": ("trial_ptp",),
    "cashless": ("mdb",),
    "age_device": ("mdb",),
    "printer": ("escpos",),
    "display": ("customer_display",),
}
_MODELS = {
    "scanner": "serial",
    "id_card": "SAM",
    "camera": "camera",
    "trial_unit": "PTP/1",
    "cashless": "MDB",
    "age_device": "MDB",
    "printer": "ESC/POS",
}


def bus_of(device: DeviceConfig) -> str:
    """The id of its line; "" for a device without one."""
    return "" if isinstance(device, CameraConfig) else device.bus


def speaks(device: DeviceConfig) -> tuple[str, ...]:
    """The protocols of which its line must speak one."""
    if isinstance(device, LockBoardConfig):
        return (device.family,)
    return (f"rfid_{device.family}",) if isinstance(device, RfidConfig) else _SPEAKS[device.kind]


def model_of(device: DeviceConfig) -> str:
    """What the operators' page calls it, beside its kind."""
    match device:
        case LockBoardConfig():
            return LOCK_BOARDS[device.family].title
        case RfidConfig():
            return device.family
        case ScannerConfig() if device.dialect != "plain":
            return device.dialect
        case DisplayConfig():
            return device.dialect
        case ScaleConfig(profile=""):
            return "Modbus RTU"
        case _ if isinstance(device, ProfiledConfig):
            return (device.profile or USUAL_PROFILE[device.kind]).rsplit("/", 1)[-1].removesuffix(".toml")[:64]
        case _:
            return _MODELS[device.kind]
