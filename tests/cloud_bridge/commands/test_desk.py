"""Issued, published, said again after each hello, answered by the store's own words; on both databases."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cloud_bridge.commands import CommandDesk, Issued, book, mark_restored
from cloud_bridge.counters import Counters
from cloud_bridge.ingest.service import Ingest
from cloud_bridge.presence import PresenceBook
from cloud_bridge.router import Router
from cloud_bridge.storage import Storage
from contracts.clock import ManualClock, unix_ms
from contracts.event_types import CommandAccepted, CommandCompleted, CommandRefused
from contracts.messages import Command, Hello, Parent, decode_message, encode_message
from contracts.topics import StoreTopics
from tests.cloud_bridge.wire import CHILD, LEDGER, STREAM, Chain

TOPICS = StoreTopics("demo", "shop1")
KIND = "device.restart"


class Cloud:
    """One bridge without a broker: what it publishes is kept, and a line that is down refuses."""

    def __init__(self, storage: Storage, clock: ManualClock, counters: Counters) -> None:
        self.storage, self.clock, self.counters = storage, clock, counters
        self.up = True
        self.said: list[Command] = []
        self.topics: list[str] = []
        self.restart()

    def restart(self) -> None:
        """A new process over the same database."""
        self.desk = CommandDesk(
            storage=self.storage,
            publish=self._publish,
            connected=lambda: self.up,
            clock=self.clock,
            counters=self.counters,
        )
        self.router = Router(
            storage=self.storage,
            ingest=Ingest(storage=self.storage, clock=self.clock, counters=self.counters),
            presence=PresenceBook(self.counters),
            requests=None,
            clock=self.clock,
            counters=self.counters,
            commands=self.desk,
        )

    async def _publish(self, topic: str, payload: bytes, _encoding: str) -> None:
        if not self.up:
            raise ConnectionError("away")
        self.topics.append(topic)
        self.said.append(decode_message(payload, Command))

    async def hello(self, stream: str = STREAM, *, instance: str = "i1", parent: Parent | None = None) -> None:
        hello = Hello(stream=stream, instance=instance, nonce="n1", next_seq=1, tail_hash="0" * 64, t0=0, parent=parent)
        await self.router.handle(TOPICS.hello_up("ledger"), encode_message(hello)[0])
        await self.desk.turn()

    async def issue(self, name: str = "c1", ttl_s: float = 60) -> None:
        now_ms = unix_ms(self.clock.wall())
        order = Issued("demo", "shop1", name, "", KIND, {"device": "d1"}, "amy", now_ms, now_ms + int(ttl_s * 1000))

        def write(db):
            stream = book.target(db, "demo", "shop1")
            assert stream is not None
            book.issue(db, replace(order, stream=stream))

        await self.storage.write(write)
        self.desk.issued()

    async def tells(self, chain: Chain) -> None:
        """The store's ledger lane, as far as it goes."""
        await self.router.handle(TOPICS.events("ledger"), encode_message(chain.batch(1, len(chain.raws)))[0])

    async def state(self, name: str = "c1") -> str:
        order = await self.storage.read(lambda db: book.find(db, "demo", "shop1", name))
        assert order is not None
        return order.verdict(unix_ms(self.clock.wall())).state

    def heard(self) -> list[str]:
        """The ids that were published since the last look."""
        names = [command.id for command in self.said]
        self.said.clear()
        return names


@pytest.fixture
def cloud(storage: Storage, clock: ManualClock, counters: Counters) -> Cloud:
    return Cloud(storage, clock, counters)


def said(*events) -> Chain:
    chain = Chain(place=LEDGER)
    for event in events:
        chain.say(event)
    return chain


ACCEPTED = CommandAccepted(command="c1", kind=KIND)
DONE = CommandCompleted(command="c1", kind=KIND, outcome="done", detail="online", result={"n": 3})


async def test_a_command_names_the_stream_and_is_published_once_it_is_committed(cloud: Cloud):
    await cloud.hello()
    await cloud.issue(ttl_s=60)
    await cloud.clock.advance(2)
    await cloud.desk.turn()
    (command,) = cloud.said
    assert cloud.topics == [TOPICS.command("c1")]
    assert (command.stream, command.type, command.args, command.issued_by) == (STREAM, KIND, {"device": "d1"}, "amy")
    assert command.ttl_ms == 58_000  # what is left
    assert command.expires_at - unix_ms(cloud.clock.wall()) == 58_000
    cloud.heard()
    await cloud.desk.turn()
    assert cloud.heard() == []
    assert await cloud.state() == "issued"


async def test_on_hello_what_is_unanswered_and_unexpired_is_said_again(cloud: Cloud):
    await cloud.hello()
    for name, ttl_s in (("c1", 60), ("c2", 5), ("c3", 60)):
        await cloud.issue(name, ttl_s)
    await cloud.desk.turn()
    await cloud.tells(said(ACCEPTED, DONE))
    cloud.heard()
    await cloud.clock.advance(6)
    await cloud.hello()
    assert cloud.heard() == ["c3"]
    assert [await cloud.state(name) for name in ("c1", "c2", "c3")] == ["done", "issued", "issued"]
    await cloud.clock.advance(120)
    assert [await cloud.state(name) for name in ("c1", "c2", "c3")] == ["done", "expired", "expired"]


