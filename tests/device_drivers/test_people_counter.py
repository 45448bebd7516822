"""People counters: their XML and its caps, the parts of a stream, and pushed bodies."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device_drivers.errors import ProtocolError
from device_drivers.people_counter.alert import MAX_BYTES, Alert, Counting, Counts, parse_alert
from device_drivers.people_counter.codec import (
    MAX_BODY_BYTES,
    MAX_HEAD_BYTES,
    MAX_PART_BYTES,
    PartDecoder,
    RequestDecoder,
    boundary_of,
    pushed_alerts,
)
from device_drivers.people_counter.family import acts, describe
from simulators.hardware.people_counter import PeopleCamera, on_bench, part
from tests.device_drivers.cases.people_counter import COUNT, HEARTBEAT

EAST = timezone(timedelta(hours=8))
MAC = "24:28:fd:f3:3a:11"
PSIA, ISAPI = "urn:psialliance-org", "http://www.isapi.org/ver20/XMLSchema"


def alert_xml(inner: str, *, ns: str = PSIA, kind: str = "PeopleCounting", mac: str = MAC) -> bytes:
    space = f' xmlns="{ns}"' if ns else ""
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\r\n<EventNotificationAlert version="1.0"{space}>'
        f"<macAddress>{mac}</macAddress><channelID>1</channelID><dateTime>2021-10-12T19:15:00+08:00</dateTime>"
        f"<eventType>{kind}</eventType><eventState>active</eventState>{inner}</EventNotificationAlert>"
    ).encode()


def counted(inner: str, more: str = "", **how) -> bytes:
    return alert_xml(f"<peopleCounting>{inner}</peopleCounting>{more}", **how)


RANGE = (
    "<statisticalMethods>timeRange</statisticalMethods><TimeRange><startTime>2021-10-12T19:00:00+08:00</startTime>"
    "<endTime>2021-10-12T19:15:00+08:00</endTime></TimeRange>"
)
RUNNING = "<statisticalMethods>realTime</statisticalMethods><RealTime><time>2024-07-08T12:27:24+08:00</time></RealTime>"
START, END = datetime(2021, 10, 12, 19, 0, tzinfo=EAST), datetime(2021, 10, 12, 19, 15, tzinfo=EAST)
MOMENT = datetime(2024, 7, 8, 12, 27, 24, tzinfo=EAST)

# Marks: S the fields and values of a public sample; C computed from the rules that samples share; ? samples differ.
ALERTS = [
    # S: an interval with a region, children beside it
    (counted(f"{RANGE}<enter>0</enter><exit>1</exit><regionsID>1</regionsID>", "<childCounting><enter>0</enter><exit>0</exit></childCounting>"), Counting("timeRange", START, END, Counts(0, 1, children_in=0, children_out=0), "1")),
    # S: an interval with `pass`
    (counted(f"{RANGE}<enter>0</enter><exit>0</exit><pass>0</pass>"), Counting("timeRange", START, END, Counts(0, 0, 0))),
    # S: counters, in the newer schema
    (counted(f"{RUNNING}<enter>15</enter><exit>14</exit><duplicatePeople>4</duplicatePeople><countingSceneMode>entrance</countingSceneMode>", "<isDataRetransmission>false</isDataRetransmission>", ns=ISAPI), Counting("realTime", MOMENT, MOMENT, Counts(15, 14, duplicates=4))),
    # S: counters of old firmware, which names no schema
    (counted(f"{RUNNING}<enter>167</enter><exit>454</exit><pass>9729</pass>", ns=""), Counting("realTime", MOMENT, MOMENT, Counts(167, 454, 9729))),
    # C: told again
    (counted(f"{RANGE}<enter>2</enter><exit>1</exit>", "<isDataRetransmission>true</isDataRetransmission>"), Counting("timeRange", START, END, Counts(2, 1), late=True)),
    # ?: triggered, with a span and without one
    (counted(f"{RANGE.replace('timeRange', 'signalTrigger')}<enter>2</enter><exit>1</exit>"), Counting("signalTrigger", START, END, Counts(2, 1))),
    (counted("<statisticalMethods>signalTrigger</statisticalMethods><enter>2</enter><exit>1</exit>"), Counting("signalTrigger", END, END, Counts(2, 1))),
    # ?: counters that tell the time only at the top
    (counted("<statisticalMethods>realTime</statisticalMethods><enter>2</enter><exit>1</exit>"), Counting("realTime", END, END, Counts(2, 1))),
]  # fmt: skip


@pytest.mark.parametrize(("body", "counting"), ALERTS)
def test_golden_alerts(body, counting):
    assert parse_alert(body) == Alert("PeopleCounting", "active", MAC, "1", counting)


def test_the_simulator_writes_what_the_samples_have():
    """Both schemas, through another writer than the tests' own."""
    for schema in ("psia", "isapi"):
        camera, heard = PeopleCamera(START, schema=schema, tells=("realTime", "timeRange", "signalTrigger")), []
        camera.listeners.append(heard.append)
        camera.heartbeat()
        camera.cross("in")
        camera.trigger()
        camera.cross("out")
        camera.advance(900)
        found = [parse_alert(document.encode()) for document in heard]
        assert found[0].counting is None
        assert [(one.counting.method, one.counting.counts.entered, one.counting.counts.left) for one in found[1:]] == [
            ("realTime", 1, 0),
            ("realTime", 1, 1),
            ("timeRange", 1, 1),
        ]


