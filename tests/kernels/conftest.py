from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from kernelfit.cpu.pool import CpuBackend
from kernelfit.gram.points import Points
from kernelfit.gram.tile import ColumnBlock, evaluate
from kernelfit.kernels import Kernel


@pytest.fixture
def cross(backend: CpuBackend) -> Callable[..., np.ndarray]:
    """`cross(kernel, rows, columns, scale)`: k(rows, columns) as one tile, without any repair of a diagonal."""

    def evaluate_cross(kernel: Kernel, rows, columns, scale: float | None = None) -> np.ndarray:
        second = Points(columns, scale)
        first = Points(rows, scale, like=second)
        kernel.compile()
        out = np.full((len(rows), len(columns)), np.nan)
        block = ColumnBlock(second, 0, len(columns), first.exact and second.exact)
        evaluate(kernel, first, 0, len(rows), block, out, backend)
        return out

    return evaluate_cross
