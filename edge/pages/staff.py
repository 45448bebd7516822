"""The staff tablet: the agent's state drawn, taps carried back, presence kept alive only by touches."""

from __future__ import annotations

import secrets
from typing import Final

from fastapi import Request
from nicegui import ui

from contracts.clock import Clock
from edge.desk.client import DeskClient
from edge.desk.messages import BasketLine, CountDesk, Reply, Wish
from edge.pages import kiosk_draw, staff_draw
from edge.pages.room import Act, live_page, store_name
from edge.pages.staff_count import count_of, pieces
from edge.pages.staff_view import REFUSALS, Desk, lapsed, screen_of
from look import Frame, Part, page_frame
from look.i18n import t
from look.markup import join

NOTICE_S: Final = 12.0


def staff_page(
    request: Request, client: DeskClient, *, clock: Clock, pace: Clock, title: str, seats: dict[str, str]
) -> None:
    """Draw the staff tablet for this visitor. A page that is closed signs its person out.

    `clock`: store time, for presence; `pace`: real time, for what people read. `seats`: staff id to the terminal of
    the latest sign-in, one for all pages of the process.
    """
    title = store_name(request, client, title)
    with page_frame(
        request, title=title, heading=t("staff.title", "zh"), scope=title, layout="plain", home="/staff"
    ) as frame:
        ui.page_title(f"{t('staff.title', frame.lang)} · {title}")
        ui.context.client.layout.classes("sp-staff")
        frame.heading.element.props("tabindex=-1")
        tablet = _Tablet(client, clock, pace, seats, frame)
        live_page(client, tablet.draw, tablet.act)
        ui.timer(1.0, tablet.beat)
        ui.context.client.on_delete(tablet.close)


