"""The simulated trial unit, rule by rule: its table of states, its limits, its tokens, its memory of replies."""

from __future__ import annotations

import re
from pathlib import Path
from random import Random

import pytest

from device_drivers.trial_ptp import payloads as p
from device_drivers.trial_ptp.codec import BROADCAST, Frame, FrameDecoder, crc16, request
from device_drivers.trial_ptp.names import Command, EndReason, Event, Flag, State, Status
from device_drivers.trial_ptp.states import CAUSES, COMMANDS, expected
from simulators.hardware import trial_ptp_wire as wire
from simulators.hardware.trial_ptp import TrialUnit
from tests.simulators.trial_bench import UNIX_S, Bench

SOURCE = Path(__file__).parents[2] / "device_drivers/trial_ptp/states.py"


def payload_of(bench: Bench, command: Command) -> bytes:
    """A right payload, as a host in this place would send it."""
    session = p.OfSession(bench.session).to_bytes()
    match command:
        case Command.SELF_TEST:
            return b"\x00\x3f"
        case Command.AUTHORIZE:
            bench.session += 1
            return bench.token()
        case Command.ARM:
            return p.Arm(bench.session, 1, 6).to_bytes()
        case Command.START | Command.DISARM:
            return session
        case Command.ABORT | Command.DISPENSE:
            return session + b"\x01"
        case Command.SAMPLE_GET:
            return b"\x01"
        case Command.SAMPLE_SET:
            return p.SampleSet(3, b"S" * 12, b"2000000000022", 5, 4_000_000_000, bench.token("staff")).to_bytes()
        case Command.LOG_READ | Command.TIME_SYNC:
            return p.Moment(UNIX_S + int(bench.now_s) if command is Command.TIME_SYNC else 0).to_bytes()
        case Command.POLL_EVT:
            return b"\x00\x00"
        case _:
            return b""


@pytest.mark.parametrize("state", State, ids=lambda state: state.name)
@pytest.mark.parametrize("command", Command, ids=lambda command: command.name)
def test_every_command_in_every_state(command: Command, state: State) -> None:
    bench = Bench().begin(state)
    if state is State.IDLE:
        bench.challenge()
    status, target = expected(command, state)
    assert bench.ask(command, payload_of(bench, command)).status == status
    assert bench.core.state == target


def test_the_table_is_whole_and_each_row_says_why() -> None:
    assert set(COMMANDS) == set(Command)
    assert all(len(row.split()) == len(State) for row in COMMANDS.values())
    lines = SOURCE.read_text().split("\n")
    rows = [n for n, line in enumerate(lines) if re.match(r"    Command\.\w+: \"", line)]
    assert len(rows) == len(Command)
    assert all(lines[n - 1].strip().startswith("# ") for n in rows)


# One row a cause of the table: how it is brought about, from which states.
@pytest.mark.parametrize("cause", CAUSES, ids=lambda cause: f"{cause.reason} to {cause.target.name}")
def test_every_cause_moves_the_unit_and_no_cause_is_left_out(cause) -> None:
    bring = {
        "1 s": lambda bench: bench.wait(1.2),
        "third bad token": lambda bench: bench.begin(State.LOCKED),
        "5 min": lambda bench: bench.wait(301.0),
        "60 s": lambda bench: bench.wait(60.2),
        "30 s": lambda bench: bench.wait(30.2),
        "warm": lambda bench: bench.keep(18.0),
        "a puff begins": lambda bench: bench.core.draw(bench.now_s, 1.0),
        "it ends": lambda bench: bench.keep(2.1),
        "it was the last": lambda bench: bench.keep(2.1),
        "host silent 2 s": lambda bench: bench.wait(2.1),
        "session 180 s": lambda bench: bench.keep(100.0 + 181.0 - bench.now_s),
        "45 s, not warm": lambda bench: bench.keep(46.0),
        "door, too hot, no airflow 1 s, sensor": lambda bench: bench.world(door_open=True),
        "cool": lambda bench: bench.wait(90.0),
        "aired": lambda bench: bench.wait(3.2),
    }
    for source in cause.sources:
        bench = Bench()
        if cause.reason == "45 s, not warm":
            bench.world(heater_broken=True)
        if cause.reason == "session 180 s" and source is State.PUFFING:
            bench.begin(State.READY).keep(100.0 + 178.0 - bench.now_s)
            assert bench.core.draw(bench.now_s, 5.0)
        else:
            bench.begin(source, puffs=1 if cause.reason == "it was the last" else 6)
        before = len(bench.core.history)
        bring[cause.reason](bench)
        assert [state for _, state, _ in bench.core.history][before - 1 : before + 1] == [source, cause.target]


