"""A shelf as in the real door: products side by side, stock as fill height, initials instead of pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from look.i18n import Lang, t
from look.icons import icon
from look.markup import Markup, tag
from look.widgets import STATE_ICON, State, money_text

LOW_SHARE: Final = 0.25  # at or under a quarter of the capacity a slot wants refilling


@dataclass(frozen=True, slots=True)
class StockSlot:
    """One product on a shelf. A wrong book may give `units` above `capacity` or below zero; the drawing is clamped."""

    name: str
    units: int
    capacity: int
    price_fen: int


def stock_state(units: int, capacity: int) -> tuple[State, str]:
    """The state and the key of its word: none left is a fault, a quarter or less wants attention."""
    if units <= 0:
        return "fault", "look.stock.empty"
    if units <= capacity * LOW_SHARE:
        return "attention", "look.stock.low"
    return "ok", "look.stock.ok"


def initials(name: str) -> str:
    """At most two signs: the first letters of two words, or the first two signs of a Chinese name."""
    split = name.split()
    words = [word for word in split if word[0].isalpha()] or [word for word in split if word[0].isalnum()]
    if not words:
        return "–"
    if len(words) > 1 and words[0].isascii():
        return (words[0][0] + words[1][0]).upper()
    return words[0][:2].title()


def slot(of: StockSlot, lang: Lang) -> Markup:
    """One product as a list item; read aloud as one sentence."""
    state, key = stock_state(of.units, of.capacity)
    share = 0 if of.capacity <= 0 else max(0, min(100, round(100 * of.units / of.capacity)))
    word = t(key, lang)
    sentence = t("look.stock.sentence", lang, name=of.name, word=word, units=of.units, capacity=of.capacity)
    picture = tag(
        "div",
        tag("div", class_="zg-fill", style=f"height:{share}%"),
        tag("span", initials(of.name), class_="zg-initials"),
        class_="zg-bin",
    )
    label = tag(
        "div",
        tag("span", of.name, class_="zg-slot-name"),
        tag("span", money_text(of.price_fen), class_="zg-slot-price"),
        tag(
            "span",
            tag("span", icon(STATE_ICON[state]), f"{of.units}/{of.capacity}"),
            " ",
            tag("span", word),
            class_="zg-slot-word",
        ),
        class_="zg-slot-label",
    )
    title = f"{sentence} · {money_text(of.price_fen)}"
    drawing = tag("div", picture, label, role="img", aria_label=title, title=title)
    return tag("li", drawing, class_=f"zg-slot zg-s-{state}")


def shelf(name: str, slots: Sequence[StockSlot], lang: Lang) -> Markup:
    """A row of products with its name in front."""
    row = tag("ul", (slot(of, lang) for of in slots), aria_label=name)
    return tag("div", tag("span", name, class_="zg-shelf-name", aria_hidden="true"), row, class_="zg-shelf")
