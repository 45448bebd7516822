"""The check of a scale at its installation: a known mass is laid on it, and the difference must be that mass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from device_drivers.capabilities import Scale, WeightSample
from device_drivers.errors import RefusedError

REFERENCE_G = 500.0
TOLERANCE_G = 2.0
SAMPLES = 5
MAX_TRIES = 200


@dataclass(frozen=True, slots=True)
class KnownMass:
    """Outcome of the check. `error_g`: what was weighed less what was laid on. `advice` says what to look at."""

    error_g: float
    ok: bool
    advice: str = ""


async def settled_g(scale: Scale, *, samples: int = SAMPLES) -> float:
    """Median of so many stable samples. Raises RefusedError if the scale does not settle, UnavailableError."""
    stable: list[WeightSample] = []
    for _ in range(MAX_TRIES):
        sample = await scale.sample()
        if sample.overload:
            raise RefusedError("the scale says overload: take off what lies on it")
        if sample.stable:
            stable.append(sample)
        if len(stable) == samples:
            return median(one.gross_g for one in stable)
    raise RefusedError(f"the scale did not settle in {MAX_TRIES} samples: does something touch the shelf?")


def check_known_mass(
    empty_g: float, loaded_g: float, *, reference_g: float = REFERENCE_G, tolerance_g: float = TOLERANCE_G
) -> KnownMass:
    """Judge the difference of two settled weights."""
    weighed_g = loaded_g - empty_g
    error_g = weighed_g - reference_g
    if abs(error_g) <= tolerance_g:
        return KnownMass(error_g, ok=True)
    return KnownMass(error_g, ok=False, advice=_advice(weighed_g / reference_g))


def _advice(ratio: float) -> str:
    if _near(-ratio, (1.0,)):
        return "the sign is wrong: are the two signal wires of the load cell the other way round?"
    if _near(abs(ratio), (10.0, 100.0, 1000.0, 0.1, 0.01, 0.001)):
        return f"it weighs {ratio:g} times too much: look at scale, unit and decimals in the profile"
    if abs(ratio) > 20:
        return "that is no weight: look at word_order and type in the profile"
    return "calibrate the scale, and see that nothing touches the shelf"


def _near(ratio: float, wanted: Sequence[float]) -> bool:
    return any(abs(ratio - one) <= 0.02 * one for one in wanted)
