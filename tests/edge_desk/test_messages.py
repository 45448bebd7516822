"""No message can carry an unlock: the socket's whole vocabulary, enumerated."""

from __future__ import annotations

from typing import get_args

import msgspec
import pytest

from edge.desk.messages import MAX_LINE_BYTES, Action, Ask, Reply

# What a page may ask, and what it is about. A new action must be added here, by someone who has thought of doors.
REQUESTS = {
    "start": "a session begins, or names the goods it wants",
    "member": "a code was typed",
    "cancel": "the customer leaves",
    "sign_in": "staff with PIN",
    "sign_out": "staff go",
    "beat": "staff are still there",
    "release": "staff agree; the agent's gate decides",
    "refuse": "staff do not agree",
    "review": "staff decide about money",
    "restock": "staff ask for a restock session; the agent's gate decides",
    "lift": "a manager ends a revoke",
    "know": "staff are about to lay their own card on a reader; it makes them known, and nothing opens",
    "count": "staff say how many pieces stand behind a door; it may sell again, and nothing opens",
}
OF_HARDWARE = {"unlock", "open", "pulse", "board", "channel", "frame", "lock", "address", "bus", "port", "bytes", "raw"}


def test_every_action_is_a_request_that_we_know() -> None:
    assert set(get_args(Action)) == REQUESTS.keys()


def test_no_action_and_no_field_names_hardware() -> None:
    words = set(get_args(Action)) | set(Ask.__struct_fields__)
    assert not {w for w in words for part in w.split("_") if part in OF_HARDWARE}


@pytest.mark.parametrize("field", sorted(OF_HARDWARE))
def test_a_field_of_hardware_is_refused(field: str) -> None:
    line = msgspec.json.encode({"type": "ask", "id": "1", "action": "release", field: 1})
    with pytest.raises(msgspec.ValidationError, match="unknown field"):
        msgspec.json.decode(line, type=Ask)


@pytest.mark.parametrize("action", ["unlock", "open", "pulse", "", "RELEASE"])
def test_another_action_is_refused(action: str) -> None:
    line = msgspec.json.encode({"type": "ask", "id": "1", "action": action})
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(line, type=Ask)


@pytest.mark.parametrize(
    ("units", "taken"),
    [
        ({}, True),
        ({"cola": 0, "tea": 500}, True),
        ({f"p{n}": 1 for n in range(60)}, True),
        ({f"p{n}": 1 for n in range(61)}, False),  # more products than one door may have
        ({"cola": -1}, False),
        ({"cola": 501}, False),
        ({"cola": 1.5}, False),
        ({"cola": "3"}, False),
        ({"x" * 65: 1}, False),
        ([3], False),
    ],
)
def test_a_count_is_whole_numbers_of_a_few_products(units: object, taken: bool) -> None:
    line = msgspec.json.encode({"type": "ask", "id": "1", "action": "count", "units": units})
    if taken:
        assert msgspec.json.decode(line, type=Ask).units == units
        return
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(line, type=Ask)


def test_the_largest_count_fits_a_line() -> None:
    ask = Ask(id="1", action="count", units={f"{n:02}" + "\u0001" * 62: 500 for n in range(60)})
    assert len(msgspec.json.encode(ask)) < MAX_LINE_BYTES // 2


def test_a_reply_is_a_word_and_a_session_nothing_more() -> None:
    assert set(Reply.__struct_fields__) == {"id", "ok", "reason", "session"}