def test_a_trial_from_the_token_to_the_clean_air_and_what_the_host_hears_of_it() -> None:
    bench = Bench().begin(State.READY, puffs=2)
    for _ in range(2):
        assert bench.core.draw(bench.now_s, 1.85)
        bench.keep(3.0)
    assert bench.core.state == State.COOLDOWN
    assert not bench.core.heater_enabled
    bench.keep(90.0)
    assert bench.core.state == State.IDLE
    report = p.StatusReport.from_bytes(bench.ask(Command.STATUS).payload)
    assert (report.session, report.puffs_done, report.fault) == (42, 2, 0)  # kept until the next token
    told = [f for f in FrameDecoder(lambda *_: None).feed(b"".join(b for _, b in bench.unit._events)) if f.is_event]
    puffs = [p.Puff.from_bytes(f.payload) for f in told if f.command == Event.PUFF]
    assert [(puff.session, puff.index, puff.duration_ms, puff.volume_dml) for puff in puffs] == [
        (42, 1, 1850, 43),
        (42, 2, 1850, 43),
    ]
    ends = [p.SessionEnded.from_bytes(f.payload) for f in told if f.command == Event.SESSION_END]
    assert [(end.session, end.reason, end.puffs) for end in ends] == [(42, EndReason.PUFFS_USED, 2)]
    states = [p.StateChanged.from_bytes(f.payload).state for f in told if f.command == Event.STATE]
    assert states == [0, 1, 2, 3, 4, 5, 6, 5, 6, 7, 8, 1]


def test_a_stick_is_handed_out_once_for_a_token() -> None:
    bench = Bench(capabilities=0x08).begin(State.ARMED)
    dispense = p.Dispense(bench.session, 1).to_bytes()
    assert bench.ask(Command.DISPENSE, dispense).status == Status.OK
    assert bench.core.state == State.PURGE
    assert bench.ask(Command.DISPENSE, dispense).status == Status.WRONG_STATE
    bench.wait(4.0)
    assert bench.ask(Command.DISPENSE, dispense).status == Status.NOT_AUTHORIZED
    assert (bench.core.counters["dispensed"], bench.core.slots[1].remaining) == (1, 19)
    assert bench.core.body.hottest_c < 23


@pytest.mark.parametrize(
    ("what", "status"),
    [
        ({"door_open": True}, Status.DOOR_OPEN),
        ({"air_flows": False}, Status.AIRFLOW),  # already before its second is over
        ({"sensor_broken": True}, Status.SENSOR),
        ({"temperature_c": 281.0}, Status.OVER_TEMP),
    ],
)
def test_no_start_while_something_is_wrong(what: dict[str, float], status: Status) -> None:
    bench = Bench().begin(State.ARMED)
    bench.world(**what)
    assert bench.start().status == status
    assert bench.core.state == State.ARMED
    assert not bench.core.heater_enabled


def test_a_unit_without_a_fan_starts_without_one() -> None:
    bench = Bench(capabilities=0x03).begin(State.ARMED)
    bench.world(air_flows=False)
    assert bench.start().status == Status.OK
    bench.keep(20.0)
    assert bench.core.state == State.READY


