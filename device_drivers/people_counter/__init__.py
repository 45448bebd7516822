"""Hikvision cameras that count people: their alerts, what they come to, and the stream that brings them."""

from device_drivers.people_counter.alert import Alert, Counting, Counts, parse_alert
from device_drivers.people_counter.codec import pushed_alerts
from device_drivers.people_counter.fold import CameraFold, Line
from device_drivers.people_counter.reader import AlertReader, Credentials
from device_drivers.people_counter.steps import Gap

__all__ = [
    "Alert",
    "AlertReader",
    "CameraFold",
    "Counting",
    "Counts",
    "Credentials",
    "Gap",
    "Line",
    "parse_alert",
    "pushed_alerts",
]
