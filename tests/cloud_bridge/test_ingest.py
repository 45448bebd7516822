"""Hello, batches and answers over a real database: leases, forks, dead letters, what is never kept readable."""

from __future__ import annotations

import msgspec
import pytest

from cloud_bridge.counters import Counters
from cloud_bridge.ingest import screening, service, streams
from cloud_bridge.ingest.screening import WITHHELD, judge, names_personal
from cloud_bridge.ingest.service import RECEIVE_WINDOW, Ingest, apply_batch, move_lease
from cloud_bridge.ingest.streams import MAX_PARKED, MAX_STREAMS, Place
from cloud_bridge.storage import Connection, Db, Storage, StorageError, read_events
from contracts.clock import ManualClock, unix_ms
from contracts.envelope import Origin
from contracts.event_types import EVENT_TYPES, AgentHealth, ConfigChanged, GateDecision, MemberRecognised, StoreOpened
from contracts.messages import Ack, Hello, Parent
from tests.cloud_bridge.wire import CHILD, LEDGER, NONCE, STREAM, TELEMETRY, Chain, database, mutated, rows


def hello(chain: Chain, nonce: str = "h1", **changed) -> Hello:
    fields = {
        "stream": chain.stream,
        "instance": "box1",
        "nonce": nonce,
        "next_seq": len(chain.raws) + 1,
        "tail_hash": chain.hashes[-1].hex(),
        "t0": 5,
    }
    return Hello(**{**fields, **changed})


# ------------------------------------------------------------------ hello


async def test_a_new_stream_starts_at_its_root(ingest: Ingest, clock: ManualClock) -> None:
    clock.step(1.5)
    chain = Chain().grow(3)
    answer = await ingest.hello(LEDGER, hello(chain))
    now = unix_ms(clock.wall())
    assert answer is not None
    assert (answer.nonce, answer.stream, answer.watermark, answer.active) == ("h1", STREAM, 0, True)
    assert (answer.hash_at_watermark, answer.hash_at_probe) == (chain.hashes[0].hex(), None)
    assert (answer.t0, answer.t1, answer.t2, answer.window) == (5, now, now, RECEIVE_WINDOW)


@pytest.mark.parametrize(
    ("probe", "held"),
    [(None, None), (0, 0), (3, 3), (5, 5), (6, None)],  # not asked; the root; within; the watermark; beyond
)
async def test_hello_tells_the_hash_where_it_is_asked(ingest: Ingest, probe: int | None, held: int | None) -> None:
    chain = Chain().grow(8)
    await ingest.batch(LEDGER, chain.batch(1, 5))
    answer = await ingest.hello(LEDGER, hello(chain, probe=probe))
    assert answer is not None
    assert (answer.watermark, answer.hash_at_watermark) == (5, chain.hashes[5].hex())
    assert answer.hash_at_probe == (None if held is None else chain.hashes[held].hex())


async def test_a_probe_inside_a_gap_is_not_known_but_its_end_is(ingest: Ingest) -> None:
    chain = Chain(place=TELEMETRY).grow(8)
    await ingest.batch(TELEMETRY, chain.batch(5, 6, gap=(2, 4)))  # parked: 1 is missing
    await ingest.batch(TELEMETRY, chain.batch(1, 1))
    inside, end = [await ingest.hello(TELEMETRY, hello(chain, probe=n)) for n in (3, 4)]
    assert inside is not None
    assert end is not None
    assert (inside.watermark, inside.hash_at_probe, end.hash_at_probe) == (6, None, chain.hashes[4].hex())


async def test_the_first_instance_holds_the_lease_until_an_operator_moves_it(ingest: Ingest, storage: Storage) -> None:
    async def active(instance: str, place: Place = LEDGER) -> bool:
        answer = await ingest.hello(place, hello(Chain(f"{STREAM[:-1]}{place.lane[0] == 'l':d}"), instance=instance))
        assert answer is not None
        return answer.active

    assert await active("box1")
    assert not await active("box2")
    assert not await active("box2", TELEMETRY)  # one lease a store, not a lane
    await move_lease(storage, tenant="demo", store="shop1", instance="box2", now_ms=1)
    assert not await active("box1")
    assert await active("box2")


