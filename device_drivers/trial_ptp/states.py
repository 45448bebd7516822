"""The states of a trial unit as data: what each command does in each state, and what moves a unit by itself.

Everything that is said here of a unit is what a host may count on. Tests hold the simulator to it, and the picture in
docs/images is drawn from it. A cell is the status of the reply, and after `>` the state if it changes.
"""

from __future__ import annotations

from dataclasses import dataclass

from device_drivers.trial_ptp.names import Command, State, Status

#     0     1     2     3     4     5     6     7     8     9     10
#     BOOT  IDLE  AUTH  ARMED HEAT  READY PUFF  COOL  PURGE FAULT LOCKED
COMMANDS: dict[Command, str] = {
    # Always answered: a host must be able to look, and HELLO comes before all else.
    Command.HELLO: "00    00    00    00    00    00    00    00    00    00    00",
    # Looking never disturbs.
    Command.STATUS: "00    00    00    00    00    00    00    00    00    00    00",
    # Parts are tried only while nobody uses them; a locked unit may still be examined.
    Command.SELF_TEST: "05    00    10    10    10    10    10    10    10    00    00",
    # The setpoint stands still from the token to the end.
    Command.SET_CONFIG: "05    00    10    10    10    10    10    10    10    10    4F",
    # Reading is harmless.
    Command.GET_CONFIG: "05    00    00    00    00    00    00    00    00    00    00",
    # Events may be fetched at any time; it is also the host's sign of life.
    Command.POLL_EVT: "00    00    00    00    00    00    00    00    00    00    00",
    # A nonce is given only where its token could be used.
    Command.CHALLENGE: "05    00    10    10    10    10    10    10    10    10    4F",
    # The only way out of IDLE towards heat.
    Command.AUTHORIZE: "05    00>2  10    10    10    10    10    10    10    10    4F",
    # Needs the session of the token.
    Command.ARM: "05    20    00>3  10    10    10    10    10    10    10    4F",
    # The only way to heat.
    Command.START: "05    20    10    00>4  10    10    10    10    10    10    4F",
    # Accepted everywhere; a fault whose cause is gone is acknowledged by it.
    Command.ABORT: "00    00    00>1  00>1  00>7  00>7  00>7  00    00    00>7  00",
    # The other way out of ARMED, for units that hand out a stick.
    Command.DISPENSE: "05    20    10    00>8  10    10    10    10    10    10    4F",
    # Gives an unused session back; one that heats is aborted instead.
    Command.DISARM: "05    11    00>1  00>1  10    10    10    10    10    10    4F",
    # Reading is harmless.
    Command.SAMPLE_GET: "05    00    00    00    00    00    00    00    00    00    00",
    # Staff change samples while nobody tries one.
    Command.SAMPLE_SET: "05    00    10    10    10    10    10    10    10    10    4F",
    # Reading is harmless.
    Command.COUNTERS: "05    00    00    00    00    00    00    00    00    00    00",
    # Reading is harmless.
    Command.LOG_READ: "05    00    00    00    00    00    00    00    00    00    00",
    # Limits run on the unit's own clock: the time of day moves none of them.
    Command.TIME_SYNC: "05    00    00    00    00    00    00    00    00    00    00",
    # A sign of life.
    Command.PING: "00    00    00    00    00    00    00    00    00    00    00",
}


@dataclass(frozen=True, slots=True)
class Cause:
    """A step that no command makes: from these states, for this reason, to that one."""

    sources: tuple[State, ...]
    reason: str
    target: State


_HEATED = (State.HEATING, State.READY, State.PUFFING)

CAUSES: tuple[Cause, ...] = (
    Cause((State.BOOT,), "1 s", State.IDLE),  # the unit has looked at itself
    Cause((State.IDLE,), "third bad token", State.LOCKED),  # in a row, for 5 min
    Cause((State.LOCKED,), "5 min", State.IDLE),
    Cause((State.AUTHORIZED,), "60 s", State.IDLE),  # nobody armed it
    Cause((State.ARMED,), "30 s", State.IDLE),  # nobody started it
    Cause((State.HEATING,), "warm", State.READY),
    Cause((State.READY,), "a puff begins", State.PUFFING),
    Cause((State.PUFFING,), "it ends", State.READY),
    Cause((State.PUFFING,), "it was the last", State.COOLDOWN),
    Cause(_HEATED, "host silent 2 s", State.COOLDOWN),
    Cause((State.READY, State.PUFFING), "session 180 s", State.COOLDOWN),  # the limits before come sooner
    Cause((State.HEATING,), "45 s, not warm", State.FAULT),  # HEATER_OPEN
    Cause(_HEATED, "door, too hot, no airflow 1 s, sensor", State.FAULT),
    Cause((State.COOLDOWN,), "cool", State.PURGE),
    Cause((State.PURGE,), "aired", State.IDLE),
)


def expected(command: Command, state: State) -> tuple[Status, State]:
    """What a right unit answers to a right request here, and the state it is in then."""
    status, _, target = COMMANDS[command].split()[state].partition(">")
    return Status(int(status, 16)), State(int(target)) if target else state


def steps() -> list[tuple[State, str, State]]:
    """All steps from one state to another: by which command or cause."""
    found = [
        (state, command.name, expected(command, state)[1])
        for command in Command
        for state in State
        if expected(command, state)[1] is not state
    ]
    return found + [(source, cause.reason, cause.target) for cause in CAUSES for source in cause.sources]
