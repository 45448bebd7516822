"""Three drawings for the kiosk, in lines: a code, a card above its reader, an open door."""

from __future__ import annotations

from typing import Final

from look.markup import Markup

_LINES: Final = 'fill="none" stroke="currentColor" stroke-width="2.4" stroke-linecap="round" stroke-linejoin="round"'

QR: Final = Markup(
    f'<svg viewBox="0 0 120 120" {_LINES}>'
    '<path class="sp-art-accent" d="M10 34V18a8 8 0 0 1 8-8h16M86 10h16a8 8 0 0 1 8 8v16M110 86v16a8 8 0 0 1-8 8H86'
    'M34 110H18a8 8 0 0 1-8-8V86"/>'
    '<path d="M30 30h22v22H30zM68 30h22v22H68zM30 68h22v22H30z"/>'
    '<path d="M38 38h6v6h-6zM76 38h6v6h-6zM38 76h6v6h-6z" fill="currentColor"/>'
    '<path d="M68 76v-8h8M84 68h6v6M76 82v-2h4M68 84v6h6M84 82h6v8h-8"/>'
    '<path class="sp-art-beam" d="M4 60h112"/></svg>'
)

CARD: Final = Markup(
    f'<svg viewBox="0 0 160 120" {_LINES}>'
    '<path d="M20 84h120v18a8 8 0 0 1-8 8H28a8 8 0 0 1-8-8zM32 97h20"/>'
    '<g class="sp-art-card"><rect x="36" y="14" width="88" height="54" rx="7"/>'
    '<path d="M48 56c1-8 6-12 12-12s11 4 12 12M60 28a6 6 0 1 0 0 12a6 6 0 1 0 0-12M84 32h28M84 42h28M84 52h16"/></g>'
    '<path class="sp-art-accent" d="M66 76c9-5 19-5 28 0"/></svg>'
)

OPEN_DOOR: Final = Markup(
    f'<svg viewBox="0 0 160 120" {_LINES}>'
    '<path d="M58 10h68v100H58zM58 42h68M58 74h68"/>'
    '<path class="sp-art-accent" d="M58 10L24 20v98l34-8M34 64v12"/>'
    '<path d="M72 32h8v10h-8zM88 28h10v14H88zM108 30h8v12h-8zM74 62h12v12H74zM96 58h8v16h-8z'
    'M70 96h14v14H70zM96 92h10v18H96z"/>'
    "</svg>"
)
