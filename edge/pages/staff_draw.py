"""The staff tablet's screens as values. What ticks is drawn apart from what is pressed, so that no tap is lost."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from edge.desk.messages import AlarmDesk, BasketLine, CabinetDesk, DeskState, SessionDesk, StaffDesk
from edge.pages import kiosk_draw, staff_count
from edge.pages.staff_view import REFUSALS, Desk, Request, Screen, amount_fen, doors_of, readers_of, revokes_of
from edge.pages.words import known, reason
from look.i18n import Lang, t
from look.icons import icon
from look.markup import Markup, join, tag
from look.widgets import age_text, chip, money_text

_OPENING: Final = frozenset({"intent", "sent", "verify"})
_LATE_S: Final = 90.0  # a presence that soon lapses


def heading(screen: Screen, state: DeskState | None, lang: Lang) -> str:
    """The h1: what this screen is about."""
    name = screen.me.name if screen.me else ""
    match screen.kind:
        case "starting":
            return t("starting.title", lang)
        case "pin":
            return t("staff.pin.title", lang, name=name)
        case "home":
            return t("staff.home.title", lang, name=name)
        case "request" | "pin_release" if screen.request:
            return t("staff.request.title", lang, cabinet=_name(screen.request.cabinet, lang))
        case "review" if screen.review:
            return t("staff.review.title", lang, cabinet=_cabinet_of(screen.review.cabinet, state, lang))
        case "count" if screen.count and state:
            return t("staff.count.title", lang, door=_place(state, staff_count.place_of(screen.count), lang))
        case "pin_restock":
            return t("staff.restock", lang)
        case "pin_lift":
            return t("staff.lift", lang)
    return t(f"staff.{screen.kind}.title", lang)


def body(screen: Screen, state: DeskState | None, desk: Desk, lang: Lang) -> Markup:
    """What stands under the heading; nothing in it ticks."""
    return tag("div", _body(screen, state, desk, lang), data_screen=_key(screen), class_=f"sp-at-{screen.kind}")


def _key(screen: Screen) -> str:
    """Another key is another screen: the next request must not be released by the tap meant for the last one."""
    about = screen.request.session.session if screen.request else screen.review.session if screen.review else ""
    return f"{screen.kind}:{staff_count.place_of(screen.count) if screen.count else about}"


def _body(screen: Screen, state: DeskState | None, desk: Desk, lang: Lang) -> Markup:
    if state is None:
        return kiosk_draw.starting(lang)
    match screen.kind:
        case "name":
            return _names(state, lang)
        case "pin":
            return _pin("sign_in", "", lang)
        case "request" if screen.request:
            return _request(screen.request, lang)
        case "refuse":
            return _refusals(lang)
        case "review":
            return _review(screen, lang)
        case "restock":
            return _doors(state, lang)
        case "lift":
            return _revokes(state, lang)
        case "count" if screen.count:
            return staff_count.form(screen.count, desk.drawn, lang)
        case "pin_release":
            return _pin("pin_release", t("staff.pin.release", lang), lang)
        case "pin_restock":
            door = t("staff.pin.restock", lang, door=_place(state, desk.target, lang))
            return _pin("pin_restock", f"{door} · {t('staff.restock.says', lang)}", lang)
        case "pin_lift":
            what = t("staff.pin.lift", lang, target=target(desk.target, state, lang))
            return _pin("pin_lift", f"{what} · {t('staff.lift.what', lang)}", lang)
    return _home(screen, state, lang)


def strip(state: DeskState | None, screen: Screen, lang: Lang) -> Markup:
    """Always visible: who is on duty, what is wrong, whether the cloud hears us."""
    if state is None:
        return Markup("")
    on_duty = [s for s in state.staff if s.on_duty]
    people = [
        chip("attention" if (s.beat_age_s or 0) > _LATE_S else "ok", f"{s.name} · {t('staff.on_duty', lang)}")
        for s in on_duty
    ] or [chip("fault", t("staff.presence.none", lang))]
    alarms = [chip("fault", _alarm(a, lang)) for a in state.alarms if a.code != "staff_absent" or on_duty]
    if not alarms:
        alarms = [chip("ok", t("staff.alarms.none", lang))]
    cloud = chip("ok", t("staff.cloud.on", lang)) if state.cloud_online else chip("rest", t("staff.cloud.off", lang))
    out = _button(t("staff.sign_out", lang), "sign_out", small=True) if screen.me and screen.kind != "pin" else None
    groups = (
        tag("div", people, aria_label=t("staff.presence", lang), role="group", class_="sp-chips"),
        tag("div", alarms, aria_label=t("staff.alarms", lang), role="group", class_="sp-chips"),
        cloud,
    )
    return tag("div", tag("div", groups, class_="sp-chips"), out, class_="sp-strip")


def here(left_s: float | None, lang: Lang) -> Markup:
    """Still here? Asked before presence lapses; counted in fives, so that the button stays put under a finger."""
    if left_s is None:
        return Markup("")
    words = tag(
        "span",
        tag("strong", t("staff.here.title", lang)),
        " ",
        t("staff.here.body", lang, n=int(-(-left_s // 5) * 5)),
    )
    go = tag("button", t("staff.here.go", lang), type="button", id="here", data_act="touch", class_="sp-go")
    return tag("div", icon("clock"), words, go, role="alert", class_="sp-here")


def seconds(screen: Screen, lang: Lang) -> Markup:
    """What ticks: since when the customer waits, and how long the request lives."""
    if screen.kind != "request" or screen.request is None:
        return Markup("")
    session = screen.request.session
    pairs = [
        (t("staff.request.since", lang), session.waiting_s),
        (t("staff.request.left", lang), session.seconds_left),
    ]
    return tag(
        "dl",
        (
            tag("div", tag("dt", name), tag("dd", t("staff.request.seconds", lang, n=round(s)), class_="zg-num"))
            for name, s in pairs
            if s is not None
        ),
        class_="sp-seconds",
    )


def foot(screen: Screen, state: DeskState | None, lang: Lang) -> Markup:
    """What is pressed, at thumb height."""
    match screen.kind:
        case "request" if screen.request:
            return tag(
                "div",
                _button(t("staff.refuse", lang), "refuse", value=screen.request.session.session),
                _button(
                    t("staff.release", lang), "release", value=screen.request.session.session, go=True, guarded=True
                ),
                class_="sp-thumbs",
            )
        case "review" if screen.review:
            return _review_buttons(screen, lang)
        case "count":
            return tag("div", _button(t("staff.back", lang), "back"), staff_count.save(lang), class_="sp-thumbs")
        case "pin" | "refuse" | "restock" | "lift" | "pin_release" | "pin_restock" | "pin_lift":
            return _button(t("staff.back", lang), "back")
        case "home" if state and screen.me:
            return tag(
                "div",
                _button(t("staff.restock", lang), "restock"),
                _button(t("staff.lift", lang), "lift") if screen.me.manager and revokes_of(state) else None,
                class_="sp-thumbs",
            )
    return Markup("")


def done(word: str, lang: Lang) -> Markup:
    """The outcome of what was just done."""
    return (
        tag("p", icon("check"), t(f"staff.done.{word}", lang), role="status", class_="sp-done") if word else Markup("")
    )


def target(name: str, state: DeskState, lang: Lang) -> str:
    """A revoke's target in words."""
    kind, _, ident = name.partition(":")
    if kind == "store":
        return t("staff.target.store", lang)
    return _cabinet_of(ident or kind, state, lang)


