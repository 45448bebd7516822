"""Reads the alert stream of a camera over HTTP, with digest authentication, and connects again when it stalls.

Cameras send a heartbeat every few seconds. A stream without one alert for `stall_s` is dead, whatever bytes it brings.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Generator
from dataclasses import dataclass, field
from datetime import tzinfo
from random import Random

import httpx

from contracts.backoff import Backoff
from contracts.clock import Clock
from device_drivers.errors import MisconfiguredError, ProtocolError, UnavailableError
from device_drivers.faults import OnFault
from device_drivers.people_counter.alert import Alert, parse_alert
from device_drivers.people_counter.codec import PartDecoder, boundary_of

PATH = "/ISAPI/Event/notification/alertStream"
CONNECT_WITHIN_S = 5.0
STALL_S = 60.0  # several heartbeats
BASE_S, CAP_S = 1.0, 60.0
MAX_REFUSAL_BYTES = 16 * 1024  # of an answer that is no stream; httpx reads one whole before it answers a challenge

_log = logging.getLogger("zhanggui.device_drivers")


@dataclass(frozen=True, slots=True)
class Credentials:
    """An account of the camera; neither part is ever shown."""

    user: str = field(repr=False)
    password: str = field(repr=False)


class _Digest(httpx.DigestAuth):
    """httpx's, which stumbles over an algorithm or a quality of protection that it does not have."""

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        try:
            yield from super().auth_flow(request)
        except (KeyError, RuntimeError):
            raise MisconfiguredError("the camera asks for a kind of digest that is not known here") from None


class _Refusal(httpx.AsyncByteStream):
    """The body of an answer that is no stream, as far as anybody reads it."""

    def __init__(self, body: httpx.AsyncByteStream) -> None:
        self._body = body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        async for piece in self._body:
            size += len(piece)
            if size > MAX_REFUSAL_BYTES:
                raise httpx.ReadError("an answer that does not end")
            yield piece

    async def aclose(self) -> None:
        await self._body.aclose()


async def _cap(response: httpx.Response) -> None:
    if response.status_code != httpx.codes.OK and isinstance(response.stream, httpx.AsyncByteStream):
        response.stream = _Refusal(response.stream)


class AlertReader:
    """Owns the connection to one camera.

    `url` is `http://HOST[:PORT]` or `https://…`, without an account in it. `on_alert` hears every alert, `on_lost`
    every connection that was lost (see `CameraFold.interrupted`); both run in the reader's task and must be quick.
    `clock` times the pauses between two tries; stalls and connections are watched in real time. `counters`:
    `connected`, `lost`, `stalled`, `alerts`, `bad_alerts`, `bad_parts`.
    """

    def __init__(
        self,
        *,
        name: str = "people counter",
        url: str,
        credentials: Credentials,
        on_alert: Callable[[Alert], None],
        on_lost: Callable[[], None],
        clock: Clock,
        rng: Random,
        zone: tzinfo | None = None,
        stall_s: float = STALL_S,
        base_s: float = BASE_S,
        cap_s: float = CAP_S,
        on_fault: OnFault = lambda _kind, _detail: None,
    ) -> None:
        self.counters = dict.fromkeys(("connected", "lost", "stalled", "alerts", "bad_alerts", "bad_parts"), 0)
        self._name = name
        self._url = _checked(url)
        self._credentials = credentials
        self._on_alert, self._on_lost, self._on_fault = on_alert, on_lost, on_fault
        self._clock = clock
        self._zone = zone
        self._stall_s = stall_s
        self._backoff = Backoff(rng, base_s=base_s, cap_s=cap_s)
        self._told_down = False
        self._connected = False

    @property
    def is_connected(self) -> bool:
        """Whether alerts come now."""
        return self._connected

    async def run(self) -> None:
        """Read until cancelled, over as many connections as it takes.

        Raises MisconfiguredError when the camera refuses the account or knows no such stream: it is not asked again by
        itself, since cameras lock out whoever tries a wrong password too often.
        """
        while True:
            try:
                await self._one_connection()
            except (UnavailableError, ProtocolError) as error:
                self._down(error)
                await self._clock.sleep(self._backoff.down(self._clock.now_s()))
            except MisconfiguredError as error:
                self._down(error)
                raise

    async def _one_connection(self) -> None:
        """Returns never; raises UnavailableError, ProtocolError(remote), MisconfiguredError."""
        account = _Digest(self._credentials.user, self._credentials.password)
        hooks = {"response": [_cap]}
        limits = httpx.Timeout(CONNECT_WITHIN_S, read=self._stall_s)
        try:
            # trust_env: no proxy and no netrc of this machine has a part in it
            async with (
                httpx.AsyncClient(auth=account, timeout=limits, trust_env=False, event_hooks=hooks) as client,
                asyncio.timeout(self._stall_s) as watch,
                client.stream("GET", self._url + PATH, headers={"Accept-Encoding": "identity"}) as response,
            ):
                await self._listen(response, watch)
        except TimeoutError:
            self.counters["stalled"] += 1
            self._on_fault("timeout", f"no alert for {self._stall_s:g} s")
            raise UnavailableError(f"no alert for {self._stall_s:g} s") from None
        except httpx.TimeoutException:
            raise UnavailableError("does not answer in time") from None
        except httpx.HTTPError as error:
            raise UnavailableError(f"the connection failed ({type(error).__name__})") from None
        finally:
            if self._connected:
                self._connected = False
                self.counters["lost"] += 1
                self._on_lost()

    async def _listen(self, response: httpx.Response, watch: asyncio.Timeout) -> None:
        loop = asyncio.get_running_loop()
        self._refused(response.status_code)
        decoder = PartDecoder(self._bad_part, boundary_of(response.headers.get("content-type", "")))
        async for piece in response.aiter_raw():
            for body in decoder.feed(piece):
                try:
                    alert = parse_alert(body, zone=self._zone)
                except ProtocolError as error:
                    self.counters["bad_alerts"] += 1
                    self._on_fault("framing", str(error))
                    continue
                watch.reschedule(loop.time() + self._stall_s)
                self._up()
                self.counters["alerts"] += 1
                self._on_alert(alert)
        raise UnavailableError("the camera ended the stream")

    def _refused(self, status: int) -> None:
        if status in {401, 403}:
            raise MisconfiguredError(f"people counter {self._name}: the camera refuses the account ({status})")
        if status in {404, 405}:
            raise MisconfiguredError(f"people counter {self._name}: there is no {PATH} ({status})")
        if status != httpx.codes.OK:
            raise UnavailableError(f"the camera answers {status}")

    def _bad_part(self, kind: str, detail: str) -> None:
        del kind
        self.counters["bad_parts"] += 1
        self._on_fault("framing", detail)

    def _up(self) -> None:
        if self._connected:
            return
        self._connected = True
        self._told_down = False
        self.counters["connected"] += 1
        self._backoff.up(self._clock.now_s())
        _log.info("people counter %s: alerts come", self._name)

    def _down(self, error: Exception) -> None:
        if not self._told_down:
            self._told_down = True
            _log.warning("people counter %s: %s", self._name, error)


def _checked(url: str) -> str:
    try:
        parts = httpx.URL(url)
    except httpx.InvalidURL:
        raise MisconfiguredError("url: must be http://HOST[:PORT]") from None
    if parts.userinfo:
        raise MisconfiguredError("url: must hold no account; that is a setting of its own")
    if parts.scheme not in {"http", "https"} or not parts.host or parts.path not in {"", "/"} or parts.query:
        raise MisconfiguredError("url: must be http://HOST[:PORT]")
    return url.rstrip("/")
