"""Which character a key makes on a US keyboard, by the key codes of the Linux input system."""

from __future__ import annotations

ENTER = frozenset({28, 96})  # the second is on the number pad
SHIFT = frozenset({42, 54})
CAPS_LOCK = 58
OTHER_MODIFIERS = frozenset({29, 97, 56, 100, 125, 126})  # control, alt, meta: with them a key makes no character

_ROWS = (  # first key code, plain, with shift
    (2, "1234567890-=", "!@#$%^&*()_+"),
    (16, "qwertyuiop[]", "QWERTYUIOP{}"),
    (30, "asdfghjkl;'`", 'ASDFGHJKL:"~'),
    (43, "\\zxcvbnm,./", "|ZXCVBNM<>?"),
    (55, "*", "*"),
    (57, " ", " "),
    (71, "789-456+1230.", "789-456+1230."),  # the number pad, whatever its lock says
    (98, "/", "/"),
)
KEYS: dict[int, tuple[str, str]] = {
    first + place: pair
    for first, plain, shifted in _ROWS
    for place, pair in enumerate(zip(plain, shifted, strict=True))
}
