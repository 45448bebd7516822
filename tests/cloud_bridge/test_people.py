"""Presence, members, what is offered, and the answers to questions."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud_bridge import members, presence
from cloud_bridge.counters import Counters
from cloud_bridge.members import MembersFileError, find_member, import_into, import_members, read_members
from cloud_bridge.presence import (
    HEARTBEAT_MS,
    ONLINE_WITHIN_MS,
    PresenceBook,
    load_presence,
    note_heard,
    take_presence,
)
from cloud_bridge.recommend import MOST_BOUGHT_HERE, NO_SALES_YET, Offers, recommend
from cloud_bridge.requests import BURST, RateCap, Requests
from cloud_bridge.storage import Storage, open_reader
from contracts.clock import ManualClock
from contracts.messages import Presence, Request
from contracts.planogram import Product

T, S = "demo", "shop1"


# ------------------------------------------------------------------ presence


def said(online: bool, boot: str = "b1", conn: int = 1) -> Presence:
    return Presence(online=online, boot=boot, conn=conn, instance="box", agent_version="0.1", since=1)


class Story:
    """A database, a book and the messages they were given, at their times: what one bridge knows."""

    def __init__(self, storage: Storage) -> None:
        self.counters = Counters()
        self.storage = storage
        self.book = PresenceBook(self.counters)

    async def take(self, at_ms: int, message: Presence, *, retained: bool = False, store: str = S) -> bool:
        row = await self.storage.write(lambda db: take_presence(db, T, store, message, retained=retained, now_ms=at_ms))
        if row is not None:
            self.book.follow([row])
        return row is not None

    async def heard(self, at_ms: int) -> None:
        if self.book.heard(T, S, at_ms):
            await self.storage.write(lambda db: note_heard(db, T, S, at_ms))

    def online(self, at_ms: int) -> bool:
        return self.book.online(T, S, at_ms)

    async def in_database(self, at_ms: int) -> bool:
        """What a bridge knows that only reads."""
        other = PresenceBook(self.counters)
        other.follow(await self.storage.read(load_presence))
        return other.online(T, S, at_ms)


@pytest.fixture
def story(storage: Storage) -> Story:
    return Story(storage)


async def test_online_lasts_two_heartbeats(story: Story) -> None:
    assert not story.online(0)
    await story.take(1000, said(True))
    assert story.online(1000 + ONLINE_WITHIN_MS)
    assert not story.online(1001 + ONLINE_WITHIN_MS)  # the cable was pulled and no will came
    await story.heard(90_000)  # any message counts
    assert story.online(90_001)
    assert await story.in_database(90_001)


async def test_a_will_of_the_current_connection_is_believed_at_once(story: Story) -> None:
    await story.take(1000, said(True))
    assert await story.take(2000, said(False))
    assert not story.online(2000)
    assert story.book.last_seen_ms(T, S) == 1000  # the broker spoke, not the store


@pytest.mark.parametrize(
    "late",
    [
        said(False, "b1", 1),  # the will of a connection that was replaced
        said(True, "b1", 1),  # its last heartbeat, late
        said(False, "b0", 9),  # the will of a boot not heard of
    ],
)
async def test_what_is_not_of_the_current_pair_is_ignored(story: Story, late: Presence) -> None:
    await story.take(1000, said(True, "b1", 1))
    await story.take(2000, said(True, "b1", 2))
    assert not await story.take(3000, late)
    assert story.online(3000)


async def test_a_reboot_replaces_the_pair_and_the_old_boots_stay_retired(story: Story) -> None:
    for n in range(1, 5):
        assert await story.take(n * 1000, said(True, f"b{n}", 5))
    for n in range(1, 4):
        assert not await story.take(9000, said(False, f"b{n}", 5))
        assert not await story.take(9000, said(True, f"b{n}", 6))
    assert story.online(9000)
    assert await story.take(9500, said(True, "b", 1))  # part of a retired name is no retired name


async def test_a_retained_word_is_never_a_sign_of_life(story: Story) -> None:
    assert await story.take(1000, said(True), retained=True)
    assert not story.online(1000)
    assert await story.take(2000, said(False), retained=True)
    await story.take(3000, said(True))
    assert story.online(3000)
    assert await story.take(4000, said(True, "b2"), retained=True)
    assert story.book.last_seen_ms(T, S) == 3000


async def test_a_message_after_a_farewell_means_it_is_back(story: Story) -> None:
    await story.take(1000, said(True))
    await story.take(2000, said(False))
    await story.heard(3000)
    assert story.online(3000)
    assert await story.in_database(3000)


async def test_the_database_is_told_of_life_once_a_heartbeat(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[int] = []
    monkeypatch.setattr(presence, "note_heard", lambda db, tenant, store, now_ms: told.append(now_ms))
    for at_ms in range(1000, 1000 + 4 * HEARTBEAT_MS, 100):
        if story.book.heard(T, S, at_ms):
            await story.storage.write(lambda db, at_ms=at_ms: presence.note_heard(db, T, S, at_ms))
    assert told == [1000 + n * HEARTBEAT_MS for n in range(4)]


async def test_of_several_bridges_one_writes_a_sign_of_life(storage: Storage) -> None:
    one, two = Story(storage), Story(storage)
    await one.heard(1000)
    await two.heard(2000)  # its own book does not know yet, the database does
    assert [row[-1] for row in await storage.read(load_presence)] == [1000]
    await two.heard(2000 + HEARTBEAT_MS)
    assert [row[-1] for row in await storage.read(load_presence)] == [2000 + HEARTBEAT_MS]
    await one.heard(1500 + HEARTBEAT_MS)  # late, by a clock that lags
    assert [row[-1] for row in await storage.read(load_presence)] == [2000 + HEARTBEAT_MS]


async def test_several_bridges_agree_on_the_pair(storage: Storage) -> None:
    """A bridge that heard nothing of a reconnect ignores the old connection's will all the same."""
    one, two = Story(storage), Story(storage)
    await one.take(1000, said(True, "b1", 1))
    await two.take(2000, said(True, "b1", 2))
    assert not await one.take(3000, said(False, "b1", 1))
    assert await one.in_database(3000)
    assert await one.take(4000, said(False, "b1", 2))
    assert not await two.in_database(4000)


