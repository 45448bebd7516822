"""Trial units. The unit is the simulator, which reads and writes frames with a codec of its own."""

from __future__ import annotations

import asyncio
from random import Random

from device_drivers.bus import Bus
from device_drivers.trial_ptp import TrialUnit, payloads
from device_drivers.trial_ptp.codec import FrameDecoder
from device_drivers.trial_ptp.heat import QUIET_S
from device_drivers.trial_ptp.names import State
from simulators.conformance.suite import Ask, CodecCase, DriverCase
from simulators.hardware import trial_ptp as sim


class Plugged:
    """A simulated unit at the end of a line in memory; it lives by the loop's clock."""

    def __init__(self, unit: sim.TrialUnit) -> None:
        self.unit = unit

    def receive(self, data: bytes) -> bytes:
        now_s = asyncio.get_running_loop().time()
        return b"".join(self.unit.answer(frame, now_s) for frame in self.unit.split(data, now_s))


def unit() -> sim.TrialUnit:
    made = sim.TrialUnit(rng=Random(7))
    made.core.advance(999.0)  # long enough to be IDLE when a test begins
    return made


def _status(bus: Bus, echo: bool) -> Ask:
    del echo  # a request is no reply: an echo is told by its flag
    return TrialUnit(bus, address=5, first_sequence=1).status


def _sample(bus: Bus, echo: bool) -> Ask:
    del echo
    driver = TrialUnit(bus, address=5, line="usb")
    return lambda: driver.sample(2)


def _poll(bus: Bus, echo: bool) -> Ask:
    del echo
    driver = TrialUnit(bus, address=5)
    return driver.poll


DRIVERS = [
    DriverCase(
        name="trial_ptp: status",
        device=lambda: Plugged(unit()),
        drive=_status,
        expected=payloads.StatusReport(State.IDLE, 0, 220, 2400, 0, 0, 0, 7, 0),
        quiet_s=QUIET_S,
    ),
    DriverCase(
        name="trial_ptp: sample",
        device=lambda: Plugged(unit()),
        drive=_sample,
        expected=payloads.Sample(b"SAMPLE-00002", b"2000000000015", 20, 4_000_000_000),
        quiet_s=QUIET_S,
    ),
    DriverCase(name="trial_ptp: events", device=lambda: Plugged(unit()), drive=_poll, expected=0, quiet_s=QUIET_S),
]
CODECS = [
    CodecCase(
        name="trial_ptp: both ways",
        decoder=FrameDecoder,
        frames=[
            bytes.fromhex(text)
            for text in (
                "000310050301010103C43000",
                "00031105030101060B0102010304C0FFEE053F064D7200",
                "000311050403102103D0BD00",
                "0003100503051202040101042A504A00",
                "00061205800181020B0101052A01073A062A090B1A5800",
            )
        ],
        most_buffered=260,
    )
]
