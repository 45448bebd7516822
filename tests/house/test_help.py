"""`--help` of every command shows an example that the command itself would accept."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

import click
import pytest
from typer.main import get_command
from typer.testing import CliRunner

from zhanggui.cli import app

EXAMPLE = re.compile(r"Example: +zhanggui (\S+(?: \S+)*)")  # two blanks or a line's end close it
ANSWERS = "2468\n2468\n"  # to a command that asks


def commands(group: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    if isinstance(group, click.Group) or hasattr(group, "commands"):
        for name, command in group.commands.items():
            yield from commands(command, (*path, name))
    else:
        yield path, group


ALL = dict(sorted(commands(get_command(app))))


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_help_has_an_example(path: tuple[str, ...]):
    result = CliRunner().invoke(app, [*path, "--help"])
    assert result.exit_code == 0
    said = " ".join(result.output.split())
    assert f"Example: zhanggui {' '.join(path)}" in said


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_the_command_takes_its_example(path: tuple[str, ...]):
    """As far as reading its words goes: none is run."""
    examples = EXAMPLE.findall(ALL[path].epilog or "")
    assert examples
    for example in examples:
        words = shlex.split(example)
        assert tuple(words[: len(path)]) == path
        with CliRunner().isolation(input=ANSWERS), ALL[path].make_context(" ".join(path), words[len(path) :]):
            pass  # a UsageError says what it does not take


def test_the_promised_commands_are_there():
    promised = {
        ("demo",),
        ("edge", "run"),
        ("edge", "check"),
        ("edge", "pages"),
        ("edge", "ledger", "show"),
        ("edge", "ledger", "tail"),
        ("edge", "ledger", "verify"),
        ("edge", "ledger", "export"),
        ("edge", "ledger", "requeue"),
        ("edge", "ledger", "stats"),
        ("cloud", "run"),
        ("cloud", "dead-letters"),
        ("cloud", "restored"),
        ("cloud", "command", "issue"),
        ("cloud", "command", "list"),
        ("cloud", "command", "show"),
        ("cloud", "command", "types"),
        ("cloud", "database", "migrate"),
        ("cloud", "database", "status"),
        ("cloud", "database", "prune"),
        ("cloud", "lease", "show"),
        ("cloud", "lease", "move"),
        ("sim", "run"),
        ("sim", "faultworld"),
        ("models", "list"),
        ("models", "fetch"),
        ("models", "verify"),
    }
    assert promised <= set(ALL)
