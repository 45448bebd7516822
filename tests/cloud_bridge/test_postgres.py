"""What only a server can do: refuse, go away and come back, be shared by several bridges, run out of room."""

from __future__ import annotations

import asyncio
import logging
import threading
from contextlib import closing
from pathlib import Path
from random import Random

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud_bridge.run import CloudError, check_database
from cloud_bridge.storage import (
    StorageAwayError,
    StorageBusyError,
    StorageConflictError,
    StorageError,
    StorageRefusedError,
    open_storage,
)
from cloud_bridge.storage.address import shown
from cloud_bridge.storage.port import EventRow
from cloud_bridge.storage.postgres import OLDEST_VERSION, PgDb, Server
from cloud_bridge.storage.postgres_copy import packed
from cloud_bridge.storage.postgres_storage import MAX_BACK_OFF_S, PostgresStorage
from simulators.postgres_server import PostgresServer

SECRET = "s3cret-and-more"
COLUMNS = "stream, seq, received_ms, counted, type, dead, hash, raw"


# ------------------------------------------------------------------ addresses and refusals


@pytest.mark.parametrize(
    ("url", "said"),
    [
        (f"postgresql://joe:{SECRET}@h.example:5433/zg", "postgresql://joe@h.example:5433/zg"),
        (f"postgresql://h.example/zg?user=joe&password={SECRET}", "postgresql://joe@h.example/zg"),
        (f"postgres://joe:{SECRET}@h.example", "postgresql://joe@h.example/joe"),
    ],
)
def test_a_password_is_never_shown(url: str, said: str) -> None:
    assert shown(url) == repr(Server(url))[7:-1] == said


@pytest.mark.parametrize(
    "url", [f"postgresql://joe:{SECRET}%zz@h/zg", f"postgresql://[{SECRET}", f"postgresql://h/zg?pw={SECRET}"]
)
def test_a_url_that_cannot_be_read_is_one_sentence_without_its_password(url: str) -> None:
    with pytest.raises(CloudError, match=r"^the database URL cannot be read") as caught:
        check_database(url)
    assert SECRET not in str(caught.value)
    assert SECRET not in str(caught.value.__cause__)


def test_another_kind_of_database_is_one_sentence() -> None:
    with pytest.raises(CloudError, match=r"^no database is reached by mysql://"):
        check_database(f"mysql://joe:{SECRET}@h/zg")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda url, server: url.replace(server.password, SECRET), "does not let us in: check user and password$"),
        (lambda url, _: url.replace("//postgres:", "//joe:"), "does not let us in: check user and password$"),
        (
            lambda url, _: url.removesuffix("postgres") + "nowhere",
            "there is no database nowhere: make it with createdb$",
        ),
        (
            lambda url, server: url.replace(f":{server.port}/", ":1/"),
            r"does not answer \(.*\): is PostgreSQL running there\?$",
        ),
    ],
)
def test_what_a_person_can_mend_is_one_sentence(postgres_server: PostgresServer, change, sentence: str) -> None:
    url = change(postgres_server.url(tcp=True), postgres_server)
    with pytest.raises(CloudError, match=sentence) as caught:
        check_database(url)
    assert SECRET not in str(caught.value)
    assert postgres_server.password not in str(caught.value)


