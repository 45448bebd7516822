"""The sentences of docs/wire.md: rows of its tables, what its headings define, and what stands between full stops."""

from __future__ import annotations

import re
from pathlib import Path

WIRE = Path(__file__).parents[2] / "docs/wire.md"
NOT_NORMATIVE = "What stands of it"
_CUT = re.compile(r"(?<=\.)\s+(?=[A-Z`*{(])")
_LEAD = re.compile(r"^\*\*[^*]+\.\*\*\s+")  # words that open a paragraph as a heading would


def normative(text: str | None = None) -> list[str]:
    """Every sentence that somebody may rely on, in the document's order."""
    found: list[str] = []
    block: list[str] = []

    def close() -> None:
        if block:
            found.extend(part.strip() for part in _CUT.split(_LEAD.sub("", " ".join(block))))
            block.clear()

    for line in (WIRE.read_text(encoding="utf-8") if text is None else text).splitlines():
        if line.startswith("#"):
            close()
            if line.strip("# ") == NOT_NORMATIVE:
                break
            if (defined := re.search(r"; (.+)\)$", line)) is not None:
                found.append(defined[1])
        elif line.startswith("|"):
            close()
            if not line.startswith(("|---", "| topic |")):
                found.append(line.strip("| "))
        elif not line.strip():
            close()
        else:
            if line.startswith("- "):
                close()
            block.append(line.removeprefix("- ").strip())
    close()
    return found
