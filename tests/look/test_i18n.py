"""Both languages say the same things; a missing word is an error."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from look import i18n, words

ROOT = Path(i18n.__file__).parents[1]


@pytest.fixture(autouse=True)
def own_catalogues(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test adds is gone after it."""
    monkeypatch.setattr(i18n, "_catalogues", {lang: dict(texts) for lang, texts in i18n._catalogues.items()})


def test_the_frame_speaks_both_languages() -> None:
    assert words.ZH.keys() == words.EN.keys()
    assert all(text.strip() for text in (*words.ZH.values(), *words.EN.values()))


def test_every_word_the_frame_asks_for_is_there() -> None:
    asked = set()
    for path in (ROOT / "look").glob("*.py"):
        asked |= set(re.findall(r'\bt\(\s*"([a-z.]+)"', path.read_text("utf-8")))
    assert asked  # the search itself works
    assert asked <= i18n.keys()


def test_t_fills_placeholders() -> None:
    assert i18n.t("look.minutes", "zh", n=3) == "3 分钟前"
    assert i18n.t("look.minutes", "en", n=3) == "3 min ago"


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("look.no_such_key", {}),  # a key nobody wrote
        ("look.minutes", {"m": 3}),  # a placeholder nobody filled
    ],
)
def test_a_missing_word_is_an_error(key: str, values: dict[str, int]) -> None:
    with pytest.raises(KeyError):
        i18n.t(key, "en", **values)


@pytest.mark.parametrize(
    ("zh", "en", "complaint"),
    [
        ({"x.a": "甲", "x.b": "乙"}, {"x.a": "a"}, "one language only: x.b"),  # not translated to English
        ({"x.a": "甲"}, {"x.a": "a", "x.c": "c"}, "one language only: x.c"),  # not translated to Chinese
        ({"x.a": "{n} 件"}, {"x.a": "{m} units"}, "placeholders in the other language: x.a"),
        ({"look.never": "永不"}, {"look.never": "never"}, "another text: look.never"),  # a key of the frame
    ],
)
def test_a_catalogue_with_a_hole_is_refused(zh: dict[str, str], en: dict[str, str], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        i18n.add_catalogue(zh=zh, en=en)


def test_a_catalogue_may_be_added_again() -> None:
    for _ in range(2):
        i18n.add_catalogue(zh={"x.a": "甲"}, en={"x.a": "a"})
    assert i18n.t("x.a", "zh") == "甲"


@pytest.mark.parametrize(
    ("asked", "cookie", "accept", "lang"),
    [
        ("en", "zh", "zh-CN", "en"),  # the address wins
        (None, "en", "zh-CN", "en"),  # then the cookie
        (None, None, "de-DE,en;q=0.8,zh;q=0.5", "en"),  # then the browser, first language we speak
        (None, None, "ZH-TW", "zh"),  # case does not matter
        ("fr", "xx", "de", "zh"),  # nothing we speak
        (None, None, None, "zh"),  # nothing said
        (None, None, "x" * 100_000 + ",en", "zh"),  # a header of any length is read to 200 signs
    ],
)
def test_choose_lang(asked: str | None, cookie: str | None, accept: str | None, lang: str) -> None:
    assert i18n.choose_lang(asked=asked, cookie=cookie, accept=accept) == lang
