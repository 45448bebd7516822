"""Writes python_escpos.json: what python-escpos 3.1 (MIT) writes for each call of `CALLS`.

It is no dependency: its last release is years old, and it would bring eight packages of which one (python-barcode)
owns the name `tests`. So its bytes are kept, and made again like this:

    pip install --target /tmp/other python-escpos==3.1
    PYTHONPATH=/tmp/other:. python tests/device_drivers/make_python_escpos.py
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

PAGE = Path(__file__).with_name("python_escpos.json")


def receipt(printer: Any) -> None:
    printer.hw("INIT")
    printer.set(align="center", bold=True, custom_size=True, width=2, height=2)
    printer.text("掌柜便利店\n")
    printer.set(align="left", bold=False, custom_size=True, width=1, height=1)
    printer.text("-" * 48 + "\n")
    printer.text("可口可乐 330ml" + " " * 28 + "￥3.50\n")
    printer.set(align="right")
    printer.text("Total 3.50\n")
    printer.set(align="center")
    printer.qr("https://store.example/r/1", native=True, size=6, ec=1)
    printer.set(align="left")
    printer.print_and_feed(2)
    printer.cut(mode="PART", feed=False)


CALLS: dict[str, Callable[[Any], Any]] = {
    "init": lambda p: p.hw("INIT"),
    "align left": lambda p: p.set(align="left"),
    "align center": lambda p: p.set(align="center"),
    "align right": lambda p: p.set(align="right"),
    "bold on": lambda p: p.set(bold=True),
    "bold off": lambda p: p.set(bold=False),
    "size 2x2": lambda p: p.set(custom_size=True, width=2, height=2),
    "size 2x1": lambda p: p.set(custom_size=True, width=2, height=1),
    "size 1x2": lambda p: p.set(custom_size=True, width=1, height=2),
    "size 1x1": lambda p: p.set(custom_size=True, width=1, height=1),
    "double by print mode": lambda p: p.set(double_width=True, double_height=True),
    "feed 3": lambda p: p.print_and_feed(3),
    "lines": lambda p: p.ln(3),
    "cut": lambda p: p.cut(mode="PART", feed=False),
    "cut whole": lambda p: p.cut(mode="FULL"),
    "drawer": lambda p: p.cashdraw([0x1B, 0x70, 0x00, 0x19, 0xFA]),
    "drawer 2": lambda p: p.cashdraw(5),
    "qr": lambda p: p.qr("https://store.example/r/1", native=True, size=6, ec=1),
    "receipt": receipt,
    "text": lambda p: p.text("Hello, store\n"),
    "block": lambda p: p.block_text("A long text that it wraps by itself over more than one line of paper", columns=32),
    "style": lambda p: p.set(font="b", underline=2, density=4, invert=True, smooth=True, flip=True),
    "style back": lambda p: p.set_with_default(),
    "space": lambda p: p.line_spacing(40),
    "page": lambda p: p.charcode("CP437"),
    "buzzer": lambda p: p.buzzer(2, 4),
    "buttons": lambda p: p.panel_buttons(False),
    "tab": lambda p: p.control("HT", tab_size=4),
    "page end": lambda p: p.control("FF"),
    "code a": lambda p: p.barcode("690123456789", "EAN13", function_type="A", check=False),
    "code b": lambda p: p.barcode("{BSTORE1", "CODE128", function_type="B", check=False),
    "raster": lambda p: p.image(_picture(), impl="bitImageRaster"),
    "stripes": lambda p: p.image(_picture(), impl="bitImageColumn"),
    "graphics": lambda p: p.image(_picture(), impl="graphics"),
}


def _picture() -> Any:
    from PIL import Image

    return Image.new("L", (24, 16), 0)


def main() -> None:
    from escpos.printer import Dummy

    made = {}
    for name, call in CALLS.items():
        printer = Dummy()
        call(printer)
        made[name] = printer.output.hex(" ")
    PAGE.write_text(json.dumps(made, indent=4) + "\n")


if __name__ == "__main__":
    main()
