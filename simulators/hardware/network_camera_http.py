"""The HTTP side of a simulated camera: reading requests as RTSP has them too, ONVIF's three services, and the fault."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from xml.sax.saxutils import escape  # it writes only

from simulators.hardware.network_camera_login import Doorman

MOST_HEAD_BYTES = 8192
MOST_BODY_BYTES = 65536
ONVIF_PATHS = frozenset({"/onvif/device_service", "/onvif/Media"})


@dataclass(frozen=True, slots=True)
class Asked:
    """One request; names of headers in small letters."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes = b""


async def read_request(reader: asyncio.StreamReader) -> Asked | None:
    """The next request, past any interleaved RTCP; None when the other side is gone or breaks the protocol."""
    try:
        first = await reader.readexactly(1)
        while first == b"$":
            head = await reader.readexactly(3)
            await reader.readexactly(int.from_bytes(head[1:], "big"))
            first = await reader.readexactly(1)
        raw = first + await reader.readuntil(b"\r\n\r\n")
        lines = raw.decode("latin-1").split("\r\n")
        method, target, _version = lines[0].split(" ")
        headers = {name.strip().lower(): value.strip() for name, _, value in (x.partition(":") for x in lines[1:-2])}
        length = int(headers.get("content-length", "0"))
        if not 0 <= length <= MOST_BODY_BYTES:
            return None
        return Asked(method, target, headers, await reader.readexactly(length))
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError, ValueError):
        return None


def answer(version: str, status: str, headers: Mapping[str, str], body: bytes = b"") -> bytes:
    """A response of HTTP or RTSP."""
    lines = [f"{version} {status}", *(f"{name}: {value}" for name, value in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


@dataclass(slots=True)
class OnvifDevice:
    """Device and media service. `stream` and `media` are what the camera says of itself, wrong things included."""

    doorman: Doorman
    stream: str
    media: str
    profiles: tuple[tuple[str, str], ...] = (("profile_1", "mainStream"), ("profile_2", "subStream"))
    asked: list[str] | None = None

    def handle(self, asked: Asked, now: datetime) -> tuple[str, bytes]:
        """HTTP status and SOAP body for one POST; `now` by the camera's clock, aware."""
        text = asked.body.decode("utf-8", "replace")
        found = re.search(r"<(?:\w+:)?Body>\s*<(?:\w+:)?(\w+)", text)
        what = found[1] if found else ""
        if self.asked is not None:
            self.asked.append(what)
        if what != "GetSystemDateAndTime" and not self._knows(text, now):
            return "400 Bad Request", _fault("ter:NotAuthorized")
        match what:
            case "GetSystemDateAndTime":
                return "200 OK", _said(_time(now))
            case "GetCapabilities":
                media = f"<tt:Media><tt:XAddr>{escape(self.media)}</tt:XAddr></tt:Media>"
                return "200 OK", _said(
                    f"<tds:GetCapabilitiesResponse><tds:Capabilities>{media}</tds:Capabilities></tds:GetCapabilitiesResponse>"
                )
            case "GetProfiles":
                listed = "".join(
                    f'<trt:Profiles token="{token}" fixed="true"><tt:Name>{name}</tt:Name><tt:VideoEncoderConfiguration'
                    f' token="v"><tt:Encoding>JPEG</tt:Encoding></tt:VideoEncoderConfiguration></trt:Profiles>'
                    for token, name in self.profiles
                )
                return "200 OK", _said(f"<trt:GetProfilesResponse>{listed}</trt:GetProfilesResponse>")
            case "GetStreamUri":
                token = re.search(r"ProfileToken>([^<]*)<", text)
                if token is None or token[1] not in dict(self.profiles):
                    return "400 Bad Request", _fault("ter:NoProfile")
                return "200 OK", _said(
                    f"<trt:GetStreamUriResponse><trt:MediaUri><tt:Uri>{escape(self.stream)}</tt:Uri>"
                    "<tt:InvalidAfterConnect>false</tt:InvalidAfterConnect></trt:MediaUri></trt:GetStreamUriResponse>"
                )
            case _:
                return "400 Bad Request", _fault("ter:ActionNotSupported")

    def _knows(self, text: str, now: datetime) -> bool:
        token = {
            name: (found[1] if (found := re.search(rf"<(?:\w+:)?{name}(?:\s[^>]*)?>([^<]*)<", text)) else "")
            for name in ("Username", "Password", "Nonce", "Created")
        }
        user = token["Username"].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
        return self.doorman.lets_token_in(user, token["Password"], token["Nonce"], token["Created"], now)


def _said(body: str) -> bytes:
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<env:Envelope xmlns:env="http://www.w3.org/2003/05/soap-envelope"'
        ' xmlns:tds="http://www.onvif.org/ver10/device/wsdl" xmlns:trt="http://www.onvif.org/ver10/media/wsdl"'
        ' xmlns:tt="http://www.onvif.org/ver10/schema" xmlns:ter="http://www.onvif.org/ver10/error">'
        f"<env:Body>{body}</env:Body></env:Envelope>"
    ).encode()


def _fault(code: str) -> bytes:
    return _said(
        "<env:Fault><env:Code><env:Value>env:Sender</env:Value><env:Subcode><env:Value>"
        f"{code}</env:Value></env:Subcode></env:Code>"
        '<env:Reason><env:Text xml:lang="en">no</env:Text></env:Reason></env:Fault>'
    )


def _time(now: datetime) -> str:
    return (
        "<tds:GetSystemDateAndTimeResponse><tds:SystemDateAndTime><tt:DateTimeType>Manual</tt:DateTimeType>"
        "<tt:DaylightSavings>false</tt:DaylightSavings><tt:UTCDateTime>"
        f"<tt:Time><tt:Hour>{now.hour}</tt:Hour><tt:Minute>{now.minute}</tt:Minute><tt:Second>{now.second}</tt:Second></tt:Time>"
        f"<tt:Date><tt:Year>{now.year}</tt:Year><tt:Month>{now.month}</tt:Month><tt:Day>{now.day}</tt:Day></tt:Date>"
        "</tt:UTCDateTime></tds:SystemDateAndTime></tds:GetSystemDateAndTimeResponse>"
    )