@pytest.mark.parametrize("state", [State.HEATING, State.READY, State.PUFFING], ids=lambda s: s.name)
@pytest.mark.parametrize(
    ("bring", "within_s", "reason", "fault"),
    [
        (lambda b: b.abort(), 0.0, EndReason.ABORTED, 0),
        (lambda b: b.abort(session=7), 0.0, EndReason.ABORTED, 0),  # whatever session the host believes in
        (lambda b: b.world(door_open=True), 0.1, EndReason.FAULT, Status.DOOR_OPEN),
        (lambda b: b.world(temperature_c=265.2), 0.1, EndReason.FAULT, Status.OVER_TEMP),
        (lambda b: b.world(air_flows=False), 1.1, EndReason.FAULT, Status.AIRFLOW),
        (lambda b: b.world(sensor_broken=True), 0.1, EndReason.FAULT, Status.SENSOR),
        (lambda b: None, 2.1, EndReason.HOST_LOST, 0),
    ],
    ids=["abort", "abort of another session", "door", "too hot", "no air", "sensor", "host lost"],
)
def test_heat_ends_in_time(state: State, bring, within_s: float, reason: EndReason, fault: int) -> None:
    bench = Bench().begin(state)
    if within_s != 2.1:
        bench.ask(Command.PING)
    began_s = bench.core.guard.heard_s if within_s == 2.1 else bench.now_s
    bring(bench)
    while bench.core.heater_enabled:
        bench.core.advance(bench.core.now_s + 0.01)
    assert bench.core.now_s - began_s <= within_s + 1e-6
    assert bench.core.history[-1][2] == f"end {int(reason)}"
    assert bench.core.fault == fault
    assert not bench.core.heater_on


def test_air_that_comes_back_within_a_second_is_forgiven_and_its_second_begins_anew() -> None:
    bench = Bench().begin(State.READY)
    for _ in range(3):
        bench.world(air_flows=False)
        bench.keep(0.9)
        bench.world(air_flows=True)
        bench.keep(0.2)
    assert bench.core.state == State.READY


def test_a_stuck_relay_is_cut_at_25_above_the_setpoint_and_at_280() -> None:
    for setpoint_dc, most_c in ((2400, 265.0), (2700, 280.0)):
        bench = Bench()
        bench.ask(Command.SET_CONFIG, b"\x01\x02" + setpoint_dc.to_bytes(2, "big"))
        bench.begin(State.HEATING)
        bench.world(relay_stuck=True)
        bench.keep(30.0)
        assert bench.core.fault == Status.OVER_TEMP
        assert most_c < bench.core.body.hottest_c < most_c + 2.0


def test_a_fault_is_acknowledged_by_abort_once_its_cause_is_gone() -> None:
    bench = Bench().begin(State.READY)
    bench.world(door_open=True)
    assert bench.abort().status == Status.OK
    assert bench.core.state == State.FAULT
    bench.world(door_open=False)
    bench.wait(10.0)
    assert bench.core.state == State.FAULT
    bench.abort()
    assert bench.core.state == State.COOLDOWN


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("good", Status.OK),
        ("forged", Status.TOKEN_BAD),  # another key
        ("neighbour", Status.TOKEN_BAD),  # made for the unit beside
        ("bit", Status.TOKEN_BAD),  # the last bit of the MAC
        ("minor", Status.TOKEN_BAD),  # the right key, an age below 18
        ("foreign", Status.NONCE_USED),  # a nonce that was never given
        ("late", Status.TOKEN_EXPIRED),  # issued 90 s ago
        ("staff", Status.BAD_PARAM),  # changes samples, starts nothing
    ],
)
def test_tokens(kind: str, status: Status) -> None:
    bench = Bench()
    bench.challenge()
    assert bench.authorize(kind).status == status
    assert bench.core.state == (State.AUTHORIZED if status == Status.OK else State.IDLE)


def test_a_token_is_good_once() -> None:
    bench = Bench()
    bench.challenge()
    used = bench.token()
    assert bench.ask(Command.AUTHORIZE, used).status == Status.OK
    bench.abort()
    assert bench.core.state == State.IDLE
    assert bench.ask(Command.AUTHORIZE, used).status == Status.NONCE_USED


