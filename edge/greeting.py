"""Who begins a session: a scanned code is proven on the spot, the cloud is asked for the greeting meanwhile."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from contracts.clock import Clock
from contracts.event_types import EventData, MemberRecognised, RecommendationShown, ScanBarcode
from contracts.member_code import BadCodeError, verify_member_code
from contracts.messages import RecogniseAnswer, Response

ASK_TTL_S = 8.0
MAX_CARDS = 64
REFUSALS_EVERY_S = 10.0  # a refused code is an event at most so often a device; all are counted

log = logging.getLogger("zhanggui.edge")


class Cloud(Protocol):
    """What the greeting needs of the uplink."""

    async def ask(self, method: str, args: dict[str, str | int | None], ttl_s: float) -> Response | None:
        """The cloud's answer, or None if it came too late or not at all."""


@dataclass(frozen=True, slots=True)
class Begun:
    """Outcome of a code at a cabinet. `reason` is a word that the pages translate."""

    ok: bool
    session: str = ""
    reason: str = ""
    member_ref: str = ""


Start = Callable[[str, str, str], Awaitable[Begun]]  # cabinet, compartment ("" = its first), member reference


@dataclass(slots=True)
class Greeting:
    """Turns codes into sessions and sessions into greetings. Keeps a member's card only while their session lives."""

    key: bytes = field(repr=False)
    start: Start
    cloud: Cloud
    tell: Callable[[EventData, str], None]
    changed: Callable[[], None]
    tobacco: frozenset[str]  # products that are never offered (T12)
    clock: Clock
    counters: Counter[str] = field(default_factory=Counter)
    _refusal_told_s: dict[str, float] = field(default_factory=dict)  # by device
    _cards: dict[str, RecogniseAnswer] = field(default_factory=dict)

    async def code(
        self, text: str, *, device: str, cabinet: str, compartment: str = "", symbology: str = "qr"
    ) -> Begun:
        """A code was read or typed at a cabinet: refuse it, or begin a session. The caller then greets, apart."""
        try:
            member_ref = verify_member_code(text, self.key)
        except BadCodeError as error:
            self.counters["code.refused"] += 1
            now_s = self.clock.now_s()
            if now_s - self._refusal_told_s.get(device, -REFUSALS_EVERY_S) >= REFUSALS_EVERY_S:
                self._refusal_told_s[device] = now_s  # the lane is never dropped: garbage must not fill it
                refused = ScanBarcode(scanner=device, symbology=symbology, accepted=False, reason="not_a_member_code")
                self.tell(refused, device)
                log.info("%s: %s", device, error)
            return Begun(ok=False, reason="bad_code")
        begun = await self.start(cabinet, compartment, member_ref)
        self.tell(ScanBarcode(scanner=device, symbology=symbology, accepted=begun.ok, reason=begun.reason), device)
        return replace(begun, member_ref=member_ref)

    async def greet(self, session: str, member_ref: str, cabinet: str) -> None:
        """Ask the cloud for name, points and offers. No door waits for this: a store sells without its line."""
        answer = await self.cloud.ask("recognise", {"member": member_ref, "cabinet": cabinet}, ASK_TTL_S)
        if answer is None:
            self.counters["greeting.no_answer"] += 1
            return
        if not answer.ok or answer.member is None:
            self.counters["greeting.unknown_member"] += 1
            return
        offers = tuple(sku for sku in answer.member.offers if sku not in self.tobacco)
        while len(self._cards) >= MAX_CARDS:
            self._cards.pop(next(iter(self._cards)))
        self._cards[session] = answer.member
        self.tell(MemberRecognised(session=session, member_ref=member_ref, method="qr"), cabinet)
        if offers:
            shown = RecommendationShown(
                session=session, slot="kiosk", items=offers, reason_codes=answer.member.reason_codes
            )
            self.tell(shown, cabinet)
        self.changed()

    def card(self, session: str) -> RecogniseAnswer | None:
        """The greeting of a live session."""
        return self._cards.get(session)

    def keep_only(self, sessions: Mapping[str, object] | frozenset[str]) -> None:
        """Forget the cards of sessions that are gone from the screens."""
        for session in [s for s in self._cards if s not in sessions]:
            del self._cards[session]
