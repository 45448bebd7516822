"""The truth of a run, kept outside of the code under test: what was written where, what was promised, what may be gone.

An event's identity is where it was first written, `(stream, seq, hash)`; a fork keeps it as `origin`. Events that the
run itself made carry a number, their birth, which only grows.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from contracts.envelope import Envelope, root_hash

_BIRTH = re.compile(rb'"b#(\d+)"')
_ORIGIN = b'"origin":'
_decoder = msgspec.json.Decoder(Envelope)


class Ident(NamedTuple):
    """Where an event was first written."""

    stream: str
    seq: int
    hash: str


class Place(NamedTuple):
    """One event as it stood on a disk."""

    stream: str
    seq: int
    hash: bytes


def birth_of(raw: bytes) -> int:
    """The number of an event of ours; 0 for the ledger's own."""
    found = _BIRTH.search(raw)
    return int(found.group(1)) if found else 0


def name_of(birth: int) -> str:
    """How an event carries its birth."""
    return f"b#{birth}"


@dataclass(slots=True)
class Timeline:
    """What one disk owes to the cloud. A copy of the disk has a copy of it."""

    owed: set[Ident] = field(default_factory=set)
    told: set[int] = field(default_factory=set)  # births whose append returned
    freed: set[Ident] = field(default_factory=set)

    def copy(self) -> Timeline:
        """As it stands now."""
        return Timeline(set(self.owed), set(self.told), set(self.freed))


class CloudRow(NamedTuple):
    """One event in the cloud; `counted` says that projections see it."""

    stream: str
    seq: int
    raw: bytes
    hash: bytes
    dead: str | None
    counted: bool


class CloudGap(NamedTuple):
    stream: str
    first: int
    last: int
    last_hash: bytes


@dataclass(slots=True)
class CloudStream:
    """One stream as the cloud's file had it after its last commit: hashes by sequence (None inside a gap)."""

    root: bytes
    hashes: list[bytes | None] = field(default_factory=list)
    last_birth: int = 0

    @property
    def tail(self) -> int:
        return len(self.hashes)

    def at(self, seq: int) -> bytes | None:
        """The hash at `seq`; None beyond the tail and inside a gap."""
        if seq == 0:
            return self.root
        return self.hashes[seq - 1] if 1 <= seq <= len(self.hashes) else None


@dataclass(slots=True)
class CloudTruth:
    """What the cloud's file held after its last commit, read from the file and not from the bridge."""

    streams: dict[str, CloudStream] = field(default_factory=dict)
    counted: dict[Ident, int] = field(default_factory=dict)  # how many rows projections see
    held: set[Ident] = field(default_factory=set)
    births: set[int] = field(default_factory=set)
    gaps: dict[str, list[CloudGap]] = field(default_factory=dict)
    declared: list[tuple[str, int, int]] = field(default_factory=list)  # what telemetry.dropped events name
    rows: int = 0

    def copy(self) -> CloudTruth:
        """As it stands now."""
        streams = {name: CloudStream(s.root, list(s.hashes), s.last_birth) for name, s in self.streams.items()}
        gaps = {name: list(found) for name, found in self.gaps.items()}
        return CloudTruth(
            streams, dict(self.counted), set(self.held), set(self.births), gaps, list(self.declared), self.rows
        )

    def stream(self, name: str) -> CloudStream:
        """The stream of that name, empty if it was not seen before."""
        if name not in self.streams:
            self.streams[name] = CloudStream(root_hash(name))
        return self.streams[name]


class Asked(NamedTuple):
    """What a box asked with a hello."""

    store: str
    instance: str
    probe: int | None


@dataclass(slots=True)
class Truth:
    """Everything known of a run from the outside."""

    cloud: CloudTruth = field(default_factory=CloudTruth)
    written: dict[Place, Ident] = field(default_factory=dict)  # every event that was ever durable on an edge
    births: dict[Ident, int] = field(default_factory=dict)
    refused: set[int] = field(default_factory=set)  # births whose append raised
    lost_by_cloud: set[Ident] = field(default_factory=set)
    dropped: set[Ident] = field(default_factory=set)  # telemetry whose bytes some copy of a disk gave up
    telemetry: set[int] = field(default_factory=set)  # births of the lane that may drop
    unseen: set[Place] = field(default_factory=set)  # telemetry that was dropped in the commit that wrote it
    words: list[tuple[Ident, tuple[str, int, int]]] = field(default_factory=list)  # telemetry.dropped on an edge
    expiry_s: dict[str, float] = field(default_factory=dict)  # of every command, in virtual seconds
    pulses: list[tuple[str, float]] = field(default_factory=list)  # every time a device moved for a command
    odd: set[str] = field(default_factory=set)  # stores of which a disk was restored or cloned: a fork is right
    lossy: bool = False  # the cloud was restored: its alarm is right, and any fork
    holders: set[tuple[str, str]] = field(default_factory=set)  # (store, instance) that ever held the cloud's lease
    asked: dict[str, Asked] = field(default_factory=dict)  # every hello, by its nonce

    def write_down(self, stream: str, rows: Iterable[tuple[int, bytes | None, bytes]]) -> Mapping[int, Ident]:
        """Note rows that are durable on an edge; their identities by sequence (dropped rows: where they are known)."""
        found: dict[int, Ident] = {}
        for seq, raw, digest in rows:
            place = Place(stream, seq, digest)
            ident = self.written.get(place)
            if ident is None:
                if raw is None:
                    self.unseen.add(place)
                    continue
                ident = self.written[place] = _ident(raw, place)
                self.births[ident] = birth_of(raw)
                if (declared := dropped_range(raw)) is not None:
                    self.words.append((ident, declared))
            found[seq] = ident
        return found


def _ident(raw: bytes, place: Place) -> Ident:
    if _ORIGIN in raw:
        origin = _decoder.decode(raw).origin
        if origin is not None:
            return Ident(origin.stream, origin.seq, origin.hash)
    return Ident(place.stream, place.seq, place.hash.hex())


def dropped_range(raw: bytes) -> tuple[str, int, int] | None:
    """The range that a `telemetry.dropped` names; None for any other event."""
    if b'"cn.zhanggui.telemetry.dropped.v1"' not in raw:
        return None
    said = msgspec.json.decode(_decoder.decode(raw).data)
    return said["stream"], said["first"], said["last"]


def ident_in_cloud(row: CloudRow) -> Ident:
    """The identity that a stored event's own bytes claim."""
    return _ident(row.raw, Place(row.stream, row.seq, row.hash))