class _Tablet:
    def __init__(self, client: DeskClient, clock: Clock, pace: Clock, seats: dict[str, str], frame: Frame) -> None:
        self._client, self._clock, self._pace, self._seats = client, clock, pace, seats
        self._lang, self._heading = frame.lang, frame.heading
        self._desk = Desk()
        self._terminal = secrets.token_hex(8)  # this page; a reload is another terminal and signs in again
        self._count: CountDesk | None = None  # as last drawn
        self._basket: tuple[BasketLine, ...] = ()  # of the request as last drawn
        self._word, self._done, self._told_until_s = "", "", 0.0
        self._asking = self._beating = False
        self._status = Part("div", classes="zg-sr", props="role=status aria-live=assertive")
        self._strip = Part("div")
        self._stale = Part("div")
        self._here = Part("div")
        self._notice = Part("div")
        self._seconds = Part("div")
        self._body = Part("div", classes="sp-body")
        self._foot = Part("div", classes="sp-foot sp-thumbfoot")

    def draw(self) -> None:
        """Bring every part up to date; what has not changed is not sent."""
        now_s, pace_s = self._clock.now_s(), self._pace.now_s()
        state, desk, lang = self._client.state, self._desk, self._lang
        if lapsed(state, desk, pace_s):
            desk.leave()
            self._tell(done="lapsed")
        if pace_s >= self._told_until_s:
            self._word = self._done = ""
        screen = screen_of(state, desk)
        if screen.kind == "request" and screen.request is not None:
            self._basket = screen.request.session.declared
        if screen.count != self._count:  # it begins, comes back after a customer, or the book has changed meanwhile
            self._count, desk.drawn = screen.count, dict(desk.counted)
        if state is not None and count_of(state, desk.counting) is None:
            desk.count("")  # done elsewhere: the next one begins from the book
        heading = staff_draw.heading(screen, state, lang)
        self._strip.show(staff_draw.strip(state, screen, lang))
        self._stale.show(kiosk_draw.stale(lang) if self._client.stale and state is not None else join())
        self._here.show(staff_draw.here(desk.here_left_s(now_s), lang))
        self._notice.show(join(kiosk_draw.notice(self._word, lang), staff_draw.done(self._done, lang)))
        self._body.show(staff_draw.body(screen, state, desk, lang))
        self._seconds.show(staff_draw.seconds(screen, lang))
        self._foot.show(staff_draw.foot(screen, state, lang))
        if self._heading.show(join(heading)):
            self._status.show(join(heading))

    def _tell(self, *, word: str = "", done: str = "") -> None:
        self._word, self._done = word, done
        self._told_until_s = self._pace.now_s() + NOTICE_S

    async def beat(self) -> None:
        """Once a second: a beat, if one is due."""
        desk = self._desk
        now_s = self._clock.now_s()
        if self._beating or not desk.beat_due(now_s):
            return
        self._beating = True
        try:
            desk.beaten_s = now_s
            await self._client.ask("beat", staff_id=desk.staff_id, terminal=self._terminal)
        finally:
            self._beating = False

    async def close(self) -> None:
        """The page is gone: so is the person, until they sign in again, unless they have done so elsewhere already."""
        if self._desk.staff_id and self._seats.get(self._desk.staff_id) == self._terminal:
            await self._client.ask("sign_out", staff_id=self._desk.staff_id, terminal=self._terminal)
            self._desk.leave()

    async def act(self, act: Act) -> None:
        """A tap or a form of this page."""
        desk = self._desk
        desk.touched_s = self._clock.now_s()
        match act.name:
            case "touch":
                await self.beat()
            case "name":
                desk.naming = act.value
            case "back":
                desk.naming = ""
                if not desk.errand:
                    desk.count("")
                desk.go("")
            case "refuse":
                desk.go("refuse", act.value)
            case "review":
                desk.go("review", act.value)
            case "restock":
                desk.go("restock")
            case "lift":
                desk.go("lift")
            case "count":
                desk.count(act.value)
            case "counted" if self._asks_for(act.value):
                desk.counted[act.value] = act.fields.get("n", "")
            case "restock_door":
                desk.go("pin_restock", act.value)
            case "lift_target":
                desk.go("pin_lift", act.value)
            case _ if self._asking:
                return  # one wish at a time: a second tap is the same wish
            case _:
                self._asking = True
                try:
                    await self._ask(act)
                finally:
                    self._asking = False
        self.draw()

    async def _ask(self, act: Act) -> None:
        desk, pin = self._desk, act.fields.get("pin", "")
        match act.name:
            case "sign_in" if desk.naming:
                name = desk.naming
                reply = await self._client.ask("sign_in", staff_id=name, pin=pin, terminal=self._terminal)
                if reply.ok:
                    desk.sign_in(name, self._clock.now_s(), self._pace.now_s())
                    self._seats[name] = self._terminal
                    self._tell()
                else:
                    self._answer(reply, "")
            case "sign_out" if desk.staff_id:
                reply = await self._client.ask("sign_out", staff_id=desk.staff_id, terminal=self._terminal)
                desk.leave()
                self._answer(reply, "sign_out")
            case "release" if desk.staff_id:
                desk.shown = self._basket  # what stands on the screen is what is released, not what comes after it
                reply = await self._client.ask("release", session=act.value, staff_id=desk.staff_id)
                if reply.reason == "pin_required":
                    desk.go("pin_release", act.value)
                else:
                    self._answer(reply, "release")
            case "pin_release" if desk.staff_id:
                session = desk.target
                lines = tuple(Wish(sku=line.sku, qty=line.qty) for line in desk.shown)
                reply = await self._client.ask("release", session=session, staff_id=desk.staff_id, pin=pin, lines=lines)
                self._answer(reply, "release")
            case "know" if desk.staff_id:
                reply = await self._client.ask(
                    "know", staff_id=desk.staff_id, cabinet=act.value, terminal=self._terminal
                )
                self._answer(reply, "know")
            case "refuse_because" if desk.staff_id and act.value in REFUSALS:
                session = desk.target
                reply = await self._client.ask("refuse", session=session, staff_id=desk.staff_id, reason=act.value)
                self._answer(reply, "refuse")
            case "review_accept" | "review_drop" if desk.staff_id:
                accept = act.name == "review_accept"
                reply = await self._client.ask("review", session=act.value, staff_id=desk.staff_id, accept=accept)
                self._answer(reply, "review.accept" if accept else "review.drop")
            case "pin_restock" if desk.staff_id:
                cabinet, _, compartment = desk.target.partition("/")
                reply = await self._client.ask(
                    "restock", cabinet=cabinet, compartment=compartment, staff_id=desk.staff_id, pin=pin
                )
                self._answer(reply, "restock")
            case "count_save" if desk.staff_id and desk.counting:
                await self._save_count({sku: n for sku, n in act.fields.items() if self._asks_for(sku)})
            case "pin_lift" if desk.staff_id:
                reply = await self._client.ask("lift", staff_id=desk.staff_id, pin=pin, target=desk.target)
                self._answer(reply, "lift")

    def _asks_for(self, sku: str) -> bool:
        """Whether the count under way has this product."""
        count = count_of(self._client.state, self._desk.counting) if self._client.state else None
        return count is not None and any(goods.sku == sku for goods in count.goods)

    async def _save_count(self, typed: dict[str, str]) -> None:
        """Tell the agent what was counted. What it does not take stays on the page, to be mended."""
        desk = self._desk
        desk.counted, desk.drawn = dict(typed), dict(typed)
        units = pieces(typed)
        if units is None:
            self._tell(word="malformed")
            return
        cabinet, _, compartment = desk.counting.partition("/")
        reply = await self._client.ask(
            "count", cabinet=cabinet, compartment=compartment, staff_id=desk.staff_id, units=units
        )
        if reply.ok:
            desk.count("")
            self._tell(done="count")
        else:
            self._tell(word=reply.reason or "other")

    def _answer(self, reply: Reply, done: str) -> None:
        """Tell the outcome; the errand ends unless only the PIN was wrong."""
        if reply.ok:
            self._desk.go("")
            self._tell(done=done)
            return
        self._tell(word=reply.reason or "other")
        if reply.reason not in ("wrong_pin", "pin_required", "agent_unreachable", "malformed"):
            self._desk.go("")
