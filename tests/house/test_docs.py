"""Documents are true: their Python runs, their commands exist, their links lead somewhere."""

from __future__ import annotations

import ast
import re
import shlex
from pathlib import Path

import pytest
from typer.main import get_command

from zhanggui.cli import app

ROOT = Path(__file__).parents[2]
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "CHANGELOG.md",
    ROOT / "deploy/README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]
FENCE = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
FILE_SHOWN = re.compile(r"^<!-- examples/\S+ -->\n\n```.*?^```", re.MULTILINE | re.DOTALL)  # run by test_examples.py
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def fences(language: str) -> list[tuple[str, str]]:
    return [
        (relative(document), code)
        for document in DOCUMENTS
        for lang, code in FENCE.findall(FILE_SHOWN.sub("", document.read_text()))
        if lang == language
    ]


@pytest.mark.parametrize(("document", "code"), fences("python"))
def test_python_in_documents_runs(document: str, code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    exec(compile(code, document, "exec"), {"__name__": "__doc__"})


def command_lines() -> list[tuple[str, str]]:
    return [
        (document, line.strip())
        for document, code in fences("sh")
        for line in code.splitlines()
        if line.strip().startswith("zhanggui ")
    ]


@pytest.mark.parametrize(("document", "line"), command_lines())
def test_commands_in_documents_exist(document: str, line: str):
    """Each word down to the command exists, and so does each option."""
    words = shlex.split(line, comments=True)[1:]
    command = get_command(app)
    while words and hasattr(command, "commands") and words[0] in command.commands:
        command = command.commands[words.pop(0)]
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)} | {
        "--help"
    }
    assert not hasattr(command, "commands") or words in ([], ["--help"], ["--version"]), f"{document}: {line}"
    assert [w for w in words if w.startswith("--") and w.split("=")[0] not in known] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=relative)
def test_links_lead_somewhere(document: Path):
    text = FENCE.sub("", document.read_text())
    missing = [link for link in LINK.findall(text) if not (document.parent / link).exists()]
    assert missing == []


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def test_make_targets_in_documents_exist():
    named = {m for d in DOCUMENTS for m in re.findall(r"`make ([a-z0-9-]+)", d.read_text())}
    assert named <= make_targets()


def test_event_pages_are_current(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(ROOT / "docs")
    import make_events

    assert (ROOT / "docs/events.md").read_text() == make_events.document(), "run: python docs/make_events.py"
    assert (ROOT / "docs/events.schema.json").read_text() == make_events.schemas(), "run: python docs/make_events.py"


PITFALL_ROW = re.compile(r"^\| (\d+) \|", re.MULTILINE)
PITFALL_TEST = re.compile(r"^test_pitfall_(\d\d)_")


def test_each_pitfall_has_a_test_of_its_number():
    """The number stands in the name, so that a run that leaves a test out shows which row it leaves open."""
    rows = [int(number) for number in PITFALL_ROW.findall((ROOT / "docs/pitfalls.md").read_text())]
    names = {
        node.name
        for path in (ROOT / "tests").rglob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    held = {int(found[1]) for name in names if (found := PITFALL_TEST.match(name))}
    assert rows == sorted(set(rows)), "a number stands twice, or out of order"
    assert len(rows) > 20, "the table has another form than this test reads"
    assert set(rows) - held == set()
