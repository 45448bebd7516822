"""Member codes, back-off, clocks."""

from __future__ import annotations

import asyncio
import hmac
from collections import Counter
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts import clock as clock_module
from contracts.backoff import Backoff
from contracts.clock import ManualClock, ScaledClock, SystemClock, clock_from_env, rfc3339, unix_ms
from contracts.member_code import BadCodeError, mint_member_code, verify_member_code

KEY = b"k" * 32
MAC = "0123456789abcdef"


# ------------------------------------------------------------------ member codes


def test_a_code_is_the_first_eight_bytes_of_an_hmac() -> None:
    assert mint_member_code("m-73", KEY) == "ZG1.m-73." + hmac.digest(KEY, b"ZG1.m-73", "sha256")[:8].hex()


@settings(max_examples=100, deadline=None)
@given(st.from_regex(r"[A-Za-z0-9_-]{1,32}", fullmatch=True))
def test_what_was_minted_is_verified(member: str) -> None:
    code = mint_member_code(member, KEY)
    assert verify_member_code(code, KEY) == member
    with pytest.raises(BadCodeError, match="another tenant"):
        verify_member_code(code, b"other")


@pytest.mark.parametrize(
    "text",
    [
        "", "ZG1", "ZG1..", f"ZG1.m-73.{MAC}", f"ZG1.m-73.{MAC[:-1]}", f"ZG1.m-73.{MAC}0", f"zg1.m-73.{MAC}",
        f"ZG2.m-73.{MAC}", f"ZG1.m 73.{MAC}", f"ZG1.{'x' * 33}.{MAC}", "x" * 100_000, "ZG1.m-73." + MAC.upper(),
        mint_member_code("m-73", KEY) + "\n", " " + mint_member_code("m-73", KEY), mint_member_code("m-73", KEY).replace("m-73", "m-74"),
    ],
)  # fmt: skip
def test_any_other_text_is_refused_and_never_repeated(text: str) -> None:
    with pytest.raises(BadCodeError) as caught:
        verify_member_code(text, KEY)
    assert "m-73" not in str(caught.value)
    assert MAC not in str(caught.value)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 24), st.characters(codec="ascii"))
def test_one_changed_character_is_refused(at: int, letter: str) -> None:
    code = mint_member_code("m-73", KEY)
    changed = code[:at] + letter + code[at + 1 :]
    if changed != code:
        with pytest.raises(BadCodeError):
            verify_member_code(changed, KEY)


@pytest.mark.parametrize("member", ["", "a b", "a.b", "x" * 33, "m\n", "é"])
def test_a_bad_reference_is_not_minted(member: str) -> None:
    with pytest.raises(BadCodeError):
        mint_member_code(member, KEY)


# ------------------------------------------------------------------ back-off


class Highest(Random):
    """Always the longest wait: shows the ceiling."""

    def uniform(self, a: float, b: float) -> float:
        return b


def test_the_ceiling_doubles_up_to_its_cap() -> None:
    backoff = Backoff(Highest(), base_s=0.5, cap_s=5.0)
    assert [backoff.down(0.0) for _ in range(6)] == [0.5, 1.0, 2.0, 4.0, 5.0, 5.0]


@pytest.mark.parametrize(
    ("lasted_s", "wait_s"),
    [(0.0, 8.0), (59.9, 8.0), (60.0, 0.5), (1000.0, 0.5)],  # a peer that accepts and drops at once resets nothing
)
def test_only_a_stable_period_resets_it(lasted_s: float, wait_s: float) -> None:
    backoff = Backoff(Highest(), base_s=0.5)
    for _ in range(4):
        backoff.down(0.0)
    backoff.up(100.0)
    backoff.up(100.0 + lasted_s)  # told again: it counts from the first time
    assert backoff.down(100.0 + lasted_s) == wait_s


def test_time_before_the_last_failure_does_not_count() -> None:
    backoff = Backoff(Highest(), base_s=0.5)
    backoff.up(0.0)
    backoff.down(1.0)
    assert backoff.down(500.0) == 1.0  # it was not up in between


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 200))
def test_waits_are_jittered_within_bounds(seed: int, failures: int) -> None:
    backoff = Backoff(Random(seed))
    waits = [backoff.down(0.0) for _ in range(failures)]
    assert all(0.0 <= wait <= min(30.0, 0.5 * 2.0**n) for n, wait in enumerate(waits))


