"""The way to the cloud: what the ledger holds goes up, once each and in order; only a confirmed hash frees an event.

`machine` decides, without I/O; `client` speaks MQTT; `clock_estimate` compares our time with the cloud's.
"""

from edge.uplink.client import Uplink

__all__ = ["Uplink"]
