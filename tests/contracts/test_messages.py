"""Messages between store and cloud: what comes back, what is refused, and that nothing crashes the decoder."""

from __future__ import annotations

import contextlib
import json
import re
from random import Random

import msgspec
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.ids import BadIdError, check_id, new_uuid
from contracts.messages import (
    COMPRESS_ABOVE_BYTES,
    MAX_BATCH_EVENTS,
    MAX_DECLARED_BYTES,
    MAX_MESSAGE_BYTES,
    Ack,
    BadMessageError,
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
    check_lane,
    decode_message,
    encode_message,
    unpack,
)
from contracts.topics import ALL_UP, StoreTopics, UpTopic, parse_up

STREAM = "00000000-0000-4000-8000-000000000001"
HASH = "ab" * 32
GAP = Gap(first=1, last=2, reason="full", count=2, last_hash=HASH)
SAMPLES: list[Message] = [
    Presence(online=True, boot="b", conn=3, instance="i", agent_version="0.1", since=5),
    Hello(stream=STREAM, instance="i", nonce="n", next_seq=1, tail_hash=HASH, t0=1),
    Hello(stream=STREAM, instance="i", nonce="n", next_seq=9, tail_hash=HASH, t0=1, parent=Parent(stream=STREAM, common=0, hash=HASH), probe=0),
    HelloAnswer(nonce="n", stream=STREAM, watermark=0, hash_at_watermark=HASH, active=True, window=1, t0=1, t1=2, t2=3),
    Ack(stream=STREAM, nonce="n", watermark=0, hash_at_watermark=HASH, window=5),
    Ack(stream=STREAM, nonce="n", refused=Refusal(first_seq=1, reason="diverged")),
    Batch(stream=STREAM, nonce="n", first_seq=3, prev_hash=HASH, events=[msgspec.Raw(b'{"a":1}')], last_hash=HASH, gap=GAP),
    Request(id="r", ttl_ms=1, args={"member": "m", "n": 1, "x": None}),
    Response(id="r", ok=True, member=RecogniseAnswer(member_ref="m", name="王芳", points=3, offers=("a",), reason_codes=("b",))),
    Command(id="c", stream=STREAM, type="revoke", args={}, issued_by="amy", expires_at=1, ttl_ms=1),
]  # fmt: skip


@pytest.mark.parametrize("message", SAMPLES, ids=lambda m: type(m).__name__)
def test_every_message_comes_back(message: Message) -> None:
    payload, encoding = encode_message(message)
    assert encoding == ""
    assert decode_message(payload, type(message)) == message


def test_a_gap_speaks_the_words_of_the_contract() -> None:
    assert json.loads(encode_message(GAP)[0]) == {"from": 1, "to": 2, "reason": "full", "count": 2, "last_hash": HASH}


@pytest.mark.parametrize("message", SAMPLES, ids=lambda m: type(m).__name__)
def test_old_and_new_peers_can_talk(message: Message) -> None:
    document = {**json.loads(encode_message(message)[0]), "of_tomorrow": [1]}
    assert decode_message(json.dumps(document, separators=(",", ":")).encode(), type(message)) == message


def test_events_keep_their_bytes() -> None:
    raw = b'{ "b" : 1.50,"a":"\\u00e9" }'
    batch = Batch(stream=STREAM, nonce="n", first_seq=1, prev_hash=HASH, events=[msgspec.Raw(raw)], last_hash=HASH)
    assert bytes(decode_message(encode_message(batch)[0], Batch).events[0]) == raw


@pytest.mark.parametrize(
    ("size", "encoding"), [(0, ""), (COMPRESS_ABOVE_BYTES, ""), (COMPRESS_ABOVE_BYTES + 1, "zstd"), (200_000, "zstd")]
)
def test_what_is_large_is_compressed(size: int, encoding: str) -> None:
    frame = len(encode_message(Request(id="r", ttl_ms=1, args={"a": ""}))[0])
    message = Request(id="r", ttl_ms=1, args={"a": "x" * max(0, size - frame)})
    payload, said = encode_message(message)
    assert said == encoding
    assert payload.startswith(b"\x28\xb5\x2f\xfd") == (encoding == "zstd")
    assert decode_message(payload, Request) == message


# ------------------------------------------------------------------ sizes and bombs


def zstd(raw: bytes, *, declare: bool = True, level: int = 1) -> bytes:
    return zstandard.ZstdCompressor(level=level, write_content_size=declare).compress(raw)


def test_the_declared_size_is_checked_before_anything_is_unpacked() -> None:
    assert len(unpack(zstd(b" " * MAX_DECLARED_BYTES))) == MAX_DECLARED_BYTES
    with pytest.raises(BadMessageError, match="declares 327681 bytes"):
        unpack(zstd(b" " * (MAX_DECLARED_BYTES + 1)))
    bomb = zstd(b"\0" * 100_000_000, level=3)
    assert len(bomb) < 20_000
    with pytest.raises(BadMessageError, match="declares 100000000 bytes"):
        unpack(bomb)


