"""Where the broker is: `mqtt://[user:password@]host:port` or `mqtts://…`; a password never shows in text."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

DEFAULT_PORTS = {"mqtt": 1883, "mqtts": 8883}


class BadUrlError(ValueError):
    """Not a broker's address; the message never repeats the URL, which may hold a password."""


@dataclass(frozen=True, slots=True)
class BrokerUrl:
    """A broker's address. `str()` is safe to log."""

    host: str
    port: int
    tls: bool
    username: str | None = None
    password: str | None = field(default=None, repr=False)

    def __str__(self) -> str:
        return f"{'mqtts' if self.tls else 'mqtt'}://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"

    @classmethod
    def parse(cls, url: str, *, said_in: str = "cloud.url") -> BrokerUrl:
        """The address in `url`, which a person wrote in the field `said_in`. Raises BadUrlError."""
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:
            raise BadUrlError(f"{said_in}: not a URL; write mqtt://host:port or mqtts://host:port") from None
        if parts.scheme not in DEFAULT_PORTS:
            raise BadUrlError(f"{said_in}: must begin with mqtt:// or mqtts://")
        if not host:
            raise BadUrlError(f"{said_in}: names no host; write mqtt://host:port or mqtts://host:port")
        if parts.path not in ("", "/") or parts.query or parts.fragment:
            raise BadUrlError(f"{said_in}: ends after the port")
        return cls(
            host=host,
            port=port or DEFAULT_PORTS[parts.scheme],
            tls=parts.scheme == "mqtts",
            username=unquote(parts.username) if parts.username else None,
            password=unquote(parts.password) if parts.password else None,
        )
