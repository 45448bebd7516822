"""MDB/ICP peripherals of vending machines, behind an adapter that carries their nine-bit words."""

from device_drivers.mdb.age import AgeVerdict, AgeVerifier
from device_drivers.mdb.driver import CashlessReader, VendReply
from device_drivers.mdb.line import MdbLine, acknowledging

__all__ = ["AgeVerdict", "AgeVerifier", "CashlessReader", "MdbLine", "VendReply", "acknowledging"]
