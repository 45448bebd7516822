"""The frame of all pages, so that nobody designs twice: colours, words in two languages, page frame, small drawings.

A page is made of *parts*. A part is a pure drawing (`values -> Markup`) that is pushed to the browser only when it
changes; see `live.Part`. What a page needs: `frame.page_frame`, `i18n.t`, `live.Part`, and the drawings of `widgets`,
`planogram` and `chart`. Nothing here asks another host for anything: fonts, icons and scripts come with the package.
"""

from look.frame import Frame, NavEntry, lang_of, page_frame
from look.i18n import Lang, add_catalogue, t
from look.live import Part, PartList
from look.markup import Markup, tag
from look.serve import serve_pages

__all__ = [
    "Frame",
    "Lang",
    "Markup",
    "NavEntry",
    "Part",
    "PartList",
    "add_catalogue",
    "lang_of",
    "page_frame",
    "serve_pages",
    "t",
    "tag",
]
