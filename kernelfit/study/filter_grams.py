"""The Grams of a random convolution net in one pass over its filters."""

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
) -> tuple[PanelGram, NDArray[np.float32]]:
    """K = Z Z^T of the training rows (n, d), and C = Z_test Z^T (m, n).

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
    if not gram.diagonal().any():
        raise InputError("threshold: no response of any filter exceeds it, so every feature is 0; lower it")
    return gram, cross


def gram_bytes(n: int, m: int) -> int:
    """Bytes of both Grams of n training and m test rows."""
    return 4 * (PanelLayout.of_order(n).elements + m * n)
