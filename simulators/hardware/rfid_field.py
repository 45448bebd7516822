"""What a UHF antenna hears: tags at their distances, weak behind foil, gone in a shadow; an antenna that hangs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from random import Random

SENSITIVITY_DBM = -85  # what no reader of this class hears


@dataclass(frozen=True, slots=True)
class Tag:
    """A tag in the field. `rssi_dbm` is its middle strength at full power, `spread_db` how far a read strays from it,
    `shadow` the part of rounds in which goods hide it. `memory` holds the banks that it has beside its EPC."""

    epc: bytes
    rssi_dbm: float = -55.0
    spread_db: float = 2.0
    shadow: float = 0.0
    pc_low: int = 0
    password: int = 0
    memory: dict[int, bytes] = field(default_factory=dict)

    @property
    def pc(self) -> bytes:
        """Two bytes; the upper five bits count the words of the EPC."""
        return (len(self.epc) // 2 << 11 | self.pc_low).to_bytes(2, "big")

    @property
    def crc(self) -> bytes:
        """What the tag sends behind PC and EPC, by long division."""
        return _crc_by_division(self.pc + self.epc)


@dataclass(frozen=True, slots=True)
class Heard:
    """One tag in one round."""

    tag: Tag
    rssi_dbm: int


class Field:
    """The tags before one antenna. `stuck`: it repeats its last round for ever; `dead`: it hears nothing."""

    def __init__(self, tags: Iterable[Tag] = (), *, rng: Random) -> None:
        self.tags: dict[bytes, Tag] = {}
        self.stuck = False
        self.dead = False
        self._rng = rng
        self._last: list[Heard] = []
        for tag in tags:
            self.put(tag)

    def put(self, tag: Tag) -> None:
        """Lay a tag into the field, or change it. Raises ValueError for an EPC that is not whole words."""
        if not 0 < len(tag.epc) <= 62 or len(tag.epc) % 2:
            raise ValueError("an EPC has 1 to 31 words")
        self.tags[tag.epc] = tag

    def take(self, epc: bytes) -> None:
        """Take a tag away; nothing if it is not there."""
        self.tags.pop(epc, None)

    def shadow(self, epc: bytes, part: float) -> None:
        """Hide a tag in this part of the rounds."""
        self.tags[epc] = replace(self.tags[epc], shadow=part)

    def round(self, power_loss_db: float = 0.0) -> list[Heard]:
        """What one round hears, strongest first; a lower power makes all tags weaker."""
        if self.stuck:
            return self._last
        self._last = [] if self.dead else sorted(self._heard(power_loss_db), key=lambda heard: -heard.rssi_dbm)
        return self._last

    def _heard(self, power_loss_db: float) -> Iterable[Heard]:
        for tag in self.tags.values():
            hidden = self._rng.random() < tag.shadow
            rssi_dbm = round(tag.rssi_dbm - power_loss_db + self._rng.uniform(-tag.spread_db, tag.spread_db))
            if not hidden and rssi_dbm >= SENSITIVITY_DBM:
                yield Heard(tag, rssi_dbm)


def _crc_by_division(data: bytes) -> bytes:
    """Remainder of the message by x^16 + x^12 + x^5 + 1, its first two bytes complemented, the result complemented."""
    dividend = int.from_bytes(data, "big") << 16
    dividend ^= 0xFFFF << (8 * len(data))
    for bit in range(8 * len(data) - 1, -1, -1):
        if dividend >> (bit + 16) & 1:
            dividend ^= 0x11021 << bit
    return (dividend ^ 0xFFFF).to_bytes(2, "big")
