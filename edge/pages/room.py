"""What both pages share: taps and forms from the browser as values, the agent's changes to every open page."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from fastapi import Request
from nicegui import ui
from nicegui.events import GenericEventArguments

from edge.desk.client import DeskClient
from edge.desk.messages import MAX_GOODS
from look import lang_of

MAX_FIELD_CHARS: Final = 160
MAX_FIELDS: Final = MAX_GOODS  # a form has one field a product at most
_HERE: Final = Path(__file__).parent
_HEAD: Final = (
    f"<style>{(_HERE / 'pages.css').read_text('utf-8')}</style>"
    f"<script>{(_HERE / 'pages.js').read_text('utf-8')}</script>"
)


@dataclass(frozen=True, slots=True)
class Act:
    """What a person did: the name on the element, its value, and the fields of its form. Cut to size, never trusted."""

    name: str
    value: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)


def act_of(said: object) -> Act | None:
    """What the browser sent as a value; None when it is not ours."""
    if isinstance(said, list) and len(said) == 1:
        said = said[0]
    if not isinstance(said, dict):
        return None
    name, value, fields = said.get("act"), said.get("value"), said.get("fields")
    if not isinstance(name, str) or len(name) > MAX_FIELD_CHARS:
        return None
    pairs = list(fields.items())[:MAX_FIELDS] if isinstance(fields, dict) else []
    return Act(
        name,
        value[:MAX_FIELD_CHARS] if isinstance(value, str) else "",
        {str(k)[:MAX_FIELD_CHARS]: v[:MAX_FIELD_CHARS] for k, v in pairs if isinstance(v, str)},
    )


def store_name(request: Request, client: DeskClient, title: str) -> str:
    """The store's name in the language of this request, once the agent has said it; `title` until then."""
    if client.state is None:
        return title
    return client.state.store_zh if lang_of(request) == "zh" else client.state.store_en


def live_page(client: DeskClient, draw: Callable[[], None], act: Callable[[Act], Awaitable[None]]) -> None:
    """Draw now, at every change of the agent and once a second; carry what the person does to `act`."""
    ui.add_head_html(_HEAD)

    async def hear(event: GenericEventArguments) -> None:
        heard = act_of(event.args)
        if heard is not None:
            await act(heard)

    ui.on("sp_act", hear)
    ui.timer(1.0, draw)
    ui.context.client.on_delete(client.subscribe(draw))
    draw()
