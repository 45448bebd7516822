"""A second, small file that remembers which ledger stood here, in case the disk gives back less than was written.

It holds two slots that are written in turn, each with a checksum, so that a torn write leaves the other. It never says
more than is durable: a place in a chain is noted only after the commit that holds it. It is synced when streams are
born and at a clean end; in between it is written without a sync, for a kill of the agent leaves it whole all the same.
"""

from __future__ import annotations

import os
import struct
import weakref
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from contracts.event_types import LANES, Lane
from edge.ledger.rows import LaneRow

SLOT_BYTES = 2048
FORMAT = 1
_ENDS_AT, _ENDS_STRIDE = 2 * SLOT_BYTES, 64
_ENDS = struct.Struct("<QIQQ")  # number of the note, which streams, end of each lane; a checksum follows


class LaneWitness(msgspec.Struct, frozen=True):
    """What was durable of one lane when it was noted."""

    stream: str
    tail_seq: int
    freed_seq: int
    freed_hash: str


class Witness(msgspec.Struct, frozen=True, kw_only=True):
    """Which ledger stood here."""

    format: int = FORMAT
    number: int = 0
    tenant: str
    store: str
    machine: str
    schema: int
    lanes: dict[Lane, LaneWitness]


def noted(lanes: Mapping[Lane, LaneRow]) -> dict[Lane, LaneWitness]:
    """The lanes as a witness remembers them."""
    return {
        name: LaneWitness(row.stream, row.tail.seq, row.freed.seq, row.freed.hash.hex()) for name, row in lanes.items()
    }


class WitnessFile:
    """The file beside the ledger. A disk that does not take it costs nothing but the witness.

    Two slots with the whole note, then two with no more than the ends of the lanes, which are written at each commit.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._number = 0
        self._next = self._next_end = 0  # the slots that are written next: always the older of its two
        self._descriptor = -1
        self._closes: Callable[[], object] = bool
        self._streams = 0  # what the ends belong to

    def read(self) -> Witness | None:
        """The newest slot that is whole, with the newest ends; None without one, or of another format."""
        try:
            raw = self.path.read_bytes()
        except OSError:
            return None
        slots = [_unpacked(raw[at : at + SLOT_BYTES]) for at in (0, SLOT_BYTES)]
        newest = max((slot for slot in slots if slot is not None), key=lambda slot: slot.number, default=None)
        if newest is None:
            return None
        self._next = 1 - slots.index(newest)
        self._number = newest.number
        lanes = dict(newest.lanes)
        newest_end = 0
        for index, at in enumerate((_ENDS_AT, _ENDS_AT + _ENDS_STRIDE)):
            part = raw[at : at + _ENDS.size + 4]
            if len(part) == _ENDS.size + 4 and zlib.crc32(part[:-4]) == int.from_bytes(part[-4:], "little"):
                number, streams, *ends = _ENDS.unpack(part[:-4])
                self._number = max(self._number, number)
                if number > newest_end:
                    newest_end, self._next_end = number, 1 - index
                if streams == _tag(lanes):
                    for name, end in zip(LANES, ends, strict=True):
                        lane = lanes[name]
                        lanes[name] = msgspec.structs.replace(lane, tail_seq=max(lane.tail_seq, end))
        return msgspec.structs.replace(newest, lanes=lanes)

    def write(self, witness: Witness, *, sync: bool) -> bool:
        """Write the older slot; False if the disk did not take it."""
        slot = _packed(msgspec.structs.replace(witness, number=self._number + 1))
        self._streams = _tag(witness.lanes)
        at, self._next = self._next * SLOT_BYTES, 1 - self._next
        return self._put(slot, at, sync=sync)

    def ends(self, lanes: Mapping[Lane, LaneRow]) -> bool:
        """Note where the lanes end: some microseconds, without a sync."""
        body = _ENDS.pack(self._number + 1, self._streams, *(lanes[name].tail.seq for name in LANES))
        slot = body + zlib.crc32(body).to_bytes(4, "little")
        at, self._next_end = _ENDS_AT + self._next_end * _ENDS_STRIDE, 1 - self._next_end
        return self._put(slot, at, sync=False)

    def close(self) -> None:
        """Let the file go."""
        if self._descriptor >= 0:
            self._closes()
            self._descriptor = -1

    def _put(self, slot: bytes, at: int, *, sync: bool) -> bool:
        try:
            if self._descriptor < 0:
                self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
                self._closes = weakref.finalize(self, os.close, self._descriptor)  # a ledger may be left unclosed
            os.pwrite(self._descriptor, slot, at)
            if sync:
                os.fsync(self._descriptor)
        except OSError:
            return False
        self._number += 1
        return True


def _tag(lanes: Mapping[Lane, LaneWitness]) -> int:
    return zlib.crc32(" ".join(lanes[name].stream for name in LANES).encode())


def _packed(witness: Witness) -> bytes:
    body = msgspec.json.encode(witness)
    slot = b"ZGW%d %08x %04x " % (FORMAT, zlib.crc32(body), len(body)) + body
    assert len(slot) < SLOT_BYTES, "ids are short"
    return slot.ljust(SLOT_BYTES - 1) + b"\n"


def _unpacked(slot: bytes) -> Witness | None:
    try:
        magic, crc, size = slot[:19].split()
        body = slot[19 : 19 + int(size, 16)]
        if magic != b"ZGW%d" % FORMAT or zlib.crc32(body) != int(crc, 16):
            return None
        found = msgspec.json.decode(body, type=Witness)
    except (ValueError, msgspec.MsgspecError):
        return None
    return found if set(found.lanes) == set(LANES) else None
