"""A TCP proxy that does to connections what networks do to them: cuts, silence, delay, ends that know nothing.

It never changes a byte and never swaps two, for TCP would not: what was swallowed ends its connection.
"""

from simulators.chaos_proxy.faults import KINDS, Fault, Weather
from simulators.chaos_proxy.proxy import Address, BadAddressError, ChaosProxy

__all__ = ["KINDS", "Address", "BadAddressError", "ChaosProxy", "Fault", "Weather"]