@pytest.mark.parametrize(("age_s", "status"), [(59.0, Status.OK), (61.0, Status.TOKEN_EXPIRED)])
def test_a_nonce_lives_60_s(age_s: float, status: Status) -> None:
    bench = Bench()
    bench.challenge()
    bench.wait(age_s)
    assert bench.authorize().status == status


def test_another_challenge_voids_the_nonce_before() -> None:
    bench = Bench()
    bench.challenge()
    old = bench.token()
    bench.challenge()
    assert bench.ask(Command.AUTHORIZE, old).status == Status.NONCE_USED


def test_a_unit_that_was_never_told_the_time_judges_no_token() -> None:
    bench = Bench()
    bench.unit.reboot(bench.now_s)
    bench.witness.rebooted()
    bench.wait(2.0)
    bench.challenge()
    assert bench.authorize().status == Status.TOKEN_EXPIRED
    bench.sync_time()
    bench.challenge()
    assert bench.authorize().status == Status.OK


def test_three_bad_tokens_in_a_row_lock_for_five_minutes_also_through_a_power_cut() -> None:
    bench = Bench()
    for kind in ("forged", "forged", "good"):
        bench.challenge()
        bench.authorize(kind)
    bench.abort()
    for _ in range(2):  # a good one in between: the count began anew
        bench.challenge()
        assert bench.authorize("forged").status == Status.TOKEN_BAD
    assert bench.core.state == State.IDLE
    assert bench.authorize("forged").status == Status.TOKEN_BAD
    assert bench.core.state == State.LOCKED
    assert bench.challenge().status == Status.LOCKOUT
    bench.unit.reboot(bench.now_s)
    bench.wait(2.0)
    assert bench.core.state == State.LOCKED
    bench.wait(297.0)
    assert bench.core.state == State.LOCKED
    bench.wait(2.0)
    assert bench.core.state == State.IDLE


@pytest.mark.parametrize(
    ("puffs", "armed", "status"),
    [
        (6, 6, Status.OK),
        (2, 3, Status.QUOTA),  # more than the token allows
        (7, 0, Status.QUOTA),  # the token asks for more than the unit gives (refused at AUTHORIZE)
        (6, 0, Status.BAD_PARAM),
    ],
)
def test_puffs_are_bounded_by_unit_and_token(puffs: int, armed: int, status: Status) -> None:
    bench = Bench()
    bench.challenge()
    first = bench.authorize(puffs=puffs).status
    assert (first or bench.arm(puffs=armed).status) == status


@pytest.mark.parametrize(
    ("slot", "remaining", "expires_s", "status"),
    [
        (1, 1, 4_000_000_000, Status.OK),
        (1, 0, 4_000_000_000, Status.NO_SAMPLE),
        (9, 1, 4_000_000_000, Status.NO_SAMPLE),  # no such slot
        (1, 1, UNIX_S, Status.SAMPLE_EXPIRED),
    ],
)
def test_samples_must_be_there_and_fresh(slot: int, remaining: int, expires_s: int, status: Status) -> None:
    bench = Bench().begin(State.AUTHORIZED)
    bench.core.slots[1].remaining, bench.core.slots[1].expires_s = remaining, expires_s
    assert bench.arm(slot=slot).status == status


def test_a_sample_is_changed_by_a_staff_token_only_and_read_back() -> None:
    bench = Bench()
    for kind, status in (("good", Status.BAD_PARAM), ("forged", Status.TOKEN_BAD), ("staff", Status.OK)):
        bench.challenge()
        change = p.SampleSet(3, b"S" * 12, b"2000000000022", 5, 4_000_000_000, bench.token(kind))
        assert bench.ask(Command.SAMPLE_GET, b"\x03").status == Status.NO_SAMPLE
        assert bench.ask(Command.SAMPLE_SET, change.to_bytes()).status == status
    sample = p.Sample.from_bytes(bench.ask(Command.SAMPLE_GET, b"\x03").payload)
    assert sample == p.Sample(b"S" * 12, b"2000000000022", 5, 4_000_000_000)


