"""What went wrong for users of other systems (docs: pitfalls), in virtual time and with the real code."""

from __future__ import annotations

import itertools
from collections import Counter
from datetime import datetime

import msgspec
import pytest

from contracts.envelope import Envelope, decode_data, decode_envelope
from contracts.event_types import ClockEstimated
from simulators.faultworld.clocks import world_wall_s
from simulators.faultworld.schedule import Deed, Fault, Schedule, SlipAt
from simulators.faultworld.truth import birth_of
from simulators.faultworld.world import Outcome, World, run

HOUR_S = 3600.0
ONE = Schedule(
    seed=5, stores=1, workers=1, end_s=60.0, latency_s=0.02, progress_timeout_s=10.0, telemetry_rows=50, window=2048
)


def deeds(every_s: float, until_s: float, stores: int = 1) -> tuple[Deed, ...]:
    times = itertools.takewhile(lambda at_s: at_s < until_s, itertools.count(1.0, every_s))
    return tuple(Deed(at_s=at_s, store=store, what="ledger") for at_s in times for store in range(stores))


def stored(world: World) -> list[Envelope]:
    """What stands in the cloud, as it was written, in its order."""
    rows = world.database.reader().execute("SELECT raw FROM events ORDER BY stream, seq").fetchall()
    return [decode_envelope(row[0]) for row in rows]


def births(world: World) -> list[int]:
    rows = world.database.reader().execute("SELECT raw FROM events ORDER BY stream, seq").fetchall()
    return [birth for (raw,) in rows if (birth := birth_of(raw))]


def survived(schedule: Schedule) -> tuple[Outcome, World]:
    seen: list[World] = []
    outcome = run(schedule, look=seen.append)
    assert outcome.violation is None
    return outcome, seen[0]


def test_pitfall_03_cloud_down_for_an_hour_and_the_agent_restarted() -> None:
    found: list[list[int]] = []
    schedule = msgspec.structs.replace(
        ONE,
        end_s=HOUR_S + 120.0,
        deeds=deeds(60.0, HOUR_S + 60.0),
        faults=(
            Fault(at_s=30.0, kind="worker_kill", seconds=HOUR_S),
            Fault(at_s=1800.0, kind="kill", seconds=5.0),
        ),
    )
    outcome = run(schedule, look=lambda world: found.append(births(world)))
    assert outcome.violation is None
    assert found[0] == sorted(set(found[0]))
    assert len(found[0]) >= len(schedule.deeds) - 1  # one may have been due while the agent was down


def test_pitfall_05_thirteen_hours_without_a_line_leave_every_task_running() -> None:
    tasks: dict[str, set[str]] = {}
    found: list[list[int]] = []

    def look(world: World) -> None:
        found.append(births(world))
        process = world.machines[0].process
        assert process is not None
        tasks["after"] = {task.get_name() for task in process.tasks}

    def before(world: World) -> None:
        process = world.machines[0].process
        assert process is not None
        tasks["before"] = {task.get_name() for task in process.tasks}

    run(msgspec.structs.replace(ONE, deeds=deeds(5.0, 50.0)), look=before)
    outage_s = 13 * HOUR_S
    schedule = msgspec.structs.replace(
        ONE,
        end_s=outage_s + 120.0,
        deeds=deeds(600.0, outage_s + 100.0),
        faults=(Fault(at_s=60.0, kind="broker", seconds=outage_s),),
    )
    outcome = run(schedule, look=look)
    assert outcome.violation is None
    assert found[0] == list(range(1, len(schedule.deeds) + 1))
    assert tasks["before"] == tasks["after"]
    assert len(tasks["after"]) >= 6


AGENTS = 500
PEAK_A_SECOND = 27  # an even round of 40 s, and four standard deviations
SPREAD_S = 30.0


@pytest.mark.proof
def test_pitfall_09_five_hundred_agents_do_not_stampede_a_restarted_broker() -> None:
    times: list[float] = []
    restarted_s, down_s = 90.0, 2.0

    def look(world: World) -> None:
        for machine in world.machines:
            assert machine.process is not None
            times.extend(at_s for at_s in machine.process.connects if at_s > restarted_s)

    schedule = msgspec.structs.replace(
        ONE,
        stores=AGENTS,
        end_s=180.0,
        progress_timeout_s=30.0,
        faults=(Fault(at_s=restarted_s, kind="broker", seconds=down_s),),
    )
    assert run(schedule, look=look).violation is None
    assert len(times) == AGENTS
    peak = max(Counter(int(at_s) for at_s in times).values())
    spread_s = max(times) - min(times)
    print(f"{AGENTS} agents back: at most {peak} a second, spread over {spread_s:.0f} s")
    assert peak <= PEAK_A_SECOND
    assert spread_s >= SPREAD_S


