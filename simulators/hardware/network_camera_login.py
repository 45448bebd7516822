"""How a simulated camera knows who asks: HTTP Digest (RFC 2617), and the UsernameToken of ONVIF."""

from __future__ import annotations

import base64
import re
import secrets
from collections import deque
from datetime import datetime, timedelta
from hashlib import md5, sha1

REALM = "IP Camera"
TOKEN_AGE = timedelta(seconds=30)
_FIELD = re.compile(r'(\w+)=(?:"([^"]*)"|([^\s,]+))')


def _md5(text: str) -> str:
    return md5(text.encode(), usedforsecurity=False).hexdigest()


class Doorman:
    """One user and password; an empty user lets everybody in."""

    def __init__(self, user: str, password: str) -> None:
        self.user, self.password = user, password
        self.nonce = secrets.token_hex(16)
        self.refused = 0
        self._seen: deque[bytes] = deque(maxlen=256)

    def challenge(self) -> str:
        """The value of WWW-Authenticate."""
        return f'Digest realm="{REALM}", nonce="{self.nonce}"'

    def lets_in(self, method: str, authorization: str) -> bool:
        """Whether a request with this Authorization (empty: none) may pass."""
        if not self.user:
            return True
        said = {name: quoted or bare for name, quoted, bare in _FIELD.findall(authorization)}
        own = _md5(f"{self.user}:{REALM}:{self.password}")
        asked = _md5(f"{method}:{said.get('uri', '')}")
        if "qop" in said:
            middle = f"{self.nonce}:{said.get('nc', '')}:{said.get('cnonce', '')}:{said['qop']}"
        else:
            middle = self.nonce
        good = (
            authorization.startswith("Digest ")
            and said.get("username") == self.user
            and said.get("nonce") == self.nonce
            and said.get("response") == _md5(f"{own}:{middle}:{asked}")
        )
        self.refused += bool(authorization) and not good
        return good

    def lets_token_in(self, user: str, digest: str, nonce: str, created: str, now: datetime) -> bool:
        """Whether an ONVIF token passes: the right digest, made just now by the camera's own clock, not used before."""
        if not self.user:
            return True
        try:
            raw, made = base64.b64decode(nonce, validate=True), datetime.fromisoformat(created)
        except ValueError:
            self.refused += 1
            return False
        own = base64.b64encode(sha1(raw + created.encode() + self.password.encode(), usedforsecurity=False).digest())
        good = (
            user == self.user
            and digest.encode() == own
            and abs(now - made) <= TOKEN_AGE
            and len(raw) >= 8
            and raw not in self._seen
        )
        self._seen.append(raw)
        self.refused += not good
        return good
