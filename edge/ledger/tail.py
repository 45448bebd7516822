"""The newest events of a lane, and those that follow as they are committed, whatever becomes of the file meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from contracts.event_types import Lane
from edge.ledger.errors import LedgerOpenError
from edge.ledger.inspect import ShownEvent, opened, read_rows
from edge.ledger.lane_rows import load_lanes

CHUNK_ROWS = 500


@dataclass(frozen=True, slots=True)
class Part:
    """Some rows that follow each other in one stream. `fresh`: the stream is not the one of the part before."""

    stream: str
    rows: list[ShownEvent]
    fresh: bool = False


class Tail:
    """Reads on from where it stopped; each read is a short one of its own."""

    def __init__(self, path: Path, lane: Lane, *, count: int) -> None:
        self._path = path
        self._lane = lane
        self._count = count
        self._stream = ""
        self._after = 0

    def first(self) -> Part:
        """The newest `count` rows. Raises LedgerOpenError."""
        with opened(self._path) as connection:
            lane = load_lanes(connection)[self._lane]
            self._stream = lane.stream
            self._after = max(lane.tail.seq - self._count, lane.deleted.seq)
            rows = read_rows(connection, self._lane, self._after, self._count)
        return self._read(Part(lane.stream, rows))

    def more(self) -> Iterator[Part]:
        """What came since; nothing while the file is away or being healed. After a fork the new stream is read from
        its beginning."""
        while True:
            try:
                with opened(self._path) as connection:
                    stream = load_lanes(connection)[self._lane].stream
                    if fresh := stream != self._stream:
                        self._stream, self._after = stream, 0
                    rows = read_rows(connection, self._lane, self._after, CHUNK_ROWS)
            except LedgerOpenError:
                return
            if not rows and not fresh:
                return
            yield self._read(Part(stream, rows, fresh))

    def _read(self, part: Part) -> Part:
        if part.rows:
            self._after = part.rows[-1].seq
        return part
