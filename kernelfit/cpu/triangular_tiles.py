"""A narrow triangle in the tiles of `kernelfit.cpu.matrix_product`: A = L L^T, and X <- X L^-T below it.

The rows of X lie across the registers, as many as a tile is wide: 8 columns of them (4 with AVX2) less the products
with the columns before is one tile of a matrix product, and the triangle of 8 x 8 (4 x 4) is solved in the same
registers. OpenBLAS's `trsm` reaches 34 GFLOP/s with 96 columns on a core of Zen 5 with the kernel for AVX2 and 22 with
that for AVX-512, this 70. Every row is solved by itself: its bits do not depend on the rows beside it. A itself is
factored in the same way, some rows at a time: less what they have in common with the rows above, and then in triangles
of 8 x 8 (4 x 4).
"""

from __future__ import annotations

import math
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from kernelfit.cpu.jit import njit
from kernelfit.cpu.matrix_product import (
    TILE_BYTES,
    add_tile,
    clear_number,
    copy_number,
    everywhere,
    float_of,
    fma_of,
    get_number,
    pack,
    packed_block,
    set_number,
    size_of,
    transpose,
)
from kernelfit.cpu.registers import HEIGHT, REGISTER, VECTORS

#: columns of a triangle at most: it is packed where a product packs its rows
MAX_ORDER = 256


def solve(triangle: tuple[int, int], x: tuple[int, int], shape: tuple[int, int], dtype: Any) -> None:
    """X <- X L^-T in place, `shape` (rows of X, columns of both, `MAX_ORDER` at most).

    Operands are an address and the numbers from one row to the next, C-ordered.
    """
    _solve(triangle, x, shape, packed_block(), dtype.type(1))


@njit(cache=True, nogil=True, error_model="numpy")
def _solve(triangle: Any, x: Any, shape: Any, packed: Any, one: Any) -> None:
    pack_triangle(triangle, shape[1], packed, one)
    solve_rows(x, shape, packed, one)


@njit(cache=True, nogil=True, error_model="numpy")
def solve_rows(x: Any, shape: Any, packed: Any, one: Any) -> None:
    """X <- X L^-T in place, `shape` (rows of X, columns of both), L packed by `pack_triangle` or `factor_square`.

    X is an address and the numbers from one row to the next, C-ordered; `packed` is `packed_block()`, `one` 1 in its
    type.
    """
    rows, width = shape
    size = size_of(one)
    line = x[1] * size
    lanes = TILE_BYTES // size
    for first in range(0, rows, lanes):
        count = min(lanes, rows - first)
        start = x[0] + first * line
        _pack_strip(start, x[1], (count, width), packed[1], one)
        _solve_strip(packed, width, width, one)
        _unpack(packed[1], start, line, (count, width), one)


@njit(cache=True, nogil=True, error_model="numpy")
def factor_square(a: Any, width: int, packed: Any, one: Any) -> int:
    """A <- L on and below its diagonal, and L packed; what lies above is lost.

    0, or the 1-based order of the first minor that is not positive, whose pivot is then the first number of the tile.
    """
    size = size_of(one)
    line = a[1] * size
    lanes = TILE_BYTES // size
    strip, tile = packed[1], packed[2]
    for first in range(0, width, lanes):
        count = min(lanes, width - first)
        start = a[0] + first * line
        _pack_strip(start, a[1], (count, first + count), strip, one)
        _solve_strip(packed, first, width, one)
        for j in range(first, first + count, HEIGHT):
            lane, order = (j - first) * size, min(HEIGHT, width - j)
            rows, target = packed[0] + j * width * size, strip + j * TILE_BYTES
            for k in range(j):
                for i in range(HEIGHT):
                    copy_number(strip + k * TILE_BYTES + lane + i * size, rows + (k * HEIGHT + i) * size, one)
            if j:
                add_tile(-one, rows, strip, j, target, TILE_BYTES)
            triangle = rows + j * HEIGHT * size
            failed = _factor_tile(target + lane, triangle, tile, order, one)
            if failed:
                return j + failed
            _solve_tile(triangle, target, one)
            for k in range(order):
                for i in range(order):
                    copy_number(
                        tile + (k * HEIGHT + i) * size, target + k * TILE_BYTES + lane + i * size, one
                    )
        _unpack(strip, start, line, (count, first + count), one)
    return 0


