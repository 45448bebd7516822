"""The AsyncAPI document is what the code says: current, complete, with examples that the code itself can read."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import msgspec
import pytest

from contracts.envelope import next_hash
from contracts.event_types import EVENT_TYPES, LANES
from contracts.messages import Batch, Message, decode_message
from contracts.topics import StoreTopics, parse_up

ROOT = Path(__file__).parents[2]
CURRENT = "run: PYTHONPATH=. python docs/make_events.py"


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(ROOT / "docs")
    import make_asyncapi

    return make_asyncapi


@pytest.fixture
def document(make):
    return make.document()


def test_the_document_is_what_the_code_says(make) -> None:
    assert (ROOT / "docs/asyncapi.json").read_text() == make.text(), CURRENT
    assert (ROOT / "docs/asyncapi.md").read_text() == make.table(), CURRENT


def test_each_topic_of_the_code_is_a_channel_and_no_other(document) -> None:
    topics = StoreTopics("TENANT", "STORE")
    words = {"hello_up": "lane", "hello_down": "lane", "events": "lane", "ack": "lane"}
    words |= {"command": "id", "request": "method", "response": "id"}
    said = {topics.presence} | {f"{topics.base}/{way}/twin" for way in ("up", "down")}
    for name in dir(StoreTopics):  # a topic that is added later must be named above
        if name.startswith("_") or name in ("base", "all_down", "presence", "tenant", "store"):
            continue
        said.add(getattr(topics, name)(f"WORD-{words[name]}"))
    expected = {t.replace("TENANT", "{tenant}").replace("STORE", "{store}") for t in said}
    expected = {t.replace("WORD-lane", "{lane}").replace("WORD-id", "{id}") for t in expected}
    expected = {t.replace("WORD-method", "{method}") for t in expected}
    assert {channel["address"] for channel in document["channels"].values()} == expected


def test_what_a_store_sends_is_what_the_bridge_can_take_apart(document) -> None:
    for channel in document["channels"].values():
        topic = channel["address"].format(tenant="t", store="s", lane="ledger", id="x", method="recognise")
        assert (parse_up(topic) is not None) == ({"name": "from-store"} in channel["tags"]), topic


def test_each_message_of_the_code_is_in_it(document) -> None:
    carried = {"Parent", "Refusal", "Gap", "RecogniseAnswer"}  # parts of others
    kinds = {kind.__name__ for kind in Message.__subclasses__()}
    assert kinds - carried <= set(document["components"]["messages"])
    assert kinds <= set(document["components"]["schemas"])


def test_each_type_of_event_says_what_its_data_is(document) -> None:
    rules = document["components"]["schemas"]["Envelope"]["allOf"]
    named = {rule["if"]["properties"]["type"]["const"]: rule["then"]["properties"]["data"]["$ref"] for rule in rules}
    assert set(named) == {f"cn.zhanggui.{name}.v1" for name in EVENT_TYPES}
    for reference in named.values():
        assert reference.rpartition("/")[2] in document["components"]["schemas"]


def test_every_operation_is_qos_1_and_retained_only_where_the_contract_says(document) -> None:
    assert len(document["operations"]) == 2 * 8
    for name, operation in document["operations"].items():
        mqtt = operation["bindings"]["mqtt"]
        assert (mqtt["qos"], mqtt["retain"]) == (1, name.endswith("Presence")), name
    sides = {(o["channel"]["$ref"], o["action"], o["tags"][0]["name"]) for o in document["operations"].values()}
    assert len(sides) == len(document["operations"])  # who sends a topic never receives it


def test_lanes_are_those_of_the_code(document) -> None:
    assert tuple(document["channels"]["events"]["parameters"]["lane"]["enum"]) == LANES


def _examples(make):
    for kind, found in make.examples().items():
        for name, _ in found:
            yield kind, name


def _schema(document, kind: str):
    components = json.loads(json.dumps(document["components"]["schemas"]).replace("#/components/schemas/", "#/$defs/"))
    return {"$ref": f"#/$defs/{kind}", "$defs": components}


def test_every_example_is_valid_and_the_code_reads_it(make, document) -> None:
    kinds = {kind.__name__: kind for kind in make.examples()}
    count = 0
    for name, message in document["components"]["messages"].items():
        for example in message["examples"]:
            jsonschema.validate(example["payload"], _schema(document, name))
            decode_message(msgspec.json.encode(example["payload"]), kinds[name])
            count += 1
    assert count >= 2 * len(kinds) - 2


def test_the_chain_of_the_examples_holds(make) -> None:
    for name, batch in make.examples()[Batch]:
        digest = bytes.fromhex(batch.gap.last_hash if batch.gap else batch.prev_hash)
        for raw in batch.events:
            digest = next_hash(digest, bytes(raw))
        assert digest.hex() == batch.last_hash, name


WRONG = [
    ("Batch", ["events", 0, "data", "staff_id"], 5),  # an event's own schema reaches into a batch
    ("Batch", ["events", 0, "privacy"], "secret"),
    ("Batch", ["prev_hash"], "short"),
    ("Hello", ["nonce"], "has a blank"),
    ("Ack", ["stream"], None),
    ("Request", ["ttl_ms"], 60_001),
]


@pytest.mark.parametrize(("kind", "path", "value"), WRONG)
def test_what_the_code_refuses_is_invalid_in_the_document_too(make, document, kind, path, value) -> None:
    payload = json.loads(json.dumps(document["components"]["messages"][kind]["examples"][0]["payload"]))
    at = payload
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = value
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(payload, _schema(document, kind))
