"""What a worker may say is an allow-list: small values, nothing else, and never a picture."""

import msgspec
import pytest

from edge.vision.messages import (
    MAX_LINE_BYTES,
    CodeSeen,
    Crossing,
    Ended,
    Health,
    Interval,
    Started,
    WorkerMessage,
    decode,
    encode,
)

INTERVAL = Interval(
    start="2026-01-01T00:00:00.000Z",
    end="2026-01-01T00:01:00.000Z",
    entered=3,
    left=2,
    frames=280,
    skipped=20,
    quality=0.9333,
)
ONE_OF_EACH = [
    Started(),
    Crossing(direction="in", t_s=12.5),
    INTERVAL,
    Health(fps=5.0, rss_bytes=200_000_000, frame_age_s=0.1),
    CodeSeen(text="\0" * 1024, format="QRCode"),  # every character escaped
    Ended(reason="\\" * 512),
]


@pytest.mark.parametrize("message", ONE_OF_EACH, ids=lambda m: type(m).__name__)
def test_there_and_back_on_one_short_line(message):
    line = encode(message)
    assert decode(line) == message
    assert line.count(b"\n") == 1
    assert len(line) < MAX_LINE_BYTES


@pytest.mark.parametrize(
    "line",
    [
        b"",  # nothing
        b"\xff\xfe\n",  # not text
        b'{"kind":"ended","reason":"\xff"}',  # not text where text should stand
        b"[h264 @ 0x55] error while decoding MB 3 4\n",  # what a video library prints
        b"{}",  # no kind
        b'{"kind":"frame","data":"AAAA"}',  # a kind that nobody allowed
        b'{"kind":"crossing","direction":"in","t_s":1.0,"image":"AAAA"}',  # a picture that rides along
        b'{"kind":"crossing","direction":"up","t_s":1.0}',  # no direction
        b'{"kind":"crossing","direction":"in","t_s":-1.0}',  # before time
        b'{"kind":"crossing","direction":"in"}',  # a part is missing
        b'{"kind":"health","fps":5.0,"rss_bytes":-1,"frame_age_s":0.0}',  # less than nothing
        b'{"kind":"health","fps":NaN,"rss_bytes":1,"frame_age_s":0.0}',  # no number
        b'{"kind":"started"}{"kind":"started"}',  # two on one line
        b'{"kind":"code","text":"' + b"x" * 1025 + b'","format":"QRCode"}',  # too long
        b'{"kind":"started","kind":"started","x":' + b"[" * 3000 + b"]" * 3000 + b"}",  # deep
    ],
)
def test_everything_else_is_refused(line):
    with pytest.raises((msgspec.DecodeError, RecursionError)) as caught:
        decode(line)
    assert isinstance(caught.value, msgspec.DecodeError), "the supervisor counts what msgspec raises"


def test_no_message_has_room_for_a_picture():
    """Every field is a bounded number or a bounded text; the longest text is a code's."""
    for kind in WorkerMessage.__args__:
        for field in msgspec.json.schema(kind)["$defs"][kind.__name__]["properties"].values():
            assert field.get("type") in ("number", "integer", "string") or set(field) >= {"enum"}
            if field.get("type") == "string" and "enum" not in field:
                assert field["maxLength"] <= 1024
