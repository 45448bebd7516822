"""No tobacco frame without the law: ten thousand random sequences up to the frame, judged by their own truth."""

from __future__ import annotations

import pytest

from tests.edge_sessions.mutants import PLANTED
from tests.edge_sessions.world import BrokenError, World

SEQUENCES = 10_000
CHUNKS = 10


class TobaccoCounter(World):
    """A tobacco cabinet in which people, rules and clocks change at every moment; devices are well."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed, "staff_release", faults=False)
        self.left.update(env=3, revoke=1)

    def step(self) -> None:
        slot, rng = self.memory.slot, self.rng
        if rng.random() < 0.22:
            rng.choice(
                [
                    *(self.leave, self.leave_all, self.sign_in, self.beat, self.later, self.time, self.change),
                    *(self.mend_clock, self.lift, self.drop, self.prove, self.release),
                ]
            )()
        if slot is None:
            self.sign_in()
            self.request()
        elif slot.state == "asked":
            rng.choice([self.prove, self.release])()
        elif slot.state == "paying":
            self.money()
        elif slot.state == "intent":
            self.head()
        else:
            self.look()


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_no_frame_without_the_law(chunk):
    # World.encode asks the truth (T01 to T06, clock, revoke) whenever the guard has said yes
    frames = 0
    for seed in range(chunk, SEQUENCES, CHUNKS):
        counter = TobaccoCounter(seed)
        for _ in range(12):
            try:
                counter.step()
            except BrokenError as broken:
                pytest.fail(f"seed {seed}: {broken}")
            if counter.flight is not None:
                frames += 1
                break
    assert frames > SEQUENCES // CHUNKS // 20  # a gate that never opens would prove nothing


@pytest.mark.parametrize(
    "name", ["no_T01", "no_T02", "no_T03", "no_T04", "no_T05", "no_T06", "no_clock", "no_revoke", "self_release"]
)
def test_a_gate_that_forgets_a_rule_is_noticed(name, monkeypatch):
    PLANTED[name](monkeypatch)
    for seed in range(3000):
        counter = TobaccoCounter(seed)
        try:
            for _ in range(12):
                counter.step()
        except BrokenError:
            return
    pytest.fail(f"{name} was not noticed")
