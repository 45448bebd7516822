"""UHF readers ThingMagic M6e/M7e and Silion: booted first, then one tag at a time."""

from device_drivers.rfid_thingmagic.driver import ThingMagicReader

__all__ = ["ThingMagicReader"]
