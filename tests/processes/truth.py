"""What the stores were told against what the cloud holds: nothing lost, nothing doubled, in order, chain intact."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from contracts.envelope import decode_data, decode_envelope, next_hash, root_hash
from contracts.event_types import Lane, PaymentCaptured, WeightReading

MAX_PROBLEMS = 20
MAX_UNDER_WAY = 64  # of one life of one store: what nobody was told of when it was killed


class Held(NamedTuple):
    """One event as the cloud holds it, by sequence."""

    seq: int
    raw: bytes
    hash: bytes
    counted: bool = True
    dead: str | None = None


class Hole(NamedTuple):
    """A range of telemetry that the store declared dropped."""

    first: int
    last: int
    last_hash: bytes


@dataclass(slots=True)
class Told:
    """What the appends of one store came back with, in order."""

    accepted: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, notes: Path) -> Told:
        """Every life's file, in order of lives. A torn last line was told to nobody."""
        told = cls()
        for path in sorted(notes.glob("truth.*"), key=lambda p: int(p.suffix[1:])):
            for line in path.read_text().split("\n")[:-1]:
                (told.accepted if line[0] == "+" else told.refused).append(line[2:])
        return told

    def of_lane(self, lane: Lane) -> list[str]:
        """The accepted tokens of one lane."""
        return [token for token in self.accepted if lane_of_token(token) == lane]


@dataclass(frozen=True, slots=True)
class LaneInCloud:
    """One lane of one store, as the cloud holds it."""

    stream: str
    watermark: int
    events: Sequence[Held]
    holes: Sequence[Hole] = ()


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts of one lane: `unknown` were under way when a life ended, and are in the cloud."""

    accepted: int = 0
    in_cloud: int = 0
    declared: int = 0
    unknown: int = 0


def lane_of_token(token: str) -> Lane:
    """`store.life.L7` is of the ledger, `store.life.T7` of telemetry."""
    return "ledger" if token.rsplit(".", 1)[1].startswith("L") else "telemetry"


def place_of(token: str) -> tuple[int, int]:
    """(life, number): the order in which a store appended."""
    _, life, name = token.rsplit(".", 2)
    return int(life), int(name[1:])


def token_of(raw: bytes) -> str | None:
    """Which append an event is of; None for what the agent says of itself."""
    match decode_data(decode_envelope(raw)):
        case PaymentCaptured(session=token) | WeightReading(shelf=token):
            return token
    return None


def judge(told: Told, lanes: Mapping[Lane, Sequence[LaneInCloud]]) -> tuple[list[str], dict[Lane, Tally]]:
    """What is wrong ([] for nothing), and the counts. `lanes` holds the streams of each lane, of which one is right."""
    problems: list[str] = []
    tallies: dict[Lane, Tally] = {}
    for lane, streams in lanes.items():
        if len(streams) != 1 and told.of_lane(lane):
            problems.append(f"{lane}: {len(streams)} streams, though no disk was restored and nothing was lost")
        for stream in streams:
            problems += [f"{lane}: {line}" for line in _chain(stream, lane)]
        tokens = [(held.seq, token) for s in streams for held in s.events if (token := token_of(held.raw))]
        holes = [hole for s in streams for hole in s.holes]
        problems += [f"{lane}: {line}" for line in _tokens(told, lane, tokens, holes)]
        accepted, found = set(told.of_lane(lane)), {token for _, token in tokens}
        tallies[lane] = Tally(
            accepted=len(accepted),
            in_cloud=len(accepted & found),
            declared=sum(hole.last - hole.first + 1 for hole in holes),
            unknown=len(found - accepted),
        )
    return problems[:MAX_PROBLEMS], tallies


def _chain(stream: LaneInCloud, lane: Lane) -> Iterable[str]:
    """Sequences without gaps (but declared ones of telemetry), and the chain recomputed from the bytes."""
    ends = {hole.first: hole for hole in stream.holes}
    if stream.holes and lane == "ledger":
        yield f"{len(stream.holes)} gaps in a lane that never drops"
    expected, digest = 1, root_hash(stream.stream)
    for held in stream.events:
        while expected in ends:
            hole = ends.pop(expected)
            expected, digest = hole.last + 1, hole.last_hash
        if held.seq != expected:
            yield f"{expected} expected, {held.seq} found"
        digest = next_hash(digest, held.raw)
        if digest != held.hash:
            yield f"{held.seq}: its bytes do not give the hash of the chain"
            digest = held.hash
        if held.dead is not None or not held.counted:
            yield f"{held.seq}: put aside ({held.dead or 'not counted'})"
        expected = held.seq + 1
    while expected in ends:
        expected = ends.pop(expected).last + 1
    if ends:
        yield f"gaps that do not fit: {sorted(ends)[:5]}"
    if expected - 1 != stream.watermark:
        yield f"the watermark is {stream.watermark}, the events end at {expected - 1}"


def _tokens(told: Told, lane: Lane, tokens: Sequence[tuple[int, str]], holes: Sequence[Hole]) -> Iterable[str]:
    """Accepted exactly once, refused never, in the order of the appends; telemetry may lack what was declared."""
    counts = Counter(token for _, token in tokens)
    accepted, refused = set(told.of_lane(lane)), set(told.refused)
    if doubled := [token for token, n in counts.items() if n > 1]:
        yield f"{len(doubled)} doubled, the first is {doubled[0]}"
    if lied := refused & counts.keys():
        yield f"{len(lied)} were refused and are in the cloud, one is {min(lied)}"
    places = [place_of(token) for _, token in tokens]
    if swapped := [t for (_, t), before, here in zip(tokens[1:], places, places[1:], strict=False) if here <= before]:
        yield f"{len(swapped)} out of order, the first is {swapped[0]}"
    unknown = Counter(place_of(token)[0] for token in counts.keys() - accepted - refused)
    if strange := {life: n for life, n in unknown.items() if n > MAX_UNDER_WAY}:
        yield f"more in the cloud than can have been under way: {strange} by life"
    missing = sorted(accepted - counts.keys(), key=place_of)
    if missing and lane == "ledger":
        yield f"{len(missing)} of {len(accepted)} accepted are lost, the first is {missing[0]}"
    elif missing and (lost := _undeclared(missing, tokens, holes)):
        yield f"{len(lost)} accepted were dropped and never declared, the first is {lost[0]}"


def _undeclared(missing: Sequence[str], tokens: Sequence[tuple[int, str]], holes: Sequence[Hole]) -> list[str]:
    """Missing telemetry for which no declared gap has room between its neighbours that are there."""
    lost: list[str] = []
    here = 0
    room: dict[int, int] = {}
    for token in missing:
        while here < len(tokens) and place_of(tokens[here][1]) < place_of(token):
            here += 1
        after = tokens[here - 1][0] if here else 0
        before = tokens[here][0] if here < len(tokens) else 1 << 60
        if here not in room:
            room[here] = sum(hole.last - hole.first + 1 for hole in holes if after < hole.first and hole.last < before)
        room[here] -= 1
        if room[here] < 0:
            lost.append(token)
    return lost
