"""CRC-16/ARC: both the seal of an audit file (G85) and the check of a block on its line."""

from __future__ import annotations


def _row(byte: int) -> int:
    for _ in range(8):
        byte = (byte >> 1) ^ (0xA001 if byte & 1 else 0)
    return byte


_TABLE = tuple(_row(byte) for byte in range(256))


def crc16(data: bytes, start: int = 0) -> int:
    """Polynomial 8005 reflected, initial value 0, no final XOR; `start` goes on where another call ended."""
    crc = start
    for byte in data:
        crc = (crc >> 8) ^ _TABLE[(crc ^ byte) & 0xFF]
    return crc
