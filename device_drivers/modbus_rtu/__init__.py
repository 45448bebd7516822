"""Modbus RTU on a shared RS-485 line, and the weight transmitters that speak it."""

from device_drivers.modbus_rtu.weight_transmitter import WeightTransmitter

__all__ = ["WeightTransmitter"]
