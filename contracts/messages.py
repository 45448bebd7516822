"""What edge and cloud say to each other around the events: hello, ack, presence, requests, commands, batches.

Times `t0`, `t1`, `t2` are milliseconds since 1970 by the clock of whoever wrote them. Hashes are lower-case hex.
"""

from __future__ import annotations

import threading
from typing import Annotated, Literal, TypeVar

import msgspec
import zstandard
from msgspec import Meta

from contracts.event_types import Lane
from contracts.ids import MAX_WHOLE

MAX_BATCH_EVENTS = 512
MAX_BATCH_BYTES = 256 * 1024
MAX_DECLARED_BYTES = 320 * 1024
MAX_MESSAGE_BYTES = MAX_DECLARED_BYTES
COMPRESS_ABOVE_BYTES = 1024
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
CONTENT_ENCODING = "content-encoding"
MAX_OFFERS = 32  # what is offered becomes one event: it must fit
MAX_ARGS = 16

# `$` of Python alone would let a line break at the end pass.
Hash = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$(?!\n)")]
Uuid = Annotated[str, Meta(pattern=r"^[0-9a-f-]{36}$(?!\n)")]
Id = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,64}$(?!\n)")]
Seq = Annotated[int, Meta(ge=0, le=MAX_WHOLE)]
Position = Annotated[int, Meta(ge=1, le=MAX_WHOLE)]  # of an event in its stream: the first is 1
Millis = Annotated[int, Meta(ge=-MAX_WHOLE, le=MAX_WHOLE)]


class BadMessageError(ValueError):
    """A message that is too large, does not decompress, or breaks its schema."""


