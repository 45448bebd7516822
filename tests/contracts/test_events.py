"""The envelope, the chain, and the vocabulary: what an event may be and what it may never hold."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re

import jsonschema
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts import event_types
from contracts.envelope import (
    MAX_EVENT_BYTES,
    BadEventError,
    Envelope,
    EventTooLargeError,
    Origin,
    Stamp,
    decode_data,
    decode_envelope,
    encode_event,
    event_schemas,
    next_hash,
    root_hash,
)
from contracts.event_base import event
from contracts.event_types import (
    EVENT_TYPES,
    AgentHealth,
    ConfigChanged,
    EventData,
    GateDecision,
    StoreOpened,
    lane_of,
)
from contracts.ids import MAX_WHOLE
from contracts.planogram import StoreDocument
from tests.contracts.samples import STAMP, STREAM, instance, written

OPENED = StoreOpened(staff_id="amy")


# ------------------------------------------------------------------ envelope


@pytest.mark.parametrize("name", sorted(EVENT_TYPES))
def test_every_event_comes_back_as_it_was(name: str) -> None:
    data = instance(EVENT_TYPES[name])
    raw = written(data)
    envelope = decode_envelope(raw)
    assert envelope.name == name
    assert (envelope.privacy, envelope.sequence, envelope.id) == (data.PRIVACY, 1, f"{STREAM}:1")
    assert decode_data(envelope) == data
    assert bytes(envelope.data) in raw  # data stays the bytes that were written


def test_an_envelope_is_a_cloud_event() -> None:
    assert json.loads(written(OPENED, origin=Origin(stream=STREAM, seq=3, hash="ab"))) == {
        "specversion": "1.0", "id": f"{STREAM}:1", "source": "/demo/shop1/agent", "type": "cn.zhanggui.store.opened.v1",
        "time": "2026-03-02T01:00:00.000Z", "datacontenttype": "application/json", "sequence": 1, "boot": "boot1",
        "monotonicns": 7, "clockquality": "synced", "privacy": "none", "data": {"staff_id": "amy"},
        "origin": {"stream": STREAM, "seq": 3, "hash": "ab"},
    }  # fmt: skip
    assert "origin" not in json.loads(written(OPENED))


_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)  # quotes and controls in it
_STAMPS = st.builds(Stamp, _TEXT, _TEXT, st.integers(-(2**62), 2**62), st.sampled_from(["synced", "unknown"]))


@settings(max_examples=200, deadline=None)
@given(_TEXT, _TEXT, st.integers(1, MAX_WHOLE), _STAMPS, st.sampled_from([None, Origin(stream='"', seq=3, hash="ab")]))
def test_an_envelope_put_together_by_hand_is_what_an_encoder_writes(
    stream: str, source: str, seq: int, stamp: Stamp, origin: Origin | None
) -> None:
    envelope = Envelope(
        specversion="1.0", id=f"{stream}:{seq}", source=source, type="cn.zhanggui.store.opened.v1", time=stamp.time,
        datacontenttype="application/json", sequence=seq, boot=stamp.boot, monotonicns=stamp.monotonic_ns,
        clockquality=stamp.clock_quality, privacy="none", data=msgspec.Raw(msgspec.json.encode(OPENED)), origin=origin,
    )  # fmt: skip
    found = encode_event(OPENED, stream=stream, seq=seq, source=source, stamp=stamp, origin=origin)
    assert found == msgspec.json.encode(envelope)


def test_personal_data_is_never_written() -> None:
    class Portrait(EventData, frozen=True, kw_only=True):
        TYPE = "test.portrait"
        PRIVACY = "personal"

    with pytest.raises(BadEventError, match="personal data never leaves"):
        encode_event(Portrait(), stream=STREAM, seq=1, source="/a/b/c", stamp=STAMP)


def test_an_event_is_at_most_64_kib() -> None:
    def sized(size: int) -> EventData:
        return ConfigChanged(source="s", digest="d", document=msgspec.Raw(b'"' + b"x" * size + b'"'))

    frame = len(written(sized(0)))
    assert len(written(sized(MAX_EVENT_BYTES - frame))) == MAX_EVENT_BYTES
    with pytest.raises(EventTooLargeError, match=r"^config\.changed: 65537 bytes"):
        written(sized(MAX_EVENT_BYTES - frame + 1))
    with pytest.raises(BadEventError, match="bytes, at most"):
        decode_envelope(b" " * (MAX_EVENT_BYTES + 1))


def changed(**fields: object) -> bytes:
    return json.dumps({**json.loads(written(OPENED)), **fields}).encode()


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "envelope"),
        (b"{}", "envelope"),
        (b"\xff\xfe", "envelope"),
        (b"[" * 30_000, "envelope"),  # nested without end
        (b'{"a":' * 8000, "envelope"),
        (changed(data=[]) + b"x", "envelope"),  # something after it
        (changed(specversion="0.3"), "envelope"),
        (changed(datacontenttype="text/xml"), "envelope"),
        (changed(sequence="1"), "envelope"),
        (changed(sequence=1.5), "envelope"),
        (changed(clockquality="good"), "envelope"),
        (changed(privacy="secret"), "envelope"),
        (changed(id="x" * 97), "envelope"),
        (changed(portrait="AAAA"), "envelope"),  # a field nobody knows
        (changed(origin={"stream": "s"}), "envelope"),
        (changed(type="cn.zhanggui.store.opened.v2"), "type"),
        (changed(type="store.opened"), "type"),
        (changed(privacy="personal"), "privacy"),
    ],
)
def test_what_is_no_event_has_a_reason(raw: bytes, reason: str) -> None:
    with pytest.raises(BadEventError, match=f"^{reason}: "):
        decode_envelope(raw)


def test_an_unknown_type_is_an_envelope_without_data() -> None:
    envelope = decode_envelope(changed(type="cn.zhanggui.mirror.waved.v1", data={"hands": 2}))
    assert (envelope.name, decode_data(envelope)) == ("mirror.waved", None)


@pytest.mark.parametrize(
    "data",
    [{}, {"staff_id": 1}, {"staff_id": "x" * 65}, {"staff_id": "x", "more": 1}, [], None, "x"],
)
def test_data_that_breaks_its_schema_has_a_reason(data: object) -> None:
    with pytest.raises(BadEventError, match=r"^store\.opened: "):
        decode_data(decode_envelope(changed(data=data)))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)


def _survives(raw: bytes) -> None:
    with contextlib.suppress(BadEventError):  # nothing else may come out of it
        decode_data(decode_envelope(raw))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_no_bytes_break_the_decoder(raw: bytes) -> None:
    _survives(raw)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(sorted(json.loads(written(OPENED)))), json_values)
def test_no_value_of_a_field_breaks_the_decoder(name: str, value: object) -> None:
    _survives(changed(**{name: value}))


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_no_flipped_byte_breaks_the_decoder(data: st.DataObject) -> None:
    raw = bytearray(written(instance(EVENT_TYPES[data.draw(st.sampled_from(sorted(EVENT_TYPES)))])))
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    _survives(bytes(raw))


# ------------------------------------------------------------------ the chain


def test_the_chain_is_sha_256_over_the_exact_bytes() -> None:
    root = root_hash("s")
    assert root == hashlib.sha256(b"zhanggui stream s").digest()
    assert next_hash(root, b"abc") == hashlib.sha256(root + b"abc").digest()
    assert root_hash("s") != root_hash("t")


@settings(max_examples=100, deadline=None)
@given(st.lists(st.binary(max_size=20), min_size=2, max_size=6), st.data())
def test_loss_doubling_order_and_edits_show(events: list[bytes], data: st.DataObject) -> None:
    def tail(raws: list[bytes]) -> bytes:
        value = root_hash("s")
        for raw in raws:
            value = next_hash(value, raw)
        return value

    at = data.draw(st.integers(0, len(events) - 1))
    other = {
        "lost": events[:at] + events[at + 1 :],
        "doubled": events[: at + 1] + events[at:],
        "swapped": [*events[:at], *reversed(events[at : at + 2]), *events[at + 2 :]],
        "edited": [*events[:at], events[at] + b"!", *events[at + 1 :]],
    }[data.draw(st.sampled_from(["lost", "doubled", "swapped", "edited"]))]
    assert (tail(other) == tail(events)) == (other == events)


# ------------------------------------------------------------------ the vocabulary

PERSONAL = re.compile(
    r"face(?!t)|facial|biometr|fingerprint|iris|voiceprint|palm|template|embedding|vector"
    r"|image|photo|picture|portrait|selfie|jpe?g|png|base64|id_?(number|no|num)\b|identity|passport|id_?card|birth|phone|address"
)


def _fields(cls: type[msgspec.Struct], prefix: str = "") -> list[str]:
    """The names of all fields, those of the structs inside too."""
    names = []
    for info in msgspec.inspect.type_info(cls).fields:  # type: ignore[union-attr]  # a struct has fields
        names.append(prefix + info.encode_name)
        inner = info.type
        while hasattr(inner, "item_type"):
            inner = inner.item_type
        if isinstance(inner, msgspec.inspect.StructType):
            names += _fields(inner.cls, f"{prefix}{info.encode_name}.")
    return names


@pytest.mark.parametrize("name", sorted(EVENT_TYPES))
def test_no_event_has_a_place_for_an_image_a_biometric_or_an_identity_number(name: str) -> None:
    assert [field for field in _fields(EVENT_TYPES[name]) if PERSONAL.search(field)] == []


def test_a_store_document_has_no_place_for_them_either() -> None:
    assert [field for field in _fields(StoreDocument) if PERSONAL.search(field)] == []


@pytest.mark.parametrize("field", ["face_embedding", "id_number", "id_no", "image", "portrait_jpg", "iris", "passport"])
def test_the_search_would_find_one(field: str) -> None:
    assert PERSONAL.search(field)


def test_no_type_is_personal() -> None:
    assert {cls.PRIVACY for cls in EVENT_TYPES.values()} == {"none", "pseudonymous"}


@pytest.mark.parametrize("name", sorted(EVENT_TYPES))
def test_a_type_that_names_a_person_says_so(name: str) -> None:
    names_member = any(field.split(".")[-1] in {"member_ref", "actor_ref"} for field in _fields(EVENT_TYPES[name]))
    assert not names_member or EVENT_TYPES[name].PRIVACY == "pseudonymous"


def test_no_field_is_a_float_of_money() -> None:
    for name, cls in EVENT_TYPES.items():
        for info in msgspec.inspect.type_info(cls).fields:  # type: ignore[union-attr]  # a struct has fields
            if info.name.endswith("_fen"):
                assert isinstance(info.type, msgspec.inspect.IntType), f"{name}.{info.name}"


def test_all_fields_of_text_are_capped() -> None:
    def capped(kind: object) -> bool:
        if isinstance(kind, msgspec.inspect.StrType):
            return kind.max_length is not None or kind.pattern is not None
        if isinstance(kind, msgspec.inspect.StructType):
            return all(capped(field.type) for field in kind.fields)
        if isinstance(kind, msgspec.inspect.DictType):
            return capped(kind.key_type) and capped(kind.value_type)
        if isinstance(kind, msgspec.inspect.UnionType):
            return all(capped(member) for member in kind.types)
        return not hasattr(kind, "item_type") or capped(kind.item_type)

    assert [name for name, cls in EVENT_TYPES.items() if not capped(msgspec.inspect.type_info(cls))] == []


@pytest.mark.parametrize("name", sorted(EVENT_TYPES))
def test_every_schema_is_json_schema_2020_12_and_fits(name: str) -> None:
    schema = event_schemas()[name]
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    validator.validate(json.loads(msgspec.json.encode(instance(EVENT_TYPES[name]))))
    with pytest.raises(jsonschema.ValidationError):
        validator.validate({**json.loads(msgspec.json.encode(instance(EVENT_TYPES[name]))), "portrait": "AAAA"})


@pytest.mark.parametrize(
    ("name", "lane"),
    [
        ("payment.captured", "ledger"),
        ("gate.decision", "ledger"),
        ("telemetry.dropped", "ledger"),  # what was dropped is itself never dropped
        ("weight.reading", "telemetry"),
        ("people.crossing", "telemetry"),
        ("agent.health", "telemetry"),
        ("nobody.knows", "ledger"),  # a type that is missing is ledger
    ],
)
def test_each_type_has_its_lane(name: str, lane: str) -> None:
    assert lane_of(name) == lane


def test_a_type_is_defined_once() -> None:
    with pytest.raises(ValueError, match=r"store\.opened is defined twice"):
        event("store.opened")(StoreOpened)
    assert event_types.EVENT_TYPES["store.opened"] is StoreOpened


def test_free_tables_hold_counts_and_short_words_only() -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b'{"boot":"b","counters":{"a":"text"}}', type=AgentHealth)
    long = json.dumps({"session": "s", "stage": "g1", "outcome": "denied", "inputs": {"a": "x" * 65}}).encode()
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(long, type=GateDecision)
