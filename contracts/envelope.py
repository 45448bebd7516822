"""The envelope of an event: CloudEvents 1.0 in JSON, the exact bytes that the hash chain covers."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import lru_cache
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from contracts.event_types import EVENT_TYPES, EventData, Privacy
from contracts.ids import MAX_WHOLE

TYPE_PREFIX = "cn.zhanggui."
TYPE_SUFFIX = ".v1"
MAX_EVENT_BYTES = 64 * 1024
ClockQuality = Literal["synced", "estimated", "unknown"]


class EventTooLargeError(ValueError):
    """An event over 64 KiB: append refuses it."""


class BadEventError(ValueError):
    """Bytes that are no valid event; the message is the reason kept with the dead letter."""


class Origin(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where an event that a fork re-appended was first written."""

    stream: Annotated[str, Meta(max_length=64)]
    seq: Annotated[int, Meta(ge=1, le=MAX_WHOLE)]
    hash: Annotated[str, Meta(max_length=64)]


class Envelope(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """CloudEvents attributes and our extensions; `data` stays as the bytes that were written."""

    specversion: Literal["1.0"]
    id: Annotated[str, Meta(max_length=96)]
    source: Annotated[str, Meta(max_length=256)]
    type: Annotated[str, Meta(max_length=128)]
    time: Annotated[str, Meta(max_length=40)]
    datacontenttype: Literal["application/json"]
    sequence: Annotated[int, Meta(ge=1, le=MAX_WHOLE)]
    boot: Annotated[str, Meta(max_length=64)]
    monotonicns: int
    clockquality: ClockQuality
    privacy: Privacy
    data: msgspec.Raw
    traceparent: Annotated[str, Meta(max_length=64)] | None = None
    origin: Origin | None = None

    @property
    def name(self) -> str:
        """The type as the vocabulary names it."""
        return self.type[len(TYPE_PREFIX) : -len(TYPE_SUFFIX)]


class Stamp(msgspec.Struct, frozen=True):
    """When and where an event happened, by the store's own clocks."""

    time: str
    boot: str
    monotonic_ns: int
    clock_quality: ClockQuality


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Envelope)


def encode_event(
    data: EventData, *, stream: str, seq: int, source: str, stamp: Stamp, origin: Origin | None = None
) -> bytes:
    """The bytes of one event. Raises EventTooLargeError above 64 KiB, BadEventError for `personal`."""
    if data.PRIVACY == "personal":
        raise BadEventError(f"{data.TYPE}: personal data never leaves the store")
    fixed = _fixed_parts(type(data), stream, source, stamp.boot, stamp.clock_quality)
    start, source_on, type_on, boot_on, quality_on = fixed
    time = _encoder.encode(stamp.time)
    varying = (seq, source_on, time, type_on, seq, boot_on, stamp.monotonic_ns, quality_on, _encoder.encode(data))
    raw = b"%b%d%b%b%b%d%b%d%b%b}" % (start, *varying)
    if origin is not None:
        raw = b'%b,"origin":%b}' % (raw[:-1], _encoder.encode(origin))
    if len(raw) > MAX_EVENT_BYTES:
        raise EventTooLargeError(f"{data.TYPE}: {len(raw)} bytes, at most {MAX_EVENT_BYTES}")
    return raw


@lru_cache(maxsize=256)
def _fixed_parts(kind: type[EventData], stream: str, source: str, boot: str, quality: str) -> tuple[bytes, ...]:
    """The bytes of an envelope between its numbers, its time and its data: the same for one event after the other."""
    text = _encoder.encode
    return (
        b'{"specversion":"1.0","id":%b:' % text(stream)[:-1],
        b'","source":%b,"type":%b,"time":' % (text(source), text(f"{TYPE_PREFIX}{kind.TYPE}{TYPE_SUFFIX}")),
        b',"datacontenttype":"application/json","sequence":',
        b',"boot":%b,"monotonicns":' % text(boot),
        b',"clockquality":%b,"privacy":%b,"data":' % (text(quality), text(kind.PRIVACY)),
    )


def decode_envelope(raw: bytes) -> Envelope:
    """The envelope of `raw`. Raises BadEventError with the reason."""
    if len(raw) > MAX_EVENT_BYTES:
        raise BadEventError(f"{len(raw)} bytes, at most {MAX_EVENT_BYTES}")
    try:
        envelope = _decoder.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadEventError(f"envelope: {error}") from error
    if not (envelope.type.startswith(TYPE_PREFIX) and envelope.type.endswith(TYPE_SUFFIX)):
        raise BadEventError(f"type: {envelope.type!r} is not {TYPE_PREFIX}…{TYPE_SUFFIX}")
    if envelope.privacy == "personal":
        raise BadEventError("privacy: personal data never leaves the store")
    return envelope


_data_decoders = {name: msgspec.json.Decoder(cls) for name, cls in EVENT_TYPES.items()}


def decode_data(envelope: Envelope) -> EventData | None:
    """What the event says; None for a type this version does not know. Raises BadEventError if it breaks its schema."""
    decoder = _data_decoders.get(envelope.name)
    if decoder is None:
        return None
    try:
        return decoder.decode(envelope.data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadEventError(f"{envelope.name}: {error}") from error


# ------------------------------------------------------------------ the chain


def root_hash(stream: str) -> bytes:
    """`hash[0]` of a stream: SHA-256 of its name, so that two streams never share a prefix."""
    return hashlib.sha256(b"zhanggui stream " + stream.encode()).digest()


def next_hash(previous: bytes, raw: bytes) -> bytes:
    """`hash[n] = SHA-256(hash[n-1] ‖ bytes of event n)`."""
    return hashlib.sha256(previous + raw).digest()


def chain(previous: bytes, raws: Iterable[bytes]) -> list[bytes]:
    """`next_hash` of one event after the other."""
    begin, hashes = hashlib.sha256().copy, []  # OpenSSL looks an algorithm up each time it is named, not when copied
    for raw in raws:
        state = begin()
        state.update(previous + raw)
        previous = state.digest()
        hashes.append(previous)
    return hashes


def event_schemas() -> dict[str, dict[str, object]]:
    """JSON Schema (2020-12) of every event type's data, by type name."""
    return {name: msgspec.json.schema(cls) for name, cls in sorted(EVENT_TYPES.items())}
