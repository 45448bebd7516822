"""`--help` of every command shows an example that the command itself would accept."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest
from typer.main import get_command
from typer.testing import CliRunner

from zhanggui.cli import app


def commands(group: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    if isinstance(group, click.Group) or hasattr(group, "commands"):
        for name, command in group.commands.items():
            yield from commands(command, (*path, name))
    else:
        yield path


ALL = sorted(commands(get_command(app)))


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_help_has_an_example(path: tuple[str, ...]):
    result = CliRunner().invoke(app, [*path, "--help"])
    assert result.exit_code == 0
    said = " ".join(result.output.split())
    assert f"Example: zhanggui {' '.join(path)}" in said


def test_the_promised_commands_are_there():
    promised = {
        ("demo",),
        ("edge", "run"),
        ("edge", "check"),
        ("edge", "pages"),
        ("edge", "ledger", "show"),
        ("edge", "ledger", "verify"),
        ("cloud", "run"),
        ("sim", "run"),
        ("models", "list"),
        ("models", "fetch"),
        ("models", "verify"),
    }
    assert promised <= set(ALL)
