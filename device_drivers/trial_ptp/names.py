"""PTP/1, our own proposal: the numbers of its commands, events, states, statuses and capabilities."""

from __future__ import annotations

from enum import IntEnum, IntFlag


class Flag(IntFlag):
    """Low half of the first byte."""

    RESP = 1
    EVENT = 2
    ACK_REQ = 4
    RETRY = 8


NO_FLAGS = Flag(0)


class Command(IntEnum):
    """What the host asks."""

    HELLO = 0x01  # who are you; empties the device's memory of replies
    STATUS = 0x02
    SELF_TEST = 0x03
    SET_CONFIG = 0x04
    GET_CONFIG = 0x05
    POLL_EVT = 0x0E  # the slot in which a device on RS-485 tells its events
    CHALLENGE = 0x0F  # a nonce for the next token
    AUTHORIZE = 0x10
    ARM = 0x11
    START = 0x12
    ABORT = 0x13  # accepted in every state
    DISPENSE = 0x14
    DISARM = 0x15
    SAMPLE_GET = 0x20
    SAMPLE_SET = 0x21
    COUNTERS = 0x30
    LOG_READ = 0x31
    TIME_SYNC = 0x40
    PING = 0x7F


class Event(IntEnum):
    """What the device tells by itself."""

    PUFF = 0x81
    STATE = 0x82
    FAULT = 0x83
    SESSION_END = 0x84
    SAMPLE_CHANGED = 0x85
    TAMPER = 0x86


class Status(IntEnum):
    """How a request was taken; 40 to 44 are also the fault in a status report."""

    OK = 0x00
    UNKNOWN_CMD = 0x01
    BAD_VERSION = 0x02
    BAD_LENGTH = 0x03
    BAD_PARAM = 0x04
    BUSY = 0x05
    WRONG_STATE = 0x10
    NO_SESSION = 0x11
    NOT_AUTHORIZED = 0x20
    TOKEN_BAD = 0x21
    TOKEN_EXPIRED = 0x22
    NONCE_USED = 0x23
    NO_SAMPLE = 0x30
    SAMPLE_EXPIRED = 0x31
    QUOTA = 0x32
    OVER_TEMP = 0x40
    AIRFLOW = 0x41
    DOOR_OPEN = 0x42
    HEATER_OPEN = 0x43
    SENSOR = 0x44
    LOCKOUT = 0x4F


class State(IntEnum):
    """Where a unit stands. Heat is possible in HEATING, READY and PUFFING only."""

    BOOT = 0
    IDLE = 1
    AUTHORIZED = 2
    ARMED = 3
    HEATING = 4
    READY = 5
    PUFFING = 6
    COOLDOWN = 7
    PURGE = 8
    FAULT = 9
    LOCKED = 10


class Capability(IntFlag):
    """What is built in."""

    HEAT = 1
    PUFF_SENSOR = 2
    IGNITER = 4
    STICK_DISPENSER = 8
    EXHAUST = 16  # a fan and an airflow sensor
    SAMPLE_RFID = 32


class StatusFlag(IntFlag):
    """Bits of a status report."""

    SAMPLE_PRESENT = 1
    EXHAUST_OK = 2
    LID_CLOSED = 4


class EndReason(IntEnum):
    """Why a session ended, in SESSION_END."""

    PUFFS_USED = 0
    ABORTED = 1
    DISARMED = 2
    TIMED_OUT = 3  # a state's own limit
    SESSION_LIMIT = 4
    HOST_LOST = 5
    FAULT = 6
    DISPENSED = 7


HEATED = frozenset({State.HEATING, State.READY, State.PUFFING})


def name_of(kind: type[IntEnum], value: int) -> str:
    """The name of a number, or the number."""
    try:
        return kind(value).name
    except ValueError:
        return f"{value:#04x}"
