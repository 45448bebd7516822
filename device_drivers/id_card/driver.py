"""A reader of resident identity cards: find, select, read, judge, forget."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

from device_drivers.bus import Bus, Exchange, Priority
from device_drivers.capabilities import AdultReading
from device_drivers.errors import ProtocolError, UnavailableError
from device_drivers.id_card import codec, person
from device_drivers.id_card.codec import AnswerDecoder, Command

REPLY_TIMEOUT_S = 0.5
READ_TIMEOUT_S = 3.0  # a card's chip is slow
QUEUE_TIMEOUT_S = 5.0  # a question that waits longer is not sent: the person has gone


class IdCardReader:
    """Implements `AdultProof`.

    `day_key` gives the secret of the day, `today` the calendar day of the store. With `strict_birthday` a person is
    adult from the day after the 18th birthday. Buffers with personal data are zeroed as soon as the card was judged.
    The pieces in which a port delivers them are zeroed too if the bus opens it with `open_private`; those of any other
    link are only let go.
    """

    def __init__(
        self, bus: Bus, *, day_key: Callable[[], bytes], today: Callable[[], date], strict_birthday: bool = True
    ) -> None:
        self._bus = bus
        self._day_key = day_key
        self._today = today
        self._strict_birthday = strict_birthday

    async def read(self) -> AdultReading | None:
        """The card on the reader; None when there is none or it cannot be read (say, taken away too early).

        Raises UnavailableError when the reader does not answer or is broken.
        """
        for command, good, timeout_s in (
            (Command.FIND, codec.CARD_FOUND, REPLY_TIMEOUT_S),
            (Command.SELECT, codec.OK, REPLY_TIMEOUT_S),
        ):
            decoder = AnswerDecoder(self._bus.fault)
            try:
                answer = await self._ask(command, decoder, timeout_s)
                if not self._is(good, answer):
                    return None
            finally:
                decoder.wipe()
        decoder = AnswerDecoder(self._bus.fault)
        try:
            answer = await self._ask(Command.READ, decoder, READ_TIMEOUT_S)
            if not self._is(codec.OK, answer):
                return None
            return self._judge(answer)
        finally:
            decoder.wipe()

    async def present(self) -> bool:
        """Whether a card lies on the reader; nothing of it is read. Raises UnavailableError."""
        decoder = AnswerDecoder(self._bus.fault)
        try:
            return self._is(codec.CARD_FOUND, await self._ask(Command.FIND, decoder, REPLY_TIMEOUT_S))
        finally:
            decoder.wipe()

    async def _ask(self, command: Command, decoder: AnswerDecoder, timeout_s: float) -> codec.Answer:
        return await self._bus.request(
            Exchange(
                priority=Priority.STATUS,
                encode=command.to_bytes,
                feed=decoder.feed,
                timeout_s=timeout_s,
                queue_timeout_s=QUEUE_TIMEOUT_S,
            )
        )

    def _is(self, good: int, answer: codec.Answer) -> bool:
        """True for the good status, False if the card is why it is not. Raises UnavailableError for the reader."""
        if answer.status == good:
            return True
        if answer.status in codec.NO_CARD:
            return False
        if answer.status in codec.CARD_FAILED:
            self._bus.fault("unexpected", f"the card cannot be read (status {answer.status:02X})")
            return False
        reason = codec.READER_FAULTS.get(answer.status, "unknown status")
        raise UnavailableError(f"ID-card reader: {reason} (status {answer.status:02X})")

    def _judge(self, answer: codec.Answer) -> AdultReading | None:
        try:
            text = person.text_block(answer.data)
        except ProtocolError as error:
            self._bus.fault("unexpected", str(error))
            return None
        return person.judge(text, day_key=self._day_key(), today=self._today(), strict_birthday=self._strict_birthday)


async def module_status(bus: Bus) -> int:
    """The last status byte of the security module about itself. Raises UnavailableError."""
    decoder = AnswerDecoder(bus.fault)
    try:
        answer = await bus.request(
            Exchange(
                priority=Priority.STATUS,
                encode=Command.SAM_STATUS.to_bytes,
                feed=decoder.feed,
                timeout_s=REPLY_TIMEOUT_S,
            )
        )
        return answer.status
    finally:
        decoder.wipe()
