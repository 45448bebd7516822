"""What we lean on: exact versions without addresses, and no stranger under our own names."""

from __future__ import annotations

import importlib.metadata
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
OURS = {
    "contracts",
    "device_drivers",
    "models",
    "look",
    "mqtt_link",
    "edge",
    "cloud_bridge",
    "simulators",
    "zhanggui",
    "tests",
    "benchmarks",
}
LOCKED = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if line and not line.startswith("#")]


def test_constraints_are_exact_and_hold_no_address():
    assert [line for line in LOCKED if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+!_-]+", line)] == []


def test_every_installed_package_is_locked():
    locked = {re.sub(r"[-_.]+", "-", line.split("==")[0]).lower() for line in LOCKED}
    installed = {re.sub(r"[-_.]+", "-", d.metadata["Name"]).lower() for d in importlib.metadata.distributions()}
    assert installed - locked - {"zhanggui", "pip", "setuptools", "wheel"} == set()


def test_no_dependency_owns_one_of_our_top_level_names():
    strangers = {
        (name, owner)
        for name, owners in importlib.metadata.packages_distributions().items()
        if name in OURS
        for owner in owners
        if owner != "zhanggui"
    }
    assert strangers == set()
