"""`store.toml`: what stands in a store. A wrong description is refused with file, key and fix before any start."""

from edge.config.bus import BusConfig
from edge.config.camera import CameraConfig, DetectorConfig
from edge.config.device import IdCardConfig, LockBoardConfig, ScaleConfig, ScannerConfig
from edge.config.goods import MAX_GOODS, CabinetConfig, CompartmentConfig, ProductConfig, ShelfConfig, StockConfig
from edge.config.line_problems import missing_ports
from edge.config.load import load_store, problems
from edge.config.section import MAX_FILE_BYTES, ConfigError, Id, Section, refusal
from edge.config.storage import CloudConfig, LedgerConfig
from edge.config.store import DeviceConfig, StaffConfig, StoreConfig

__all__ = [
    "MAX_FILE_BYTES",
    "MAX_GOODS",
    "BusConfig",
    "CabinetConfig",
    "CameraConfig",
    "CloudConfig",
    "CompartmentConfig",
    "ConfigError",
    "DetectorConfig",
    "DeviceConfig",
    "Id",
    "IdCardConfig",
    "LedgerConfig",
    "LockBoardConfig",
    "ProductConfig",
    "ScaleConfig",
    "ScannerConfig",
    "Section",
    "ShelfConfig",
    "StaffConfig",
    "StockConfig",
    "StoreConfig",
    "load_store",
    "missing_ports",
    "problems",
    "refusal",
]
