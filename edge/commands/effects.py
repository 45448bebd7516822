"""One handler a type of command. What a handler can reach stands in `Doings`: it closes, restarts, asks, reads, tells.

There is no way from here to a lock: nothing in `Doings` opens, asks for a session, or releases one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from contracts.command_types import DeviceArgs, NoArgs, RevokeArgs
from device_drivers.errors import DeviceError
from edge.commands.handler import Handler, Handlers
from edge.commands.probes import DeviceProbe
from edge.commands.records import Result
from edge.sessions import revoke_state

ANSWER_S = 10.0  # real seconds for a restarted device to answer
GLANCE_S = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Closer:
    """One cabinet as a revoke sees it: its session, and how it is shut. `revoke` returns once all is written."""

    cabinet: str
    live: Callable[[], str]
    shut: Callable[[str], None]
    revoke: Callable[[str], Awaitable[object]]
    is_shut: Callable[[str], bool]  # in memory
    is_revoked: Callable[[str], bool]  # on disk


@dataclass(frozen=True, slots=True, kw_only=True)
class Doings:
    """All that the cloud's orders can reach in a store."""

    store: str
    closers: Mapping[str, Closer]
    probes: Mapping[str, DeviceProbe]
    restart: Callable[[str], Awaitable[bool]]
    reload: Callable[[], Awaitable[Result]]
    flush: Callable[[], Awaitable[Result]]


class Revoke(Handler[RevokeArgs]):
    """`session.revoke`: table G's first rule. Closes at once, durable with its intent; only a manager lifts it."""

    def __init__(self, doings: Doings) -> None:
        super().__init__(RevokeArgs)
        self._store, self._closers = doings.store, doings.closers

    def _meant(self, args: RevokeArgs) -> list[Closer]:
        if args.cabinet is not None:
            return [c for c in self._closers.values() if c.cabinet == args.cabinet]
        if args.session is not None:  # a session that was shut a moment ago has ended by that
            return [c for c in self._closers.values() if c.live() == args.session or c.is_shut(args.target)]
        return list(self._closers.values()) if args.store == self._store else []

    def why_not(self, args: RevokeArgs) -> str:
        if self._meant(args):
            return ""
        return "no_such_cabinet" if args.cabinet else "no_session" if args.session else "another_store"

    def close(self, args: RevokeArgs) -> None:
        for closer in self._meant(args):
            closer.shut(args.target)

    def state(self, args: RevokeArgs) -> Mapping[tuple[str, str], bytes]:
        puts: dict[tuple[str, str], bytes] = {}
        for closer in self._meant(args):
            puts |= revoke_state(closer.cabinet, args.target)
        return puts

    def so(self, args: RevokeArgs) -> str:
        return "revoked" if any(c.is_revoked(args.target) for c in self._closers.values()) else "not_revoked"

    async def run(self, args: RevokeArgs) -> Result:
        meant = self._meant(args)
        for closer in meant:
            await closer.revoke(args.target)
        return Result("done", "revoked", {"cabinets": len(meant)})


class Restart(Handler[DeviceArgs]):
    """`device.restart`: ends the task that owns the port, which starts again and opens it anew."""

    def __init__(self, doings: Doings) -> None:
        super().__init__(DeviceArgs)
        self._closers, self._probes, self._restart = doings.closers, doings.probes, doings.restart

    def why_not(self, args: DeviceArgs) -> str:
        probe = self._probes.get(args.device)
        if probe is None:
            return "no_such_device"
        return "busy" if any(c.live() for c in self._closers.values() if c.cabinet in probe.cabinets) else ""

    def so(self, args: DeviceArgs) -> str:
        return "agent_restarted" if args.device in self._probes else "no_such_device"

    async def run(self, args: DeviceArgs) -> Result:
        probe = self._probes[args.device]
        if why := self.why_not(args):  # in one block with the restart: no session begins between them
            return Result("failed", why)
        if not await self._restart(probe.task):
            return Result("failed", "no_such_task")
        before = probe.answers()
        try:
            async with asyncio.timeout(ANSWER_S):
                while probe.answers() == before:  # noqa: ASYNC110 - a device tells nobody when it answers
                    await asyncio.sleep(GLANCE_S)
        except TimeoutError:
            return Result("failed", "silent")
        return Result("done", "online")


class SelfTest(Handler[DeviceArgs]):
    """`device.self_test`: asks, and moves nothing."""

    def __init__(self, doings: Doings) -> None:
        super().__init__(DeviceArgs)
        self._probes = doings.probes

    def why_not(self, args: DeviceArgs) -> str:
        return "" if args.device in self._probes else "no_such_device"

    async def run(self, args: DeviceArgs) -> Result:
        try:
            return await self._probes[args.device].test()
        except DeviceError:
            return Result("failed", "no_reply")


class Reload(Handler[NoArgs]):
    """`config.reload`: see `edge.commands.reload`."""

    def __init__(self, doings: Doings) -> None:
        super().__init__(NoArgs)
        self._reload = doings.reload

    async def run(self, _args: NoArgs) -> Result:
        return await self._reload()


class Flush(Handler[NoArgs]):
    """`telemetry.flush`: what would be told within half a minute is told now."""

    def __init__(self, doings: Doings) -> None:
        super().__init__(NoArgs)
        self._flush = doings.flush

    async def run(self, _args: NoArgs) -> Result:
        return await self._flush()


def handlers(doings: Doings) -> Handlers:
    """A handler for each type of `contracts.command_types`."""
    return {
        "session.revoke": Revoke(doings),
        "device.restart": Restart(doings),
        "device.self_test": SelfTest(doings),
        "config.reload": Reload(doings),
        "telemetry.flush": Flush(doings),
    }
