"""Devices that a profile describes and that are only read: climate, refrigeration, contacts."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from edge.config.section import Id, Section

MIN_POLL_S, MAX_POLL_S = 0.5, 3600.0


class MeteredConfig(Section):
    """What all of them say. `echo`: the RS-485 adapter repeats what we send."""

    id: Id
    bus: Id
    address: int = Field(ge=0, le=255)
    profile: str = Field(default="", max_length=200, description="a shipped profile, or the path of a .toml of yours")
    poll_s: float = Field(default=10.0, ge=MIN_POLL_S, le=MAX_POLL_S, description="seconds between two questions")
    echo: bool = False


class LimitedConfig(MeteredConfig):
    """With limits. A value outside of them for `for_s` is an alarm; it is over once the value is `hysteresis_…` inside
    again."""

    min_c: float | None = Field(default=None, ge=-80, le=150)
    max_c: float | None = Field(default=None, ge=-80, le=150)
    hysteresis_c: float = Field(default=0.5, ge=0, le=20)
    min_rh: float | None = Field(default=None, ge=0, le=100)
    max_rh: float | None = Field(default=None, ge=0, le=100)
    hysteresis_rh: float = Field(default=2.0, ge=0, le=50)
    for_s: float = Field(default=300.0, ge=0, le=86400)

    @model_validator(mode="after")
    def _leaves_room(self) -> Self:
        for unit, least, most, slack in (
            ("c", self.min_c, self.max_c, self.hysteresis_c),
            ("rh", self.min_rh, self.max_rh, self.hysteresis_rh),
        ):
            if least is not None and most is not None and most - least <= 2 * slack:
                raise ValueError(
                    f"max_{unit} must be more than {2 * slack:g} above min_{unit}, or no alarm would ever be over; "
                    f"move one of them or make hysteresis_{unit} smaller"
                )
        return self


class ClimateConfig(LimitedConfig):
    """Temperature and perhaps humidity. Profile: `xy_md02` unless said."""

    kind: Literal["climate"]


class FridgeConfig(LimitedConfig):
    """A refrigeration controller. Profile: the template `refrigeration` unless said."""

    kind: Literal["fridge"]


class RelayInputsConfig(MeteredConfig):
    """The inputs of a relay board; its relays are never switched. Profile: `relay_8` unless said."""

    kind: Literal["relay_inputs"]
    poll_s: float = Field(default=1.0, ge=MIN_POLL_S, le=MAX_POLL_S)
    names: tuple[Id, ...] = Field(default=(), max_length=32, description="what each contact is, the first one first")
