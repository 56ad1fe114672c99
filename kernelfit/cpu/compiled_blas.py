"""BLAS for compiled code: float64 products and triangular solves of C-ordered blocks, by the address of the routine.

The same calls as those of `kernelfit.cpu.blas`, and so the same bits, without Python between them.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from kernelfit.cpu import blas
from kernelfit.cpu.addresses import hold
from kernelfit.cpu.jit import njit

_NO, _TRANSPOSED, _RIGHT, _UPPER = (np.uint8(ord(letter)) for letter in "NTRU")


class Routines(NamedTuple):
    """Where SciPy's dgemm and dtrsm are."""

    gemm: int
    trsm: int


@cache
def routines() -> Routines:
    """Those of this process."""
    number = np.dtype(np.float64)
    return Routines(blas.address("blas", number, "gemm"), blas.address("blas", number, "trsm"))


@intrinsic
def _call(_context: Any, address: Any, pointers: Any) -> Any:
    """The routine at an address, which takes addresses and returns nothing."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        values = cgutils.unpack_tuple(builder, arguments[1], len(signature.args[1]))
        routine = ir.FunctionType(ir.VoidType(), [value.type for value in values])
        builder.call(builder.inttoptr(arguments[0], routine.as_pointer()), values)
        return context.get_dummy_value()

    return types.void(address, pointers), emit


@njit(cache=True, nogil=True, error_model="numpy")
def solve_left_lower(trsm: int, l: Any, x: Any, transposed: bool) -> None:  # noqa: E741 - L is the field's name
    """X <- L^-1 X, or L^-T X, in place: L (w, w) lower triangular, X (w, c)."""
    letters = np.array([_RIGHT, _UPPER, _TRANSPOSED if transposed else _NO, _NO])
    sizes = np.array([x.shape[1], x.shape[0], l.shape[1], x.shape[1]], np.int32)
    one = np.ones(1)
    letter, size = letters.ctypes.data, sizes.ctypes.data
    _call(
        trsm,
        (
            letter,
            letter + 1,
            letter + 2,
            letter + 3,
            size,
            size + 4,
            one.ctypes.data,
            l.ctypes.data,
            size + 8,
            x.ctypes.data,
            size + 12,
        ),
    )
    hold((letters, sizes, one))


@njit(cache=True, nogil=True, error_model="numpy")
def multiply(gemm: int, a: Any, b: Any, out: Any) -> None:
    """out (m, c) <- A B for A (m, k), B (k, c)."""
    letters = np.array([_NO, _NO])
    sizes = np.array([b.shape[1], a.shape[0], a.shape[1]], np.int32)
    factors = np.array([1.0, 0.0])
    letter, size, factor = letters.ctypes.data, sizes.ctypes.data, factors.ctypes.data
    _call(
        gemm,
        (
            letter,
            letter + 1,
            size,
            size + 4,
            size + 8,
            factor,
            b.ctypes.data,
            size,
            a.ctypes.data,
            size + 8,
            factor + 8,
            out.ctypes.data,
            size,
        ),
    )
    hold((letters, sizes, factors))
