"""Pairs of sparse rows whose distance or angle is formed from the rows themselves."""

from __future__ import annotations

from typing import Any

import numpy as np

from kernelfit.gram import distances
from kernelfit.typing import Float

# Pairs whose differences are formed at a time.
_PAIRS = 4_096


def correct_close(sq_rows: Float, sq_cols: Float, rows: Any, columns: Any, out: Float) -> None:
    """|x_i - x_j|^2 anew, in `out` (h, w), for the close pairs of CSR rows (h, d) and columns (w, d)."""
    i, j = np.nonzero(out < distances.CLOSE * (sq_rows[:, None] + sq_cols))
    for start in range(0, len(i), _PAIRS):
        part = slice(start, start + _PAIRS)
        apart = rows[i[part]] - columns[j[part]]
        out[i[part], j[part]] = np.asarray(apart.power(2).sum(axis=1)).reshape(-1)


def correct_parallel(dot: Float, rows: Any, columns: Any, left: Any, right: Any, out: Float) -> None:
    """`distances.correct_parallel` for CSR rows `left` and `right`, of which the columns that a pair has are taken."""
    parallel = (out < distances.PARALLEL) | (out > 1.0 / distances.PARALLEL)
    for i, j in zip(*np.nonzero(parallel), strict=True):
        x, y = left[[i]], right[[j]]
        used = np.union1d(x.indices, y.indices)
        if not used.size:
            continue
        value = np.array([[out[i, j]]])
        distances.correct_parallel(
            np.array([[dot[i, j]]]),
            type(rows)(*(vector[i : i + 1] for vector in rows)),
            type(columns)(*(vector[j : j + 1] for vector in columns)),
            np.ascontiguousarray(x[:, used].toarray()),
            np.ascontiguousarray(y[:, used].toarray()),
            value,
        )
        out[i, j] = value[0, 0]