async def test_a_stream_belongs_to_one_store_and_lane(ingest: Ingest, counters: Counters) -> None:
    chain = Chain().grow(2)
    await ingest.batch(LEDGER, chain.batch(1, 2))
    other = Place("demo", "shop2", "ledger")
    assert await ingest.hello(other, hello(chain)) is None
    assert (await ingest.batch(TELEMETRY, chain.batch(1, 2))).refused is not None
    assert counters["hello_refused_stream_of_another_place"] == counters["batch_refused_stream_of_another_place"] == 1


def test_a_store_may_not_found_streams_without_end(connection: Connection) -> None:
    for n in range(MAX_STREAMS):
        streams.load(connection, f"s{n}", LEDGER)
    with pytest.raises(streams.RefusedStreamError, match="too_many_streams"):
        streams.load(connection, "one more", LEDGER)
    streams.load(connection, "s0", LEDGER)  # a known one goes on


# ------------------------------------------------------------------ batches and answers


async def test_the_ack_carries_the_watermark_its_hash_and_the_nonce(ingest: Ingest, storage: Storage, database) -> None:
    chain = Chain().grow(4)
    ack = await ingest.batch(LEDGER, chain.batch(1, 3))
    assert ack == Ack(
        stream=STREAM, nonce=NONCE, watermark=3, hash_at_watermark=chain.hashes[3].hex(), window=RECEIVE_WINDOW
    )
    kept = list(read_events(database, "demo", "shop1"))
    assert [(e.seq, e.raw, e.hash, e.dead) for e in kept] == [
        (n, chain.raws[n - 1], chain.hashes[n], None) for n in (1, 2, 3)
    ]


async def test_a_refusal_names_the_batch_and_changes_nothing(
    ingest: Ingest, storage: Storage, counters: Counters, database
) -> None:
    ack = await ingest.batch(LEDGER, Chain().grow(2).batch(1, 2, last_hash="ab" * 32))
    assert (ack.watermark, ack.hash_at_watermark) == (None, None)
    assert ack.refused is not None
    assert (ack.nonce, ack.refused.first_seq, ack.refused.reason) == (NONCE, 1, "bad_chain")
    assert counters["batch_refused_bad_chain"] == 1
    assert list(read_events(database, "demo", "shop1")) == []


async def test_parked_batches_are_used_when_the_gap_closes(ingest: Ingest, counters: Counters) -> None:
    chain = Chain().grow(9)
    for first, last in ((7, 9), (4, 6), (7, 9)):
        ack = await ingest.batch(LEDGER, chain.batch(first, last))
        assert (ack.watermark, ack.hash_at_watermark) == (0, chain.hashes[0].hex())
    ack = await ingest.batch(LEDGER, chain.batch(1, 3))
    assert (ack.watermark, ack.hash_at_watermark) == (9, chain.hashes[9].hex())
    assert (counters["batch_parked"], counters["events_stored"]) == (3, 9)


def test_parked_batches_are_capped(connection: Connection) -> None:
    chain = Chain().grow(MAX_PARKED + 3)
    counts = [
        apply_batch(connection, LEDGER, chain.batch(n, n), now_ms=1, window=RECEIVE_WINDOW).counts
        for n in range(2, MAX_PARKED + 4)
    ]
    assert [set(c) for c in counts] == [{"batch_parked"}] * MAX_PARKED + [{"batch_ignored_too_many_parked"}] * 2
    assert (
        apply_batch(connection, LEDGER, chain.batch(1, 1), now_ms=1, window=RECEIVE_WINDOW).cursor.watermark
        == MAX_PARKED + 1
    )


async def test_progress_is_told_after_the_commit(storage: Storage, clock: ManualClock, counters: Counters) -> None:
    told = []
    ingest = Ingest(storage=storage, clock=clock, counters=counters, on_progress=lambda *a: told.append(a))
    await ingest.batch(LEDGER, Chain().grow(2).batch(1, 2))
    assert told == [(LEDGER, 2)]


