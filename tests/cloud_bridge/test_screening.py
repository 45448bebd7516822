"""The fast look at a batch means what the slow look at each of its events means."""

from __future__ import annotations

import string
from collections.abc import Callable
from random import Random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud_bridge.ingest import screening
from cloud_bridge.ingest.screening import WITHHELD, judge, screen
from contracts.envelope import MAX_EVENT_BYTES, Origin, decode_data, decode_envelope, encode_event
from contracts.event_types import EVENT_TYPES
from contracts.known_events import decode_known
from tests.cloud_bridge.wire import mutated
from tests.contracts.samples import STAMP, STREAM, instance

FIRST = 7
PLACE = {"stream": STREAM, "tenant": "demo", "store": "shop1"}
ID_NUMBER = "11010119900307" + "7475"  # a made-up number whose check digit holds
NAMES = sorted(EVENT_TYPES)


def sample(name: str, seq: int, origin: Origin | None = None) -> bytes:
    """An event of the type, every field set, in its right place."""
    data = instance(EVENT_TYPES[name])
    return encode_event(data, stream=STREAM, seq=seq, source="/demo/shop1/S1", stamp=STAMP, origin=origin)


def slowly(raws: list[bytes]) -> tuple[list[bytes], list[str], dict[int, str], dict[int, Origin]]:
    """What the plain definition says."""
    judged = [judge(raw, seq=seq, **PLACE) for seq, raw in enumerate(raws, FIRST)]
    return (
        [event.raw for event in judged],
        [event.type for event in judged],
        {index: event.dead for index, event in enumerate(judged) if event.dead is not None},
        {index: event.origin for index, event in enumerate(judged) if event.origin is not None},
    )


def quickly(raws: list[bytes], how=screen) -> tuple[list[bytes], list[str], dict[int, str], dict[int, Origin]]:
    found = how(raws, first_seq=FIRST, **PLACE)
    return found.raws, found.types, found.dead, found.origins


def flipped(raw: bytes, rng: Random) -> bytes:
    """Some bytes are others."""
    changed = bytearray(raw)
    for _ in range(rng.randint(1, 3)):
        changed[rng.randrange(len(changed))] = rng.choice(string.printable.encode())
    return bytes(changed)


# What may be written into an event in place of something else: each of these changes what it is worth, or must not.
TWISTS: list[Callable[[bytes, Random], bytes]] = [
    lambda raw, rng: raw,
    lambda raw, rng: raw.replace(b'"demo"', b'"else"').replace(b"/demo/", b"/else/"),  # another store
    lambda raw, rng: raw.replace(b"/demo/shop1/S1", b"/demo/shop1"),  # no device
    lambda raw, rng: raw.replace(b"cn.zhanggui.", b"cn.other."),
    lambda raw, rng: raw.replace(b'.v1","time', b'.v2","time'),
    lambda raw, rng: raw.replace(b"cn.zhanggui.", b"cn.zhanggui.un"),  # a type nobody knows
    lambda raw, rng: raw.replace(b'"privacy":"none"', b'"privacy":"personal"'),
    lambda raw, rng: raw.replace(b'"privacy":"none"', b'"privacy":"pseudonymous"'),
    lambda raw, rng: raw.replace(b"01:00:00.000Z", rng.choice([b"01:00:00", b"01:00:00z", b"01:00:60Z", b"x", b"25Z"])),
    lambda raw, rng: raw.replace(b'"sequence":', b'"sequence":1'),  # another number
    lambda raw, rng: raw.replace(b'"x"', b'"%s"' % ID_NUMBER.encode()),
    lambda raw, rng: raw.replace(b'"x"', b'"320106196502299999"'),  # 18 digits that are nobody's number
    lambda raw, rng: raw.replace(b'"x"', b'"12345678901234567"'),  # 17 digits
    lambda raw, rng: raw.replace(b'"x"', b'"/9j/4AAQ"'),
    lambda raw, rng: raw.replace(b'"x"', b'"\\/9j\\/4AAQ"'),
    lambda raw, rng: raw.replace(b'"x"', b'"\\u002f9j/4AAQ"'),
    lambda raw, rng: raw.replace(b'"x"', b'"iVBORw0KGgoAAAA"'),
    lambda raw, rng: raw.replace(b'"x"', b'"R0lGODAAAA"'),
    lambda raw, rng: raw.replace(b'"x"', b'"UklGRAAAA"'),
    lambda raw, rng: raw.replace(b'"x"', b'"GUklGRAAAA"'),  # not at its beginning
    lambda raw, rng: raw.replace(b'"x"', b'"see data:image/png;base64,AAAA"'),
    lambda raw, rng: raw.replace(b'"x"', b'"\xff"'),  # no UTF-8
    lambda raw, rng: raw.replace(b'"x"', b"5"),  # breaks its schema
    lambda raw, rng: raw.replace(b'"x"', b'"%s"' % (b"y" * 300)),  # too long a text
    lambda raw, rng: raw[:-1] + b',"portrait":"AAAA"}',
    lambda raw, rng: raw.replace(b'"data":{', b'"data":{"faceImage":"AAAA",'),
    lambda raw, rng: raw.replace(b'"data":{', b'"data":{"face":"AAAA"},"data":{'),  # said twice
    lambda raw, rng: raw[:-1] + b',"type":"cn.zhanggui.store.opened.v1"}',
    lambda raw, rng: raw[:-1] + b',"traceparent":"00-1-1"}',
    lambda raw, rng: raw[:-1] + b" " * MAX_EVENT_BYTES + b"}",
    lambda raw, rng: raw[: rng.randrange(len(raw))],
    flipped,
    lambda raw, rng: bytes(rng.randbytes(rng.randrange(40))),
    lambda raw, rng: b"[" * 2000 + b"]" * 2000,
]


