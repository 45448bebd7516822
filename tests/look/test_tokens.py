"""The colours are readable: WCAG AA for every pair that carries text or shape, in light and in dark."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from look import tokens

THEMES = {"light": tokens.LIGHT, "dark": tokens.DARK}
LOOK = Path(tokens.__file__).parent


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize(("front", "ground"), tokens.TEXT_PAIRS)
def test_text_is_readable(theme: str, front: str, ground: str) -> None:
    assert tokens.contrast(THEMES[theme][front], THEMES[theme][ground]) >= 4.5


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize(("front", "ground"), tokens.SHAPE_PAIRS)
def test_shapes_stand_out(theme: str, front: str, ground: str) -> None:
    assert tokens.contrast(THEMES[theme][front], THEMES[theme][ground]) >= 3


@pytest.mark.parametrize(
    ("one", "other", "ratio"),
    [
        ("#000000", "#ffffff", 21.0),  # the widest there is
        ("#ffffff", "#000000", 21.0),  # the order does not matter
        ("#777777", "#ffffff", 4.478),  # the well-known grey that just fails
        ("#767676", "#ffffff", 4.542),  # and the one that just passes
        ("#b5341c", "#b5341c", 1.0),  # nothing on itself
    ],
)
def test_contrast_is_the_one_of_wcag(one: str, other: str, ratio: float) -> None:
    assert tokens.contrast(one, other) == pytest.approx(ratio, abs=0.001)


def test_both_themes_name_the_same_tokens() -> None:
    assert tokens.LIGHT.keys() == tokens.DARK.keys()


def test_the_stylesheet_uses_only_tokens_that_exist() -> None:
    styles = (LOOK / "look.css").read_text("utf-8")
    used = set(re.findall(r"var\(--zg-([a-z-]+)\)", styles))
    own = set(re.findall(r"--zg-([a-z-]+):", styles))
    assert used <= own | tokens.LIGHT.keys()


def test_the_stylesheet_names_no_colour_and_no_other_host() -> None:
    styles = (LOOK / "look.css").read_text("utf-8")
    assert not re.findall(r"#[0-9a-f]{3,8}\b(?=\s*[;,)])", styles, re.IGNORECASE)
    assert "http" not in styles + (LOOK / "look.js").read_text("utf-8")


def test_css_carries_both_themes_and_the_switch() -> None:
    css = tokens.css()
    assert f"--zg-accent:{tokens.LIGHT['accent']};" in css
    assert css.count(f"--zg-accent:{tokens.DARK['accent']};") == 2  # by the system's wish and by the switch
    assert ":root[data-theme=dark]" in css
    assert "prefers-color-scheme:dark" in css
