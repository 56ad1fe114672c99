"""MNIST shifted by a pixel each way."""

from __future__ import annotations

import numpy as np

from benchmarks import shifted_mnist
from benchmarks.children.shifted_mnist import SHIFTS, shifted


def test_images_are_shifted_and_borders_are_dark(rng: np.random.Generator) -> None:
    images = rng.integers(1, 256, (7, 5, 6), dtype=np.uint8)
    chosen = rng.permutation(7 * len(SHIFTS))
    rows = shifted(images, chosen).reshape(-1, 5, 6)
    for row, index in zip(rows, chosen, strict=True):
        (down, right), image = SHIFTS[index // 7], images[index % 7]
        expected = np.roll(image, (down, right), axis=(0, 1))
        if down:
            expected[0 if down > 0 else -1] = 0
        if right:
            expected[:, 0 if right > 0 else -1] = 0
        np.testing.assert_array_equal(row, expected)
    assert len(np.unique(rows.reshape(len(rows), -1), axis=0)) == len(rows)


def test_figures_of_a_wrong_result_are_none() -> None:
    row = {"stopped": "converged", "relative_residual": 0.1, "peak_rss_bytes": 3, "memory_limit": 4}
    assert shifted_mnist.fault_of(row) is None
    assert shifted_mnist.fault_of({**row, "peak_rss_bytes": 5}) == "peak memory 5 bytes, expected at most 4"
    assert shifted_mnist.fault_of({**row, "stopped": "stagnated"}) is not None
    assert shifted_mnist.fault_of({"failed": "killed"}) == "killed"