def test_a_frame_that_hides_its_size_is_refused() -> None:
    writer = zstandard.ZstdCompressor(write_content_size=False).compressobj()
    with pytest.raises(BadMessageError, match="does not declare its size"):
        unpack(writer.compress(b"{}") + writer.flush())


def test_a_frame_that_lies_about_its_size_is_refused() -> None:
    honest = zstd(Random(1).randbytes(300))
    at = honest.index((300 - 256).to_bytes(2, "little"))  # sizes of 256 to 65791 stand less 256, in two bytes
    for lie in (0, 43, 45, 2000):
        with pytest.raises(BadMessageError, match="zstd"):
            unpack(honest[:at] + lie.to_bytes(2, "little") + honest[at + 2 :])


@pytest.mark.parametrize("cut", [5, 6, 10, -1])
def test_a_frame_that_is_cut_off_is_refused(cut: int) -> None:
    with pytest.raises(BadMessageError, match="zstd"):
        unpack(zstd(Random(2).randbytes(2000))[:cut])


def test_plain_json_is_capped_too() -> None:
    assert unpack(b" " * MAX_MESSAGE_BYTES)
    with pytest.raises(BadMessageError, match="at most"):
        unpack(b" " * (MAX_MESSAGE_BYTES + 1))


@pytest.mark.parametrize("opening", [b"[", b'{"args":', b'{"args":{"a":['])
def test_nesting_without_end_is_refused(opening: bytes) -> None:
    deep = opening * (MAX_MESSAGE_BYTES // len(opening) - 1)
    with pytest.raises(BadMessageError):
        decode_message(deep, Request)
    with pytest.raises(BadMessageError):
        decode_message(zstd(deep), Request)


def test_nesting_inside_an_event_is_bytes_to_the_batch() -> None:
    batch = json.loads(encode_message(SAMPLES[6])[0])
    deep = json.dumps(batch).replace('{"a": 1}', "[" * 20_000 + "]" * 20_000).encode()
    try:
        events = decode_message(deep, Batch).events
    except BadMessageError:
        return  # refusing it is as good
    assert len(bytes(events[0])) == 40_000


def test_a_batch_is_at_most_512_events() -> None:
    def batch(count: int) -> bytes:
        events = [msgspec.Raw(b"1")] * count
        return encode_message(
            Batch(stream=STREAM, nonce="n", first_seq=1, prev_hash=HASH, events=events, last_hash=HASH)
        )[0]

    assert len(decode_message(batch(MAX_BATCH_EVENTS), Batch).events) == MAX_BATCH_EVENTS
    with pytest.raises(BadMessageError, match="length"):
        decode_message(batch(MAX_BATCH_EVENTS + 1), Batch)


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        (Hello, {"next_seq": 0}),
        (Hello, {"stream": "x"}),
        (Hello, {"stream": STREAM + "\n"}),  # a line break at the end
        (Hello, {"tail_hash": HASH.upper()}),
        (Hello, {"tail_hash": HASH + "\n"}),
        (Hello, {"tail_hash": HASH[:-1]}),
        (Hello, {"nonce": ""}),
        (Hello, {"nonce": "a/b"}),
        (Hello, {"nonce": "a\n"}),
        (Hello, {"nonce": "x" * 65}),
        (Hello, {"probe": -1}),
        (HelloAnswer, {"window": 0}),
        (HelloAnswer, {"watermark": -1}),
        (Batch, {"first_seq": 0}),
        (Batch, {"gap": {"from": 0, "to": 1, "reason": "", "count": 1, "last_hash": HASH}}),
        (Batch, {"events": {}}),
        (Request, {"ttl_ms": 0}),
        (Request, {"ttl_ms": 60_001}),
        (Request, {"args": {"a": [1]}}),
        (Presence, {"online": "yes"}),
        (Presence, {"boot": "#"}),
    ],
)
def test_what_breaks_a_schema_is_refused(kind: type[Message], change: dict[str, object]) -> None:
    sample = next(message for message in SAMPLES if type(message) is kind)
    document = {**json.loads(encode_message(sample)[0]), **change}
    with pytest.raises(BadMessageError, match=f"^{kind.__name__}: "):
        decode_message(json.dumps(document).encode(), kind)


KINDS = sorted({type(message) for message in SAMPLES}, key=lambda kind: kind.__name__)


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(KINDS),
    st.one_of(st.binary(max_size=200), st.binary(max_size=60).map(lambda tail: b"\x28\xb5\x2f\xfd" + tail)),
)
def test_no_bytes_break_the_decoder(kind: type[Message], payload: bytes) -> None:
    with contextlib.suppress(BadMessageError):  # nothing else may come out of it
        decode_message(payload, kind)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(SAMPLES), st.booleans(), st.data())
