"""A second, small file that remembers which ledger stood here, in case the disk gives back less than was written.

It holds two slots that are written in turn, each with a checksum, so that a torn write leaves the other. It never says
more than is durable: a place in a chain is noted only after the commit that holds it. It is synced when streams are
born and at a clean end; in between it is written without a sync, for a kill of the agent leaves it whole all the same.
"""

from __future__ import annotations

import contextlib
import os
import zlib
from collections.abc import Mapping
from pathlib import Path

import msgspec

from contracts.event_types import Lane
from edge.ledger.rows import LaneRow

SLOT_BYTES = 2048
FORMAT = 1


class LaneWitness(msgspec.Struct, frozen=True):
    """What was durable of one lane when it was noted."""

    stream: str
    tail_seq: int
    freed_seq: int
    freed_hash: str


class Witness(msgspec.Struct, frozen=True, kw_only=True):
    """Which ledger stood here. `clean`: its agent had ended, so that nothing may have followed."""

    format: int = FORMAT
    number: int = 0
    tenant: str
    store: str
    machine: str
    schema: int
    clean: bool = False
    lanes: dict[Lane, LaneWitness]


def noted(lanes: Mapping[Lane, LaneRow]) -> dict[Lane, LaneWitness]:
    """The lanes as a witness remembers them."""
    return {
        name: LaneWitness(row.stream, row.tail.seq, row.freed.seq, row.freed.hash.hex()) for name, row in lanes.items()
    }


class WitnessFile:
    """The file beside the ledger. A disk that does not take it costs nothing but the witness."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._number = 0

    def read(self) -> Witness | None:
        """The newest slot that is whole; None without one, or of another format."""
        try:
            raw = self.path.read_bytes()
        except OSError:
            return None
        found = [slot for at in (0, SLOT_BYTES) if (slot := _unpacked(raw[at : at + SLOT_BYTES])) is not None]
        newest = max(found, key=lambda slot: slot.number, default=None)
        if newest is not None:
            self._number = newest.number
        return newest

    def write(self, witness: Witness, *, sync: bool) -> bool:
        """Write the older slot; False if the disk did not take it."""
        number = self._number + 1
        slot = _packed(msgspec.structs.replace(witness, number=number))
        try:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.pwrite(descriptor, slot, number % 2 * SLOT_BYTES)
                if sync:
                    os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError:
            return False
        self._number = number
        return True

    def remove(self) -> None:
        """Forget what stood here."""
        with contextlib.suppress(OSError):
            self.path.unlink()


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
        return msgspec.json.decode(body, type=Witness)
    except (ValueError, msgspec.MsgspecError):
        return None
