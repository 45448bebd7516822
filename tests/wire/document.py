"""The sentences of docs/wire.md: rows of its table of topics, and what stands between full stops elsewhere."""

from __future__ import annotations

import re
from pathlib import Path

WIRE = Path(__file__).parents[2] / "docs/wire.md"
NOT_NORMATIVE = "What stands of it"
_END = re.compile(r"(?<=[.:!?])\*{0,2}(?:\s+)(?=[A-Z`*{])")
_KEEP = re.compile(r"(?:e\.g\.|≤|\d\.\d|:)$")


def sections() -> dict[str, list[str]]:
    """The sentences of each section, by its heading; what stands before the first one under ""."""
    found: dict[str, list[str]] = {"": []}
    here = ""
    block: list[str] = []

    def close() -> None:
        if block:
            found[here] += sentences(" ".join(block))
            block.clear()

    for line in WIRE.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            close()
            here = "" if line.startswith("# ") else line.lstrip("# ").strip()
            found.setdefault(here, [])
        elif line.startswith("|"):
            close()
            if not line.startswith(("|---", "| topic |")):
                found[here].append(line.strip("| "))
        elif not line.strip():
            close()
        elif line.startswith("- "):
            close()
            block.append(line[2:].strip())
        else:
            block.append(line.strip())
    close()
    return {name: said for name, said in found.items() if name != NOT_NORMATIVE}


def sentences(text: str) -> list[str]:
    """`text` cut after each full stop that ends a sentence."""
    parts = re.split(r"(?<=\.)(?:\*\*)?\s+(?=[A-Z`*{(])", text)
    return [part.strip().removesuffix("**") if part.count("**") % 2 else part.strip() for part in parts if part.strip()]


def normative() -> list[str]:
    """Every sentence that somebody may rely on, in the document's order."""
    return [sentence for said in sections().values() for sentence in said]
