"""A codec or state machine that somebody adds is under the contract `pure-cores`, or this says its line."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONTRACT = next(
    contract
    for contract in tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    if contract["id"] == "pure-cores"
)
LISTED = {name for name in CONTRACT["source_modules"] if name.startswith("device_drivers.")}
# What a module imports that is no core: what the contract forbids, the system, files, code that is loaded by name.
OUTSIDE = {*CONTRACT["forbidden_modules"], "fcntl", "importlib", "os", "pathlib", "socket", "subprocess", "termios"}


def modules(root: Path) -> dict[str, ast.Module]:
    """Every module of the drivers but the packages' own, by its name."""
    return {
        ".".join(path.relative_to(root).with_suffix("").parts): ast.parse(path.read_text())
        for path in root.glob("device_drivers/**/*.py")
        if path.name != "__init__.py"
    }


def imported(tree: ast.Module, known: set[str]) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= (inner & known) or {str(node.module)}
    return names


def pure(root: Path) -> set[str]:
    """Modules that wait for nothing and import nothing from outside, nor a module that does."""
    trees = modules(root)
    imports = {name: imported(tree, set(trees)) for name, tree in trees.items()}
    shells = {name for name, others in imports.items() if {other.split(".")[0] for other in others} & OUTSIDE}
    while more := {name for name, others in imports.items() if others & shells} - shells:
        shells |= more
    waiting = {name for name, tree in trees.items() if any(isinstance(n, ast.AsyncFunctionDef) for n in ast.walk(tree))}
    return set(trees) - shells - waiting


def forgotten(root: Path, listed: set[str]) -> set[str]:
    """What belongs under the contract: all that is pure, and what bears the name of a core, so that it must be."""
    leaves = {name.rsplit(".", 1)[1] for name in listed}
    cores = {name for name in modules(root) if name.rsplit(".", 1)[1] in leaves}
    return (pure(root) | cores) - listed


def test_every_core_of_the_drivers_is_under_the_contract() -> None:
    lines = "\n".join(f'    "{name}",' for name in sorted(forgotten(ROOT, LISTED)))
    assert not lines, f"pyproject.toml, source_modules of the contract pure-cores, lacks\n{lines}"


def test_what_is_under_the_contract_is_there_once() -> None:
    assert sorted(LISTED - set(modules(ROOT))) == []
    assert len(CONTRACT["source_modules"]) == len(set(CONTRACT["source_modules"]))


@pytest.mark.parametrize(
    ("file", "text", "found"),
    [
        ("toaster/codec.py", "import struct", True),  # a core that nobody has listed
        ("toaster/crumbs.py", "from device_drivers.errors import X", True),  # whatever its name is
        ("toaster/codec.py", "import asyncio", True),  # a core by its name, and none by what it does
        ("toaster/machine.py", "import time", True),  # the same
        ("toaster/driver.py", "import asyncio", False),  # a shell
        ("toaster/driver.py", "from device_drivers.toaster import heat", False),  # a shell by what it leans on
        ("toaster/driver.py", "async def run(): pass", False),  # a shell that is given all it needs
        ("toaster/__init__.py", "from device_drivers.toaster.heat import go", False),  # a package only hands on
    ],
)
def test_a_new_core_is_found(file: str, text: str, found: bool, tmp_path: Path) -> None:
    folder = tmp_path / "device_drivers/toaster"
    folder.mkdir(parents=True)
    (folder.parent / "errors.py").write_text("")
    (folder / "heat.py").write_text("import serial")
    (tmp_path / "device_drivers" / file).write_text(text)
    listed = {"device_drivers.errors", "device_drivers.other.codec", "device_drivers.other.machine"}
    name = "device_drivers." + file.removesuffix(".py").replace("/", ".")
    assert forgotten(tmp_path, listed) == ({name} if found else set())
