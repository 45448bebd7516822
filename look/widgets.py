"""Small drawings every page uses: state, time, numbers, money, and the four blocks for what is not there."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Final, Literal

from look.i18n import Lang, t
from look.icons import icon
from look.markup import Markup, join, tag

State = Literal["ok", "attention", "fault", "rest"]
STATE_ICON: Final[dict[State, str]] = {"ok": "check", "attention": "warn", "fault": "cross", "rest": "dash"}
_BLOCKS: Final[dict[str, tuple[str, str | None]]] = {  # icon, role
    "empty": ("info", None),
    "loading": ("clock", "status"),
    "stale": ("warn", "status"),
    "error": ("cross", "alert"),
}
BEIJING: Final = timezone(timedelta(hours=8))  # all of China keeps one time, without summer time


def chip(state: State, word: str, *, icon_name: str | None = None) -> Markup:
    """A state as icon + word + colour, never colour alone."""
    return tag("span", icon(icon_name or STATE_ICON[state]), tag("span", word), class_=f"zg-chip zg-s-{state}")


def absolute_time(time_ms: int, *, zone: timezone = BEIJING) -> str:
    """`2026-11-22 16:40:08 UTC+08:00`."""
    moment = datetime.fromtimestamp(time_ms / 1000, UTC).astimezone(zone)
    return f"{moment:%Y-%m-%d %H:%M:%S} {moment.tzname()}"


def clock_time(time_ms: int, *, now_ms: int, zone: timezone = BEIJING) -> str:
    """`16:40:08`; with the month and the day in front when it was not today."""
    moment = datetime.fromtimestamp(time_ms / 1000, UTC).astimezone(zone)
    today = datetime.fromtimestamp(now_ms / 1000, UTC).astimezone(zone).date()
    return f"{moment:%H:%M:%S}" if moment.date() == today else f"{moment:%m-%d %H:%M}"


def age_text(age_s: float, lang: Lang) -> str:
    """`just now`, `20 s ago`, `3 min ago`: coarse, so that a page changes rarely. Under -5 s: in the future."""
    if age_s < -5:
        return t("look.soon", lang)
    if age_s < 5:
        return t("look.now", lang)
    if age_s < 60:
        return t("look.seconds", lang, n=int(age_s // 5 * 5))
    if age_s < 3600:
        return t("look.minutes", lang, n=int(age_s // 60))
    if age_s < 86400:
        return t("look.hours", lang, n=int(age_s // 3600))
    return t("look.days", lang, n=int(age_s // 86400))


def relative_time(time_ms: int, *, now_ms: int, lang: Lang) -> Markup:
    """How long ago, with the absolute time on hover; `time_ms` 0 is never."""
    if time_ms <= 0:
        return tag("span", t("look.never", lang), class_="zg-soft")
    text = age_text((now_ms - time_ms) / 1000, lang)
    stamp = datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return tag("time", text, datetime=stamp, title=absolute_time(time_ms))


def number(value: int, unit: str = "") -> Markup:
    """`12,345 unit`: tabular figures, the unit in a softer colour."""
    return tag("span", f"{value:,}", tag("span", f" {unit}", class_="zg-unit") if unit else None, class_="zg-num")


def money(amount_fen: int) -> Markup:
    """Fen as yuan: 350 -> `¥3.50`, -5 -> `−¥0.05`."""
    return tag("span", money_text(amount_fen), class_="zg-num")


def money_text(amount_fen: int) -> str:
    """Fen as yuan, as plain text."""
    yuan, fen = divmod(abs(amount_fen), 100)
    return f"{'−' if amount_fen < 0 else ''}¥{yuan:,}.{fen:02d}"


def hidden_text(text: str) -> Markup:
    """Words for screen readers only."""
    return tag("span", text, class_="zg-sr")


def _block(kind: str, state: State, title: str, body: Sequence[object]) -> Markup:
    picture, role = _BLOCKS[kind]
    head = tag("div", icon(picture), tag("strong", title), class_="zg-block-head")
    text = [tag("p", line) if isinstance(line, str) and not isinstance(line, Markup) else line for line in body]
    return tag("div", head, text, class_=f"zg-block zg-block-{kind} zg-s-{state}", role=role)


def empty_block(title: str, *body: object) -> Markup:
    """Nothing here yet, and what to do about it. `body`: strings become paragraphs, Markup stays."""
    return _block("empty", "rest", title, body)


def loading_block(lang: Lang) -> Markup:
    """Something is on its way."""
    return _block("loading", "rest", t("look.loading", lang), ())


def stale_block(title: str, *body: object) -> Markup:
    """What stands below is old; how old belongs into the text."""
    return _block("stale", "attention", title, body)


def error_block(title: str, *body: object) -> Markup:
    """It could not be shown; what happened and what the reader can do."""
    return _block("error", "fault", title, body)


def facts(*pairs: tuple[str, object]) -> Markup:
    """Labels with values, as a definition list that flows into columns."""
    return tag("dl", (tag("div", tag("dt", label), tag("dd", value)) for label, value in pairs), class_="zg-facts")


def card(title: str, *body: object, level: int = 2, aside: object = None, id_: str | None = None) -> Markup:
    """A titled card; `aside` stands at the right of the title."""
    head = tag("div", tag(f"h{level}", title), aside, class_="zg-card-head")
    return tag("div", head, join(*body), class_="zg-card", id=id_)
