"""A solution at new rows where its kernel is not linear: their inner products with the training rows, summed anew.

Such a kernel has no weights: f(x) = sum_i alpha_i k(z(x), z(x_i)) asks for <z(x), z(x_i)> with every training row, and
for both lengths. That takes the features of all n training rows and of the m new ones, 2 m n p flops for p features,
and 8 m n bytes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kernelfit.cpu.memory import available_memory
from kernelfit.cpu.pool import CpuBackend
from kernelfit.gram.layout import PanelLayout
from kernelfit.gram.pointwise import Lengths, rectangle_of_products
from kernelfit.kernels.base import Kernel
from kernelfit.progress import ProgressLike, as_progress
from kernelfit.streaming.gram import Predictor, predicted
from kernelfit.streaming.host_sums import add_squares, multiply
from kernelfit.streaming.plan import filters_per_block
from kernelfit.streaming.protocol import StreamingFeatures
from kernelfit.typing import Float

# Of the memory there is, what the products of new rows may take; beyond, the features are computed once more.
_SHARE = 0.25


def predict(
    net: StreamingFeatures,
    kernel: Kernel,
    train: ArrayLike,
    X: ArrayLike,
    solution: Predictor,
    progress: ProgressLike = None,
) -> Float:
    """f at the rows X (m, d), of a solution of the kernel of the features of `train` (n, d): (m, c) or (m,).

    Products of float32 features are rounded as those of K are: see `kernelfit.gram.pointwise`.
    """
    rows, training = (np.ascontiguousarray(net.validated(part)) for part in (X, train))
    height = max(1, int(_SHARE * available_memory()) // (8 * len(training)))
    parts = (rows[start : start + height] for start in range(0, len(rows), height))
    return np.concatenate(
        [predicted(solution, _kernel_at(net, kernel, training, part, progress)) for part in parts]
    )


def _kernel_at(
    net: StreamingFeatures, kernel: Kernel, training: NDArray[Any], rows: NDArray[Any], progress: ProgressLike
) -> NDArray[np.float32]:
    """k (m, n) of the rows with the training rows."""
    layout, sets = PanelLayout.of_order(len(training)), (training, rows)
    cross = np.zeros((len(rows), len(training)), np.float32)
    squares = [np.zeros(len(part)) for part in sets]
    per_block = filters_per_block(net, *map(len, sets))
    dtype = np.uint8 if net.step_ else np.float32
    with (
        CpuBackend(net.threads) as backend,
        as_progress(progress).phase(
            "predict", float(net.n_filters) * sum(map(len, sets)), "filters x rows"
        ) as advance,
    ):
        for start in range(0, net.n_filters, per_block):
            stop = min(start + per_block, net.n_filters)
            width = (stop - start) * net.features_per_filter
            blocks = [
                net.filter_block(part, start, stop, out=np.empty((len(part), width), dtype)) for part in sets
            ]
            multiply(blocks, net.step_, layout, (), cross, backend, lambda flops: None)
            for block, sums in zip(blocks, squares, strict=True):
                add_squares(block, net.step_, sums, backend)
            advance(float(stop - start) * sum(map(len, sets)))
        here, there = (Lengths(sums) for sums in reversed(squares))
        values: NDArray[np.float32] = rectangle_of_products(kernel, cross, here, there, backend)
    return values
