"""A converted network is pinned by the numbers that it gives for one fixed picture, not by the hash of its file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.errors import ConversionError


def fixed_input(shape: Sequence[int]) -> NDArray[np.float32]:
    """The probe's picture: the same numbers on every machine, between -2 and 2, in no simple pattern."""
    count = int(np.prod(shape))
    values = (np.arange(count, dtype=np.int64) * 7919) % 65521
    return (values.astype(np.float32) / np.float32(65521) * 4 - 2).reshape(shape)


def check(
    role: str,
    outputs: Mapping[str, NDArray[Any]],
    expected: Sequence[tuple[str, int, float]],
    tolerance: float,
) -> None:
    """Raise ConversionError unless every expected `(output, flat index, value)` holds within `tolerance`."""
    for name, index, value in expected:
        values = outputs[name].ravel() if name in outputs else np.empty(0)
        found = float(values[index]) if index < values.size else float("nan")
        if not abs(found - value) <= tolerance:
            raise ConversionError(
                f"model {role!r}: output {name}[{index}] is {found:.5f}, the manifest says {value:.5f}; it is not used"
            )
