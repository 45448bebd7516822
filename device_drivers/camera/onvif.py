"""Asks an ONVIF camera over HTTP where its stream is. Blocks; for a process that has nothing else to do."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import UTC, datetime

import httpx

from device_drivers.camera import soap
from device_drivers.camera.stream_uri import Reply, Request, talk
from device_drivers.camera.url import CameraUrl
from device_drivers.errors import ProtocolError, RefusedError, UnavailableError

DEADLINE_S = 4.0  # real seconds for the whole talk
_TYPE = 'application/soap+xml; charset="utf-8"'


def find_stream(
    url: CameraUrl,
    *,
    wall: Callable[[], datetime] = lambda: datetime.now(UTC),
    nonce: Callable[[], bytes] = lambda: os.urandom(soap.NONCE_BYTES),
    deadline_s: float = DEADLINE_S,
) -> CameraUrl:
    """The address of the stream of `onvif://…`, with its login.

    Raises UnavailableError, RefusedError, MisconfiguredError, ProtocolError; none shows the login.
    """
    ends_s = time.monotonic() + deadline_s
    steps = talk(url, wall=wall, nonce=nonce)
    # neither proxies nor redirects: what we ask, the camera answers
    with httpx.Client(follow_redirects=False, trust_env=False) as client:
        request = next(steps)
        while True:
            try:
                answer = _post(client, url, request, ends_s)
            except httpx.HTTPError as error:
                raise UnavailableError(f"camera {url}: no answer to ONVIF ({type(error).__name__})") from None
            try:
                request = steps.send(answer)
            except StopIteration as done:
                stream: CameraUrl = done.value
                return stream
            except (RefusedError, ProtocolError) as error:
                raise type(error)(f"camera {url}: {error}") from None


def _post(client: httpx.Client, url: CameraUrl, request: Request, ends_s: float) -> Reply:
    address = httpx.URL(scheme="http", host=url.host, port=request.port, path=request.path)
    data = bytearray()
    left_s = max(0.1, ends_s - time.monotonic())
    with client.stream(
        "POST", address, content=request.body, headers={"Content-Type": _TYPE}, timeout=left_s
    ) as response:
        for piece in response.iter_raw():
            data += piece
            if len(data) > soap.CAPS.max_bytes:
                raise ProtocolError(f"ONVIF: a reply of more than {soap.CAPS.max_bytes} bytes")
            if time.monotonic() > ends_s:
                raise UnavailableError(f"camera {url}: its answers to ONVIF take too long")
        return response.status_code, bytes(data)
