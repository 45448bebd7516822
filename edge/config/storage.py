"""Where the store's events go: the cloud's broker, and the ledger on the store's own disk."""

from __future__ import annotations

from pydantic import Field, field_validator

from edge.config.section import Section

MIN_QUOTA_BYTES = 16 << 20


class CloudConfig(Section):
    url: str = Field(repr=False, description="mqtt://host:port or mqtts://host:port of the broker")


class LedgerConfig(Section):
    """What the ledger may take of the disk."""

    retain_days: float = Field(default=7.0, ge=0, le=366, description="confirmed events stay so long for a look inside")
    retain_bytes: int = Field(default=32 << 20, ge=0, le=1 << 36, description="… and take so much; 0: none stay")
    telemetry_rows: int = Field(default=50_000, ge=100, le=10_000_000, description="oldest dropped beyond it")
    reserve_bytes: int = Field(default=8 << 20, ge=1 << 20, le=1 << 30, description="held for the last words")
    quota_bytes: int = Field(default=0, ge=0, le=1 << 40, description="most the file may take; 0: what the disk has")

    @field_validator("quota_bytes")
    @classmethod
    def _is_room(cls, quota_bytes: int) -> int:
        if 0 < quota_bytes < MIN_QUOTA_BYTES:
            raise ValueError(f"at least {MIN_QUOTA_BYTES}, or 0 for what the disk has")
        return quota_bytes