@pytest.mark.parametrize("name", ["arm", "start"])
def test_the_session_must_be_the_tokens(name: str) -> None:
    bench = Bench().begin(State.AUTHORIZED if name == "arm" else State.ARMED)
    assert getattr(bench, name)(session=7).status == Status.NO_SESSION
    assert not bench.core.heater_enabled


# Command, payload, status: what the unit says to nonsense while it is idle.
@pytest.mark.parametrize(
    ("command", "payload", "status"),
    [
        (0x66, b"", Status.UNKNOWN_CMD),
        (Command.STATUS, b"\x00", Status.BAD_LENGTH),
        (Command.AUTHORIZE, bytes(41), Status.BAD_LENGTH),
        (Command.POLL_EVT, b"\x00", Status.BAD_LENGTH),
        (Command.SET_CONFIG, b"\x01\x02\x0b", Status.BAD_PARAM),  # cut
        (Command.SET_CONFIG, b"\x01", Status.BAD_PARAM),
        (Command.SET_CONFIG, b"\x01\x02\x7f\xff", Status.BAD_PARAM),  # 3276.7 degrees
        (Command.SET_CONFIG, b"\x03\x02\x00\xb5", Status.BAD_PARAM),  # a session of 181 s
        (Command.SET_CONFIG, b"\x09\x00", Status.BAD_PARAM),
        (Command.GET_CONFIG, b"\x09", Status.BAD_PARAM),
    ],
)
def test_nonsense_is_named_and_changes_nothing(command: int, payload: bytes, status: Status) -> None:
    bench = Bench()
    before = bench.ask(Command.GET_CONFIG).payload
    assert bench.ask(command, payload).status == status
    assert bench.ask(Command.GET_CONFIG).payload == before == bytes.fromhex("01 02 09 60 02 01 06 03 02 00 B4")


@pytest.mark.parametrize(("capabilities", "command"), [(0x08, Command.START), (0x01, Command.DISPENSE)])
def test_what_is_not_built_in_is_not_known(capabilities: int, command: Command) -> None:
    bench = Bench(capabilities=capabilities).begin(State.ARMED)
    assert bench.ask(command, payload_of(bench, command)).status == Status.UNKNOWN_CMD


def test_an_unknown_version_is_answered_with_02_and_a_bad_check_sum_with_silence() -> None:
    bench = Bench()
    frame = bytearray(request(5, 9, Command.STATUS).to_bytes())
    frame[0] = 0x20
    foreign = bytes(frame[:-2]) + crc16(bytes(frame[:-2])).to_bytes(2, "big")
    reply = Frame.from_wire(bench.write(wire.stuffed(foreign)))
    assert (reply.status, reply.sequence, reply.version) == (Status.BAD_VERSION, 9, 1)
    assert bench.write(wire.stuffed(bytes(frame))) == b""
    assert bench.unit.counters["bad_crc"] == 1
    assert p.Counters.from_bytes(bench.ask(Command.COUNTERS).payload).crc_errors == 1


def test_only_hello_and_abort_are_taken_from_all_and_abort_answers_nothing() -> None:
    bench = Bench().begin(State.READY)
    status = wire.frame_of(flags=0, address=0xFF, sequence=1, command=Command.STATUS, status=0, payload=b"")
    assert bench.write(status) == b""
    assert Frame.from_wire(bench.write(request(BROADCAST, 2, Command.HELLO).to_wire())).address == 5
    assert bench.write(request(BROADCAST, 3, Command.ABORT, p.Abort(0, 1).to_bytes()).to_wire()) == b""
    assert bench.core.state == State.COOLDOWN


def test_what_is_said_to_others_keeps_nobody_warm() -> None:
    bench = Bench().begin(State.READY)
    bench.ask(Command.PING)
    for n in range(25):
        bench.wait(0.1)
        assert bench.write(request(6, n, Command.PING).to_wire()) == b""
        assert bench.write(b"\x00\x01\x02\x03\x00") == b""
    assert bench.core.history[-1][2] == f"end {int(EndReason.HOST_LOST)}"


