"""The uplink over MQTT 5: connects, reconnects, hands messages to the lanes, keeps the store's presence, asks.

Nothing here is trusted to deliver: the lanes' machines find out by hello and ack what arrived.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from random import Random

from contracts.backoff import Backoff
from contracts.clock import Clock, unix_ms
from contracts.envelope import ClockQuality
from contracts.event_types import LANES, ClockEstimated, Lane
from contracts.ids import check_id
from contracts.messages import (
    Ack,
    BadMessageError,
    Batch,
    Command,
    Hello,
    HelloAnswer,
    Message,
    Presence,
    Request,
    Response,
    decode_message,
    encode_message,
)
from contracts.topics import StoreTopics
from edge.ledger import LaneView, Ledger
from edge.ports import LedgerFullError, Record, Standing, Transaction
from edge.uplink.clock_estimate import ClockEstimator, Estimate, differs
from edge.uplink.lane_runner import Answered, LaneRunner
from edge.uplink.line_watch import DEVICE, LineFault, LineWatch, decode_fault, encode_fault
from edge.uplink.machine import PROGRESS_TIMEOUT_S
from edge.uplink.requests import Requests
from mqtt_link import AiomqttPort, BrokerUrl, LinkLostError, MqttConnection, MqttPort, Will

HEARTBEAT_S = 30.0
NETWORK_TIMEOUT_S = 10.0  # real seconds
FAREWELL_S = 2.0
_NETWORK_ERRORS = (OSError, TimeoutError)
_log = logging.getLogger("zhanggui.uplink")


class Uplink:
    """The store's line to the cloud. `run` never returns by itself; every failure leads to another try.

    `progress_timeout_s` and `heartbeat_s` are seconds of `clock` (store time); everything about the network itself
    (connecting, publishing, pauses between tries, the ttl of questions) is real time.
    """

    def __init__(
        self,
        *,
        ledger: Ledger,
        clock: Clock,
        rng: Random,
        url: str,
        tenant: str,
        store: str,
        instance: str,
        boot: str,
        agent_version: str,
        progress_timeout_s: float = PROGRESS_TIMEOUT_S,
        heartbeat_s: float = HEARTBEAT_S,
        reconnect_base_s: float = 1.0,
        reconnect_cap_s: float = 30.0,
        reconnect_spread_s: float = 40.0,
        network_timeout_s: float = NETWORK_TIMEOUT_S,
        port: MqttPort | None = None,
        on_command: Callable[[Command], None] | None = None,
    ) -> None:
        """Raises BadUrlError or BadIdError. `port` stands in for the broker at `url`. `on_command` takes every copy of
        a command that arrives; without it they are counted and dropped."""
        self._url = BrokerUrl.parse(url)
        self._port = port or AiomqttPort(self._url, timeout_s=network_timeout_s)
        self._topics = StoreTopics(tenant, store)
        self._instance = check_id(instance, "instance")
        self._client_id = f"{store}.{instance}"
        self._boot = check_id(boot, "boot")
        self._agent_version = agent_version
        self._ledger = ledger
        self._clock = clock
        self._heartbeat_s = heartbeat_s
        self._backoff = Backoff(rng=rng, base_s=reconnect_base_s, cap_s=reconnect_cap_s, spread_s=reconnect_spread_s)
        self._counters: Counter[str] = Counter()
        self._link: MqttConnection | None = None
        self._conn = 0
        self._since_ms = 0
        self._told_down = False
        self._estimator = ClockEstimator()
        self._told_clock: Estimate | None = None
        self._watch = LineWatch(decode_fault(ledger.state("uplink").get("fault")))
        self._on_command = on_command
        self._requests = Requests(publish=self._publish_request, counters=self._counters)
        self._lanes: dict[Lane, LaneRunner] = {
            name: LaneRunner(
                ledger=ledger,
                lane=ledger.lane(name),
                clock=clock,
                rng=rng,
                instance=instance,
                publish=self._publish_lane,
                on_answer=self._on_answer,
                progress_timeout_s=progress_timeout_s,
            )
            for name in LANES
        }

    # -------------------------------------------------------------- what others use

    async def run(self) -> None:
        """Keep the line up until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            attempt = loop.create_task(self._connection(), name="uplink-connection")
            try:
                await asyncio.wait({attempt})
            finally:
                while not attempt.done():  # Python 3.11 may lose a cancellation that meets an error in a TaskGroup
                    attempt.cancel()
                    await asyncio.wait({attempt}, timeout=FAREWELL_S)
            self._ended(attempt.exception() if not attempt.cancelled() else None)
            await self._tell_line()
            await asyncio.sleep(self._backoff.down(loop.time()))

    async def ask(self, method: str, args: Mapping[str, str | int | None], ttl_s: float) -> Response | None:
        """Ask the cloud; None if no answer came within `ttl_s` real seconds or there is no connection."""
        return await self._requests.ask(method, args, ttl_s)

    @property
    def online(self) -> bool:
        """The broker is connected and the cloud has answered our hello."""
        return self._link is not None and self._lanes["ledger"].machine.state in ("ready", "standby")

    @property
    def standby(self) -> bool:
        """Another instance of this store is the active one."""
        return self._lanes["ledger"].machine.state == "standby"

    @property
    def fault(self) -> LineFault | None:
        """What a person must mend before there can be a line; None while there is nothing of the kind."""
        return self._watch.fault

    @property
    def standing(self) -> Standing:
        """What commands must know of the cloud and its clock."""
        machine = self._lanes["ledger"].machine
        state = machine.state
        return Standing(
            link=state if state in ("off", "ready", "standby") else "silent",
            watermark=machine.watermark,
            latest_ms=self._estimator.latest_ms(now_s=self._clock.now_s()),
        )

    @property
    def clock_quality(self) -> ClockQuality:
        """What every event says of our clock."""
        return self._ledger.clock_quality

    @property
    def counters(self) -> dict[str, int]:
        """Everything that was dropped, refused or repeated, by name; a lane's with the lane before it."""
        merged = dict(self._counters)
        for name, runner in self._lanes.items():
            merged.update({f"{name}_{what}": n for what, n in runner.counters.items()})
        return merged

    # -------------------------------------------------------------- one connection

    async def _connection(self) -> None:
        self._conn += 1
        self._since_ms = unix_ms(self._clock.wall())
        payload, _ = encode_message(self._presence(online=False))
        async with self._port.connect(
            client_id=self._client_id, will=Will(self._topics.presence, payload), on_dropped=self._dropped
        ) as link:
            await link.subscribe(self._topics.all_down)
            self._link = link
            self._backoff.up(asyncio.get_running_loop().time())
            self._counters["connected"] += 1
            _log.info("connected to %s", self._url)
            self._told_down = False
            self._watch.connected()
            await self._tell_line()
            try:
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(self._receive(link), name="uplink-receive")
                    tasks.create_task(self._heartbeat(link), name="uplink-heartbeat")
                    for name, runner in self._lanes.items():
                        tasks.create_task(runner.run(), name=f"uplink-{name}")
            except asyncio.CancelledError:  # a clean stop sends no last will, so it says farewell itself
                with contextlib.suppress(LinkLostError, TimeoutError):
                    async with asyncio.timeout(FAREWELL_S):
                        await self._publish_presence(link, online=False)
                raise
            finally:
                self._link = None

    def _dropped(self) -> None:
        self._counters["message_queue_full"] += 1

    def _ended(self, error: BaseException | None) -> None:
        """A connection is over: of the network's faults tell the first, of our own every one."""
        self._link = None
        self._counters["disconnected"] += 1
        causes = list(_causes(error))
        for cause in causes:
            self._watch.ended(cause, wall=self._clock.wall(), now_s=self._clock.now_s())
        ours = [cause for cause in causes if not isinstance(cause, _NETWORK_ERRORS)]
        if ours:
            self._counters["internal_error"] += 1
            _log.error("the uplink failed; it tries again", exc_info=ours[0])
        elif not self._told_down:
            why = str(causes[0]) if causes else ""
            _log.warning("no connection to %s: %s; trying again", self._url, why or "no answer")
            self._told_down = True

    async def _tell_line(self) -> None:
        """Write down what is wrong with the line, and when that is over; the same is told once."""
        fault = self._watch.fault
        if not (events := self._watch.due(self._clock.now_s())):
            return
        place = ("uplink", "fault")
        said = {"puts": {place: encode_fault(fault)}} if fault is not None else {"deletes": [place]}
        try:
            await self._ledger.commit(Transaction(records=[Record(event, DEVICE) for event in events], **said))
        except LedgerFullError:
            self._counters["line_fault_not_written"] += 1  # the next attempt says it again
        else:
            self._watch.told = fault

    # -------------------------------------------------------------- what comes in

    async def _receive(self, link: MqttConnection) -> None:
        async for message in link.messages():
            try:
                self._take(message.topic, message.payload)
            except BadMessageError as error:
                self._counters["message_malformed"] += 1
                _log.debug("malformed message: %s", error)

    def _take(self, topic: str, payload: bytes) -> None:
        """One message of the cloud. Raises BadMessageError."""
        kind, _, name = topic.removeprefix(f"{self._topics.base}/down/").partition("/")
        if kind == "hello" and name in self._lanes:
            self._lanes[name].offer(decode_message(payload, HelloAnswer))
        elif kind == "ack" and name in self._lanes:
            self._lanes[name].offer(decode_message(payload, Ack))
        elif kind == "response":
            self._requests.answered(decode_message(payload, Response))
        elif kind == "command" and self._on_command is not None:
            command = decode_message(payload, Command)
            if command.id != name:
                raise BadMessageError(f"Command: {name} carries {command.id}")
            self._on_command(command)
        elif kind in ("command", "twin"):
            self._counters[f"{kind}_ignored"] += 1
        else:
            self._counters["message_unexpected"] += 1

    # -------------------------------------------------------------- what goes out

    async def _heartbeat(self, link: MqttConnection) -> None:
        while True:
            await self._publish_presence(link, online=True)
            _heed_cancel()
            await self._clock.sleep(self._heartbeat_s)
            await self._note_clock()

    def _presence(self, *, online: bool) -> Presence:
        return Presence(
            online=online,
            boot=self._boot,
            conn=self._conn,
            instance=self._instance,
            agent_version=self._agent_version,
            since=self._since_ms,
        )

    async def _publish_presence(self, link: MqttConnection, *, online: bool) -> None:
        await _publish(link, self._topics.presence, self._presence(online=online), retain=True)

    async def _publish_lane(self, lane: LaneView, message: Hello | Batch) -> None:
        topic = self._topics.hello_up(lane.name) if isinstance(message, Hello) else self._topics.events(lane.name)
        await _publish(self._connected(), topic, message)
        _heed_cancel()

    async def _publish_request(self, method: str, request: Request) -> None:
        await _publish(self._connected(), self._topics.request(method), request)

    def _connected(self) -> MqttConnection:
        if self._link is None:
            raise LinkLostError("no broker now")
        return self._link

    # -------------------------------------------------------------- time

    async def _on_answer(self, heard: Answered) -> None:
        fits = self._estimator.add(
            sent_s=heard.sent_s, received_s=heard.received_s, t1_ms=heard.answer.t1, t2_ms=heard.answer.t2
        )
        if not fits:
            self._counters["clock_sample_refused"] += 1
        await self._note_clock()

    async def _note_clock(self) -> None:
        """Tell the ledger what our clock is worth; write it down when that has changed."""
        now = self._estimator.estimate(now_s=self._clock.now_s(), wall_ms=self._clock.wall().timestamp() * 1000.0)
        if now is None:
            return
        self._ledger.clock_quality = now.quality
        if not differs(now, self._told_clock):
            return
        event = ClockEstimated(boot=self._boot, offset_ms=round(now.offset_ms, 1), rtt_ms=round(now.rtt_ms, 1))
        before, self._told_clock = self._told_clock, now  # first, for the other lane's answer may come meanwhile
        try:
            await self._ledger.commit(Transaction(records=[Record(event)]))
        except LedgerFullError:
            self._counters["clock_estimated_failed"] += 1
            self._told_clock = before


async def _publish(link: MqttConnection, topic: str, message: Message, *, retain: bool = False) -> None:
    payload, encoding = encode_message(message)
    await link.publish(topic, payload, encoding=encoding, retain=retain)


def _heed_cancel() -> None:
    """Python 3.11 loses a cancellation that meets the end of a `wait_for`, as in aiomqtt; for tasks of our own only."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The errors themselves, whatever groups they come in."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _causes(inner)
    elif error is not None:
        yield error
