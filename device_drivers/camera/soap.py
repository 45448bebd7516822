"""ONVIF's messages: SOAP 1.2 requests are written, replies are read with caps. No I/O, no clock, no random.

Requests as in the ONVIF Core Specification and the Media Service (ver10; a camera that has only ver20 is refused); the
login is a WS-Security UsernameToken with PasswordDigest = Base64(SHA1(nonce + created + password)), OASIS
UsernameToken Profile 1.0.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from xml.etree.ElementTree import Element  # a type; documents are read by device_drivers.xml_caps
from xml.sax.saxutils import escape, quoteattr  # it writes only

from device_drivers.camera.url import Login
from device_drivers.errors import ProtocolError, RefusedError
from device_drivers.xml_caps import XmlCaps, read_xml

CAPS = XmlCaps(max_bytes=256 * 1024, max_depth=24, max_elements=8000)
MAX_PROFILES = 64
MAX_TEXT_CHARS = 1024
NONCE_BYTES = 16
_ENVELOPE = "http://www.w3.org/2003/05/soap-envelope"
_SECURITY = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
_UTILITY = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd"
_TOKEN = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-username-token-profile-1.0#PasswordDigest"  # noqa: S105  # the name of a type
_BASE64 = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-soap-message-security-1.0#Base64Binary"
_DEVICE = "http://www.onvif.org/ver10/device/wsdl"
_MEDIA = "http://www.onvif.org/ver10/media/wsdl"
_SCHEMA = "http://www.onvif.org/ver10/schema"
_CLOCK = (
    ("Date", "Year"),
    ("Date", "Month"),
    ("Date", "Day"),
    ("Time", "Hour"),
    ("Time", "Minute"),
    ("Time", "Second"),
)

DATE_AND_TIME = f'<GetSystemDateAndTime xmlns="{_DEVICE}"/>'
CAPABILITIES = f'<GetCapabilities xmlns="{_DEVICE}"><Category>Media</Category></GetCapabilities>'
PROFILES = f'<GetProfiles xmlns="{_MEDIA}"/>'


@dataclass(frozen=True, slots=True)
class Profile:
    """What a camera can send; `has_video` if a video encoder belongs to it."""

    token: str
    name: str
    has_video: bool


def stream_uri(profile: str) -> str:
    """The body that asks for the RTSP address of a profile."""
    return (
        f'<GetStreamUri xmlns="{_MEDIA}"><StreamSetup><Stream xmlns="{_SCHEMA}">RTP-Unicast</Stream>'
        f'<Transport xmlns="{_SCHEMA}"><Protocol>RTSP</Protocol></Transport></StreamSetup>'
        f"<ProfileToken>{escape(profile)}</ProfileToken></GetStreamUri>"
    )


def password_digest(nonce: bytes, created: str, password: str) -> str:
    """Base64(SHA1(nonce + created + password)); SHA-1 because the standard says so."""
    raw = nonce + created.encode() + password.encode()
    return base64.b64encode(hashlib.sha1(raw, usedforsecurity=False).digest()).decode()


def envelope(body: str, login: Login | None = None, *, created: datetime | None = None, nonce: bytes = b"") -> bytes:
    """A whole request. With `login`, `created` (aware, by the camera's clock) and a fresh `nonce` make its token."""
    header = ""
    if login is not None and created is not None:
        moment = created.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        header = (
            f'<s:Header><Security s:mustUnderstand="1" xmlns="{_SECURITY}"><UsernameToken>'
            f"<Username>{escape(login.user)}</Username>"
            f"<Password Type={quoteattr(_TOKEN)}>{password_digest(nonce, moment, login.password)}</Password>"
            f"<Nonce EncodingType={quoteattr(_BASE64)}>{base64.b64encode(nonce).decode()}</Nonce>"
            f'<Created xmlns="{_UTILITY}">{moment}</Created></UsernameToken></Security></s:Header>'
        )
    return (
        f'<?xml version="1.0" encoding="utf-8"?><s:Envelope xmlns:s="{_ENVELOPE}">{header}'
        f"<s:Body>{body}</s:Body></s:Envelope>"
    ).encode()


def reply(status: int, data: bytes) -> Element:
    """The body of a reply. Raises RefusedError if the camera says no, ProtocolError for anything else that is wrong."""
    if status == 401:
        raise RefusedError("ONVIF: the camera refuses the login")
    root = read_xml(data, CAPS)
    body = root.find(f"{{{_ENVELOPE}}}Body")
    if root.tag != f"{{{_ENVELOPE}}}Envelope" or body is None or len(body) != 1:
        raise ProtocolError("ONVIF: no SOAP 1.2 envelope with one thing in its body")
    fault = body.find(f"{{{_ENVELOPE}}}Fault")
    if fault is not None:
        codes = {(code.text or "").rpartition(":")[2].strip() for code in fault.iter(f"{{{_ENVELOPE}}}Value")}
        if codes & {"NotAuthorized", "FailedAuthentication", "InvalidSecurity"}:
            raise RefusedError("ONVIF: the camera refuses the login")
        if codes & {"NoProfile", "InvalidArgVal"}:
            raise RefusedError("ONVIF: the camera has no such profile")
        raise RefusedError("ONVIF: the camera says no to this request")
    if status != 200:
        raise ProtocolError(f"ONVIF: HTTP status {status}")
    return body[0]


def date_and_time(body: Element) -> datetime:
    """The camera's clock, UTC. Raises ProtocolError."""
    there = _found(body, f"{{{_DEVICE}}}SystemDateAndTime/{{{_SCHEMA}}}UTCDateTime")
    parts = [_found(there, f"{{{_SCHEMA}}}{place}/{{{_SCHEMA}}}{part}") for place, part in _CLOCK]
    texts = [(part.text or "").strip() for part in parts]
    if not all(text.isascii() and text.isdecimal() and len(text) <= 4 for text in texts):
        raise ProtocolError("ONVIF: the camera's date is no date")
    try:
        year, month, day, hour, minute, second = map(int, texts)
        return datetime(year, month, day, hour, minute, min(second, 59), tzinfo=UTC)  # 60 and 61: a leap second
    except ValueError:
        raise ProtocolError("ONVIF: the camera's date is no date") from None


def media_address(body: Element) -> str:
    """Where the media service is. Raises ProtocolError, also if there is none of ver10."""
    return _text(_found(body, f"{{{_DEVICE}}}Capabilities/{{{_SCHEMA}}}Media/{{{_SCHEMA}}}XAddr"))


def profiles(body: Element) -> list[Profile]:
    """Every profile in the camera's order, at most MAX_PROFILES. Raises ProtocolError."""
    found = body.findall(f"{{{_MEDIA}}}Profiles")
    if not 0 < len(found) <= MAX_PROFILES:
        raise ProtocolError(f"ONVIF: {len(found)} profiles, must be 1 to {MAX_PROFILES}")
    return [
        Profile(
            token=profile.get("token", "")[:MAX_TEXT_CHARS],
            name=(profile.findtext(f"{{{_SCHEMA}}}Name") or "")[:MAX_TEXT_CHARS],
            has_video=profile.find(f"{{{_SCHEMA}}}VideoEncoderConfiguration") is not None,
        )
        for profile in found
    ]


def uri(body: Element) -> str:
    """The stream's address as the camera names it, not yet checked. Raises ProtocolError."""
    return _text(_found(body, f"{{{_MEDIA}}}MediaUri/{{{_SCHEMA}}}Uri"))


def _found(body: Element, path: str) -> Element:
    found = body.find(path)
    if found is None:
        raise ProtocolError(f"ONVIF: the reply holds no {path.rpartition('}')[2]}")
    return found


def _text(element: Element) -> str:
    text = (element.text or "").strip()
    if not text or len(text) > MAX_TEXT_CHARS or not text.isprintable():
        raise ProtocolError(f"ONVIF: an address must be 1 to {MAX_TEXT_CHARS} printable characters")
    return text
