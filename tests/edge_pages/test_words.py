"""Every word of the store's pages stands in both languages, and every reason of the agent is told as a sentence."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

from edge.pages import words
from edge.pages.kiosk_view import Kind as KioskKind
from edge.pages.staff_view import REFUSALS
from look.i18n import LANGS, Lang, t

PAGES = Path(words.__file__).parent


def test_no_text_is_blank_or_the_same_in_both_languages() -> None:
    assert words.ZH.keys() == words.EN.keys()
    assert [k for k in words.ZH if not words.ZH[k].strip() or words.ZH[k] == words.EN[k]] == []


@pytest.mark.parametrize("text", words.EN.values())
def test_english_is_english(text: str) -> None:
    assert not re.search(r"[\u3000-\u9fff\uff00-\uffef]", text)


def test_every_key_in_the_code_is_known() -> None:
    """Literal keys only; those built from a value are tested below, one by one."""
    used = {
        key for file in PAGES.glob("*.py") for key in re.findall(r"\bt\(\s*\"([a-z_.]+)\"", file.read_text("utf-8"))
    }
    assert used
    assert used <= words.ZH.keys()


@pytest.mark.parametrize("lang", LANGS)
def test_every_screen_has_a_heading(lang: Lang) -> None:
    for kind in get_args(KioskKind):
        if kind not in ("starting", "id_card", "welcome", "pull"):  # their own keys, found above
            assert t(f"kiosk.{kind}.title", lang)
    for word in REFUSALS:
        assert t(f"staff.refuse.{word}", lang)


@pytest.mark.parametrize("lang", LANGS)
@pytest.mark.parametrize(
    "word",
    [
        *("busy", "blocked", "staff_absent", "device_offline", "revoked", "denied", "count_due"),  # of a compartment
        *("revoke", "T01", "T02", "T03", "T04", "T05", "T06", "T11", "T14"),  # rules of the gate
        *("D.offline", "D.fence", "D.door", "D.incident", "D.weights", "D.latch", "D.busy"),  # of the devices
        *("no_session", "no_such_compartment", "not_ready", "no_licence", "closed", "starting", "bad_basket"),
        *("age_needed", "no_proposal", "no_review", "no_such_shelf", "not_adult", "not_revoked", "nothing_declared"),
        *("over_cap", "over_hold", "released_already", "stale", "too_late", "not_due"),  # of the tables
        *("agent_unreachable", "malformed", "too_many_asks"),  # of the socket
        *("wrong_pin", "locked_out", "pin_required", "not_on_duty", "not_manager"),  # of staff
    ],
)
def test_a_reason_is_a_sentence_of_its_own(word: str, lang: Lang) -> None:
    said = words.reason(word, lang)
    assert said != t("reason.other", lang)
    assert said.endswith("。" if lang == "zh" else ".")


@pytest.mark.parametrize("word", ["", "quantum_flux", "{0}", "<b>"])
def test_an_unknown_reason_is_told_without_its_word(word: str) -> None:
    assert words.reason(word, "en") == t("reason.other", "en")


@pytest.mark.parametrize("lang", LANGS)
def test_nothing_sells_tobacco(lang: Lang) -> None:
    """T12: no word of gift, discount or praise in what a staffed cabinet says."""
    texts = words.ZH if lang == "zh" else words.EN
    said = " ".join(
        v for k, v in texts.items() if k.startswith(("kiosk.begin", "kiosk.id", "kiosk.goods", "kiosk.waiting"))
    )
    assert not re.search(
        r"优惠|折|赠|礼|热卖|推荐|积分|discount|gift|free|offer|points|best|special", said, re.IGNORECASE
    )
