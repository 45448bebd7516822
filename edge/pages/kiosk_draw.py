"""The kiosk's screens as values: a heading, a body, a way out, and the seconds left."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from edge.desk.messages import BasketLine, CabinetDesk, CompartmentDesk, Goods
from edge.pages import art
from edge.pages.kiosk_view import MAX_QTY, Choice, Kind, Screen, chosen_goods, goods_of, qty_of
from edge.pages.words import reason
from look.i18n import Lang, t
from look.icons import icon
from look.markup import Markup, join, tag
from look.widgets import STATE_ICON, State, money_text

_SECONDS: Final = {"asked": "asked", "wait": "wait", "open": "open"}


def heading(screen: Screen, lang: Lang) -> str:
    """The h1: what this screen is about."""
    session, door = screen.session, screen.door
    match screen.kind:
        case "starting":
            return t("starting.title", lang)
        case "id_card":
            return t("kiosk.id.title", lang)
        case "welcome" if session and session.member:
            return t("kiosk.welcome.title", lang, name=session.member.name)
        case "welcome":
            return t("kiosk.welcome.guest", lang)
        case "pull":
            return t("kiosk.pull.title", lang, door=door_name(screen.cabinet, door, lang))
        case "open" if session and session.mode == "staff_release":
            return t("kiosk.open.staff", lang)
    return t(f"kiosk.{screen.kind}.title", lang)


def door_name(cabinet: CabinetDesk | None, door: CompartmentDesk | None, lang: Lang) -> str:
    """What people call a door: its number from the left, or just the door where there is one."""
    if cabinet is None or door is None or len(cabinet.compartments) == 1:
        return t("door.only", lang)
    return t("door.numbered", lang, n=cabinet.compartments.index(door) + 1)


def body(screen: Screen, choice: Choice, lang: Lang) -> Markup:
    """What stands under the heading."""
    return tag(
        "div", _BODIES[screen.kind](screen, choice, lang), data_screen=screen.kind, class_=f"sp-at-{screen.kind}"
    )


def way_out(screen: Screen, lang: Lang) -> Markup:
    """The foot of the screen: cancel, or what cancelling means once the door is unlocked."""
    if screen.can_cancel:
        return _quiet(t("kiosk.cancel", lang), act="cancel")
    if screen.kind in ("pull", "open"):
        return tag("p", icon("info"), t("kiosk.open.mind", lang), class_="sp-mind")
    return tag("p", t("kiosk.help", lang), class_="sp-help")


def countdown(screen: Screen, longest_s: float, lang: Lang) -> Markup:
    """The seconds left as a ring and a number; empty when nothing runs. `longest_s`: a full ring."""
    session = screen.session
    if session is None or screen.seconds_left is None:
        return Markup("")
    seconds = max(0, round(screen.seconds_left))
    share = round(100 * min(1.0, seconds / max(longest_s, 1.0)))
    ring = tag(
        "svg",
        Markup('<circle class="sp-ring-rest" cx="24" cy="24" r="20" pathLength="100"/>'),
        Markup(
            f'<circle class="sp-ring-left" cx="24" cy="24" r="20" pathLength="100" stroke-dasharray="{share} 100"/>'
        ),
        viewBox="0 0 48 48",
        aria_hidden="true",
        class_="sp-ring",
    )
    words = t(f"kiosk.left.{_SECONDS.get(session.state, 'other')}", lang)
    figures = tag("div", tag("strong", seconds), tag("span", words))
    return tag(
        "div",
        ring,
        figures,
        role="timer",
        aria_label=t("kiosk.left.name", lang),
        class_="sp-left sp-late" if seconds <= 10 else "sp-left",
    )


def notice(word: str, lang: Lang) -> Markup:
    """Why the last wish was not granted, as an alert; empty without one."""
    return tag("p", icon("warn"), reason(word, lang), role="alert", class_="sp-notice") if word else Markup("")


def stale(lang: Lang) -> Markup:
    """A banner: the agent is out of reach."""
    return tag(
        "p",
        icon("warn"),
        tag("span", tag("strong", t("stale.title", lang)), " ", t("stale.body", lang)),
        role="status",
        class_="sp-notice",
    )


def starting(lang: Lang) -> Markup:
    """There is no agent yet; one sentence that it comes by itself."""
    return _waiting(t("starting.body", lang))


# ------------------------------------------------------------------ the bodies


def _sentence(state: State, text: str, more: str = "") -> Markup:
    mark = tag("div", icon(STATE_ICON[state]), class_=f"sp-mark zg-s-{state}")
    return tag("div", mark, tag("p", text), tag("p", more, class_="zg-soft") if more else None, class_="sp-sentence")


def _waiting(text: str, picture: str = "clock") -> Markup:
    mark = tag("div", icon(picture), class_="sp-mark sp-mark-turning")
    return tag("div", mark, tag("p", text), class_="sp-sentence")


def _starting(_: Screen, __: Choice, lang: Lang) -> Markup:
    return starting(lang)


def _unknown(_: Screen, __: Choice, lang: Lang) -> Markup:
    return _sentence("fault", t("kiosk.unknown.body", lang))


def _closed(screen: Screen, _: Choice, lang: Lang) -> Markup:
    return _sentence("attention", reason(screen.reason, lang))


def _name(goods: Goods | BasketLine, lang: Lang) -> str:
    return goods.name_zh if lang == "zh" else goods.name_en


def _door_button(door: CompartmentDesk, label: str, what: str, lang: Lang) -> Markup:
    why = reason(door.reason, lang) if not door.available else ""
    return tag(
        "button",
        icon("door-closed"),
        tag("span", tag("strong", label), tag("span", why or what, class_="zg-soft") if why or what else None),
        icon("right"),
        type="button",
        id=f"door-{door.compartment}",
        data_act="start",
        data_value=door.compartment,
        disabled=not door.available,
        class_="sp-row",
    )


def _code(_: Screen, __: Choice, lang: Lang) -> Markup:
    scan = tag(
        "div",
        tag("div", art.QR, class_="sp-art", aria_hidden="true"),
        tag("div", tag("h2", t("kiosk.code.scan", lang)), tag("p", t("kiosk.code.scan.how", lang), class_="zg-soft")),
        class_="sp-way",
    )
    entry = tag(
        "form",
        tag("label", t("kiosk.code.label", lang), for_="code"),
        tag(
            "input",
            id="code",
            name_="code",
            type="text",
            required=True,
            maxlength=128,
            autocomplete="off",
            autocapitalize="off",
            spellcheck="false",
            aria_describedby="code-how",
        ),
        tag("p", t("kiosk.code.how", lang), id="code-how", class_="zg-soft"),
        tag("button", t("kiosk.code.go", lang), type="submit", id="code-go", class_="sp-go"),
        data_act="member",
    )
    typed = tag("div", tag("h2", t("kiosk.code.type", lang)), entry, class_="sp-way")
    privacy = tag("p", icon("lock"), t("kiosk.code.privacy", lang), class_="sp-privacy")
    return join(tag("div", scan, typed, class_="sp-ways"), privacy)


def _begin(screen: Screen, _: Choice, lang: Lang) -> Markup:
    assert screen.cabinet is not None
    steps = tag(
        "ol",
        tag("li", tag("span", 1, class_="sp-step", aria_hidden="true"), t("kiosk.begin.one", lang)),
        tag("li", tag("span", 2, class_="sp-step", aria_hidden="true"), t("kiosk.begin.two", lang)),
        class_="sp-steps",
    )
    if screen.door is not None and len(screen.cabinet.compartments) == 1:
        go = tag(
            "button",
            t("kiosk.begin.go", lang),
            type="button",
            id="begin",
            data_act="start",
            data_value=screen.door.compartment,
            class_="sp-go",
        )
        return join(steps, go)
    doors = (
        _door_button(door, t("kiosk.begin.door", lang, door=door_name(screen.cabinet, door, lang)), "", lang)
        for door in screen.cabinet.compartments
    )
    return join(steps, tag("div", doors, class_="sp-rows"))


def _id_card(screen: Screen, _: Choice, lang: Lang) -> Markup:
    picture = tag("div", art.CARD, class_="sp-art", aria_hidden="true")
    privacy = tag("p", icon("lock"), t("kiosk.id.privacy", lang), class_="sp-privacy")
    wait = tag("div", picture, tag("p", t("kiosk.id.body", lang)), class_="sp-sentence")
    return join(notice(screen.reason, lang), wait, privacy)


def _goods(screen: Screen, choice: Choice, lang: Lang) -> Markup:
    chosen = chosen_goods(screen, choice)
    warning = tag("p", icon("warn"), t("kiosk.goods.warning", lang), class_="sp-warning")
    rows = [_goods_row(g, chosen is not None and g.sku == chosen.sku, lang) for g in goods_of(screen)]
    if not rows:
        return join(_sentence("attention", t("kiosk.goods.none", lang)))
    listing = tag("div", rows, role="radiogroup", aria_label=t("kiosk.goods.title", lang), class_="sp-rows")
    if chosen is None:
        return join(warning, listing, tag("p", t("kiosk.goods.first", lang), class_="sp-help"))
    qty = qty_of(screen, choice)
    stepper = tag(
        "div",
        tag("span", t("kiosk.goods.qty", lang), id="qty-name", class_="zg-soft"),
        _step("−", "less", t("kiosk.goods.less", lang), disabled=qty <= 1),
        tag("output", qty, id="qty", aria_live="polite", aria_labelledby="qty-name", class_="zg-num"),
        _step("+", "more", t("kiosk.goods.more", lang), disabled=qty >= min(MAX_QTY, chosen.units)),
        class_="sp-stepper",
    )
    go = tag(
        "button",
        t("kiosk.goods.go", lang, price=money_text(chosen.price_fen * qty)),
        type="button",
        id="want",
        data_act="want",
        class_="sp-go",
    )
    return join(warning, listing, tag("div", stepper, go, class_="sp-order"))


def _step(sign: str, act: str, label: str, *, disabled: bool) -> Markup:
    return tag(
        "button", sign, type="button", id=act, data_act=act, aria_label=label, disabled=disabled, class_="sp-stepbutton"
    )


def _goods_row(goods: Goods, chosen: bool, lang: Lang) -> Markup:
    facts = tag(
        "span",
        tag("strong", _name(goods, lang)),
        tag(
            "span",
            t("kiosk.goods.price", lang, price=money_text(goods.price_fen)),
            " · ",
            t("kiosk.goods.stock", lang, n=goods.units),
            class_="zg-soft",
        ),
    )
    return tag(
        "button",
        tag("span", class_="sp-radio"),
        facts,
        type="button",
        role="radio",
        aria_checked="true" if chosen else "false",
        id=f"goods-{goods.sku}",
        data_act="goods",
        data_value=goods.sku,
        disabled=goods.units <= 0,
        class_="sp-row",
    )


def _wait_for_staff(screen: Screen, _: Choice, lang: Lang) -> Markup:
    declared = screen.session.declared if screen.session else ()
    return join(
        notice(screen.reason, lang),
        _waiting(t("kiosk.waiting.body", lang), "person"),
        _lines(declared, t("kiosk.receipt.list", lang), lang),
    )


def _welcome(screen: Screen, _: Choice, lang: Lang) -> Markup:
    door = door_name(screen.cabinet, screen.door, lang)
    opening = tag("p", icon("door-closed"), t("kiosk.welcome.opening", lang, door=door), class_="sp-opening")
    return join(opening, _greeting(screen, lang))


def _greeting(screen: Screen, lang: Lang) -> Markup:
    """Points and offers of a member. The cloud's word may come late: the door does not wait for it."""
    member = screen.session.member if screen.session else None
    if member is None:
        return Markup("")
    hello = t("kiosk.welcome.title", lang, name=member.name) if screen.kind != "welcome" else None
    points = tag(
        "div",
        tag("p", hello, class_="sp-hello") if hello else None,
        tag("span", t("kiosk.welcome.points", lang)),
        tag("strong", f"{member.points:,}"),
        class_="sp-points",
    )
    offers = [
        tag("li", tag("span", _name(g, lang)), tag("span", money_text(g.price_fen), class_="zg-num"))
        for g in member.offers[:3]
    ]
    listing = tag("div", tag("h2", t("kiosk.welcome.offers", lang)), tag("ul", offers), class_="sp-offers")
    return tag("div", points, listing if offers else None, class_="sp-greeting")