async def test_presence_outlives_a_restart_of_the_bridge(story: Story) -> None:
    await story.take(1000, said(True, "b1", 3))
    again = Story(story.storage)
    again.book.follow(await again.storage.read(load_presence))
    assert list(again.book.stores()) == [(T, S)]
    assert again.online(1000 + ONLINE_WITHIN_MS)
    assert not await again.take(2000, said(False, "b1", 2))  # still knows the pair


def test_strangers_are_capped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence, "MAX_STORES", 2)
    counters = Counters()
    book = PresenceBook(counters)
    assert [book.heard(T, name, 1) for name in ("a", "b", "c")] == [True, True, False]
    assert not book.has_room(T, "d")
    book.follow([(T, "e", "b", 1, "i", "v", 1, 1)])
    assert len(list(book.stores())) == 2
    assert counters["presence_too_many_stores"] == 3


# ------------------------------------------------------------------ members


def _file(folder: Path, text: str | bytes, name: str = "members.csv") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_a_csv_and_a_json_lines_file_say_the_same(tmp_path: Path) -> None:
    csv_file = _file(tmp_path, '\ufeffmember_ref,name,points\r\nm-1,王芳,120\r\nm-2,"Li, Wei",0\r\n')
    json_file = _file(
        tmp_path,
        '{"member_ref":"m-1","name":"王芳","points":120}\n\n{"member_ref":"m-2","name":"Li, Wei","points":0}\n',
        "m.jsonl",
    )
    assert read_members(csv_file) == read_members(json_file) != []


HEAD = "member_ref,name,points\n"


