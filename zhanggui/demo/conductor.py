"""The story of a demo: start everything in order, watch it, deal the planned blows, drain, compare, stop."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import httpx
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from contracts.clock import ScaledClock
from zhanggui.cloud_commands import MQTT_ENV
from zhanggui.demo import verdict
from zhanggui.demo.children import Children
from zhanggui.demo.pace import Pace
from zhanggui.demo.store import DEMO_PINS, DemoStore, make
from zhanggui.errors import UserError

LOOPBACK = "127.0.0.1"
START_WITHIN_S = 60.0
DRAIN_WITHIN_S = 90.0


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What the command line asked for."""

    data: Path
    port: int
    store_port: int
    seed: int
    speed: float
    headless: bool
    minutes: float
    report: Path | None
    chaos: bool
    broker: str
    camera: bool


@dataclass(frozen=True, slots=True)
class Blow:
    """One planned SIGKILL: at this store second of the story."""

    at_s: float
    victim: str


def plan_blows(seed: int, story_s: float) -> tuple[Blow, ...]:
    """Two kills of the agent, one of the bridge, one of the camera process; from the seed, spread over the story."""
    rng = Random(seed)
    spots = [(0.15, 0.3, "agent"), (0.35, 0.5, "bridge"), (0.5, 0.6, "camera"), (0.6, 0.8, "agent")]
    return tuple(Blow(rng.uniform(a, b) * story_s, victim) for a, b, victim in spots)


def run(options: DemoOptions) -> int:
    """Run the demo; the exit code of the command. Raises UserError."""
    console = Console(highlight=False)
    for port, what in ((options.port, "--port"), (options.store_port, "--store-port")):
        if not options.headless and _taken(port):
            raise UserError(
                f"port {port} on {LOOPBACK} is in use: stop what listens there, or choose another with {what}"
            )
    try:
        return asyncio.run(_play(options, console))
    except KeyboardInterrupt:
        return 130


