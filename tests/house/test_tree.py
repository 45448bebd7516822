"""The house keeps its own rules: what a reader may rely on in every file."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("contracts", "device_drivers", "models", "look", "mqtt_link", "edge", "cloud_bridge", "simulators", "zhanggui")
SOURCES = sorted(p for room in ROOMS for p in (ROOT / room).rglob("*.py"))
TRACKED = subprocess.run(
    ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
).stdout.split("\n")
TEXTS = [
    ROOT / n
    for n in TRACKED
    if n.endswith((".py", ".md", ".toml", ".txt", ".css", ".yml")) or n in ("Makefile", ".ci/run")
]
LONGEST_FILE = 500


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_a_file_holds_one_idea(path: Path):
    assert len(path.read_text().splitlines()) <= LONGEST_FILE


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_public_names_say_their_contract(path: Path):
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree), "the module says nothing of itself"
    silent = [
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        and not node.name.startswith("_")
        and not ast.get_docstring(node)
        and not _speaks_for_itself(node)
    ]
    assert silent == []


def _speaks_for_itself(node: ast.AST) -> bool:
    """An event or message type whose fields are its contract, a one-line function, or an overload."""
    if isinstance(node, ast.ClassDef):
        return all(isinstance(x, ast.AnnAssign | ast.Assign | ast.Pass) for x in node.body)
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and len(node.body) <= 2


FORBIDDEN = {
    "an unfinished piece": re.compile(r"\b(TO" + r"DO|FIX" + r"ME|NotImplemented" + r"Error)\b"),
    "a path of one machine": re.compile(r"(?<![\w.])/(" + "work|root|home" + r")/"),
    "a registry's address": re.compile(r"https?://\S*(/simple|registry\.|/debian)"),
}


@pytest.mark.parametrize("what", FORBIDDEN)
def test_nothing_in_the_tree_holds(what: str):
    found = [
        f"{relative(path)}: {line.strip()[:100]}"
        for path in TEXTS
        if path.is_file() and path != Path(__file__)
        for line in path.read_text(errors="replace").splitlines()
        if FORBIDDEN[what].search(line)
    ]
    assert found == []


MAY_CATCH_ALL = {
    "edge/supervisor.py": "the supervisor's edge: counted, shown, started again",
    "cloud_bridge/supervisor.py": "the same in the cloud",
    "edge/ledger/writer.py": "the writer's thread hands each error to the caller who waits for it",
    "cloud_bridge/storage/sqlite_storage.py": "the same in the cloud",
    "simulators/faultworld/disks.py": "both writers once more, in virtual time",
    "simulators/faultworld/disk/faulty.py": "SQLite calls it through ctypes, which would print an error and answer that all is well",
    "cloud_bridge/pages/reading.py": "the pages' edge: a page says that the bridge is ill, and counts it",
}


def _raises_again(handler: ast.ExceptHandler) -> bool:
    """Cleaning up and passing the error on is no catching."""
    last = handler.body[-1]
    return isinstance(last, ast.Raise) and last.exc is None


def test_blind_excepts_stand_only_at_an_edge_that_answers_for_them():
    found = {
        relative(path)
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or getattr(node.type, "id", "") in ("Exception", "BaseException"))
        and not _raises_again(node)
    }
    assert found == set(MAY_CATCH_ALL)


def test_each_lint_ignore_says_why():
    bare = re.compile(r"#\s*(noqa: [A-Z0-9, ]+|type: ignore\[[\w, -]+\])\s*$")
    found = [
        f"{relative(path)}:{n}"
        for path in SOURCES
        for n, line in enumerate(path.read_text().splitlines(), 1)
        if bare.search(line)
    ]
    assert found == []
