"""The address in the QR code of a pack, taken apart and never opened: its code is an opaque word of its issuer."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from device_drivers.errors import ProtocolError

MAX_URL_CHARS = 512
MAX_HOST_CHARS = 253

# An address that two programs could read in two ways is refused: no user, no port, no escape or backslash in the host.
_URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<host>[^/?#]*)(?P<rest>[/?#].*)?", re.DOTALL)
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_CODE = re.compile(r"[!#-;=?-\[\]_a-z~]+")  # what an address may hold unescaped, brackets too


@dataclass(frozen=True, slots=True)
class PackQr:
    """Who issued a code, and the code: everything after the host, as it stands."""

    scheme: Literal["http", "https"]
    issuer_host: str
    code: str


def parse_pack_qr(text: str) -> PackQr:
    """Take an address apart. Raises ProtocolError for anything but http(s)://HOST/CODE of plain characters."""
    if not text.isascii() or len(text) > MAX_URL_CHARS:
        raise ProtocolError(f"no address of at most {MAX_URL_CHARS} plain characters")
    found = _URL.fullmatch(text)
    if found is None:
        raise ProtocolError("no address")
    scheme, host = found["scheme"].lower(), found["host"].lower()
    if scheme not in ("http", "https"):
        raise ProtocolError("a pack's address is http or https")
    _check_host(host)
    code = (found["rest"] or "").removeprefix("/")
    if not _CODE.fullmatch(code):
        raise ProtocolError("an address without a code, or with characters that no address holds")
    return PackQr("https" if scheme == "https" else "http", host, code)


def _check_host(host: str) -> None:
    """Raises ProtocolError for all but a name of plain labels."""
    labels = host.split(".")
    if len(host) > MAX_HOST_CHARS or len(labels) < 2 or not all(_LABEL.fullmatch(label) for label in labels):
        raise ProtocolError("the host is no plain name: no user, port, brackets or escapes")
    if any(label.startswith("xn--") for label in labels):
        raise ProtocolError("the host is a name in disguise (xn--)")
    if labels[-1].isdigit():
        raise ProtocolError("the host is a number")
