"""The user's own kernel function on a GPU, compiled by Numba CUDA, which is loaded where one is compiled."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import types
from numba.core.errors import NumbaPerformanceWarning

from kernelfit.kernels.renewed import renewed

_SIDE = 16

#: `numba.cuda` once it is loaded. A global, as Numba's simulator looks for it among the globals of a kernel.
cuda: Any = None


def compile_pairwise(function: Callable[[Any, Any], float]) -> Callable[..., None]:
    """A launcher (stream pointer, rows (h, d), columns (w, d), out (h, w)) of out_ij <- function(rows_i, columns_j).

    Rows arrive as 1-d device arrays; the function may use loops, indexing and `math`, not NumPy. It is compiled here,
    for the current GPU and packed arrays. Raises `ImportError` where Numba CUDA, or what it takes of CUDA, is not
    installed, and Numba's errors, which have no common base, for what it cannot compile.
    """
    load()
    remarks = performance_warnings()
    fill = _filler(function)
    if hasattr(fill, "compile"):  # Numba's simulator compiles nothing
        fill.compile((types.Array(types.float64, 2, "C"),) * 3)

    def launch(stream: int, rows: Any, columns: Any, out: Any) -> None:
        blocks = tuple(min(65_535, -(-size // _SIDE)) for size in out.shape)
        with warnings.catch_warnings():
            # Small tiles do not fill a GPU; that is no news to whoever asked for them.
            for category in remarks:
                warnings.simplefilter("ignore", category)
            fill[blocks, (_SIDE, _SIDE), cuda.external_stream(stream) if stream else 0](rows, columns, out)

    return launch


def _filler(function: Callable[[Any, Any], float]) -> Any:
    """The CUDA kernel that `compile_pairwise` launches."""
    scalar = cuda.jit(device=True)(renewed(function))

    @cuda.jit
    def fill(rows, columns, out):  # type: ignore[no-untyped-def]
        i, j = cuda.grid(2)
        down, across = cuda.gridsize(2)
        for y in range(i, out.shape[0], down):
            for x in range(j, out.shape[1], across):
                out[y, x] = scalar(rows[y], columns[x])

    return fill


def load() -> None:
    """Load `numba.cuda`."""
    global cuda
    # NumPy 2.5 removed `row_stack`, and every release of numba-cuda up to 0.30.4 names it when it first compiles.
    if not hasattr(np, "row_stack"):
        setattr(np, "row_stack", np.vstack)  # noqa: B010 - as an attribute, ruff and mypy know only one NumPy
    with warnings.catch_warnings():
        # numba-cuda calls what NumPy deprecates when it is imported; that is no news to whoever imports kernelfit.
        warnings.simplefilter("ignore", DeprecationWarning)
        from numba import cuda as loaded

    cuda = loaded


def performance_warnings() -> tuple[type[Warning], ...]:
    """The classes of remarks on speed: newer releases of numba-cuda have one of their own beside Numba's."""
    try:
        from numba.cuda.core import errors
    except ImportError:
        return (NumbaPerformanceWarning,)
    own = getattr(errors, "NumbaPerformanceWarning", NumbaPerformanceWarning)
    return (NumbaPerformanceWarning, own)
