"""From the rooms of the agent to what its commands may reach: each thing narrowed to the few calls they need."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from edge.commands.effects import Closer, Doings
from edge.commands.probes import probes
from edge.commands.records import Result
from edge.config import StoreConfig
from edge.devices.built import Devices
from edge.ports import LedgerPort
from edge.sessions import CabinetRunner


def doings_of(
    config: StoreConfig,
    *,
    ledger: LedgerPort,
    runners: Mapping[str, CabinetRunner],
    devices: Devices,
    restart: Callable[[str], Awaitable[bool]],
    reload: Callable[[], Awaitable[Result]],
    flush: Callable[[], Awaitable[int | None]],
) -> Doings:
    """`restart` ends and begins a supervised task by name; `flush` returns how much it wrote, None if it could not."""

    async def flushed() -> Result:
        written = await flush()
        return Result("failed", "not_written") if written is None else Result("done", "flushed", {"events": written})

    return Doings(
        store=config.store,
        closers={cabinet: _closer(cabinet, runner, ledger) for cabinet, runner in runners.items()},
        probes=probes(config, devices),
        restart=restart,
        reload=reload,
        flush=flushed,
    )


def _closer(cabinet: str, runner: CabinetRunner, ledger: LedgerPort) -> Closer:
    return Closer(
        cabinet=cabinet,
        live=lambda: runner.live,
        shut=runner.shut,
        revoke=runner.revoke,
        is_shut=lambda target: target in runner.snapshot().revoked,
        is_revoked=lambda target: f"{cabinet}|{target}" in ledger.state("revoke"),
    )
