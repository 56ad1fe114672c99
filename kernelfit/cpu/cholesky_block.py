"""A = L L^T of a small block in place, in one compiled call: LAPACK for narrow diagonal blocks, our products between.

Left-looking in columns of `_BLOCK`. Up to some 1,000 rows one core with `kernelfit.cpu.matrix_product` is faster than
LAPACK's `potrf` on two.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from kernelfit.cpu import blas
from kernelfit.cpu.jit import njit
from kernelfit.cpu.matrix_product import (
    add_product_compiled,
    clear_number,
    copy_number,
    float_of,
    packed_block,
    size_of,
)

#: columns that LAPACK factors: four tiles of a float64 product
_BLOCK = 96


def factor(a: NDArray[Any]) -> tuple[int, NDArray[Any]]:
    """A (n, n), C-ordered, <- L, zeros above its diagonal; LAPACK's `info`: 0, or the 1-based order of the first minor
    that is not positive.

    Where it is not 0: also the diagonal block in which the factorisation stopped, as it was before, (b, b); its first
    row is that of the largest multiple of b below `info`.
    """
    saved = np.empty((_BLOCK, _BLOCK), a.dtype)
    address, stride = blas.rows_of(a)
    potrf, trsm = _routines(a.dtype)
    info = _factor(
        (potrf, trsm), (address, stride), len(a), packed_block(), blas.rows_of(saved), a.dtype.type(1)
    )
    return info, saved


#: what `factor` leaves of a block that it could not factor begins at a multiple of this
STEP = _BLOCK


@cache
def _routines(dtype: np.dtype[Any]) -> tuple[int, int]:
    return blas.address("lapack", dtype, "potrf"), blas.address("blas", dtype, "trsm")


@njit(cache=True, nogil=True, error_model="numpy")
def _factor(routines: Any, a: Any, n: int, packed: Any, saved: Any, one: Any) -> int:
    size = size_of(one)
    line = a[1] * size
    for start in range(0, n, _BLOCK):
        width = min(_BLOCK, n - start)
        rows = a[0] + start * line
        block = rows + start * size
        if start:
            add_product_compiled(
                -one,
                (rows, a[1], False),
                (rows, a[1], False),
                one,
                (block, a[1]),
                (n - start, width, start),
                packed,
            )
        for i in range(width):
            for j in range(i + 1):
                copy_number(block + i * line + j * size, saved[0] + (i * saved[1] + j) * size, one)
        info = _potrf(routines[0], width, block, a[1], one)
        for i in range(width):
            if info == 0 and not _is_positive(block + i * (line + size), one):
                info = i + 1  # some LAPACK builds compare `pivot <= 0`, which a NaN passes
        if info:
            return start + info
        for i in range(width):
            for j in range(i + 1, n - start):
                clear_number(block + i * line + j * size, one)
        below = n - start - width
        if below:
            _trsm(routines[1], width, below, block, block + width * line, a[1], one)
    return 0


@intrinsic
def _is_positive(_context: Any, source: Any, like: Any) -> Any:
    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        number = float_of(signature.args[1])
        value = builder.load(builder.inttoptr(arguments[0], number.as_pointer()))
        return builder.fcmp_ordered(">", value, ir.Constant(number, 0.0))

    return types.boolean(types.intp, like), emit


class _Call:
    """A call of a Fortran routine at an address: every argument is passed by reference."""

    def __init__(self, builder: Any, address: Any) -> None:
        self._builder, self._address, self._pointers = builder, address, list[Any]()

    def letter(self, letter: str) -> _Call:
        return self._by_reference(ir.Constant(ir.IntType(8), ord(letter)))

    def integer(self, value: Any) -> _Call:
        return self._by_reference(self._builder.trunc(value, ir.IntType(32)))

    def number(self, value: Any) -> _Call:
        return self._by_reference(value)

    def array(self, address: Any) -> _Call:
        self._pointers.append(self._builder.inttoptr(address, ir.IntType(8).as_pointer()))
        return self

    def run(self) -> Any:
        """The last argument's value in memory."""
        pointer = ir.IntType(8).as_pointer()
        routine = ir.FunctionType(ir.VoidType(), [pointer] * len(self._pointers)).as_pointer()
        self._builder.call(self._builder.inttoptr(self._address, routine), self._pointers)
        return self._pointers[-1]

    def _by_reference(self, value: Any) -> _Call:
        with self._builder.goto_entry_block():
            place = self._builder.alloca(value.type)
        self._builder.store(value, place)
        self._pointers.append(self._builder.bitcast(place, ir.IntType(8).as_pointer()))
        return self


@intrinsic
def _potrf(_context: Any, routine: Any, order: Any, a: Any, stride: Any, like: Any) -> Any:
    """LAPACK's potrf of the lower triangle of C-ordered A; its `info`."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        routine, order, a, stride, _ = arguments
        call = _Call(builder, routine).letter("U").integer(order).array(a).integer(stride)
        place = call.integer(ir.Constant(ir.IntType(64), 0)).run()
        info = builder.load(builder.bitcast(place, ir.IntType(32).as_pointer()))
        return builder.sext(info, ir.IntType(64))

    return types.intp(types.intp, types.intp, types.intp, types.intp, like), emit


@intrinsic
def _trsm(
    _context: Any, routine: Any, width: Any, rows: Any, triangle: Any, x: Any, stride: Any, one: Any
) -> Any:
    """X <- X L^-T for C-ordered L (width, width) and X (rows, width)."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        routine, width, rows, triangle, x, stride, one = arguments
        call = _Call(builder, routine).letter("L").letter("U").letter("T").letter("N")
        call.integer(width).integer(rows).number(one)
        call.array(triangle).integer(stride).array(x).integer(stride).run()
        return context.get_dummy_value()

    return types.void(*[types.intp] * 6, one), emit
