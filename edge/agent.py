"""The agent of one store, put together: devices, ledger, sessions, uplink, desk, cameras, each under supervision."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Mapping
from functools import partial
from pathlib import Path
from random import Random, SystemRandom

from contracts.clock import Clock
from contracts.event_types import LANES, PeopleCountInterval, PeopleCrossing
from contracts.ids import new_uuid
from contracts.tasks import end
from device_drivers.errors import DeviceError
from edge.commands import CommandRunner, Reloader, doings_of, handlers
from edge.config import CameraConfig, ConfigError, StoreConfig, load_store, missing_ports
from edge.day_keys import DayKeys
from edge.description import Description
from edge.desk.server import DeskServer, DeskUnavailableError
from edge.devices.alarm_book import AlarmBook
from edge.devices.build import build
from edge.devices.built import Devices, WatchedReader, WatchedScanner
from edge.devices.health import DeviceHealth, State, WatchedScale
from edge.devices.polled import Polled, Poller
from edge.devices.scanners import watch_scanner
from edge.fork_watch import ForkWatch
from edge.front import Front
from edge.greeting import Begun, Greeting
from edge.keys import read_member_key
from edge.ledger import Keeper, Ledger, LedgerDamagedError, LedgerOpenError, Retention, machine_instance
from edge.sessions import CabinetRunner, PendedBasket, StaffDesk, load_policy
from edge.sessions.pins import well_formed
from edge.staff_cards import StaffCards
from edge.supervisor import Supervisor
from edge.telemetry import Telemetry
from edge.timekeeping import Timekeeping
from edge.uplink import Uplink
from edge.vision import CameraHealth, CameraService
from edge.vision.messages import Interval
from mqtt_link import BadUrlError, BrokerUrl

AGENT_VERSION = "0.1.0"
DRAIN_S = 5.0  # real seconds at a clean stop, for what is written to reach the cloud
CARD_EVERY_S = 0.5
WORK_DONE = frozenset(  # counted too, but nothing was lost by it
    {"opened", "connected", "starts", "requests", "replies", "received", "completed_done"}
    | {f"{lane}_{what}" for lane in LANES for what in ("hellos", "batches", "events")}
)
SAME_CODE_S = 10.0  # a code held before a camera is one code

log = logging.getLogger("zhanggui.edge")


def _awaits_age(runner: CabinetRunner) -> str:
    """The session of this cabinet that waits for a proof of age, or empty."""
    session = runner.snapshot().session
    return session.session if session is not None and "age" in session.needs else ""


class AgentError(Exception):
    """The agent cannot start; the message says what a person can do."""


async def run_agent(store_toml: Path, *, clock: Clock, rng: Random | None = None) -> None:
    """Run until SIGTERM or SIGINT. Raises AgentError when the store cannot be run as it is described."""
    try:
        config = load_store(store_toml)
        _check(store_toml, config)
        config.data_dir.mkdir(parents=True, exist_ok=True)
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        rng = rng or Random(SystemRandom().getrandbits(64))
        async with opened(config, clock=clock, rng=rng, store_toml=store_toml) as agent:
            await agent.run(stop)
    except (ConfigError, LedgerOpenError, DeskUnavailableError, OSError) as error:
        raise AgentError(str(error)) from error
    except BaseExceptionGroup as group:
        known = group.subgroup((DeskUnavailableError, ConfigError, LedgerDamagedError))
        if known is None:
            raise
        raise AgentError(str(known.exceptions[0])) from group


def _check(store_toml: Path, config: StoreConfig) -> None:
    wrong = [f"{store_toml}: {key}: {what}" for key, what in (*missing_ports(config), *_bad_pins(config))]
    try:
        BrokerUrl.parse(config.cloud.url)
    except BadUrlError as error:
        wrong.append(f"{store_toml}: {error}")
    if wrong:
        raise ConfigError("\n".join(wrong))


def _bad_pins(config: StoreConfig) -> Iterator[tuple[str, str]]:
    for person in config.staff:
        if not well_formed(person.pin_hash):
            yield f"staff.{person.id}.pin_hash", "not a hash; make one with: zhanggui edge hash-pin"


@contextlib.asynccontextmanager
async def opened(
    config: StoreConfig, *, clock: Clock, rng: Random, store_toml: Path | None = None
) -> AsyncIterator[Agent]:
    """The agent over its opened ledger, closed at the end; `store_toml` is the file that `config.reload` reads again.
    Raises ConfigError, LedgerOpenError."""
    boot = new_uuid()
    machine = machine_instance(config.data_dir / "machine")
    ledger = await Ledger.open(
        config.data_dir / "ledger.db",
        clock=clock,
        tenant=config.tenant,
        store=config.store,
        boot=boot,
        machine=machine,
        telemetry_rows=config.ledger.telemetry_rows,
        retention=Retention(config.ledger.retain_days, config.ledger.retain_bytes),
        reserve_bytes=config.ledger.reserve_bytes,
        quota_bytes=config.ledger.quota_bytes,
    )
    try:
        yield Agent(config, ledger=ledger, clock=clock, rng=rng, boot=boot, machine=machine, store_toml=store_toml)
    finally:
        await ledger.close()


class Agent:
    """Everything of one store in one process. Build it over an open ledger, then `run` it once."""

    def __init__(
        self,
        config: StoreConfig,
        *,
        ledger: Ledger,
        clock: Clock,
        rng: Random,
        boot: str,
        machine: str,
        store_toml: Path | None = None,
    ) -> None:
        self.config = config
        self.ledger = ledger
        self._clock = clock
        self._rng = rng
        self.counters: Counter[str] = Counter()
        policy = load_policy(config.policy)
        self.description = Description(config, ledger=ledger, clock=clock)
        self.keeper = Keeper(ledger=ledger, clock=clock)
        self.supervisor = Supervisor(clock=clock, rng=rng)
        self.telemetry = Telemetry(ledger=ledger, clock=clock, boot=boot, counters=self.all_counters)
        self.day_keys = DayKeys(ledger=ledger, clock=clock, hours=policy.hours)
        self.alarms = AlarmBook(ledger)
        self.devices: Devices = build(
            config,
            clock=clock,
            on_change=self._device_changed,
            on_fault=self.telemetry.bus_fault,
            day_key=self.day_keys.current,
            today=self.day_keys.today,
            door_open=lambda compartment: self._doors().get(compartment),
        )
        self.uplink = Uplink(
            ledger=ledger,
            clock=clock,
            rng=rng,
            url=config.cloud.url,
            tenant=config.tenant,
            store=config.store,
            instance=machine,
            boot=boot,
            agent_version=AGENT_VERSION,
            on_command=lambda command: self.commands.offer(command),  # noqa: PLW0108 - made further down
        )
        self.forks = ForkWatch(
            ledger=ledger, failures=lambda lane: self.uplink.counters.get(f"{lane}_fork_failed", 0), clock=clock
        )
        self.time = Timekeeping(ledger=ledger, clock=clock, quality=lambda: ledger.clock_quality)
        self.staff = StaffDesk(staff=config.staff, policy=policy, ledger=ledger, clock=clock)
        self.staff_cards = StaffCards(
            readers=frozenset(reader.config.cabinet for reader in self.devices.readers),
            staff=self.staff,
            today=self.day_keys.today,
        )
        payment = PendedBasket(ledger=ledger, clock=clock)
        self.runners: dict[str, CabinetRunner] = {
            cabinet.id: CabinetRunner(
                cabinet=cabinet,
                store=config,
                policy=policy,
                ledger=ledger,
                locks=self.devices.locks,
                scales=self.devices.scales,
                payment=payment,
                clock=clock,
                staff=self.staff,
                rng=rng,
                on_change=self._changed,
                wall_known=self.time.known,
            )
            for cabinet in config.cabinet
        }
        self.greeting = Greeting(
            key=read_member_key(config.member_key_file),
            start=self._start_self_service,
            cloud=self.uplink,
            tell=self.telemetry.tell,
            changed=self._changed,
            tobacco=frozenset(p.sku for p in config.product if p.category == "tobacco"),
            clock=clock,
        )
        self.cameras: dict[str, CameraService] = {
            camera.id: self._camera(camera) for camera in config.device if isinstance(camera, CameraConfig)
        }
        self.front = Front(
            config=config,
            runners=self.runners,
            staff=self.staff,
            greeting=self.greeting,
            health=self.devices.health,
            clock=clock,
            online=lambda: self.uplink.online,
            line_fault=lambda: self.uplink.fault,
            cannot_fork=lambda: self.forks.stuck,
            disk=lambda: ledger.level,
            counters=self.all_counters,
            greet=self._greet,
            arm=self.staff_cards.arm,
        )
        doings = doings_of(
            config,
            ledger=ledger,
            runners=self.runners,
            devices=self.devices,
            restart=self.supervisor.restart,
            reload=Reloader(store_toml, config, check=_bad_pins, take_over=self._take_over).reload,
            flush=self.telemetry.flush_now,
        )
        self.commands = CommandRunner(
            ledger=ledger, standing=lambda: self.uplink.standing, clock=clock, handlers=handlers(doings)
        )
        self.staff.listen(self._changed)
        self.desk = DeskServer(config.data_dir / "desk.sock", self.front, clock)
        self._group: asyncio.TaskGroup | None = None
        self._greetings: set[asyncio.Task[None]] = set()
        self._last_code: dict[str, tuple[str, float]] = {}  # by camera; in memory alone

    # -------------------------------------------------------------- life

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until `stop`, then let the ledger drain for a moment. Raises DeskUnavailableError."""
        described = await self.description.tell()
        await self.alarms.forget_all_but({p.device: [limit.code for limit in p.limits] for p in self.devices.polled})
        async with asyncio.TaskGroup() as group:
            self._group = group
            tasks: list[asyncio.Task[None]] = []

            def keep(
                name: str,
                start: Callable[[], Awaitable[None]],
                *,
                cap_s: float = 30.0,
                fatal: tuple[type[Exception], ...] = (),
            ) -> None:
                kept = self.supervisor.keep(name, start, cap_s=cap_s, fatal=fatal)
                tasks.append(group.create_task(kept, name=name))

            keep("desk", self.desk.run, cap_s=2.0, fatal=(DeskUnavailableError,))
            for name, bus in self.devices.buses.items():
                keep(f"bus:{name}", bus.run, cap_s=5.0)
            for scanner in self.devices.scanners:
                keep(f"scanner:{scanner.config.id}", scanner.scanner.run, cap_s=5.0)
                keep(f"codes:{scanner.config.id}", partial(self._codes, scanner), cap_s=2.0)
                keep(f"alive:{scanner.config.id}", partial(watch_scanner, scanner))
            for reader in self.devices.readers:
                keep(f"cards:{reader.config.id}", partial(self._cards, reader), cap_s=2.0)
            for polled in self.devices.polled:
                keep(f"device:{polled.device}", self._poller(polled).run, cap_s=5.0)
                if polled.company is not None:
                    keep(f"company:{polled.device}", polled.company, cap_s=5.0)
            for cabinet, runner in self.runners.items():
                keep(f"cabinet:{cabinet}", runner.run, cap_s=2.0)
            for camera, service in self.cameras.items():
                keep(f"camera:{camera}", partial(self._watch, service))
            if not described:
                keep("describe", self.description.tell_when_there_is_room)
            keep("commands", self.commands.run, cap_s=2.0)
            keep("ledger", self.keeper.run, cap_s=5.0, fatal=(LedgerDamagedError,))
            keep("uplink", self.uplink.run)
            keep("forks", self.forks.run)
            keep("staff", self.staff.run)
            keep("time", self.time.run)
            keep("day_keys", self.day_keys.run)
            keep("telemetry", partial(self.telemetry.run, self._shelf_scales(), self._doors))
            await stop.wait()
            await self._drain()
            await end((*tasks, *self._greetings))

    async def _take_over(self, config: StoreConfig) -> None:
        """What of a new description is true from now on: names and people (see `edge.commands.reload`)."""
        await self.staff.replace(config.staff)
        self.config = self.front.config = self.description.config = config
        await self.description.tell()  # on a full disk the next start tells it
        self._changed()

    async def _drain(self) -> None:
        await self.telemetry.flush()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_S):
                while any(self.ledger.lane(lane).waiting for lane in LANES):  # noqa: ASYNC110 - two lanes, one look
                    await asyncio.sleep(0.05)

    # -------------------------------------------------------------- from devices to sessions

    async def _codes(self, watched: WatchedScanner) -> None:
        """Codes of one scanner become sessions of its cabinet."""
        while True:
            try:
                code = await watched.scanner.next_code()
            except DeviceError:
                await asyncio.sleep(CARD_EVERY_S)
                continue
            begun = await self.greeting.code(code.text, device=watched.config.id, cabinet=watched.config.cabinet)
            self._greet(begun, watched.config.cabinet)

    def _greet(self, begun: Begun, cabinet: str) -> None:
        """Ask for the greeting beside everything else: no door waits for the cloud."""
        if begun.ok:
            self._beside(self.greeting.greet(begun.session, begun.member_ref, cabinet), f"greet:{begun.session}")

    def _beside(self, work: Coroutine[None, None, None], name: str) -> None:
        """Run `work` beside everything else; a stop does not wait for it."""
        if self._group is None:
            work.close()
            return
        task = self._group.create_task(work, name=name)
        self._greetings.add(task)
        task.add_done_callback(self._greetings.discard)

    async def _start_self_service(self, cabinet: str, compartment: str, member_ref: str) -> Begun:
        config = next(c for c in self.config.cabinet if c.id == cabinet)
        if config.mode != "self_service":
            return Begun(ok=False, reason="counter_only")
        result = await self.runners[cabinet].request(
            "self_service", compartment or config.compartment[0].id, member_ref
        )
        return Begun(ok=result.ok, session=result.session if result.ok else "", reason=result.reason)

    async def _cards(self, watched: WatchedReader) -> None:
        """A card is read only while a session of the cabinet waits for a proof of age, or while somebody on duty has
        said that they lay their own; once for each laying down. A customer comes first.

        One that lay there before the session began, or was judged, proves nothing until it is lifted: a card that was
        left behind is not the next buyer's (T03). Between sessions nothing is asked but whether one lies there.
        """
        cabinet, cards = watched.config.cabinet, self.staff_cards
        runner, reader = self.runners[cabinet], watched.reader
        lies = True  # a card that must be lifted first; true until the reader has said otherwise
        while True:
            await asyncio.sleep(CARD_EVERY_S)
            wanted, day = _awaits_age(runner), cards.today()
            person = "" if wanted else cards.awaited(cabinet)
            reading = None
            try:
                if (wanted or person) and not lies:
                    reading = await reader.read()
                    lies = reading is not None
                else:
                    lies = await reader.present()
            except DeviceError as error:
                watched.health.failed(str(error))
                continue
            watched.health.ok()
            if reading is None:
                continue
            if wanted:
                if day == cards.today():  # a pseudonym of yesterday tells nobody apart: lay it again
                    await runner.age_proof(wanted, reading, "id_card")
            elif not _awaits_age(runner):  # or else it may be the card of a customer who came meanwhile
                cards.laid(cabinet, person, reading, day)

    # -------------------------------------------------------------- cameras

    def _camera(self, camera: CameraConfig) -> CameraService:
        health = DeviceHealth(camera.id, "camera", self._clock, self._device_changed, since_s=self._clock.now_s())
        self.devices.health[camera.id] = health

        def crossing(direction: str) -> None:
            event = PeopleCrossing(line=camera.id, direction="in" if direction == "in" else "out")
            self.telemetry.tell(event, camera.id)

        def interval(seen: Interval) -> None:
            self.telemetry.tell(
                PeopleCountInterval(
                    line=camera.id,
                    start=seen.start,
                    end=seen.end,
                    entered=seen.entered,
                    left=seen.left,
                    quality=seen.quality,
                    frames=seen.frames,
                    skipped=seen.skipped,
                ),
                camera.id,
            )

        def told(word: CameraHealth) -> None:
            if word.state == "online":
                health.ok()
            elif word.state in {"refused", "offline"}:
                health.failed(word.reason)

        return CameraService(
            camera=camera,
            clock=self._clock,
            on_crossing=crossing,
            on_interval=interval,
            on_health=told,
            rng=self._rng,
            on_code=partial(self._camera_code, camera) if camera.codes_cabinet else None,
        )

    def _camera_code(self, camera: CameraConfig, text: str) -> None:
        """A code in a camera's picture counts like one before a scanner; while it stays in sight it counts once."""
        cabinet, now_s = camera.codes_cabinet, self._clock.now_s()
        if cabinet is None:
            return
        last, seen_s = self._last_code.get(camera.id, ("", 0.0))
        self._last_code[camera.id] = (text, now_s)
        if text == last and now_s - seen_s < SAME_CODE_S:
            self.counters["camera.code_repeated"] += 1
            return
        self._beside(self._take_code(camera.id, cabinet, text), f"code:{camera.id}")

    async def _take_code(self, device: str, cabinet: str, text: str) -> None:
        begun = await self.greeting.code(text, device=device, cabinet=cabinet)
        self._greet(begun, cabinet)

    async def _watch(self, service: CameraService) -> None:
        """A camera that may not be analysed stays so until the store is described anew."""
        await service.run()
        await asyncio.Event().wait()

    # -------------------------------------------------------------- about itself

    def _device_changed(self, health: DeviceHealth, before: State) -> None:
        self.telemetry.device_changed(health, before)
        self._changed()

    def _changed(self) -> None:
        self.desk.changed()

    def _doors(self) -> dict[str, bool | None]:
        return {c.compartment: c.door_open for r in self.runners.values() for c in r.snapshot().compartments}

    def _poller(self, polled: Polled) -> Poller:
        return Poller(polled, self._clock, self.telemetry.tell, self.alarms)

    def _shelf_scales(self) -> dict[str, tuple[str, WatchedScale]]:
        return {
            shelf.id: (shelf.scale, self.devices.scales[shelf.scale])
            for _, compartment in self.config.compartments()
            for shelf in compartment.shelf
        }

    def all_counters(self) -> Mapping[str, int]:
        """Every drop and refusal of the agent, by name."""
        total: Counter[str] = Counter()
        total.update(self.counters)
        total.update(self.greeting.counters)
        total.update(self.telemetry.counters)
        total.update({f"desk.{k}": n for k, n in self.desk.counters.items()})
        total.update({f"uplink.{k}": n for k, n in self.uplink.counters.items()})
        total.update({f"forks.{k}": n for k, n in self.forks.counters.items()})
        total.update({f"command.{k}": n for k, n in self.commands.counters.items()})
        total.update({f"ledger.{k}": n for k, n in self.ledger.counters.items()})
        for cabinet, runner in self.runners.items():
            total.update({f"{cabinet}.{k}": n for k, n in runner.counters.items()})
        for name, bus in self.devices.buses.items():
            total.update({f"bus.{name}.{k}": n for k, n in bus.counters.items()})
        for watched in self.devices.scanners:
            total.update({f"scanner.{watched.config.id}.{k}": n for k, n in watched.scanner.counters.items()})
        for polled in self.devices.polled:
            total.update({f"{polled.kind}.{polled.device}.{k}": n for k, n in polled.counters().items()})
        total.update({f"devices.{k}": n for k, n in self.alarms.counters.items()})
        for camera, service in self.cameras.items():
            total.update({f"camera.{camera}.{k}": n for k, n in service.counters.items()})
        for task in self.supervisor.tasks.values():
            total.update({f"crash.{task.name}": task.crashes})
        return {name: n for name, n in total.items() if name.rsplit(".", 1)[-1] not in WORK_DONE}
