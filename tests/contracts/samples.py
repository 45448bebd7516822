"""An instance of every event type, made from the types of its fields."""

from __future__ import annotations

import typing
from typing import Any

import msgspec

from contracts.envelope import Stamp, encode_event
from contracts.event_types import EventData

STREAM = "00000000-0000-4000-8000-000000000001"
STAMP = Stamp("2026-03-02T01:00:00.000Z", "boot1", 7, "synced")


def value_of(kind: object) -> object:
    """Some value that the type allows."""
    origin = typing.get_origin(kind)
    if origin is typing.Annotated:
        return value_of(typing.get_args(kind)[0])
    if origin is typing.Literal:
        return typing.get_args(kind)[0]
    if origin is tuple:
        return (value_of(typing.get_args(kind)[0]),)
    if origin is dict:
        return {"k": value_of(typing.get_args(kind)[1])}
    if typing.get_args(kind):  # a union: its first member
        return value_of(typing.get_args(kind)[0])
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return instance(kind)
    if kind is msgspec.Raw:
        return msgspec.Raw(b'{"a":1}')
    return {str: "x", int: 1, float: 1.5, bool: True}[kind]  # type: ignore[index]  # every leaf is one of these


def instance(cls: type[Any]) -> Any:
    """An instance of a struct with every field set."""
    hints = typing.get_type_hints(cls, include_extras=True)
    return cls(**{field.name: value_of(hints[field.name]) for field in msgspec.structs.fields(cls)})


def written(data: EventData, **more: Any) -> bytes:
    """The bytes of an event in its envelope."""
    fields = {"stream": STREAM, "seq": 1, "source": "/demo/shop1/agent", "stamp": STAMP}
    return encode_event(data, **{**fields, **more})
