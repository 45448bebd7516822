"""Small pictures drawn here, 16 × 16, one stroke; they take the colour of the text around them."""

from __future__ import annotations

from typing import Final

from look.markup import Markup, tag

# SVG path data; `check` to `dash` are the four states and differ in outline, not only in colour.
_PATHS: Final[dict[str, str]] = {
    "check": "M8 1.75a6.25 6.25 0 1 0 0 12.5a6.25 6.25 0 1 0 0-12.5M5.2 8.3l2 2l3.8-4.3",
    "warn": "M8 2.2L14.4 13.4H1.6zM8 6.4v3.4M8 11.4v.3",
    "cross": "M5.3 1.75h5.4l3.55 3.55v5.4l-3.55 3.55H5.3L1.75 10.7V5.3zM5.8 5.8l4.4 4.4M10.2 5.8l-4.4 4.4",
    "dash": "M2 2h12v12H2zM5.2 8h5.6",
    "store": "M2.2 6.4V14h11.6V6.4M1.4 6.4L2.8 2h10.4l1.4 4.4zM6.2 14V9.4h3.6V14",
    "fleet": "M2 2.5h5v5H2zM9 2.5h5v5H9zM2 9h5v5H2zM9 9h5v5H9z",
    "door-closed": "M3.5 14.2V1.8h9v12.4M1.8 14.2h12.4M10 7.4v1.4",
    "door-open": "M3.5 14.2V1.8h9v12.4M1.8 14.2h12.4M3.5 1.8l5 2.2v12l-5-1.8M6.8 8v1.4",
    "unknown": "M5.6 5.8a2.4 2.4 0 1 1 3.6 2.1c-.8.5-1.2.9-1.2 1.9M8 12.2v.3",
    "lock": "M3.4 7h9.2v7H3.4zM5.3 7V4.7a2.7 2.7 0 0 1 5.4 0V7",
    "search": "M7 2.2a4.8 4.8 0 1 0 0 9.6a4.8 4.8 0 1 0 0-9.6M10.6 10.6l3.6 3.6",
    "person": "M8 2a2.7 2.7 0 1 0 0 5.4A2.7 2.7 0 1 0 8 2M2.8 14.2c.3-3 2.4-4.6 5.2-4.6s4.9 1.6 5.2 4.6",
    "clock": "M8 1.75a6.25 6.25 0 1 0 0 12.5a6.25 6.25 0 1 0 0-12.5M8 4.4V8l2.4 1.8",
    "info": "M8 1.75a6.25 6.25 0 1 0 0 12.5a6.25 6.25 0 1 0 0-12.5M8 7.2v4M8 4.8v.3",
    "bell": "M8 1.8v1.4M3.6 11.4c.9-1 1.1-2.2 1.1-4a3.3 3.3 0 0 1 6.6 0c0 1.8.2 3 1.1 4zM6.6 13.6a1.6 1.6 0 0 0 2.8 0",
    "auto": "M8 1.75a6.25 6.25 0 1 0 0 12.5a6.25 6.25 0 1 0 0-12.5M8 1.75v12.5M8 5l4.6-1M8 8.2h6M8 11.4l4.6 1",
    "light": "M8 5a3 3 0 1 0 0 6a3 3 0 1 0 0-6M8 1v1M8 14v1M1 8h1M14 8h1M3 3l1 1M12 12l1 1M13 3l-1 1M4 12l-1 1",
    "dark": "M13.6 10A6 6 0 0 1 6 2.4a6 6 0 1 0 7.6 7.6z",
    "left": "M10 2.8L4.8 8l5.2 5.2",
    "right": "M6 2.8L11.2 8L6 13.2",
}

NAMES: Final[frozenset[str]] = frozenset(_PATHS)
_SHAPE: Final = 'fill="none" stroke="currentColor" stroke-width="1.6" stroke-linecap="round" stroke-linejoin="round"'


def icon(name: str) -> Markup:
    """The picture `name` (one of `NAMES`), hidden from screen readers: a word always stands beside it."""
    path = Markup(f'<path d="{_PATHS[name]}" {_SHAPE}/>')
    return tag(
        "svg", path, class_="zg-icon", viewBox="0 0 16 16", width=16, height=16, aria_hidden="true", focusable="false"
    )
