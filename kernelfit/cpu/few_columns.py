"""A X, A^T X, L^-1 X and L^-T X for a few columns X, which are bound by reading the matrix.

BLAS packs A before it multiplies, which for 4 columns writes as much as it reads. Here A is read once, where it lies: a
tile of 8 results x 3 registers of columns, or 4 x 3 of AVX2's, stays in registers while entries of A, each given to all
lanes, and rows of X pass by. One tile serves A X and A^T X, with the two strides of A in either order. Each step asks
for the line of cache that will be read a block later, so that reading goes on while products are formed: on two cores
of Zen 5, 28 to 35 GB/s up to 16 columns, where two cores read 34. A column's bits do not depend on those beside it, nor
on how many there are.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

from kernelfit.cpu import registers
from kernelfit.cpu.blas import rows_of
from kernelfit.cpu.jit import njit
from kernelfit.cpu.matrix_product import (
    clear_number,
    copy_number,
    everywhere,
    float_of,
    fma_of,
    get_number,
    prefetch,
    size_of,
)
from kernelfit.cpu.registers import REGISTER

#: columns up to which this is faster than BLAS
MAX_COLUMNS = 64
#: floating point operations in the time in which a number of the matrix is read
PER_NUMBER = 40.0

# Results and registers of a tile.
HEIGHT, VECTORS = (registers.HEIGHT, registers.VECTORS) if registers.FILLED else (2, 2)
# Products that are summed up before they are added to the result: their part of X stays in the first level of cache,
# and of longer sums the rounding errors would show.
_DEPTH = 128
# Bytes of rows of A between two visits of the same rows, half of what the second level holds.
_BLOCK = 196_608
# Rows of a triangle that are solved one by one.
_TRIANGLE = 32

#: X and Y
Operands = tuple[NDArray[Any], NDArray[Any]]
_INDEX = ir.IntType(64)
_THREAD = threading.local()


def few(a: NDArray[Any], x: NDArray[Any]) -> bool:
    """Whether the products are formed here: of C-ordered rows with a few columns."""
    return 0 < x.shape[1] <= MAX_COLUMNS and 0 not in a.shape and a.strides[1] == a.itemsize


def add_product(sign: float, a: NDArray[Any], x: NDArray[Any], y: NDArray[Any]) -> None:
    """Y <- Y + sign A X in place; A (m, k), X (k, c), Y (m, c), C-ordered and of one type."""
    _add_products(sign, a, (x, y), None)


def add_transposed(sign: float, a: NDArray[Any], x: NDArray[Any], y: NDArray[Any]) -> None:
    """Y <- Y + sign A^T X in place; A (m, k), X (m, c), Y (k, c), C-ordered and of one type."""
    _add_products(sign, a, None, (x, y))


def add_both(a: NDArray[Any], right: Operands, below: Operands) -> None:
    """`add_product` and `add_transposed` of X and Y each, as many columns in both; rows of A are read once for both."""
    _add_products(1.0, a, right, below)


def _add_products(sign: float, a: NDArray[Any], right: Operands | None, below: Operands | None) -> None:
    columns = [x.shape[1] for x, _ in filter(None, (right, below))]
    packed = space((sum(a.shape), columns[0]), a.dtype)
    pairs = [(*rows_of(pair[0]), *rows_of(pair[1])) if pair else (0, 0, 0, 0) for pair in (right, below)]
    add_compiled(a.dtype.type(sign), rows_of(a), pairs[0], pairs[1], (*a.shape, columns[0]), packed)


def solve(l: NDArray[Any], x: NDArray[Any], *, transposed: bool = False) -> None:  # noqa: E741
    """X <- L^-1 X, or L^-T X, in place; L (w, w) lower triangular, X (w, c), C-ordered and of one type."""
    solve_compiled(l.dtype.type(-1), rows_of(l), rows_of(x), x.shape, transposed, space(x.shape, x.dtype))


def space(shape: tuple[int, ...], dtype: np.dtype[Any]) -> int:
    """The address of the calling thread's room for packed X, at the start of a line of cache."""
    lanes = REGISTER // dtype.itemsize
    needed = shape[0] * -(-shape[1] // lanes) * REGISTER + REGISTER
    block: NDArray[Any] | None = getattr(_THREAD, "block", None)
    if block is None or block.size < needed:
        block = _THREAD.block = np.empty(needed, np.uint8)
    address: int = block.ctypes.data
    return address + -address % REGISTER


@njit(cache=True, nogil=True, error_model="numpy")
def add_compiled(sign: Any, a: Any, right: Any, below: Any, shape: Any, packed: int) -> None:
    """Address and numbers to the next row of A, and of X and Y for A X and for A^T X; 0 for what is not wanted."""
    rows, depth, columns = shape
    size = size_of(sign)
    line, width, block = a[1] * size, 0, _rows_at_once(a[1] * size)
    if right[0]:
        width = _pack((right[0], right[1]), (depth, columns), packed, sign)
    others = packed + depth * width
    if below[0]:
        width = _pack((below[0], below[1]), (rows, columns), others, sign)
    for top in range(0, rows, block):
        count = min(block, rows - top)
        source = a[0] + top * line
        ahead = source + count * line
        if right[0]:
            target = (right[2] + top * right[3] * size, right[3] * size)
            for first in range(0, depth, _DEPTH):
                steps = min(_DEPTH, depth - first)
                matrix, factors = (source + first * size, line, size), (packed + first * width, width)
                _add_tiles(sign, matrix, factors, target, (count, steps, columns), (ahead, HEIGHT * size))
                ahead += count * steps * size
        if below[0]:
            factors, target = (others + top * width, width), (below[2], below[3] * size)
            read = (ahead, 0 if right[0] else HEIGHT * size)
            _add_tiles(sign, (source, size, line), factors, target, (depth, count, columns), read)


@njit(cache=True, nogil=True, error_model="numpy")
def solve_compiled(minus: Any, triangle: Any, x: Any, shape: Any, transposed: bool, packed: int) -> None:
    """Blocks of rows one after the other: less their products with what is solved, then row by row."""
    rows, columns = shape
    size = size_of(minus)
    line, width = triangle[1] * size, _pack(x, (rows, columns), packed, minus)
    whole, lanes = (packed, width), width // size
    for step in range(0, rows, _TRIANGLE):
        start = (rows - 1) // _TRIANGLE * _TRIANGLE - step if transposed else step
        height = min(_TRIANGLE, rows - start)
        row, here = triangle[0] + start * line, (packed + start * width, width)
        corner = row + start * size
        if transposed:
            _solve_rows(minus, (corner, size, line), here, (height, lanes), transposed)
            # All columns before, so that rows of L are read as they lie.
            ahead = row - _TRIANGLE * line
            _add_tiles(minus, (row, size, line), here, whole, (start, height, lanes), (ahead, HEIGHT * size))
        else:
            ahead = row + _TRIANGLE * line
            for first in range(0, start, _DEPTH):
                steps = min(_DEPTH, start - first)
                matrix, factors = (row + first * size, line, size), (packed + first * width, width)
                _add_tiles(minus, matrix, factors, here, (height, steps, lanes), (ahead, HEIGHT * size))
                ahead += height * steps * size
            _solve_rows(minus, (corner, line, size), here, (height, lanes), transposed)
    for i in range(rows):
        for c in range(columns):
            copy_number(packed + i * width + c * size, x[0] + (i * x[1] + c) * size, minus)


@njit(inline="always")
def _solve_rows(minus: Any, triangle: Any, x: Any, shape: Any, backwards: bool) -> None:
    """Rows of X, from the first on or from the last; the triangle's strides are those down and across."""
    rows, lanes = shape
    start, down, across = triangle
    registers = lanes * size_of(minus) // REGISTER
    for step in range(rows):
        j = rows - 1 - step if backwards else step
        solved = x[0] + j * x[1]
        pivot = get_number(start + j * (down + across), minus)
        for v in range(registers):
            _divide(solved + v * REGISTER, pivot)
        for i in range(0 if backwards else j + 1, j if backwards else rows):
            factor = minus * get_number(start + i * down + j * across, minus)
            for v in range(registers):
                _add_multiple(x[0] + i * x[1] + v * REGISTER, factor, solved + v * REGISTER)


@njit(inline="always")
def _rows_at_once(line: int) -> int:
    return max(8, _BLOCK // line // 8 * 8)


@njit(inline="always")
def _pack(x: Any, shape: Any, packed: int, like: Any) -> int:
    """Rows of X, filled with zeros to whole registers; the bytes from one to the next."""
    rows, columns = shape
    size = size_of(like)
    lanes = REGISTER // size
    width = -(-columns // lanes) * lanes
    for i in range(rows):
        for c in range(columns):
            copy_number(x[0] + (i * x[1] + c) * size, packed + (i * width + c) * size, like)
        for c in range(columns, width):
            clear_number(packed + (i * width + c) * size, like)
    return width * size


@njit(cache=True, nogil=True, error_model="numpy")
def _add_tiles(sign: Any, a: Any, x: Any, y: Any, shape: Any, read: Any) -> None:
    """Y += sign A X: an address and the bytes from one number to the next, down and across, of A, and those from one
    row to the next of X and Y. The first group of columns reads ahead from an address on, so many bytes a step."""
    rows, steps, columns = shape
    start, down, across = a
    if steps == 0:
        return
    size = size_of(sign)
    lanes, (ahead, asked) = REGISTER // size, read
    for left in range(0, columns, VECTORS * lanes):
        count = min(VECTORS * lanes, columns - left)
        for top in range(0, rows, HEIGHT):
            matrix = (start + top * down, down, across)
            target = (y[0] + top * y[1] + left * size, y[1])
            factors, beyond = (x[0] + left * size, x[1]), (ahead, asked)
            part = (steps, min(HEIGHT, rows - top), count)
            if count <= lanes:
                _add_1(sign, matrix, factors, target, part, beyond)
            elif count <= 2 * lanes:
                _add_2(sign, matrix, factors, target, part, beyond)
            else:
                _add_3(sign, matrix, factors, target, part, beyond)
            ahead += steps * asked
        asked = 0


def _tile(vectors: int) -> Any:
    """A tile of so many registers of columns."""

    @intrinsic
    def add_tile(_context: Any, sign: Any, a: Any, x: Any, y: Any, shape: Any, read: Any) -> Any:
        def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return _emit_tile(context, builder, signature, arguments, vectors)

        return types.void(sign, a, x, y, shape, read), emit

    return add_tile


_add_1, _add_2, _add_3 = _tile(1), _tile(2), _tile(3)


def _emit_tile(context: Any, builder: Any, signature: Any, arguments: Any, vectors: int) -> Any:
    sign, *tuples = arguments
    (a, down, across), (x, x_line), (y, y_line), (steps, rows, columns), (ahead, asked) = (
        cgutils.unpack_tuple(builder, each) for each in tuples
    )
    number = float_of(signature.args[0])
    size = 8 if number == ir.DoubleType() else 4
    register = ir.VectorType(number, REGISTER // size)
    # What is beyond the last row is read from it, and stored nowhere.
    last = builder.sub(rows, _INDEX(1))
    inside = [builder.icmp_signed("<", _INDEX(i), rows) for i in range(HEIGHT)]
    numbers = [builder.select(inside[i], _INDEX(i), last) for i in range(HEIGHT)]
    starts = [builder.add(a, builder.mul(i, down)) for i in numbers]
    sums = _emit_sums(builder, starts, (across, x, x_line, ahead, asked), steps, register, vectors)
    load, store = (_masked(builder.module, register, name) for name in ("load", "store"))
    fma = fma_of(builder.module, register)
    lanes = ir.Constant(ir.VectorType(_INDEX, register.count), list(range(register.count)))
    align, zero, factor = (
        ir.IntType(32)(size),
        ir.Constant(register, None),
        everywhere(builder, sign, register),
    )
    for v in range(vectors):
        left = everywhere(builder, builder.sub(columns, _INDEX(v * register.count)), lanes.type)
        mask = builder.icmp_signed("<", lanes, left)
        for i in range(HEIGHT):
            here = builder.and_(mask, everywhere(builder, inside[i], mask.type))
            address = builder.add(builder.add(y, builder.mul(numbers[i], y_line)), _INDEX(v * REGISTER))
            place = builder.inttoptr(address, register.as_pointer())
            before = builder.call(load, [place, align, here, zero])
            builder.call(store, [builder.call(fma, [factor, sums[i][v], before]), place, align, here])
    return context.get_dummy_value()


def _emit_sums(
    builder: Any, starts: list[Any], sources: tuple[Any, ...], steps: Any, register: Any, vectors: int
) -> list[list[Any]]:
    """The loop over the products; the builder stands behind it."""
    across, x, x_line, ahead, asked = sources
    number, align = register.element, REGISTER // register.count
    fma, zero = fma_of(builder.module, register), ir.Constant(register, None)
    before = builder.block
    loop, after = builder.append_basic_block("products"), builder.append_basic_block("summed")
    builder.branch(loop)
    builder.position_at_end(loop)
    step, offset, row, line = (builder.phi(_INDEX) for _ in range(4))
    sums = [[builder.phi(register) for _ in range(vectors)] for _ in starts]
    prefetch(builder, line)
    factors = [
        builder.load(builder.inttoptr(builder.add(row, _INDEX(v * REGISTER)), register.as_pointer()))
        for v in range(vectors)
    ]
    for factor in factors:
        factor.align = REGISTER
    following = []
    for i, start in enumerate(starts):
        entry = builder.load(builder.inttoptr(builder.add(start, offset), number.as_pointer()))
        entry.align = align
        value = everywhere(builder, entry, register)
        following.append([builder.call(fma, [value, factors[v], sums[i][v]]) for v in range(vectors)])
    next_step = builder.add(step, _INDEX(1))
    counters = (
        (step, _INDEX(0), next_step),
        (offset, _INDEX(0), builder.add(offset, across)),
        (row, x, builder.add(row, x_line)),
        (line, ahead, builder.add(line, asked)),
    )
    for phi, first, after_it in counters:
        phi.add_incoming(first, before)
        phi.add_incoming(after_it, loop)
    for i in range(len(starts)):
        for v in range(vectors):
            sums[i][v].add_incoming(zero, before)
            sums[i][v].add_incoming(following[i][v], loop)
    builder.cbranch(builder.icmp_signed("<", next_step, steps), loop, after)
    builder.position_at_end(after)
    return following


def _masked(module: Any, register: Any, name: str) -> Any:
    """LLVM's masked load (address, alignment, mask, rest) or store (value, address, alignment, mask)."""
    full = f"llvm.masked.{name}.v{register.count}f{8 * REGISTER // register.count}.p0"
    mask, place, align = ir.VectorType(ir.IntType(1), register.count), register.as_pointer(), ir.IntType(32)
    if name == "load":
        kind = ir.FunctionType(register, [place, align, mask, register])
    else:
        kind = ir.FunctionType(ir.VoidType(), [register, place, align, mask])
    return module.globals.get(full) or ir.Function(module, kind, full)


@intrinsic
def _divide(_context: Any, target: Any, divisor: Any) -> Any:
    """A register of numbers at an address divided by a number."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        number = float_of(signature.args[1])
        register = ir.VectorType(number, REGISTER // (8 if number == ir.DoubleType() else 4))
        place = builder.inttoptr(arguments[0], register.as_pointer())
        divisor = everywhere(builder, arguments[1], register)
        builder.store(builder.fdiv(builder.load(place), divisor), place)
        return context.get_dummy_value()

    return types.void(types.intp, divisor), emit


@intrinsic
def _add_multiple(_context: Any, target: Any, factor: Any, source: Any) -> Any:
    """A register of numbers at an address plus a number times another register."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        number = float_of(signature.args[1])
        register = ir.VectorType(number, REGISTER // (8 if number == ir.DoubleType() else 4))
        target, source = (builder.inttoptr(arguments[i], register.as_pointer()) for i in (0, 2))
        factor = everywhere(builder, arguments[1], register)
        fma = fma_of(builder.module, register)
        builder.store(builder.call(fma, [factor, builder.load(source), builder.load(target)]), target)
        return context.get_dummy_value()

    return types.void(types.intp, factor, types.intp), emit
