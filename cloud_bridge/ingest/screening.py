"""What one event is worth: its envelope checked against its place, and what may never be kept readable found.

A store may say only what the vocabulary allows; an unknown or broken event is searched for personal data before its
bytes are kept. What looks like an image, a biometric or an identity number is kept as a hash alone.
"""

from __future__ import annotations

import itertools
import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from contracts.envelope import MAX_EVENT_BYTES, BadEventError, Envelope, Origin, decode_data, decode_envelope
from contracts.event_types import EVENT_TYPES, ConfigChanged
from contracts.known_events import NAMES, NOT_KNOWN, KnownEvent, read_known

MAX_REASON_CHARS = 256
WITHHELD = "personal_data"
MAX_NESTING = 32  # of what the vocabulary does not know; far less than any reader of JSON takes

# Parts of a field's name, split at every '_', '-' and change of case.
_PERSONAL_WORDS = frozenset({
    "biometric", "biometrics", "face", "faceprint", "facial", "fingerprint", "iris", "voiceprint", "palm", "template",
    "embedding", "image", "images", "img", "photo", "photos", "picture", "portrait", "selfie", "jpeg", "jpg", "png",
    "idnumber", "idcard", "passport", "citizen",
})  # fmt: skip
_PERSONAL_PAIRS = frozenset(
    {("id", "card"), ("id", "number"), ("id", "no"), ("id", "num"), ("identity", "number"), ("card", "number")}
)
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")
_ID_NUMBER = re.compile(r"(?<![0-9A-Za-z])\d{6}(?:19|20)\d{9}[\dXx](?![0-9A-Za-z])")
_IMAGE = re.compile(r"data:image/|^/9j/|^iVBORw0KGgo|^R0lGOD|^UklGR")  # a data URL, or Base64 of JPEG, PNG, GIF, WebP
# Without any of these in its bytes, an event holds nothing of the kind.
_HINTS_OF_VALUES = (b"data:image/", b"/9j/", b"iVBORw0KGgo", b"R0lGOD", b"UklGR", b"\\u", b"\\/")
_HINTS_OF_NAMES = (
    b"biometr", b"face", b"facial", b"fingerp", b"iris", b"voicep", b"palm", b"templat", b"embedd", b"image", b"img",
    b"photo", b"picture", b"portrait", b"selfie", b"jpg", b"jpeg", b"png", b"idn", b"id_n", b"id-n", b"card",
    b"identity", b"passport", b"citizen", b"personal",
)  # fmt: skip
_BRACKETS = re.compile(rb'"(?:[^"\\]|\\.)*"|([\[{\]}])')
_STEPS = {b"[": 1, b"{": 1, b"]": -1, b"}": -1}
_LONG_NUMBER = re.compile(rb"\d{17}[\dXx]")
LOOKED_AT_ONCE = 64  # events: their bytes stay in the processor's cache, and take no memory from the system
# The same hints, for many events at once: first one byte that stands in all of them, which is searched much faster.
_HINTS_BY_BYTE = (
    (b"\\", (b"\\u", b"\\/")),
    (b"G", (b"iVBORw0KGgo", b"R0lGOD", b"UklGR")),
    (b"/9j/", (b"/9j/",)),
    (b"data:image/", (b"data:image/",)),
)
_DIGITS_AS_ZERO = bytes(ord("0") if chr(byte) in "0123456789" else 32 for byte in range(256))
_SEVENTEEN_DIGITS = b"0" * 17
_CHECK_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CHECK_DIGITS = "10X98765432"


@dataclass(frozen=True, slots=True)
class Judged:
    """One event as it will be stored. `dead` is the reason of a dead letter; `raw` is empty when withheld."""

    raw: bytes
    type: str
    source: str
    time: str
    boot: str
    origin: Origin | None
    dead: str | None