class Uncommitted:
    """A storage whose commit always fails, after the work was done."""

    def __init__(self) -> None:
        self.connection = database()

    async def write(self, work):
        self.connection.execute("BEGIN")
        work(self.connection)
        self.connection.execute("ROLLBACK")
        raise StorageError("database or disk is full")

    def work_now(self, work):
        self.connection.execute("BEGIN")
        try:
            return work(self.connection)
        finally:
            self.connection.execute("ROLLBACK")


async def _acked(module, clock: ManualClock) -> bool:
    """Whether a batch is acknowledged although its commit failed."""
    ingest = module.Ingest(storage=Uncommitted(), clock=clock, counters=Counters())
    try:
        ack = await ingest.batch(LEDGER, Chain().grow(2).batch(1, 2))
    except StorageError:
        return False
    return ack.watermark == 2


async def test_no_ack_before_the_commit(clock: ManualClock) -> None:
    assert not await _acked(service, clock)
    eager = mutated(service, "outcome = await self._storage.write(", "outcome = self._storage.work_now(")
    assert await _acked(eager, clock)  # the planted fault is caught


# ------------------------------------------------------------------ dead letters


def _event(**changed) -> bytes:
    chain = Chain()
    chain.say(StoreOpened(staff_id="s"))
    return msgspec.json.encode({**msgspec.json.decode(chain.raws[0]), **changed})


def _new(data: object) -> bytes:
    """An event of a type that this version does not know."""
    return _event(type="cn.zhanggui.mirror.waved.v1", data=data)


def _nested(depth: int) -> msgspec.Raw:
    return msgspec.Raw(b"[" * depth + b"]" * depth)


def _config(document: msgspec.Raw) -> dict[str, object]:
    return {"source": "store.toml", "digest": "d", "document": document}


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"[]", "envelope"),  # no event at all
        (b'{"specversion":"1.0"}', "envelope"),  # half of one
        (b"[" * 2000 + b"]" * 2000, "envelope"),  # nested without end
        (b'"' + b"x" * 70_000 + b'"', "bytes, at most"),  # too large
        (_event(type="com.other.thing.v1"), "type"),  # of another vocabulary
        (_event(sequence=2), "place"),  # says it stands elsewhere
        (_event(id=f"{CHILD}:1"), "place"),  # of another stream
        (_event(source="/demo/shop2/agent"), "source"),  # of another store
        (_event(source="/demo/shop1"), "source"),  # of no device
        (_event(time="yesterday"), "time"),
        (_event(time="2026-03-02T01:00:00"), "time"),  # of no zone
        (_event(data={"staff_id": 5}), "store.opened"),  # breaks its schema
        (_event(data={"staff_id": "s", "extra": 1}), "store.opened"),  # says what the vocabulary does not know
        (_new({"hands": _nested(400)}), "nested"),  # a reader of JSON would fall over it
        (_new({"hands": _nested(31)}), "nested"),
        (_new({"hands": msgspec.Raw(b"1e999")}), "data"),  # a number that no machine holds
        (_event(type="cn.zhanggui.config.changed.v1", data=_config(_nested(400))), "nested"),
        (_event(privacy="pseudonymous"), "privacy"),  # another class than the vocabulary's
    ],
)
def test_a_dead_letter_is_kept_and_never_blocks_the_lane(connection: Connection, raw: bytes, reason: str) -> None:
    chain = Chain()
    chain.add(raw)
    chain.grow(2)
    outcome = apply_batch(connection, LEDGER, chain.batch(1, 3), now_ms=1, window=RECEIVE_WINDOW)
    assert (outcome.cursor.watermark, outcome.counts["events_dead"]) == (3, 1)
    kept = rows(connection)
    assert kept[0][:3] == (1, raw, chain.hashes[1])
    assert reason in (kept[0][3] or "")
    assert [row[3] for row in kept[1:]] == [None, None]


@pytest.mark.parametrize(
    "data", [{"hands": 2}, {"hands": _nested(30)}, {"hands": "[" * 99}, {"hands": '\\"' + "{" * 99}, [[]] * 99]
)
def test_an_unknown_type_is_kept_as_it_is(data: object) -> None:
    raw = _new(data)
    judged = judge(raw, stream=STREAM, seq=1, tenant="demo", store="shop1")
    assert (judged.raw, judged.type, judged.dead) == (raw, "mirror.waved", None)


ID_NUMBER = "11010119900307" + "7475"  # a made-up number whose check digit holds


