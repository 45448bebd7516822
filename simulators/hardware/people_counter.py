"""A camera over a door that counts people and tells it in XML, as such cameras do. Shares nothing with the driver.

`truth` is who really passed. `realTime` counters only rise, and begin at zero after a restart and, if it
`resets_daily`, at midnight; a `timeRange` interval is told when it is over. What is told while the network is away is
told again afterwards, marked as late, if the camera can do that; a restart forgets what was not told yet.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Literal

SCHEMAS = {"psia": "urn:psialliance-org", "isapi": "http://www.isapi.org/ver20/XMLSchema"}
MAX_BACKLOG = 1024
RESTART = timedelta(seconds=40)
PATH = "/ISAPI/Event/notification/alertStream"

Direction = Literal["in", "out"]
Way = Literal["realTime", "timeRange", "signalTrigger"]


class PeopleCamera:
    """One camera. `now` is its clock, moved by `advance`. `tells` are the ways by which it tells of the same people.

    `listeners` hear each document that leaves it; `on_cut` is called when a restart or the network ends connections.
    """

    def __init__(
        self,
        now: datetime,
        *,
        schema: str = "psia",
        tells: tuple[Way, ...] = ("realTime", "timeRange"),
        interval: timedelta = timedelta(minutes=15),
        resets_daily: bool = True,
        retransmits: bool = True,
        mac: str = "24:28:fd:00:00:11",
    ) -> None:
        self.counters: Counter[str] = Counter()
        self.now = now
        self.truth: Counter[Direction] = Counter()
        self.listeners: list[Callable[[str], None]] = []
        self.on_cut: Callable[[], None] = lambda: None
        self.online = True
        self._schema = schema
        self._tells = tells
        self._interval = interval
        self._resets_daily = resets_daily
        self._retransmits = retransmits
        self._mac = mac
        self._running: Counter[Direction] = Counter()
        self._inside: Counter[Direction] = Counter()
        self._began = now
        self._backlog: list[tuple[Way, datetime, datetime, int, int]] = []

    def cross(self, direction: Direction) -> None:
        """Somebody passes the line."""
        self.truth[direction] += 1
        self._running[direction] += 1
        self._inside[direction] += 1
        if "realTime" in self._tells:
            self._tell("realTime", self.now, self.now, self._running)

    def trigger(self) -> None:
        """An input of the camera closes: what passed since the last time is told."""
        if "signalTrigger" in self._tells and self.now > self._began:
            self._tell("signalTrigger", self._began, self.now, self._inside)
            self._inside.clear()
            self._began = self.now

    def advance(self, seconds: float) -> None:
        """Time passes; midnights and the ends of intervals on the way happen."""
        until = self.now + timedelta(seconds=seconds)
        while True:
            midnight = self.now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
            turn = min(midnight, self._border()) if "timeRange" in self._tells else midnight
            if turn > until:
                self.now = until
                return
            self.now = turn
            if "timeRange" in self._tells and turn == self._border_before(turn):
                self._tell("timeRange", self._began, turn, self._inside)
                self._inside.clear()
                self._began = turn
            if turn == midnight and self._resets_daily:
                self.counters["midnights"] += 1
                self._running.clear()

    def restart(self) -> None:
        """The power was away: nobody passes meanwhile, nothing that was not told is remembered."""
        self.counters["restarts"] += 1
        self._running.clear()
        self._inside.clear()
        self._backlog.clear()
        self.on_cut()
        self.now += RESTART
        self._began = self.now

    def network(self, *, up: bool) -> None:
        """The cable is out, or in again: then what was told to nobody is told late."""
        if not up and self.online:
            self.online = False
            self.on_cut()
        elif up and not self.online:
            self.online = True

    def retell(self) -> None:
        """Somebody listens again: tell what they missed."""
        backlog, self._backlog = self._backlog, []
        for way, start, end, entered, left in backlog:
            self.counters["told_late"] += 1
            self._send(self.document(way, start, end, entered, left, late=True))

    def heartbeat(self) -> None:
        """The sign of life between two counts."""
        self._send(self._event("videoloss", "inactive", "videoloss alarm", ""))

    def document(self, way: Way, start: datetime, end: datetime, entered: int, left: int, *, late: bool = False) -> str:
        """One count as the camera writes it."""
        span = f"<TimeRange>\r\n<startTime>{_iso(start)}</startTime>\r\n<endTime>{_iso(end)}</endTime>\r\n</TimeRange>"
        moment = f"<RealTime>\r\n<time>{_iso(start)}</time>\r\n</RealTime>"
        body = (
            f"<peopleCounting>\r\n<statisticalMethods>{way}</statisticalMethods>\r\n"
            f"{moment if way == 'realTime' else span}\r\n"
            f"<enter>{entered}</enter>\r\n<exit>{left}</exit>\r\n<pass>0</pass>\r\n<regionsID>1</regionsID>\r\n"
            "</peopleCounting>\r\n<childCounting>\r\n<enter>0</enter>\r\n<exit>0</exit>\r\n</childCounting>\r\n"
        )
        if self._schema == "isapi":
            body += f"<isDataRetransmission>{'true' if late else 'false'}</isDataRetransmission>\r\n"
        elif late:
            body += "<isDataRetransmission>true</isDataRetransmission>\r\n"
        return self._event("PeopleCounting", "active", "peopleCounting alarm", body)

    def _tell(self, way: Way, start: datetime, end: datetime, counts: Counter[Direction]) -> None:
        entered, left = counts["in"], counts["out"]
        if self.online and self.listeners:
            self._send(self.document(way, start, end, entered, left))
        elif self._retransmits:
            self._backlog.append((way, start, end, entered, left))
            del self._backlog[:-MAX_BACKLOG]
        else:
            self.counters["told_nobody"] += 1

    def _send(self, document: str) -> None:
        if self.online:
            for listener in list(self.listeners):
                listener(document)

    def _event(self, kind: str, state: str, words: str, body: str) -> str:
        version = "2.0" if self._schema == "isapi" else "1.0"
        protocol = "protocol" if self._schema == "isapi" else "protocolType"
        return (
            '<?xml version="1.0" encoding="UTF-8"?>\r\n'
            f'<EventNotificationAlert version="{version}" xmlns="{SCHEMAS[self._schema]}">\r\n'
            f"<ipAddress>192.168.1.64</ipAddress>\r\n<{protocol}>HTTP</{protocol}>\r\n"
            f"<macAddress>{self._mac}</macAddress>\r\n<channelID>1</channelID>\r\n"
            f"<dateTime>{_iso(self.now)}</dateTime>\r\n<activePostCount>1</activePostCount>\r\n"
            f"<eventType>{kind}</eventType>\r\n<eventState>{state}</eventState>\r\n"
            f"<eventDescription>{words}</eventDescription>\r\n<channelName>门口 01</channelName>\r\n"
            f"{body}</EventNotificationAlert>\r\n"
        )

    def _border(self) -> datetime:
        return self._border_before(self.now) + self._interval

    def _border_before(self, moment: datetime) -> datetime:
        """Intervals lie on the day's own grid."""
        day = moment.replace(hour=0, minute=0, second=0, microsecond=0)
        return day + (moment - day) // self._interval * self._interval


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")


