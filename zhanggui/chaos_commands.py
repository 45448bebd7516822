"""`zhanggui sim chaos-proxy` and `chaos-strike`: a bad network on this machine."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path
from random import Random
from typing import Annotated

import typer

from contracts.clock import SystemClock
from zhanggui.errors import UserError

Control = Annotated[Path, typer.Option(help="Control socket of the proxy.")]
DEFAULT_CONTROL = Path("var/chaos.sock")


def chaos_proxy(
    to: Annotated[str, typer.Option(help="Where connections are carried on to, host:port.")],
    listen: Annotated[str, typer.Option(help="Where to listen, host:port; port 0 takes a free one.")] = "127.0.0.1:0",
    seed: Annotated[int | None, typer.Option(help="Seed of the weather; without one the line is good.")] = None,
    calm: Annotated[float, typer.Option(min=0.01, help="Mean seconds between two faults of the weather.")] = 5.0,
    control: Control = DEFAULT_CONTROL,
) -> None:
    """Carry TCP connections on, and cut, stall, delay, throttle or half open them: by seed, or as told."""
    from simulators.chaos_proxy import Address, BadAddressError, ChaosProxy, Weather
    from simulators.chaos_proxy.control import Control as ControlSocket

    try:
        proxy = ChaosProxy(listen=Address.parse(listen), target=Address.parse(to), clock=SystemClock())
    except BadAddressError as error:
        raise UserError(str(error)) from error

    async def until_told() -> None:
        running = asyncio.current_task()
        assert running is not None
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, running.cancel)
        async with proxy.running(), ControlSocket(proxy).running(control):
            typer.echo(f"{proxy.listen} leads to {proxy.target}; orders at {control}")
            if seed is None:
                await asyncio.Event().wait()
            await proxy.weather(Weather(Random(seed), mean_calm_s=calm))

    try:
        asyncio.run(until_told())
    except asyncio.CancelledError:
        typer.echo(json.dumps(dict(proxy.counters)))
    except OSError as error:
        raise UserError(f"{listen}: {error.strerror or error}; choose another port or socket") from error


def chaos_strike(
    kind: Annotated[str, typer.Argument(help="cut, refuse, stall, delay, throttle, swallow_up, orphan_server, …")],
    seconds: Annotated[float, typer.Option(min=0, max=3600, help="How long it lasts.")] = 1.0,
    delay_ms: Annotated[float, typer.Option(min=0, max=60_000, help="For delay.")] = 200.0,
    bytes_s: Annotated[int, typer.Option(min=1, help="For throttle.")] = 4096,
    control: Control = DEFAULT_CONTROL,
) -> None:
    """Let one fault happen to a running proxy; what it counted so far is printed."""
    from simulators.chaos_proxy import KINDS, Fault
    from simulators.chaos_proxy.control import Order, RefusedError, ask

    known = {name: name for name in KINDS}
    if kind not in known:
        raise UserError(f"{kind}: no such fault; one of {', '.join(KINDS)}")
    fault = Fault(kind=known[kind], duration_s=seconds, delay_ms=delay_ms, bytes_s=bytes_s)
    try:
        answer = asyncio.run(ask(control, Order(cmd="strike", fault=fault)))
    except OSError as error:
        raise UserError(f"{control}: no proxy runs there; start it with: zhanggui sim chaos-proxy") from error
    except RefusedError as error:
        raise UserError(str(error)) from error
    typer.echo(json.dumps(answer.counters))


def register(app: typer.Typer) -> None:
    """Put both commands on `zhanggui sim`."""
    app.command(
        "chaos-proxy",
        epilog="Example:  zhanggui sim chaos-proxy --listen 127.0.0.1:1884 --to 127.0.0.1:1883 --seed 7",
    )(chaos_proxy)
    app.command("chaos-strike", epilog="Example:  zhanggui sim chaos-strike stall --seconds 3")(chaos_strike)