def _unknown(**data: object) -> bytes:
    return _event(type="cn.zhanggui.mirror.waved.v1", data=data)


@pytest.mark.parametrize(
    "raw",
    [
        _event(privacy="personal"),
        _event(privacy="personal", type="cn.zhanggui.mirror.waved.v1"),
        _unknown(face_embedding=[0.1, 0.2]),
        _unknown(faceImage="AAAA"),
        _unknown(deep=[{"photo": "AAAA"}]),
        _unknown(id_number="x"),
        _unknown(IDNumber="x"),
        _unknown(identity_number=110101199003070000),
        _unknown(note=f"of {ID_NUMBER}."),
        _unknown(**{ID_NUMBER: 1}),
        _unknown(note="data:image/png;base64,AAAA"),
        _unknown(note="/9j/4AAQSkZJRg"),
        _unknown(note="9j4AAAA").replace(b"9j4", b"\\/9j\\/4"),  # the same with slashes escaped
        _unknown(x=1).replace(b'"x":1', b'"\\u0066ace":"AAAA"'),  # spelled so that no plain search finds it
        _event(data={"staff_id": "s", "portrait": "AAAA"}),  # rides along in a known type
        _event(data={"staff_id": ID_NUMBER}),  # where a name was meant
        b'{"face":"\xff"}',  # unreadable, and it says face
    ],
)
def test_what_may_be_personal_is_kept_as_a_hash_alone(raw: bytes) -> None:
    connection, chain = database(), Chain()
    chain.add(raw)
    chain.grow(1)
    outcome = apply_batch(connection, LEDGER, chain.batch(1, 2), now_ms=1, window=RECEIVE_WINDOW)
    assert outcome.counts["events_withheld"] == 1
    assert rows(connection) == [(1, b"", chain.hashes[1], WITHHELD), (2, chain.raws[1], chain.hashes[2], None)]
    everything = "\n".join(connection.connection.iterdump())
    assert ID_NUMBER not in everything
    assert "AAAA" not in everything


@pytest.mark.parametrize(
    "words",
    [
        sorted(screening._PERSONAL_WORDS),
        ["".join(pair) for pair in screening._PERSONAL_PAIRS],
        ["_".join(pair) for pair in screening._PERSONAL_PAIRS],
        ["-".join(pair) for pair in screening._PERSONAL_PAIRS],
    ],
)
def test_the_quick_search_overlooks_no_name(words: list[str]) -> None:
    for word in words:
        for spelled in (word, word.upper(), word.title()):
            assert screening._hints_at_personal_data(b'{"%s":"x"}' % spelled.encode(), fields=True), spelled


@pytest.mark.parametrize(
    "data",
    [
        AgentHealth(boot="b", counters={"id_card_frames_bad": 3, "image_queue_full": 1}),  # counts, however named
        GateDecision(session="s", stage="g1", outcome="allowed", inputs={"id_card": "valid", "face": True}),
        MemberRecognised(session="s", member_ref="m-73", method="face"),
        ConfigChanged(
            source="s", digest="1234567890" * 6, document=msgspec.Raw(b'{"devices":[{"kind":"id_card"}],"faces":0}')
        ),
        StoreOpened(staff_id="320106196502299999"),  # 18 digits whose date or check digit does not hold
    ],
)
def test_what_the_vocabulary_allows_is_not_withheld(data) -> None:
    chain = Chain()
    chain.say(data)
    judged = judge(chain.raws[0], stream=STREAM, seq=1, tenant="demo", store="shop1")
    assert (judged.raw, judged.dead, judged.type) == (chain.raws[0], None, data.TYPE)


def test_no_field_of_the_vocabulary_is_named_like_personal_data() -> None:
    for name, cls in EVENT_TYPES.items():
        assert [f.name for f in msgspec.structs.fields(cls) if names_personal(f.name)] == [], name


# ------------------------------------------------------------------ forks


def _hex(chain: Chain, seq: int) -> Origin:
    return Origin(stream=chain.stream, seq=seq, hash=chain.hashes[seq].hex())


