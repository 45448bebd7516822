"""The colours of all pages as named tokens, light and dark, with the pairs that must be readable on each other."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

Theme = Literal["light", "dark"]

LIGHT: Mapping[str, str] = MappingProxyType(
    {
        "paper": "#faf8f4",  # the page
        "surface": "#fffdf9",  # cards and tables on it
        "sunken": "#f1eee7",  # table heads, the empty part of a bar
        "ink": "#1f2430",
        "ink-soft": "#565b66",  # second rank: labels, units, times
        "line": "#e0dbd0",  # hairlines that carry no meaning
        "edge": "#858073",  # borders of things that can be pressed
        "accent": "#b5341c",  # cinnabar, the shopkeeper's seal
        "accent-tint": "#f9e8e3",
        "on-accent": "#ffffff",
        "ok": "#2f6f4f",  # jade
        "ok-tint": "#e5f0ea",
        "attention": "#8a5a00",  # amber
        "attention-tint": "#f9eed9",
        "fault": "#a11d33",  # crimson
        "fault-tint": "#f9e6e8",
        "rest": "#4c5563",  # slate
        "rest-tint": "#ecebe7",
    }
)

DARK: Mapping[str, str] = MappingProxyType(
    {
        "paper": "#14171d",
        "surface": "#1a1e26",
        "sunken": "#232833",
        "ink": "#e8e6e1",
        "ink-soft": "#a7acb8",
        "line": "#2d333f",
        "edge": "#747b8a",
        "accent": "#f0846c",
        "accent-tint": "#3a231e",
        "on-accent": "#14171d",
        "ok": "#7cc7a0",
        "ok-tint": "#1b2f26",
        "attention": "#e2b45f",
        "attention-tint": "#352b17",
        "fault": "#f38d9c",
        "fault-tint": "#3b2028",
        "rest": "#a9b2c1",
        "rest-tint": "#282d38",
    }
)

STATES = ("ok", "attention", "fault", "rest")
_GROUNDS = ("paper", "surface", "sunken")

# (front, ground) that carry text: WCAG AA asks 4.5.
TEXT_PAIRS: tuple[tuple[str, str], ...] = (
    *((front, ground) for front in ("ink", "ink-soft", "accent", *STATES) for ground in _GROUNDS),
    *((state, f"{state}-tint") for state in STATES),
    *((front, f"{state}-tint") for front in ("ink", "ink-soft") for state in (*STATES, "accent")),
    ("accent", "accent-tint"),
    ("on-accent", "accent"),
)

# (front, ground) that carry shape only, such as a button's border or a bar: WCAG AA asks 3.
SHAPE_PAIRS: tuple[tuple[str, str], ...] = tuple((front, ground) for front in ("edge", *STATES) for ground in _GROUNDS)


def luminance(colour: str) -> float:
    """Relative luminance 0–1 of `#rrggbb`, as WCAG defines it."""
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """Contrast ratio 1–21 of two `#rrggbb`."""
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def _block(selector: str, tokens: Mapping[str, str], scheme: Theme) -> str:
    lines = "".join(f"--zg-{name}:{value};" for name, value in tokens.items())
    return f"{selector}{{color-scheme:{scheme};{lines}}}"


def css() -> str:
    """The tokens as CSS custom properties `--zg-<name>`; `data-theme` on `<html>` overrules the system's choice."""
    automatic = _block(":root:not([data-theme=light])", DARK, "dark")
    return (
        _block(":root", LIGHT, "light")
        + f"@media (prefers-color-scheme:dark){{{automatic}}}"
        + _block(":root[data-theme=dark]", DARK, "dark")
    )
