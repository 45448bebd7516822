"""What codes say: carton codes, the addresses in pack QR codes, article numbers."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device_drivers.errors import ProtocolError
from device_drivers.scanner import ean
from device_drivers.scanner.carton_code import MISMATCH_REASON, Finding, parse_carton_code
from device_drivers.scanner.pack_qr import PackQr, parse_pack_qr

TODAY = date(2026, 11, 26)
OURS = "420102100123"
ROW1, ROW2 = "6112512345678907", "YCYC" + OURS
INDEX, DAY, FOREIGN = Finding.SUSPECT_INDEX, Finding.IMPOSSIBLE_DATE, Finding.FOREIGN_LICENCE


def parse(text: str, today: date = TODAY):
    return parse_carton_code(text, own_licence=OURS, today=today)


def test_every_part_of_a_code():
    code = parse(ROW1 + ROW2)
    assert (code.row1, code.row2) == (ROW1, ROW2)
    assert code.sorted_on == date(2026, 11, 25)
    assert code.middle == "123456789"  # sources differ on how it divides
    assert code.index == 7
    assert (code.company, code.licence, code.region, code.enterprise) == ("YCYC", OURS, "420102", "self_employed")
    assert code.findings == frozenset()
    assert code.reason == ""


@pytest.mark.parametrize(
    ("text", "findings", "sorted_on"),
    [
        ("6112512345678901" + ROW2, set(), date(2026, 11, 25)),  # the first carton of a case
        ("6112512345678950" + ROW2, set(), date(2026, 11, 25)),  # the last
        ("6112512345678951" + ROW2, {INDEX}, date(2026, 11, 25)),  # a case has fifty
        ("6112512345678900" + ROW2, {INDEX}, date(2026, 11, 25)),  # and no zeroth
        ("6112512345678999" + ROW2, {INDEX}, date(2026, 11, 25)),
        ("6112600000000007" + ROW2, set(), date(2026, 11, 26)),  # sorted today
        ("6112700000000007" + ROW2, set(), date(2026, 11, 27)),  # a clock may be a day behind
        ("6112800000000007" + ROW2, {DAY}, None),  # lies ahead
        ("6130100000000007" + ROW2, {DAY}, None),  # no thirteenth month
        ("6000100000000007" + ROW2, {DAY}, None),  # no month nought
        ("6022900000000007" + ROW2, {DAY}, None),  # 2026 is no leap year
        ("4022900000000007" + ROW2, set(), date(2024, 2, 29)),  # 2024 is
        ("6043100000000007" + ROW2, {DAY}, None),  # April has thirty days
        ("5123100000000007" + ROW2, set(), date(2025, 12, 31)),  # last year
        ("7010100000000007" + ROW2, set(), date(2017, 1, 1)),  # the latest year with this digit is long ago
        (ROW1 + "YCYC420102100124", {FOREIGN}, date(2026, 11, 25)),  # another shop's
        (ROW1 + "XXXX" + OURS, set(), date(2026, 11, 25)),  # another company, our licence
        ("6139912345678999YCYC110101200001", {INDEX, DAY, FOREIGN}, None),  # everything at once
        (ROW1 + "\n" + ROW2, set(), date(2026, 11, 25)),  # as it stands on the carton
        (f"  {ROW1}\r\n {ROW2}\t", set(), date(2026, 11, 25)),  # as somebody typed it
        ((ROW1 + ROW2).lower(), set(), date(2026, 11, 25)),  # in small letters
        ("6112 5123 4567 8907 YCYC 4201 0210 0123", set(), date(2026, 11, 25)),  # in groups
    ],
)
def test_findings(text, findings, sorted_on):
    code = parse(text)
    assert code.findings == findings
    assert code.sorted_on == sorted_on
    assert code.reason == (MISMATCH_REASON if FOREIGN in findings else "")
    assert MISMATCH_REASON == "carton.code.mismatch"


@pytest.mark.parametrize(
    ("today", "text", "sorted_on"),
    [
        (date(2027, 1, 1), "6123100000000007", date(2026, 12, 31)),  # yesterday, last year
        (date(2026, 12, 31), "7010100000000007", date(2027, 1, 1)),  # tomorrow, next year
        (date(2030, 1, 5), "0010500000000007", date(2030, 1, 5)),  # the year that ends in nought
    ],
)
def test_the_year_at_its_turn(today, text, sorted_on):
    assert parse(text + ROW2, today).sorted_on == sorted_on


@pytest.mark.parametrize(("digit", "enterprise"), [("1", "self_employed"), ("2", "company"), ("3", "unknown")])
def test_kinds_of_enterprise(digit, enterprise):
    assert parse(ROW1 + f"YCYC420102{digit}00123").enterprise == enterprise


@pytest.mark.parametrize(
    "text",
    [
        "",
        ROW1,  # one row
        ROW2 + ROW1,  # the wrong way round
        ROW1 + ROW2[:-1],  # a character too few
        ROW1 + ROW2 + "0",  # and too many
        ROW1[:-1] + "O" + ROW2,  # a letter for a digit
        ROW1 + "YC1C" + OURS,  # a digit for a letter
        ROW1 + "湖北烟草" + OURS,  # letters of another kind
        "６" + ROW1[1:] + ROW2,  # a wide digit
        ROW1 + " " * 40 + ROW2,  # longer than anybody types
        ROW1 + "\x00" + ROW2,
    ],
)
def test_what_is_no_carton_code(text):
    with pytest.raises(ProtocolError) as caught:
        parse(text)
    assert caught.value.side == "remote"


@pytest.mark.parametrize("licence", ["", "42010210012", "4201021001234", "42010210012X", "４20102100123"])
def test_a_licence_of_ours_that_is_none(licence):
    """A typing error of ours must not make every carton foreign."""
    with pytest.raises(ProtocolError) as caught:
        parse_carton_code(ROW1 + ROW2, own_licence=licence, today=TODAY)
    assert caught.value.side == "local"


@pytest.mark.parametrize(
    ("text", "qr"),
    [
        ("https://q.example.cn/A1b2C3", PackQr("https", "q.example.cn", "A1b2C3")),
        ("http://example.com/a/b/c", PackQr("http", "example.com", "a/b/c")),  # a code with slashes is one code
        ("https://example.com/q?c=12%203&x=1", PackQr("https", "example.com", "q?c=12%203&x=1")),  # never unescaped
        ("https://example.com?c=1", PackQr("https", "example.com", "?c=1")),
        ("https://example.com/#c", PackQr("https", "example.com", "#c")),
        ("HTTPS://Q.EXAMPLE.CN/Ab", PackQr("https", "q.example.cn", "Ab")),  # the code keeps its letters
        ("https://a-1.b2.example/" + "x" * 489, PackQr("https", "a-1.b2.example", "x" * 489)),  # 512 characters
    ],
)
def test_pack_addresses(text, qr):
    assert parse_pack_qr(text) == qr


@pytest.mark.parametrize(
    "text",
    [
        "",
        "6901234567892",  # an article number
        "https://example.com",  # no code
        "https://example.com/",
        "https:///A1",  # no host
        "//example.com/A1",  # no scheme
        "ftp://example.com/A1",
        "javascript://example.com/A1",
        "weixin://example.com/A1",
        "file:///etc/passwd",
        "data:text/html,A1",
        "https:example.com/A1",
        "https://user@example.com/A1",  # userinfo: what stands before @ is no host
        "https://example.com:secret@evil.example/A1",
        "https://example.com:8443/A1",  # a port
        "https://example.com\\@evil.example/A1",  # two readings
        "https://example.com%2eevil.example/A1",
        "https://пример.example/A1",  # a name in another script
        "https://xn--e1afmkfd.example/A1",  # the same in disguise
        "https://www.XN--e1afmkfd.example/A1",
        "https://烟草.中国/A1",
        "https://localhost/A1",  # one label is no issuer
        "https://10.0.0.1/A1",
        "https://[::1]/A1",
        "https://example.com./A1",  # the same host under another name
        "https://-a.example/A1",
        "https://a..example/A1",
        "https://" + "a" * 64 + ".example/A1",
        "https://" + "a." * 126 + "com/A1",
        "https://example.com/A 1",
        "https://example.com/A1\n",
        "https://example.com/A1\x00",
        "https://example.com/A\t1",
        "https://exam\nple.com/A1",
        "https://example.com/A<1>",
        'https://example.com/A"1',
        "https://example.com/A\\1",
        "https://example.com/码",
        " https://example.com/A1",
        "https://example.com/" + "x" * 493,  # 513 characters
    ],
)
def test_what_is_no_pack_address(text):
    with pytest.raises(ProtocolError) as caught:
        parse_pack_qr(text)
    assert caught.value.side == "remote"


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("6901234567892", True),
        ("4006381333931", True),  # a pencil: the usual example
        ("6901028000001", False),  # a wrong digit
        ("6901234567829", False),  # two digits changed places
        ("690123456789", False),  # twelve
        ("69012345678922", False),  # fourteen
        ("690123456789X", False),
        ("６901234567892", False),  # a wide digit
        ("", False),
    ],
)
def test_article_numbers(text, right):
    assert ean.is_ean13(text) is right


@pytest.mark.parametrize("text", ["", "69012345678", "6901234567892", "69012345678X", "²90123456789"])
def test_a_check_digit_needs_twelve_digits(text):
    with pytest.raises(ValueError, match="twelve"):
        ean.check_digit(text)


@settings(max_examples=200, deadline=None)
@given(st.from_regex("[0-9]{12}", fullmatch=True), st.integers(0, 12), st.integers(1, 9))
def test_one_wrong_digit_is_always_noticed(twelve, place, by):
    whole = twelve + ean.check_digit(twelve)
    assert ean.is_ean13(whole)
    wrong = whole[:place] + str((int(whole[place]) + by) % 10) + whole[place + 1 :]
    assert not ean.is_ean13(wrong)


hints = ["https://", "http://", "example.com", "/", "@", ":", "xn--", ROW1, ROW2, "YCYC", "\n", "?", "#", "%", "\\"]
anything = st.one_of(
    st.text(max_size=80),
    st.lists(st.one_of(st.sampled_from(hints), st.text(max_size=6)), max_size=10).map("".join),
    st.from_regex(r"[0-9]{16}\n?[A-Z]{4}[0-9]{12}", fullmatch=True),
)


@settings(max_examples=300, deadline=None)
@given(anything, st.dates(date(2000, 1, 1), date(2100, 1, 1)))
def test_any_text_is_a_code_or_a_protocol_error(text, today):
    try:
        code = parse(text, today)
    except ProtocolError:
        pass
    else:
        assert len(code.row1) == len(code.row2) == 16
        assert (Finding.IMPOSSIBLE_DATE in code.findings) == (code.sorted_on is None)
        assert parse(code.row1 + code.row2, today) == code
    try:
        qr = parse_pack_qr(text)
    except ProtocolError:
        pass
    else:
        assert parse_pack_qr(f"{qr.scheme}://{qr.issuer_host}/{qr.code}") == qr
