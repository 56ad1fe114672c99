"""C + alpha A B by a micro-kernel of our own, for CPUs with AVX-512 or with AVX2 and fused multiply-adds.

Narrow triangles are solved and diagonal blocks factored in its tiles (`kernelfit.cpu.cholesky_block`). Large products
are left to BLAS but on two families. On AMD's Zen 5 a core adds 2 x 8 products of float64 in a cycle, 134 GFLOP/s, of
which this reaches 101 to 107 and OpenBLAS 0.3.30 90 to 98 on its kernel for Skylake, and 60 where
`OPENBLAS_CORETYPE=Haswell` has it take that for AVX2. On Intel's Ice Lake both reach 60, but BLAS loses more with
strips of few rows and gains with many columns. In float32 the kernel for Skylake is the faster one, and so is BLAS
where either CPU is held to AVX2 (`docs/performance.md`).

The scheme is that of K. Goto and R. van de Geijn (ACM Trans. Math. Softw. 34, 2008) as in BLIS: columns of the product
in blocks that the third level of cache holds, sums cut into runs of `_DEPTH` products, rows in blocks for the second
level, and inside them tiles of 8 rows x 3 registers, or 4 x 3 of AVX2's, whose sums never leave the registers. Each
entry adds its products in ascending order, `_DEPTH` at a time, wherever it lies: with alpha = +-1 its bits do not
depend on how rows and columns are cut.
"""

from __future__ import annotations

import sys
import threading
from functools import cache
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from kernelfit.cpu.jit import njit
from kernelfit.cpu.linked_blas import linked_libraries
from kernelfit.cpu.registers import FILLED, HEIGHT, PROCESSOR, REGISTER, VECTORS

TILE_BYTES = VECTORS * REGISTER  # bytes of a tile's row
# Products added in registers before they are added to C: a tile's columns then take 36 KiB of the first level, 18 with
# AVX2.
_DEPTH = 192
# Products ahead of the sums for which rows are asked from the second level of cache; a tile of C is asked for before
# its sums. A core of Intel's Ice Lake has 60 to 64 GFLOP/s with both, 50 to 53 without; held to AVX2 38 to 45 and 24.
_AHEAD = 16
# Rows whose packed numbers the second level holds, and columns at a time.
_ROWS, _COLUMNS = 384, 1_056
#: fewer products than this are left to BLAS
_WORTH = 96**3
# CPUs on which it was measured to be faster than OpenBLAS in large products, and of how many columns at most: with
# 2,048 a core of Ice Lake has 52 to 54 GFLOP/s, BLAS 57 to 60.
_FASTER = {"znver5": sys.maxsize, "icelake-server": 1_024}
# Kernels of OpenBLAS that use registers of 512 bits.
_WIDE = ("SkylakeX", "Cooperlake", "SapphireRapids")

_INDEX = ir.IntType(64)
_THREAD = threading.local()


def available() -> bool:
    """Whether Numba compiles for a CPU whose registers the tiles fill."""
    return FILLED


def faster_than_blas() -> bool:
    """Whether large products of float64 are faster than those of OpenBLAS, where they have not too many columns."""
    return FILLED and PROCESSOR in _FASTER


def worth(m: int, n: int, k: int, dtype: Any) -> bool:
    """Whether a product of (m, k) by (k, n) is faster here than by BLAS."""
    if min(m, n) < 32 or k < 16 or m * n * k < _WORTH or not FILLED or n > _FASTER.get(PROCESSOR, 0):
        return False
    return dtype == np.float64 or not _library_is_wide()


@cache
def _library_is_wide() -> bool:
    """Whether the BLAS that computes here has taken a kernel for AVX-512."""
    return any(getattr(library, "architecture", None) in _WIDE for library in linked_libraries())


def add_product(
    alpha: float,
    a: tuple[int, int, bool],
    b: tuple[int, int, bool],
    beta: float,
    c: tuple[int, int],
    shape: tuple[int, int, int],
    dtype: Any,
) -> None:
    """C (m, n) <- alpha op(A) op(B) + beta C, op(A) (m, k), op(B) (k, n), `shape` (m, n, k).

    Operands are C-ordered: an address, the numbers from one row to the next, and whether the sums run down its columns,
    as they do for A (k, m) of A^T, and for B (k, n).
    """
    add_product_compiled(dtype.type(alpha), a, b, dtype.type(beta), c, shape, packed_block())