def part(document: str, boundary: str = "boundary", *, with_length: bool = True) -> bytes:
    """A document as one part of the stream."""
    body = document.encode()
    length = f"Content-Length: {len(body)}\r\n" if with_length else ""
    head = f'--{boundary}\r\nContent-Type: application/xml; charset="UTF-8"\r\n{length}\r\n'
    return head.encode() + body + b"\r\n"


STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\nMIME-Version: 1.0\r\nConnection: close\r\n"
    b"Content-Type: multipart/mixed; boundary=boundary\r\n\r\n"
)


class BenchCamera:
    """A camera on a bench, that wants no account: to a request for its stream it tells a heartbeat and one count."""

    def __init__(self, camera: PeopleCamera) -> None:
        self.camera = camera
        self.counters = camera.counters
        self._held = b""

    def split(self, data: bytes, real_s: float) -> list[bytes]:  # noqa: ARG002  # HTTP has no silence that ends a frame
        *whole, self._held = (self._held + data)[-8192:].split(b"\r\n\r\n")
        return whole

    def answer(self, frame: bytes, real_s: float) -> bytes:
        del real_s
        if not frame.startswith(f"GET {PATH} ".encode()):
            return b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
        heard: list[str] = []
        self.camera.listeners.append(heard.append)
        self.camera.heartbeat()
        self.camera.cross("in")
        self.camera.listeners.clear()
        return STREAM_HEAD + b"".join(part(document) for document in heard)

    def disguise(self, reply: bytes) -> bytes:
        return reply.replace(b"24:28:fd", b"24:28:fe")


def on_bench() -> BenchCamera:
    """A camera that counts one person whenever it is asked."""
    return BenchCamera(PeopleCamera(datetime.fromisoformat("2026-03-02T09:00:00+08:00"), tells=("realTime",)))