@st.composite
def batches(draw: st.DrawFn) -> list[bytes]:
    """Batches with anything in them: whole events, broken ones, other people's."""
    rng = Random(draw(st.integers(0, 2**32)))
    origin = st.none() | st.just(Origin(stream=STREAM, seq=3, hash="ab" * 32))
    count = draw(st.integers(0, 8))
    return [
        draw(st.sampled_from(TWISTS))(sample(draw(st.sampled_from(NAMES)), seq, draw(origin)), rng)
        for seq in range(FIRST, FIRST + count)
    ]


@settings(max_examples=200, deadline=None)
@given(batches())
def test_fast_is_slow(raws: list[bytes]) -> None:
    assert quickly(raws) == slowly(raws)


@pytest.mark.parametrize("number", range(len(TWISTS)))
def test_fast_is_slow_for_every_twist_of_every_type(number: int) -> None:
    rng = Random(number)
    raws = [TWISTS[number](sample(name, seq), rng) for seq, name in enumerate(NAMES, FIRST)]
    assert quickly(raws) == slowly(raws)


def test_every_type_of_the_vocabulary_is_accepted_quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """All but the store's own description, whose document is free of form."""
    slow: list[str] = []

    def counted(raw: bytes, **place: object) -> screening.Judged:
        slow.append(decode_envelope(raw).name)
        return judge(raw, **place)  # type: ignore[arg-type]  # passed on as it came

    monkeypatch.setattr(screening, "judge", counted)
    found = screen([sample(name, seq) for seq, name in enumerate(NAMES, FIRST)], first_seq=FIRST, **PLACE)
    assert (found.types, found.dead, found.withheld) == (NAMES, {}, 0)
    assert slow == ["config.changed"]


def test_an_event_read_in_one_pass_says_what_it_says_in_two() -> None:
    for name in NAMES:
        raw = sample(name, 1)
        whole, envelope = decode_known(raw), decode_envelope(raw)
        if name == "config.changed":
            assert whole is None
            continue
        assert whole is not None
        assert whole.data == decode_data(envelope)
        for attribute in ("id", "source", "time", "sequence", "boot", "clockquality", "origin"):
            assert getattr(whole, attribute) == getattr(envelope, attribute)


def test_the_neighbours_of_a_withheld_event_stay() -> None:
    raws = [sample("store.opened", seq) for seq in range(FIRST, FIRST + 5)]
    raws[2] = raws[2].replace(b'"x"', b'"%s"' % ID_NUMBER.encode())
    found = screen(raws, first_seq=FIRST, **PLACE)
    assert found.raws == [raws[0], raws[1], b"", raws[3], raws[4]]
    assert (found.dead, found.withheld) == ({2: WITHHELD}, 1)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("or index in suspects", "or False"),  # nobody looks for personal values
        ("or event.sequence != seq", "or False"),
        ('or event.id != f"{prefix}{seq}"', "or False"),
        ("or not (event.source == source or event.source.startswith(place))", "or False"),
        ("or not (event.time == time or aware(event.time))", "or False"),
        ("(event.time == time or", "(event.time[:17] == time[:17] or"),
        ("bisect_right(starts, place) - 1", "bisect_right(starts, place)"),  # the wrong event is looked at
        ('b"0" * 17', 'b"0" * 19'),  # an identity number has 18
        ('(b"\\\\", (b"\\\\u", b"\\\\/")),', ""),  # escapes hide what is said
        ('(b"G", (b"iVBORw0KGgo", b"R0lGOD", b"UklGR")),', '(b"#", (b"iVBORw0KGgo", b"R0lGOD", b"UklGR")),'),
        ('(b"/9j/", (b"/9j/",)),', ""),
        ('(b"data:image/", (b"data:image/",)),', ""),
        ("screened.origins[index] = event.origin", "pass"),  # a fork counts twice
    ],
)
def test_planted_mistakes_of_the_fast_way_are_seen(old: str, new: str) -> None:
    how = mutated(screening, old, new).screen
    seen = 0
    for number, twist in enumerate(TWISTS):
        rng = Random(number)
        origin = Origin(stream=STREAM, seq=3, hash="ab" * 32)
        raws = [twist(sample(name, seq, origin), rng) for seq, name in enumerate(NAMES, FIRST)]
        shifted = [twist(sample(name, seq + 1).replace(b":%d" % (seq + 1), b":%d" % seq, 1), rng) for seq, name in enumerate(NAMES, FIRST)]  # fmt: skip
        renamed = [sample("store.opened", FIRST).replace(b":%d" % FIRST, b":9", 1)]
        after = [twist(sample("store.opened", seq), rng) for seq in range(FIRST + 1, FIRST + 9)]  # behind a sound one
        after = [sample("store.opened", FIRST), *after]
        seen += any(_parts(quickly(part, how)) != _parts(slowly(part)) for part in (raws, shifted, renamed, after))
    assert seen


def _parts(found: tuple[list[bytes], list[str], dict[int, str], dict[int, Origin]]) -> object:
    """As plain values: a mutated module has classes of its own."""
    raws, types, dead, origins = found
    return raws, types, dead, {index: msgspec.structs.asdict(origin) for index, origin in origins.items()}