def test_a_heartbeat_counts_nobody():
    assert parse_alert(HEARTBEAT) == Alert("videoloss", "inactive")
    assert describe(HEARTBEAT) == "videoloss inactive"
    assert describe(COUNT) == "realTime: 15 in, 14 out, from 2026-03-02T09:00:00+08:00"
    assert describe(b"<html/>").startswith("no alert: XML: no EventNotificationAlert")


GOOD = f"{RUNNING}<enter>1</enter><exit>2</exit>"
LAUGHS = "".join(f'<!ENTITY a{n} "' + f"&a{n - 1};" * 10 + '">' for n in range(1, 9))
REFUSED = [
    (b"", "no element found"),
    (b"<a>", "no EventNotificationAlert"),
    (b"not xml", "XML"),
    (b"\x00" * 100, "XML"),
    (counted(GOOD)[:-4], "XML"),  # cut off
    (counted(GOOD) + b"<again/>", "XML"),  # two roots
    (counted(GOOD, ns="urn:somebody"), "known schema"),
    (counted(GOOD).replace("门".encode(), b"").replace(b"<channelID>1", b"<channelID>\xff\xfe"), "XML"),  # no UTF-8
    # entities of any kind: the document type that would declare them is refused before
    (b'<!DOCTYPE x [<!ENTITY e "1">]>' + counted(GOOD)[40:], "document type"),
    (b'<!DOCTYPE x SYSTEM "file:///etc/passwd"><EventNotificationAlert/>', "document type"),
    (f'<!DOCTYPE x [<!ENTITY a0 "ha">{LAUGHS}]><EventNotificationAlert>&a8;</EventNotificationAlert>'.encode(), "document type"),
    (counted(GOOD.replace(">1<", ">&boom;<")), "undefined entity"),
    # caps
    (counted(GOOD) + b" " * MAX_BYTES, "at most"),
    (alert_xml("<a>" * 200 + "</a>" * 200), "too deep"),
    (alert_xml('<a xmlns="urn:x">' * 200 + "</a>" * 200), "too deep"),  # of another schema too
    (alert_xml("<a/>" * 300), "too many elements"),
    (alert_xml(f"<a>{'x' * 300}</a>"), "text that is too long"),
    (alert_xml(f"<{'a' * 300}/>"), "name that is too long"),
    (alert_xml("<a b='" + "x" * 300 + "'/>"), "attributes"),
    (alert_xml("<a " + " ".join(f"b{n}='1'" for n in range(9)) + "/>"), "attributes"),
    (alert_xml("<a>&#x85;x</a><b>\u202e</b>"), "unprintable"),
    # what a count must hold
    (alert_xml(""), "statisticalMethods"),
    (counted(GOOD, mac=""), "MAC"),
    (counted(GOOD, mac="24:28:fd"), "MAC"),
    (counted(GOOD.replace("realTime", "weekly")), "method"),
    (counted(GOOD.replace("<enter>1</enter>", "")), "peopleCounting/enter"),
    (counted(GOOD + "<enter>9</enter>"), "stands twice"),
    (counted(GOOD).replace(b"</EventNotificationAlert>", b"<peopleCounting><enter>7</enter></peopleCounting></EventNotificationAlert>"), "stands twice"),
    (counted(GOOD.replace(">1<", ">-1<")), "whole number"),
    (counted(GOOD.replace(">1<", ">1.5<")), "whole number"),
    (counted(GOOD.replace(">1<", ">٣<")), "whole number"),  # a digit, and not ASCII
    (counted(GOOD.replace(">1<", ">4294967296<")), "whole number"),
    (counted(GOOD.replace("2024-07-08T12:27:24+08:00", "yesterday")), "time that is none"),
    (counted(GOOD.replace("2024-07-08T12:27:24+08:00", "0001-01-01T00:00:00+08:00")), "time that is none"),
    (counted(GOOD.replace("+08:00", "")), "zone is not described"),
    (counted(RANGE.replace("T19:15", "T18:15") + "<enter>1</enter><exit>2</exit>"), "ends before"),
    (counted(GOOD, "<isDataRetransmission>maybe</isDataRetransmission>"), "neither"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "why"), REFUSED)
