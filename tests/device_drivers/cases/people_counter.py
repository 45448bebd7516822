"""Cameras that count people: parts of an alert stream, and requests. They speak HTTP over a connection of their own, so
there is no bus to ask over: what the suite asks of a driver is asked in tests/device_drivers/test_people_reader.py."""

from __future__ import annotations

from device_drivers.people_counter.codec import PartDecoder, RequestDecoder
from device_drivers.people_counter.family import FAMILY
from simulators.conformance.suite import CodecCase

HEARTBEAT = (
    b"<EventNotificationAlert><eventType>videoloss</eventType><eventState>inactive</eventState>"
    b"</EventNotificationAlert>"
)
COUNT = (
    b'<EventNotificationAlert xmlns="urn:psialliance-org"><macAddress>24:28:fd:00:00:11</macAddress>'
    b"<eventType>PeopleCounting</eventType><peopleCounting><statisticalMethods>realTime</statisticalMethods>"
    b"<RealTime><time>2026-03-02T09:00:00+08:00</time></RealTime><enter>15</enter><exit>14</exit>"
    b"</peopleCounting></EventNotificationAlert>"
)


def part(body: bytes) -> bytes:
    return b"--boundary\r\nContent-Type: application/xml\r\nContent-Length: %d\r\n\r\n%b\r\n" % (len(body), body)


CODECS = [
    CodecCase(
        name="people_counter: from the camera",
        decoder=PartDecoder,
        frames=[part(HEARTBEAT), part(COUNT), part(b"no xml"), part(b"")],
        most_buffered=FAMILY.most_buffered,
    ),
    CodecCase(
        name="people_counter: to the camera",
        decoder=RequestDecoder,
        frames=[
            b"GET /ISAPI/Event/notification/alertStream HTTP/1.1\r\nHost: camera\r\n\r\n",
            b"PUT /ISAPI/System/reboot HTTP/1.1\r\nAuthorization: Digest x\r\n\r\n",
        ],
        most_buffered=FAMILY.most_buffered,
    ),
]