@pytest.mark.parametrize(
    ("told", "waits_s"),
    [
        ("stable, down", [40.0]),  # anywhere in the round; the highest draw is its end
        ("stable, down, down, down", [40.0, 40.0, 40.0]),  # too early: its own place again, not a new draw
        ("down, down", [1.0, 2.0]),  # it never was up: nobody else has lost anything
        ("stable, down, down, up, down", [40.0, 40.0, 4.0]),  # it drops us at once: doubled pauses go on
        ("stable, down, down, stable, down, down", [40.0, 40.0, 40.0, 40.0]),  # the next outage is a new round
    ],
)
def test_what_fails_for_all_at_once_is_tried_again_in_rounds(told: str, waits_s: list[float]) -> None:
    backoff, now_s, waits = Backoff(Highest(), base_s=1.0, spread_s=40.0), 0.0, []
    for word in told.split(", "):
        if word == "down":
            waits.append(backoff.down(now_s))
            now_s += waits[-1]
        else:
            backoff.up(now_s)
            now_s += 60.0 if word == "stable" else 0.1
    assert waits == waits_s


@pytest.mark.parametrize("away_s", [0.0, 5.0, 39.0, 40.0, 47.0, 300.0])  # shorter than a round, its edges, longer
def test_whenever_the_broker_is_back_ten_thousand_come_evenly(away_s: float) -> None:
    rng, back_at = Random(7), list[float]()
    for _ in range(10_000):
        backoff = Backoff(rng, base_s=1.0, spread_s=40.0)
        backoff.up(-60.0)
        now_s = backoff.down(0.0)
        while now_s < away_s:
            now_s += backoff.down(now_s)
        back_at.append(now_s)
    a_second = Counter(int(at - away_s) for at in back_at)
    assert max(back_at) <= away_s + 40.0
    assert max(a_second.values()) <= 250 + 5 * 250**0.5  # an even round, and chance


# ------------------------------------------------------------------ clocks


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (datetime(2026, 3, 2, 1, 2, 3, 4567, tzinfo=UTC), "2026-03-02T01:02:03.004Z"),
        (datetime(2026, 3, 2, 9, 2, 3, tzinfo=timezone(timedelta(hours=8))), "2026-03-02T01:02:03.000Z"),
        (datetime(1970, 1, 1, tzinfo=UTC), "1970-01-01T00:00:00.000Z"),
    ],
)
def test_a_time_is_utc_in_milliseconds(moment: datetime, text: str) -> None:
    assert rfc3339(moment) == text
    assert unix_ms(datetime.fromisoformat(text)) == unix_ms(moment)