def _pull(screen: Screen, _: Choice, lang: Lang) -> Markup:
    picture = tag("div", art.OPEN_DOOR, class_="sp-art", aria_hidden="true")
    return join(tag("div", picture, class_="sp-sentence"), _greeting(screen, lang))


def _open(screen: Screen, _: Choice, lang: Lang) -> Markup:
    staffed = screen.session is not None and screen.session.mode == "staff_release"
    text = t("kiosk.open.only" if staffed else "kiosk.open.body", lang)
    picture = tag("div", art.OPEN_DOOR, class_="sp-art", aria_hidden="true")
    declared = screen.session.declared if screen.session else ()
    more = _lines(declared, t("kiosk.receipt.list", lang), lang) if staffed else _greeting(screen, lang)
    return join(tag("div", picture, tag("p", text), class_="sp-sentence"), more)


def _weigh(_: Screen, __: Choice, lang: Lang) -> Markup:
    return _waiting(t("kiosk.weigh.body", lang))


def _restock(_: Screen, __: Choice, lang: Lang) -> Markup:
    return _waiting(t("kiosk.restock.body", lang), "person")


def _lines(lines: Iterable[BasketLine], label: str, lang: Lang) -> Markup:
    lines = tuple(lines)
    if not lines:
        return Markup("")
    rows = (
        tag(
            "li",
            tag("span", _name(line, lang)),
            tag("span", t("kiosk.receipt.qty", lang, n=line.qty), class_="zg-soft"),
            tag("span", money_text(line.price_fen * line.qty), class_="zg-num"),
        )
        for line in lines
    )
    total = tag(
        "p",
        tag("span", t("kiosk.receipt.total", lang)),
        tag("strong", money_text(sum(line.price_fen * line.qty for line in lines)), class_="zg-num"),
        class_="sp-total",
    )
    return tag("div", tag("ul", rows, aria_label=label or None), total, class_="sp-receipt")


