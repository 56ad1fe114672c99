"""The user's own kernel function on a card, compiled by Numba CUDA. Import this module only where one is used."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

# A global of this module and not of a function: Numba's simulator looks for it there.
from numba import cuda
from numba.core.errors import NumbaPerformanceWarning

#: the classes of its remarks on speed: newer releases of numba-cuda have one of their own beside Numba's
PERFORMANCE: tuple[type[Warning], ...] = (NumbaPerformanceWarning,)
try:
    from numba.cuda.core import errors as of_numba_cuda

    PERFORMANCE += (of_numba_cuda.NumbaPerformanceWarning,)
except (ImportError, AttributeError):
    pass

_SIDE = 16


def compile_pairwise(function: Callable[[Any, Any], float]) -> Callable[..., None]:
    """A launcher (stream pointer, rows (h, d), columns (w, d), out (h, w)) of out_ij <- function(rows_i, columns_j).

    Rows arrive as 1-d device arrays; the function may use loops, indexing and `math`, not NumPy.
    """
    scalar = cuda.jit(device=True)(function)

    @cuda.jit
    def fill(rows, columns, out):  # type: ignore[no-untyped-def]
        i, j = cuda.grid(2)
        down, across = cuda.gridsize(2)
        for y in range(i, out.shape[0], down):
            for x in range(j, out.shape[1], across):
                out[y, x] = scalar(rows[y], columns[x])

    def launch(stream: int, rows: Any, columns: Any, out: Any) -> None:
        blocks = tuple(min(65_535, -(-size // _SIDE)) for size in out.shape)
        with warnings.catch_warnings():
            # Small tiles do not fill a card; that is no news to whoever asked for them.
            for category in PERFORMANCE:
                warnings.simplefilter("ignore", category)
            fill[blocks, (_SIDE, _SIDE), cuda.external_stream(stream) if stream else 0](rows, columns, out)

    return launch
