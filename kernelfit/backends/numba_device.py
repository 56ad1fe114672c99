"""The user's own kernel function on a card, compiled by Numba CUDA."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kernelfit.errors import DeviceError
from kernelfit.kernels import Pairwise, Product, Sum
from kernelfit.kernels.base import Kernel

_SIDE = 16


def functions_of(kernel: Kernel) -> tuple[Callable[[Any, Any], float], ...]:
    """The user's own functions in a kernel, as Python functions."""
    if isinstance(kernel, (Sum, Product)):
        return functions_of(kernel.left) + functions_of(kernel.right)
    if isinstance(kernel, Pairwise):
        return (getattr(kernel.function, "py_func", kernel.function),)
    return ()


def compile_pairwise(function: Callable[[Any, Any], float]) -> Callable[..., None]:
    """A launcher (stream pointer, rows (h, d), columns (w, d), out (h, w)) of out_ij <- function(rows_i, columns_j).

    Rows arrive as 1-d device arrays; the function may use loops, indexing and `math`, not NumPy.
    """
    try:
        from numba import cuda
    except ImportError as error:
        raise DeviceError(
            f"device: a function of your own needs numba-cuda, which cannot be imported ({error}); install "
            "kernelfit[cuda12] or kernelfit[cuda13], or use --device cpu"
        ) from None
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
        fill[blocks, (_SIDE, _SIDE), cuda.external_stream(stream) if stream else 0](rows, columns, out)

    return launch
