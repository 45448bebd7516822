"""The few styles that only the operators' pages need; colours and sizes come from the look."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from nicegui import ui

_STYLE: Final = f"<style>{Path(__file__).with_name('pages.css').read_text('utf-8')}</style>"


def add_style() -> None:
    """Add the styles to the page that is being built."""
    ui.add_head_html(_STYLE)
