"""Two languages, one set of keys. A page adds its own catalogue; a key that is missing is an error, not a blank."""

from __future__ import annotations

import string
from collections.abc import Mapping
from typing import Final, Literal, get_args

from look import words

Lang = Literal["zh", "en"]
LANGS: Final[tuple[Lang, ...]] = get_args(Lang)
DEFAULT_LANG: Final[Lang] = "zh"
HTML_LANG: Final[Mapping[Lang, Literal["zh-CN", "en-US"]]] = {"zh": "zh-CN", "en": "en-US"}

_catalogues: dict[Lang, dict[str, str]] = {"zh": {}, "en": {}}


def placeholders(text: str) -> frozenset[str]:
    """Names in braces: `"{n} of {total}"` -> `{"n", "total"}`."""
    return frozenset(name for _, name, _, _ in string.Formatter().parse(text) if name)


def add_catalogue(*, zh: Mapping[str, str], en: Mapping[str, str]) -> None:
    """Make `t` know these keys; both languages must hold the same keys with the same placeholders, or ValueError.

    Adding the same catalogue twice changes nothing; giving a known key another text is a ValueError.
    """
    if odd := sorted(zh.keys() ^ en.keys()):
        raise ValueError(f"catalogue: in one language only: {', '.join(odd)}")
    if odd := sorted(key for key in zh if placeholders(zh[key]) != placeholders(en[key])):
        raise ValueError(f"catalogue: other placeholders in the other language: {', '.join(odd)}")
    for lang, texts in (("zh", zh), ("en", en)):
        known = _catalogues["zh" if lang == "zh" else "en"]
        if odd := sorted(key for key in texts if known.get(key, texts[key]) != texts[key]):
            raise ValueError(f"catalogue: another page uses this key for another text: {', '.join(odd)}")
        known.update(texts)


def t(key: str, lang: Lang, **values: object) -> str:
    """The text of `key`, placeholders filled; KeyError names a key or a placeholder that is missing."""
    text = _catalogues[lang][key]
    return text.format(**values) if values else text


def keys() -> frozenset[str]:
    """All keys known now."""
    return frozenset(_catalogues[DEFAULT_LANG])


def choose_lang(*, asked: str | None, cookie: str | None, accept: str | None) -> Lang:
    """`?lang=` first, then the cookie, then the browser's `Accept-Language`, then Chinese."""
    for word in (asked, cookie, *(part.split(";")[0] for part in (accept or "")[:200].split(","))):
        head = (word or "").strip().lower()[:2]
        if head == "zh":
            return "zh"
        if head == "en":
            return "en"
    return DEFAULT_LANG


add_catalogue(zh=words.ZH, en=words.EN)
