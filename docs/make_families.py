"""Writes docs/families/README.md: every device family with its tier. `python docs/make_families.py` after a change."""

from __future__ import annotations

from pathlib import Path

from device_drivers.family import families
from device_drivers.quality import RULES, quality

PAGE = Path(__file__).parent / "families/README.md"
HEAD = """# Device families

What zhanggui speaks, and how far each family is proven. The table is made from the families themselves and from the
`quality.toml` beside each (`python docs/make_families.py`); a test checks that the named evidence is there and that
this page is up to date. [How to add a family of your own](../drivers.md).

设备协议族一览：每一族的验证等级由 `quality.toml` 中列出的测试证据计算得出。

"""


def page() -> str:
    """The whole page."""
    lines = [HEAD, "| family | what | 设备 | tier | asked for next | hardware |\n|---|---|---|---|---|---|\n"]
    for name, family in families().items():
        found = quality(name)
        told = next((Path(place).name for place in found.evidence.held.get("documented", ())), "")
        title = f"[{family.title}]({told})" if told else family.title
        wanted = ", ".join(found.missing) or "–"
        lines.append(
            f"| `{name}` | {title} | {family.title_zh} | {found.tier} | {wanted} | *{found.evidence.hardware}* |\n"
        )
    lines.append("\n## What a tier asks for\n")
    for tier, rules in RULES.items():
        lines.append(f"\n**{tier}**\n\n")
        lines += [f"- `{rule}`: {meaning}\n" for rule, meaning in rules.items()]
    return "".join(lines)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
