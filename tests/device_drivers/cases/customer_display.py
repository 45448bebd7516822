"""Customer displays: what is said to them. They answer nothing, so there is no question for the suite's drivers.

What the suite asks of a driver is asked in tests/device_drivers/test_customer_display.py: every line, every unplug, a day.
"""

from __future__ import annotations

from device_drivers.customer_display.codec import finder
from device_drivers.customer_display.family import FAMILY
from simulators.conformance.suite import CodecCase

CODECS = [
    CodecCase(
        name="customer_display: to the display",
        decoder=finder,
        frames=[
            bytes.fromhex("1B 40"),
            bytes.fromhex("0C"),
            bytes.fromhex("1B 73 32"),
            bytes.fromhex("1B 51 41 32 35 2E 35 30 30 0D"),
            b"\x1bQATOTAL               \r",
            b"\x1bQB               25.50\r",
            b"\r",
            b"\x1bs0",
        ],
        most_buffered=FAMILY.most_buffered,
    )
]
