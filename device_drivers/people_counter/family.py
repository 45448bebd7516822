"""What people counters say of themselves. They speak HTTP, so no tool for lines can ask them: there is no probe."""

from __future__ import annotations

from device_drivers.errors import ProtocolError
from device_drivers.family import Family
from device_drivers.people_counter.alert import parse_alert
from device_drivers.people_counter.codec import MOST_BUFFERED, PartDecoder, RequestDecoder


def describe(frame: bytes | str) -> str:
    """One request, or one alert."""
    if isinstance(frame, str):
        return frame
    try:
        alert = parse_alert(frame)
    except ProtocolError as error:
        return f"no alert: {error}"
    if (count := alert.counting) is None:
        return f"{alert.event[:40]} {alert.state[:20]}".strip()
    late = ", told late" if count.late else ""
    return f"{count.method}: {count.counts.entered} in, {count.counts.left} out, from {count.start.isoformat()}{late}"


def acts(frame: bytes | str) -> bool:
    """True of any request but those that only read."""
    return not isinstance(frame, str) or not frame.startswith(("GET ", "HEAD "))


FAMILY = Family(
    name="people_counter",
    title="People counting cameras (Hikvision ISAPI)",
    title_zh="客流统计摄像机（海康威视 ISAPI）",
    from_host=RequestDecoder,
    from_device=PartDecoder,
    describe=describe,
    acts=acts,
    most_buffered=MOST_BUFFERED,
    simulator="simulators.hardware.people_counter:on_bench",
    settings={
        "method": "realTime, timeRange or signalTrigger: the one method that is counted",
        "resets_daily": "true or false: whether realTime counters begin at zero at midnight",
        "mac": "the camera's MAC address; no other is believed",
        "zone": "the time zone that a time without an offset means",
    },
)
