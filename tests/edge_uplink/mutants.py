"""Planted faults: each leaves one rule of the contract out; the random schedules must notice every one."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from contracts.messages import Ack, HelloAnswer
from edge.uplink.machine import Action, Alarm, Confirm, ForkReason, LaneMachine


class TrustsAnyNonce(LaneMachine):
    def answered(self, answer: HelloAnswer, now_s: float) -> Sequence[Action]:
        return super().answered(msgspec.structs.replace(answer, nonce=self.nonce), now_s)

    def acked(self, ack: Ack, now_s: float) -> Sequence[Action]:
        return super().acked(msgspec.structs.replace(ack, nonce=self.nonce), now_s)


class TrustsAckOfOldHello(LaneMachine):
    def acked(self, ack: Ack, now_s: float) -> Sequence[Action]:
        return super().acked(msgspec.structs.replace(ack, nonce=self.nonce), now_s)


class FreesWithoutHash(LaneMachine):
    def acked(self, ack: Ack, now_s: float) -> Sequence[Action]:
        own = self.lane.hash_at(ack.watermark or 0)
        return super().acked(msgspec.structs.replace(ack, hash_at_watermark=own.hex() if own else None), now_s)


class NeverGoesBack(LaneMachine):
    def tick(self, now_s: float) -> Sequence[Action]:
        return () if self.state == "ready" else super().tick(now_s)


class ResumesWhereItWas(LaneMachine):
    def _ready(self, watermark: int, now_s: float) -> Sequence[Action]:
        before = self.sent_seq
        self.counters["ready"] += 1
        actions = super()._ready(watermark, now_s)
        if before > watermark:
            self.sent_seq = before
            return [a for a in actions if isinstance(a, Confirm)]
        return actions


class FreesWhatWasSent(LaneMachine):
    def sent(self, nonce: str, last_seq: int, now_s: float) -> Sequence[Action]:
        return [Confirm(last_seq), *super().sent(nonce, last_seq, now_s)]


class SendsBeforeTheAnswer(LaneMachine):
    def connected(self, now_s: float) -> Sequence[Action]:
        hello = super().connected(now_s)
        return [*hello, *self._ready(self.lane.tail.seq, now_s)]


class NeverForks(LaneMachine):
    def _bisect(self, now_s: float) -> Sequence[Action]:
        return self._ready(min(self.lane.tail.seq, self._high), now_s)


class ForksWithoutSearch(LaneMachine):
    def _bisect(self, now_s: float) -> Sequence[Action]:
        self._low = self._high
        return super()._bisect(now_s)


class IgnoresCloudLoss(LaneMachine):
    def _fork(self, common: int, reason: ForkReason, lost: tuple[int, int] = (0, 0)) -> Sequence[Action]:
        if reason == "cloud_loss":
            return [Alarm("ignored", ""), *self._ready(common, 0.0)]
        return super()._fork(common, reason, lost)


class NeverRestartsTheSearch(LaneMachine):
    def _probed(self, answer: HelloAnswer, now_s: float) -> Sequence[Action]:
        return super()._probed(msgspec.structs.replace(answer, watermark=1 << 30), now_s)


class KeepsTheLatestWatermark(LaneMachine):
    def acked(self, ack: Ack, now_s: float) -> Sequence[Action]:
        if self.state == "ready" and ack.nonce == self.nonce and ack.watermark is not None:
            self.watermark = self.sent_seq = ack.watermark
        return super().acked(ack, now_s)


class StandbySends(LaneMachine):
    def answered(self, answer: HelloAnswer, now_s: float) -> Sequence[Action]:
        return super().answered(msgspec.structs.replace(answer, active=True, watermark=0), now_s)


class FreesOneMore(LaneMachine):
    def acked(self, ack: Ack, now_s: float) -> Sequence[Action]:
        tail = self.lane.tail.seq
        return [Confirm(min(a.seq + 1, tail)) if isinstance(a, Confirm) else a for a in super().acked(ack, now_s)]


BY_CHANCE: tuple[tuple[type[LaneMachine], str], ...] = (
    # the mutant, and the faults among which chance finds it
    (TrustsAnyNonce, "drops"),
    (TrustsAckOfOldHello, "restore loss drops"),
    (NeverGoesBack, ""),
    (ResumesWhereItWas, ""),
    (FreesWhatWasSent, ""),
    (SendsBeforeTheAnswer, ""),
    (NeverForks, "clone restore"),
    (ForksWithoutSearch, "restore"),
    (IgnoresCloudLoss, "loss"),
    (KeepsTheLatestWatermark, ""),
    (StandbySends, "clone restore"),
    (FreesOneMore, ""),
)
