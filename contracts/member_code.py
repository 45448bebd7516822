"""The code in a member's QR: `ZG1.<member>.<mac>`, minted in the cloud, verified in the store without a network.

The mac is the first 8 bytes of HMAC-SHA256(tenant key, "ZG1." + member) in hex: a mistyped or invented code is
refused on the spot. It does not expire: a photograph of a code works like the code.
"""

from __future__ import annotations

import hashlib
import hmac
import re

_CODE = re.compile(r"ZG1\.([A-Za-z0-9_-]{1,32})\.([0-9a-f]{16})")
MAX_CODE_CHARS = 128


class BadCodeError(ValueError):
    """Not a member code of this tenant; the message never repeats the code."""


def _mac(member_ref: str, key: bytes) -> str:
    return hmac.new(key, b"ZG1." + member_ref.encode(), hashlib.sha256).digest()[:8].hex()


def mint_member_code(member_ref: str, key: bytes) -> str:
    """The text of the QR code of `member_ref`."""
    code = f"ZG1.{member_ref}.{_mac(member_ref, key)}"
    if not _CODE.fullmatch(code):
        raise BadCodeError("member reference may hold only letters, digits, '_' and '-', 1 to 32 of them")
    return code


def verify_member_code(text: str, key: bytes) -> str:
    """The member reference in `text`. Raises BadCodeError."""
    match = _CODE.fullmatch(text) if len(text) <= MAX_CODE_CHARS else None
    if match is None:
        raise BadCodeError("not a member code")
    if not hmac.compare_digest(_mac(match[1], key), match[2]):
        raise BadCodeError("member code of another tenant, or forged")
    return match[1]
