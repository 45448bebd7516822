"""The check digit of a thirteen-digit article number."""

from __future__ import annotations


def check_digit(first_twelve: str) -> str:
    """The thirteenth digit. Raises ValueError for anything but twelve digits."""
    if len(first_twelve) != 12 or not _digits(first_twelve):
        raise ValueError("twelve digits are needed")
    weighted = sum(int(digit) * (3 if place % 2 else 1) for place, digit in enumerate(first_twelve))
    return str(-weighted % 10)


def is_ean13(text: str) -> bool:
    """Whether a text is a whole article number with a right check digit."""
    return len(text) == 13 and _digits(text) and check_digit(text[:12]) == text[12]


def _digits(text: str) -> bool:
    return text.isascii() and text.isdigit()