@njit(inline="always")
def _factor_tile(square: int, triangle: int, tile: int, order: int, one: Any) -> int:
    """L of a square, whose columns are lines of a tile, into `tile` and, its diagonal inverted, into `triangle`; both
    have their columns side by side, and the identity where the square ends.

    As `factor_square`: 0, or the order of the minor that is not positive.
    """
    size = size_of(one)
    zero = one - one
    for j in range(HEIGHT):
        for i in range(HEIGHT):
            inside = j < order and j <= i < order
            value = get_number(square + j * TILE_BYTES + i * size, one) if inside else zero
            set_number(tile + (j * HEIGHT + i) * size, value)
    for j in range(order):
        column = tile + j * HEIGHT * size
        for i in range(j, order):
            total = get_number(column + i * size, one)
            for k in range(j):
                before = tile + k * HEIGHT * size
                total -= get_number(before + i * size, one) * get_number(before + j * size, one)
            set_number(column + i * size, total)
        pivot = get_number(column + j * size, one)
        if not pivot > zero:
            set_number(tile, pivot)
            return j + 1
        root = math.sqrt(pivot)
        set_number(column + j * size, root)
        inverse = one / root
        for i in range(j + 1, order):
            set_number(column + i * size, get_number(column + i * size, one) * inverse)
    for j in range(HEIGHT):
        for i in range(HEIGHT):
            copy_number(tile + (j * HEIGHT + i) * size, triangle + (j * HEIGHT + i) * size, one)
        place = triangle + (j * HEIGHT + j) * size
        set_number(place, one / get_number(place, one) if j < order else one)
    return 0


@njit(inline="always")
def pack_triangle(triangle: Any, width: int, packed: Any, one: Any) -> None:
    """Rows of L in groups of `HEIGHT`, its diagonal inverted; rows that fill the last are the identity's."""
    size = size_of(one)
    height = HEIGHT * size // size  # no literal: `pack` is compiled once for all
    pack(triangle[0], triangle[1], width, width, packed[0], height, one)
    for j in range(width):
        place = packed[0] + ((j - j % HEIGHT) * width + j * HEIGHT + j % HEIGHT) * size
        set_number(place, one / get_number(place, one))


@njit(inline="always")
def _pack_strip(start: int, stride: int, shape: Any, strip: int, like: Any) -> None:
    """Rows side by side for each of their columns, and columns of zeros up to the end of a tile."""
    rows, width = shape
    size = size_of(like)
    lanes = TILE_BYTES // size
    pack(start, stride, rows, width, strip, lanes, like)
    for j in range(width, -(-width // HEIGHT) * HEIGHT):
        for i in range(lanes):
            clear_number(strip + j * TILE_BYTES + i * size, like)


@njit(inline="always")
def _solve_strip(packed: Any, columns: int, width: int, one: Any) -> None:
    """The first columns of a strip times the inverse of that much of a packed triangle of `width` columns."""
    size = size_of(one)
    for j in range(0, columns, HEIGHT):
        rows, target = packed[0] + j * width * size, packed[1] + j * TILE_BYTES
        if j:
            add_tile(-one, rows, packed[1], j, target, TILE_BYTES)
        _solve_tile(rows + j * HEIGHT * size, target, one)


@njit(inline="always")
def _unpack(packed: int, start: int, line: int, shape: Any, like: Any) -> None:
    """Packed rows back to where they were."""
    rows, width = shape
    size = size_of(like)
    for i in range(0, rows, HEIGHT):
        for j in range(0, width, HEIGHT):
            source, target = packed + j * TILE_BYTES + i * size, start + i * line + j * size
            if rows - i >= HEIGHT and width - j >= HEIGHT:
                transpose(source, TILE_BYTES, target, line, like)
                continue
            for row in range(min(HEIGHT, rows - i)):
                for column in range(min(HEIGHT, width - j)):
                    copy_number(
                        source + column * TILE_BYTES + row * size, target + row * line + column * size, like
                    )


@intrinsic
def _solve_tile(_context: Any, triangle: Any, target: Any, like: Any) -> Any:
    """A tile, lines side by side, times the inverse of a packed triangle of `HEIGHT` whose diagonal is inverted."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        number = float_of(signature.args[2])
        register = ir.VectorType(number, REGISTER // (8 if number == ir.DoubleType() else 4))
        fma = fma_of(builder.module, register)
        triangle = builder.inttoptr(arguments[0], number.as_pointer())
        target = builder.inttoptr(arguments[1], register.as_pointer())

        def entry(row: int, column: int) -> Any:
            place = builder.gep(triangle, [ir.IntType(64)(column * HEIGHT + row)])
            return everywhere(builder, builder.load(place), register)

        places = [
            [builder.gep(target, [ir.IntType(64)(i * VECTORS + v)]) for v in range(VECTORS)]
            for i in range(HEIGHT)
        ]
        lines = [[builder.load(place) for place in line] for line in places]
        for i in range(HEIGHT):
            inverse = entry(i, i)
            lines[i] = [builder.fmul(value, inverse) for value in lines[i]]
            negative = [builder.fneg(value) for value in lines[i]]
            for below in range(i + 1, HEIGHT):
                factor = entry(below, i)
                lines[below] = [
                    builder.call(fma, [factor, negative[v], lines[below][v]]) for v in range(VECTORS)
                ]
        for i in range(HEIGHT):
            for v in range(VECTORS):
                builder.store(lines[i][v], places[i][v]).align = REGISTER
        return context.get_dummy_value()

    return types.void(types.intp, types.intp, like), emit