def test_what_is_no_alert_is_refused_by_name(body, why):
    with pytest.raises(ProtocolError, match=why) as caught:
        parse_alert(body)
    assert caught.value.side == "remote"
    assert len(str(caught.value)) < 120


def test_a_time_without_an_offset_means_the_described_zone():
    body = counted(GOOD.replace("+08:00", ""))
    assert parse_alert(body, zone=EAST).counting.start == MOMENT
    assert parse_alert(counted(GOOD.replace("+08:00", "Z")), zone=EAST).counting.start == MOMENT.replace(tzinfo=UTC)


def test_what_another_schema_adds_is_left_out():
    body = counted(GOOD + '<x xmlns="urn:vendor"><enter>99</enter></x><enter xmlns="urn:vendor">98</enter>')
    assert parse_alert(body).counting.counts == Counts(1, 2)


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.binary(max_size=400), st.builds(bytes.__add__, st.just(COUNT[:200]), st.binary(max_size=200))))
def test_no_bytes_crash_the_parser(body):
    try:
        parse_alert(body)
    except ProtocolError:
        return


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_no_damage_to_a_true_alert_crashes_the_parser(data):
    body = bytearray(ALERTS[0][0])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(body) - 1))
        body[at : at + data.draw(st.integers(0, 9))] = data.draw(
            st.one_of(
                st.binary(max_size=4), st.sampled_from([b"<", b">", b"&lt;", b"]]>", b"<![CDATA[", b"<!--", b"<?x"])
            )
        )
    try:
        parse_alert(bytes(body))
    except ProtocolError:
        return


# ------------------------------------------------------------------ parts


def decode(stream: bytes, step: int = 10**6, boundary: str = "boundary"):
    heard: list[str] = []
    decoder, found = PartDecoder(lambda _kind, detail: heard.append(detail), boundary), []
    for at in range(0, len(stream), step):
        found += decoder.feed(stream[at : at + step])
    return found, heard


DELIMITER = b"--boundary\r\n"
HEAD = b"Content-Type: application/xml\r\n"
BIG = b"x" * (MAX_PART_BYTES + 1)


