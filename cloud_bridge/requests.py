"""Questions of a store that want an answer now. Read-only; an answer is always given, a refusal has its reason."""

from __future__ import annotations

from cloud_bridge.counters import Counters
from cloud_bridge.members import find_member
from cloud_bridge.presence import MAX_STORES
from cloud_bridge.recommend import StoreFacts
from cloud_bridge.storage import Storage
from contracts.clock import Clock
from contracts.messages import RecogniseAnswer, Request, Response

BURST = 20
PER_SECOND = 5.0


class RateCap:
    """A bucket of `burst` questions a store, refilled at `per_second`."""

    def __init__(self, clock: Clock, *, burst: int = BURST, per_second: float = PER_SECOND) -> None:
        self._clock = clock
        self._burst = burst
        self._per_second = per_second
        self._buckets: dict[tuple[str, str], tuple[float, float]] = {}  # (left, as of seconds)

    def allows(self, tenant: str, store: str) -> bool:
        """Whether the store may ask once more now; takes one if so."""
        now_s = self._clock.now_s()
        key = (tenant, store)
        if key not in self._buckets and len(self._buckets) >= MAX_STORES:
            return False
        left, since_s = self._buckets.get(key, (float(self._burst), now_s))
        left = min(float(self._burst), left + (now_s - since_s) * self._per_second)
        self._buckets[key] = (left - 1 if left >= 1 else left, now_s)
        return left >= 1


class Requests:
    """Answers `recognise`; every other method is unknown."""

    def __init__(self, *, storage: Storage, facts: StoreFacts, clock: Clock, counters: Counters) -> None:
        self._storage = storage
        self._facts = facts
        self._counters = counters
        self._cap = RateCap(clock)

    async def answer(self, tenant: str, store: str, method: str, request: Request) -> Response:
        """The answer to `request`. Raises StorageError."""
        if not self._cap.allows(tenant, store):
            return self._refuse(request, "too_many_requests")
        if method != "recognise":
            return self._refuse(request, "unknown_method")
        ref = request.args.get("member")
        if not isinstance(ref, str) or not 1 <= len(ref) <= 64:
            return self._refuse(request, "bad_arguments")

        member = await self._storage.read(lambda db: find_member(db, tenant, ref))
        if member is None:
            return self._refuse(request, "unknown_member")
        offers = self._facts.offers(tenant, store)
        self._counters.add("requests_answered")
        return Response(
            id=request.id,
            ok=True,
            member=RecogniseAnswer(
                member_ref=member.member_ref,
                name=member.name,
                points=member.points + self._facts.points_earned(tenant, ref),
                offers=offers.skus,
                reason_codes=offers.reason_codes,
            ),
        )

    def _refuse(self, request: Request, reason: str) -> Response:
        self._counters.add(f"requests_refused_{reason}")
        return Response(id=request.id, ok=False, reason=reason)
