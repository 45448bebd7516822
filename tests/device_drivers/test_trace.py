"""Traces and recordings: what is shown, what is withheld, what a file may hold, and a device out of a file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from device_drivers.capabilities import Door
from device_drivers.errors import MisconfiguredError, RefusedError, UnavailableError
from device_drivers.family import families, family
from device_drivers.link_url import LinkUrl
from device_drivers.lock_8a import LockBoard8A
from device_drivers.looking import bus_at, checked
from device_drivers.trace import UNREAD, WITHHELD, Head, Piece, Tracer, may_be_kept, recording, written
from simulators.conformance.memory_link import MemoryLink, bus_on
from simulators.conformance.recorded import RecordedPeer
from simulators.conformance.virtual_time import in_virtual_time

LOCK = family("lock_8a")
PERSONAL = replace(LOCK, personal=True)
QUERY, CLOSED, OPEN = (bytes.fromhex(text) for text in ("80010133B3", "8001011191", "8001010080"))


@pytest.mark.parametrize(
    ("pieces", "said"),
    [
        ([("tx", QUERY), ("rx", CLOSED)], ["query board 1 lock 1", "reply of board 1 lock 1: contact closed"]),
        ([("rx", CLOSED[:2]), ("rx", CLOSED[2:])], ["", "reply of board 1 lock 1: contact closed"]),  # said when whole
        ([("rx", CLOSED + OPEN)], ["reply of board 1 lock 1: contact closed; reply of board 1 lock 1: contact open"]),
        ([("rx", b"\x55" * 5)], ["[framing: 5 bytes of no frame]"]),
        ([("rx", CLOSED[:3]), ("tx", QUERY), ("rx", CLOSED[3:])], ["", "query board 1 lock 1", "reply of board 1 lock 1: contact closed"]),
    ],
)  # fmt: skip
def test_a_trace_says_what_the_bytes_mean(pieces, said) -> None:
    tracer = Tracer(LOCK)
    found = [tracer.piece(0.0, direction, data) for direction, data in pieces]
    assert [piece.text for piece in found] == said
    assert [piece.data for piece in found] == [data for _, data in pieces]


@pytest.mark.parametrize("direction", ["tx", "rx"])
def test_without_a_family_nobody_knows_whom_the_bytes_name_so_they_are_counted_alone(direction) -> None:
    piece = Tracer(None).piece(1.5, direction, b"110101199003074477")
    assert piece == Piece(t_s=1.5, direction=direction, hex="", text=f"18 bytes, {UNREAD}")


def test_what_may_name_a_person_is_neither_shown_nor_kept() -> None:
    piece = Tracer(PERSONAL).piece(0.0, "rx", CLOSED)
    assert (piece.hex, piece.text) == ("", f"5 bytes, {WITHHELD}")
    with pytest.raises(MisconfiguredError, match="never recorded"):
        may_be_kept(PERSONAL)
    may_be_kept(LOCK)


def test_families_that_read_people_are_personal() -> None:
    assert {name for name in ("id_card",) if name in families()} <= {n for n, one in families().items() if one.personal}


# ------------------------------------------------------------------ files


def kept(path: Path, *pieces: Piece) -> Path:
    path.write_bytes(b"".join(written(Head(family="lock_8a"), pieces)))
    return path


def test_a_recording_is_read_as_it_was_written(tmp_path: Path) -> None:
    pieces = [
        Piece(t_s=0.0, direction="tx", hex=QUERY.hex()),
        Piece(t_s=0.01, direction="rx", hex=CLOSED.hex(), text="x"),
    ]
    assert recording(kept(tmp_path / "a.jsonl", *pieces)) == (Head(family="lock_8a"), pieces)


@pytest.mark.parametrize(
    ("lines", "tells"),
    [
        ([], "line 1"),  # an empty file
        ([b"not json"], "line 1"),
        ([b'{"recording":2,"family":"x"}'], "line 1"),  # of a later release
        ([b'{"recording":1,"family":"x"}', b'{"t_s":0,"direction":"up","hex":""}'], "line 2"),
        ([b'{"recording":1,"family":"x"}', b'{"t_s":0,"direction":"tx","hex":"0"}'], "line 2"),  # half a byte
        ([b'{"recording":1,"family":"x"}', b'{"t_s":0,"direction":"tx","hex":"00","more":1}'], "line 2"),
        ([b'{"recording":1,"family":"x"}', b'{"t_s":0,"direction":"tx","hex":"' + b"00" * 20_000 + b'"}'], "line 2: more than 16384"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_recording_names_the_line(tmp_path: Path, lines: list[bytes], tells: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"\n".join(lines))
    with pytest.raises(MisconfiguredError, match=tells):
        recording(path)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(MisconfiguredError, match="No such file"):
        recording(tmp_path / "a.jsonl")


def test_a_file_beyond_the_cap(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    with path.open("wb") as out:
        out.truncate(65 * 1024 * 1024)
    with pytest.raises(MisconfiguredError, match="at most"):
        recording(path)


@in_virtual_time
async def test_a_recorded_board_answers_a_driver_as_the_real_one_did(tmp_path: Path) -> None:
    path = kept(
        tmp_path / "a.jsonl",
        Piece(t_s=0.0, direction="tx", hex=QUERY.hex()),
        Piece(t_s=0.1, direction="rx", hex=CLOSED[:2].hex()),  # in two pieces
        Piece(t_s=0.2, direction="rx", hex=CLOSED[2:].hex()),
        Piece(t_s=0.3, direction="tx", hex=QUERY.hex()),
        Piece(t_s=0.4, direction="rx", hex=OPEN.hex()),
    )
    peer = RecordedPeer.load(path)
    async with bus_on(MemoryLink(peer)) as bus:
        board = LockBoard8A(bus, address=1, feedback_polarity="locked_short")
        assert [await board.door(1) for _ in range(3)] == [
            Door.CLOSED,
            Door.OPEN,
            Door.CLOSED,
        ]  # and from the start again
        with pytest.raises(UnavailableError):
            await board.door(2)
    assert peer.counters["never_asked"] == 1


# ------------------------------------------------------------------ sending by hand

REAL, SIMULATED = LinkUrl.parse("/dev/ttyS9"), LinkUrl.parse("sim://lock_8a")
PULSE = bytes.fromhex("8A0101119B")


@pytest.mark.parametrize(
    ("url", "one", "data", "error"),
    [
        (REAL, LOCK, QUERY, None),
        (REAL, LOCK, QUERY + QUERY, None),
        (REAL, LOCK, PULSE, RefusedError),  # it opens
        (REAL, LOCK, QUERY + PULSE, RefusedError),  # hidden behind a question
        (REAL, LOCK, QUERY[:4], RefusedError),  # no whole frame
        (REAL, LOCK, b"\x00" + PULSE, RefusedError),  # noise before it
        (REAL, LOCK, bytes.fromhex("8A0100119A"), RefusedError),  # "open all"
        (REAL, LOCK, b"", RefusedError),
        (REAL, None, QUERY, MisconfiguredError),  # nobody can say what it does
        (SIMULATED, None, PULSE, None),  # nothing there can open
        (SIMULATED, LOCK, PULSE, None),
    ],
)
def test_what_opens_is_not_sent_by_hand(url, one, data, error) -> None:
    if error is None:
        checked(url, one, data)
        return
    with pytest.raises(error):
        checked(url, one, data)


@pytest.mark.parametrize("one", families().values(), ids=lambda one: one.name)
async def test_every_probe_finds_the_simulator_of_its_family(one) -> None:
    """And says what it found in one line; one that has no probe says nothing."""
    if one.probe is None:
        return
    async with bus_at(LinkUrl.parse(f"sim://{one.name}")) as bus:
        assert len((await one.probe(bus, one.first_address, {})).splitlines()) == 1


def test_a_recording_holds_no_more_than_it_says() -> None:
    assert msgspec.json.decode(next(written(Head(family="x"), ())), type=Head).family == "x"
