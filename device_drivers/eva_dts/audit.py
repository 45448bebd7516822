"""An audit file: segments of fields, the remarks of whoever read it, and how it is written and sealed.

Layout after the EVA data transfer standard: lines that end in CR LF, fields parted by `*`, the first one names the
segment. DXS … DXE wrap one transaction set ST … SE; G85 holds the CRC of all from ST to the line before it, and SE
the number of segments from ST to itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from device_drivers.errors import ProtocolError
from device_drivers.eva_dts.crc import crc16

MAX_FILE_BYTES = 1 << 20
MAX_SEGMENTS = 20_000
MAX_FIELDS = 64  # in one segment, its name left out
MAX_FIELD_CHARS = 256
LINE_END = b"\r\n"
NAME = re.compile(r"[A-Z]{2,3}[0-9]{0,3}|G85")
ENVELOPE = frozenset({"DXS", "ST", "G85", "SE", "DXE"})

RemarkKind = Literal[
    "truncated",  # the end is missing, or a beginning without its end
    "se_count",  # SE counts other segments than stand there
    "g85_missing",
    "g85_wrong",
    "line_ends",  # not CR LF
    "not_a_segment",  # lines that were left out
    "too_much",  # fields cut or segments left out at a cap
]


@dataclass(frozen=True, slots=True)
class Remark:
    """What is odd in a file that was read all the same. `detail` never holds a field's text."""

    kind: RemarkKind
    detail: str


@dataclass(frozen=True, slots=True)
class Segment:
    """One line: its name, and its fields as they stand, blanks included."""

    name: str
    fields: tuple[str, ...] = ()

    def text(self, number: int) -> str:
        """Field `number` as the standard counts them, from 1, without the blanks around it; "" if there is none."""
        return self.fields[number - 1].strip() if 0 < number <= len(self.fields) else ""

    def integer(self, number: int) -> int | None:
        """Field `number` as a whole number; None if it is none, or of more than 15 digits."""
        text = self.text(number)
        return int(text) if re.fullmatch(r"-?[0-9]{1,15}", text) else None

    def to_bytes(self) -> bytes:
        """One line without its end. Raises ProtocolError(local) for what would be read as something else."""
        if not NAME.fullmatch(self.name):
            raise ProtocolError("a segment's name is two or three capitals and up to three digits", side="local")
        if len(self.fields) > MAX_FIELDS or any(len(field) > MAX_FIELD_CHARS for field in self.fields):
            raise ProtocolError(f"{self.name}: more fields or a longer one than is allowed", side="local")
        line = "*".join((self.name, *self.fields))
        if line.count("*") != len(self.fields) or "\r" in line or "\n" in line:
            raise ProtocolError(f"{self.name}: a field holds a separator", side="local")
        try:
            return line.encode("latin-1")
        except UnicodeEncodeError:
            raise ProtocolError(f"{self.name}: a letter that this format does not have", side="local") from None


@dataclass(frozen=True, slots=True)
class AuditFile:
    """All segments in order, and what was odd about them."""

    segments: tuple[Segment, ...]
    remarks: tuple[Remark, ...] = ()

    def named(self, name: str) -> Iterator[Segment]:
        """All segments of this name."""
        return (segment for segment in self.segments if segment.name == name)

    def first(self, name: str) -> Segment | None:
        """The first segment of this name."""
        return next(self.named(name), None)

    def remarked(self, kind: RemarkKind) -> bool:
        """Whether there is a remark of this kind."""
        return any(remark.kind == kind for remark in self.remarks)

    def to_bytes(self) -> bytes:
        """The segments as they stand, each with CR LF; check sum and count are not made right. Raises
        ProtocolError(local)."""
        data = lines(self.segments)
        if len(self.segments) > MAX_SEGMENTS or len(data) > MAX_FILE_BYTES:
            raise ProtocolError("the file is larger than is allowed", side="local")
        return data

    def sealed(self) -> AuditFile:
        """The same set with the right G85, SE and DXE. Raises ProtocolError(local) if there is not exactly one ST."""
        starts = [at for at, segment in enumerate(self.segments) if segment.name == "ST"]
        if len(starts) != 1:
            raise ProtocolError(f"{len(starts)} sets begin in this file, one can be sealed", side="local")
        head, body = self.segments[: starts[0]], self.segments[starts[0] :]
        kept = tuple(segment for segment in body if segment.name not in ENVELOPE - {"ST"})
        control = kept[0].fields[1] if len(kept[0].fields) > 1 else "0001"
        tail = [
            Segment("G85", (f"{crc16(lines(kept)):04X}",)),
            Segment("SE", (str(len(kept) + 2), control)),
        ]
        if any(segment.name == "DXS" for segment in head):
            tail.append(Segment("DXE", ("1", "1")))
        return AuditFile((*head, *kept, *tail))


def lines(segments: Sequence[Segment]) -> bytes:
    """Segments as lines."""
    return b"".join(segment.to_bytes() + LINE_END for segment in segments)


def audit_of(*body: Segment, sender: str = "ZGG0000001", control: str = "0001") -> AuditFile:
    """A whole, sealed file around these segments. Raises ProtocolError(local)."""
    head = (Segment("DXS", (sender, "VA", "V0/6", "1")), Segment("ST", ("001", control)))
    return AuditFile((*head, *body)).sealed()
