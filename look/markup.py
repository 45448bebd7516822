"""HTML as values: what is not markup is escaped, so a name from a store can never become an element."""

from __future__ import annotations

import html
from collections.abc import Iterable

_VOID = frozenset({"br", "hr", "img", "input", "meta", "wbr", "path", "rect", "line", "circle"})


class Markup(str):
    """Text that is HTML already. Made by `tag` and `join`; wrap a literal only when it is ours."""

    __slots__ = ()


def _flat(children: Iterable[object]) -> Iterable[str]:
    for child in children:
        if child is None or child is False:
            continue
        if isinstance(child, Markup):
            yield child
        elif isinstance(child, (str, int)):
            yield html.escape(str(child))
        elif isinstance(child, Iterable):
            yield from _flat(child)
        else:
            raise TypeError(f"markup: cannot hold {type(child).__name__}")


def join(*children: object) -> Markup:
    """Children one after the other: Markup as it is, str and int escaped, None and False left out, iterables opened."""
    return Markup("".join(_flat(children)))


def tag(name: str, /, *children: object, **attributes: str | int | bool | None) -> Markup:
    """One element. `class_` is `class`, `aria_label` is `aria-label`; True is a bare attribute, None and False none."""
    parts = [name]
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        word = key.rstrip("_").replace("_", "-")
        parts.append(word if value is True else f'{word}="{html.escape(str(value))}"')
    opening = " ".join(parts)
    return Markup(f"<{opening}/>") if name in _VOID else Markup(f"<{opening}>{join(*children)}</{name}>")