def test_a_frame_longer_than_260_bytes_is_dropped() -> None:
    bench = Bench()
    assert bench.write(b"\0" + b"\x07" * 261 + b"\0") == b""
    assert bench.unit.counters["too_long"] == 1
    assert bench.ask(Command.PING, b"still here").payload == b"still here"


def test_a_repeat_gets_the_old_reply_and_acts_no_second_time() -> None:
    bench = Bench().begin(State.ARMED)
    first = bench.start()
    reply = bench.last_reply
    assert bench.again() == first
    assert bench.last_reply == reply
    assert bench.core.slots[1].remaining == 19
    bench.abort()
    start = Frame(5, first.sequence, Command.START, p.OfSession(bench.session).to_bytes(), flags=Flag.RETRY)
    assert Frame.from_wire(bench.write(start.to_wire())) == first  # the old word, no new heat
    assert not bench.core.heater_enabled


def test_hello_empties_the_memory_of_replies_and_is_itself_never_repeated_from_it() -> None:
    bench = Bench()
    bench.ask(Command.PING, b"one")
    old = Frame(5, bench.last.sequence, Command.PING, b"one", flags=Flag.RETRY)
    bench.write(old.to_wire())
    assert bench.unit.counters["replayed"] == 1
    hello = request(5, 77, Command.HELLO)
    bench.write(hello.to_wire())
    bench.write(old.to_wire())
    assert bench.unit.counters["replayed"] == 1
    bench.write(Frame(5, 77, Command.HELLO, flags=Flag.RETRY).to_wire())
    assert bench.unit.counters["replayed"] == 1


def test_another_question_under_an_old_sequence_is_not_answered_from_memory() -> None:
    bench = Bench()
    bench.ask(Command.PING, b"one")
    other = Frame(5, bench.last.sequence, Command.PING, b"two", flags=Flag.RETRY)
    assert Frame.from_wire(bench.write(other.to_wire())).payload == b"two"


def test_sixteen_replies_are_kept() -> None:
    bench = Bench()
    bench.ask(Command.PING, b"old")
    old = bench.last
    for _ in range(16):
        bench.ask(Command.PING)
    before = bench.unit.counters["replayed"]
    bench.write(Frame(5, old.sequence, Command.PING, b"old", flags=Flag.RETRY).to_wire())
    assert bench.unit.counters["replayed"] == before


def test_events_wait_for_their_slot_until_they_were_heard() -> None:
    bench = Bench().begin(State.ARMED)

    def slot(heard: int) -> tuple[list[int], p.PollEnd]:
        bench.ask(Command.POLL_EVT, p.PollAsk(heard).to_bytes())
        frames = FrameDecoder(lambda *_: None).feed(bench.last_reply)
        return [f.sequence for f in frames if f.is_event], p.PollEnd.from_bytes(frames[-1].payload)

    first, end = slot(0)
    assert len(first) == end.told == 4  # BOOT, IDLE, AUTHORIZED, ARMED
    assert slot(0)[0] == first  # nothing was heard: the same once more
    assert slot(first[1])[0] == first[2:]
    assert slot(first[-1]) == ([], p.PollEnd(0, 0))


def test_events_come_at_once_on_a_usb_line() -> None:
    heard: list[bytes] = []
    bench = Bench()
    bench.unit._at_once = heard.append
    bench.begin(State.ARMED)
    assert [Frame.from_wire(data).command for data in heard] == [Event.STATE, Event.STATE]


def test_the_log_is_read_in_pages_and_its_end_is_an_empty_one() -> None:
    bench = Bench()
    for _ in range(20):
        bench.session += 1
        bench.challenge()
        bench.authorize()
        bench.abort()
    cursor, entries = 0, []
    while True:
        page = p.LogPage.from_bytes(bench.ask(Command.LOG_READ, p.Moment(cursor).to_bytes()).payload)
        if not page.entries:
            break
        cursor, entries = page.cursor, [*entries, *page.entries]
    assert [entry.detail for entry in entries] == [0, 1] + [2, 1] * 20
    assert page.cursor == len(entries)