def _taken(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return True
    return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


async def _play(options: DemoOptions, console: Console) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    broker_port = 0 if options.broker else _free_port()
    broker_url = options.broker or f"mqtt://{LOOPBACK}:{broker_port}"
    cloud_port = _free_port() if options.headless else options.port
    store_port = _free_port() if options.headless else options.store_port
    from edge.sessions import hash_pin

    demo = make(
        options.data,
        broker_url=broker_url,
        camera=options.camera,
        pin_hashes={staff: hash_pin(pin) for staff, pin in DEMO_PINS.items()},
    )
    if options.camera:
        await asyncio.to_thread(_fetch_person_model, console)
    clock = ScaledClock.create(demo.clock_file, speed=options.speed, start=datetime.now(UTC))
    children = Children(
        demo.folder,
        {
            "ZHANGGUI_CLOCK": str(demo.clock_file.resolve()),
            "ZHANGGUI_CAMERA_TRUTH": str(demo.folder / "camera.jsonl"),
            MQTT_ENV: broker_url,  # it may hold a password, so no argument names it
        },
    )
    story = _Story(options, console, demo, clock, children, stop)
    try:
        await story.start(broker_port, cloud_port, store_port)
        return await (story.headless() if options.headless else story.open_house(cloud_port, store_port))
    finally:
        await children.stop()


def _fetch_person_model(console: Console) -> None:
    from zhanggui.models_commands import ensure

    ensure("person", console)


@dataclass(slots=True)
class _Story:
    options: DemoOptions
    console: Console
    demo: DemoStore
    clock: ScaledClock
    children: Children
    stop: asyncio.Event
    cloud_port: int = 0

    async def start(self, broker_port: int, cloud_port: int, store_port: int) -> None:
        """Bring everything up in the order in which it is needed; first the truth, last the people.

        Without a `broker_port` the broker is somebody else's.
        """
        began_s = time.monotonic()
        self.cloud_port = cloud_port
        children, demo, options = self.children, self.demo, self.options
        sim = ["zhanggui", "sim", "run", str(demo.store_toml), "--seed", str(options.seed)]
        sim += ["--truth", str(demo.truth_log), "--codes", str(demo.codes_csv), "--control", str(demo.control_socket)]
        if options.headless:
            sim += ["--minutes", str(options.minutes), "--pins", str(demo.pins_csv), "--done", str(demo.story_done)]
        with self.console.status("starting the broker and the hardware …"):
            if broker_port:
                children.start("broker", ["zhanggui.broker", "--port", str(broker_port)])
            children.start("sim", sim)
            if broker_port:
                await self._until("the broker", lambda: _taken(broker_port))
            await self._until("the hardware", demo.control_socket.exists)
        with self.console.status("starting the cloud …"):
            children.start("bridge", self._cloud_command())
            await self._until_http(f"http://{LOOPBACK}:{cloud_port}/healthz", "the cloud")
        with self.console.status("starting the store …"):
            children.start("agent", ["zhanggui", "edge", "run", str(demo.store_toml)])
            await self._until("the agent", demo.desk_socket.exists)
            pages = ["zhanggui", "edge", "pages", str(demo.store_toml), "--port", str(store_port)]
            children.start("pages", pages)
            await self._until_http(f"http://{LOOPBACK}:{store_port}/", "the store's pages")
        self.console.print(f"started in {time.monotonic() - began_s:.1f} s")

    def _cloud_command(self) -> list[str]:
        command = ["zhanggui", "cloud", "run", "--database", str(self.demo.cloud_db), "--port", str(self.cloud_port)]
        return [*command, "--members", str(self.demo.members_csv)]

    async def _until(self, what: str, ready: object) -> None:
        assert callable(ready)
        deadline_s = time.monotonic() + START_WITHIN_S
        while not ready():
            self.children.check()
            if self.stop.is_set():
                raise KeyboardInterrupt
            if time.monotonic() > deadline_s:
                raise UserError(f"{what} did not start within {START_WITHIN_S:.0f} s; see {self.demo.folder / 'logs'}")
            await asyncio.sleep(0.05)

    async def _until_http(self, url: str, what: str) -> None:
        answers = False

        async def ask() -> None:
            nonlocal answers
            async with httpx.AsyncClient() as client:
                while not answers:
                    try:
                        answers = (await client.get(url, timeout=2)).status_code < 500
                    except httpx.HTTPError:
                        answers = False
                    await asyncio.sleep(0.1)

        asking = asyncio.create_task(ask(), name=f"wait for {what}")
        try:
            await self._until(what, lambda: answers)
        finally:
            asking.cancel()

    async def open_house(self, cloud_port: int, store_port: int) -> int:
        """Interactive: print the addresses and wait for Ctrl-C."""
        self.console.print(f"\n  operators' pages   [bold]http://{LOOPBACK}:{cloud_port}/[/bold]")
        self.console.print(f"  store's pages      [bold]http://{LOOPBACK}:{store_port}/[/bold]")
        pins = ", ".join(f"{staff} {pin}" for staff, pin in DEMO_PINS.items())
        self.console.print(f"\n  staff PINs: {pins}    try: zhanggui sim --help    Ctrl-C stops everything\n")
        while not self.stop.is_set():
            self.children.check()
            try:
                await asyncio.wait_for(self.stop.wait(), 0.5)
            except TimeoutError:
                continue
        self.console.print("stopping …")
        return 0

    async def headless(self) -> int:
        """Play the story to its end, let the ledger drain, compare with the truth."""
        options = self.options
        story_s = options.minutes * 60
        blows = list(plan_blows(options.seed, story_s)) if options.chaos else []
        kills: list[tuple[str, float]] = []
        began_store_s, began_real_s = self.clock.now_s(), time.monotonic()
        pace = Pace(self.clock)
        watching = asyncio.create_task(pace.watch(), name="pace")
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
        )
        try:
            with Progress(*columns, console=self.console, disable=not self.console.is_terminal) as progress:
                bar = progress.add_task(f"{options.minutes:g} minutes of store time", total=story_s, note="")
                while not self.demo.story_done.exists():
                    self.children.check()
                    if self.stop.is_set():
                        return 130
                    told_s = self.clock.now_s() - began_store_s
                    if blows and told_s >= blows[0].at_s:
                        self._strike(blows.pop(0), kills)
                    progress.update(bar, completed=min(told_s, story_s), note=f"speed {self.clock.speed:.1f}")
                    await asyncio.sleep(0.1)
        finally:
            watching.cancel()
        story_store_s, story_real_s = self.clock.now_s() - began_store_s, time.monotonic() - began_real_s
        drained_s = await self._drain()
        await self.children.stop(("agent", "pages", "bridge"))
        result = verdict.judge(self.demo, kills=kills, drained_s=drained_s, speed=options.speed, began_s=began_store_s)
        result["speed"] = {
            "asked": options.speed,
            "achieved": round(story_store_s / story_real_s, 2),
            "lowered": pace.lowered,
        }
        result["seed"], result["minutes"], result["chaos"] = options.seed, options.minutes, options.chaos
        if options.report:
            options.report.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n")
        verdict.show(result, self.console)
        return 0 if result["equal"] else 1

    def _strike(self, blow: Blow, kills: list[tuple[str, float]]) -> None:
        """SIGKILL the victim and note when."""
        if blow.victim == "camera":
            if self.options.camera and verdict.kill_camera_worker(self.children.running["agent"].pid):
                kills.append(("camera", self.clock.now_s()))
            return
        kills.append((blow.victim, self.clock.now_s()))
        self.children.kill_and_restart(blow.victim)

    async def _drain(self) -> float:
        """Wait until the cloud holds all that the store has; real seconds it took."""
        began_s = time.monotonic()
        while time.monotonic() - began_s < DRAIN_WITHIN_S:
            self.children.check()
            if await asyncio.to_thread(verdict.at_rest, self.demo):
                break
            await asyncio.sleep(0.2)
        return time.monotonic() - began_s
