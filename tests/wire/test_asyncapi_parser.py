"""AsyncAPI's official parser reads our document without an error."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.must import missing
from tests.wire.parser import ParserAwayError, Verdict, parse

DOCUMENT = Path(__file__).parents[2] / "docs/asyncapi.json"

pytestmark = pytest.mark.proof


def verdict(document: str) -> Verdict:
    try:
        return parse(document)
    except ParserAwayError as error:
        missing(f"AsyncAPI's parser comes from npm: {error}")


def test_the_official_parser_finds_no_error() -> None:
    said = verdict(DOCUMENT.read_text())
    for line in said.warnings:
        print(line)
    assert said.errors == []
    assert said.understood


BROKEN = [
    ("a parameter that the address has and nobody describes", lambda d: d["channels"]["ack"]["parameters"].pop("lane")),
    ("a reference to nowhere", lambda d: d["components"]["messages"].pop("Ack")),
    ("a schema that is none", lambda d: d["components"]["schemas"]["Ack"].update(required=3)),
    ("an action that is none", lambda d: next(iter(d["operations"].values())).update(action="shout")),
]


@pytest.mark.parametrize("spoil", [b[1] for b in BROKEN], ids=[b[0] for b in BROKEN])
def test_the_official_parser_does_look(spoil) -> None:
    document = json.loads(DOCUMENT.read_text())
    spoil(document)
    said = verdict(json.dumps(document))
    assert said.errors + said.warnings != []