@pytest.mark.parametrize(
    ("text", "name", "complaint"),
    [
        ("ref,name\n", "m.csv", "m.csv:1: the header must be"),  # another header
        ("", "m.csv", "m.csv:1: the header must be"),  # nothing at all
        (HEAD + "m-1,A,1\nm 2,B,2\n", "m.csv", "m.csv:3: member_ref:"),  # a blank in a reference
        (HEAD + "m-1,,1\n", "m.csv", "m.csv:2: name:"),  # nobody
        (HEAD + "m-1,A\x07,1\n", "m.csv", "m.csv:2: name:"),  # a bell
        (HEAD + f"m-1,{'x' * 65},1\n", "m.csv", "m.csv:2: name:"),
        (HEAD + "m-1,A,-1\n", "m.csv", "m.csv:2: points:"),
        (HEAD + "m-1,A,1.5\n", "m.csv", "m.csv:2: points:"),
        (HEAD + "m-1,A,٣\n", "m.csv", "m.csv:2: points:"),  # a digit, but not one of ours
        (HEAD + "m-1,A,9999999999\n", "m.csv", "m.csv:2: points:"),
        (HEAD + "m-1,A\n", "m.csv", "m.csv:2: points:"),  # too few
        (HEAD + "m-1,A,1,2\n", "m.csv", "m.csv:2: must hold exactly"),  # too many
        (HEAD + "m-1,A,1\nm-1,B,2\n", "m.csv", "m.csv:3: member_ref: stands in the file already"),
        (HEAD + '"m-1,A,1\n', "m.csv", "m.csv:2:"),  # an open quote
        (HEAD + "m-1,A," + "1" * 5000 + "\n", "m.csv", "m.csv:2: more than 4096"),
        ('{"member_ref":"a","name":"b","points":1}\n{', "m.jsonl", "m.jsonl:2: is no JSON object"),
        ("[1]\n", "m.jsonl", "m.jsonl:1: must hold exactly"),
        ('{"member_ref":"a","name":"b","points":true}', "m.jsonl", "m.jsonl:1: points:"),
        ('{"member_ref":"a","name":"b","points":1,"phone":"1"}', "m.jsonl", "m.jsonl:1: must hold exactly"),
        ("[" * 3000, "m.jsonl", "m.jsonl:1: is no JSON object"),
        (b"member_ref,name,points\nm-1,\xff\xfe,1\n", "m.csv", "m.csv:0: is not UTF-8"),
    ],
)
def test_a_bad_file_is_refused_with_its_line(tmp_path: Path, text: str | bytes, name: str, complaint: str) -> None:
    with pytest.raises(MembersFileError) as caught:
        read_members(_file(tmp_path, text, name))
    assert str(caught.value).startswith(complaint)


def test_a_refusal_never_repeats_what_stood_there(tmp_path: Path) -> None:
    with pytest.raises(MembersFileError) as caught:
        read_members(_file(tmp_path, HEAD + "13800138000 x,A,1\n"))
    assert "13800138000" not in str(caught.value)


def test_sizes_are_capped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _file(tmp_path, HEAD + "a,A,1\nb,B,2\n")
    monkeypatch.setattr(members, "MAX_MEMBERS", 1)
    with pytest.raises(MembersFileError, match=r"^members.csv:3: more than 1 members$"):
        read_members(path)
    monkeypatch.setattr(members, "MAX_FILE_BYTES", 8)
    with pytest.raises(MembersFileError, match="bytes, at most 8"):
        read_members(path)
    with pytest.raises(MembersFileError, match="cannot be read"):
        read_members(tmp_path / "none.csv")


def test_an_import_replaces_and_keeps_tenants_apart(tmp_path: Path) -> None:
    database = tmp_path / "x.db"
    path = _file(tmp_path, HEAD + "m-1,A,1\nm-2,B,2\n")
    assert import_members(database, path, tenant=T) == 2
    assert import_members(database, _file(tmp_path, HEAD + "m-1,C,9\n"), tenant=T) == 1
    reader = open_reader(database)
    assert find_member(reader, T, "m-1") == members.Member("m-1", "C", 9)
    assert find_member(reader, T, "m-2") == members.Member("m-2", "B", 2)
    assert find_member(reader, "other", "m-1") is None


# ------------------------------------------------------------------ offers


def product(sku: str, category: str = "snack") -> Product:
    return Product(sku=sku, name_zh=sku, name_en=sku, price_fen=100, unit_weight_g=1.0, category=category)


CATALOGUE = {p.sku: p for p in (product("a"), product("b"), product("c"), product("d"), product("t", "tobacco"))}


@pytest.mark.parametrize(
    ("bought", "stock", "skus"),
    [
        ({}, {"a": 1}, ()),  # no sales: nothing beats a guess
        ({"a": 1, "b": 5, "c": 3, "d": 2}, dict.fromkeys("abcd", 1), ("b", "c", "d")),  # the best three
        ({"a": 2, "b": 2}, {"a": 1, "b": 1}, ("a", "b")),  # a tie: by name, always the same
        ({"t": 99, "a": 1}, {"t": 5, "a": 1}, ("a",)),  # never tobacco
        ({"a": 9, "b": 1}, {"a": 0, "b": 1}, ("b",)),  # sold out
        ({"x": 9}, {"x": 1}, ()),  # unknown, so nobody knows it is not tobacco
        ({"a": 0}, {"a": 1}, ()),
    ],
)
def test_what_is_offered(bought, stock, skus) -> None:
    assert recommend(bought, CATALOGUE, stock) == Offers(skus, (MOST_BOUGHT_HERE if skus else NO_SALES_YET,))