# ------------------------------------------------------------------ drawings


def _button(
    label: str, act: str, *, value: str = "", go: bool = False, guarded: bool = False, small: bool = False
) -> Markup:
    return tag(
        "button",
        label,
        type="button",
        id=f"{act}-{value}" if value else act,
        data_act=act,
        data_value=value or None,
        data_guard=guarded,
        class_="sp-go" if go else "sp-quiet sp-small" if small else "sp-quiet",
    )


def _row(
    act: str, value: str, picture: str, name: str, what: object, *, aside: object = None, disabled: bool = False
) -> Markup:
    text = tag("span", tag("strong", name), tag("span", what, class_="zg-soft") if what else None)
    return tag(
        "button",
        icon(picture),
        text,
        aside,
        icon("right"),
        type="button",
        id=f"{act}-{value}",
        data_act=act,
        data_value=value,
        disabled=disabled,
        class_="sp-row",
    )


def _names(state: DeskState, lang: Lang) -> Markup:
    if not state.staff:
        return tag("p", t("staff.name.none", lang), class_="sp-help")
    return tag("div", (_name_row(s, lang) for s in state.staff), class_="sp-rows sp-grid")


def _name_row(person: StaffDesk, lang: Lang) -> Markup:
    duty = chip("ok", t("staff.on_duty", lang)) if person.on_duty else chip("rest", t("staff.off_duty", lang))
    locked = t("staff.locked", lang, n=int(-(-person.locked_s // 10) * 10)) if person.locked_s else ""
    what = locked or (t("staff.manager", lang) if person.manager else "")
    return _row("name", person.staff_id, "person", person.name, what, aside=duty, disabled=bool(locked))


def _pin(act: str, says: str, lang: Lang) -> Markup:
    digits = [
        tag(
            "button",
            n,
            type="button",
            id=f"key-{n}",
            data_key=n,
            aria_label=t("staff.pin.digit", lang, n=n),
            class_="sp-key",
        )
        for n in "123456789"
    ]
    delete = tag(
        "button",
        "⌫",
        type="button",
        id="key-delete",
        data_key="delete",
        aria_label=t("staff.pin.delete", lang),
        class_="sp-key",
    )
    zero = tag(
        "button",
        "0",
        type="button",
        id="key-0",
        data_key="0",
        aria_label=t("staff.pin.digit", lang, n=0),
        class_="sp-key",
    )
    go = tag("button", t("staff.pin.go", lang), type="submit", id="pin-go", class_="sp-go")
    field = tag(
        "div",
        tag("label", t("staff.pin.label", lang), for_="pin"),
        tag(
            "input",
            id="pin",
            name_="pin",
            type="password",
            inputmode="none",
            autocomplete="off",
            required=True,
            maxlength=16,
            data_first=True,
        ),
        class_="sp-pinfield",
    )
    pad = tag("div", digits, delete, zero, go, class_="sp-pad")
    return tag("form", tag("p", says) if says else None, field, pad, data_act=act, class_="sp-pinform")


def _cabinet_of(ident: str, state: DeskState | None, lang: Lang) -> str:
    found = next((c for c in state.cabinets if c.cabinet == ident), None) if state else None
    return _name(found, lang) if found else ident


def _door(cabinet: CabinetDesk, compartment: str, lang: Lang) -> str:
    found = next((d for d in cabinet.compartments if d.compartment == compartment), None)
    return kiosk_draw.door_name(cabinet, found, lang)


def _place(state: DeskState, target: str, lang: Lang) -> str:
    """A cabinet and its door in words."""
    name, _, compartment = target.partition("/")
    cabinet = next((c for c in state.cabinets if c.cabinet == name), None)
    return f"{_name(cabinet, lang)} · {_door(cabinet, compartment, lang)}" if cabinet else target


def _name(named: CabinetDesk | BasketLine, lang: Lang) -> str:
    return named.name_zh if lang == "zh" else named.name_en


def _request(request: Request, lang: Lang) -> Markup:
    session = request.session
    how = known("staff.request.adult", session.adult_by, lang)
    adult = tag("p", chip("ok", t("staff.request.adult", lang)), " ", how, class_="sp-adult")
    count = sum(line.qty for line in session.declared)
    total = t("staff.request.total", lang, n=count, price=money_text(amount_fen(session.declared)))
    return tag(
        "div",
        tag("div", adult, tag("p", _door(request.cabinet, session.compartment, lang)), class_="sp-request-head"),
        tag("ul", _lines(session.declared, lang), aria_label=t("staff.request.what", lang), class_="sp-request-lines"),
        tag("p", total, class_="sp-request-total"),
        tag("p", icon("info"), t("staff.request.look", lang), class_="sp-mind"),
        class_="sp-card",
    )


def _lines(lines: Iterable[BasketLine], lang: Lang) -> list[Markup]:
    return [
        tag(
            "li",
            tag("span", _name(line, lang)),
            tag("strong", f"× {line.qty}", class_="zg-num"),
        )
        for line in lines
    ]


def _refusals(lang: Lang) -> Markup:
    rows = (_row("refuse_because", word, "cross", t(f"staff.refuse.{word}", lang), None) for word in REFUSALS)
    return join(tag("p", t("staff.refuse.says", lang)), tag("div", rows, class_="sp-rows sp-grid"))


def _review(screen: Screen, lang: Lang) -> Markup:
    review = screen.review
    assert review is not None
    delta = review.delta_g
    if delta is None:
        change = t("staff.review.unknown", lang)
    elif abs(delta) < 0.05:
        change = t("staff.review.same", lang)
    else:
        change = t("staff.review.left" if delta > 0 else "staff.review.came", lang, g=f"{abs(delta):.1f}")
    facts = tag(
        "dl",
        tag("div", tag("dt", t("staff.review.delta", lang)), tag("dd", change, class_="zg-num")),
        class_="sp-seconds",
    )
    proposal: object = t("staff.review.no_proposal", lang)
    if review.proposal:
        proposal = tag("ul", _lines(review.proposal, lang), class_="sp-request-lines")
    return tag(
        "div",
        tag("p", icon("warn"), known("staff.review.reason", review.reason, lang), class_="sp-why"),
        facts,
        tag("h2", t("staff.review.proposal", lang)),
        proposal,
        class_="sp-card",
    )


def _review_buttons(screen: Screen, lang: Lang) -> Markup:
    """Each way to decide, with what will happen above it."""
    review = screen.review
    assert review is not None
    price = money_text(amount_fen(review.proposal))
    drop = _button(t("staff.review.drop", lang), "review_drop", value=review.session, go=not review.proposal)
    ways = [tag("div", tag("p", t("staff.review.drop.says", lang)), drop)]
    if review.proposal:
        accept = _button(
            t("staff.review.accept", lang, price=price), "review_accept", value=review.session, go=True, guarded=True
        )
        ways.append(tag("div", tag("p", t("staff.review.accept.says", lang, price=price)), accept))
    return join(tag("div", ways, class_="sp-thumbs sp-said"), _button(t("staff.back", lang), "back"))


def _doors(state: DeskState, lang: Lang) -> Markup:
    rows = (
        _row(
            "restock_door",
            f"{c.cabinet}/{d.compartment}",
            "door-closed",
            _place(state, f"{c.cabinet}/{d.compartment}", lang),
            "" if d.available else reason(d.reason, lang),
        )
        for c, d in doors_of(state)
    )
    return join(tag("p", t("staff.restock.says", lang)), tag("div", rows, class_="sp-rows sp-grid"))


def _revokes(state: DeskState, lang: Lang) -> Markup:
    rows = (_row("lift_target", name, "lock", target(name, state, lang), None) for name in revokes_of(state))
    return join(tag("p", t("staff.lift.what", lang)), tag("div", rows, class_="sp-rows"))


def _alarm(alarm: AlarmDesk, lang: Lang) -> str:
    said = known("staff.alarm", alarm.code, lang)
    return f"{said} · {alarm.subject}" if alarm.subject else said


def _doing(session: SessionDesk, lang: Lang) -> str:
    if session.mode == "staff_release" and session.state == "asked":
        if "age" in session.needs:
            return t("staff.waiting_card", lang)
        if not session.declared:
            return t("staff.choosing", lang)
    return t(f"staff.state.{'opening' if session.state in _OPENING else session.state}", lang)


def _own_card(screen: Screen, state: DeskState, lang: Lang) -> Markup | None:
    """Who has not laid their own card today is asked to; afterwards a word that it is done."""
    if not any(c.mode == "staff_release" for c in state.cabinets) or screen.me is None:
        return None
    if screen.me.known:
        return tag("p", chip("ok", t("staff.know.done", lang)), class_="sp-calm")
    cabinets = readers_of(state, screen.me)
    ways = [
        tag(
            "div",
            tag("p", t("staff.know.says", lang, cabinet=_name(c, lang))),
            _button(t("staff.know.go", lang), "know", value=c.cabinet, go=True),
        )
        for c in cabinets
    ]
    title = t("staff.know.title", lang)
    return tag("section", tag("h2", title), ways, aria_label=title, class_="sp-card sp-said") if ways else None


def _home(screen: Screen, state: DeskState, lang: Lang) -> Markup:
    sessions = [
        tag("li", tag("strong", _name(c, lang)), tag("span", _doing(c.session, lang)))
        for c in state.cabinets
        if c.session is not None
    ]
    reviews = [
        _row(
            "review",
            r.session,
            "warn",
            _cabinet_of(r.cabinet, state, lang),
            known("staff.review.reason", r.reason, lang),
        )
        for r in state.reviews
    ]
    counts = [
        _row("count", place, "warn", _place(state, place, lang), t("staff.count.first", lang))
        for place in map(staff_count.place_of, state.counts)
    ]
    alarms = [
        tag(
            "li",
            tag("strong", _alarm(a, lang)),
            tag("span", t("staff.alarm.since", lang, n=age_text(a.since_s, lang))),
        )
        for a in state.alarms
    ]
    return tag(
        "div",
        tag("p", t("staff.home.calm", lang), class_="zg-soft sp-calm"),
        _own_card(screen, state, lang),
        _panel(t("staff.counts", lang), tag("div", counts, class_="sp-rows"), "counts", lang) if counts else None,
        _panel(t("staff.reviews", lang), tag("div", reviews, class_="sp-rows") if reviews else None, "reviews", lang),
        _panel(t("staff.sessions", lang), tag("ul", sessions) if sessions else None, "sessions", lang),
        _panel(t("staff.alarms", lang), tag("ul", alarms) if alarms else None, "alarms", lang),
        class_="sp-panels",
    )


def _panel(title: str, content: Markup | None, name: str, lang: Lang) -> Markup:
    shown = content or tag("p", icon("check"), t(f"staff.{name}.none", lang), class_="sp-none")
    return tag("section", tag("h2", title), shown, aria_label=title, class_="sp-card")