def test_an_old_server_is_one_sentence(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cloud_bridge.storage.postgres.OLDEST_VERSION", 990000)
    with pytest.raises(CloudError, match=r"is PostgreSQL \d\d: 99 or later is needed$"):
        check_database(postgres_url)
    assert OLDEST_VERSION == 140000


def test_a_commit_is_durable_whatever_the_role_is_set_to(postgres_server: PostgresServer) -> None:
    with psycopg.connect(postgres_server.url(), autocommit=True) as admin:
        admin.execute("ALTER ROLE postgres SET synchronous_commit = off")
        try:
            with closing(Server(postgres_server.url()).connect()) as db:
                assert db.one("SHOW synchronous_commit") == ("on",)
        finally:
            admin.execute("ALTER ROLE postgres RESET synchronous_commit")


async def test_an_error_quotes_no_row(storage, caplog: pytest.LogCaptureFixture) -> None:
    """A conflict's detail names the key, which is a person's reference."""
    await storage.write(lambda db: db.execute("INSERT INTO members VALUES ('t', ?, 'n', 1)", (SECRET,)))
    with pytest.raises(StorageConflictError) as caught:
        await storage.write(lambda db: db.execute("INSERT INTO members VALUES ('t', ?, 'n', 1)", (SECRET,)))
    assert SECRET not in str(caught.value)


# ------------------------------------------------------------------ COPY

ROWS = st.lists(
    st.tuples(
        st.just(1),
        st.integers(1, 2**53),
        st.sampled_from([0, 1_790_000_000_000]),
        st.integers(0, 1),
        st.none() | st.text(max_size=8),
        st.none() | st.text(st.characters(codec="utf-8") | st.sampled_from("\0\\\n\t"), max_size=8),
        st.binary(min_size=32, max_size=32) | st.binary(max_size=40),
        st.binary(max_size=40),
    ),
    max_size=6,
    unique_by=lambda row: row[1],
)


@settings(max_examples=60, deadline=None)
@given(rows=ROWS)
def test_copy_stores_what_it_was_given(emptied, rows: list[EventRow]) -> None:
    def known(text: str | None) -> str | None:  # PostgreSQL has no character 0
        return None if text is None else text.replace("\0", "\ufffd")

    with closing(Server(emptied.url()).connect()) as db, db.transaction():
        db.insert_events(rows)
        stored = db.rows(f"SELECT {COLUMNS} FROM events ORDER BY seq")
    assert stored == [(*r[:4], known(r[4]), known(r[5]), *r[6:]) for r in sorted(rows, key=lambda row: row[1])]
    assert packed([])[-2:] == b"\xff\xff"


def test_text_without_the_character_0_reaches_any_table(postgres_url: str) -> None:
    with closing(Server(postgres_url).connect()) as db:
        db.execute("INSERT INTO members VALUES ('t', ?, ?, 1)", ("m", "a\0b\ud800"))
        assert db.one("SELECT name FROM members") == ("a\ufffdb?",)


# ------------------------------------------------------------------ a server that goes and comes


@pytest.fixture(scope="module")
def mortal() -> PostgresServer:
    """A server that tests may kill."""
    with PostgresServer() as server:
        yield server


@pytest.fixture
def mortal_storage(mortal: PostgresServer):
    with closing(Server(mortal.url()).connect()) as db:
        db.execute("DROP SCHEMA public CASCADE")
        db.execute("CREATE SCHEMA public")
    opened = PostgresStorage(mortal.url(), writers=2, rng=Random(1))
    opened.open()
    yield opened
    opened.close()


def note(name: str):
    return lambda db: db.execute("INSERT INTO members VALUES ('t', ?, 'n', 1)", (name,))


def names(db) -> list[str]:
    return [row[0] for row in db.rows("SELECT member_ref FROM members ORDER BY 1")]


async def until(storage: PostgresStorage, work, tries: int = 200):
    """The result of a write that is tried again while the server is away."""
    for _ in range(tries):
        try:
            return await storage.write(work)
        except StorageAwayError:
            await asyncio.sleep(0.05)
    raise AssertionError("it never came back")


@pytest.mark.parametrize("how", ["terminate", "kill"])
async def test_a_write_in_flight_raises_and_leaves_nothing(mortal: PostgresServer, mortal_storage, how: str) -> None:
    inside, go_on = threading.Event(), threading.Event()

    def half(db: PgDb) -> None:
        note("half")(db)
        inside.set()
        go_on.wait(20)
        note("other half")(db)

    await mortal_storage.write(note("before"))
    flying = asyncio.ensure_future(mortal_storage.write(half))
    await asyncio.to_thread(inside.wait, 20)
    if how == "terminate":
        with psycopg.connect(mortal.url(), autocommit=True) as admin:
            admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'zhanggui'")
    else:
        await asyncio.to_thread(mortal.kill)
    go_on.set()
    with pytest.raises(StorageAwayError):
        await flying
    if how == "kill":
        with pytest.raises(StorageAwayError):  # at once, or after the back-off: never a hang
            await mortal_storage.write(note("while away"))
        await asyncio.to_thread(mortal.start)
    await until(mortal_storage, note("after"))
    assert await mortal_storage.read(names) == ["after", "before"]


async def test_a_restart_between_two_writes_is_not_noticed(mortal: PostgresServer, mortal_storage) -> None:
    await mortal_storage.write(note("a"))
    await asyncio.to_thread(mortal.stop)
    await asyncio.to_thread(mortal.start)
    await mortal_storage.write(note("b"))
    assert await mortal_storage.read(names) == ["a", "b"]


async def test_while_it_is_away_work_is_refused_at_once_and_tried_less_and_less(mortal, mortal_storage) -> None:
    await asyncio.to_thread(mortal.stop)
    asked = 0
    real = mortal_storage.server.connect

    def counted(**kw):
        nonlocal asked
        asked += 1
        return real(**kw)

    mortal_storage.server.connect = counted
    for _ in range(200):
        with pytest.raises(StorageAwayError):
            await mortal_storage.write(note("x"))
    assert 1 <= asked < 20
    assert mortal_storage._back_off_s <= MAX_BACK_OFF_S
    await asyncio.to_thread(mortal.start)
    await until(mortal_storage, note("back"))
    assert mortal_storage._back_off_s == 0


# ------------------------------------------------------------------ locks


async def test_two_works_that_wait_for_each_other_are_both_done(postgres_url: str) -> None:
    """The server ends one of them; it is done again, and nobody hears of it."""
    storage = open_storage(postgres_url)
    storage.open()
    await storage.write(note("a"))
    await storage.write(note("b"))
    both = threading.Barrier(2)
    runs = []

    def crossing(first: str, second: str):
        def work(db: PgDb) -> None:
            runs.append(first)
            db.one("SELECT 1 FROM members WHERE member_ref = ?", (first,), lock=True)
            if len(runs) <= 2:
                both.wait(10)
            db.one("SELECT 1 FROM members WHERE member_ref = ?", (second,), lock=True)
            db.execute("UPDATE members SET points = points + 1")

        return work

    await asyncio.gather(storage.write(crossing("a", "b")), storage.write(crossing("b", "a")))
    assert await storage.read(lambda db: db.rows("SELECT points FROM members")) == [(3,), (3,)]
    assert len(runs) == 3
    storage.close()


async def test_a_lock_that_is_held_too_long_is_told(postgres_url: str) -> None:
    storage = open_storage(postgres_url)
    storage.open()
    await storage.write(note("a"))

    def impatient(db: PgDb) -> None:
        db.execute("SET LOCAL lock_timeout = '50ms'")
        db.one("SELECT 1 FROM members", lock=True)

    with closing(Server(postgres_url).connect()) as other, other.transaction():
        other.one("SELECT 1 FROM members", lock=True)
        with pytest.raises(StorageBusyError):
            await storage.write(impatient)
    storage.close()


async def test_one_state_of_the_database_is_read(postgres_url: str) -> None:
    storage = open_storage(postgres_url)
    storage.open()

    def twice(db: PgDb) -> tuple[list[str], list[str]]:
        before = names(db)
        with closing(Server(postgres_url).connect()) as other:
            note("meanwhile")(other)
        return before, names(db)

    assert await storage.read(twice) == ([], [])
    storage.close()


# ------------------------------------------------------------------ a server without the driver


def test_a_missing_driver_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "psycopg", None)
    with pytest.raises(StorageRefusedError, match=r"pip install 'zhanggui\[postgres\]'"):
        open_storage("postgresql://h/zg")


def test_sqlite_stays_when_the_driver_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(__import__("sys").modules, "psycopg", None)
    check_database(tmp_path / "x.db")
    check_database(f"sqlite:///{tmp_path}/y.db")
    assert (tmp_path / "y.db").exists()
    with pytest.raises(CloudError, match="zhanggui"):
        check_database("postgresql://h/zg")


def test_the_log_is_silent_about_passwords(postgres_server: PostgresServer, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        check_database(postgres_server.url(tcp=True))
    assert postgres_server.password not in caplog.text
    assert issubclass(StorageAwayError, StorageError)
