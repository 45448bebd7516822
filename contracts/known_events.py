"""Whole events of the vocabulary, envelope and data read in one pass: several times faster than one after the other.

What is read here would be accepted by `decode_envelope` and `decode_data` too, and says the same. What is not (unknown
types, anything wrong, data of free form) gives None: whoever asks then looks at it slowly, and finds the reason.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, Protocol, Union

import msgspec

from contracts.envelope import MAX_EVENT_BYTES, TYPE_PREFIX, TYPE_SUFFIX, Envelope, Origin
from contracts.event_types import EVENT_TYPES, ConfigChanged, EventData

_FREE_FORM = (ConfigChanged,)  # its document is not part of the vocabulary


class KnownEvent(Protocol):
    """An event of a known type: the envelope's attributes, and what it says as its own class."""

    @property
    def id(self) -> str: ...
    @property
    def source(self) -> str: ...
    @property
    def time(self) -> str: ...
    @property
    def sequence(self) -> int: ...
    @property
    def boot(self) -> str: ...
    @property
    def clockquality(self) -> str: ...
    @property
    def data(self) -> EventData: ...
    @property
    def origin(self) -> Origin | None: ...


def _whole(name: str, cls: type[EventData]) -> Any:
    """The struct of one type: the envelope's own fields, the type as its tag, one privacy class, one class of data."""
    narrowed: dict[str, Any] = {"privacy": Literal[cls.PRIVACY], "data": cls}
    fields = [
        (field.name, narrowed.get(field.name, field.type), *(() if field.required else (field.default,)))
        for field in msgspec.structs.fields(Envelope)
        if field.name != "type"
    ]
    return msgspec.defstruct(
        f"Whole_{name.replace('.', '_')}",
        fields,
        tag_field="type",
        tag=f"{TYPE_PREFIX}{name}{TYPE_SUFFIX}",
        frozen=True,
        kw_only=True,
        forbid_unknown_fields=True,
        gc=False,  # an event holds no cycles, and half a million of them a second would wake the collector
    )


_WHOLE = {
    name: _whole(name, cls)
    for name, cls in EVENT_TYPES.items()
    if cls not in _FREE_FORM and cls.PRIVACY != "personal"  # personal data never leaves the store
}
NAMES: dict[type, str] = {whole: name for name, whole in _WHOLE.items()}
"""The type of an event that was read, by its class."""
NOT_KNOWN = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
read_known: Callable[[bytes], KnownEvent] = msgspec.json.Decoder(Union[tuple(_WHOLE.values())]).decode  # noqa: UP007  # a union made of values
"""The same as `decode_known` of an event of at most MAX_EVENT_BYTES, for loops. Raises one of `NOT_KNOWN`."""


def decode_known(raw: bytes) -> KnownEvent | None:
    """The whole event; None if the slow way has to look at it."""
    if len(raw) > MAX_EVENT_BYTES:
        return None
    try:
        return read_known(raw)
    except NOT_KNOWN:
        return None
