"""`store.toml`: what stands in a store. A wrong description is refused with file, key and fix before any start."""

from edge.config.adult_devices import AgeDeviceConfig, CashlessConfig, MdbConfig, TrialUnitConfig
from edge.config.bus import OWNED, BusConfig
from edge.config.camera import CameraConfig, DetectorConfig
from edge.config.counter_devices import DisplayConfig, PrinterConfig
from edge.config.device import IdCardConfig, LockBoardConfig, ScaleConfig, ScannerConfig
from edge.config.devices import DeviceConfig, bus_of
from edge.config.goods import MAX_GOODS, CabinetConfig, CompartmentConfig, ProductConfig, ShelfConfig, StockConfig
from edge.config.line_problems import missing_ports
from edge.config.load import load_store, problems
from edge.config.metered import ClimateConfig, FridgeConfig, LimitedConfig, MeteredConfig, RelayInputsConfig
from edge.config.profiles import framing_of, profile_of
from edge.config.rfid import AntennaConfig, RfidConfig
from edge.config.section import MAX_FILE_BYTES, ConfigError, Id, Section, refusal
from edge.config.storage import CloudConfig, LedgerConfig
from edge.config.store import StaffConfig, StoreConfig

__all__ = [
    "MAX_FILE_BYTES",
    "MAX_GOODS",
    "OWNED",
    "AgeDeviceConfig",
    "AntennaConfig",
    "BusConfig",
    "CabinetConfig",
    "CameraConfig",
    "CashlessConfig",
    "ClimateConfig",
    "CloudConfig",
    "CompartmentConfig",
    "ConfigError",
    "DetectorConfig",
    "DeviceConfig",
    "DisplayConfig",
    "FridgeConfig",
    "Id",
    "IdCardConfig",
    "LedgerConfig",
    "LimitedConfig",
    "LockBoardConfig",
    "MdbConfig",
    "MeteredConfig",
    "PrinterConfig",
    "ProductConfig",
    "RelayInputsConfig",
    "RfidConfig",
    "ScaleConfig",
    "ScannerConfig",
    "Section",
    "ShelfConfig",
    "StaffConfig",
    "StockConfig",
    "StoreConfig",
    "TrialUnitConfig",
    "bus_of",
    "framing_of",
    "load_store",
    "missing_ports",
    "problems",
    "profile_of",
    "refusal",
]
