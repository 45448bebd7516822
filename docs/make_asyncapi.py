"""Write docs/asyncapi.json and docs/asyncapi.md from contracts/: `python docs/make_asyncapi.py`.

AsyncAPI 3.1, both sides of the wire in one document: each channel has the operation of who sends and of who receives.
A test keeps both files current, another hands the document to AsyncAPI's own parser.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from wire_examples import examples

from contracts.envelope import TYPE_PREFIX, TYPE_SUFFIX, Envelope
from contracts.event_types import EVENT_TYPES
from contracts.ids import ID_PATTERN
from contracts.messages import (
    CONTENT_ENCODING,
    MAX_BATCH_BYTES,
    MAX_BATCH_EVENTS,
    MAX_DECLARED_BYTES,
    Ack,
    Batch,
    Command,
    Hello,
    HelloAnswer,
    Message,
    Presence,
    Request,
    Response,
)
from contracts.topics import ALL_UP, StoreTopics

Json = dict[str, Any]
TOPICS = StoreTopics("TENANT", "STORE")
PARAMETERS = {
    "TENANT": ("tenant", "Whose store it is.", ()),
    "STORE": ("store", "The store.", ()),
    "LANE": ("lane", "`ledger` is never dropped, `telemetry` is bounded.", ("ledger", "telemetry")),
    "COMMAND": ("id", "The command's id.", ()),
    "REQUEST": ("id", "The id of the request that it answers.", ()),
    "METHOD": ("method", "What is asked.", ("recognise",)),
}


@dataclass(frozen=True, slots=True)
class Channel:
    """One topic: who sends it, what it carries, and where the answer comes."""

    name: str
    topic: str
    sender: str  # store | cloud
    messages: tuple[type[Message], ...]
    said: str
    retained: bool = False
    reply: str = ""


CHANNELS = (
    Channel("presence", TOPICS.presence, "store", (Presence,),
            "Whether the store is there; its last will too. Re-sent every 30 s and after each connect. A pair "
            "`{boot, conn}` that is not current is ignored, and a retained word is never believed to be of now.",
            retained=True),
    Channel("helloUp", TOPICS.hello_up("LANE"), "store", (Hello,),
            "After each connect, after T without progress, and whenever told: what the lane holds, and a question.",
            reply="helloDown"),
    Channel("helloDown", TOPICS.hello_down("LANE"), "cloud", (HelloAnswer,),
            "What the cloud holds of the stream. Until the current hello is answered the store sends no batch."),
    Channel("events", TOPICS.events("LANE"), "store", (Batch,),
            f"A batch of strictly consecutive events: at most {MAX_BATCH_EVENTS} and {MAX_BATCH_BYTES} bytes before "
            f"compression. The receiver checks the declared size (at most {MAX_DECLARED_BYTES}) before it "
            "decompresses.",
            reply="ack"),
    Channel("ack", TOPICS.ack("LANE"), "cloud", (Ack,),
            "The watermark after the commit, or a refusal. Only the watermark frees an event in the store."),
    Channel("command", TOPICS.command("COMMAND"), "cloud", (Command,),
            "An order with an expiry; its outcome is an event in the ledger lane. "
            "No type can open a tobacco compartment."),
    Channel("request", TOPICS.request("METHOD"), "store", (Request,),
            "A read-only question that wants an answer now; the store drops an answer that comes after `ttl_ms`.",
            reply="response"),
    Channel("response", TOPICS.response("REQUEST"), "cloud", (Response,), "The answer to one request."),
    Channel("twinUp", f"{TOPICS.base}/up/twin", "store", (), "Reserved for the reported document. Nobody sends it yet.",
            retained=True),
    Channel("twinDown", f"{TOPICS.base}/down/twin", "cloud", (),
            "Reserved for the desired document. Nobody sends it yet.", retained=True),
)  # fmt: skip


def address(topic: str) -> str:
    """The topic with its parameters in braces."""
    for word, (name, _, _) in PARAMETERS.items():
        topic = topic.replace(word, f"{{{name}}}")
    return topic


# ------------------------------------------------------------------ the document


def _plain(node: Any) -> Any:
    """JSON Schema's `$` is the end of the text; Python's needs a look-ahead to be that."""
    if isinstance(node, dict):
        return {key: _plain(value) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return [_plain(value) for value in node]
    return node.replace(r"$(?!\n)", "$") if isinstance(node, str) else node


def schemas() -> Json:
    """JSON Schema of every message, of the envelope, and of what each type of event says."""
    kinds = [kind for channel in CHANNELS for kind in channel.messages]
    data = sorted(EVENT_TYPES.items())
    found, components = msgspec.json.schema_components(
        [*kinds, Envelope, *(cls for _, cls in data)], ref_template="#/components/schemas/{name}"
    )
    reference = dict(zip((*kinds, Envelope, *(cls for _, cls in data)), found, strict=True))
    components["Batch"]["properties"]["events"]["items"] = reference[Envelope]
    components["Envelope"]["allOf"] = [
        {
            "if": {"properties": {"type": {"const": f"{TYPE_PREFIX}{name}{TYPE_SUFFIX}"}}},
            "then": {"properties": {"data": reference[cls]}},
        }
        for name, cls in data
    ]
    plain: Json = _plain(components)
    return plain


def _message(kind: type[Message], said: list[tuple[str, Message]]) -> Json:
    return {
        "name": kind.__name__,
        "title": kind.__name__,
        "summary": (kind.__doc__ or "").strip().split("\n")[0] or kind.__name__,
        "contentType": "application/json",
        "headers": {
            "type": "object",
            "properties": {
                CONTENT_ENCODING: {
                    "type": "string",
                    "const": "zstd",
                    "description": "User property of MQTT 5, set when the payload is one zstd frame that declares its "
                    "size (JSON above 1 KiB). Over MQTT 3.1.1 the frame's first four bytes say the same.",
                }
            },
        },
        "payload": {"$ref": f"#/components/schemas/{kind.__name__}"},
        "examples": [{"name": name, "payload": json.loads(msgspec.json.encode(example))} for name, example in said],
    }


def _channel(channel: Channel) -> Json:
    return {
        "address": address(channel.topic),
        "description": channel.said,
        "parameters": {
            name: {"description": f"{said} Matches `{ID_PATTERN}`."} | ({"enum": list(values)} if values else {})
            for word, (name, said, values) in PARAMETERS.items()
            if word in channel.topic.split("/")
        },
        "messages": {
            kind.__name__: {"$ref": f"#/components/messages/{kind.__name__}"} for kind in channel.messages
        },
        "tags": [{"name": f"from-{channel.sender}"}],
    }  # fmt: skip


def _operations() -> Iterator[tuple[str, Json]]:
    for channel in CHANNELS:
        if not channel.messages:
            continue
        receiver = "cloud" if channel.sender == "store" else "store"
        for side, action in ((channel.sender, "send"), (receiver, "receive")):
            operation: Json = {
                "action": action,
                "channel": {"$ref": f"#/channels/{channel.name}"},
                "summary": f"What the {side} {'sends' if action == 'send' else 'hears'} on {address(channel.topic)}.",
                "messages": [{"$ref": f"#/channels/{channel.name}/messages/{k.__name__}"} for k in channel.messages],
                "bindings": {"mqtt": {"qos": 1, "retain": channel.retained, "bindingVersion": "0.2.0"}},
                "tags": [{"name": side}],
            }
            if channel.reply:
                operation["reply"] = {"channel": {"$ref": f"#/channels/{channel.reply}"}}
            yield f"{side}{action.capitalize()}s{channel.name[0].upper()}{channel.name[1:]}", operation


def document() -> Json:
    """The whole AsyncAPI document."""
    said = examples()
    return {
        "asyncapi": "3.1.0",
        "id": "urn:zhanggui:wire:v1",
        "defaultContentType": "application/json",
        "info": {
            "title": "Zhanggui: the wire between a store and the cloud",
            "version": "1.0.0",
            "description": "Made from contracts/ by docs/make_asyncapi.py. Correctness rests on docs/wire.md alone, "
            "never on the broker: what is not acknowledged by a watermark with the right hash is sent again.",
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
            "contact": {"name": "Zhanggui"},
            "tags": [{"name": "store"}, {"name": "cloud"}],
        },
        "servers": {
            "broker": {
                "host": "{host}:{port}",
                "protocol": "mqtt",
                "protocolVersion": "5.0",
                "description": "Any MQTT broker, also over TLS (mqtts, port 8883). Store and cloud start clean, with "
                f"session expiry 0. Workers of the cloud share `$share/bridge/{ALL_UP}`.",
                "variables": {"host": {"default": "127.0.0.1"}, "port": {"default": "1883"}},
                "bindings": {
                    "mqtt": {
                        "clientId": "{store}.{instance}",
                        "cleanSession": True,
                        "keepAlive": 30,
                        "sessionExpiryInterval": 0,
                        "maximumPacketSize": MAX_DECLARED_BYTES + 4096,
                        "lastWill": {"topic": address(TOPICS.presence), "qos": 1, "retain": True,
                                     "message": json.dumps(json.loads(msgspec.json.encode(said[Presence][1][1])))},
                        "bindingVersion": "0.2.0",
                    }
                },
            }
        },
        "channels": {channel.name: _channel(channel) for channel in CHANNELS},
        "operations": dict(_operations()),
        "components": {
            "messages": {kind.__name__: _message(kind, said[kind]) for c in CHANNELS for kind in c.messages},
            "schemas": schemas(),
        },
    }  # fmt: skip


HEAD = """# Topics and messages

