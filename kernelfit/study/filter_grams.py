"""The Grams of a random convolution net in one pass over its filters, scaled to a mean diagonal of 1."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernelfit.errors import InputError, PlanError
from kernelfit.features.accumulate import BLOCK_BYTES, accumulate
from kernelfit.features.random_conv import RandomConv
from kernelfit.gram.plan import PanelLayout
from kernelfit.gram.source import PanelGram
from kernelfit.progress import Progress


def filter_grams(
    feature: RandomConv,
    train: NDArray[Any],
    test: NDArray[Any],
    memory_limit: int,
    progress: Progress | None = None,
) -> tuple[PanelGram, NDArray[np.float32], float]:
    """K / s of the training rows (n, d), C / s (m, n) of the test rows, and s, the mean diagonal of K.

    float32: 2 n^2 + 4 m n bytes (`gram_bytes`), and 1 GB for the block of features that is being multiplied. Raises
    `PlanError` where that exceeds `memory_limit` bytes.
    """
    n, m = len(train), len(test)
    layout = PanelLayout.of_order(n)
    needed = gram_bytes(n, m) + min(BLOCK_BYTES, 4 * (n + m) * feature.n_features_out_)
    if needed > memory_limit:
        raise PlanError(
            f"memory: {needed:,} bytes needed for the Grams of n = {n:,} and {m:,} test rows, got {memory_limit:,}: "
            f"{needed - memory_limit:,} missing; take fewer rows"
        )
    panels = [np.zeros(layout.shape(j), np.float32) for j in range(layout.count)]
    cross = np.zeros((m, n), np.float32)
    accumulate(feature, train, test, layout, panels, cross, progress=progress)
    gram = PanelGram(layout, panels)
    mean = float(gram.diagonal().mean())
    if not mean > 0:
        raise InputError("threshold: no response of any filter exceeds it, so every feature is 0; lower it")
    for block in (*panels, cross):
        block /= np.float32(mean)
    return gram, cross, mean


def gram_bytes(n: int, m: int) -> int:
    """Bytes of both Grams of n training and m test rows."""
    return 4 * (PanelLayout.of_order(n).elements + m * n)
