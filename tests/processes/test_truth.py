"""The comparison itself: it passes what is right, and every planted wrong is found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from cloud_bridge.ingest.service import apply_batch
from cloud_bridge.storage import open_storage
from contracts.envelope import Stamp, encode_event, next_hash, root_hash
from contracts.event_types import AgentHealth, EventData, PaymentCaptured, WeightReading
from simulators.chaos_proxy import KINDS
from tests.cloud_bridge.wire import LEDGER, Chain
from tests.processes import report
from tests.processes.cloud import lanes_of
from tests.processes.storm import WEIGHTS, Stage, plan, told
from tests.processes.truth import Held, Hole, LaneInCloud, Told, judge, place_of

STREAM = "00000000-0000-4000-8000-000000000001"
STAMP = Stamp(time="2026-01-01T00:00:00.000Z", boot="b", monotonic_ns=1, clock_quality="synced")


def chain(datas: list[EventData], stream: str = STREAM) -> list[Held]:
    held, digest = [], root_hash(stream)
    for seq, data in enumerate(datas, 1):
        raw = encode_event(data, stream=stream, seq=seq, source="/t1/s0/agent", stamp=STAMP)
        digest = next_hash(digest, raw)
        held.append(Held(seq, raw, digest))
    return held


def paid(token: str) -> PaymentCaptured:
    return PaymentCaptured(session=token, key=token, amount_fen=100)


def weighed(token: str) -> WeightReading:
    return WeightReading(shelf=token, gross_g=1.0, stable=True)


TOKENS = [f"s0.{life}.L{n}" for life in (0, 1) for n in (1, 2, 3)]
WEIGHTS_TOLD = [f"s0.0.T{n}" for n in range(1, 11)]


def sound() -> tuple[Told, dict]:
    """Two lives of a store; telemetry 3 to 6 was dropped and declared."""
    told = Told(accepted=[*TOKENS, *WEIGHTS_TOLD], refused=["s0.1.L9"])
    ledger = chain([*map(paid, TOKENS), AgentHealth(boot="b", counters={})])
    weights = chain([weighed(token) for token in WEIGHTS_TOLD])
    hole = Hole(3, 6, weights[5].hash)
    return told, {
        "ledger": [LaneInCloud(STREAM, 7, ledger)],
        "telemetry": [LaneInCloud(STREAM, 10, [w for w in weights if not 3 <= w.seq <= 6], [hole])],
    }


def test_what_is_right_passes():
    said, lanes = sound()
    problems, tallies = judge(said, lanes)
    assert problems == []
    assert (tallies["ledger"].accepted, tallies["ledger"].in_cloud) == (6, 6)
    assert (tallies["telemetry"].in_cloud, tallies["telemetry"].declared) == (6, 4)


def test_what_was_under_way_at_a_kill_may_be_there_or_not():
    said, lanes = sound()
    said.accepted.remove("s0.0.L3")
    problems, tallies = judge(said, lanes)
    assert (problems, tallies["ledger"].unknown) == ([], 1)


def rebuilt(lanes: dict, change: Callable[[list[str]], list[str]]) -> None:
    """The same, had the store appended otherwise: the chain is sound."""
    events = chain(list(map(paid, change(list(TOKENS)))))
    lanes["ledger"] = [LaneInCloud(STREAM, len(events), events)]


def without_last(told: Told, lanes: dict) -> None:
    rebuilt(lanes, lambda tokens: tokens[:-1])


def doubled(told: Told, lanes: dict) -> None:
    rebuilt(lanes, lambda tokens: [*tokens, tokens[-1]])


def swapped(told: Told, lanes: dict) -> None:
    rebuilt(lanes, lambda tokens: [tokens[1], tokens[0], *tokens[2:]])


def refused_but_there(told: Told, lanes: dict) -> None:
    rebuilt(lanes, lambda tokens: [*tokens, "s0.1.L9"])


def more_than_under_way(told: Told, lanes: dict) -> None:
    rebuilt(lanes, lambda tokens: [*tokens, *(f"s0.2.L{n}" for n in range(1, 100))])


def changed(lanes: dict, lane: str, **what) -> None:
    lanes[lane] = [replace(lanes[lane][0], **what)]


def hole_in_sequence(told: Told, lanes: dict) -> None:
    changed(lanes, "ledger", events=[h for h in lanes["ledger"][0].events if h.seq != 7])


def bytes_edited(told: Told, lanes: dict) -> None:
    first, *rest = lanes["ledger"][0].events
    changed(lanes, "ledger", events=[first._replace(raw=first.raw.replace(b"100", b"900")), *rest])


def second_stream(told: Told, lanes: dict) -> None:
    lanes["ledger"].append(LaneInCloud("00000000-0000-4000-8000-000000000002", 0, []))


def dead_letter(told: Told, lanes: dict) -> None:
    first, *rest = lanes["ledger"][0].events
    changed(lanes, "ledger", events=[first._replace(dead="reason"), *rest])


def not_counted(told: Told, lanes: dict) -> None:
    first, *rest = lanes["ledger"][0].events
    changed(lanes, "ledger", events=[first._replace(counted=False), *rest])


def watermark_ahead(told: Told, lanes: dict) -> None:
    changed(lanes, "ledger", watermark=8)


def gap_in_ledger(told: Told, lanes: dict) -> None:
    changed(lanes, "ledger", holes=[Hole(8, 8, b"")], watermark=8)


def gap_undeclared(told: Told, lanes: dict) -> None:
    changed(lanes, "telemetry", holes=[])


def gap_too_small(told: Told, lanes: dict) -> None:
    """Told of one more than the sequence has room for: it was dropped before it got a number."""
    told.accepted.append("s0.0.T2000")


def gap_elsewhere(told: Told, lanes: dict) -> None:
    hole = lanes["telemetry"][0].holes[0]
    changed(lanes, "telemetry", holes=[hole._replace(first=40, last=43)])


@pytest.mark.parametrize(
    ("plant", "found"),
    [
        (without_last, "1 of 6 accepted are lost, the first is s0.1.L3"),
        (doubled, "1 doubled"),
        (swapped, "1 out of order"),
        (refused_but_there, "were refused and are in the cloud"),
        (more_than_under_way, "more in the cloud than can have been under way"),
        (hole_in_sequence, "the watermark is 7, the events end at 6"),
        (bytes_edited, "its bytes do not give the hash"),
        (second_stream, "2 streams"),
        (dead_letter, "put aside"),
        (not_counted, "put aside (not counted)"),
        (watermark_ahead, "the watermark is 8"),
        (gap_in_ledger, "a lane that never drops"),
        (gap_undeclared, "never declared"),
        (gap_too_small, "never declared"),
        (gap_elsewhere, "gaps that do not fit"),
    ],
)
def test_a_planted_wrong_is_found(plant, found):
    said, lanes = sound()
    plant(said, lanes)
    problems, _ = judge(said, lanes)
    assert any(found in line for line in problems), problems


async def test_what_no_sum_has_is_seen_in_the_database(tmp_path: Path):
    database = tmp_path / "cloud.db"
    storage = open_storage(database)
    storage.open()
    batch = Chain().grow(3).batch(1, 3)
    await storage.write(lambda db: apply_batch(db, LEDGER, batch, now_ms=1, window=9))
    assert [held.counted for held in lanes_of(str(database), "demo", "shop1")["ledger"][0].events] == [True] * 3
    await storage.write(lambda db: db.execute("UPDATE events SET counted = 0 WHERE seq = 2"))
    storage.close()
    assert [held.counted for held in lanes_of(str(database), "demo", "shop1")["ledger"][0].events] == [
        True,
        False,
        True,
    ]


def test_a_part_of_the_soaks_page_is_replaced_and_the_others_stay(tmp_path: Path):
    page = tmp_path / "soak.md"
    for part, text in (("storm", "first"), ("schedules", "other"), ("storm", "second \\1")):
        report.put(page, part, text)
    found = page.read_text()
    assert found.startswith(report.HEAD)
    assert "first" not in found
    assert found.index("second \\1") < found.index("<!-- /storm -->") < found.index("other")
    assert found.count("<!--") == 4


def test_truth_is_read_life_by_life_and_a_torn_line_was_told_to_nobody(tmp_path: Path):
    (tmp_path / "truth.0").write_text("+ s0.0.L1\n- s0.0.L2\n+ s0.0.T3\n")
    (tmp_path / "truth.10").write_text("+ s0.10.L1\n+ s0.10.L")
    (tmp_path / "truth.2").write_text("+ s0.2.L1\n")
    said = Told.read(tmp_path)
    assert said.of_lane("ledger") == ["s0.0.L1", "s0.2.L1", "s0.10.L1"]
    assert said.of_lane("telemetry") == ["s0.0.T3"]
    assert said.refused == ["s0.0.L2"]
    assert place_of("s0.10.L7") == (10, 7)


def test_a_seed_gives_one_storm_and_every_kind_comes():
    stage = Stage(stores=3, bridges=3, can_fill=True, can_restart_database=True)
    acts = plan(Random(5), stage, seconds=300)
    assert acts == plan(Random(5), stage, seconds=300)
    assert {act.what for act in acts} == WEIGHTS.keys() | {"restart_database"}
    assert {act.fault.kind for act in acts if act.fault} == set(KINDS)
    assert [act.at_s for act in acts] == sorted(act.at_s for act in acts)
    assert len(told(acts).splitlines()) == len(acts)

    poor = plan(Random(5), Stage(stores=1, bridges=1, can_fill=False, can_restart_database=False), seconds=300)
    assert not {act.what for act in poor} & {"fill_disk", "restart_database", "add_bridge", "stop_bridge"}
