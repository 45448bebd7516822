"""Scanners that send what they read as lines of text, and the configuration frames of the GM65 family."""

from device_drivers.scanner.driver import SerialScanner

__all__ = ["SerialScanner"]