def packed_block() -> tuple[int, int, int]:
    """Addresses of the calling thread's packed rows, packed columns and one tile, each at the start of a line."""
    places: tuple[int, int, int] | None = getattr(_THREAD, "places", None)
    if places is None:
        block = _THREAD.block = np.empty(
            (_ROWS + _COLUMNS) * _DEPTH * 8 + HEIGHT * TILE_BYTES + REGISTER, np.uint8
        )
        start = block.ctypes.data + -block.ctypes.data % REGISTER
        columns = start + _ROWS * _DEPTH * 8
        places = _THREAD.places = start, columns, columns + _COLUMNS * _DEPTH * 8
    return places


@njit(cache=True, nogil=True, error_model="numpy")
def add_product_compiled(alpha: Any, a: Any, b: Any, beta: Any, c: Any, shape: Any, packed: Any) -> None:
    """`add_product` for compiled code; alpha and beta are of the operands' type, `packed` is `packed_block()`."""
    m, n, k = shape
    packed_rows, packed_columns, tile = packed
    size = size_of(alpha)
    width, height = (
        TILE_BYTES // size,
        HEIGHT * size // size,
    )  # no literal: `_pack_part` is compiled once for both
    line = c[1] * size
    if beta != 1.0:
        for i in range(m):
            _scale(c[0] + i * line, n, beta)
    for left in range(0, n, _COLUMNS):
        columns = min(_COLUMNS, n - left)
        for first in range(0, k, _DEPTH):
            depth = min(_DEPTH, k - first)
            _pack_part(b, left, first, (columns, depth), packed_columns, width, alpha)
            for top in range(0, m, _ROWS):
                rows = min(_ROWS, m - top)
                _pack_part(a, top, first, (rows, depth), packed_rows, height, alpha)
                target = c[0] + top * line + left * size
                _add_block(alpha, packed_rows, packed_columns, (rows, columns, depth), (target, line), tile)


@njit(inline="always")
def _add_block(alpha: Any, packed_rows: int, packed_columns: int, shape: Any, c: Any, tile: int) -> None:
    """A block of C (address, bytes of a line) tile by tile; what does not fill one goes through `tile`."""
    rows, columns, depth = shape
    size = size_of(alpha)
    width = TILE_BYTES // size
    for j in range(0, columns, width):
        right = packed_columns + j * depth * size
        for i in range(0, rows, HEIGHT):
            left = packed_rows + i * depth * size
            target = c[0] + i * c[1] + j * size
            if rows - i >= HEIGHT and columns - j >= width:
                add_tile(alpha, left, right, depth, target, c[1])
                continue
            for number in range(HEIGHT * width):
                clear_number(tile + number * size, alpha)
            add_tile(alpha, left, right, depth, tile, TILE_BYTES)
            for line in range(min(HEIGHT, rows - i)):
                _add_line(target + line * c[1], tile + line * TILE_BYTES, min(width, columns - j), alpha)


@njit(inline="always")
def _pack_part(operand: Any, top: int, first: int, shape: Any, packed: int, width: int, like: Any) -> None:
    """The part of an operand whose rows begin at `top`, and its products at `first`."""
    address, stride, down = operand
    rows, depth = shape
    size = size_of(like)
    if down:
        _pack_columns(address + (first * stride + top) * size, stride, rows, depth, packed, width, like)
    else:
        pack(address + (top * stride + first) * size, stride, rows, depth, packed, width, like)


@njit(inline="always")
def _pack_columns(
    source: int, stride: int, rows: int, depth: int, packed: int, width: int, like: Any
) -> None:
    """As `pack` of the transposed operand: what a group has side by side lies side by side already."""
    size = size_of(like)
    for first in range(0, rows, width):
        count = min(width, rows - first)
        for column in range(depth):
            begin = source + (column * stride + first) * size
            target = packed + (first * depth + column * width) * size
            for row in range(count):
                copy_number(begin + row * size, target + row * size, like)
            for row in range(count, width):
                clear_number(target + row * size, like)


