"""The count of one compartment on the staff tablet: one row a product, and what typed numbers are worth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from edge.desk.messages import MAX_UNITS, CountDesk, DeskState, Goods
from look.i18n import Lang, t
from look.icons import icon
from look.markup import Markup, join, tag

FORM: Final = "count-form"


def count_of(state: DeskState, target: str) -> CountDesk | None:
    """The count that is asked for behind this door (cabinet and compartment joined by a slash)."""
    return next((c for c in state.counts if place_of(c) == target), None)


def place_of(count: CountDesk) -> str:
    return f"{count.cabinet}/{count.compartment}"


def pieces(typed: Mapping[str, str]) -> dict[str, int] | None:
    """Typed numbers by product; None if one of them is no number of pieces."""
    counted: dict[str, int] = {}
    for sku, text in typed.items():
        digits = text.strip()
        if not (digits.isascii() and digits.isdecimal()) or len(digits) > 9 or int(digits) > MAX_UNITS:
            return None
        counted[sku] = int(digits)
    return counted


def form(count: CountDesk, typed: Mapping[str, str], lang: Lang) -> Markup:
    """Every product with the pieces of the book, or with what was typed here before. Saved by `save`."""
    rows = tag("ul", (_row(goods, typed.get(goods.sku), lang) for goods in count.goods), class_="sp-counts")
    return join(
        tag("p", icon("info"), t("staff.count.says", lang), id="count-says", class_="sp-mind"),
        tag("form", rows, id=FORM, data_act="count_save", aria_describedby="count-says"),
    )


def save(lang: Lang) -> Markup:
    """Sends the form; it stands at thumb height, outside of it."""
    return tag("button", t("staff.count.save", lang), type="submit", id="count-save", form=FORM, class_="sp-go")


def _row(goods: Goods, typed: str | None, lang: Lang) -> Markup:
    name, field = goods.name_zh if lang == "zh" else goods.name_en, f"units-{goods.sku}"
    label = tag(
        "label",
        tag("strong", name),
        tag("span", t("staff.count.book", lang, n=goods.units), class_="zg-soft"),
        for_=field,
    )
    number = tag(
        "input",
        id=field,
        name_=goods.sku,
        type="number",
        inputmode="numeric",
        min=0,
        max=MAX_UNITS,
        step=1,
        required=True,
        autocomplete="off",
        value=str(min(goods.units, MAX_UNITS)) if typed is None else typed,
        data_change="counted",
        class_="zg-num",
    )
    less = _step("−", -1, field, t("staff.count.less", lang, name=name))
    more = _step("+", 1, field, t("staff.count.more", lang, name=name))
    return tag("li", label, tag("div", less, number, more, class_="sp-stepper"))


def _step(sign: str, by: int, field: str, label: str) -> Markup:
    return tag(
        "button",
        sign,
        type="button",
        id=f"{field}-{'more' if by > 0 else 'less'}",
        data_step=by,
        data_of=field,
        aria_label=label,
        class_="sp-stepbutton",
    )