@dataclass(frozen=True, slots=True)
class Screened:
    """A batch as it will be stored. `raws` (empty where withheld) and `types` by index in the batch; of the few
    events that are dead letters the reason, of those a fork wrote again the origin."""

    raws: list[bytes]
    types: list[str]
    dead: dict[int, str] = field(default_factory=dict)
    origins: dict[int, Origin] = field(default_factory=dict)

    @property
    def withheld(self) -> int:
        """How many events are kept as a hash alone."""
        return sum(reason == WITHHELD for reason in self.dead.values())

    def last(self, count: int) -> Screened:
        """The last `count` events alone: what came before them is held already."""
        skip = len(self.raws) - count
        if not skip:
            return self
        dead = {index - skip: reason for index, reason in self.dead.items() if index >= skip}
        origins = {index - skip: origin for index, origin in self.origins.items() if index >= skip}
        return Screened(self.raws[skip:], self.types[skip:], dead, origins)


def screen(raws: Sequence[bytes], *, first_seq: int, stream: str, tenant: str, store: str) -> Screened:
    """What `judge` says of every event of a batch, several times faster where nothing is unusual."""
    screened = Screened(list(raws), [])
    suspects = _suspects(raws)
    prefix, place, aware = f"{stream}:", f"/{tenant}/{store}/", _is_aware
    names, add, read, time, source = NAMES, screened.types.append, read_known, "", ""
    event: KnownEvent | None
    for index, raw in enumerate(raws):  # one at a time: many at once would not stay in the processor's cache
        seq = first_seq + index
        try:
            event = read(raw)
        except NOT_KNOWN:
            event = None
        if (
            event is None
            or event.sequence != seq
            or event.id != f"{prefix}{seq}"
            or not (event.time == time or aware(event.time))
            or not (event.source == source or event.source.startswith(place))
            or index in suspects
        ):
            judged = judge(raw, stream=stream, seq=seq, tenant=tenant, store=store)
            screened.raws[index] = judged.raw
            add(judged.type)
            if judged.dead is not None:
                screened.dead[index] = judged.dead
            if judged.origin is not None:
                screened.origins[index] = judged.origin
            continue
        time, source = event.time, event.source  # neighbours have the same
        add(names[type(event)])
        if event.origin is not None:
            screened.origins[index] = event.origin
    return screened


def _suspects(raws: Sequence[bytes]) -> set[int]:
    """The events whose values may be personal: what `_hints_at_personal_data` would say of them. And those that are
    too large."""
    found = {index for index, raw in enumerate(raws) if len(raw) > MAX_EVENT_BYTES}
    for first in range(0, len(raws), LOOKED_AT_ONCE):
        part = raws[first : first + LOOKED_AT_ONCE]
        if places := _hints(b",".join(part)):
            starts = [0, *itertools.accumulate(len(raw) + 1 for raw in part)]
            found.update(first + bisect_right(starts, place) - 1 for place in places)
    return found


def _hints(joined: bytes) -> list[int]:
    """Where something in these bytes hints at a personal value."""
    places: list[int] = []
    for byte, hints in _HINTS_BY_BYTE:
        if byte in joined:
            for hint in hints:
                places.extend(_every(hint, joined))
    places.extend(_every(_SEVENTEEN_DIGITS, joined.translate(_DIGITS_AS_ZERO)))
    return places


def _every(what: bytes, where: bytes) -> list[int]:
    """Where `what` stands in `where`."""
    places, place = [], where.find(what)
    while place >= 0:
        places.append(place)
        place = where.find(what, place + len(what))
    return places


def judge(raw: bytes, *, stream: str, seq: int, tenant: str, store: str) -> Judged:
    """Check one event's bytes against the place it holds. Never raises: what is wrong becomes a dead letter."""
    envelope, allowed, wrong = None, False, ""
    try:
        envelope = decode_envelope(raw)
        _check_place(envelope, stream=stream, seq=seq, tenant=tenant, store=store)
        allowed = _check_data(envelope)
    except BadEventError as error:
        wrong = str(error)[:MAX_REASON_CHARS]
    named = envelope.name if envelope is not None and envelope.name in EVENT_TYPES else ""
    fields = not allowed
    if fields and not wrong:
        wrong = _unreadable(raw)
    if _hints_at_personal_data(raw, fields=fields) and _holds_personal_data(raw, fields=fields):
        return Judged(b"", named, "", "", "", None, WITHHELD)  # the reason is not kept: it may quote the event
    if wrong or envelope is None:
        return Judged(raw, named, "", "", "", None, wrong)
    return Judged(raw, envelope.name, envelope.source, envelope.time, envelope.boot, envelope.origin, None)


