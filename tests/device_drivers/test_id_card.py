"""Identity cards: golden frames, who is adult on which day, and that nothing of a person gets out.

All numbers are fake: area code 000000 does not exist.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device_drivers.capabilities import AdultReading
from device_drivers.errors import ProtocolError, UnavailableError
from device_drivers.id_card import IdCardReader, codec, person
from device_drivers.id_card.codec import AnswerDecoder, Command
from tests.device_drivers.twins import LINES, Twin, Wire, bus_on, coalesced, delayed, echoing, lossy, one_byte, perfect
from tests.device_drivers.virtual_time import in_virtual_time

GOLDEN_COMMANDS = [
    ("V", Command.FIND, "AA AA AA 96 69 00 03 20 01 22"),
    ("V", Command.SELECT, "AA AA AA 96 69 00 03 20 02 21"),
    ("V", Command.READ, "AA AA AA 96 69 00 03 30 01 32"),
    ("V", Command.READ_WITH_FINGERPRINTS, "AA AA AA 96 69 00 03 30 10 23"),
    ("V", Command.SAM_STATUS, "AA AA AA 96 69 00 03 11 FF ED"),
    ("V", Command.SAM_ID, "AA AA AA 96 69 00 03 12 FF EE"),
    ("C", Command.SAM_RESET, "AA AA AA 96 69 00 03 10 FF EC"),
]
FOUND = "AA AA AA 96 69 00 08 00 00 9F 00 00 00 00 97"
NONE = "AA AA AA 96 69 00 04 00 00 80 84"
SELECTED = "AA AA AA 96 69 00 0C 00 00 90 00 00 00 00 00 00 00 00 9C"
GOLDEN_ANSWERS = [
    ("V", FOUND, 0x9F, bytes(4)),
    ("C", NONE, 0x80, b""),
    ("V", SELECTED, 0x90, bytes(8)),
]

ADULT = "000000199001010018"
MINOR = "000000201001010018"
EIGHTEEN_TODAY = "000000200811220012"
ONE_DAY_TOO_YOUNG = "000000200811230018"
LEAP_DAY = "00000020040229001X"
TODAY = date(2026, 11, 22)
NAME = "张三丰测试"
ADDRESS = "虚构省无名市某路一号"
DAY_KEY = b"a key of one day"


def raw(text: str) -> bytes:
    return bytes.fromhex(text)


def ignore(kind: str, detail: str) -> None:
    pass


def text_of_card(number: str, *, birth: str = "", valid_from: str = "20200101", valid_to: str = "20400101") -> bytes:
    """The text block as a card holds it, made from the table of the standard."""
    block = b""
    for content, width in (
        (NAME, 30),
        ("1", 2),
        ("01", 4),
        (birth or number[6:14], 16),
        (ADDRESS, 70),
        (number, 36),
        ("虚构市公安局", 30),
        (valid_from, 16),
        (valid_to, 16),
        ("", 36),
    ):
        block += content.ljust(width // 2).encode("utf-16-le")
    assert len(block) == 256
    return block


def framed(content: bytes) -> bytes:
    """A frame with the check byte of the standard, written differently from the codec."""
    body = (len(content) + 1).to_bytes(2, "big") + content
    check = 0
    for byte in body:
        check = check ^ byte
    return b"\xaa\xaa\xaa\x96\x69" + body + bytes([check])


class CardTwin(Twin):
    """A reader with a card on it, or none."""

    def __init__(self, text: bytes | None, *, statuses: dict[str, int] | None = None) -> None:
        self.text = text
        self.statuses = statuses or {}

    def receive(self, data: bytes) -> bytes:
        if data == raw("AA AA AA 96 69 00 03 20 01 22"):
            if "find" in self.statuses:
                return self.refusal("find")
            return raw(NONE) if self.text is None else raw(FOUND)
        if data == raw("AA AA AA 96 69 00 03 20 02 21"):
            return self.refusal("select") if "select" in self.statuses else raw(SELECTED)
        if data == raw("AA AA AA 96 69 00 03 30 01 32"):
            if "read" in self.statuses:
                return self.refusal("read")
            return framed(b"\x00\x00\x90" + b"\x01\x00\x04\x00" + self.text + bytes(range(256)) * 4)
        return b""

    def refusal(self, step: str) -> bytes:
        return framed(bytes((0, 0, self.statuses[step])))


@pytest.mark.parametrize(("mark", "command", "text"), GOLDEN_COMMANDS)
def test_golden_commands(mark, command, text):
    assert command.to_bytes() == raw(text)


@pytest.mark.parametrize(("mark", "text", "status", "data"), GOLDEN_ANSWERS)
def test_golden_answers(mark, text, status, data):
    answer = AnswerDecoder(ignore).feed(raw(text))
    assert (answer.status, bytes(answer.data)) == (status, data)


def test_the_golden_lengths_of_a_card():
    """1295 bytes, beginning as the public sample does."""
    frame = CardTwin(text_of_card(ADULT)).receive(Command.READ.to_bytes())
    assert len(frame) == 1295
    assert frame.startswith(raw("AA AA AA 96 69 05 08 00 00 90 01 00 04 00"))
    assert bytes(AnswerDecoder(ignore).feed(frame).data[4:260]) == text_of_card(ADULT)


@pytest.mark.parametrize("step", [1, 5, 4096])
@pytest.mark.parametrize(
    ("heard", "status"),
    [
        ([FOUND], 0x9F),
        (["AA", FOUND], 0x9F),  # one more AA: the preamble begins later
        (["AA AA AA 96", FOUND], 0x9F),
        (["00 FF 12", FOUND], 0x9F),
        ([FOUND[:-2] + "98", SELECTED], 0x90),  # a wrong check byte, then a good answer
        (["AA AA AA 96 69 00 03 20 01 22", FOUND], 0x9F),  # the echo of a command: its length is impossible
        (["AA AA AA 96 69 FF FF", FOUND], 0x9F),  # longer than any answer
        ([FOUND[:-3]], None),
        ([FOUND, NONE], 0x9F),  # the first counts
    ],
)
def test_the_answer_is_found(heard, status, step):
    decoder = AnswerDecoder(ignore)
    stream = b"".join(raw(piece) for piece in heard)
    answers = [decoder.feed(stream[at : at + step]) for at in range(0, len(stream), step)]
    assert [answer.status for answer in answers if answer] == ([] if status is None else [status])


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=2310), st.binary(max_size=60), st.integers(1, 700))
def test_any_content_passes_behind_noise_in_pieces_of_any_size(content, noise, step):
    noise = noise.replace(b"\xaa", b"")
    stream = noise + framed(b"\x00\x00\x90" + content)
    decoder, answer = AnswerDecoder(ignore), None
    for at in range(0, len(stream), step):
        answer = answer or decoder.feed(stream[at : at + step])
    assert (answer.status, bytes(answer.data)) == (0x90, content)


preambles = st.sampled_from([b"\xaa\xaa\xaa\x96\x69", b"\xaa\xaa\xaa\x96\x69\x09\x0e", b"\xaa\xaa\xaa\x96\x69\x00\x04"])


@settings(max_examples=100, deadline=None)
@given(st.lists(st.binary(max_size=900) | preambles, max_size=12))
def test_no_bytes_break_a_decoder_and_none_pile_up(pieces):
    decoder = AnswerDecoder(ignore)
    for piece in pieces:
        decoder.feed(piece)
        assert len(decoder._buffer) == codec.MAX_FRAME_BYTES
        assert decoder.buffered <= codec.MAX_FRAME_BYTES
        assert not any(decoder._buffer[decoder.buffered :])  # nothing is left behind what is held


def test_a_wiped_decoder_holds_and_takes_nothing():
    decoder = AnswerDecoder(ignore)
    answer = decoder.feed(framed(b"\x00\x00\x90secret"))
    assert bytes(answer.data) == b"secret"
    decoder.wipe()
    assert bytes(answer.data) == bytes(6)
    half = AnswerDecoder(ignore)
    half.feed(raw(FOUND)[:-1])
    half.wipe()
    for wiped in (decoder, half):
        assert wiped.feed(raw(FOUND)) is None
        assert wiped.feed(raw(FOUND)[:-1]) is None
        assert not any(wiped._buffer)


@pytest.mark.parametrize(
    "number", [ADULT, MINOR, EIGHTEEN_TODAY, ONE_DAY_TOO_YOUNG, LEAP_DAY, "11010519491231002X"]
)  # the last is the sample of the standard
def test_right_check_digits(number):
    assert person.has_right_check_digit(number.encode())


@pytest.mark.parametrize("digit", [digit for digit in "012345679Xx" if digit != "8"])
def test_wrong_check_digits(digit):
    assert not person.has_right_check_digit(f"00000019900101001{digit}".encode())


@pytest.mark.parametrize(
    "number", [b"", b"00000019900101001", b"0000001990010100180", b"00000019900101O018", b" " * 18]
)
def test_what_is_no_number(number):
    assert not person.has_right_check_digit(number)


@settings(max_examples=100, deadline=None)
@given(st.text("0123456789", min_size=17, max_size=17), st.integers(0, 16), st.integers(1, 9))
def test_one_wrong_digit_is_always_noticed(digits, place, shift):
    weighted = sum(int(digit) * (1 << (17 - at)) for at, digit in enumerate(digits))
    number = digits + "0123456789X"[(12 - weighted % 11) % 11]
    assert person.has_right_check_digit(number.encode())
    wrong = str((int(number[place]) + shift) % 10)
    assert not person.has_right_check_digit((number[:place] + wrong + number[place + 1 :]).encode())


@pytest.mark.parametrize(
    ("birth", "strict", "first_day"),
    [
        (date(2008, 11, 22), True, date(2026, 11, 23)),  # adult from the day after
        (date(2008, 11, 22), False, date(2026, 11, 22)),
        (date(2004, 2, 29), True, date(2022, 3, 1)),  # no such day in 2022
        (date(2004, 2, 29), False, date(2022, 3, 1)),  # the later of the two possible days
        (date(2004, 2, 28), True, date(2022, 3, 1)),
        (date(2006, 2, 28), True, date(2024, 2, 29)),  # the day after is a leap day
        (date(2008, 12, 31), True, date(2027, 1, 1)),
    ],
)
def test_first_adult_day(birth, strict, first_day):
    assert person.adult_from(birth, strict=strict) == first_day


@settings(max_examples=100, deadline=None)
@given(st.dates(date(1900, 1, 1), date(2100, 1, 1)))
def test_the_strict_day_is_never_earlier_and_a_day_later_but_for_leap_days(birth):
    strict, lax = person.adult_from(birth, strict=True), person.adult_from(birth, strict=False)
    assert lax >= birth + timedelta(days=18 * 365)
    assert strict - lax == timedelta(days=0 if (birth.month, birth.day) == (2, 29) else 1)


def judge(text: bytes, *, today: date = TODAY, strict: bool = True) -> AdultReading:
    return person.judge(memoryview(text), day_key=DAY_KEY, today=today, strict_birthday=strict)


@pytest.mark.parametrize(
    ("text", "today", "adult", "doc_valid"),
    [
        (text_of_card(ADULT), TODAY, True, True),
        (text_of_card(MINOR), TODAY, False, True),
        (text_of_card(EIGHTEEN_TODAY), TODAY, False, True),
        (text_of_card(EIGHTEEN_TODAY), date(2026, 11, 23), True, True),
        (text_of_card(ONE_DAY_TOO_YOUNG), TODAY, False, True),
        (text_of_card(LEAP_DAY), date(2022, 2, 28), False, True),
        (text_of_card(LEAP_DAY), date(2022, 3, 1), True, True),
        (text_of_card("000000199001010019"), TODAY, False, False),  # wrong check digit
        (text_of_card(ADULT, birth="19900102"), TODAY, False, False),  # two birthdays on one card
        (text_of_card("000000199013010010"), TODAY, False, False),  # a 13th month
        (text_of_card(ADULT, birth="1990 101"), TODAY, False, False),
        (text_of_card(ADULT, birth="一九九零零一零一"), TODAY, False, False),  # characters that are not ASCII
        (text_of_card(ADULT, valid_to="20261122"), TODAY, True, True),  # the last day
        (text_of_card(ADULT, valid_to="20261121"), TODAY, True, False),  # expired
        (text_of_card(ADULT, valid_from="20261123"), TODAY, True, False),  # not yet
        (text_of_card(ADULT, valid_to="长期"), TODAY, True, True),
        (text_of_card(ADULT, valid_to=""), TODAY, True, False),
        (text_of_card(ADULT, valid_from=""), TODAY, True, False),
        (bytes(256), TODAY, False, False),
    ],
)
def test_judgements(text, today, adult, doc_valid):
    reading = judge(text, today=today)
    assert (reading.adult, reading.doc_valid) == (adult, doc_valid)


def test_without_the_strict_rule_the_birthday_counts():
    assert judge(text_of_card(EIGHTEEN_TODAY), strict=False).adult


def test_the_pseudonym_is_the_key_of_the_day_over_the_number():
    expected = hmac.new(DAY_KEY, ADULT.encode(), hashlib.sha256).hexdigest()[:32]
    assert judge(text_of_card(ADULT)).person_day_key == expected
    assert judge(text_of_card(MINOR)).person_day_key != expected


@settings(max_examples=100, deadline=None)
@given(st.binary(min_size=256, max_size=256))
def test_any_text_is_judged_and_makes_nobody_adult_by_chance(text):
    reading = judge(text)
    assert not reading.adult
    assert not reading.doc_valid


@pytest.mark.parametrize("data", [b"", b"\x01\x00\x04\x00", b"\x01\x00\x04\x00" + bytes(1279), bytes(1284)])
def test_what_is_no_card(data):
    with pytest.raises(ProtocolError):
        person.text_block(memoryview(data))


def reader_on(bus, *, today=TODAY) -> IdCardReader:
    return IdCardReader(bus, day_key=lambda: DAY_KEY, today=lambda: today)


GOOD = judge(text_of_card(ADULT))


@pytest.mark.parametrize("line", [perfect, one_byte, coalesced, echoing])
def test_a_card_is_read(line):
    @in_virtual_time
    async def scenario() -> None:
        wire = Wire(CardTwin(text_of_card(ADULT)), line=line)
        async with bus_on(wire) as bus:
            assert await reader_on(bus).read() == GOOD
        assert wire.frames == [Command.FIND.to_bytes(), Command.SELECT.to_bytes(), Command.READ.to_bytes()]

    scenario()


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("line", LINES)
def test_over_a_bad_line_a_card_is_read_right_or_not_at_all(line, seed):
    @in_virtual_time
    async def scenario() -> None:
        good = 0
        async with bus_on(Wire(CardTwin(text_of_card(ADULT)), line=line, seed=seed)) as bus:
            for _ in range(20):
                try:
                    reading = await reader_on(bus).read()
                except UnavailableError:
                    await asyncio.sleep(1)
                    continue
                assert reading == GOOD
                good += 1
        assert good == 20 or line in (lossy, delayed)
        assert good >= 3

    scenario()


@pytest.mark.parametrize(
    ("statuses", "frames", "faults"),
    [
        ({"find": 0x80}, 1, 0),  # nobody there
        ({"select": 0x81}, 2, 1),  # taken away too early
        ({"select": 0x31}, 2, 1),  # not genuine
        ({"read": 0x41}, 3, 1),
    ],
)
def test_no_card_that_can_be_read_is_none(statuses, frames, faults):
    @in_virtual_time
    async def scenario() -> None:
        heard: list[tuple[str, str]] = []
        wire = Wire(CardTwin(text_of_card(ADULT), statuses=statuses))
        async with bus_on(wire, heard) as bus:
            assert await reader_on(bus).read() is None
        assert len(wire.frames) == frames
        assert len(heard) == faults

    scenario()


@in_virtual_time
async def test_a_card_with_other_content_is_none_and_named():
    heard: list[tuple[str, str]] = []
    async with bus_on(Wire(CardTwin(text_of_card(ADULT)[:-2])), heard) as bus:
        assert await reader_on(bus).read() is None
    assert heard == [("unexpected", "not the content of a card")]


@pytest.mark.parametrize(
    ("statuses", "sentence"),
    [
        ({"find": 0x60}, "self-test failed"),
        ({"find": 0x66}, "not authorised"),
        ({"select": 0x11}, "length wrong"),
        ({"read": 0x77}, "unknown status"),
    ],
)
def test_a_broken_reader_is_unavailable(statuses, sentence):
    @in_virtual_time
    async def scenario() -> None:
        async with bus_on(Wire(CardTwin(text_of_card(ADULT), statuses=statuses))) as bus:
            with pytest.raises(UnavailableError, match=sentence):
                await reader_on(bus).read()

    scenario()


@pytest.mark.parametrize(("card", "lies"), [(None, False), (ADULT, True)])
def test_whether_a_card_lies_there_is_asked_without_reading_it(card, lies):
    @in_virtual_time
    async def scenario() -> None:
        wire = Wire(CardTwin(text_of_card(card) if card else None, statuses={"select": 0x60, "read": 0x60}))
        async with bus_on(wire) as bus:
            assert await reader_on(bus).present() is lies

    scenario()


def test_a_broken_reader_cannot_say_whether_a_card_lies_there():
    @in_virtual_time
    async def scenario() -> None:
        async with bus_on(Wire(CardTwin(None, statuses={"find": 0x60}))) as bus:
            with pytest.raises(UnavailableError, match="self-test failed"):
                await reader_on(bus).present()

    scenario()


class Decoders(list):
    """Every decoder that the driver makes."""

    def __init__(self, monkeypatch) -> None:
        super().__init__()

        def make(on_fault) -> AnswerDecoder:
            self.append(AnswerDecoder(on_fault))
            return self[-1]

        monkeypatch.setattr("device_drivers.id_card.driver.AnswerDecoder", make)

    def holds_anything(self) -> bool:
        return any(any(decoder._buffer) for decoder in self)


SECRETS = (NAME, ADDRESS, "虚构市公安局", ADULT, ADULT[6:14], "1990-01-01", "1990, 1, 1", "date(")


def spoken(text: str) -> list[str]:
    return [secret for secret in SECRETS if secret in text]


@pytest.mark.parametrize("number", [ADULT, "000000199001010019"])
@pytest.mark.parametrize("line", [perfect, one_byte, coalesced])
def test_nothing_of_a_person_gets_out(number, line, monkeypatch, caplog):
    """No name, number, address or birthday in the answer, a log, a fault, a counter or the repr of anything."""
    decoders = Decoders(monkeypatch)
    said: list[str] = []

    @in_virtual_time
    async def scenario() -> None:
        faults: list[tuple[str, str]] = []
        wire = Wire(CardTwin(text_of_card(number)), line=line)
        async with bus_on(wire, faults) as bus:
            reader = reader_on(bus)
            original = bus.request

            async def request(exchange):
                answer = await original(exchange)
                said.extend((repr(exchange), repr(answer), str(answer)))  # while the data is still there
                return answer

            monkeypatch.setattr(bus, "request", request)
            reading = await reader.read()
            said.extend((repr(reading), repr(reader), repr(bus), repr(bus.counters), repr(faults)))
            said.extend(repr(decoder) for decoder in decoders)

    with caplog.at_level(logging.DEBUG):
        scenario()
    assert len(decoders) == 3
    assert not decoders.holds_anything()
    assert spoken("\n".join(said) + caplog.text) == []
    assert spoken(number) == ([ADULT, ADULT[6:14]] if number == ADULT else [ADULT[6:14]])  # the search does find


@pytest.mark.parametrize("broken", ["day_key", "today"])
def test_buffers_are_zero_also_after_an_error(broken, monkeypatch):
    """And the error says nothing of the person."""
    decoders = Decoders(monkeypatch)

    def fail() -> date:
        raise RuntimeError("no clock")

    @in_virtual_time
    async def scenario() -> None:
        async with bus_on(Wire(CardTwin(text_of_card(ADULT)))) as bus:
            good = {"day_key": lambda: DAY_KEY, "today": lambda: TODAY}
            with pytest.raises(RuntimeError) as caught:
                await IdCardReader(bus, **{**good, broken: fail}).read()
            assert spoken(repr(caught.value)) == []

    scenario()
    assert len(decoders) == 3
    assert not decoders.holds_anything()


def test_buffers_are_zero_after_a_caller_left_in_the_middle_of_a_card(monkeypatch):
    """The rest of the card still arrives; it is taken off the line and kept nowhere."""
    decoders = Decoders(monkeypatch)

    @in_virtual_time
    async def scenario() -> None:
        async with bus_on(Wire(CardTwin(text_of_card(ADULT)), line=one_byte)) as bus:
            reading = asyncio.create_task(reader_on(bus).read(), name="read")
            await asyncio.sleep(0.5)
            assert decoders.holds_anything()
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
            assert not decoders.holds_anything()
            await asyncio.sleep(2)
            assert not decoders.holds_anything()

    scenario()
    assert len(decoders) == 3


def test_the_buffers_of_the_judge_are_zeroed(monkeypatch):
    made: list[bytearray] = []
    original = person._ascii

    def spy(field: memoryview) -> bytearray:
        made.append(original(field))
        return made[-1]

    monkeypatch.setattr(person, "_ascii", spy)
    judge(text_of_card(ADULT))
    number_and_birth = made[:2]
    assert [len(buffer) for buffer in number_and_birth] == [18, 8]
    assert not any(any(buffer) for buffer in number_and_birth)
