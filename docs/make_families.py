"""Writes docs/families/README.md: every device family with its tier. `python docs/make_families.py` after a change."""

from __future__ import annotations

from pathlib import Path

from device_drivers.family import families
from device_drivers.quality import RULES, quality

PAGE = Path(__file__).parent / "families/README.md"
BESIDE = {  # drivers whose bytes a library reads and writes: no `Family` cuts them into frames
    "camera": ("Network cameras: RTSP, MJPEG, ONVIF", "网络摄像机（RTSP、MJPEG、ONVIF）", "../cameras.md"),
    "rfid_llrp": ("UHF RFID readers, LLRP, by the extra `llrp`", "LLRP 超高频读写器（可选组件）", "rfid_llrp.md"),
}
HEAD = """# Device families

What zhanggui speaks, and how far each family is proven. The table is made from the families themselves and from the
`quality.toml` beside each (`python docs/make_families.py`); a test checks that the named evidence is there and that
this page is up to date. [How to add a family of your own](../drivers.md).

设备协议族一览：每一族的验证等级由 `quality.toml` 中列出的测试证据计算得出。

"""


def _told() -> dict[str, tuple[str, str, str]]:
    """Title, 标题 and page of every family."""
    return {
        name: (
            family.title,
            family.title_zh,
            next((Path(place).name for place in quality(name).evidence.held.get("documented", ())), ""),
        )
        for name, family in families().items()
    }


def page() -> str:
    """The whole page."""
    lines = [HEAD, "| family | what | 设备 | tier | asked for next | hardware |\n|---|---|---|---|---|---|\n"]
    for name, (title, title_zh, told) in sorted((_told() | BESIDE).items()):
        found = quality(name)
        linked = f"[{title}]({told})" if told else title
        wanted = ", ".join(found.missing) or "–"
        lines.append(f"| `{name}` | {linked} | {title_zh} | {found.tier} | {wanted} | *{found.evidence.hardware}* |\n")
    lines.append("\n## What a tier asks for\n")
    for tier, rules in RULES.items():
        lines.append(f"\n**{tier}**\n\n")
        lines += [f"- `{rule}`: {meaning}\n" for rule, meaning in rules.items()]
    return "".join(lines)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