def test_a_power_cut_ends_everything_and_is_counted() -> None:
    bench = Bench().begin(State.READY)
    bench.unit.reboot(bench.now_s)
    bench.witness.rebooted()
    assert not bench.core.heater_enabled
    assert bench.start().status == Status.BUSY
    bench.wait(1.5)
    assert bench.start().status == Status.NOT_AUTHORIZED
    report = p.StatusReport.from_bytes(bench.ask(Command.STATUS).payload)
    assert (report.session, report.puffs_done) == (0, 0)
    assert p.Counters.from_bytes(bench.ask(Command.COUNTERS).payload).power_ups == 2


def test_a_disguised_reply_is_whole_but_of_another_unit() -> None:
    bench = Bench()
    bench.ask(Command.POLL_EVT, b"\x00\x00")
    for frame in FrameDecoder(lambda *_: None).feed(bench.unit.disguise(bench.last_reply)):
        assert frame.address == 6


def test_a_self_test_names_what_is_broken() -> None:
    bench = Bench()
    assert bench.ask(Command.SELF_TEST, b"\x00\x3f").payload == b"\x00\x3f"
    bench.world(heater_broken=True, air_flows=False)
    assert bench.ask(Command.SELF_TEST, b"\x00\x3f").payload == b"\x00\x2e"


# The dialogue of the test vectors, question and answer on the wire (C): the simulated unit speaks it byte for byte.
DIALOGUE = [
    (
        "00 03 10 05 03 01 01 01 03 C4 30 00",  # HELLO
        "00 03 11 05 03 01 01 06 0B 01 02 01 03 04 C0 FF EE 05 3F 06 4D 72 00",
    ),
    (
        "00 03 10 05 03 02 0F 01 03 44 ED 00",  # CHALLENGE
        "00 03 11 05 03 02 0F 0C 08 A1 B2 C3 D4 E5 F6 07 18 72 3D 00",
    ),
    (
        "00 03 10 05 03 03 10 0B 2A 01 A1 B2 C3 D4 E5 F6 07 18 01 01 04 2A 01 12 01 06 03 EF 69 55 B9 01 15 3C 06 57 4E 50 54 9D BC B5 CD 0B 98 AF A1 41 B5 86 DE 9B DA 00",  # AUTHORIZE
        "00 03 11 05 03 03 10 03 06 02 01 01 05 2A 06 34 C5 00",
    ),
    ("00 03 10 05 03 04 11 02 06 01 01 06 2A 02 06 C3 77 00", None),  # ARM slot 2: the vectors hold no answer
    ("00 03 10 05 03 05 12 02 04 01 01 04 2A 50 4A 00", None),  # START
    ("00 03 10 05 03 06 13 02 05 01 01 05 2A 01 2F E3 00", None),  # ABORT
]


class Written(Random):
    """The nonce of the vectors."""

    def randbytes(self, n: int) -> bytes:
        return bytes.fromhex("A1B2C3D4E5F60718")[:n]


def test_the_golden_dialogue() -> None:
    unit = TrialUnit(rng=Written(1))
    unit.core.advance(100.0)
    unit.core.desk.clock = (UNIX_S, 100.0)
    for question, answer in DIALOGUE:
        frames = unit.split(bytes.fromhex(question), 100.0)
        replies = b"".join(unit.answer(frame, 100.0) for frame in frames)
        assert Frame.from_wire(replies).status == Status.OK
        assert answer is None or replies == bytes.fromhex(answer)
    assert [state for _, state, _ in unit.core.history] == [0, 1, 2, 3, 4, 7]


def test_the_golden_answer_to_a_bad_token() -> None:
    unit = TrialUnit(key=bytes(32))
    unit.core.advance(100.0)
    frames = unit.split(bytes.fromhex(DIALOGUE[2][0]), 100.0)
    assert unit.answer(frames[0], 100.0) == bytes.fromhex("00 03 11 05 04 03 10 21 03 D0 BD 00")
