"""What a simulated trial unit answers to each command, and where each is allowed: written from the tables of PTP/1."""

from __future__ import annotations

from collections.abc import Callable
from struct import pack, unpack

from simulators.hardware import trial_ptp_safety as s
from simulators.hardware.trial_ptp_core import HEAT, SampleSlot, TrialCore

HELLO, STATUS, SELF_TEST, SET_CONFIG, GET_CONFIG, POLL = 0x01, 0x02, 0x03, 0x04, 0x05, 0x0E
CHALLENGE, AUTHORIZE, ARM, START, ABORT, DISPENSE, DISARM = 0x0F, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15
SAMPLE_GET, SAMPLE_SET, COUNTERS, LOG_READ, TIME_SYNC, PING = 0x20, 0x21, 0x30, 0x31, 0x40, 0x7F
UNKNOWN_CMD, BAD_LENGTH, BAD_PARAM, BUSY, WRONG_STATE, NO_SESSION = 0x01, 0x03, 0x04, 0x05, 0x10, 0x11
NOT_AUTHORIZED, NO_SAMPLE, SAMPLE_EXPIRED, QUOTA, LOCKOUT = 0x20, 0x30, 0x31, 0x32, 0x4F
DISPENSER = 8
SERIAL, FIRMWARE, MODEL = 0x00C0FFEE, 0x0103, 2
LOG_PAGE = 27
SETPOINT, MAX_PUFFS, LIMIT = 1, 2, 3  # settings: tenths of a degree i16, u8, seconds u16

_ALWAYS = (HELLO, STATUS, POLL, ABORT, PING)
_READS = (GET_CONFIG, SAMPLE_GET, COUNTERS, LOG_READ, TIME_SYNC)
_AT_REST = (SET_CONFIG, CHALLENGE, AUTHORIZE, SAMPLE_SET)
_ANY = -1
_LENGTHS = {
    HELLO: 0,
    STATUS: 0,
    SELF_TEST: 2,
    SET_CONFIG: _ANY,
    GET_CONFIG: _ANY,
    CHALLENGE: 0,
    AUTHORIZE: 42,
    ARM: 6,
    START: 4,
    ABORT: 5,
    DISPENSE: 5,
    DISARM: 4,
    SAMPLE_GET: 1,
    SAMPLE_SET: 73,
    COUNTERS: 0,
    LOG_READ: 4,
    TIME_SYNC: 4,
    PING: _ANY,
}

Answer = tuple[int, bytes]


