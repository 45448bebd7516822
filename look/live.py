"""A part of a page that is sent again only when its drawing changes."""

from __future__ import annotations

from nicegui import ui

from look.markup import Markup


class Part:
    """One element whose inside is `Markup`. Make it inside a `page_frame`; call `show` as often as you like."""

    __slots__ = ("_shown", "element")

    def __init__(self, tag: str = "div", *, classes: str = "", props: str = "") -> None:
        # Markup escapes everything that is not ours, so the browser need not clean it a second time.
        self.element = ui.html("", sanitize=False, tag=tag).classes(classes).props(props)
        self._shown = Markup("")

    def show(self, drawing: Markup) -> bool:
        """Put `drawing` on the page; True if it differs from what stands there, and only then is it sent."""
        if drawing == self._shown:
            return False
        self._shown = drawing
        self.element.set_content(drawing)
        return True