@njit(cache=True, nogil=True, error_model="numpy")
def pack(source: int, stride: int, rows: int, depth: int, packed: int, width: int, like: Any) -> None:
    """Rows in groups of `width`, the numbers of a group side by side for each of its `depth` columns; then zeros."""
    size = size_of(like)
    line, step = stride * size, width * size
    whole = depth // HEIGHT * HEIGHT
    for first in range(0, rows, width):
        for within in range(0, width, HEIGHT):
            begin = source + (first + within) * line
            target = packed + (first * depth + within) * size
            count = min(HEIGHT, rows - first - within)
            start = whole if count == HEIGHT else 0
            for column in range(0, start, HEIGHT):
                transpose(begin + column * size, line, target + column * step, step, like)
            for column in range(start, depth):
                for row in range(HEIGHT):
                    if row < count:
                        copy_number(
                            begin + row * line + column * size, target + column * step + row * size, like
                        )
                    else:
                        clear_number(target + column * step + row * size, like)


def float_of(kind: Any) -> Any:
    """LLVM's type for a float of Numba's."""
    return ir.DoubleType() if kind == types.float64 else ir.FloatType()


def _size(kind: Any) -> int:
    return 8 if kind == types.float64 else 4


def prefetch(builder: Any, address: Any, *, first_level: bool = False) -> None:
    """Ask for the line of cache at an address to be read into the second level, or the first; where memory ends that
    does no harm."""
    byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
    ask = builder.module.declare_intrinsic(
        "llvm.prefetch", [byte], ir.FunctionType(ir.VoidType(), [byte, number, number, number])
    )
    read, locality, data = number(0), number(3 if first_level else 2), number(1)
    builder.call(ask, [builder.inttoptr(address, byte), read, locality, data])


@intrinsic
def size_of(_context: Any, like: Any) -> Any:
    """Bytes of a number of this type."""
    return types.intp(like), lambda context, builder, signature, arguments: _INDEX(_size(signature.args[0]))


@intrinsic
def copy_number(_context: Any, source: Any, target: Any, like: Any) -> Any:
    """The number at one address to another."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = float_of(signature.args[2]).as_pointer()
        value = builder.load(builder.inttoptr(arguments[0], pointer))
        builder.store(value, builder.inttoptr(arguments[1], pointer))
        return context.get_dummy_value()

    return types.void(types.intp, types.intp, like), emit


@intrinsic
def clear_number(_context: Any, target: Any, like: Any) -> Any:
    """0 at an address."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        number = float_of(signature.args[1])
        builder.store(ir.Constant(number, 0.0), builder.inttoptr(arguments[0], number.as_pointer()))
        return context.get_dummy_value()

    return types.void(types.intp, like), emit


@intrinsic
def get_number(_context: Any, source: Any, like: Any) -> Any:
    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.load(builder.inttoptr(arguments[0], float_of(signature.args[1]).as_pointer()))

    return like(types.intp, like), emit


@intrinsic
def set_number(_context: Any, target: Any, value: Any) -> Any:
    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = float_of(signature.args[1]).as_pointer()
        builder.store(arguments[1], builder.inttoptr(arguments[0], pointer))
        return context.get_dummy_value()

    return types.void(types.intp, value), emit


@njit(inline="always")
def _scale(line: int, count: int, beta: Any) -> None:
    """A line of numbers times beta; with 0 they are not read."""
    size = size_of(beta)
    for j in range(count):
        if beta == 0.0:
            clear_number(line + j * size, beta)
        else:
            set_number(line + j * size, get_number(line + j * size, beta) * beta)


@njit(inline="always")
def _add_line(target: int, line: int, count: int, like: Any) -> None:
    size = size_of(like)
    for j in range(count):
        set_number(target + j * size, get_number(target + j * size, like) + get_number(line + j * size, like))


