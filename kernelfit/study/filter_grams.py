"""The Grams of a random convolution net in one pass over its filters, scaled to a mean diagonal of 1."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernelfit.errors import InputError
from kernelfit.features.accumulate import accumulate
from kernelfit.features.random_conv import RandomConv
from kernelfit.gram.plan import PanelLayout
from kernelfit.gram.source import PanelGram
from kernelfit.progress import Progress


def filter_grams(
    feature: RandomConv, train: NDArray[Any], test: NDArray[Any], progress: Progress | None = None
) -> tuple[PanelGram, NDArray[np.float32], float]:
    """K / s of the training rows (n, d), C / s (m, n) of the test rows, and s, the mean diagonal of K.

    float32: 2 n^2 + 4 m n bytes, and 1 GB for the block of features that is being multiplied.
    """
    layout = PanelLayout.of_order(len(train))
    panels = [np.zeros(layout.shape(j), np.float32) for j in range(layout.count)]
    cross = np.zeros((len(test), len(train)), np.float32)
    accumulate(feature, train, test, layout, panels, cross, progress=progress)
    gram = PanelGram(layout, panels)
    mean = float(gram.diagonal().mean())
    if not mean > 0:
        raise InputError("threshold: no response of any filter exceeds it, so every feature is 0; lower it")
    for block in (*panels, cross):
        block /= np.float32(mean)
    return gram, cross, mean
