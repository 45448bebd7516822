"""Which tags are inside a cabinet. Pure: reads, doors and rounds go in with their times, snapshots come out.

A tag is present after three reads within 2 s at one antenna whose median is stronger than that antenna's threshold. It
is absent after 6 s of silence behind a closed door and a full round of inventory that began in that silence. Only the
differences between two closed doors are told, once two rounds agree: what happens while a door stands open is a
customer's hand.

No tag is evidence by itself: foil and liquids hide tags.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import median

PRESENT_READS = 3
PRESENT_WITHIN_S = 2.0
ABSENT_AFTER_S = 6.0
AGREEING_ROUNDS = 2
MAX_TAGS = 4096  # sights of more are counted and dropped
MAX_READS = 64  # of one tag at one antenna; the newest count


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What is behind a door that was closed, and what changed since the last such snapshot.

    The first snapshot after a start has no changes: nobody knows what was before.
    """

    at_s: float
    tags: frozenset[bytes]
    added: frozenset[bytes]
    removed: frozenset[bytes]


@dataclass(slots=True)
class _Tag:
    reads: dict[int, deque[tuple[float, float]]] = field(default_factory=dict)  # antenna -> time, RSSI
    last_s: float = float("-inf")  # of any read
    clear_s: float = float("-inf")  # of a read above the antenna's threshold
    present: bool = False


class Presence:
    """The tags of one cabinet. `thresholds_dbm` gives each antenna its threshold; other antennas are not listened to.

    Times are seconds of one monotonic clock; one that goes back counts as the latest that was given.
    """

    def __init__(self, thresholds_dbm: Mapping[int, float], *, door_closed: bool, at_s: float) -> None:
        self.dropped = 0
        self._thresholds_dbm = dict(thresholds_dbm)
        self._tags: dict[bytes, _Tag] = {}
        self._now_s = at_s
        self._closed_s: float | None = at_s if door_closed else None
        self._settled = False
        self._rounds: deque[frozenset[bytes]] = deque(maxlen=AGREEING_ROUNDS)
        self._last: frozenset[bytes] | None = None

    @property
    def present(self) -> frozenset[bytes]:
        """The tags that are present now, settled or not."""
        return frozenset(epc for epc, tag in self._tags.items() if tag.present)

    @property
    def undecided(self) -> frozenset[bytes]:
        """Present tags that were not heard clearly since the door closed and are not yet silent for long enough.

        No snapshot is made while there are any.
        """
        closed_s = self._closed_s
        if closed_s is None:
            return self.present
        return frozenset(epc for epc, tag in self._tags.items() if tag.present and tag.clear_s < closed_s)

    def read(self, epc: bytes, *, rssi_dbm: float, antenna: int, at_s: float) -> None:
        """One tag was heard once."""
        now_s = self._tick(at_s)
        threshold_dbm = self._thresholds_dbm.get(antenna)
        if threshold_dbm is None or (epc not in self._tags and not self._room()):
            self.dropped += 1
            return
        tag = self._tags.setdefault(epc, _Tag())
        tag.last_s = now_s
        if rssi_dbm > threshold_dbm:
            tag.clear_s = now_s
        reads = tag.reads.setdefault(antenna, deque(maxlen=MAX_READS))
        reads.append((now_s, rssi_dbm))
        while now_s - reads[0][0] > PRESENT_WITHIN_S:
            reads.popleft()
        if len(reads) >= PRESENT_READS and median(rssi for _, rssi in reads) > threshold_dbm:
            tag.present = True

    def door(self, *, closed: bool, at_s: float) -> None:
        """The door was opened or closed. The same word twice changes nothing."""
        now_s = self._tick(at_s)
        if closed == (self._closed_s is not None):
            return
        self._closed_s = now_s if closed else None
        self._settled = False
        self._rounds.clear()

    def full_round(self, *, started_s: float, at_s: float) -> Snapshot | None:
        """A round of all antennas that lacked nothing has ended. The snapshot, if this round settles one."""
        now_s = self._tick(at_s)
        closed_s = self._closed_s
        if closed_s is None or started_s < closed_s:
            return None
        for tag in self._tags.values():
            since_s = max(tag.last_s, closed_s)
            if tag.present and now_s - since_s >= ABSENT_AFTER_S and started_s >= since_s:
                tag.present = False
        self._forget_silent(now_s)
        self._rounds.append(self.present)
        agree = len(self._rounds) == AGREEING_ROUNDS and len(set(self._rounds)) == 1
        if self._settled or not agree or self.undecided:
            return None
        return self._settle(now_s)

    def _settle(self, now_s: float) -> Snapshot:
        self._settled = True
        tags = self.present
        before = tags if self._last is None else self._last
        self._last = tags
        return Snapshot(now_s, tags, tags - before, before - tags)

    def _tick(self, at_s: float) -> float:
        self._now_s = max(self._now_s, at_s)
        return self._now_s

    def _room(self) -> bool:
        if len(self._tags) >= MAX_TAGS:
            self._forget_silent(self._now_s)
        return len(self._tags) < MAX_TAGS

    def _forget_silent(self, now_s: float) -> None:
        """Tags that pass by outside must not pile up."""
        gone = [epc for epc, tag in self._tags.items() if not tag.present and now_s - tag.last_s > PRESENT_WITHIN_S]
        for epc in gone:
            del self._tags[epc]