@pytest.mark.parametrize("step", [1, 3, 7, 10**6])
@pytest.mark.parametrize(
    ("stream", "bodies", "told"),
    [
        (DELIMITER + HEAD + b"Content-Length: 3\r\n\r\n<a>\r\n", [b"<a>"], 0),
        (DELIMITER + HEAD + b"content-length:3\r\n\r\n<a>", [b"<a>"], 0),  # the line's end is not waited for
        (DELIMITER + HEAD + b"\r\n<a>\r\n--boundary--\r\n", [b"<a>"], 0),  # no length: the next boundary ends it
        (DELIMITER + HEAD + b"\r\n<a>\r\n", [], 0),  # the next boundary has not come
        (b"--boundary\n" + b"Content-Type: application/xml\n\n<a>\n--boundary\n", [b"<a>"], 0),  # line feeds alone
        (DELIMITER + b"\r\n<a>\r\n" + DELIMITER, [b"<a>"], 0),  # no head at all
        (DELIMITER + HEAD + b"Content-Length: 0\r\n\r\n\r\n" + DELIMITER, [b""], 0),
        (DELIMITER + HEAD + b"\r\n--boundary\r\n" + HEAD + b"Content-Length: 1\r\n\r\nz", [b"", b"z"], 0),  # an empty one
        (b"\r\n\r\n" + DELIMITER + HEAD + b"Content-Length: 1\r\n\r\na\r\n\r\n\r\n" + DELIMITER + HEAD + b"Content-Length: 1\r\n\r\nb", [b"a", b"b"], 0),
        (b"rubbish--bound" + DELIMITER + HEAD + b"Content-Length: 1\r\n\r\na", [b"a"], 1),  # garbage before
        (DELIMITER + HEAD + b"Content-Length: 1\r\n\r\naaaaa\r\n" + DELIMITER + HEAD + b"Content-Length: 1\r\n\r\nb", [b"a", b"b"], 1),  # longer than it says
        (DELIMITER + HEAD + b"Content-Length: 900\r\n\r\na\r\n" + DELIMITER + HEAD + b"Content-Length: 1\r\n\r\nb", [b"a", b"b"], 1),  # shorter
        (DELIMITER + HEAD + b"Content-Length: many\r\n\r\na\r\n" + DELIMITER, [b"a"], 0),
        (DELIMITER + b"Content-Type: image/jpeg\r\nContent-Length: 4\r\n\r\n\xff\xd8\xff\xe0\r\n" + DELIMITER + HEAD + b"Content-Length: 1\r\n\r\nb", [b"b"], 0),  # a picture is not kept
        (DELIMITER + HEAD + b"Content-Length: 99999\r\n\r\n" + BIG + b"\r\n" + DELIMITER + HEAD + b"Content-Length: 1\r\n\r\nb", [b"b"], 1),
        (DELIMITER + HEAD + b"\r\n" + BIG + b"xx\r\n" + DELIMITER + HEAD + b"Content-Length: 1\r\n\r\nb", [b"b"], 1),
        (DELIMITER + b"X: " + b"y" * 3000 + b"\r\n\r\n<a>\r\n" + DELIMITER + HEAD + b"Content-Length: 1\r\n\r\nb", [b"b"], 1),  # a head without an end
        (b"--boundary2\r\n" + DELIMITER + HEAD + b"Content-Length: 1\r\n\r\nb", [b"b"], 1),  # another word
    ],
)  # fmt: skip
def test_parts(stream, bodies, told, step):
    if step < 7 and len(stream) > MAX_PART_BYTES:
        step = 1460  # what a network brings at once
    found, heard = decode(stream, step)
    assert found == bodies
    assert (len(heard) > 0) == (told > 0)


@pytest.mark.parametrize(
    ("head", "is_kept"),
    [
        (b"Content-Type: image/jpeg", False),
        (b"content-type \t: image/jpeg", True),  # a name ends at its colon
        (b"CONTENT-TYPE:\t image/jpeg \t", False),
        (b"Content-Type: image/jpeg; name=a:b", False),  # the first colon counts
        (b"Content-Type: image/jpeg\r\nContent-Type: text/xml", True),  # the last one of a name counts
        (b"X: y\r\nContent-Type: image/jpeg\r\nno header", False),
        (b": image/jpeg", True),
        (b"Content-Type", True),
        (b"Content-Type:", False),  # says that it is nothing
        (b"Content-Length: 3 \r", True),
        (b"Content-Length: +3", True),  # no length: the next boundary ends it
        (b"Content-Length: 3\x80", True),
    ],
)
def test_what_a_head_says(head, is_kept):
    found, _ = decode(DELIMITER + head + b"\r\n\r\n<a>\r\n" + DELIMITER)
    assert found == ([b"<a>"] if is_kept else [])