async def test_pitfall_14_a_bridge_that_restarts_with_a_pending_command_never_leaves_it_stuck(cloud: Cloud):
    """Row 14: final state delivered or expired, never stuck; whichever worker answers the next hello."""
    await cloud.hello()
    cloud.up = False
    await cloud.issue("c1")
    await cloud.issue("c2", ttl_s=5)
    await cloud.desk.turn()
    cloud.restart()
    cloud.up = True
    await cloud.clock.advance(6)
    await cloud.desk.turn()  # nobody had published it: another process does
    assert cloud.heard() == ["c1"]
    cloud.restart()
    await cloud.hello()  # the store did not hear it: said again
    assert cloud.heard() == ["c1"]
    await cloud.tells(said(ACCEPTED, DONE))
    assert await cloud.state() == "done"
    await cloud.clock.advance(60)
    assert await cloud.state("c2") == "expired"


async def test_a_line_that_falls_while_it_speaks_loses_nothing(cloud: Cloud):
    await cloud.hello()
    await cloud.issue()
    publish = cloud.desk._publish

    async def falls(*_said) -> None:
        raise TimeoutError("no PUBACK")

    cloud.desk._publish = falls
    with pytest.raises(TimeoutError):
        await cloud.desk.turn()
    cloud.desk._publish = publish
    await cloud.desk.turn()
    assert cloud.heard() == ["c1"]


async def test_a_standby_instance_moves_neither_stream_nor_commands(cloud: Cloud):
    await cloud.hello()
    await cloud.issue()
    await cloud.desk.turn()
    cloud.heard()
    await cloud.hello(CHILD, instance="clone")
    assert cloud.heard() == []
    assert await cloud.storage.read(lambda db: book.target(db, "demo", "shop1")) == STREAM


async def test_after_a_fork_new_commands_name_the_new_stream_and_old_ones_are_still_said(cloud: Cloud):
    """The store refuses what names the old stream: that is how it ends."""
    await cloud.hello()
    await cloud.issue()
    await cloud.desk.turn()
    cloud.heard()
    root = Chain(stream=STREAM).hashes[0].hex()
    await cloud.hello(CHILD, parent=Parent(stream=STREAM, common=0, hash=root))
    await cloud.issue("c2")
    await cloud.desk.turn()
    assert {(command.id, command.stream) for command in cloud.said} == {("c1", STREAM), ("c2", CHILD)}
    chain = Chain(stream=CHILD, place=LEDGER)
    chain.say(CommandRefused(command="c1", kind=KIND, reason="other_stream"))
    await cloud.tells(chain)
    assert (await cloud.state(), await cloud.state("c2")) == ("refused", "issued")


async def test_when_the_cloud_has_lost_events_open_commands_become_unknown_and_are_never_said_again(cloud: Cloud):
    """The fork of a store that had freed more than this database holds tells that it is an old copy."""
    await cloud.hello()
    await cloud.issue("c1")
    await cloud.issue("c2")
    await cloud.desk.turn()
    await cloud.tells(
        said(CommandAccepted(command="c2", kind=KIND), CommandCompleted(command="c2", kind=KIND, outcome="failed"))
    )
    cloud.heard()
    await cloud.hello(CHILD, parent=Parent(stream=STREAM, common=40, hash="1" * 64))
    await cloud.issue("c3")
    await cloud.desk.turn()
    await cloud.hello(CHILD)
    assert set(cloud.heard()) == {"c3"}
    assert [await cloud.state(name) for name in ("c1", "c2", "c3")] == ["unknown", "failed", "issued"]
    chain = Chain(stream=CHILD, place=LEDGER)  # the store's own word still counts: it kept its table of ids
    chain.say(DONE)
    await cloud.tells(chain)
    assert await cloud.state("c1") == "done"


async def test_an_operator_may_say_that_the_database_was_restored(cloud: Cloud, database):
    await cloud.hello()
    await cloud.issue("c1")
    await cloud.issue("c2")
    await cloud.tells(said(ACCEPTED, DONE))
    assert mark_restored(database, clock=cloud.clock) == 1
    await cloud.hello()
    assert cloud.heard() == []
    assert (await cloud.state("c1"), await cloud.state("c2")) == ("done", "unknown")


async def test_words_are_kept_with_the_batch_that_says_them(cloud: Cloud):
    """In its transaction, once however often the batch comes; of a store that this database never issued to, too."""
    chain = said(ACCEPTED, DONE, CommandCompleted(command="other", kind="x", outcome="unknown", detail="crashed"))
    chain.add(b'{"type":"cn.zhanggui.command.accepted.v1"}')  # broken: stored as a dead letter, says nothing
    for _ in range(2):
        await cloud.tells(chain)
    rows = await cloud.storage.read(lambda db: db.rows("SELECT command, seq, said FROM command_words ORDER BY seq"))
    assert rows == [("c1", 1, "accepted"), ("c1", 2, "done"), ("other", 3, "unknown")]


async def test_issuing_twice_issues_once(cloud: Cloud):
    await cloud.hello()
    await cloud.issue()
    await cloud.issue()
    await cloud.desk.turn()
    assert cloud.heard() == ["c1"]


async def test_the_desk_runs_through_a_broker_and_a_database_that_are_away(cloud: Cloud):
    """It waits, counts, and goes on; a wake-up is heard at once."""
    import asyncio

    from cloud_bridge.commands import desk as module

    cloud.desk._connected = lambda: True
    publish, calls = cloud.desk._publish, 0

    async def flaky(*said) -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise ConnectionError("away")
        await publish(*said)

    cloud.desk._publish = flaky
    await cloud.hello()
    await cloud.issue()
    before, module.EVERY_S = module.EVERY_S, 0.01
    task = asyncio.create_task(cloud.desk.run())
    try:
        async with asyncio.timeout(20):
            while not cloud.said:
                await asyncio.sleep(0.01)
    finally:
        module.EVERY_S = before
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert cloud.heard() == ["c1"]
    assert cloud.counters["commands_turn_failed"] == 1
