"""Where a camera is, as one address, and who logs in there.

    rtsp://192.168.1.64:554/Streaming/Channels/101   a stream (rtsps:// over TLS)
    http://192.168.1.64/video.mjpg                   MJPEG over HTTP (https:// over TLS)
    onvif://192.168.1.64/profile_1                   ONVIF tells the stream; without a profile: the first one
    onvif://camera.shop?stream_host=192.168.1.64     … of a stream that the camera names under another host
    entrance.mp4, file:///clips/entrance.mp4?once=1  a recording
    sim://entrance?seed=7                            the simulated camera

A login stands before the host (`user:password@`, percent-encoded) or, better, in a file (`login_file`).
Makers put passwords into paths and queries too, so of a network address no more than scheme, host and port is ever
shown: neither by `str`, `repr` and `format` nor in an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit

from device_drivers.errors import MisconfiguredError

MAX_URL_CHARS = 1024
MAX_LOGIN_CHARS = 128  # of a user, and of a password
EXAMPLE = "rtsp://192.168.1.64:554/stream1"
NETWORK = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443, "onvif": 80}  # scheme: its usual port
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,252})|[0-9A-Fa-f:]{2,45}")
_SCHEME = re.compile(r"[a-z][a-z0-9+-]{0,31}")
_LOOSE = re.compile(r"(?s)^.*@")


@dataclass(frozen=True, slots=True, repr=False)
class Login:
    """Who logs in at a camera. Prints itself as nothing."""

    user: str
    password: str

    def __post_init__(self) -> None:
        """Raises MisconfiguredError that repeats neither."""
        for name, value in (("user", self.user), ("password", self.password)):
            if len(value) > MAX_LOGIN_CHARS or not (value.isprintable() or not value):
                raise MisconfiguredError(f"camera login: {name} must be at most {MAX_LOGIN_CHARS} printable characters")
        if not self.user or ":" in self.user:
            raise MisconfiguredError("camera login: user must not be empty and must hold no colon")

    def __repr__(self) -> str:
        return "Login(…)"


@dataclass(frozen=True, slots=True, repr=False)
class CameraUrl:
    """A checked address. Only `secret` gives it whole; `text` is that of a recording or of another package."""

    scheme: str
    host: str = ""
    port: int = 0
    tail: str = ""
    """Path and query as they were written, of a network address; may hold a secret."""
    login: Login | None = None
    text: str = ""

    @classmethod
    def parse(cls, text: str) -> CameraUrl:
        """Check an address; without a scheme it is the path of a file. Raises MisconfiguredError with the fix."""
        if not text or len(text) > MAX_URL_CHARS or not text.isprintable():
            raise MisconfiguredError(
                f"camera: must be an address of 1 to {MAX_URL_CHARS} printable characters, such as {EXAMPLE}"
            )
        scheme, colon, _ = text.partition(":")
        if not colon or not _SCHEME.fullmatch(scheme.lower()):
            return cls("file", text=text)
        scheme = scheme.lower()
        if scheme not in NETWORK:
            return cls(scheme, text=text)
        parts, port = _split(text, scheme)
        where, login = parts.netloc.rpartition("@")[0], None
        if where:
            login = Login(*(_decoded(part) for part in (where + ("" if ":" in where else ":")).split(":", 1)))
        url = cls(
            scheme,
            host=(parts.hostname or "").lower(),
            port=port or NETWORK[scheme],
            tail=parts.path + (f"?{parts.query}" if parts.query else ""),
            login=login,
        )
        if scheme == "onvif":
            _ = url.profile, url.stream_host
        return url

    def with_login(self, login: Login) -> CameraUrl:
        """The same place for somebody else. Raises MisconfiguredError if the address names somebody itself."""
        if self.scheme not in NETWORK:
            raise MisconfiguredError(f"camera {self}: nobody logs in there; leave the login out")
        if self.login is not None:
            raise MisconfiguredError(f"camera {self}: has a login in its address and one in a file; keep the file")
        return replace(self, login=login)

    def secret(self) -> str:
        """The whole address, login and all, percent-encoded: for who opens it, never for a log."""
        if self.scheme not in NETWORK:
            return self.text
        who = f"{quote(self.login.user, safe='')}:{quote(self.login.password, safe='')}@" if self.login else ""
        return f"{self.scheme}://{who}{self.authority}{self.tail}"

    @property
    def authority(self) -> str:
        """Host and port, without anybody."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def profile(self) -> str:
        """The ONVIF profile that is wanted, "" for the first."""
        return _decoded(urlsplit(self.tail).path.strip("/"))

    @property
    def stream_host(self) -> str:
        """The host under which an ONVIF camera may name its stream, besides its own; "" for none."""
        asked = parse_qsl(urlsplit(self.tail).query, keep_blank_values=True)
        if [name for name, _ in asked if name != "stream_host"] or len(asked) > 1:
            raise MisconfiguredError(f"camera {self}: ONVIF knows one parameter, stream_host")
        host = asked[0][1].lower() if asked else ""
        if asked and not _HOST.fullmatch(host):
            raise MisconfiguredError(f"camera {self}: stream_host must be a host's name or address")
        return host

    def __str__(self) -> str:
        if self.scheme in NETWORK:
            return f"{self.scheme}://{self.authority}" + ("/…" if self.tail.strip("/") else "")
        return redacted(self.text)

    def __repr__(self) -> str:
        return f"CameraUrl({str(self)!r})"

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)


def redacted(text: str) -> str:
    """Any text without what stands before its last `@`: what is no address may still have been meant as one."""
    return _LOOSE.sub("…@", text)


def same_host(one: str, other: str, also: Iterable[str] = ()) -> bool:
    """Whether two names are one host by their letters, or the second is one of `also`."""
    return other.lower() in {one.lower(), *(name.lower() for name in also if name)}


def _split(text: str, scheme: str) -> tuple[SplitResult, int]:
    """The parts of a network address. No error repeats any of it: what is where is not known yet."""
    wrong = f"camera: must be {scheme}://[USER:PASSWORD@]HOST[:PORT]/PATH; / ? # @ : % of a login are written %2F …"
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise MisconfiguredError(wrong) from None
    host = parts.hostname or ""
    tail = f"{parts.path}?{parts.query}"
    # an unescaped / or ? in a password ends the host early: the @ behind it tells
    if not text.startswith(f"{text[: len(scheme)]}://") or parts.fragment or "#" in text or "@" in tail:
        raise MisconfiguredError(wrong)
    if parts.netloc.count("@") > 1 or not _HOST.fullmatch(host) or port == 0 or " " in text:
        raise MisconfiguredError(wrong)
    return parts, port or 0


def _decoded(part: str) -> str:
    try:
        return unquote(part, errors="strict")
    except UnicodeDecodeError:
        raise MisconfiguredError("camera: what is percent-encoded in the address must be UTF-8") from None
