"""Carries a talk over an open link: the audit of one machine, or nothing."""

from __future__ import annotations

import asyncio

from device_drivers.bus import Bus, Exchange, Link, Priority
from device_drivers.errors import RefusedError, UnavailableError
from device_drivers.eva_dts.codec import Control, FrameDecoder
from device_drivers.eva_dts.phases import Rules
from device_drivers.eva_dts.talk import Master, Talk
from device_drivers.faults import OnFault

CALL_TIMEOUT_S = 0.5
LIMIT_S = 600.0  # a whole talk; a megabyte at 9600 baud takes longer than anybody waits


async def read_audit(link: Link, *, comm_id: str, on_fault: OnFault, rules: Rules | None = None) -> bytes:
    """The bytes of the audit file as the machine hands them over, for `parser.parse`. `comm_id` has ten letters.

    The link is the caller's: nobody else reads it meanwhile, and it stays open. Raises UnavailableError when nobody
    answers or the line is too bad, RefusedError when the machine says no, ProtocolError(local) for a wrong `comm_id`.
    """
    master = Master(comm_id=comm_id, on_fault=on_fault, rules=rules)
    await converse(master, link)
    return master.received


async def converse(talk: Talk, link: Link) -> None:
    """Run one side until it is done. Raises UnavailableError, or RefusedError when the other side says no."""
    loop = asyncio.get_running_loop()
    end_s = loop.time() + LIMIT_S
    _write(link, talk.start(loop.time()))
    while not talk.done:
        if talk.failure:
            raise (RefusedError if talk.refused else UnavailableError)(talk.failure)
        if loop.time() >= end_s:
            raise UnavailableError(f"the talk did not end within {LIMIT_S:g} s")
        due_s = end_s if talk.due_s is None else min(talk.due_s, end_s)
        try:
            async with asyncio.timeout_at(due_s):
                data = await link.read()
        except TimeoutError:
            _write(link, talk.tick(loop.time()))
        else:
            _write(link, talk.receive(data, loop.time()))


async def call(bus: Bus) -> bool:
    """Whether a machine answers the call of a reader. It then waits in vain and goes back to rest by itself.

    True, or raises UnavailableError.
    """
    decoder = FrameDecoder(bus.fault)

    def feed(data: bytes) -> bool | None:
        return True if Control.ACK0 in decoder.feed(data) else None

    return await bus.request(
        Exchange(priority=Priority.STATUS, encode=Control.ENQ.to_bytes, feed=feed, timeout_s=CALL_TIMEOUT_S)
    )


def _write(link: Link, data: bytes) -> None:
    if data:
        link.write(data)