async def test_a_fork_counts_what_it_brings_again_once(ingest: Ingest, storage: Storage, counters: Counters) -> None:
    parent = Chain().grow(5)
    await ingest.batch(LEDGER, parent.batch(1, 3))  # 4 and 5 were never acknowledged here
    child = Chain(CHILD)
    for seq in (3, 4, 5):
        child.say(StoreOpened(staff_id=f"s{seq - 1}"), origin=_hex(parent, seq))
    child.say(StoreOpened(staff_id="new"))
    await ingest.hello(LEDGER, hello(child, parent=Parent(stream=STREAM, common=2, hash=parent.hashes[2].hex())))
    await ingest.batch(LEDGER, child.batch(1, 4))
    await ingest.batch(LEDGER, parent.batch(4, 5))  # the other box comes back with the originals

    def counted(db: Db) -> list[tuple[str, int, int]]:
        return db.rows(
            "SELECT s.stream, seq, counted FROM events e JOIN streams s ON s.born = e.stream ORDER BY e.stream, seq"
        )

    assert await storage.read(counted) == [
        (STREAM, 1, 1), (STREAM, 2, 1), (STREAM, 3, 1), (STREAM, 4, 0), (STREAM, 5, 0),
        (CHILD, 1, 0), (CHILD, 2, 1), (CHILD, 3, 1), (CHILD, 4, 1),
    ]  # fmt: skip
    assert counters["events_repeated_by_fork"] == 3
    row = await storage.read(lambda db: db.one("SELECT parent, parent_common FROM streams WHERE stream = ?", (CHILD,)))
    assert row == (STREAM, 2)
    assert counters["events_lost_by_cloud"] == 0


async def test_a_fork_of_a_fork_names_the_first_place(ingest: Ingest, counters: Counters) -> None:
    parent, child, third = Chain().grow(2), Chain(CHILD), Chain(CHILD[:-1] + "3")
    for chain in (child, third):
        chain.say(StoreOpened(staff_id="s1"), origin=_hex(parent, 2))
    for chain, stream in ((child, STREAM), (third, CHILD)):
        await ingest.hello(LEDGER, hello(chain, parent=Parent(stream=stream, common=0, hash="00" * 32)))
        await ingest.batch(LEDGER, chain.batch(1, 1))
    assert counters["events_repeated_by_fork"] == 1  # the original never came; the first copy counts


async def test_an_event_of_another_history_counts_too(ingest: Ingest, counters: Counters) -> None:
    parent, child = Chain().grow(2), Chain(CHILD)
    await ingest.batch(LEDGER, parent.batch(1, 2))
    child.say(
        StoreOpened(staff_id="other"), origin=Origin(stream=STREAM, seq=2, hash="cd" * 32)
    )  # same place, other bytes
    child.say(StoreOpened(staff_id="odd"), origin=Origin(stream=STREAM, seq=2, hash="not hex"))
    await ingest.batch(LEDGER, child.batch(1, 2))
    assert counters["events_repeated_by_fork"] == 0


async def test_what_the_cloud_lost_is_recorded_and_said_once(
    ingest: Ingest, storage: Storage, counters: Counters, caplog
) -> None:
    parent, child = Chain().grow(9), Chain(CHILD).grow(1)
    await ingest.batch(LEDGER, parent.batch(1, 4))
    question = hello(child, parent=Parent(stream=STREAM, common=7, hash=parent.hashes[7].hex()))
    await ingest.hello(LEDGER, question)
    await ingest.hello(LEDGER, question)  # asked again: recorded once
    lost = await storage.read(lambda db: db.rows("SELECT stream, first, last, child FROM lost"))
    assert (lost, counters["events_lost_by_cloud"]) == ([(STREAM, 5, 7, CHILD)], 3)
    said = [r.getMessage() for r in caplog.records if r.levelname == "ERROR"]
    assert said == ["demo/shop1: of the ledger lane this cloud lost 3 events it had confirmed"]


async def test_a_stream_is_not_its_own_parent(ingest: Ingest, storage: Storage) -> None:
    chain = Chain().grow(1)
    assert await ingest.hello(LEDGER, hello(chain, parent=Parent(stream=STREAM, common=5, hash="00" * 32))) is not None
    assert await storage.read(lambda db: db.one("SELECT count(*) FROM lost")) == (0,)
