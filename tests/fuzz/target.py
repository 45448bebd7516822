"""What must hold of every decoder for any bytes; the first byte of an input chooses the decoder."""

from __future__ import annotations

import zlib
from bisect import bisect_left

from device_drivers.family import families
from simulators.conformance.suite import CodecCase
from tests.device_drivers.test_conformance import CODECS

FAMILIES = families()


def _places() -> dict[int, CodecCase]:
    """By a sum of the name, so that a new decoder leaves the corpus of nearly all others where it is."""
    places: dict[int, CodecCase] = {}
    for case in sorted(CODECS, key=lambda one: one.name):
        key = zlib.crc32(case.name.encode())
        while key & 0xFF in places:
            key += 1
        places[key & 0xFF] = case
    return places


PLACES = _places()
KEYS = sorted(PLACES)


def chosen(byte: int) -> CodecCase:
    """The decoder that a first byte stands for: the next one from its place on."""
    return PLACES[KEYS[bisect_left(KEYS, byte) % len(KEYS)]]


def one_input(data: bytes) -> None:
    """One try. Raises AssertionError for what must not be, or whatever the decoder raises."""
    if len(data) < 2:
        return
    case, body = chosen(data[0]), data[1:]
    whole = case.decoder(_deaf)
    frames = whole.feed(body)
    assert whole.buffered <= case.most_buffered, f"{case.name}: holds {whole.buffered}"
    cut, found = case.decoder(_deaf), []
    for at in range(len(body)):
        found += cut.feed(body[at : at + 1])
        assert cut.buffered <= case.most_buffered, f"{case.name}: holds {cut.buffered}"
    assert found == frames, f"{case.name}: cut into bytes, other frames"
    one = FAMILIES.get(case.name.split(":", 1)[0])
    if one is not None:
        for frame in frames:
            assert one.describe(frame).isprintable(), f"{case.name}: unreadable"


def _deaf(_kind: object, _detail: str) -> None:
    """Faults are told, and here nobody minds."""


def seeds() -> list[tuple[str, bytes]]:
    """Whole frames of every decoder, by a name for their file."""
    return [
        (f"{key:02x}-{number}", bytes((key,)) + frame)
        for key, case in PLACES.items()
        for number, frame in enumerate([*case.frames, b"".join(case.frames)])
    ]
