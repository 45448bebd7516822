"""What a Hikvision camera tells: one `EventNotificationAlert` in XML, pushed or as a part of its alert stream.

Source: samples that public receivers of such cameras keep, of both schema namespaces, and of old firmware without one.

XML from outside is read by the standard library's expat with handlers of our own. defusedxml refuses entities too, but
leaves depth, number and length to whoever uses it, and builds a tree; here no tree is built, the document type is
refused (so that no entity can ever be declared), and every size has a cap. The reader of `device_drivers.xml_caps`
would be weaker here: it has no cap for one name, text or attribute, and reads in the encoding that a document declares,
where an alert is UTF-8 or refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from typing import Literal, NoReturn
from xml.parsers import expat

from device_drivers.errors import ProtocolError

NAMESPACES = ("urn:psialliance-org", "http://www.isapi.org/ver20/XMLSchema", "")
MAX_BYTES = 64 * 1024
MAX_DEPTH = 8
MAX_ELEMENTS = 256
MAX_ATTRIBUTES = 8  # of one element
MAX_CHARS = 256  # of a name, an attribute, a text
MAX_COUNT = 2**32 - 1

Method = Literal["realTime", "timeRange", "signalTrigger"]
METHODS: tuple[Method, ...] = ("realTime", "timeRange", "signalTrigger")

_ROOT = "EventNotificationAlert"
_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")
_COUNTING = f"{_ROOT}/peopleCounting"
_CHILDREN = ("childCounting", "peopleCounting/childCounting")
_LATE = ("isDataRetransmission", "peopleCounting/isDataRetransmission")


@dataclass(frozen=True, slots=True)
class Counts:
    """People who went in and out; what a camera does not tell is None. Children are among the others."""

    entered: int = 0
    left: int = 0
    passed: int | None = None
    duplicates: int | None = None
    children_in: int | None = None
    children_out: int | None = None


@dataclass(frozen=True, slots=True)
class Counting:
    """One count. `start` and `end` are aware, in the camera's own offset; `realTime` has both the same.

    `late`: the camera sends it again after its network was away.
    """

    method: Method
    start: datetime
    end: datetime
    counts: Counts
    region: str = ""
    late: bool = False


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert. `counting` is None for every other event, such as the heartbeat (`videoloss`, `inactive`)."""

    event: str
    state: str
    mac: str = ""
    channel: str = ""
    counting: Counting | None = None


def parse_alert(body: bytes, *, zone: tzinfo | None = None) -> Alert:
    """One alert. `zone` is meant by a time without an offset; without it such a time is refused.

    Raises ProtocolError(remote) for everything else than one well-formed alert within the caps.
    """
    texts = _texts(body)
    event = _one(texts, "eventType")
    alert = Alert(event, texts.get(f"{_ROOT}/eventState", ""), _mac(texts), texts.get(f"{_ROOT}/channelID", ""))
    if event != "PeopleCounting":
        return alert
    if not alert.mac:
        raise ProtocolError("a count without the camera's MAC address")
    return Alert(alert.event, alert.state, alert.mac, alert.channel, _counting(texts, zone))


def _counting(texts: dict[str, str], zone: tzinfo | None) -> Counting:
    method = _one(texts, "peopleCounting/statisticalMethods")
    if method not in METHODS:
        raise ProtocolError("a count by a method that is not known")
    if method == "realTime":
        start = end = _time(_either(texts, ("peopleCounting/RealTime/time", "dateTime")), zone)
    elif method == "timeRange":
        start = _time(_one(texts, "peopleCounting/TimeRange/startTime"), zone)
        end = _time(_one(texts, "peopleCounting/TimeRange/endTime"), zone)
    else:  # samples differ: a span if there is one, else a moment
        start = _time(_either(texts, ("peopleCounting/TimeRange/startTime", "dateTime")), zone)
        end = _time(_either(texts, ("peopleCounting/TimeRange/endTime", "dateTime")), zone)
    if end < start:
        raise ProtocolError("a count that ends before it starts")
    late = _either(texts, _LATE, "false")
    if late not in {"true", "false", "1", "0"}:
        raise ProtocolError("isDataRetransmission is neither true nor false")
    counts = Counts(
        entered=_count(_one(texts, "peopleCounting/enter")),
        left=_count(_one(texts, "peopleCounting/exit")),
        passed=_maybe(texts, "peopleCounting/pass"),
        duplicates=_maybe(texts, "peopleCounting/duplicatePeople"),
        children_in=_maybe(texts, *(f"{where}/enter" for where in _CHILDREN)),
        children_out=_maybe(texts, *(f"{where}/exit" for where in _CHILDREN)),
    )
    region = texts.get(f"{_COUNTING}/regionsID", "")
    return Counting(method, start, end, counts, region, late in {"true", "1"})