class Message(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Base of every message. Unknown fields are ignored, so that old and new peers can talk."""


class Presence(Message, frozen=True, kw_only=True):
    """Retained; also the last will (with `online` false). A pair `{boot, conn}` that is not current is ignored."""

    online: bool
    boot: Id
    conn: Seq
    instance: Id
    agent_version: Annotated[str, Meta(max_length=64)]
    since: Millis  # ms since 1970, by the store's clock


class Parent(Message, frozen=True, kw_only=True):
    """Where a forked stream left its parent."""

    stream: Uuid
    common: Seq
    hash: Hash


class Hello(Message, frozen=True, kw_only=True):
    """The edge asks what the cloud holds of one lane."""

    stream: Uuid
    instance: Id
    nonce: Id
    next_seq: Position
    tail_hash: Hash
    t0: Millis
    parent: Parent | None = None
    probe: Seq | None = None


class HelloAnswer(Message, frozen=True, kw_only=True):
    """What the cloud holds; `hash_at_probe` is absent where it does not hold that sequence."""

    nonce: Id
    stream: Uuid
    watermark: Seq
    hash_at_watermark: Hash
    active: bool
    window: Annotated[int, Meta(ge=1)]
    t0: Millis
    t1: Millis
    t2: Millis
    hash_at_probe: Hash | None = None


class Refusal(Message, frozen=True, kw_only=True):
    first_seq: Seq
    reason: Annotated[str, Meta(max_length=64)]


class Ack(Message, frozen=True, kw_only=True):
    """The watermark after a commit, or a refusal. Only the watermark frees an event on the edge."""

    stream: Uuid
    nonce: Id
    watermark: Seq | None = None
    hash_at_watermark: Hash | None = None
    window: Annotated[int, Meta(ge=1)] | None = None
    refused: Refusal | None = None


class Gap(Message, frozen=True, kw_only=True):
    """Telemetry that the edge dropped: sequences `first` to `last`, and the chain's hash at `last`."""

    first: Position = msgspec.field(name="from")
    last: Position = msgspec.field(name="to")
    reason: Annotated[str, Meta(max_length=64)]
    count: Seq
    last_hash: Hash


class Batch(Message, frozen=True, kw_only=True):
    """Strictly consecutive events, each as the exact bytes written at append."""

    stream: Uuid
    nonce: Id
    first_seq: Position
    prev_hash: Hash
    events: Annotated[list[msgspec.Raw], Meta(max_length=MAX_BATCH_EVENTS)]
    last_hash: Hash
    gap: Gap | None = None


class Request(Message, frozen=True, kw_only=True):
    """A read-only question that wants an answer now. `ttl_ms` is measured by the edge's monotonic clock."""

    id: Id
    ttl_ms: Annotated[int, Meta(ge=1, le=60_000)]
    args: dict[str, str | int | None]


class RecogniseAnswer(Message, frozen=True, kw_only=True):
    """What the store shows a member at the start of a session."""

    member_ref: Annotated[str, Meta(max_length=64)]
    name: Annotated[str, Meta(max_length=64)]
    points: int
    offers: Annotated[tuple[Annotated[str, Meta(max_length=64)], ...], Meta(max_length=MAX_OFFERS)] = ()
    reason_codes: Annotated[tuple[Annotated[str, Meta(max_length=64)], ...], Meta(max_length=MAX_OFFERS)] = ()


class Response(Message, frozen=True, kw_only=True):
    id: Id
    ok: bool
    reason: Annotated[str, Meta(max_length=64)] = ""
    member: RecogniseAnswer | None = None


Arg = Annotated[str, Meta(max_length=256)] | Millis | None


class Command(Message, frozen=True, kw_only=True):
    """An order from the cloud. No type of command can open a compartment of tobacco.

    `expires_at` is by the cloud's clock; `ttl_ms` is what was left of that when this copy was published, and counts
    from its receipt.
    """

    id: Id
    stream: Uuid
    type: Annotated[str, Meta(min_length=1, max_length=64)]
    args: Annotated[dict[Annotated[str, Meta(max_length=64)], Arg], Meta(max_length=MAX_ARGS)]
    issued_by: Annotated[str, Meta(min_length=1, max_length=64)]
    expires_at: Millis
    ttl_ms: Annotated[int, Meta(ge=0, le=MAX_WHOLE)]


M = TypeVar("M", bound=Message)
_encoder = msgspec.json.Encoder()
_decoders: dict[type[Message], msgspec.json.Decoder[Message]] = {}


class _Codec(threading.local):
    """A thread's own compressor and decompressor: made once, for each takes more memory than a message."""

    def __init__(self) -> None:
        self.compress = zstandard.ZstdCompressor(level=1, write_content_size=True).compress
        self.decompress = zstandard.ZstdDecompressor(max_window_size=MAX_DECLARED_BYTES * 2).decompress


_codec = _Codec()


def encode_message(message: Message) -> tuple[bytes, Literal["", "zstd"]]:
    """Payload and content encoding: JSON, zstd level 1 above 1 KiB."""
    raw = _encoder.encode(message)
    if len(raw) <= COMPRESS_ABOVE_BYTES:
        return raw, ""
    return _codec.compress(raw), "zstd"


def unpack(payload: bytes) -> bytes:
    """The JSON of a payload. The declared size is checked before anything is decompressed (a frame that declares
    its size is not bound by the decompressor's own limit). Raises BadMessageError."""
    if not payload.startswith(ZSTD_MAGIC):
        if len(payload) > MAX_MESSAGE_BYTES:
            raise BadMessageError(f"{len(payload)} bytes, at most {MAX_MESSAGE_BYTES}")
        return payload
    try:
        declared = zstandard.frame_content_size(payload)
        if declared < 0:
            raise BadMessageError("zstd frame does not declare its size")
        if declared > MAX_DECLARED_BYTES:
            raise BadMessageError(f"zstd frame declares {declared} bytes, at most {MAX_DECLARED_BYTES}")
        return _codec.decompress(payload)
    except zstandard.ZstdError as error:
        raise BadMessageError(f"zstd: {error}") from error


def decode_message(payload: bytes, kind: type[M]) -> M:
    """The message in `payload`. Raises BadMessageError with the reason."""
    decoder = _decoders.get(kind)
    if decoder is None:
        decoder = _decoders[kind] = msgspec.json.Decoder(kind)
    raw = unpack(payload)
    try:
        return decoder.decode(raw)  # type: ignore[return-value]  # the decoder was made for `kind`
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadMessageError(f"{kind.__name__}: {error}") from error


def check_lane(name: str) -> Lane:
    """`name` as a lane. Raises BadMessageError."""
    if name == "ledger":
        return "ledger"
    if name == "telemetry":
        return "telemetry"
    raise BadMessageError(f"lane: {name!r} is neither ledger nor telemetry")
