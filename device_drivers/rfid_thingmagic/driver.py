"""One ThingMagic or Silion module on a line of its own. It wakes up in a boot loader that knows next to nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from device_drivers.asking import Asker
from device_drivers.bus import Bus
from device_drivers.errors import MisconfiguredError, ProtocolError, RefusedError, UnavailableError
from device_drivers.rfid_thingmagic import codec
from device_drivers.rfid_thingmagic.codec import Command, Opcode, Region, Reply

REPLY_TIMEOUT_S = 0.5
BOOT_S = 2.0  # until the firmware runs


class ThingMagicReader:
    """Boots the module, sets its band and protocol before the first read, and again after one without an answer.

    `counters`: frames that nobody expected.
    """

    def __init__(self, bus: Bus, *, region: Region = Region.CHINA) -> None:
        self.counters = {"unexpected": 0}
        self._region = region
        self._started = False
        self._asker: Asker[Reply] = Asker(
            bus,
            device="rfid thingmagic",
            decoder=codec.ReplyDecoder,
            on_other=self._unexpected,
            timeout_s=REPLY_TIMEOUT_S,
        )
        self._one_at_a_time = asyncio.Lock()

    async def version(self) -> bytes:
        """What the module says of its programs, undecoded. The boot loader answers too.

        Raises UnavailableError, RefusedError.
        """
        async with self._one_at_a_time:
            return (await self._ask(codec.version())).data

    async def first_tag(self, *, timeout_ms: int = 500) -> bytes | None:
        """EPC of one tag, or None when none was found within `timeout_ms`.

        Raises UnavailableError (also when the module had fallen back into its boot loader: the next call boots it),
        RefusedError, ProtocolError, MisconfiguredError for a time that is none.
        """
        try:
            command = codec.read_single(timeout_ms)
        except ProtocolError as error:
            raise MisconfiguredError(str(error)) from None
        async with self._one_at_a_time:
            await self._start()
            # Silence and a refusal may both be a power cut, after which some modules boot by themselves and have
            # forgotten their band: unless there is an answer, all is set anew.
            self._started = False
            reply = await self._ask(command, extra_s=timeout_ms / 1000, good=(codec.OK, codec.NO_TAG))
            self._started = True
        return codec.tag_epc(reply) if reply.status == codec.OK else None

    async def _start(self) -> None:
        """Each step may be done twice without harm, so a start that broke off begins again."""
        if self._started:
            return
        # Firmware that runs already knows no such command, and says what the boot loader says of all others.
        await self._ask(codec.boot_firmware(), extra_s=BOOT_S, good=(codec.OK, codec.WRONG_OPCODE))
        await self._ask(codec.set_region(self._region))
        await self._ask(codec.set_gen2())
        self._started = True

    async def _ask(self, command: Command, *, extra_s: float = 0.0, good: tuple[int, ...] = (codec.OK,)) -> Reply:
        reply = await self._asker.ask(command.opcode, command.to_bytes(), _answers(command.opcode), extra_s=extra_s)
        if reply.status in good:
            return reply
        if reply.status == codec.WRONG_OPCODE and command.opcode != Opcode.VERSION:
            raise UnavailableError("RFID module: is in its boot loader")
        raise RefusedError(f"RFID module: status {reply.status:04X}")

    def _unexpected(self, _reply: Reply) -> None:
        self.counters["unexpected"] += 1


def _answers(opcode: int) -> Callable[[Reply], bool]:
    return lambda reply: reply.opcode == opcode
