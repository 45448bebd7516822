"""MQTT topics `zg/v1/{tenant}/{store}/…`: built and taken apart in one place."""

from __future__ import annotations

from dataclasses import dataclass

from contracts.ids import BadIdError, check_id

ROOT = "zg/v1"


@dataclass(frozen=True, slots=True)
class StoreTopics:
    """The topics of one store. `tenant` and `store` are ids."""

    tenant: str
    store: str

    def __post_init__(self) -> None:
        check_id(self.tenant, "tenant")
        check_id(self.store, "store")

    @property
    def base(self) -> str:
        return f"{ROOT}/{self.tenant}/{self.store}"

    @property
    def presence(self) -> str:
        return f"{self.base}/up/presence"

    def hello_up(self, lane: str) -> str:
        return f"{self.base}/up/hello/{lane}"

    def hello_down(self, lane: str) -> str:
        return f"{self.base}/down/hello/{lane}"

    def events(self, lane: str) -> str:
        return f"{self.base}/up/events/{lane}"

    def ack(self, lane: str) -> str:
        return f"{self.base}/down/ack/{lane}"

    def command(self, command_id: str) -> str:
        return f"{self.base}/down/command/{command_id}"

    def request(self, method: str) -> str:
        return f"{self.base}/up/request/{method}"

    def response(self, request_id: str) -> str:
        return f"{self.base}/down/response/{request_id}"

    @property
    def all_down(self) -> str:
        """Subscription of the edge: everything the cloud says to this store."""
        return f"{self.base}/down/#"


ALL_UP = f"{ROOT}/+/+/up/#"
"""Subscription of the bridge: everything every store says."""

SHARED_UP = f"$share/bridge/{ALL_UP}"
"""The same, spread over the bridges that take in events: each message reaches one of them, and none retained."""

SHARED_REQUESTS = f"$share/pages/{ROOT}/+/+/up/request/+"
"""Subscription of the bridges that know what questions are about; the ones that take in events leave them alone."""


@dataclass(frozen=True, slots=True)
class UpTopic:
    """A topic a store published on, taken apart."""

    tenant: str
    store: str
    kind: str  # presence hello events request twin
    name: str  # lane or method; "" for presence and twin


_KINDS_WITH_NAME = frozenset({"hello", "events", "request"})
_KINDS_ALONE = frozenset({"presence", "twin"})


def parse_up(topic: str) -> UpTopic | None:
    """The parts of an up-topic; None for a topic that is none of ours."""
    parts = topic.split("/")
    if len(parts) not in (6, 7) or parts[0] != "zg" or parts[1] != "v1" or parts[4] != "up":
        return None
    kind, name = parts[5], parts[6] if len(parts) == 7 else ""
    if kind not in (_KINDS_WITH_NAME if name else _KINDS_ALONE):
        return None
    try:
        check_id(parts[2], "tenant")
        check_id(parts[3], "store")
        if name:
            check_id(name, "name")
    except BadIdError:
        return None
    return UpTopic(parts[2], parts[3], kind, name)
