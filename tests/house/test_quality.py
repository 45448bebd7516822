"""A tier is what its evidence says: the named tests are there, the page tells what they come to."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import msgspec
import pytest

from device_drivers.family import families
from device_drivers.quality import RULES, Evidence, Quality, quality
from tests.device_drivers.test_conformance import CODECS, DRIVERS

ROOT = Path(__file__).parents[2]
OF_CASES = "tests/device_drivers/test_conformance.py"


BESIDE = runpy.run_path(str(ROOT / "docs/make_families.py"))["BESIDE"]


def test_every_driver_has_a_tier() -> None:
    folders = {path.parent.name for path in (ROOT / "device_drivers").glob("*/__init__.py")}
    told = {path.parent.name for path in (ROOT / "device_drivers").glob("*/quality.toml")}
    assert told == families().keys() | BESIDE.keys()
    assert folders - told <= {"profiles"}


@pytest.mark.parametrize("name", [*families(), *BESIDE])
def test_the_evidence_is_there(name: str) -> None:
    for rule, tests in quality(name).evidence.held.items():
        for test in tests:
            path, _, function = test.partition("::")
            assert (ROOT / path).exists(), f"{name}, {rule}: there is no {path}"
            if function:
                assert re.search(rf"def {function}\(", (ROOT / path).read_text()), f"{name}, {rule}: no {function}"
            if path == OF_CASES:
                wanted = CODECS if "read_aloud" in function else DRIVERS
                cases = [case.name for case in wanted if case.name.startswith(f"{name}: ")]
                assert cases, f"{name}, {rule}: the suite has no case of it"


def test_the_page_of_families_is_up_to_date() -> None:
    made = runpy.run_path(str(ROOT / "docs/make_families.py"))["page"]()
    assert (ROOT / "docs/families/README.md").read_text() == made, "run: python docs/make_families.py"


ALL = [rule for rules in RULES.values() for rule in rules]


@pytest.mark.parametrize(
    ("held", "tier"),
    [
        ([], "none"),
        (["vectors", "suite"], "none"),
        (["vectors", "suite", "told_once"], "bronze"),
        (["vectors", "suite", "told_once", "trace", "fuzzed", "independent", "documented"], "bronze"),  # no silver: no gold
        ([rule for rule in ALL if rule != "fuzzed"], "silver"),
        (ALL, "gold"),
    ],
)  # fmt: skip
def test_a_tier_needs_all_below_it(held: list[str], tier: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "toaster").mkdir()
    lines = "".join(f'{rule} = ["x"]\n' for rule in held)
    (tmp_path / "toaster/quality.toml").write_text(f"[held]\n{lines}")
    monkeypatch.setattr("device_drivers.quality.files", lambda _package: tmp_path)
    found: Quality = quality("toaster")
    assert found.tier == tier
    assert set(found.missing).isdisjoint(held)


@pytest.mark.parametrize("text", ["[held]\nshiny = ['x']\n", "[held]\nsuite = []\n", "tier = 'gold'\n[held]\n"])
def test_evidence_that_is_none(text: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "toaster").mkdir()
    (tmp_path / "toaster/quality.toml").write_text(text)
    monkeypatch.setattr("device_drivers.quality.files", lambda _package: tmp_path)
    with pytest.raises((ValueError, msgspec.ValidationError)):
        quality("toaster")


def test_hardware_is_said_to_be_met_only_where_it_was() -> None:
    assert Evidence(held={}).hardware == "simulator only"
