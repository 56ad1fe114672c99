"""BLAS and LAPACK on C-ordered blocks, in place, without the GIL.

The routines are SciPy's own, called by address (`kernelfit.cpu.scipy_blas`). Compared with the
f2py wrappers in `scipy.linalg.blas` they work on strided blocks in place instead of copying them, and ctypes
releases the GIL for the length of the call, so that several threads can each run a single-threaded BLAS call.

All matrices are C-ordered with unit column stride; the row stride is the leading dimension. A C-ordered matrix is
the Fortran-ordered transpose of itself, which is why the operands change places below.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernelfit.cpu import matrix_product, scipy_blas, triangular_tiles
from kernelfit.cpu.registers import PROCESSOR

Matrix = NDArray[Any]

_PREFIX = {np.dtype(np.float64): "d", np.dtype(np.float32): "s"}
_SCALAR: dict[np.dtype[Any], Any] = {
    np.dtype(np.float64): ctypes.c_double,
    np.dtype(np.float32): ctypes.c_float,
}


@cache
def _routine(module: str, name: str, arguments: int) -> Callable[..., None]:
    """The routine `name` of "blas" or "lapack" as a ctypes function."""
    return ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * arguments)(scipy_blas.address(module, name))


def address(module: str, dtype: np.dtype[Any], name: str) -> int:
    """Where the routine for numbers of this type is, for compiled code; `module` is "blas" or "lapack"."""
    return scipy_blas.address(module, _PREFIX[dtype] + name)


def _int(value: int) -> Any:
    return ctypes.byref(ctypes.c_int(value))


def rows_of(matrix: Matrix) -> tuple[int, int]:
    """Address and leading dimension of a C-ordered matrix with unit column stride."""
    rows, columns = matrix.shape
    item = matrix.itemsize
    if columns > 1 and matrix.strides[1] != item:
        raise ValueError("a BLAS operand needs unit column stride")
    return matrix.ctypes.data, matrix.strides[0] // item if rows > 1 else max(1, columns)


def _layout(matrix: Matrix) -> tuple[int, Any]:
    """The same for a routine of BLAS."""
    start, stride = rows_of(matrix)
    return start, _int(stride)


def gemm(
    alpha: float,
    a: Matrix,
    b: Matrix,
    beta: float,
    c: Matrix,
    *,
    transpose_a: bool = False,
    transpose_b: bool = False,
) -> None:
    """C <- alpha op(A) op(B) + beta C, in place. Shapes: op(A) (m, k), op(B) (k, n), C (m, n); one dtype.

    Large ones go to `kernelfit.cpu.matrix_product` where that is the faster one.
    """
    m, n = c.shape
    k = a.shape[0] if transpose_a else a.shape[1]
    if m == 0 or n == 0:
        return
    if k == 0:
        c *= beta
        return
    if matrix_product.worth(m, n, k, c.dtype):
        operands = (*rows_of(a), transpose_a), (*rows_of(b), not transpose_b), beta, rows_of(c)
        matrix_product.add_product(alpha, *operands, (m, n, k), c.dtype)
        return
    if n == 1 and not transpose_b:
        _gemv(alpha, a, b, beta, c, transpose_a)
        return
    scalar = _SCALAR[c.dtype]
    a_address, a_stride = _layout(a)
    b_address, b_stride = _layout(b)
    c_address, c_stride = _layout(c)
    _routine("blas", _PREFIX[c.dtype] + "gemm", 13)(
        b"T" if transpose_b else b"N",
        b"T" if transpose_a else b"N",
        _int(n),
        _int(m),
        _int(k),
        ctypes.byref(scalar(alpha)),
        b_address,
        b_stride,
        a_address,
        a_stride,
        ctypes.byref(scalar(beta)),
        c_address,
        c_stride,
    )


def _gemv(alpha: float, a: Matrix, x: Matrix, beta: float, y: Matrix, transposed: bool) -> None:
    """y <- alpha op(A) x + beta y for columns x and y, four times as fast as a product with one column."""
    scalar = _SCALAR[y.dtype]
    a_address, a_stride = _layout(a)
    x_address, x_stride = _layout(x)
    y_address, y_stride = _layout(y)
    _routine("blas", _PREFIX[y.dtype] + "gemv", 11)(
        b"N" if transposed else b"T",
        _int(a.shape[1]),
        _int(a.shape[0]),
        ctypes.byref(scalar(alpha)),
        a_address,
        a_stride,
        x_address,
        x_stride,
        ctypes.byref(scalar(beta)),
        y_address,
        y_stride,
    )


# Below this size the triangular solve itself is as fast as the products that a further split would create: on Ice Lake
# with OpenBLAS 0.3.30, at width 768 with 500 columns, 41 GFLOP/s a core with 64 and 28 with 256; on Zen 5, at width
# 256, 53 with 64 and 75 with 256.
_TRSM_BASE, _TRSM_BASES = 64, {"znver5": 256}
# Rows from which on solves in tiles are faster, where there are any.
_TILED = 16
# Right-hand sides below which products of the split do not run at their rate.
_TRSM_COLUMNS = 32


def solve_right_lower_transposed(l: Matrix, x: Matrix) -> None:  # noqa: E741 - L is the field's name
    """X <- X L^-T in place, L lower triangular (w, w), X (m, w), by recursion to small triangles plus GEMM."""
    tiled = len(x) >= _TILED and matrix_product.available()
    half = _half(len(l), triangular_tiles.MAX_ORDER if tiled else _TRSM_BASE)
    if half:
        solve_right_lower_transposed(l[:half, :half], x[:, :half])
        gemm(-1.0, x[:, :half], l[half:, :half], 1.0, x[:, half:], transpose_b=True)
        solve_right_lower_transposed(l[half:, half:], x[:, half:])
        return
    if tiled and len(l) > 0:
        triangular_tiles.solve(rows_of(l), rows_of(x), x.shape, x.dtype)
    else:
        _trsm(b"L", b"T", l, x)


def solve_left_lower(l: Matrix, x: Matrix, *, transposed: bool = False) -> None:  # noqa: E741
    """X <- L^-1 X (or L^-T X) in place, L lower triangular (w, w), X (w, c), many columns by recursion as above."""
    half = _left_half(len(l), x.shape[1])
    if not half:
        _trsm(b"R", b"T" if transposed else b"N", l, x)
    elif transposed:
        solve_left_lower(l[half:, half:], x[half:], transposed=True)
        gemm(-1.0, l[half:, :half], x[half:], 1.0, x[:half], transpose_a=True)
        solve_left_lower(l[:half, :half], x[:half], transposed=True)
    else:
        solve_left_lower(l[:half, :half], x[:half])
        gemm(-1.0, l[half:, :half], x[:half], 1.0, x[half:])
        solve_left_lower(l[half:, half:], x[half:])


def is_one_call(width: int, columns: int) -> bool:
    """Whether `solve_left_lower` leaves a triangle of that width whole."""
    return not _left_half(width, columns)


def _left_half(width: int, columns: int) -> int:
    return _half(width, _TRSM_BASES.get(PROCESSOR, _TRSM_BASE)) if columns >= _TRSM_COLUMNS else 0


def _half(width: int, base: int) -> int:
    """Where a triangle of that width is split: a power of two times the base; 0 for one that is not."""
    half = base if width > base else 0
    while 0 < 2 * half < width:
        half *= 2
    return half


def _trsm(side: bytes, transposition: bytes, l: Matrix, x: Matrix) -> None:  # noqa: E741
    if 0 in x.shape:
        return
    scalar = _SCALAR[x.dtype]
    l_address, l_stride = _layout(l)
    x_address, x_stride = _layout(x)
    _routine("blas", _PREFIX[x.dtype] + "trsm", 11)(
        side,
        b"U",
        transposition,
        b"N",
        _int(x.shape[1]),
        _int(x.shape[0]),
        ctypes.byref(scalar(1.0)),
        l_address,
        l_stride,
        x_address,
        x_stride,
    )


def potrf(a: Matrix) -> int:
    """A = L L^T in place in the lower triangle; 0, or the 1-based order of the first minor that is not positive.

    The strictly upper triangle is left as it was. LAPACK's `info`; a NaN pivot counts as not positive.
    """
    info = ctypes.c_int(0)
    start, stride = _layout(a)
    _routine("lapack", _PREFIX[a.dtype] + "potrf", 5)(
        b"U", _int(a.shape[0]), start, stride, ctypes.byref(info)
    )
    if info.value < 0:
        raise ValueError(f"LAPACK potrf refused its argument {-info.value}")
    if info.value == 0:
        # Some LAPACK builds compare `pivot <= 0`, which a NaN passes.
        bad = np.flatnonzero(~(np.diagonal(a) > 0))
        if bad.size:
            return int(bad[0]) + 1
    return info.value
