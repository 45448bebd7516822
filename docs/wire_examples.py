"""Examples of every message of the wire, with real hashes, for docs/make_asyncapi.py."""

from __future__ import annotations

from typing import Any

import msgspec

from contracts.envelope import Stamp, encode_event, next_hash, root_hash
from contracts.event_types import PeopleCrossing, StoreOpened
from contracts.messages import (
    Ack,
    Batch,
    Command,
    Gap,
    Hello,
    HelloAnswer,
    Message,
    Parent,
    Presence,
    RecogniseAnswer,
    Refusal,
    Request,
    Response,
)

STREAM, PARENT = "6f1f9c1e-7c2b-4c51-9d3f-0d6f5f9f2a11", "0b0c7a52-6d0e-4a57-8f35-8f0a7a3f1c02"
AT_MS = 1_772_413_200_000
HELD = {"stream": STREAM, "nonce": "9f8b9a4e-2a5d-4f4f-8a51-3a1d6f0e77d1"}
PRESENT = {"boot": "b-7d1c", "conn": 3, "instance": "i-52ac", "agent_version": "0.1.0", "since": AT_MS}
TIMES = {"t0": AT_MS, "t1": AT_MS + 21, "t2": AT_MS + 23}
Examples = list[tuple[str, Message]]


def chain(*data: Any) -> tuple[list[msgspec.Raw], list[str]]:
    """The bytes of events 1 … n of a stream, and its hashes 0 … n in hex."""
    raws: list[bytes] = []
    hashes = [root_hash(STREAM)]
    for seq, said in enumerate(data, 1):
        stamp = Stamp("2026-03-02T01:00:00.000Z", "b-7d1c", 41_000_000_000 + seq, "synced")
        raws.append(encode_event(said, stream=STREAM, seq=seq, source="/demo/shop1/agent", stamp=stamp))
        hashes.append(next_hash(hashes[-1], raws[-1]))
    return [msgspec.Raw(raw) for raw in raws], [digest.hex() for digest in hashes]


def _hellos(tail_hash: str) -> Examples:
    said = {**HELD, "instance": "i-52ac", "next_seq": 3, "tail_hash": tail_hash, "t0": AT_MS}
    parent = Parent(stream=PARENT, common=17, hash=root_hash(PARENT).hex())
    return [("afterConnect", Hello(**said)), ("ofAForkThatProbes", Hello(**said, parent=parent, probe=1))]


def _answers(hashes: list[str]) -> Examples:
    said = {**HELD, **TIMES, "window": 2048}
    return [
        ("active", HelloAnswer(**said, watermark=0, hash_at_watermark=hashes[0], active=True)),
        ("standby", HelloAnswer(**said, watermark=2, hash_at_watermark=hashes[2], active=False)),
    ]


def _batches(raws: list[msgspec.Raw], hashes: list[str]) -> Examples:
    seen, at = chain(*(PeopleCrossing(line="door", direction="in") for _ in range(4)))
    gap = Gap(first=1, last=3, reason="overflow", count=3, last_hash=at[3])
    return [
        ("twoEvents", Batch(**HELD, first_seq=1, prev_hash=hashes[0], events=raws, last_hash=hashes[2])),
        ("afterAGap", Batch(**HELD, first_seq=4, prev_hash=at[0], events=seen[3:], last_hash=at[4], gap=gap)),
    ]


def _commands() -> Examples:
    said = {"args": {"session": "s-91"}, "issued_by": "op1", "expires_at": AT_MS + 30_000, "ttl_ms": 30_000}
    return [("revoke", Command(id="c-20260302-1", stream=STREAM, type="session.revoke", **said))]


def examples() -> dict[type[Message], Examples]:
    """Named examples of each message."""
    raws, hashes = chain(StoreOpened(staff_id="s1"), StoreOpened(staff_id="s2"))
    member = RecogniseAnswer(member_ref="m-73", name="王女士", points=120)
    return {
        Presence: [("here", Presence(online=True, **PRESENT)), ("lastWill", Presence(online=False, **PRESENT))],
        Hello: _hellos(hashes[2]),
        HelloAnswer: _answers(hashes),
        Batch: _batches(raws, hashes),
        Ack: [
            ("stored", Ack(**HELD, watermark=2, hash_at_watermark=hashes[2], window=2048)),
            ("refused", Ack(**HELD, refused=Refusal(first_seq=1, reason="diverged"))),
        ],
        Command: _commands(),
        Request: [("recognise", Request(id="r-1", ttl_ms=1500, args={"member": "m-73", "cabinet": "c1"}))],
        Response: [
            ("known", Response(id="r-1", ok=True, member=member)),
            ("unknown", Response(id="r-1", ok=False, reason="unknown_member")),
        ],
    }
