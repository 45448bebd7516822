"""Modbus on a shared RS-485 line, and the devices that speak it: what they are is data, a profile each.

The questions, the profiles and the drivers serve Modbus TCP too (`framing = device_drivers.modbus_tcp.TCP`).
"""

from device_drivers.modbus_rtu.climate import Climate, ClimateSample
from device_drivers.modbus_rtu.framing import RTU, Rtu
from device_drivers.modbus_rtu.meter import Meter
from device_drivers.modbus_rtu.profile import Profile, load_profile, read_profile
from device_drivers.modbus_rtu.reading import Measured
from device_drivers.modbus_rtu.relay import Inputs, Relay
from device_drivers.modbus_rtu.station import Station
from device_drivers.modbus_rtu.weight_transmitter import WeightTransmitter

__all__ = [
    "RTU",
    "Climate",
    "ClimateSample",
    "Inputs",
    "Measured",
    "Meter",
    "Profile",
    "Relay",
    "Rtu",
    "Station",
    "WeightTransmitter",
    "load_profile",
    "read_profile",
]
