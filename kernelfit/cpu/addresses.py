"""Addresses of arrays in compiled code, and what keeps the arrays there while they are read.

Numba frees an array after the last line that names it, and a number that was its address names nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from kernelfit.cpu.jit import njit


@njit(inline="always")
def rows_in(block: Any) -> Any:
    """`kernelfit.cpu.blas.rows_of` a C-ordered block."""
    return np.int64(block.ctypes.data), block.shape[
        1
    ]  # an unsigned number beside a signed one becomes a float


@njit(cache=True, nogil=True, error_model="numpy")
def hold(blocks: Any) -> None:
    """A line that names a tuple of arrays, behind the last one that reads them by their addresses."""
