"""Network UHF readers that speak LLRP, through the library sllurp, which is never installed by itself."""

from device_drivers.rfid_llrp.reader import LlrpReader, LlrpSight

__all__ = ["LlrpReader", "LlrpSight"]