Made by `python docs/make_asyncapi.py` from [contracts/](../contracts/messages.py); a test fails when the two differ.
The same for machines is [asyncapi.json](asyncapi.json) (AsyncAPI 3.1: parameters, schemas, examples, MQTT bindings);
what the messages mean stands in [wire.md](wire.md), what events say in [events.md](events.md). All with QoS 1.

| topic | from | retained | message | fields | |
|---|---|---|---|---|---|
"""


def _fields(kind: type[Message]) -> str:
    return ", ".join(f"`{f.encode_name}{'' if f.required else '?'}`" for f in msgspec.structs.fields(kind))


def table() -> str:
    """The page for people."""
    rows = []
    for channel in CHANNELS:
        names = ", ".join(kind.__name__ for kind in channel.messages) or "–"
        fields = "; ".join(map(_fields, channel.messages)) or "–"
        retained = "yes" if channel.retained else "no"
        rows.append(
            f"| `{address(channel.topic)}` | {channel.sender} | {retained} | {names} | {fields} | {channel.said} |"
        )
    return HEAD + "\n".join(rows) + "\n"


def text() -> str:
    """The document as it stands in the file."""
    return json.dumps(document(), indent=1, ensure_ascii=False) + "\n"


def write() -> None:
    """Write both files."""
    Path(__file__).with_name("asyncapi.json").write_text(text())
    Path(__file__).with_name("asyncapi.md").write_text(table())


if __name__ == "__main__":
    write()
