"""After a card was read nothing of its owner is left: not in a log, an event, an error or an object, and not in memory.

A process of its own reads a simulated card over a real terminal and lays itself open. It is told nothing of the card,
so each find is a leak. Planted leaks show that the search would find one.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from random import Random

import pytest

from simulators.hardware.faults import FaultPlan, Faults
from simulators.hardware.id_card import PHOTO_BYTES, Card, IdCardReader
from simulators.hardware.pty_port import PtyPort

ROOT = Path(__file__).parents[2]
CHILD = Path(__file__).with_name("card_child.py")
CARD = Card("000000199001010018", name="样本欧阳锦绣华", address="样本省样本市无此路九九九号楼十单元", valid_to="长期")
PHOTO = bytes(i * 7 % 256 for i in range(PHOTO_BYTES))  # as the simulator makes it

SECRETS = {
    "name": CARD.name,
    "number": CARD.number,
    "birthday": CARD.number[6:14],
    "address": CARD.address,
    "part of the name": CARD.name[2:],
    "part of the number": CARD.number[4:],
    "part of the address": CARD.address[-8:],
}
FORMS = {
    **{f"{what} as {f}": text.encode(f) for what, text in SECRETS.items() for f in ("utf-16-le", "utf-8", "gbk")},
    **{f"{what} as hex": text.encode("utf-16-le").hex().encode() for what, text in SECRETS.items()},
    **{f"{what} as repr": repr(text.encode("utf-16-le"))[2:-1].encode() for what, text in SECRETS.items()},
    "photo": PHOTO[100:164],
}


async def laid_open(folder: Path, leak: str, plan: FaultPlan | None = None) -> dict[str, set[str]]:
    """What a process that read cards still holds, by place."""
    reader = IdCardReader()
    reader.card = CARD
    port = PtyPort(folder / "card", reader, Faults(rng=Random(5), plan=plan or FaultPlan()))
    port.plug()
    try:
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            CHILD,
            port.path,
            folder,
            leak,
            cwd=ROOT,
            env={"PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "0"},
        )
        try:
            assert await asyncio.wait_for(child.wait(), 60) == 0
        finally:
            if child.returncode is None:
                child.kill()
                await child.wait()
    finally:
        port.unplug()
    assert reader.counters["cards_read"] > 0
    return {
        place: {what for what, form in FORMS.items() if form in data}
        for place in ("memory", "objects", "said")
        if (data := (folder / place).read_bytes())
    }


NOTHING = {"memory": set(), "objects": set(), "said": set()}


async def test_nothing_of_a_person_is_left_after_reading(tmp_path: Path):
    left = await laid_open(tmp_path, "none")
    said = (tmp_path / "said").read_text()
    assert said.count("adult=True, doc_valid=True") == 5  # it did read the card
    assert "port is open" in said  # it did hear the log
    assert (tmp_path / "memory").stat().st_size > 5_000_000
    assert b"a key of one day" in (tmp_path / "memory").read_bytes()  # what is in memory is found there
    assert b"a key of one day" in (tmp_path / "objects").read_bytes()
    assert left == NOTHING


@pytest.mark.parametrize(
    ("manner", "plan"),
    [
        ("none", FaultPlan(corrupt_p=0.4)),  # answers with a wrong bit
        ("impatient", FaultPlan()),  # answers for which nobody waits any more
    ],
)
async def test_nothing_is_left_of_answers_that_were_not_believed(tmp_path: Path, manner: str, plan: FaultPlan):
    left = await laid_open(tmp_path, manner, plan)
    assert "failed" in (tmp_path / "said").read_text()
    assert left == NOTHING


@pytest.mark.parametrize(
    ("leak", "found"),
    [
        # the mistake, where it must be found and as what
        ("keeps", {"objects": "number as utf-16-le", "memory": "number as utf-16-le"}),
        ("decodes", {"objects": "part of the name as utf-8", "memory": "part of the name as utf-16-le"}),
        ("complains", {"said": "number as utf-8"}),
        ("copies", {"memory": "address as utf-16-le"}),  # copies that were let go at once
        ("slices", {"memory": "address as utf-16-le"}),  # a slice of a buffer is a copy
        ("strides", {"memory": "number as utf-8"}),  # so is every other byte
        ("assigns", {"memory": "photo"}),  # so is a view that is assigned to a slice
        ("plain port", {"objects": "number as utf-16-le", "memory": "photo"}),  # a port that hands out immutable bytes
        ("does not wipe", {"objects": "number as utf-16-le"}),
    ],
)
async def test_a_planted_leak_is_found(tmp_path: Path, leak: str, found: dict[str, str]):
    left = await laid_open(tmp_path, leak)
    assert {place: what for place, what in found.items() if what not in left[place]} == {}
