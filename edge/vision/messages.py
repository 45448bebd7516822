"""What passes between a camera's worker and its supervisor: a configuration in, JSON lines out. Never a picture.

Every line is one of the classes here, with nothing else in it; times are store time.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

MAX_LINE_BYTES = 8192  # the longest text with every character escaped fits
Count = Annotated[int, Meta(ge=0, le=10_000_000)]
Seconds = Annotated[float, Meta(ge=0, le=1e12)]
Moment = Annotated[str, Meta(max_length=32)]


class WorkerModel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An operator's own detector file."""

    path: str
    sha256: str
    licence: str


class WorkerConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything a worker needs to know of its camera."""

    camera: str
    source: str
    fps: Annotated[float, Meta(gt=0, le=30)]
    line: tuple[float, float, float, float]
    fit: Literal["letterbox", "stretch"] = "letterbox"
    threshold: Annotated[float, Meta(gt=0, lt=1)] = 0.2
    read_codes_every: Annotated[int, Meta(ge=0, le=1000)] = 0
    """Look for a QR or bar code in every n-th frame; 0 for never."""
    model: WorkerModel | None = None
    login_file: str = ""
    """Who logs in at a network camera; "" if nobody does, or if the address says it."""

    def __repr__(self) -> str:
        return f"WorkerConfig({self.camera!r})"  # the address may hold a password


class Message(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind"):
    """Base of the lines."""


class Started(Message, frozen=True, tag="started"):
    """The model is loaded and the source is open."""


class Crossing(Message, frozen=True, tag="crossing"):
    """One person crossed the line at store second `t_s`."""

    direction: Literal["in", "out"]
    t_s: Seconds


class Interval(Message, frozen=True, tag="interval"):
    """A minute of store time. `quality` is the part of the wanted frames that was looked at, 0..1."""

    start: Moment
    end: Moment
    entered: Count
    left: Count
    frames: Count
    skipped: Count
    quality: Annotated[float, Meta(ge=0, le=1)]


class Health(Message, frozen=True, tag="health"):
    """How the worker is. `frame_age_s` is how old (store time) the last frame was when it had been counted; `unseen`
    and `garbage` frames came since the last health, and were replaced by newer ones or could not be read."""

    fps: Annotated[float, Meta(ge=0, le=10_000)]
    rss_bytes: Annotated[int, Meta(ge=0, le=1 << 40)]
    frame_age_s: Seconds
    unseen: Count = 0
    garbage: Count = 0


class CodeSeen(Message, frozen=True, tag="code"):
    """A code was read out of a frame."""

    text: Annotated[str, Meta(max_length=1024)]
    format: Annotated[str, Meta(max_length=32)]


class Ended(Message, frozen=True, tag="ended"):
    """The worker stops by itself; `reason` is for a person."""

    reason: Annotated[str, Meta(max_length=512)]


WorkerMessage = Started | Crossing | Interval | Health | CodeSeen | Ended
_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(WorkerMessage)


def encode(message: WorkerMessage) -> bytes:
    """One line, with its end."""
    return _ENCODER.encode(message) + b"\n"


def decode(line: bytes) -> WorkerMessage:
    """The message of one line. Raises msgspec.DecodeError (which covers a wrong schema and bytes that are no text)."""
    try:
        message: WorkerMessage = _DECODER.decode(line)
    except (UnicodeDecodeError, RecursionError) as error:
        raise msgspec.DecodeError("not text, or nested without end") from error
    return message