@intrinsic
def transpose(_context: Any, source: Any, stride: Any, target: Any, width: Any, like: Any) -> Any:
    """A square of `HEIGHT` numbers: rows `stride` bytes apart become columns of rows `width` bytes apart."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        number = float_of(signature.args[4])
        align = _size(signature.args[4])
        vector = ir.VectorType(number, HEIGHT)
        source, stride, target, width = arguments[:4]
        lines = []
        for row in range(HEIGHT):
            address = builder.add(source, builder.mul(stride, _INDEX(row)))
            lines.append(builder.load(builder.inttoptr(address, vector.as_pointer())))
            lines[-1].align = align
        # Interleave the two halves of the lines: log2 of their number times that is the transposed block.
        for _ in range(HEIGHT.bit_length() - 1):
            lines = [
                builder.shuffle_vector(lines[i // 2], lines[i // 2 + HEIGHT // 2], _interleaved(i % 2))
                for i in range(HEIGHT)
            ]
        for row in range(HEIGHT):
            address = builder.add(target, builder.mul(width, _INDEX(row)))
            builder.store(lines[row], builder.inttoptr(address, vector.as_pointer())).align = align
        return context.get_dummy_value()

    return types.void(types.intp, types.intp, types.intp, types.intp, like), emit


def _interleaved(half: int) -> Any:
    """The lower or upper halves of two lines, number by number in turn."""
    order = [HEIGHT // 2 * half + i // 2 + HEIGHT * (i % 2) for i in range(HEIGHT)]
    return ir.Constant(ir.VectorType(ir.IntType(32), HEIGHT), order)


@intrinsic
def add_tile(_context: Any, alpha: Any, rows: Any, columns: Any, depth: Any, target: Any, stride: Any) -> Any:
    """A tile of C, lines `stride` bytes apart, plus alpha times the sum over `depth` of packed rows x columns."""
    return types.void(alpha, types.intp, types.intp, types.intp, types.intp, types.intp), _emit_tile


def _emit_tile(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    alpha, rows, columns, depth, target, stride = arguments
    number, size = float_of(signature.args[0]), _size(signature.args[0])
    register = ir.VectorType(number, REGISTER // size)
    fma = fma_of(builder.module, register)
    for i in range(HEIGHT):
        line = builder.add(target, builder.mul(stride, _INDEX(i)))
        for v in range(VECTORS):
            prefetch(builder, builder.add(line, _INDEX(v * REGISTER)), first_level=True)
    sums = _emit_sums(builder, rows, columns, depth, register, fma)
    factor = everywhere(builder, alpha, register)
    for i in range(HEIGHT):
        line = builder.inttoptr(builder.add(target, builder.mul(stride, _INDEX(i))), register.as_pointer())
        for v in range(VECTORS):
            place = builder.gep(line, [_INDEX(v)])
            before = builder.load(place)
            before.align = size
            builder.store(builder.call(fma, [factor, sums[i][v], before]), place).align = size
    return context.get_dummy_value()


def fma_of(module: Any, register: Any) -> Any:
    name = f"llvm.fma.v{register.count}f{64 if register.element == ir.DoubleType() else 32}"
    return module.globals.get(name) or ir.Function(module, ir.FunctionType(register, [register] * 3), name)


def everywhere(builder: Any, value: Any, register: Any) -> Any:
    undefined = ir.Constant(register, ir.Undefined)
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), register.count), [0] * register.count)
    return builder.shuffle_vector(
        builder.insert_element(undefined, value, ir.IntType(32)(0)), undefined, zeros
    )


def _emit_sums(builder: Any, rows: Any, columns: Any, depth: Any, register: Any, fma: Any) -> list[list[Any]]:
    """The loop over the products, a register of sums for each of a tile; the builder stands behind it."""
    rows = builder.inttoptr(rows, register.element.as_pointer())
    columns = builder.inttoptr(columns, register.as_pointer())
    before = builder.block
    loop, after = builder.append_basic_block("products"), builder.append_basic_block("summed")
    builder.branch(loop)
    builder.position_at_end(loop)
    step = builder.phi(_INDEX)
    step.add_incoming(_INDEX(0), before)
    sums = [[builder.phi(register) for _ in range(VECTORS)] for _ in range(HEIGHT)]
    first_vector, first_row = builder.mul(step, _INDEX(VECTORS)), builder.mul(step, _INDEX(HEIGHT))
    ahead = builder.gep(rows, [builder.add(first_row, _INDEX(_AHEAD * HEIGHT))])
    prefetch(builder, builder.ptrtoint(ahead, _INDEX), first_level=True)
    loaded = []
    for v in range(VECTORS):
        loaded.append(builder.load(builder.gep(columns, [builder.add(first_vector, _INDEX(v))])))
        loaded[-1].align = REGISTER
    following = []
    for i in range(HEIGHT):
        value = builder.load(builder.gep(rows, [builder.add(first_row, _INDEX(i))]))
        broadcast = everywhere(builder, value, register)
        following.append([builder.call(fma, [broadcast, loaded[v], sums[i][v]]) for v in range(VECTORS)])
    next_step = builder.add(step, _INDEX(1))
    step.add_incoming(next_step, loop)
    for i in range(HEIGHT):
        for v in range(VECTORS):
            sums[i][v].add_incoming(ir.Constant(register, None), before)
            sums[i][v].add_incoming(following[i][v], loop)
    builder.cbranch(builder.icmp_signed("<", next_step, depth), loop, after)
    builder.position_at_end(after)
    return following