@contextmanager
def guarded(cpu_s: float) -> Iterator[None]:
    """Ends what would take hours. No measure: what stands within takes a thousandth of it."""

    def too_long(*_told: object) -> None:
        raise AssertionError("more work than the bytes are worth")

    before = signal.signal(signal.SIGVTALRM, too_long)
    signal.setitimer(signal.ITIMER_VIRTUAL, cpu_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


BLANKS = MAX_HEAD_BYTES - 100


@pytest.mark.parametrize(
    "head",
    [
        b"a:" + b" " * BLANKS + b"\x80",  # a backtracking reader of lines takes the cube of it: a minute
        b"a:" + b" \t" * (BLANKS // 2) + b"x" + b"\x80",
        b"a" * BLANKS + b"\x80",
        b":" * BLANKS + b"\x80",
        b"a:\r" * (BLANKS // 3) + b"\x80",
        b"a:\n" * (BLANKS // 3) + b"\x80",
    ],
)
def test_no_head_is_worth_much_work(head):
    with guarded(cpu_s=5.0):
        found, _ = decode((DELIMITER + head + b"\r\n\r\n<a>\r\n") * 20 + DELIMITER)
    assert found == [b"<a>"] * 20


@pytest.mark.parametrize(
    "kind",
    [
        "multipart/x;" + " " * 900 + "boundary" + " " * 900,
        "multipart/x" + ";boundary" * 200,
        "multipart/x" + '; boundary="' * 200,
        'multipart/x; boundary="' + " " * 70 + '"',
    ],
)
def test_no_content_type_is_worth_much_work(kind):
    with guarded(cpu_s=5.0):
        for _ in range(50):
            with pytest.raises(ProtocolError):
                boundary_of(kind)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.sampled_from([DELIMITER, HEAD, b"\r\n", b"\n", b"--", b"--boundary", b"Content-Length: 7\r\n", b"Content-Length: 99999\r\n", part("<a/>")]),
            st.binary(max_size=30),
        ),
        max_size=30,
    ),
    st.lists(st.integers(1, 60), min_size=1, max_size=20),
)  # fmt: skip
def test_a_stream_gives_the_same_however_it_is_cut(pieces, cuts):
    stream = b"".join(pieces)
    whole, _ = decode(stream)
    decoder, found, at = PartDecoder(lambda *_fault: None), [], 0
    while at < len(stream):
        size = cuts[at % len(cuts)]
        found += decoder.feed(stream[at : at + size])
        at += size
    assert found == whole


@pytest.mark.parametrize(
    ("told", "boundary"),
    [
        ("multipart/mixed; boundary=boundary", "boundary"),
        ('multipart/mixed;boundary="MIME_boundary"', "MIME_boundary"),
        ("Multipart/Form-Data; charset=utf-8; Boundary=a-b", "a-b"),
        ("text/html", None),
        ("multipart/mixed", None),
        ("multipart/mixed; boundary=", None),
        (f"multipart/mixed; boundary={'x' * 71}", None),
        ("multipart/mixed; boundary=b\xe9", None),
        ('multipart/mixed; boundary="a\r\nb"', None),
        ("", None),
    ],
)
def test_boundaries(told, boundary):
    if boundary is not None:
        assert boundary_of(told) == boundary
        return
    with pytest.raises(ProtocolError):
        boundary_of(told)


def test_pushed_bodies():
    camera = PeopleCamera(START)
    document = camera.document("timeRange", START, END, 3, 1)
    form = part(document, "XX") + b"--XX\r\nContent-Type: image/jpeg\r\nContent-Length: 2\r\n\r\n\xff\xd8\r\n--XX--\r\n"
    for kind, body in (
        ("application/xml; charset=UTF-8", document.encode()),
        ("multipart/form-data; boundary=XX", form),
    ):
        (alert,) = pushed_alerts(kind, body)
        assert alert.counting.counts.entered == 3
    for kind, body in (
        ("application/xml", b"x" * (MAX_BODY_BYTES + 1)),
        ("application/json", b"{}"),
        ("multipart/form-data; boundary=YY", form),  # another boundary than it says
        ("multipart/form-data; boundary=XX", b""),
        ("multipart/form-data", form),
    ):
        with pytest.raises(ProtocolError):
            pushed_alerts(kind, body)


def test_requests_are_shown_without_their_headers():
    camera = on_bench()
    ask = b'GET /ISAPI/Event/notification/alertStream HTTP/1.1\r\nAuthorization: Digest response="abc"\r\n\r\n'
    (line,) = RequestDecoder(lambda *_: None).feed(ask)
    assert describe(line) == "GET /ISAPI/Event/notification/alertStream HTTP/1.1"
    assert not acts(line)
    assert acts("PUT /ISAPI/System/reboot HTTP/1.1")
    (frame,) = camera.split(ask, 0.0)
    bodies, _ = decode(camera.answer(frame, 0.0).split(b"\r\n\r\n", 1)[1])
    assert [describe(body)[:8] for body in bodies] == ["videolos", "realTime"]