@settings(max_examples=200, deadline=None)
@given(st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=8)), timezone(timedelta(hours=-3))])))
def test_a_time_is_what_isoformat_says_of_it(moment: datetime) -> None:
    try:
        there = moment.astimezone(UTC)
    except OverflowError:  # the first and the last day of the calendar
        return
    assert rfc3339(moment) == there.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Boot:
    """The machine's seconds since boot, moved by hand."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def boot(monkeypatch: pytest.MonkeyPatch) -> Boot:
    made = Boot()
    monkeypatch.setattr(clock_module, "boottime_s", made)
    return made


START = datetime(2026, 3, 2, tzinfo=UTC)


def test_two_readers_of_one_clock_agree(tmp_path: Path, boot: Boot) -> None:
    owner = ScaledClock.create(tmp_path / "clock", speed=60.0, start=START)
    reader = ScaledClock(tmp_path / "clock")
    boot.now_s += 2.0
    assert owner.now_s() == reader.now_s() == START.timestamp() + 120.0
    assert reader.wall() == START + timedelta(minutes=2)
    assert reader.speed == 60.0


def test_a_change_of_speed_never_makes_time_jump(tmp_path: Path, boot: Boot) -> None:
    owner = ScaledClock.create(tmp_path / "clock", speed=60.0, start=START)
    reader = ScaledClock(tmp_path / "clock")
    boot.now_s += 1.0
    for speed in (600.0, 1.0, 0.5):
        before = reader.now_s()
        owner.set_speed(speed)
        assert reader.now_s() == before
        assert reader.speed == speed
        boot.now_s += 2.0
        assert reader.now_s() == before + 2.0 * speed


@settings(max_examples=50, deadline=None)
@given(steps=st.lists(st.tuples(st.floats(0.001, 1e4), st.floats(0, 1e4)), max_size=12))
def test_time_never_goes_back(tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[float, float]]) -> None:
    boot = Boot()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clock_module, "boottime_s", boot)
        clock = ScaledClock.create(tmp_path_factory.mktemp("clock") / "c", speed=1.0, start=START)
        last = clock.now_s()
        for speed, elapsed in steps:
            clock.set_speed(speed)
            assert clock.now_s() >= last
            boot.now_s += elapsed
            assert clock.now_s() >= last
            last = clock.now_s()


def test_a_torn_read_is_seen(tmp_path: Path, boot: Boot) -> None:
    clock = ScaledClock.create(tmp_path / "clock", speed=2.0, start=START)
    layout, whole = clock_module._LAYOUT, bytes(clock._map[:])
    torn = layout.pack(1, 0.0, 0.0, 99.0)  # odd: being written
    after = layout.pack(2, *layout.unpack(whole)[1:])

    class Changing:
        """What other processes see while the owner writes."""

        def __init__(self) -> None:
            self.reads = iter([torn, whole, after, after, after])

        def __getitem__(self, _part: slice) -> bytes:
            return next(self.reads)

    clock._map = Changing()
    assert clock.speed == 2.0  # neither the torn values nor those that changed under the reader


@pytest.mark.parametrize("speed", [0.0, -1.0])
def test_time_must_pass(tmp_path: Path, boot: Boot, speed: float) -> None:
    with pytest.raises(ValueError, match="above 0"):
        ScaledClock.create(tmp_path / "clock", speed=speed, start=START)
    clock = ScaledClock.create(tmp_path / "clock", speed=1.0, start=START)
    with pytest.raises(ValueError, match="above 0"):
        clock.set_speed(speed)


async def test_a_scaled_sleep_lasts_store_seconds(tmp_path: Path, boot: Boot, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = ScaledClock.create(tmp_path / "clock", speed=60.0, start=START)
    naps: list[float] = []

    async def nap(duration_s: float) -> None:
        naps.append(duration_s)
        boot.now_s += duration_s
        if len(naps) == 2:
            clock.set_speed(600.0)  # noticed after one nap

    monkeypatch.setattr(clock_module.asyncio, "sleep", nap)
    began_s = clock.now_s()
    await clock.sleep(330.0)
    assert naps == [0.25, 0.25, 0.25, 0.25]  # 15 + 15 at 60, then 150 + 150 at 600
    assert clock.now_s() == began_s + 330.0
    await clock.sleep(-5.0)
    assert len(naps) == 4


def test_the_environment_names_the_clock(tmp_path: Path, boot: Boot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ZHANGGUI_CLOCK", raising=False)
    assert isinstance(clock_from_env(), SystemClock)
    ScaledClock.create(tmp_path / "clock", speed=7.0, start=START)
    monkeypatch.setenv("ZHANGGUI_CLOCK", str(tmp_path / "clock"))
    found = clock_from_env()
    assert isinstance(found, ScaledClock)
    assert found.speed == 7.0


async def test_the_machine_s_own_time() -> None:
    clock = SystemClock()
    first = clock.now_s()
    await clock.sleep(-1.0)
    assert clock.now_s() >= first > 0
    assert clock.wall().tzinfo is UTC


async def test_a_manual_clock_wakes_sleepers_in_order_at_their_time(clock: ManualClock) -> None:
    woken: list[tuple[str, float]] = []

    async def sleeper(name: str, *naps_s: float) -> None:
        for nap_s in naps_s:
            await clock.sleep(nap_s)
            woken.append((name, clock.now_s()))

    async with asyncio.TaskGroup() as group:
        group.create_task(sleeper("a", 2.0, 2.0), name="a")
        group.create_task(sleeper("b", 3.0), name="b")
        group.create_task(sleeper("c", 0.0), name="c")
        await asyncio.sleep(0)
        await clock.advance(3.5)
        assert woken == [("c", 0.0), ("a", 2.0), ("b", 3.0)]
        await clock.advance(0.5)
    assert woken[-1] == ("a", 4.0)
    assert clock.wall() == datetime(2026, 1, 1, 0, 0, 4, tzinfo=UTC)


async def test_a_sleeper_that_gave_up_is_not_woken(clock: ManualClock) -> None:
    task = asyncio.create_task(clock.sleep(1.0), name="sleeper")
    await asyncio.sleep(0)
    task.cancel()
    await clock.advance(2.0)
    assert task.cancelled()
    assert clock.now_s() == 2.0