def test_no_flipped_byte_breaks_the_decoder(message: Message, packed: bool, data: st.DataObject) -> None:
    raw = encode_message(message)[0]
    payload = bytearray(zstd(raw) if packed else raw)
    payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(BadMessageError):
        decode_message(bytes(payload), type(message))


@pytest.mark.parametrize(("name", "fine"), [("ledger", True), ("telemetry", True), ("", False), ("Ledger", False)])
def test_there_are_two_lanes(name: str, fine: bool) -> None:
    if fine:
        assert check_lane(name) == name
    else:
        with pytest.raises(BadMessageError, match="lane"):
            check_lane(name)


# ------------------------------------------------------------------ topics and ids

TOPICS = StoreTopics("demo", "s-1")


@pytest.mark.parametrize(
    ("topic", "parts"),
    [
        (TOPICS.presence, UpTopic("demo", "s-1", "presence", "")),
        (TOPICS.hello_up("ledger"), UpTopic("demo", "s-1", "hello", "ledger")),
        (TOPICS.events("telemetry"), UpTopic("demo", "s-1", "events", "telemetry")),
        (TOPICS.request("recognise"), UpTopic("demo", "s-1", "request", "recognise")),
        ("zg/v1/demo/s-1/up/twin", UpTopic("demo", "s-1", "twin", "")),
        (TOPICS.ack("ledger"), None),  # down, not up
        (TOPICS.hello_down("ledger"), None),
        (TOPICS.command("c1"), None),
        (TOPICS.response("r1"), None),
        ("zg/v2/demo/s-1/up/presence", None),
        ("zg/v1/demo/s-1/up/presence/x", None),  # presence has no name
        ("zg/v1/demo/s-1/up/hello", None),  # hello has one
        ("zg/v1/demo/s-1/up/hello/a/b", None),
        ("zg/v1/demo/s 1/up/presence", None),
        ("zg/v1/demo/s-1\n/up/presence", None),
        ("zg/v1/demo//up/presence", None),
        ("zg/v1/+/s-1/up/presence", None),
        ("", None),
        ("/" * 6, None),
    ],
)
def test_topics_are_taken_apart_as_they_were_built(topic: str, parts: UpTopic | None) -> None:
    assert parse_up(topic) == parts


def _matches(topic: str, pattern: str) -> bool:
    expression = re.escape(pattern).replace(r"\+", "[^/]+").replace(r"\#", ".*").replace("#", ".*")
    return re.fullmatch(expression, topic) is not None


def test_each_side_hears_the_other_and_not_itself() -> None:
    up = (TOPICS.presence, TOPICS.hello_up("ledger"), TOPICS.events("ledger"), TOPICS.request("x"))
    down = (TOPICS.hello_down("ledger"), TOPICS.ack("ledger"), TOPICS.command("x"), TOPICS.response("x"))
    assert all(_matches(topic, ALL_UP) and not _matches(topic, TOPICS.all_down) for topic in up)
    assert all(_matches(topic, TOPICS.all_down) and not _matches(topic, ALL_UP) for topic in down)


@pytest.mark.parametrize("bad", ["", "a b", "a/b", "a\n", "+", "#", "x" * 65, "é"])
def test_an_id_may_stand_in_a_topic(bad: str) -> None:
    with pytest.raises(BadIdError, match=r"^tenant: "):
        StoreTopics(bad, "s")
    with pytest.raises(BadIdError, match=r"^store: "):
        StoreTopics("t", bad)
    assert check_id("A-z_0" * 12, "x")


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=40))
def test_no_topic_breaks_the_parser(topic: str) -> None:
    found = parse_up(topic)
    assert found is None or topic.startswith("zg/v1/")


def test_a_new_stream_has_a_name_of_its_own() -> None:
    names = {new_uuid() for _ in range(100)}
    assert len(names) == 100
    for name in names:
        assert decode_message(encode_message(Ack(stream=name, nonce="n"))[0], Ack).stream == name


@pytest.mark.parametrize(("count", "fine"), [(32, True), (33, False)])
@pytest.mark.parametrize("field", ["offers", "reason_codes"])
def test_what_is_offered_fits_into_one_event(field: str, count: int, fine: bool) -> None:
    payload = msgspec.json.encode({"member_ref": "m", "name": "n", "points": 0, field: ["x" * 64] * count})
    if fine:
        assert len(getattr(decode_message(payload, RecogniseAnswer), field)) == count
    else:
        with pytest.raises(BadMessageError):
            decode_message(payload, RecogniseAnswer)
