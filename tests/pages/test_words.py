"""Every word the pages use is there in both languages, and none is there for nothing."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

from cloud_bridge.pages import words
from cloud_bridge.pages.fleet_query import STATES
from cloud_bridge.views import CompartmentView, DeviceView, EventView
from contracts import planogram
from look.i18n import placeholders

PAGES = Path(words.__file__).parent
SOURCE = "".join(path.read_text("utf-8") for path in PAGES.glob("*.py") if path.name != "words.py")


KINDS = (
    "lock_board", "scale", "scanner", "id_card", "camera", "climate", "fridge", "relay_inputs", "trial_unit", "rfid",
    "cashless", "age_device", "printer", "display", "people_counter",
)  # fmt: skip


def _literals(owner: type, field: str) -> tuple[str, ...]:
    return get_args(get_type_hints(owner)[field])


# Words that are put together at run time: prefix and the ends it may have.
FAMILIES = {
    "fleet.state": (*STATES, "all"),
    "fleet.col": ("store", "state", "seen", "region", "open", "devices", "stock", "visitors", "sales", "revenue"),
    "store.door": _literals(CompartmentView, "door"),
    "store.device": (*_literals(DeviceView, "state"),),
    "store.level": _literals(EventView, "level"),
    "store.mode": _literals(planogram.CabinetPlace, "mode"),
    "store.kind": {*KINDS, "uplink", "ledger"},  # the last two are at fault themselves
    # what devices show, by name: a name that is missing here is shown as it is
    "store.reading": [key.split(".")[-1] for key in words.EN if key.startswith("store.reading.")],
    "store.said": [key.split(".")[-1] for key in words.EN if key.startswith("store.said.")],
    "store.lane": ("ledger", "telemetry"),
}


def test_both_languages_say_the_same() -> None:
    assert words.ZH.keys() == words.EN.keys()
    assert [key for key in words.ZH if placeholders(words.ZH[key]) != placeholders(words.EN[key])] == []
    assert all(text.strip() for text in (*words.ZH.values(), *words.EN.values()))


def test_chinese_is_chinese_and_english_is_english() -> None:
    han = re.compile(r"[\u4e00-\u9fff]")
    assert [key for key, text in words.EN.items() if han.search(text)] == []
    assert [key for key, text in words.ZH.items() if not han.search(text)] == ["fleet.page"]


@pytest.mark.parametrize("family", FAMILIES)
def test_every_word_of_a_family_is_there(family: str) -> None:
    assert {f"{family}.{end}" for end in FAMILIES[family]} <= words.ZH.keys()


def test_every_word_the_pages_ask_for_is_there_and_is_asked_for() -> None:
    asked = set(re.findall(r"""["']((?:fleet|store|bridge)\.[a-z_.]+)["']""", SOURCE))
    made = {f"{family}.{end}" for family, ends in FAMILIES.items() for end in ends}
    assert asked - words.ZH.keys() - FAMILIES.keys() == set()
    assert words.ZH.keys() - asked - made == set()
