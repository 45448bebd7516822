"""What a bridge must be told."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Role = Literal["all", "ingest", "pages"]
"""What one process does: everything; only take in what stores say (several at once on one database); or only API,
pages and answers to questions."""
ROLES: dict[str, Role] = {"all": "all", "ingest": "ingest", "pages": "pages"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """`members_file` is imported at every start into `members_tenant`. Without `pages` only the API is served."""

    database: Path | str = field(repr=False)  # a path, or a URL, which may hold a password
    mqtt_url: str = field(repr=False)  # may hold a password
    host: str = "127.0.0.1"
    port: int | None = 8300  # None: nothing listens (role ingest alone)
    members_file: Path | None = None
    members_tenant: str = "demo"
    title: str = "掌柜 Zhanggui"
    pages: bool = True
    role: Role = "all"