def _one(texts: dict[str, str], path: str) -> str:
    found = texts.get(f"{_ROOT}/{path}", "")
    if not found:
        raise ProtocolError(f"an alert without {path}")
    return found


def _either(texts: dict[str, str], paths: tuple[str, ...], usual: str = "") -> str:
    for path in paths:
        if found := texts.get(f"{_ROOT}/{path}", ""):
            return found
    return usual


def _maybe(texts: dict[str, str], *paths: str) -> int | None:
    found = _either(texts, paths)
    return _count(found) if found else None


def _count(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 10 and int(text) <= MAX_COUNT):
        raise ProtocolError("a count that is no whole number")
    return int(text)


def _mac(texts: dict[str, str]) -> str:
    found = texts.get(f"{_ROOT}/macAddress", "").lower().replace("-", ":")
    if found and not _MAC.fullmatch(found):
        raise ProtocolError("a MAC address of another form")
    return found


def _time(text: str, zone: tzinfo | None) -> datetime:
    try:
        found = datetime.fromisoformat(text)
        found = found.replace(tzinfo=zone) if found.tzinfo is None else found
        if found.tzinfo is None:
            raise ProtocolError("a time without an offset, and the camera's zone is not described")
        found.astimezone(UTC)  # a moment outside the calendar is no time
    except (ValueError, OverflowError):
        raise ProtocolError("a time that is none") from None
    return found


# ------------------------------------------------------------------ XML


@dataclass(slots=True)
class _Walk:
    """Where the parser stands. `texts` holds the text of each element by its path; elements of another namespace than
    the root's are left out with all that they hold."""

    texts: dict[str, str] = field(default_factory=dict)
    path: list[str] = field(default_factory=list)
    text: list[str] = field(default_factory=list)
    chars: int = 0
    elements: int = 0
    namespace: str = ""
    foreign: int = 0  # depth within elements of another namespace

    def start(self, name: str, attributes: dict[str, str]) -> None:
        space, _, local = name.rpartition(" ")
        self.elements += 1
        if self.elements > MAX_ELEMENTS or len(self.path) + self.foreign >= MAX_DEPTH:
            _refuse("too many elements, or too deep")
        if len(attributes) > MAX_ATTRIBUTES or any(len(k) + len(v) > MAX_CHARS for k, v in attributes.items()):
            _refuse("too many or too long attributes")
        if len(name) > MAX_CHARS:
            _refuse("a name that is too long")
        if not self.path:
            if local != _ROOT or space not in NAMESPACES:
                _refuse(f"no {_ROOT} of a known schema")
            self.namespace = space
        if self.foreign or space != self.namespace:
            self.foreign += 1
            return
        self.path.append(local)
        self._begin()

    def end(self, _name: str) -> None:
        if self.foreign:
            self.foreign -= 1
            return
        where, text = "/".join(self.path), "".join(self.text).strip()
        self.path.pop()
        self._begin()
        if not text:
            return
        if where in self.texts:
            _refuse("an element that may stand once stands twice")
        if not text.isprintable():
            _refuse("an unprintable text")
        self.texts[where] = text

    def characters(self, text: str) -> None:
        if self.foreign:
            return
        self.chars += len(text)
        if self.chars > MAX_CHARS:
            _refuse("a text that is too long")
        self.text.append(text)

    def _begin(self) -> None:
        self.text.clear()
        self.chars = 0


def _refuse(why: str) -> NoReturn:
    raise ProtocolError(f"XML: {why}")


def _no_document_type(*_told: object) -> NoReturn:
    _refuse("a document type is not allowed")


def _texts(body: bytes) -> dict[str, str]:
    if len(body) > MAX_BYTES:
        _refuse(f"{len(body)} bytes, at most {MAX_BYTES}")
    walk = _Walk()
    parser = expat.ParserCreate("UTF-8", " ")  # whatever the document says of its own encoding
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = _no_document_type
    parser.StartElementHandler = walk.start
    parser.EndElementHandler = walk.end
    parser.CharacterDataHandler = walk.characters
    try:
        parser.Parse(body, True)
    except expat.ExpatError as error:
        # By its number: the error's own sentence may quote the document.
        raise ProtocolError(f"XML: {expat.ErrorString(error.code)}") from None
    return walk.texts
