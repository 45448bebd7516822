"""Each sentence of docs/wire.md is held by tests that exist, or says why it is not built."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from cloud_bridge.counters import Counters
from cloud_bridge.requests import Requests
from contracts.clock import ManualClock
from contracts.envelope import Envelope
from contracts.messages import Request
from tests.cloud_bridge.test_router import Nothing
from tests.wire.document import normative
from tests.wire.sentences import SENTENCES

ROOT = Path(__file__).parents[2]


def test_each_sentence_of_the_contract_is_in_the_table_once_and_in_its_order() -> None:
    """A sentence that was changed in docs/wire.md is changed in tests/wire/sentences.py, and its tests are looked at."""
    assert [sentence.quote for sentence in SENTENCES] == normative()


@pytest.mark.parametrize("sentence", SENTENCES, ids=[f"{n}" for n in range(1, len(SENTENCES) + 1)])
def test_a_sentence_is_held_by_a_test_or_says_why_it_is_not_built(sentence) -> None:
    assert sentence.proofs or sentence.unbuilt
    assert all(nodes for nodes in sentence.proofs.values())
    assert all(len(reason) > 20 for reason in sentence.unbuilt.values())


@pytest.fixture(scope="module")
def collected() -> set[str]:
    """Every test of the files that the table names, as pytest itself finds them."""
    files = sorted({node.partition("::")[0] for s in SENTENCES for nodes in s.proofs.values() for node in nodes})
    missing = [file for file in files if not (ROOT / file).is_file()]
    assert missing == []
    found = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", "-o", "addopts=", "-p", "no:cacheprovider", *files],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert found.returncode == 0, found.stdout[-2000:] + found.stderr[-2000:]
    return {line.partition("[")[0] for line in found.stdout.splitlines() if "::" in line}


@pytest.mark.parametrize("sentence", SENTENCES, ids=[f"{n}" for n in range(1, len(SENTENCES) + 1)])
def test_the_tests_of_a_sentence_exist(sentence, collected: set[str]) -> None:
    assert [node for nodes in sentence.proofs.values() for node in nodes if node not in collected] == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("# T\n\nOne. Two\ngoes on.\n", ["One.", "Two goes on."]),  # lines that are wrapped
        ("- A `b`. C.\n- `d` e.\n", ["A `b`.", "C.", "`d` e."]),  # one point after the other
        ("**When it is so.** It is.\n", ["It is."]),  # words that only open a paragraph
        ("## Names (`x/…`; ids match `[a-z]`)\n", ["ids match `[a-z]`"]),
        ("| topic | from |\n|---|---|\n| `a` | b |\n", ["`a` | b"]),
        ("A.\n\n## What stands of it\n\nB.\n", ["A."]),
    ],
)
def test_sentences_are_cut_as_a_reader_would(text: str, found: list[str]) -> None:
    assert normative(text) == found


# ------------------------------------------------------------------ sentences that are about what is said


def test_the_guarantees_say_what_the_chain_does_not_do() -> None:
    said = (ROOT / "docs/guarantees.md").read_text()
    assert re.search(r"\*\*Is not:\*\*[^\n]*rewrite what was not acknowledged", said)


def test_the_envelope_has_the_attributes_that_the_contract_names() -> None:
    (sentence,) = [said for said in normative() if said.startswith("Event: CloudEvents")]
    named = set(re.findall(r"`([a-z]+)`(?: =| RFC| \(|,)", sentence)) | {"traceparent"}
    assert named == set(Envelope.__struct_fields__) - {"specversion", "datacontenttype", "data", "origin"}
    quality = {f.name: f for f in msgspec.structs.fields(Envelope)}["clockquality"]
    assert set(quality.type.__args__) == {"synced", "estimated", "unknown"}


def test_no_order_has_a_way_to_a_lock() -> None:
    """The room that carries out orders names nothing that opens: a handler that did would have to be written here."""
    words: set[str] = set()
    for path in (ROOT / "edge/commands").glob("*.py"):
        assert re.findall(r"\blocks(?!\[[\w.]+\]\.door\b)\b.*", path.read_text()) == []  # of a lock, its door's sensor
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute):
                words.add(node.attr)
            elif isinstance(node, ast.Name):
                words.add(node.id)
            elif isinstance(node, ast.ImportFrom):
                words |= {alias.name for alias in node.names}
                assert not (node.module or "").startswith(("device_drivers.lock", "edge.sessions.core"))
    assert {"Doings", "revoke"} <= words  # the search does see them
    assert {w for w in words if re.search(r"unlock|pulse|grant|release|open_door", w)} == set()


async def test_a_question_writes_nothing() -> None:
    """Whatever is asked: a storage that can only be read answers as well."""

    class ReadOnly:
        async def read(self, _work):
            return None

    requests = Requests(storage=ReadOnly(), facts=Nothing(), clock=ManualClock(), counters=Counters())
    for method in ("recognise", "recommend", "x"):
        answer = await requests.answer("demo", "shop1", method, Request(id="r", ttl_ms=1, args={"member": "m-1"}))
        assert not answer.ok