def _receipt(screen: Screen, _: Choice, lang: Lang) -> Markup:
    lines = screen.session.lines if screen.session else ()
    mark = tag("div", icon("check"), class_="sp-mark zg-s-ok")
    return join(tag("div", mark, class_="sp-sentence"), _lines(lines, t("kiosk.receipt.list", lang), lang))


def _unpaid(screen: Screen, _: Choice, lang: Lang) -> Markup:
    lines = screen.session.lines if screen.session else ()
    return join(
        _sentence("attention", t("kiosk.unpaid.body", lang)), _lines(lines, t("kiosk.receipt.list", lang), lang)
    )


def _nothing(_: Screen, __: Choice, lang: Lang) -> Markup:
    return _sentence("ok", t("kiosk.nothing.body", lang))


def _review(_: Screen, __: Choice, lang: Lang) -> Markup:
    return _sentence("attention", t("kiosk.review.body", lang))


def _declined(_: Screen, __: Choice, lang: Lang) -> Markup:
    return _sentence("attention", t("kiosk.declined.body", lang))


def _cancelled(screen: Screen, _: Choice, lang: Lang) -> Markup:
    again = t("kiosk.cancelled.again", lang)
    return _sentence("rest", reason(screen.reason, lang), again) if screen.reason else _sentence("rest", again)


def _quiet(label: str, *, act: str) -> Markup:
    return tag("button", label, type="button", id=act, data_act=act, class_="sp-quiet")


_BODIES: Final[dict[Kind, Callable[[Screen, Choice, Lang], Markup]]] = {
    "starting": _starting,
    "unknown": _unknown,
    "closed": _closed,
    "code": _code,
    "begin": _begin,
    "id_card": _id_card,
    "goods": _goods,
    "waiting": _wait_for_staff,
    "welcome": _welcome,
    "pull": _pull,
    "open": _open,
    "weigh": _weigh,
    "restock": _restock,
    "receipt": _receipt,
    "unpaid": _unpaid,
    "nothing": _nothing,
    "review": _review,
    "declined": _declined,
    "cancelled": _cancelled,
}
