"""Floats that are bytes divided by a number, as images often come, brought back to these bytes in one pass."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernelfit.cpu.jit import njit


def levels_of(values: NDArray[Any], divisor: int, out: NDArray[np.uint8]) -> bool:
    """Whether all values (n, d) are k / divisor or k (1 / divisor) for bytes k, rounded in their own type, float32 or
    float64; then out (n, d) <- k. Ends with the first row that has another."""
    number = values.dtype.type
    return bool(_levels(values, number(divisor), number(1.0 / divisor), out))


@njit(cache=True, nogil=True, error_model="numpy")
def _levels(values: Any, divisor: Any, inverse: Any, out: Any) -> bool:
    for i in range(values.shape[0]):
        others = 0
        for j in range(values.shape[1]):
            value = values[i, j]
            level = np.rint(value * divisor)
            met = (level >= 0) & (level <= 255) & ((level / divisor == value) | (level * inverse == value))
            out[i, j] = np.uint8(level if met else 0)
            others += not met
        if others:
            return False
    return True