def _check_data(envelope: Envelope) -> bool:
    """Whether the vocabulary allows every field of the data. Raises BadEventError if it breaks its schema."""
    known = decode_data(envelope)
    if known is None:
        return False
    if envelope.privacy != known.PRIVACY:
        raise BadEventError(f"privacy: {envelope.name} is {known.PRIVACY}")
    return not isinstance(known, ConfigChanged)  # its document is checked when it is drawn


def _check_place(envelope: Envelope, *, stream: str, seq: int, tenant: str, store: str) -> None:
    if envelope.sequence != seq or envelope.id != f"{stream}:{seq}":
        raise BadEventError(f"place: says it is {envelope.id[:64]!r}, number {envelope.sequence}")
    if not envelope.source.startswith(f"/{tenant}/{store}/"):
        raise BadEventError("source: names another store")
    if not _is_aware(envelope.time):
        raise BadEventError(f"time: {envelope.time!r} is no RFC 3339 time")


def _is_aware(time: str) -> bool:
    """Whether it is a time that names its offset."""
    try:
        return datetime.fromisoformat(time).tzinfo is not None
    except ValueError:
        return False


def _unreadable(raw: bytes) -> str:
    """Why whoever reads this JSON later could not ("" if they can): the envelope looked at its own fields only."""
    if _nests_too_deep(raw):
        return f"nested deeper than {MAX_NESTING}"
    try:
        msgspec.json.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        return f"data: {error}"[:MAX_REASON_CHARS]
    return ""


def _nests_too_deep(raw: bytes) -> bool:
    """Whether brackets stand in brackets more than `MAX_NESTING` deep; those inside strings do not count."""
    depth = 0
    for found in _BRACKETS.findall(raw):
        depth += _STEPS.get(found, 0)
        if depth > MAX_NESTING:
            return True
    return False


def _hints_at_personal_data(raw: bytes, *, fields: bool) -> bool:
    """A quick look that overlooks nothing; names of fields matter only where the vocabulary has not allowed them."""
    if any(hint in raw for hint in _HINTS_OF_VALUES) or _LONG_NUMBER.search(raw) is not None:
        return True
    lower = raw.lower() if fields else b""
    return fields and any(hint in lower for hint in _HINTS_OF_NAMES)


def _holds_personal_data(raw: bytes, *, fields: bool) -> bool:
    """Whether the JSON holds an image or an identity number, says that it is personal, or (`fields`) names one."""
    try:
        document = msgspec.json.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return True  # hinted at and unreadable: nobody can say that it is harmless
    if isinstance(document, dict) and document.get("privacy") == "personal":
        return True
    waiting: list[object] = [document]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str) and _is_personal(value):
            return True
        if isinstance(value, list):
            waiting.extend(value)
        elif isinstance(value, dict):
            if any(_is_personal(key) or (fields and names_personal(key) and _has_room(value[key])) for key in value):
                return True
            waiting.extend(value.values())
    return False


def _has_room(value: object) -> bool:
    """Whether a value could hold what its field's name promises: a count or a yes cannot."""
    if isinstance(value, str | list | dict):
        return len(value) > 0
    return isinstance(value, int) and abs(value) >= 10**14


def names_personal(key: str) -> bool:
    """Whether a field of this name would hold an image, a biometric or an identity number."""
    words = [word.lower() for word in _WORD.findall(key)]
    return not _PERSONAL_WORDS.isdisjoint(words) or any(pair in _PERSONAL_PAIRS for pair in itertools.pairwise(words))


def _is_personal(text: str) -> bool:
    return _IMAGE.search(text) is not None or any(_is_id_number(found) for found in _ID_NUMBER.findall(text))


def _is_id_number(digits: str) -> bool:
    """Whether 18 characters are a resident identity number: its date and its check digit hold (GB 11643)."""
    if not ("01" <= digits[10:12] <= "12" and "01" <= digits[12:14] <= "31"):
        return False
    total = sum(int(digit) * weight for digit, weight in zip(digits, _CHECK_WEIGHTS, strict=False))
    return _CHECK_DIGITS[total % 11] == digits[17].upper()
