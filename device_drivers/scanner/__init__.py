"""Scanners that send what they read as text, those that are told when to look, keyboards and pipes."""

from device_drivers.scanner.driver import SerialScanner
from device_drivers.scanner.reader import LinkReader
from device_drivers.scanner.trigger import GM65Scanner, HoneywellScanner, NewlandScanner, TriggeredScanner
from device_drivers.scanner.wedge_reader import WedgeReader

__all__ = [
    "GM65Scanner",
    "HoneywellScanner",
    "LinkReader",
    "NewlandScanner",
    "SerialScanner",
    "TriggeredScanner",
    "WedgeReader",
]
