"""What tiles know of rows of floats: their lengths and their largest entries, in one pass each."""

from __future__ import annotations

from typing import Any

import numpy as np

from kernelfit.cpu.jit import njit
from kernelfit.typing import Float

# All bits of a float64 but its sign.
_MAGNITUDE = np.uint64(2**63 - 1)


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "contract", "nsz"})
def sq_norms(rows: Any, out: Any) -> None:
    """out (n,) <- |x_i|^2 of C-ordered float64 rows (n, d), in several sums, which err less than a single one."""
    for i in range(rows.shape[0]):
        total = 0.0
        for k in range(rows.shape[1]):
            total += rows[i, k] * rows[i, k]
        out[i] = total


def largest(rows: Float) -> Float:
    """max_k |x_ik| (n,) of C-ordered float64 rows (n, d), none of which is NaN."""
    made = np.zeros(len(rows))
    _largest(rows.view(np.uint64), made.view(np.uint64))
    return made


@njit(cache=True, nogil=True)
def _largest(rows: Any, out: Any) -> None:
    """Magnitudes have the order of their bits, whose largest is found several at a time."""
    for i in range(rows.shape[0]):
        most = np.uint64(0)
        for k in range(rows.shape[1]):
            most = max(most, rows[i, k] & _MAGNITUDE)
        out[i] = most
