"""What a card says of a person, boiled down to three values. Pure; no name, address or photo is ever decoded.

The text block of a card is 256 bytes of UTF-16LE: name 30, sex 2, nation 4, birth 16, address 70, number 36,
issuer 30, valid from 16, valid to 16, reserve 36.
"""

from __future__ import annotations

import hashlib
import hmac
from datetime import date, timedelta

from device_drivers.capabilities import AdultReading
from device_drivers.errors import ProtocolError

TEXT_BYTES = 256
ADULT_YEARS = 18
PERSON_DAY_KEY_CHARS = 32

_BIRTH = slice(36, 52)
_NUMBER = slice(122, 158)
_VALID_FROM = slice(188, 204)
_VALID_TO = slice(204, 220)
_LONG_TERM = "长期".encode("utf-16-le")
_LENGTHS = b"\x01\x00\x04\x00"  # text 256, photo 1024
_PHOTO_BYTES = 1024

_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CHECK_DIGITS = b"10X98765432"
_ZERO, _NINE = b"09"


def text_block(data: memoryview) -> memoryview:
    """The text in the data of a READ answer. Raises ProtocolError(remote) for any other content."""
    if data[:4] == _LENGTHS and len(data) == 4 + TEXT_BYTES + _PHOTO_BYTES:
        return data[4 : 4 + TEXT_BYTES]
    raise ProtocolError("not the content of a card")


def adult_from(birth: date, *, strict: bool) -> date:
    """The first day on which a person counts as adult.

    Strict: the day after the 18th birthday. Someone born on a leap day has no 18th birthday (no year divisible by
    four is 18 years after another) and is adult from 1 March either way.
    """
    try:
        birthday = birth.replace(year=birth.year + ADULT_YEARS)
    except ValueError:
        return date(birth.year + ADULT_YEARS, 3, 1)
    return birthday + timedelta(days=1) if strict else birthday


def has_right_check_digit(number: bytes | bytearray) -> bool:
    """ISO 7064 MOD 11-2 over 18 ASCII characters."""
    if len(number) != 18 or not all(_ZERO <= number[place] <= _NINE for place in range(17)):
        return False
    total = sum(weight * (digit - _ZERO) for weight, digit in zip(_WEIGHTS, number, strict=False))
    return number[17] == _CHECK_DIGITS[total % 11]


def judge(text: memoryview, *, day_key: bytes, today: date, strict_birthday: bool) -> AdultReading:
    """The three values of a text block.

    A wrong check digit, or a birthday that differs from the one inside the number, makes the document invalid and
    nobody adult. An expired document leaves the age as it is and is not valid.
    """
    number = _ascii(text[_NUMBER])
    birth_text = _ascii(text[_BIRTH])
    try:
        birth = _date(birth_text)
        genuine = birth is not None and has_right_check_digit(number) and memoryview(number)[6:14] == birth_text
        return AdultReading(
            adult=genuine and birth is not None and adult_from(birth, strict=strict_birthday) <= today,
            doc_valid=genuine and _in_force(text, today),
            person_day_key=hmac.new(day_key, number, hashlib.sha256).hexdigest()[:PERSON_DAY_KEY_CHARS],
        )
    finally:
        number[:] = bytes(len(number))
        birth_text[:] = bytes(len(birth_text))


def _in_force(text: memoryview, today: date) -> bool:
    valid_from = _date(_ascii(text[_VALID_FROM]))
    if valid_from is None or today < valid_from:
        return False
    if text[_VALID_TO][: len(_LONG_TERM)] == _LONG_TERM:
        return True
    valid_to = _date(_ascii(text[_VALID_TO]))
    return valid_to is not None and today <= valid_to


def _ascii(field: memoryview) -> bytearray:
    """The characters of a UTF-16LE field as bytes the caller can zero; all zero if one of them is not ASCII."""
    characters = bytearray(len(field) // 2)
    if not any(field[1::2]):
        # One by one: a copy of every other byte goes through a buffer that is freed as it is.
        for place in range(len(characters)):
            characters[place] = field[2 * place]
    return characters


def _date(digits: bytearray) -> date | None:
    """YYYYMMDD, or None. Works without slices: a slice would be one more copy to zero."""
    if len(digits) != 8 or not digits.isdigit():
        return None
    packed = 0
    for digit in digits:
        packed = packed * 10 + digit - _ZERO
    try:
        return date(packed // 10000, packed // 100 % 100, packed % 100)
    except ValueError:
        return None
