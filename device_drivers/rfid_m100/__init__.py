"""UHF readers M100, R200 and YRM100: rounds of inventory, settings, memory; and what is present in a cabinet."""

from device_drivers.rfid_m100.codec import Bank, Region, TagRead
from device_drivers.rfid_m100.driver import Inventory, RfidReaderM100, Sight
from device_drivers.rfid_m100.presence import Presence, Snapshot

__all__ = ["Bank", "Inventory", "Presence", "Region", "RfidReaderM100", "Sight", "Snapshot", "TagRead"]
