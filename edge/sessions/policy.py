"""The rules of a store as checked numbers: time-outs, hours, licence, caps. Read once, at start, from TOML."""

from __future__ import annotations

import tomllib
from datetime import date, datetime, time, timedelta, timezone
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, ValidationError, model_validator

from edge.config import MAX_FILE_BYTES, ConfigError, Section

Seconds = Annotated[float, Field(gt=0, le=7 * 86400)]
Units = Annotated[int, Field(ge=1, le=1000)]


class TimeoutsPolicy(Section):
    """Seconds of store time. No value matters to safety; each may fire at any moment."""

    presence: Seconds
    release: Seconds
    age: Seconds
    cancel: Seconds
    request: Seconds
    pay: Seconds
    held: Seconds
    verify: Seconds
    latch: Seconds
    door: Seconds
    open_warn: Seconds
    open_max: Seconds
    open_max_tobacco: Seconds
    weigh: Seconds
    settle: Seconds
    review: Seconds
    retry_min: Seconds
    retry_max: Seconds
    lock_out: Seconds

    @model_validator(mode="after")
    def _order(self) -> Self:
        if self.door <= self.latch:
            raise ValueError(f"door ({self.door:g}) must exceed latch ({self.latch:g}), or a late pulse opens unseen")
        if self.retry_max < self.retry_min:
            raise ValueError(f"retry_max ({self.retry_max:g}) must not be below retry_min ({self.retry_min:g})")
        if max(self.open_max, self.open_max_tobacco) <= self.open_warn:
            raise ValueError(f"open_max must exceed open_warn ({self.open_warn:g})")
        return self


class HoursPolicy(Section):
    """When tobacco may be sold and restocked, local time; a span never crosses midnight."""

    open: time
    close: time
    restock_open: time
    restock_close: time
    utc_offset_min: Annotated[int, Field(ge=-12 * 60, le=14 * 60)]
    shutter_sensor: bool = False

    @model_validator(mode="after")
    def _order(self) -> Self:
        for first, last, name in (
            (self.open, self.close, "close"),
            (self.restock_open, self.restock_close, "restock_close"),
        ):
            if last <= first:
                raise ValueError(f"{name} ({last:%H:%M}) must be later than its opening ({first:%H:%M})")
        return self

    def local(self, wall: datetime) -> datetime:
        """The moment on the wall of the store."""
        return wall.astimezone(timezone(timedelta(minutes=self.utc_offset_min)))


class SalePolicy(Section):
    hold_fen: Annotated[int, Field(ge=1, le=1_000_000)]
    max_items: Annotated[int, Field(ge=1, le=6)]
    restock_max_items: Annotated[int, Field(ge=1, le=100)]
    tobacco_cap_units: Units
    tobacco_day_units: Units | None = None
    release_again: Annotated[int, Field(ge=0, le=5)]


class StaffPolicy(Section):
    wrong_pins: Annotated[int, Field(ge=1, le=20)]


class LicencePolicy(Section):
    """The retail licence (T04)."""

    number: Annotated[str, Field(pattern=r"^[0-9]{12}$")]
    valid_from: date
    valid_until: date

    @model_validator(mode="after")
    def _order(self) -> Self:
        if self.valid_until < self.valid_from:
            raise ValueError(f"valid_until ({self.valid_until}) must not be before valid_from ({self.valid_from})")
        return self


class Policy(Section):
    """All rules of a store."""

    version: Annotated[str, Field(min_length=1, max_length=64)]
    timeouts_s: TimeoutsPolicy
    hours: HoursPolicy
    sale: SalePolicy
    staff: StaffPolicy
    licence: LicencePolicy | None = None


def load_policy(path: Path | None = None) -> Policy:
    """The checked policy at `path`, or the one that ships with the agent. Raises ConfigError (file, key, fix)."""
    name = str(path) if path else "default_policy.toml"
    try:
        raw = path.read_bytes() if path else files("edge.sessions").joinpath("default_policy.toml").read_bytes()
    except OSError as error:
        raise ConfigError(f"{name}: {error.strerror}; name a policy file, or none for the default") from error
    if len(raw) > MAX_FILE_BYTES:
        raise ConfigError(f"{name}: {len(raw)} bytes, at most {MAX_FILE_BYTES}")
    try:
        return Policy.model_validate(tomllib.loads(raw.decode()))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{name}: not TOML: {error}") from error
    except ValidationError as error:
        lines = (f"{name}: {'.'.join(map(str, e['loc']))}: {_fix(e['type'], e['msg'])}" for e in error.errors())
        raise ConfigError("\n".join(lines)) from error


def _fix(kind: str, message: str) -> str:
    if kind == "extra_forbidden":
        return "unknown key; remove it or mend its spelling"
    return "is missing; add it" if kind == "missing" else message
