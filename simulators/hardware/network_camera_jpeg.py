"""JPEG pictures as RTP packets, RFC 2435: the scan without its headers, and tables of its own in the first packet."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
PAYLOAD_TYPE = 26
MOST_BYTES = 1400  # of a packet's payload
QUALITY = 90
_SOF0, _DHT, _SOI, _EOI, _SOS, _DQT = 0xC0, 0xC4, 0xD8, 0xD9, 0xDA, 0xDB
_TABLES_FOLLOW = 255


@dataclass(frozen=True, slots=True)
class Scan:
    """A baseline JPEG taken apart. `kind` 0 is 4:2:2, 1 is 4:2:0; sizes in pixels."""

    kind: int
    width: int
    height: int
    tables: bytes
    data: bytes


def jpeg(image: Image) -> bytes:
    """A baseline picture with the usual Huffman tables, which RFC 2435 takes for granted. BGR, sides multiples of 8."""
    done, data = cv2.imencode(
        ".jpg",
        image,
        (cv2.IMWRITE_JPEG_QUALITY, QUALITY, cv2.IMWRITE_JPEG_OPTIMIZE, 0, cv2.IMWRITE_JPEG_RST_INTERVAL, 0),
    )
    assert done
    return bytes(data)


def taken_apart(picture: bytes) -> Scan:
    """The scan of a picture of `jpeg`."""
    at, tables, kind, width, height = 2, b"", 1, 0, 0
    while picture[at + 1] != _SOS:
        marker, length = picture[at + 1], struct.unpack_from(">H", picture, at + 2)[0]
        body = picture[at + 4 : at + 2 + length]
        if marker == _DQT:
            tables += b"".join(body[i + 1 : i + 65] for i in range(0, len(body), 65))
        elif marker == _SOF0:
            height, width = struct.unpack_from(">HH", body, 1)
            kind = {0x21: 0, 0x22: 1}[body[7]]
        at += 2 + length
    at += 2 + struct.unpack_from(">H", picture, at + 2)[0]
    return Scan(kind, width, height, tables, picture[at:-2])


def payloads(scan: Scan) -> list[bytes]:
    """The payloads of one frame, in order; the last is the one to mark."""
    out: list[bytes] = []
    at = 0
    while at < len(scan.data):
        head = struct.pack(
            ">B3sBBBB", 0, at.to_bytes(3, "big"), scan.kind, _TABLES_FOLLOW, scan.width // 8, scan.height // 8
        )
        if at == 0:
            head += struct.pack(">BBH", 0, 0, len(scan.tables)) + scan.tables
        piece = scan.data[at : at + MOST_BYTES - len(head)]
        out.append(head + piece)
        at += len(piece)
    return out


def rtp(payload: bytes, *, sequence: int, ticks: int, source: int, last: bool) -> bytes:
    """One RTP packet (RFC 3550); `ticks` of 90 kHz."""
    return (
        struct.pack(">BBHII", 0x80, (0x80 if last else 0) | PAYLOAD_TYPE, sequence & 0xFFFF, ticks & 0xFFFFFFFF, source)
        + payload
    )
