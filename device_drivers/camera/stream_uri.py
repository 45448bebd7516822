"""The talk with an ONVIF camera that ends with the address of its pictures. No I/O, no clock, no random.

    clock? -> media service? -> profiles? -> address of one

A reply can only send us to the host that was named: a camera that was taken over, or that answers for another, must
not be given the login of this one.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

from device_drivers.camera import soap
from device_drivers.camera.url import CameraUrl, same_host
from device_drivers.errors import MisconfiguredError, ProtocolError, RefusedError

DEVICE_PATH = "/onvif/device_service"
STREAMS = frozenset({"rtsp", "rtsps", "http"})
Reply = tuple[int, bytes]


@dataclass(frozen=True, slots=True)
class Request:
    """A POST to the camera: to `port` of its own host, never elsewhere. The body holds a digest, so it is not shown."""

    port: int
    path: str
    body: bytes

    def __repr__(self) -> str:
        return f"Request({self.port}, {len(self.body)} bytes)"


def talk(
    url: CameraUrl, *, wall: Callable[[], datetime], nonce: Callable[[], bytes]
) -> Generator[Request, Reply, CameraUrl]:
    """Yields what to ask, is sent (HTTP status, body), and returns the address of the stream with `url`'s login.

    Raises RefusedError (login, profile), MisconfiguredError (the camera sends us to another host), ProtocolError.
    """
    answer = yield Request(url.port, DEVICE_PATH, soap.envelope(soap.DATE_AND_TIME))
    offset = (
        soap.date_and_time(soap.reply(*answer)) - wall()
    )  # a camera without the time refuses a token of the right one

    def asked(body: str) -> bytes:
        return soap.envelope(body, url.login, created=wall() + offset, nonce=nonce())

    answer = yield Request(url.port, DEVICE_PATH, asked(soap.CAPABILITIES))
    port, path = _media(url, soap.media_address(soap.reply(*answer)))
    answer = yield Request(port, path, asked(soap.PROFILES))
    profile = _chosen(url, soap.profiles(soap.reply(*answer)))
    answer = yield Request(port, path, asked(soap.stream_uri(profile)))
    return _stream(url, soap.uri(soap.reply(*answer)))


def _media(url: CameraUrl, address: str) -> tuple[int, str]:
    """Port and path of the media service. Behind a router a camera names itself by an address of its own: then only
    the path counts."""
    try:
        parts = urlsplit(address)
        port = parts.port or 80
    except ValueError:
        raise ProtocolError("ONVIF: the address of the media service is none") from None
    if parts.scheme != "http" or not parts.path.startswith("/"):
        raise ProtocolError("ONVIF: the media service is not at http://HOST/PATH")
    return (port if same_host(url.host, parts.hostname or "") else url.port), parts.path


def _chosen(url: CameraUrl, found: list[soap.Profile]) -> str:
    """The token of the wanted profile, by its token or its name; without a wish the first that has video."""
    wanted = url.profile
    for profile in found:
        if wanted in {profile.token, profile.name} if wanted else profile.has_video:
            return profile.token
    raise RefusedError(f"ONVIF: the camera has {len(found)} profiles, but not the one that the address names")


def _stream(url: CameraUrl, said: str) -> CameraUrl:
    try:
        stream = CameraUrl.parse(said)
    except MisconfiguredError:
        raise ProtocolError("ONVIF: the address of the stream is none") from None
    if stream.scheme not in STREAMS:
        raise ProtocolError("ONVIF: the stream is neither rtsp, rtsps nor http")
    if not same_host(url.host, stream.host, [url.stream_host]):
        raise MisconfiguredError(
            f"camera {url}: names its stream at host {stream.host}; if that is the same camera, "
            f"add ?stream_host={stream.host}"
        )
    return CameraUrl(stream.scheme, host=stream.host, port=stream.port, tail=stream.tail, login=url.login)
