"""The example of a driver of another house, run as that house would run it; and the page that walks through it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples/acme-climate"
PAGE = ROOT / "docs/drivers.md"
BLOCK = re.compile(r"<!-- (examples/\S+) -->\n\n```\w+\n(.*?)```\n", re.DOTALL)


@pytest.fixture
def installed(tmp_path: Path) -> dict[str, str]:
    """The example as pip would put it somewhere, with its entry point; the environment that sees it."""
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    site = tmp_path / "site"
    shutil.copytree(EXAMPLE / "src", site)
    info = site / "acme_climate-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    groups = (
        f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in points.items())
        for group, points in project["entry-points"].items()
    )
    (info / "entry_points.txt").write_text("\n".join(groups))
    shutil.copytree(EXAMPLE, tmp_path / "acme-climate", ignore=shutil.ignore_patterns("__pycache__", ".pytest_cache"))
    return {**os.environ, "PYTHONPATH": str(site), "PYTHONDONTWRITEBYTECODE": "1"}


def ran(words: list[str], folder: Path, env: dict[str, str]) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *words], cwd=folder, env=env, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_example_passes_its_own_tests(installed: dict[str, str], tmp_path: Path) -> None:
    said = ran(["pytest", "-q", "-p", "no:cacheprovider"], tmp_path / "acme-climate", installed)
    assert re.search(r"\b\d\d passed", said), said
    assert "failed" not in said
    assert "skipped" not in said


def test_the_command_line_knows_the_family_of_the_example(installed: dict[str, str], tmp_path: Path) -> None:
    assert "acme_climate" in ran(["zhanggui", "device", "list", "--json"], tmp_path, installed)


def test_the_page_shows_the_files_as_they_are() -> None:
    shown = dict(BLOCK.findall(PAGE.read_text()))
    assert len(shown) >= 4
    for name, text in shown.items():
        assert text == (ROOT / name).read_text(), f"docs/drivers.md shows another {name}"


def test_the_driver_takes_at_most_sixty_lines() -> None:
    written = (EXAMPLE / "src/acme_climate/__init__.py").read_text().splitlines()
    assert sum(bool(line.strip()) for line in written) <= 60
