"""One lane's conversation with the cloud, as a state machine without I/O: what to believe, what to send, what to free.

    off ──connected──► wait ──due──► hello ──answer──► ready ──ack──► ready
                        ▲              │ hashes differ          │ refused, wrong hash, T without progress
                        │              ▼                        ▼
                        └── fork ◄── probe … probe             wait (back-off, then a new hello)

Nothing is sent, freed or believed before the current hello is answered; only a watermark whose hash is our own frees.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Literal, Protocol

from contracts.backoff import Backoff
from contracts.messages import Ack, HelloAnswer, Parent
from edge.uplink.batch_size import BatchSize

State = Literal["off", "wait", "hello", "probe", "ready", "standby", "fork"]
ForkReason = Literal["restored", "cloud_loss"]
PROGRESS_TIMEOUT_S = 10.0
REFUSALS_BEFORE_ALARM = 3


class Place(Protocol):
    """A sequence and the chain's hash there."""

    @property
    def seq(self) -> int: ...
    @property
    def hash(self) -> bytes: ...


class LaneFacts(Protocol):
    """What the machine asks of the ledger's lane; all of it committed."""

    @property
    def stream(self) -> str: ...
    @property
    def parent(self) -> Parent | None: ...
    @property
    def tail(self) -> Place: ...
    @property
    def freed(self) -> Place: ...
    def hash_at(self, seq: int) -> bytes | None: ...


@dataclass(frozen=True, slots=True)
class SendHello:
    """Say hello; with `probe`, ask for the cloud's hash at that sequence."""

    nonce: str
    stream: str
    parent: Parent | None
    next_seq: int
    tail_hash: bytes
    probe: int | None


@dataclass(frozen=True, slots=True)
class SendBatch:
    """Read what follows `after_seq`, send it under `nonce`, then call `sent`."""

    nonce: str
    after_seq: int
    max_events: int
    max_bytes: int


@dataclass(frozen=True, slots=True)
class Confirm:
    """The cloud holds everything up to `seq`: free it."""

    seq: int


@dataclass(frozen=True, slots=True)
class Fork:
    """Start a new stream that keeps what follows `common`, then call `forked` (or `fork_failed`).

    `lost` are the first and last sequence that the cloud held once and holds no more; (0, 0) for none.
    """

    common: int
    reason: ForkReason
    lost: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True)
class Alarm:
    """A person should know."""

    name: str
    detail: str


Action = SendHello | SendBatch | Confirm | Fork | Alarm


