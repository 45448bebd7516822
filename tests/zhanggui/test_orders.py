"""`zhanggui cloud command …` against an API that is played: what it sends, what it waits for, how it ends."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from contracts.command_types import MAX_TTL_MS
from zhanggui import order_commands
from zhanggui.cli import app
from zhanggui.errors import UserError

PATH = "/api/v1/stores/demo/s001/commands"


class Api:
    """Answers with the next state at each look."""

    def __init__(self) -> None:
        self.states = ["issued"]
        self.asked: list[tuple[str, str, Any]] = []
        self.refusal: dict[str, Any] | None = None
        self.detail, self.result = "", {}

    def order(self) -> dict[str, Any]:
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        return {
            "id": "c1",
            "type": "session.revoke",
            "args": {"cabinet": "T1"},
            "issued_by": "amy",
            "state": state,
            "final": state not in ("issued", "accepted"),
            "detail": self.detail,
            "result": self.result,
        }

    def __call__(self, request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content) if request.content else None
        self.asked.append((request.method, request.url.raw_path.decode(), body))
        if self.refusal is not None:
            return httpx.Response(422, json=self.refusal)
        many = request.method == "GET" and request.url.path == PATH
        return httpx.Response(200, json=[self.order()] if many else self.order())


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Api:
    played = Api()
    monkeypatch.setattr(
        order_commands,
        "_client",
        lambda url: httpx.Client(transport=httpx.MockTransport(played), base_url=url),
    )
    monkeypatch.setattr(order_commands, "POLL_S", 0.001)
    return played


def run(*words: str) -> Any:
    return CliRunner().invoke(app, ["cloud", "command", *words])


ISSUE = ("issue", "demo/s001", "session.revoke", "cabinet=T1", "--as", "amy")


@pytest.mark.parametrize(
    ("states", "code"),
    [
        (["issued", "accepted", "done"], 0),
        (["issued", "failed"], 1),
        (["refused"], 3),
        (["accepted", "unknown"], 4),
        (["issued", "expired"], 5),
    ],
)
def test_it_waits_for_the_outcome_and_ends_with_its_code(api: Api, states, code):
    api.states, api.detail, api.result = list(states), "revoked", {"cabinets": 1}
    ended = run(*ISSUE, "--ttl", "60")
    assert ended.exit_code == code
    assert f"{states[-1]}" in ended.output
    assert "revoked cabinets=1" in ended.output
    body = {"type": "session.revoke", "args": {"cabinet": "T1"}, "issued_by": "amy", "ttl_s": 60}
    assert api.asked[0] == ("POST", PATH, body)
    assert [asked[:2] for asked in api.asked[1:]] == [("GET", f"{PATH}/c1")] * (len(states) - 1)


def test_it_need_not_wait(api: Api):
    assert run(*ISSUE, "--wait", "0").exit_code == 0
    assert len(api.asked) == 1
    assert run(*ISSUE, "--wait", "0.01").exit_code == 6


def test_programs_get_json(api: Api):
    api.states = ["done"]
    ended = CliRunner().invoke(app, ["cloud", "command", *ISSUE, "--json"])
    assert json.loads(ended.stdout)["state"] == "done"
    assert (
        json.loads(CliRunner().invoke(app, ["cloud", "command", "list", "demo/s001", "--json"]).stdout)[0]["id"] == "c1"
    )
    shown = CliRunner().invoke(app, ["cloud", "command", "show", "demo/s001", "c1", "--json"])
    assert json.loads(shown.stdout)["id"] == "c1"


def test_it_lists_shows_and_names_the_types(api: Api):
    api.detail = "revoked"
    listed = run("list", "demo/s001", "--limit", "5")
    assert listed.output == "c1  issued    session.revoke cabinet=T1 by amy  (revoked)\n"
    assert api.asked[-1][1] == f"{PATH}?limit=5"
    assert "the store has not answered yet (revoked)" in run("show", "demo/s001", "c1").output
    types = run("types").output
    assert "session.revoke" in types
    assert "unlock" not in types


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("issue", "s001", "telemetry.flush", "--as", "amy"), "name tenant and store"),
        (("issue", "demo/../x", "telemetry.flush", "--as", "amy"), "may hold only letters"),
        (("issue", "demo/s001", "session.revoke", "T1", "--as", "amy"), "name=value"),
        (("show", "demo/s001", "a/b"), "may hold only letters"),
        # an option is named as it was typed, never by the bridge's field
        (("issue", "demo/s001", "telemetry.flush", "--as", "amy b"), "--as: 'amy b' may hold only letters"),
        (("issue", "demo/s001", "telemetry.flush", "--as", ""), "of them; write: --as amy"),
        ((*ISSUE, "--id", "an id"), "of them; write: --id order-1"),
    ],
)
def test_what_a_person_can_mend_is_one_sentence(api: Api, words, sentence):
    ended = run(*words)
    assert isinstance(ended.exception, UserError)
    assert sentence in str(ended.exception)
    assert api.asked == []


def test_an_order_cannot_live_longer_than_the_bridge_takes(api: Api):
    ended = run(*ISSUE, "--ttl", str(MAX_TTL_MS // 1000 + 1))
    assert ended.exit_code == 2
    assert "--ttl" in ended.output
    assert api.asked == []


def test_the_bridges_refusal_is_the_sentence(api: Api):
    api.refusal = {"error": "bad_args", "detail": "args.cabinet: write letters", "field": "args.cabinet", "fix": "x"}
    assert str(run(*ISSUE).exception) == "args.cabinet: write letters"


def test_a_bridge_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch):
    ended = run(*ISSUE, "--url", "http://127.0.0.1:1")
    assert "no bridge answers at http://127.0.0.1:1" in str(ended.exception)
    assert isinstance(run(*ISSUE, "--url", "http://[").exception, UserError)
    page = httpx.MockTransport(lambda _request: httpx.Response(200, text="<html>"))
    monkeypatch.setattr(order_commands, "_client", lambda url: httpx.Client(transport=page, base_url=url))
    assert "does not answer in JSON" in str(run(*ISSUE).exception)
