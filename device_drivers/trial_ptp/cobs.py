"""Consistent overhead byte stuffing (Cheshire and Baker, 1997): the same bytes without a zero, one longer in 254."""

from __future__ import annotations

from device_drivers.errors import ProtocolError

_FULL = 254  # bytes of a block that ends without a zero


def encode(data: bytes) -> bytes:
    """`data` without any zero byte."""
    out = bytearray()
    for run in data.split(b"\0"):
        at = 0
        while len(run) - at >= _FULL:
            out.append(_FULL + 1)
            out += run[at : at + _FULL]
            at += _FULL
        out.append(len(run) - at + 1)
        out += run[at:]
    return bytes(out)


def decode(data: bytes) -> bytes:
    """What was stuffed. Raises ProtocolError(remote) for a zero, a cut block or nothing at all."""
    if not data:
        raise ProtocolError("nothing between two zeros")
    if 0 in data:
        raise ProtocolError("a zero inside stuffed bytes")
    out, at = bytearray(), 0
    while at < len(data):
        code = data[at]
        if at + code > len(data):
            raise ProtocolError("a block is longer than the frame")
        out += data[at + 1 : at + code]
        at += code
        if code <= _FULL and at < len(data):
            out.append(0)
    return bytes(out)
