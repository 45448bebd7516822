"""One UHF module on a line of its own. It transmits only while an inventory or a read is asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from device_drivers.asking import Asker
from device_drivers.bus import Bus, NoReplyError
from device_drivers.errors import MisconfiguredError, ProtocolError, RefusedError
from device_drivers.rfid_m100 import codec
from device_drivers.rfid_m100.codec import Bank, Code, Frame, Kind, Region, TagRead

REPLY_TIMEOUT_S = 0.5
MAX_SIGHTS = 20_000  # of one inventory; more are counted and dropped
LONGEST_INVENTORY_S = 60.0

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Sight:
    """A tag as it was heard; `at_s` is the time of the event loop."""

    at_s: float
    tag: TagRead


@dataclass(frozen=True, slots=True)
class Inventory:
    """What one inventory heard between two times of the event loop. `complete`: the module was there from its first
    word to its acknowledged stop, so that silence of a tag means something."""

    started_s: float
    ended_s: float
    sights: tuple[Sight, ...]
    complete: bool


class RfidReaderM100:
    """`counters`: sights with a wrong CRC of the tag, sights dropped, frames that nobody expected."""

    def __init__(self, bus: Bus) -> None:
        self.counters = {"unsound": 0, "dropped": 0, "unexpected": 0}
        self._asker: Asker[Frame] = Asker(
            bus, device="rfid m100", decoder=codec.FrameDecoder, on_other=self._heard, timeout_s=REPLY_TIMEOUT_S
        )
        self._sights: list[Sight] | None = None
        self._one_at_a_time = asyncio.Lock()

    async def model(self) -> str:
        """What the module calls itself. Raises UnavailableError, RefusedError."""
        frame = await self._ask(codec.module_info("hardware"))
        return frame.parameters[1:].decode("ascii", "replace").strip()

    async def power_dbm(self) -> float:
        """The transmit power. Raises UnavailableError, RefusedError, ProtocolError."""
        return codec.power_dbm(await self._ask(codec.get_power()))

    async def set_power(self, power_dbm: float) -> None:
        """Set the transmit power and read it back: a late acknowledgement proves nothing.

        Raises MisconfiguredError for a power that the module does not have, UnavailableError, RefusedError.
        """
        try:
            command = codec.set_power(power_dbm)
        except ProtocolError as error:
            raise MisconfiguredError(str(error)) from None
        await self._set(command)
        if abs(await self.power_dbm() - power_dbm) > 0.005:
            raise RefusedError(f"RFID module: still has another power than {power_dbm:g} dBm")

    async def set_region(self, region: Region) -> None:
        """Choose the band and read it back. Raises MisconfiguredError, UnavailableError, RefusedError."""
        await self._set(codec.set_region(region))
        if (await self._ask(codec.get_region())).parameters != bytes((region,)):
            raise RefusedError(f"RFID module: still works in another band than {region.name}")

    async def read_bank(
        self, bank: Bank, *, start_word: int, words: int, password: int = 0
    ) -> tuple[bytes, bytes] | None:
        """EPC and memory of the tag that answers first; None without a tag.

        Raises RefusedError (wrong password, no such memory), UnavailableError, ProtocolError.
        """
        frame = await self._ask(codec.read_bank(bank, start_word=start_word, words=words, password=password))
        return codec.bank_content(frame) if frame.code == Code.READ_BANK else None

    async def first_tag(self) -> TagRead | None:
        """One round: the tag heard first, or None. Others of the same round are not waited for.

        Raises UnavailableError, ProtocolError.
        """
        async with self._one_at_a_time:
            frame = await self._asker.ask(Code.INVENTORY_ONCE, codec.inventory_once().to_bytes(), _is_sight_or_none)
        if frame.kind != Kind.NOTIFICATION:
            return None
        tag = TagRead.from_frame(frame)
        if not tag.sound:
            raise ProtocolError("RFID module: forwards a tag whose CRC is wrong")
        return tag

    async def inventory(self, *, listen_s: float, rounds: int = 10_000) -> Inventory:
        """Listen for `listen_s` and stop the module again, also when the caller leaves.

        An inventory whose begin or end was not acknowledged is not `complete`; it raises nothing, for it may have
        heard tags. Raises UnavailableError when the port is gone.
        """
        if not 0 < listen_s <= LONGEST_INVENTORY_S:
            raise MisconfiguredError(f"listen_s {listen_s:g} is not in 0..{LONGEST_INVENTORY_S:g}")
        async with self._one_at_a_time:
            loop = asyncio.get_running_loop()
            started_s = loop.time()
            sights: list[Sight] = []
            self._sights = sights
            try:
                try:
                    begun = await self._begin(rounds)
                    await asyncio.sleep(listen_s)
                finally:
                    ended = await self._stop()
            finally:
                self._sights = None
            return Inventory(started_s, loop.time(), tuple(sights), begun and ended)

    async def _begin(self, rounds: int) -> bool:
        """The first sight, or that there is none, is the acknowledgement."""
        command = codec.inventory_many(rounds).to_bytes()
        try:
            self._heard(await self._asker.ask(Code.INVENTORY_MANY, command, _is_sight_or_none))
        except NoReplyError:
            return False
        return True

    async def _stop(self) -> bool:
        """Stopping twice does no harm, and a module that was left on transmits for ever."""
        for amid in (True, False):
            try:
                await self._asker.ask(Code.STOP, codec.stop().to_bytes(), _answers(Code.STOP), amid=amid)
            except NoReplyError:
                continue
            return True
        return False

    async def _set(self, command: Frame) -> None:
        try:
            await self._ask(command)
        except NoReplyError:
            return  # what came of it is read back

    async def _ask(self, command: Frame) -> Frame:
        """The reply; a missing tag is no refusal. Raises UnavailableError, RefusedError, MisconfiguredError."""
        async with self._one_at_a_time:
            frame = await self._asker.ask(command.code, command.to_bytes(), _answers(command.code))
        failed = codec.failure(frame)
        if failed is None or failed == codec.NO_TAG_TO_READ:
            return frame
        kind = MisconfiguredError if failed in _DESCRIBED_WRONG else RefusedError
        raise kind(f"RFID module: {codec.failure_text(failed)} (failure {failed:02X})")

    def _heard(self, frame: Frame) -> None:
        """A frame that answers nothing: a tag, or nothing heard in a round."""
        if frame.kind == Kind.COMMAND or codec.failure(frame) == codec.NO_TAG_HEARD:
            return
        try:
            tag = TagRead.from_frame(frame)
        except ProtocolError:
            self.counters["unexpected"] += 1
            return
        if not tag.sound:
            self.counters["unsound"] += 1
        elif self._sights is not None and len(self._sights) < MAX_SIGHTS:
            self._sights.append(Sight(asyncio.get_running_loop().time(), tag))
        else:
            self.counters["dropped"] += 1


_DESCRIBED_WRONG = frozenset({0x0E})


def _is_sight_or_none(frame: Frame) -> bool:
    if codec.failure(frame) == codec.NO_TAG_HEARD:
        return True
    return frame.kind == Kind.NOTIFICATION and frame.code == Code.INVENTORY_ONCE


def _answers(code: int) -> Callable[[Frame], bool]:
    """Whether a frame answers this command; a failure names none, but most failures can have one cause only."""

    def answers(frame: Frame) -> bool:
        if (failed := codec.failure(frame)) is not None:
            return failed in _ANY or (code == Code.READ_BANK and failed != codec.NO_TAG_HEARD)
        return frame.kind == Kind.REPLY and frame.code == code

    return answers


_ANY = frozenset({0x0E, 0x17})
