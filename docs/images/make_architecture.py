"""Draw docs/images/architecture.svg: `python docs/images/make_architecture.py`. One picture, no library."""

from __future__ import annotations

from pathlib import Path

W, H = 1180, 560
INK, PAPER, SEAL, JADE, SLATE = "#1f2430", "#faf8f4", "#b5341c", "#2f6f4f", "#5b6472"
FONT = "font-family='system-ui, Noto Sans CJK SC, sans-serif'"


def box(x: int, y: int, w: int, h: int, title: str, lines: list[str], colour: str = INK) -> str:
    """A room with its name and what lives in it."""
    text = "".join(
        f"<text x='{x + 12}' y='{y + 44 + 18 * n}' font-size='13' fill='{SLATE}' {FONT}>{line}</text>"
        for n, line in enumerate(lines)
    )
    return (
        f"<rect x='{x}' y='{y}' width='{w}' height='{h}' rx='8' fill='white' stroke='{colour}' stroke-width='1.5'/>"
        f"<text x='{x + 12}' y='{y + 24}' font-size='15' font-weight='600' fill='{colour}' {FONT}>{title}</text>{text}"
    )


def arrow(x1: int, y1: int, x2: int, y2: int, label: str, colour: str = INK, dy: int = -8) -> str:
    """An arrow with its word: above a level one, beside an upright one (`dy` < 0: to its left)."""
    upright = x1 == x2
    x, y = (x1 + (8 if dy > 0 else -8), (y1 + y2) / 2 + 4) if upright else ((x1 + x2) / 2, (y1 + y2) / 2 + dy)
    anchor = ("start" if dy > 0 else "end") if upright else "middle"
    return (
        f"<line x1='{x1}' y1='{y1}' x2='{x2}' y2='{y2}' stroke='{colour}' stroke-width='1.8' marker-end='url(#tip)'/>"
        f"<text x='{x}' y='{y}' font-size='12' fill='{colour}' text-anchor='{anchor}' {FONT}>"
        f"{label}</text>"
    )


def svg() -> str:
    """The whole picture."""
    parts = [
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {W} {H}' role='img' aria-labelledby='t d'>",
        "<title id='t'>The way of the data in Zhanggui</title>",
        "<desc id='d'>Devices speak bytes to drivers. Sessions ask the interlocks, write to the ledger, and then act.",
        "The uplink carries the ledger to the bridge, whose watermark frees it.</desc>",
        "<defs><marker id='tip' viewBox='0 0 8 8' refX='7' refY='4' markerWidth='8' markerHeight='8' orient='auto'>",
        f"<path d='M0 0 L8 4 L0 8 z' fill='{INK}'/></marker></defs>",
        f"<rect width='{W}' height='{H}' fill='{PAPER}'/>",
        f"<text x='24' y='34' font-size='18' font-weight='700' fill='{SEAL}' {FONT}>In the store</text>",
        f"<text x='876' y='34' font-size='18' font-weight='700' fill='{SEAL}' {FONT}>In the cloud</text>",
        f"<line x1='833' y1='20' x2='833' y2='{H - 20}' stroke='{SLATE}' stroke-dasharray='4 6'/>",
        box(
            24,
            60,
            190,
            150,
            "Devices",
            ["lock boards 8A/80", "scales, Modbus RTU", "QR scanners, ID reader", "camera", "or their simulators"],
        ),
        box(
            270,
            60,
            210,
            150,
            "device_drivers",
            ["one task owns a port", "codec: bytes ⇄ frames", "driver: frames ⇄ readings", "unlock overtakes polling"],
        ),
        box(
            540,
            60,
            250,
            150,
            "edge: sessions",
            ["pure tables A B C S W M R", "interlocks G: asked four times,", "the last one as the frame", "is encoded"],
            SEAL,
        ),
        box(
            540,
            270,
            250,
            110,
            "edge: ledger",
            ["SQLite, fsync before effect", "two lanes, hash chain", "state that survives a kill"],
            JADE,
        ),
        box(
            270, 270, 210, 110, "edge: vision", ["own process a camera", "person → track → line", "no frame leaves it"]
        ),
        box(
            24,
            270,
            190,
            110,
            "edge: pages",
            ["kiosk, staff tablet", "own process; they ask,", "only the agent decides"],
        ),
        box(540, 430, 250, 90, "edge: uplink", ["hello, batches, go-back-N", "frees only on the watermark"]),
        box(876, 430, 284, 90, "cloud_bridge: ingest", ["batch and watermark", "in one transaction"], JADE),
        box(
            876,
            250,
            284,
            120,
            "read models",
            ["follow the stored events", "members, offers, stock,", "devices, sentences"],
        ),
        box(876, 60, 284, 120, "operators' pages and API", ["fleet, store, planograms", "中文 / English"]),
        arrow(214, 125, 268, 125, "bytes"),
        arrow(480, 110, 538, 110, "readings"),
        arrow(538, 160, 482, 160, "effect", SEAL, 18),
        arrow(640, 210, 640, 268, "append", INK, -1),
        arrow(700, 268, 700, 212, "durable", JADE, 4),
        arrow(120, 268, 538, 204, "asks"),
        arrow(480, 310, 538, 310, "counts"),
        arrow(665, 380, 665, 428, "read", INK, 4),
        arrow(790, 460, 874, 460, "MQTT"),
        arrow(874, 500, 792, 500, "watermark", JADE, 18),
        arrow(1005, 428, 1005, 372, "follow", INK, 4),
        arrow(1005, 248, 1005, 182, "show", INK, 4),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    Path(__file__).with_name("architecture.svg").write_text(svg())
