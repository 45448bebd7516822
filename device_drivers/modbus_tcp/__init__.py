"""Modbus TCP: the envelope only. Devices, profiles and drivers are those of `modbus_rtu`, given `framing=TCP`."""

from device_drivers.modbus_tcp.framing import TCP, Tcp

__all__ = ["TCP", "Tcp"]
