"""The words of the store's pages as one catalogue, and the agent's words turned into sentences."""

from __future__ import annotations

from typing import Final

from edge.pages import kiosk_words, reason_words, staff_words
from look.i18n import Lang, add_catalogue, keys, t

ZH: Final = kiosk_words.ZH | staff_words.ZH | reason_words.ZH
EN: Final = kiosk_words.EN | staff_words.EN | reason_words.EN

# What the agent may call a reason, and the sentence it is told with. Rule ids come from table G.
_SAME: Final[dict[str, str]] = {
    "revoke": "revoked",
    "code_needed": "bad_code",
    "bad_request": "malformed",
    "bad_basket": "malformed",
    "bad_target": "unknown",
    "no_session": "gone",
    "no_such_compartment": "unknown",
    "not_adult": "age",
    "over_cap": "quantity",
    "no_proposal": "gone",
    "no_review": "gone",
    "no_such_shelf": "unknown",
    "not_revoked": "gone",
    "released_already": "gone",
    "stale": "gone",
    "no_licence": "licence",
    "cancelled": "left",
    "T01": "staff_absent",
    "T02": "denied",
    "T03": "age",
    "T04": "licence",
    "T05": "closed",
    "T06": "quantity",
    "T11": "denied",
    "T14": "ledger_full",
    "D.offline": "device_offline",
    "D.fence": "device_offline",
    "D.door": "blocked",
    "D.incident": "blocked",
    "D.weights": "blocked",
    "D.latch": "busy",
    "D.busy": "busy",
}

add_catalogue(zh=ZH, en=EN)


def reason(word: str, lang: Lang) -> str:
    """The sentence for the agent's word; a word we do not know gets the general sentence, never the word itself."""
    key = f"reason.{_SAME.get(word, word)}"
    return t(key if key in keys() else "reason.other", lang)


def known(prefix: str, word: str, lang: Lang) -> str:
    """The text of `prefix.word`, or of `prefix.other`."""
    key = f"{prefix}.{word}"
    return t(key if key in keys() else f"{prefix}.other", lang)