def test_pitfall_10_a_broker_that_accepts_and_drops_is_asked_less_and_less() -> None:
    times: list[float] = []

    def look(world: World) -> None:
        process = world.machines[0].process
        assert process is not None
        times.extend(process.connects)

    schedule = msgspec.structs.replace(
        ONE,
        end_s=900.0,
        deeds=deeds(30.0, 880.0),
        faults=(Fault(at_s=10.0, kind="kick", seconds=600.0), Fault(at_s=10.1, kind="drop")),
    )
    outcome = run(schedule, look=look)
    assert outcome.violation is None
    kicked = [at_s for at_s in times if 10.0 < at_s < 610.0]
    pauses = [later - earlier for earlier, later in itertools.pairwise(kicked)]
    early, late = pauses[:4], pauses[-10:]
    assert sum(late) / len(late) > 2 * sum(early) / len(early)
    assert len(kicked) < 60  # a reset at each connect would make some hundreds


def test_pitfall_11_a_broker_that_forgets_everything_is_subscribed_to_again() -> None:
    """Events go up and orders come down, after each time."""
    orders = tuple(Deed(at_s=30.0 + n * 25.0, store=0, what="command", ttl_s=20.0) for n in range(4))
    schedule = msgspec.structs.replace(
        ONE,
        end_s=120.0,
        deeds=(*deeds(3.0, 110.0), *orders),
        faults=tuple(Fault(at_s=20.0 + n * 25.0, kind="broker", seconds=1.0, n=1) for n in range(4)),
    )
    found: list[list[int]] = []
    outcome = run(schedule, look=lambda world: found.append(births(world)))
    assert outcome.violation is None
    assert found[0] == list(range(1, len(schedule.deeds) - len(orders) + 1))
    assert outcome.happened["command done"] == len(orders)
    assert outcome.rest_s <= 60.0


def test_pitfall_12_what_was_said_offline_survives_a_kill() -> None:
    schedule = msgspec.structs.replace(
        ONE,
        deeds=tuple(Deed(at_s=20.0 + n, store=0, what="ledger") for n in range(10)),
        faults=(Fault(at_s=10.0, kind="broker", seconds=45.0), Fault(at_s=35.0, kind="kill", seconds=2.0)),
    )
    found: list[list[int]] = []
    outcome = run(schedule, look=lambda world: found.append(births(world)))
    assert outcome.violation is None
    assert found[0] == list(range(1, 11))


@pytest.mark.parametrize("window", [1, 4, 2048])
def test_pitfall_13_every_puback_lost_once_leaves_one_row_an_event(window: int) -> None:
    schedule = msgspec.structs.replace(
        ONE,
        window=window,
        end_s=200.0,
        deeds=deeds(4.0, 60.0),
        slips=tuple(SlipAt(link=link, n=n, kind="puback") for link in ("up:s0", "up:w0") for n in range(1, 60, 2)),
    )
    found: list[list[int]] = []
    outcome = run(schedule, look=lambda world: found.append(births(world)))
    assert outcome.violation is None
    assert outcome.happened["message puback"] > 10
    assert found[0] == list(range(1, len(schedule.deeds) + 1))


@pytest.mark.parametrize("jump_s", [-1.77e9, 7 * 24 * HOUR_S, -HOUR_S], ids=["1970", "a week ahead", "an hour behind"])
def test_pitfall_17_a_clock_that_jumps_changes_no_order_and_is_corrected(jump_s: float) -> None:
    seen: list[list[Envelope]] = []
    schedule = msgspec.structs.replace(
        ONE,
        end_s=150.0,
        deeds=tuple(Deed(at_s=10.0 + n * 10.0, store=0, what="ledger") for n in range(13)),
        faults=(Fault(at_s=65.0, kind="clock", seconds=jump_s),),
    )
    outcome = run(schedule, look=lambda world: seen.append(stored(world)))
    assert outcome.violation is None
    events = seen[0]
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    estimates = [data for event in events if isinstance(data := decode_data(event), ClockEstimated)]
    assert abs(estimates[-1].offset_ms + jump_s * 1000.0) < 1000.0
    last = events[-1]
    assert last.clockquality == "estimated"
    corrected_s = datetime.fromisoformat(last.time).timestamp() + estimates[-1].offset_ms / 1000.0
    assert abs(corrected_s - world_wall_s(130.0)) < 1.0
