"""A device out of a recording: it answers what was asked then as it answered then, and nothing else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from device_drivers.trace import Piece, recording


class RecordedPeer:
    """Plays the device's side of a recording; a `Peer` of a MemoryLink and a `Device` of a port.

    Each question is answered with what followed it in the recording, in the recorded order; after the last one of its
    kind it begins again. What was never asked gets no answer and is counted.
    """

    def __init__(self, pieces: Sequence[Piece]) -> None:
        self.counters: Counter[str] = Counter()
        self._answers: dict[bytes, list[bytes]] = {}
        self._asked: Counter[bytes] = Counter()
        question = b""
        for piece in pieces:
            if piece.direction == "tx":
                question = piece.data
                self._answers.setdefault(question, []).append(b"")
            elif question:
                self._answers[question][-1] += piece.data

    @classmethod
    def load(cls, path: Path) -> RecordedPeer:
        """Raises MisconfiguredError."""
        return cls(recording(path)[1])

    def receive(self, data: bytes) -> bytes:
        """See `Peer.receive`."""
        answers = self._answers.get(data)
        if answers is None:
            self.counters["never_asked"] += 1
            return b""
        number = self._asked[data]
        self._asked[data] += 1
        return answers[number % len(answers)]

    def split(self, data: bytes, real_s: float) -> list[bytes]:
        """See `Device.split`: one write is one question."""
        del real_s
        return [data]

    def answer(self, frame: bytes, real_s: float) -> bytes:
        """See `Device.answer`."""
        del real_s
        return self.receive(frame)

    def disguise(self, reply: bytes) -> bytes:
        """See `Device.disguise`: a recording knows no addresses."""
        return reply
