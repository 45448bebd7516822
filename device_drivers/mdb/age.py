"""The age-verification device at 0x68: it reads an age from a payment card, and the host decides.

It is switched on by EXPANSION FF with `DRAVP` and the least age, and tells by EXPANSION FF with `DRAVS` and two bytes.
Only three values of those two are known from their maker's page, and not what each bit means: whatever is not exactly
the accepted one is no adult.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from enum import Enum
from typing import TypeVar

from device_drivers.bus import NoReplyError
from device_drivers.errors import MisconfiguredError, ProtocolError, UnavailableError
from device_drivers.mdb.codec import (
    AGE_VERIFICATION,
    EXPANSION,
    POLL,
    RESET,
    SETUP,
    Command,
    DeviceControl,
    DeviceFrame,
    Reply,
)
from device_drivers.mdb.line import MdbLine

ADULT_YEARS = 18
SWITCH_TAG, RESULT_TAG = b"DRAVP", b"DRAVS"
SWITCHED_ON = 0x00
POLL_S = 0.1
START_WITHIN_S = 5.0
DRAINING_POLLS = 8


class AgeVerdict(Enum):
    """What a card said. `UNKNOWN` is a value whose meaning nobody has told us."""

    ACCEPTED = "accepted"
    TOO_YOUNG = "too young"
    NO_AGE = "no age on this card"
    UNKNOWN = "unknown"

    @property
    def adult(self) -> bool:
        """True of the one value that is known to mean it."""
        return self is AgeVerdict.ACCEPTED


_VERDICTS = {
    (0x1E, 0x10): AgeVerdict.ACCEPTED,
    (0x0E, 0x10): AgeVerdict.TOO_YOUNG,
    (0x00, 0x00): AgeVerdict.NO_AGE,
}


@dataclass(frozen=True, slots=True)
class Started:
    """00: the device has started, and is switched off."""


@dataclass(frozen=True, slots=True)
class Switched:
    """The answer to DRAVP; only `status` 00 is known, and means yes."""

    status: int


AgeMessage = Started | Switched | AgeVerdict
M = TypeVar("M", Started, Switched, AgeVerdict)


def switch_on(minimum_age: int) -> Command:
    """Look at cards for this age. Raises ProtocolError(local) for one that is no age."""
    if not 1 <= minimum_age <= 99:
        raise ProtocolError(f"minimum_age: {minimum_age} is no age", side="local")
    return _extended(bytes((minimum_age,)) + SWITCH_TAG)


def _extended(body: bytes) -> Command:
    return Command(AGE_VERIFICATION, EXPANSION, bytes((0xFF, 0x05, len(body))) + body)


def age_message_of(data: bytes) -> AgeMessage:
    """What a block of the device says. Raises ProtocolError(remote) for anything that is not known."""
    if data == b"\x00":
        return Started()
    if len(data) >= 3 and data[0] == 0xFF and data[2] == len(data) - 3:
        body = data[3:]
        if data[1] == 0x05 and body[1:] == SWITCH_TAG:
            return Switched(body[0])
        if data[1] == 0x06 and body[2:] == RESULT_TAG:
            return _VERDICTS.get((body[0], body[1]), AgeVerdict.UNKNOWN)
    raise ProtocolError("a message that is not known")


class AgeVerifier:
    """One device. `minimum_age` is 18 at least. `setup`: data of a SETUP command, for a device that wants one; its
    layout is not public. Not for two callers at once."""

    def __init__(self, line: MdbLine, *, minimum_age: int = ADULT_YEARS, setup: bytes | None = None) -> None:
        if not ADULT_YEARS <= minimum_age <= 99:
            raise MisconfiguredError(f"minimum_age: must be in {ADULT_YEARS}..99")
        self._line = line
        self._minimum_age = minimum_age
        self._setup = setup
        self._on = False

    @property
    def on(self) -> bool:
        """Whether the device has said that it looks at cards for our age, and has not started again since."""
        return self._on

    async def start(self) -> None:
        """RESET and switch on. Raises UnavailableError."""
        self._on = False
        if await self._line.ask(Command(AGE_VERIFICATION, RESET)) is not DeviceControl.ACK:
            raise UnavailableError("the age device did not acknowledge RESET")
        if await self._until(Started, within_s=START_WITHIN_S) is None:
            raise UnavailableError("the age device did not start again after RESET")
        await self._drain()
        if self._setup is not None:
            await self._line.ask(Command(AGE_VERIFICATION, SETUP, self._setup))
        answer = self._message(await self._line.ask(switch_on(self._minimum_age)))
        if not isinstance(answer, Switched):
            answer = await self._until(Switched, within_s=START_WITHIN_S)
        if answer is None or answer.status != SWITCHED_ON:
            raise UnavailableError("the age device did not say that it is switched on")
        self._on = True

    async def check(self, *, within_s: float) -> AgeVerdict | None:
        """The first card that is shown from now on; None if there is none. One shown before the call does not count.

        Raises UnavailableError; if the device has started again, only `start` helps.
        """
        self._must_be_on()
        await self._drain()
        self._must_be_on()
        verdict = await self._until(AgeVerdict, within_s=within_s)
        self._must_be_on()
        return verdict

    def _must_be_on(self) -> None:
        if not self._on:
            raise UnavailableError("the age device is not switched on")

    async def _poll(self) -> AgeMessage | DeviceControl | None:
        """A message, ACK for nothing new, None for what is not known."""
        reply = await self._line.ask(Command(AGE_VERIFICATION, POLL))
        return reply if isinstance(reply, DeviceControl) else self._message(reply)

    async def _drain(self) -> None:
        """Until the device has nothing to say."""
        for _ in range(DRAINING_POLLS):
            if await self._poll() is DeviceControl.ACK:
                return
        raise UnavailableError("the age device does not stop talking")

    async def _until(self, kind: type[M], *, within_s: float) -> M | None:
        loop = asyncio.get_running_loop()
        end_s = loop.time() + within_s
        error: NoReplyError | None = None
        lost_ends = self._on  # while it is being switched on there is nothing to lose
        while loop.time() < end_s:
            try:
                message, error = await self._poll(), None
            except NoReplyError as silent:
                message, error = None, silent
            if isinstance(message, kind):
                return message
            if lost_ends and not self._on:
                break
            await asyncio.sleep(POLL_S)
        if error is not None:
            raise error
        return None

    def _message(self, reply: DeviceFrame) -> AgeMessage | None:
        if not isinstance(reply, Reply):
            return None
        try:
            message = age_message_of(reply.data)
        except ProtocolError as error:
            self._line.fault("unexpected", str(error))
            return None
        if isinstance(message, Started):
            self._on = False
        return message
