"""The customer's screen: the agent's state drawn, taps carried back. It keeps nothing of a person."""

from __future__ import annotations

from typing import Final

from fastapi import Request
from nicegui import ui

from contracts.clock import Clock
from contracts.member_code import MAX_CODE_CHARS
from edge.desk.client import DeskClient
from edge.desk.messages import Reply
from edge.pages import kiosk_draw
from edge.pages.kiosk_view import Choice, Screen, chosen_goods, qty_of, screen_of
from edge.pages.room import Act, live_page, store_name
from look import Lang, Part, page_frame
from look.markup import join

NOTICE_S: Final = 12.0


def kiosk_page(request: Request, client: DeskClient, *, pace: Clock, title: str, cabinet: str) -> None:
    """Draw the kiosk of `cabinet` for this visitor and keep it up to date. `pace`: real time, for what people read."""
    state, title = client.state, store_name(request, client, title)
    here = next((c for c in state.cabinets if c.cabinet == cabinet), None) if state else None
    with page_frame(request, title=title, heading="…", scope=title, layout="plain", home=f"/kiosk/{cabinet}") as frame:
        if here is not None:
            ui.page_title(f"{here.name_zh if frame.lang == 'zh' else here.name_en} · {title}")
        ui.context.client.layout.classes("sp-customer")
        frame.heading.element.props("tabindex=-1")
        kiosk = _Kiosk(client, pace, cabinet, frame.lang, frame.heading)
        live_page(client, kiosk.draw, kiosk.act)


class _Kiosk:
    def __init__(self, client: DeskClient, pace: Clock, cabinet: str, lang: Lang, heading: Part) -> None:
        self._client, self._pace, self._cabinet, self._lang, self._heading = client, pace, cabinet, lang, heading
        self._choice = Choice()
        self._session = ""
        self._word, self._word_until_s = "", 0.0
        self._asking = False
        self._longest: tuple[str, float] = ("", 1.0)
        self._status = Part("div", classes="zg-sr", props="role=status aria-live=polite")
        self._stale = Part("div")
        self._notice = Part("div")
        self._body = Part("div", classes="sp-body")
        with ui.element("div").classes("sp-base"):
            self._left = Part("div")
            self._out = Part("div", classes="sp-foot")

    def _screen(self) -> Screen:
        return screen_of(self._client.state, self._cabinet)

    def draw(self) -> None:
        """Bring every part up to date; what has not changed is not sent."""
        screen, lang = self._screen(), self._lang
        session = screen.session.session if screen.session else ""
        if session != self._session:
            self._session = session
            self._choice.forget()
            if session:
                self._word = ""
        if self._word and self._pace.now_s() >= self._word_until_s:
            self._word = ""
        heading = kiosk_draw.heading(screen, lang)
        self._stale.show(kiosk_draw.stale(lang) if self._client.stale and screen.kind != "starting" else join())
        self._notice.show(kiosk_draw.notice(self._word, lang))
        self._body.show(kiosk_draw.body(screen, self._choice, lang))
        self._left.show(kiosk_draw.countdown(screen, self._longest_s(screen), lang))
        self._out.show(kiosk_draw.way_out(screen, lang))
        if self._heading.show(join(heading)):
            self._status.show(join(heading))

    def _longest_s(self, screen: Screen) -> float:
        """The most seconds seen in this state of this session: a full ring."""
        if screen.session is None:
            return 1.0
        key = f"{screen.session.session}/{screen.session.state}"
        longest_s = self._longest[1] if self._longest[0] == key else 1.0
        self._longest = (key, max(longest_s, screen.session.seconds_left or 0.0))
        return self._longest[1]

    async def act(self, act: Act) -> None:
        """A tap or a form of this page."""
        screen = self._screen()
        match act.name:
            case "goods":
                self._choice.sku, self._choice.qty = act.value, 1
            case "less" | "more":
                self._choice.qty = qty_of(screen, self._choice) + (1 if act.name == "more" else -1)
            case _ if self._asking:
                return  # one wish at a time: a second tap is the same wish
            case _:
                self._asking = True
                try:
                    reply = await self._ask(screen, act)
                finally:
                    self._asking = False
                if reply is not None:
                    self._word = "" if reply.ok else reply.reason or "other"
                    self._word_until_s = self._pace.now_s() + NOTICE_S
        self.draw()

    async def _ask(self, screen: Screen, act: Act) -> Reply | None:
        session, door = screen.session, screen.door
        match act.name:
            case "start":
                return await self._client.ask("start", cabinet=self._cabinet, compartment=act.value)
            case "member":
                code = act.fields.get("code", "").strip()
                if not code or len(code) > MAX_CODE_CHARS:
                    return Reply(id="", ok=False, reason="bad_code")
                compartment = door.compartment if door else ""
                return await self._client.ask("member", cabinet=self._cabinet, compartment=compartment, code=code)
            case "want" if session is not None:
                goods = chosen_goods(screen, self._choice)
                if goods is None:
                    return None
                return await self._client.ask(
                    "start",
                    cabinet=self._cabinet,
                    compartment=session.compartment,
                    session=session.session,
                    sku=goods.sku,
                    qty=qty_of(screen, self._choice),
                )
            case "cancel" if session is not None:
                return await self._client.ask("cancel", session=session.session)
        return None