@settings(max_examples=100, deadline=None)
@given(
    st.dictionaries(st.sampled_from("abcdtx"), st.integers(-3, 50)),
    st.dictionaries(st.sampled_from("abcdtx"), st.integers(-1, 9)),
)
def test_tobacco_is_never_offered(bought, stock) -> None:
    skus = recommend(bought, CATALOGUE, stock).skus
    assert len(skus) <= 3
    assert {"t", "x"}.isdisjoint(skus)


# ------------------------------------------------------------------ requests


class Facts:
    def offers(self, tenant: str, store: str) -> Offers:
        return Offers(("cola",), (MOST_BOUGHT_HERE,)) if (tenant, store) == (T, S) else Offers()

    def points_earned(self, tenant: str, member_ref: str) -> int:
        return 7


@pytest.fixture
def requests(storage: Storage, clock: ManualClock, counters: Counters) -> Requests:
    return Requests(storage=storage, facts=Facts(), clock=clock, counters=counters)


def ask(member: str | int | None = "m-1") -> Request:
    return Request(id="r1", ttl_ms=1000, args={"member": member, "cabinet": "c1"})


async def test_a_member_is_recognised(requests: Requests, storage: Storage, tmp_path: Path) -> None:
    await import_into(storage, _file(tmp_path, HEAD + "m-1,王芳,120\n"), tenant=T)
    answer = await requests.answer(T, S, "recognise", ask())
    assert (answer.id, answer.ok, answer.reason) == ("r1", True, "")
    assert answer.member is not None
    assert (answer.member.member_ref, answer.member.name, answer.member.points) == ("m-1", "王芳", 127)
    assert (answer.member.offers, answer.member.reason_codes) == (("cola",), (MOST_BOUGHT_HERE,))
    assert not (await requests.answer("other", S, "recognise", ask())).ok  # another tenant's member


@pytest.mark.parametrize(
    ("method", "member", "reason"),
    [
        ("recognise", "m-9", "unknown_member"),
        ("recognise", "", "bad_arguments"),
        ("recognise", 5, "bad_arguments"),
        ("recognise", None, "bad_arguments"),
        ("recognise", "x" * 65, "bad_arguments"),
        ("open_door", "m-1", "unknown_method"),
        ("recommend", "m-1", "unknown_method"),  # reserved by the contract, not built
    ],
)
async def test_a_refusal_has_its_reason(requests: Requests, counters: Counters, method, member, reason) -> None:
    answer = await requests.answer(T, S, method, ask(member))
    assert (answer.ok, answer.reason, answer.member) == (False, reason, None)
    assert counters[f"requests_refused_{reason}"] == 1


async def test_a_store_that_asks_too_often_is_told_so(
    requests: Requests, clock: ManualClock, counters: Counters
) -> None:
    reasons = [(await requests.answer(T, S, "recognise", ask())).reason for _ in range(BURST + 1)]
    assert reasons == ["unknown_member"] * BURST + ["too_many_requests"]
    assert (await requests.answer(T, "shop2", "recognise", ask())).reason == "unknown_member"  # the others go on
    clock.step(1.0)
    assert (await requests.answer(T, S, "recognise", ask())).reason == "unknown_member"
    assert counters["requests_refused_too_many_requests"] == 1


def test_the_rate_never_exceeds_its_cap(clock: ManualClock) -> None:
    cap = RateCap(clock, burst=3, per_second=2.0)
    allowed = 0
    for _ in range(100):
        allowed += cap.allows(T, S)
        clock.step(0.1)
    assert allowed == 3 + 19  # the burst, and two a second for the 9.9 s after it


def test_strangers_cannot_fill_the_buckets(clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cloud_bridge.requests.MAX_STORES", 1)
    cap = RateCap(clock)
    assert [cap.allows(T, name) for name in ("a", "b", "a")] == [True, False, True]