@dataclass(slots=True, kw_only=True)
class LaneMachine:
    """Inputs are methods, each returns what to do, in order. `now_s` is any clock that never goes back.

    The caller carries out an input's actions before it hands in the next input, so that the facts of the lane and
    the machine's belief never run apart. `new_nonce` gives a name that was never used before, by any process.
    """

    lane: LaneFacts
    rng: Random
    new_nonce: Callable[[], str]
    progress_timeout_s: float = PROGRESS_TIMEOUT_S
    counters: Counter[str] = field(default_factory=Counter)

    state: State = field(default="off", init=False)
    nonce: str = field(default="", init=False)
    watermark: int = field(default=0, init=False)  # greatest confirmed under the current hello
    sent_seq: int = field(default=0, init=False)
    window: int = field(default=1, init=False)  # events; a smaller one counts at once
    batch: BatchSize = field(default_factory=BatchSize, init=False)
    _reading: bool = field(default=False, init=False)  # a SendBatch is out that `sent` has not answered
    _read_s: float = field(default=0.0, init=False)  # when it went out
    _read_bytes: int = field(default=0, init=False)
    _now_s: float = field(default=0.0, init=False)  # the latest time that an input told
    _low: int = field(default=0, init=False)  # bisection: the last sequence known to be common
    _high: int = field(default=0, init=False)  # bisection: the last one that may be common
    _probe: int = field(default=0, init=False)
    _due_s: float = field(default=0.0, init=False)
    _refusals: int = field(default=0, init=False)
    _backoff: Backoff = field(init=False)

    def __post_init__(self) -> None:
        self._backoff = Backoff(rng=self.rng)

    # -------------------------------------------------------------- inputs

    def connected(self, now_s: float) -> Sequence[Action]:
        """The way to the cloud is open (and subscribed)."""
        return self._hello(now_s)

    def disconnected(self) -> None:
        """The way is closed: nothing that was said under the old hello counts any more."""
        if self._reading:
            self.batch.broken()
        self.state, self._reading = "off", False

    def tick(self, now_s: float) -> Sequence[Action]:
        """Time has passed."""
        self._now_s = now_s
        if self.state in ("off", "fork") or now_s < self._due_s:
            return ()
        if self.state in ("wait", "standby"):
            return self._hello(now_s)
        if self.state == "ready" and self.sent_seq <= self.watermark:
            return ()  # nothing is in flight, so nothing is missing
        if self.state == "ready":
            self.batch.stalled()
        return self._again(now_s, "no_progress")

    def grew(self, now_s: float | None = None) -> Sequence[Action]:
        """The ledger holds more than before."""
        return self._pump(self._now_s if now_s is None else now_s)

    def answered(self, answer: HelloAnswer, now_s: float) -> Sequence[Action]:
        """A hello answer came in."""
        if self.state not in ("hello", "probe") or answer.nonce != self.nonce or answer.stream != self.lane.stream:
            self.counters["hello_answer_stale"] += 1
            return ()
        if not answer.active:
            self.counters["not_active"] += 1
            self.state, self._due_s = "standby", now_s + self.progress_timeout_s
            return ()
        self.window = answer.window
        if self.state == "probe":
            return self._probed(answer, now_s)
        freed = self.lane.freed.seq
        if answer.watermark < freed:
            lost = (answer.watermark + 1, freed)
            detail = f"the cloud lost events {lost[0]} to {lost[1]} of {self.lane.stream}, which it had confirmed"
            return [Alarm("cloud_loss", detail), *self._fork(freed, "cloud_loss", lost)]
        if self._is_ours(answer.watermark, answer.hash_at_watermark):
            return self._ready(answer.watermark, now_s)
        self._low, self._high = freed, min(self.lane.tail.seq, answer.watermark)
        return self._bisect(now_s)

    def acked(self, ack: Ack, now_s: float) -> Sequence[Action]:
        """An ack or a refusal came in."""
        if self.state != "ready" or ack.nonce != self.nonce or ack.stream != self.lane.stream:
            self.counters["ack_stale"] += 1
            return ()
        if ack.refused is not None:
            return self._refused(ack.refused.reason, now_s)
        if ack.watermark is None or ack.hash_at_watermark is None:
            return self._again(now_s, "ack_empty")
        if ack.watermark < self.lane.freed.seq:
            self.counters["ack_late"] += 1  # of another worker; a cloud that lost data shows at the next hello
            return ()
        if not self._is_ours(ack.watermark, ack.hash_at_watermark):
            return self._again(now_s, "ack_hash_differs")
        self.window = ack.window or self.window
        if ack.watermark <= self.watermark:
            self.counters["ack_late"] += 1
            return ()
        self._refusals = 0
        self._backoff.up(now_s)
        self.watermark = ack.watermark
        self.sent_seq = max(self.sent_seq, ack.watermark)
        self._due_s = now_s + self.progress_timeout_s
        return [Confirm(ack.watermark), *self._pump(now_s)]

    def read(self, size_bytes: int) -> None:
        """What was read for the SendBatch that is out has so many bytes."""
        self._read_bytes = size_bytes

    def sent(self, nonce: str, last_seq: int, now_s: float) -> Sequence[Action]:
        """The batch of a SendBatch is with the broker, up to `last_seq`."""
        if nonce != self.nonce or not self._reading:
            return ()
        self._reading = False
        self.batch.passed(
            took_s=now_s - self._read_s,
            timeout_s=self.progress_timeout_s,
            events=last_seq - self.sent_seq,
            size_bytes=self._read_bytes,
        )
        if self.sent_seq <= self.watermark:  # the first in flight: from now on progress is expected
            self._due_s = now_s + self.progress_timeout_s
        if last_seq <= self.sent_seq:  # nothing was there to read; growth or T will ask again
            return ()
        self.sent_seq = last_seq
        return self._pump(now_s)

    def forked(self, now_s: float) -> Sequence[Action]:
        """The fork is durable: the lane's facts are those of the new stream."""
        return self._hello(now_s) if self.state == "fork" else ()

    def fork_failed(self, now_s: float) -> Sequence[Action]:
        """The fork could not be made durable: ask again later, the answer will be the same."""
        return self._again(now_s, "fork_failed") if self.state == "fork" else ()

    # -------------------------------------------------------------- steps

    def _hello(self, now_s: float, probe: int | None = None) -> Sequence[Action]:
        """A new nonce: whatever answers an older one is not believed any more."""
        self.state = "hello" if probe is None else "probe"
        self.nonce = self.new_nonce()
        self._reading = False
        self._due_s = now_s + self.progress_timeout_s
        self.counters["hellos"] += 1
        tail = self.lane.tail
        return [SendHello(self.nonce, self.lane.stream, self.lane.parent, tail.seq + 1, tail.hash, probe)]

    def _again(self, now_s: float, why: str) -> Sequence[Action]:
        """Believe nothing until a new hello is answered; say it after a pause with full jitter."""
        self.counters[why] += 1
        self.state, self._reading = "wait", False
        self._due_s = now_s + self._backoff.down(now_s)
        return ()

    def _ready(self, watermark: int, now_s: float) -> Sequence[Action]:
        """Start, or go back, to what follows the watermark."""
        self.state = "ready"
        self.watermark = self.sent_seq = watermark
        self._due_s = now_s + self.progress_timeout_s
        if watermark > self.lane.freed.seq or watermark == self.lane.tail.seq:
            self._backoff.up(now_s)  # an answer alone is no success: only progress is, or that there is nothing to do
        freed = [Confirm(watermark)] if watermark > self.lane.freed.seq else []
        return [*freed, *self._pump(now_s)]

    def _pump(self, now_s: float) -> Sequence[Action]:
        """One more batch if there is something to send and room in the window."""
        room = self.window - (self.sent_seq - self.watermark)
        if self.state != "ready" or self._reading or room <= 0 or self.sent_seq >= self.lane.tail.seq:
            return ()
        self._reading, self._read_s, self._read_bytes = True, now_s, 0
        return [SendBatch(self.nonce, self.sent_seq, min(room, self.batch.events), self.batch.size_bytes)]

    def _refused(self, reason: str, now_s: float) -> Sequence[Action]:
        self._refusals += 1
        actions = self._again(now_s, "refused")
        if self._refusals == REFUSALS_BEFORE_ALARM:
            return [Alarm("refused", f"{reason}: {self._refusals} times after {self.watermark} of {self.lane.stream}")]
        return actions

    def _is_ours(self, seq: int, digest: str | None) -> bool:
        own = self.lane.hash_at(seq)
        return own is not None and own.hex() == digest

    # -------------------------------------------------------------- the last common sequence

    def _probed(self, answer: HelloAnswer, now_s: float) -> Sequence[Action]:
        if answer.watermark < self._low:  # the cloud went back while we searched: what was common is so no more
            return self._again(now_s, "probe_restarted")
        if self._is_ours(self._probe, answer.hash_at_probe):
            self._low = self._probe
        else:
            self._high = self._probe - 1
        return self._bisect(now_s)

    def _bisect(self, now_s: float) -> Sequence[Action]:
        if self._low >= self._high:
            detail = f"the cloud's chain leaves ours after {self._low} of {self.lane.stream}"
            return [Alarm("restored", detail), *self._fork(self._low, "restored")]
        self._probe = (self._low + self._high + 1) // 2
        return self._hello(now_s, self._probe)

    def _fork(self, common: int, reason: ForkReason, lost: tuple[int, int] = (0, 0)) -> Sequence[Action]:
        self.state, self._reading = "fork", False
        self.counters[f"fork_{reason}"] += 1
        return [Fork(common, reason, lost)]
