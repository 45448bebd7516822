"""Parts of a page that are sent again only when their drawing changes."""

from __future__ import annotations

from collections.abc import Iterable

from nicegui import ui

from look.markup import Markup


class Part:
    """One element whose inside is `Markup`. Make it inside a `page_frame`; call `show` as often as you like."""

    __slots__ = ("_shown", "element")

    def __init__(self, tag: str = "div", *, classes: str = "", props: str = "") -> None:
        # Markup escapes everything that is not ours, so the browser need not clean it a second time.
        self.element = ui.html("", sanitize=False, tag=tag).classes(f"zg-part {classes}").props(props)
        self._shown = Markup("")

    def show(self, drawing: Markup) -> bool:
        """Put `drawing` on the page; True if it differs from what stands there, and only then is it sent."""
        if drawing == self._shown:
            return False
        self._shown = drawing
        self.element.set_content(drawing)
        return True


class PartList:
    """A container of equal parts, such as the rows of a table: each is sent alone when it changes."""

    __slots__ = ("_parts", "_tag", "element")

    def __init__(self, tag: str, *, of: str, classes: str = "") -> None:
        self.element = ui.element(tag).classes(classes)
        self._tag = of
        self._parts: list[Part] = []

    def show(self, drawings: Iterable[Markup]) -> int:
        """Put one part for each drawing, in order; the number of parts that were sent, made or taken away."""
        wanted = list(drawings)
        changed = 0
        while len(self._parts) > len(wanted):
            self._parts.pop().element.delete()
            changed += 1
        if len(self._parts) < len(wanted):
            with self.element:
                self._parts.extend(Part(self._tag) for _ in range(len(wanted) - len(self._parts)))
        return changed + sum(part.show(drawing) for part, drawing in zip(self._parts, wanted, strict=True))