class Commands:
    """Carries out one command on a core: status and payload of the reply."""

    def __init__(self, core: TrialCore) -> None:
        self._core = core
        self._do: dict[int, Callable[[bytes], Answer]] = {
            HELLO: self._hello,
            STATUS: self._status,
            SELF_TEST: self._self_test,
            SET_CONFIG: self._set_config,
            GET_CONFIG: self._get_config,
            CHALLENGE: lambda _: (0, core.desk.challenge(core.now_s)),
            AUTHORIZE: self._authorize,
            ARM: self._arm,
            START: self._start,
            ABORT: self._abort,
            DISPENSE: self._dispense,
            DISARM: self._disarm,
            SAMPLE_GET: self._sample_get,
            SAMPLE_SET: self._sample_set,
            COUNTERS: self._counters,
            LOG_READ: self._log_read,
            TIME_SYNC: self._time_sync,
            PING: lambda payload: (0, payload),
        }

    def run(self, command: int, payload: bytes) -> Answer:
        """Known, of the right length, allowed here: then done."""
        length = _LENGTHS.get(command)
        if length is None or not self._built_in(command):
            return UNKNOWN_CMD, b""
        if length not in (_ANY, len(payload)):
            return BAD_LENGTH, b""
        if status := self.place(command):
            return status, b""
        return self._do[command](payload)

    def place(self, command: int) -> int:
        """Whether a command is allowed in the state that is; 0 if so."""
        state = self._core.state
        if command in _ALWAYS:
            return 0
        if state == s.BOOT:
            return BUSY
        if command in _READS:
            return 0
        if command == SELF_TEST:
            return 0 if state in (s.IDLE, s.FAULT, s.LOCKED) else WRONG_STATE
        if state == s.LOCKED:
            return LOCKOUT
        if command in _AT_REST:
            return 0 if state == s.IDLE else WRONG_STATE
        return self._place_in_session(command, state)

    def _place_in_session(self, command: int, state: int) -> int:
        if command == DISARM:
            legal: tuple[int, ...] = (s.AUTHORIZED, s.ARMED)
        else:
            legal = (s.AUTHORIZED,) if command == ARM else (s.ARMED,)
        if state in legal:
            return 0
        if state == s.IDLE:
            return NO_SESSION if command == DISARM else NOT_AUTHORIZED
        return WRONG_STATE

    def _built_in(self, command: int) -> bool:
        needs = {START: HEAT, DISPENSE: DISPENSER}.get(command, 0)
        return self._core.guard.capabilities & needs == needs

    def _hello(self, _payload: bytes) -> Answer:
        core = self._core
        numbers = (1, MODEL, FIRMWARE, SERIAL, core.guard.capabilities, core.unit_max_puffs)
        return 0, pack(">BBHIHB", *numbers)

    def _status(self, _payload: bytes) -> Answer:
        core, guard = self._core, self._core.guard
        slots = [core.slots[core.slot]] if core.slot in core.slots else list(core.slots.values())
        flags = any(slot.remaining for slot in slots) | guard.exhaust_ok() << 1 | (not core.body.door_open) << 2
        return 0, pack(
            ">BIhhBBHBB",
            core.state,
            core.session,
            round(guard.shown_c() * 10),
            round(guard.setpoint_c * 10),
            core.puffs,
            core.max_puffs,
            guard.seconds_left(core.state, core.now_s),
            flags,
            core.fault,
        )

    def _self_test(self, payload: bytes) -> Answer:
        body, guard = self._core.body, self._core.guard
        failed = body.heater_broken * HEAT | (not body.air_flows) * s.HAS_EXHAUST | body.sensor_broken * HEAT
        return 0, pack(">H", unpack(">H", payload)[0] & guard.capabilities & ~failed)

    def _set_config(self, payload: bytes) -> Answer:
        core, at, changes = self._core, 0, {}
        while at < len(payload):
            kind, value = payload[at], payload[at + 2 : at + 2 + (payload[at + 1] if at + 1 < len(payload) else 0)]
            if at + 2 > len(payload) or len(value) != payload[at + 1]:
                return BAD_PARAM, b""
            changes[kind] = int.from_bytes(value, "big", signed=kind == SETPOINT)
            at += 2 + len(value)
        bounds = {SETPOINT: (1000, 2750), MAX_PUFFS: (1, 20), LIMIT: (10, int(s.SESSION_S))}
        for kind, number in changes.items():
            if kind not in bounds or not bounds[kind][0] <= number <= bounds[kind][1]:
                return BAD_PARAM, b""
        core.guard.setpoint_c = changes.get(SETPOINT, core.guard.setpoint_c * 10) / 10
        core.unit_max_puffs = changes.get(MAX_PUFFS, core.unit_max_puffs)
        core.guard.session_s = float(changes.get(LIMIT, core.guard.session_s))
        return 0, b""

    def _get_config(self, payload: bytes) -> Answer:
        core = self._core
        values = {
            SETPOINT: pack(">h", round(core.guard.setpoint_c * 10)),
            MAX_PUFFS: bytes([core.unit_max_puffs]),
            LIMIT: pack(">H", round(core.guard.session_s)),
        }
        if not set(payload) <= set(values):
            return BAD_PARAM, b""
        return 0, b"".join(bytes([k, len(v)]) + v for k, v in values.items() if not payload or k in payload)

    def _authorize(self, payload: bytes) -> Answer:
        core = self._core
        status, permit = core.desk.judge(payload, core.now_s)
        core.look()  # the third bad token shuts the unit
        if not status and (permit.session == 0 or permit.puffs == 0):
            status = BAD_PARAM  # a staff token: it changes samples and starts nothing
        if not status and permit.puffs > core.unit_max_puffs:
            status = QUOTA
        if status:
            return status, b""
        core.admit(permit.session, permit.puffs)
        return 0, pack(">BIB", core.state, core.session, core.max_puffs)

    def _arm(self, payload: bytes) -> Answer:
        core = self._core
        session, slot, puffs = unpack(">IBB", payload)
        if not self._same_session(session):
            return NO_SESSION, b""
        if status := self._sample_problem(slot):
            return status, b""
        if puffs == 0:
            return BAD_PARAM, b""
        if puffs > core.token_puffs:
            return QUOTA, b""
        core.slot, core.max_puffs = slot, puffs
        core.enter(s.ARMED, "arm")
        return 0, b""

    def _start(self, payload: bytes) -> Answer:
        if not self._same_session(unpack(">I", payload)[0]):
            return NO_SESSION, b""
        if status := self._start_problem():
            return status, b""
        self._core.heat()
        return 0, b""

    def _start_problem(self) -> int:
        """What forbids heat before it begins: more is asked here than is allowed once it runs."""
        core = self._core
        if not core.guard.exhaust_ok():
            return s.AIRFLOW
        return core.guard.fault(core.now_s) or self._sample_problem(core.slot)

    def _sample_problem(self, slot: int) -> int:
        core = self._core
        sample = core.slots.get(slot)
        if sample is None or not sample.remaining:
            return NO_SAMPLE
        clock = core.desk.clock
        if clock is None or clock[0] + core.now_s - clock[1] > sample.expires_s:
            return SAMPLE_EXPIRED
        return 0

    def _same_session(self, session: int) -> bool:
        return self._core.authorized and session == self._core.session

    def _abort(self, _payload: bytes) -> Answer:
        self._core.abort()
        return 0, b""

    def _dispense(self, payload: bytes) -> Answer:
        core = self._core
        session, slot = unpack(">IB", payload)
        if not self._same_session(session):
            return NO_SESSION, b""
        if slot != core.slot:
            return BAD_PARAM, b""
        if status := self._sample_problem(slot):
            return status, b""
        core.use_sample()
        core.counters["dispensed"] += 1
        core.end(s.DISPENSED, s.PURGE)
        return 0, b""

    def _disarm(self, payload: bytes) -> Answer:
        if not self._same_session(unpack(">I", payload)[0]):
            return NO_SESSION, b""
        self._core.end(s.DISARMED, s.IDLE)
        return 0, b""

    def _sample_get(self, payload: bytes) -> Answer:
        sample = self._core.slots.get(payload[0])
        if sample is None:
            return NO_SAMPLE, b""
        return 0, pack(">12s13sBI", sample.sample_id, sample.ean, sample.remaining, sample.expires_s)

    def _sample_set(self, payload: bytes) -> Answer:
        core = self._core
        slot, sample_id, ean, remaining, expires_s, token = unpack(">B12s13sBI42s", payload)
        status, permit = core.desk.judge(token, core.now_s)
        core.look()
        if not status and (permit.session or permit.puffs or not 1 <= slot <= 8 or not ean.isdigit()):
            status = BAD_PARAM
        if status:
            return status, b""
        core.slots[slot] = SampleSlot(sample_id, ean, remaining, expires_s)
        return 0, b""

    def _counters(self, _payload: bytes) -> Answer:
        core, names = self._core, ("power_ups", "sessions", "puffs", "heated_s", "bad_crc")
        return 0, pack(">7I", *(core.counters[n] for n in names), core.desk.bad_ever, core.counters["faults"])

    def _log_read(self, payload: bytes) -> Answer:
        cursor, log = unpack(">I", payload)[0], self._core.log
        page = log[cursor : cursor + LOG_PAGE]
        end = pack(">I", min(cursor, len(log)) + len(page))
        return 0, end + b"".join(pack(">IBH", int(at_s), code, detail) for at_s, code, detail in page)

    def _time_sync(self, payload: bytes) -> Answer:
        self._core.desk.clock = (unpack(">I", payload)[0], self._core.now_s)
        return 0, b""
