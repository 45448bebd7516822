"""How far a family has been proven: a tier, computed from evidence that a test of the house checks.

Beside each `family.py` stands a `quality.toml`: for each rule of a tier the tests that hold it. A tier is reached when
every rule of it and of those below is held. None of it says that real hardware was met: that is `hardware`.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from importlib.resources import files
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Tier = Literal["none", "bronze", "silver", "gold"]
RULES: dict[Tier, dict[str, str]] = {
    "bronze": {
        "vectors": "published frames are read and written byte for byte",
        "suite": "its simulator passes the shared suite over every kind of line",
        "told_once": "a device that goes is told once, and once when it is back",
    },
    "silver": {
        "reconnect": "a cable pulled at every kind of moment costs nothing but time",
        "expiry": "what waited too long is never sent",
        "soak": "a day of virtual time with unplugs leaves nothing behind",
    },
    "gold": {
        "trace": "every frame can be read aloud",
        "fuzzed": "coverage-guided fuzzing finds nothing",
        "independent": "it met an implementation that is not ours, or a simulator written from the tables alone",
        "documented": "a page says how it is set up, what was proven and what was not",
    },
}
Names = Annotated[list[Annotated[str, Meta(max_length=200)]], Meta(min_length=1, max_length=8)]


class Evidence(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `quality.toml`: tests by rule, as `path::name` or a path; and on which hardware it ran."""

    held: dict[str, Names]
    hardware: Annotated[str, Meta(max_length=200)] = "simulator only"


@dataclass(frozen=True, slots=True)
class Quality:
    """A family's tier, and the rules that the next one asks for."""

    tier: Tier
    missing: tuple[str, ...]
    evidence: Evidence


def quality(folder: str) -> Quality:
    """What `device_drivers/<folder>/quality.toml` comes to. Raises ValueError for a rule that there is not."""
    text = files("device_drivers").joinpath(folder, "quality.toml").read_text(encoding="utf-8")
    evidence = msgspec.convert(tomllib.loads(text), Evidence)
    if unknown := set(evidence.held) - {rule for rules in RULES.values() for rule in rules}:
        raise ValueError(f"{folder}/quality.toml: there is no rule {', '.join(sorted(unknown))}")
    tier: Tier = "none"
    for name, rules in RULES.items():
        missing = tuple(rule for rule in rules if rule not in evidence.held)
        if missing:
            return Quality(tier, missing, evidence)
        tier = name
    return Quality(tier, (), evidence)
