"""Bugs planted in the simulated trial unit: each leaves one rule out. The witness or one look at the unit must notice."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any
from unittest.mock import patch

from device_drivers.trial_ptp.codec import request
from device_drivers.trial_ptp.names import Command, Flag
from simulators.hardware import trial_ptp_wire as wire
from simulators.hardware.trial_ptp import TrialUnit
from simulators.hardware.trial_ptp_commands import Commands
from simulators.hardware.trial_ptp_core import TrialCore
from simulators.hardware.trial_ptp_locks import TokenDesk
from simulators.hardware.trial_ptp_safety import Guard
from tests.simulators.trial_bench import Action, Bench, run

Plant = Callable[[], AbstractContextManager[object]]


@dataclass(frozen=True, slots=True)
class Mutant:
    """A planted bug and what the witness says of it."""

    name: str
    plant: Plant
    noticed: str


def _put(target: type, name: str, made: Callable[..., Any]) -> Plant:
    return lambda: patch.object(target, name, made)


def _never(*_: object) -> int:
    return 0


def _always(*_: object) -> bool:
    return True


def _abort_keeps_heat(self: TrialCore) -> None:
    if self.hot_state:
        self.enter(7, "mutant")  # COOLDOWN, with the relay closed


def _short_mac(self: TokenDesk, token: bytes) -> bool:
    return wire.hmac.new(self.key, bytes([self.address]) + token[:26], "sha256").digest()[:8] == token[26:34]


def _any_address(self: TokenDesk, token: bytes) -> bool:
    return any(wire.vouched(token, address, self.key) for address in (5, 6))


def _without_age(_self: TokenDesk, permit: wire.Permit) -> bool:
    return permit.version == 1


def _limitless(state: int) -> Callable[..., bool]:
    original = Guard.state_over

    def over(self: Guard, now_state: int, now_s: float) -> bool:
        return now_state != state and original(self, now_state, now_s)

    return over


def _remembers_all(self: TrialUnit, question: wire.Request, reply: bytes) -> None:
    self._kept[question.sequence] = (question.command, question.payload, reply)


def _quota_forgotten(self: Commands, payload: bytes) -> tuple[int, bytes]:
    self._core.token_puffs = 255
    return _ARM(self, payload)


def _power_cut_unlocks(self: TokenDesk) -> None:
    self.nonce, self.clock, self.locked_until_s = b"", None, 0.0


def _answers_noise(self: TrialUnit, piece: bytes) -> bytes:
    return wire.unstuffed(piece) if len(piece) > 9 else b""


_ARM = Commands._arm

MUTANTS: tuple[Mutant, ...] = (
    Mutant("ABORT leaves the heater on", _put(TrialCore, "abort", _abort_keeps_heat), "heat"),
    Mutant("the lid is not looked at", _put(Guard, "door", _never), "open lid"),
    Mutant("nothing is too hot", _put(Guard, "too_hot", _never), "above the limit"),
    Mutant("only 280 degrees are too hot", _put(Guard, "_above_setpoint", _never), "above the limit"),
    Mutant("only 25 above the setpoint are too hot", _put(Guard, "_above_all", _never), "above the limit"),
    Mutant("air is not looked at", _put(Guard, "airflow", _never), "without air"),
    Mutant("a broken thermometer is believed", _put(Guard, "sensor", _never), "thermometer"),
    Mutant("a silent host is no lost host", _put(Guard, "host_lost", _never), "silent"),
    Mutant("noise is a sign of life", _put(TrialUnit, "_checked", _answers_noise), "silent"),
    Mutant("START without exhaust", _put(Guard, "exhaust_ok", _always), "without exhaust"),
    Mutant("START for any session", _put(Commands, "_same_session", _always), "session"),
    Mutant("START in any state", _put(Commands, "place", _never), "armed session"),
    Mutant("a nonce is never used up", _put(TokenDesk, "_use_up", _never), "nobody may take"),
    Mutant("a nonce never grows old", _put(TokenDesk, "_nonce_old", _never), "nobody may take"),
    Mutant("a token never expires", _put(TokenDesk, "_in_time", _always), "nobody may take"),
    Mutant("any MAC will do", _put(TokenDesk, "_genuine", _always), "nobody may take"),
    Mutant("half of the MAC is compared", _put(TokenDesk, "_genuine", _short_mac), "nobody may take"),
    Mutant("the unit's address is not in the MAC", _put(TokenDesk, "_genuine", _any_address), "nobody may take"),
    Mutant("the age is not looked at", _put(TokenDesk, "_lawful", _without_age), "nobody may take"),
    Mutant("bad tokens lock nothing", _put(TokenDesk, "locked", _never), "locked"),
    Mutant("a power cut unlocks", _put(TokenDesk, "power_up", _power_cut_unlocks), "locked"),
    Mutant("AUTHORIZED has no end", _put(Guard, "state_over", _limitless(2)), "60 s"),
    Mutant("ARMED has no end", _put(Guard, "state_over", _limitless(3)), "30 s"),
    Mutant("HEATING has no end", _put(Guard, "state_over", _limitless(4)), "without end"),
    Mutant("a session has no end", _put(Guard, "session_over", _never), "session's limit"),
    Mutant("ARM grants any number of puffs", _put(Commands, "_arm", _quota_forgotten), "more puffs"),
    Mutant("a repeat acts again", _put(TrialUnit, "_replayed", lambda *_: None), "repeat"),
    Mutant("HELLO leaves old replies", _put(TrialUnit, "_keep", _remembers_all), "old reply"),
)  # fmt: skip

_NOISE = wire.stuffed(request(5, 1, Command.PING).to_bytes()[:-1] + b"\x00")  # a frame with a wrong check sum
_HEAT: list[Action] = [("to heat",)]
_READY: list[Action] = [("to ready",)]

# One road to each rule: what happens, and nothing else.
ROADS: dict[str, list[Action]] = {
    "abort": [*_READY, ("abort",), ("wait", 1)],
    "lid opened": [*_READY, ("world", {"door_open": True}), ("keep", 1)],
    "relay stuck": [*_HEAT, ("world", {"relay_stuck": True}), ("keep", 30)],
    "relay stuck at the highest setpoint": [
        ("ask", Command.SET_CONFIG, bytes.fromhex("01 02 0A BE")),
        *_HEAT,
        ("world", {"relay_stuck": True}),
        ("keep", 30),
    ],
    "air lost": [*_READY, ("world", {"air_flows": False}), ("keep", 2)],
    "thermometer lost": [*_READY, ("world", {"sensor_broken": True}), ("keep", 1)],
    "host lost": [*_READY, ("wait", 4)],
    "host lost in a noisy place": [*_READY, *[("wait", 0.5), ("noise", _NOISE)] * 8],
    "no exhaust": [("to armed",), ("world", {"air_flows": False}), ("start",), ("keep", 0.5)],
    "not armed": [("to armed",), ("abort",), ("new session",), ("authorize", "good"), ("start",), ("keep", 0.5)],
    "another session": [("to armed",), ("start", 7), ("keep", 1)],
    "no session": [("start",), ("keep", 1)],
    "a token twice": [("new session",), ("authorize", "good"), ("abort",), ("authorize", "good")],
    "a late nonce": [("challenge",), ("wait", 70), ("authorize", "good")],
    "a late token": [("challenge",), ("authorize", "late")],
    "a forged token": [("challenge",), ("authorize", "forged")],
    "a token with one wrong bit": [("challenge",), ("authorize", "bit")],
    "the neighbour's token": [("challenge",), ("authorize", "neighbour")],
    "a minor's token": [("challenge",), ("authorize", "minor")],
    "three bad tokens": [*[("challenge",), ("authorize", "forged")] * 3, ("challenge",)],
    "three bad tokens and a power cut": [
        *[("challenge",), ("authorize", "forged")] * 3,
        ("reboot",),
        ("wait", 2),
        ("time",),
        ("challenge",),
    ],
    "armed late": [("new session",), ("authorize", "good"), ("wait", 65), ("arm",)],
    "started late": [("to armed",), ("wait", 35), ("start",)],
    "a heater that is broken": [("world", {"heater_broken": True}), *_HEAT, ("keep", 50)],
    "a long session": [*_READY, ("keep", 170)],
    "too many puffs": [("new session",), ("authorize", "good"), ("arm", None, 1, 9)],
    "a repeated START": [("to armed",), ("start",), ("again",)],
    "a repeated token": [("new session",), ("authorize", "good"), ("again",)],
}


def hello_forgets() -> str:
    """What no witness of heat sees: a repeat from before a HELLO is carried out, not answered from memory."""
    bench = Bench()
    bench.ask(Command.PING, b"one")
    assert bench.last is not None
    old = replace(bench.last, flags=Flag.RETRY)
    bench.ask(Command.HELLO)
    bench.write(old.to_wire())
    return "an old reply after HELLO" if bench.unit.counters["replayed"] else ""


def hunt(plant: Plant) -> list[str]:
    """All that is noticed on the roads."""
    with plant():
        return [said for said in (*(run(road) for road in ROADS.values()), hello_forgets()) if said]
