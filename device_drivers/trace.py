"""What goes over a line, readable: time, direction, bytes, and what they say; kept as a file that can be played again.

A recording is JSON, a line each: first what was recorded, then every piece of bytes as it came or went.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Literal

import msgspec

from device_drivers.errors import MisconfiguredError
from device_drivers.exchange import Link
from device_drivers.family import Family
from device_drivers.faults import FaultKind

Direction = Literal["tx", "rx"]  # as the host sees it
MAX_RECORDING_BYTES = 64 * 1024 * 1024
MAX_PIECE_BYTES = 16 * 1024
WITHHELD = "not shown: may name a person"
UNREAD = f"{WITHHELD}; say with --family how they are read"


class Head(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The first line of a recording."""

    recording: Literal[1] = 1
    family: str
    baud: int = 9600


class Piece(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Some bytes, one way. `t_s` counts from the start; `text` is what they say, for people."""

    t_s: float
    direction: Direction
    hex: str
    text: str = ""

    @property
    def data(self) -> bytes:
        return bytes.fromhex(self.hex)


class Tracer:
    """Reads both directions of a line aloud. Without a family nobody knows what a line carries, so its bytes are
    counted alone: it may be a card reader's."""

    def __init__(self, family: Family | None) -> None:
        self._family = family
        self._faults: list[str] = []
        self._decoders = {}
        if family is not None:
            self._decoders = {"tx": family.from_host(self._fault), "rx": family.from_device(self._fault)}

    def piece(self, t_s: float, direction: Direction, data: bytes) -> Piece:
        """These bytes with what they say; those that may name a person are left out."""
        if self._family is None:
            return Piece(t_s=t_s, direction=direction, hex="", text=f"{len(data)} bytes, {UNREAD}")
        frames = self._decoders[direction].feed(data)
        said = [self._family.describe(frame) for frame in frames] + self._faults
        self._faults.clear()
        if self._family.personal:
            return Piece(t_s=t_s, direction=direction, hex="", text=f"{len(data)} bytes, {WITHHELD}")
        return Piece(t_s=t_s, direction=direction, hex=data.hex(), text="; ".join(said))

    def _fault(self, kind: FaultKind, detail: str) -> None:
        self._faults.append(f"[{kind}: {detail}]")


class TracedLink:
    """A link that tells of every byte on its way."""

    def __init__(self, link: Link, on_bytes: Callable[[Direction, bytes], None]) -> None:
        self._link, self._on_bytes = link, on_bytes

    @property
    def dropped_bytes(self) -> int:
        """See `Link.dropped_bytes`."""
        return self._link.dropped_bytes

    async def read(self) -> bytes:
        """See `Link.read`."""
        data = await self._link.read()
        self._on_bytes("rx", data)
        return data

    def flush(self) -> bytes:
        """See `Link.flush`."""
        data = self._link.flush()
        if data:
            self._on_bytes("rx", data)
        return data

    def write(self, data: bytes) -> None:
        """See `Link.write`."""
        self._on_bytes("tx", data)
        self._link.write(data)

    def close(self) -> None:
        """See `Link.close`."""
        self._link.close()


def may_be_kept(family: Family) -> None:
    """Raises MisconfiguredError for a family whose bytes may name a person."""
    if family.personal:
        raise MisconfiguredError(f"{family.name}: its bytes may name a person, so they are never recorded")


def written(head: Head, pieces: Iterable[Piece]) -> Iterator[bytes]:
    """The lines of a recording."""
    for line in (head, *pieces):
        yield msgspec.json.encode(line) + b"\n"


def recording(path: Path) -> tuple[Head, list[Piece]]:
    """What a file holds. Raises MisconfiguredError with the line that is wrong."""
    try:
        size = path.stat().st_size
        if size > MAX_RECORDING_BYTES:
            raise MisconfiguredError(f"{path}: {size} bytes, at most {MAX_RECORDING_BYTES}")
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise MisconfiguredError(f"{path}: {error.strerror}") from error
    pieces: list[Piece] = []
    number = 1
    try:
        head = msgspec.json.decode(lines[0] if lines else b"", type=Head)
        for number, line in enumerate(lines[1:], start=2):
            piece = msgspec.json.decode(line, type=Piece)
            if len(piece.data) > MAX_PIECE_BYTES:
                raise MisconfiguredError(f"{path}, line {number}: more than {MAX_PIECE_BYTES} bytes in one piece")
            pieces.append(piece)
    except ValueError as error:  # msgspec's errors and those of hex digits are ValueErrors
        raise MisconfiguredError(f"{path}, line {number}: is no line of a recording: {error}") from error
    return head, pieces
