"""Longer than the gate allows: memory of the detector over many pictures of many sizes."""

import numpy as np
import pytest

from edge.vision.worker import rss_bytes

INFERENCES = 5_000
GROWTH_BYTES = 40 << 20


@pytest.mark.soak
def test_memory_stays_within_bounds_over_pictures_of_many_sizes(detector):
    """The network's input has one shape whatever the picture's, so its arena must not grow with the sizes."""
    rng = np.random.default_rng(1)
    sizes = [(int(h), int(w)) for h, w in rng.integers(64, 1200, (40, 2))]
    for height, width in sizes:
        detector.detect(np.zeros((height, width, 3), np.uint8))
    before = rss_bytes()
    for i in range(INFERENCES):
        height, width = sizes[i % len(sizes)]
        detector.detect(rng.integers(0, 255, (height, width, 3), np.uint8))
    assert rss_bytes() - before < GROWTH_BYTES
