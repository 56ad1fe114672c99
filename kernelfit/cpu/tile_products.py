"""Products of a stored float32 tile with a few vectors on either side, at the rate of memory: A V and A^T U.

A tile A (h, w) is read once from memory and serves both. Vectors are taken five at a time in float64, so that 4 rows x
5 vectors of sums (for A V), or 4 registers of columns x 5 vectors (for A^T U), stay in registers while entries and
vectors pass by: 20 multiply-adds for every 9 loads. In float32 the second level of cache would be waited for, and they
are taken ten at a time with 2 rows or registers: entries pass by half as often. Sums run over `WIDTH` columns or
`HEIGHT` rows in the vectors' type, float32 or float64, and are then added up in float64.

A tile passes by in blocks of `HEIGHT` rows, which are read from memory once and from the second level of cache for
every other group of vectors and side. Each of these passes asks for a part of the block that follows in memory, so that
reading goes on while the products are formed: without that one waits for the other.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from kernelfit.cpu.jit import njit
from kernelfit.cpu.matrix_product import everywhere, float_of, fma_of, prefetch, size_of

#: vectors that are taken together, by the bytes of their numbers: vectors come in multiples of it
GROUPS = {4: 10, 8: 5}
#: rows of a tile come in multiples of this
LINES = 4
#: columns of a tile, whose part of a group of vectors the first level of cache holds, and rows for the second level
WIDTH, HEIGHT = 512, 64
#: which products of a tile are formed: with vectors on its columns, on its rows, or both
ROWS, COLUMNS = 1, 2
_SUMS = 20  # registers: a group times rows, or registers of columns beside each other
_VECTOR = 64  # bytes of a sum: one register, or several where they are narrower

_INDEX = ir.IntType(64)
_DOUBLE = ir.DoubleType()


@njit(cache=True, nogil=True, error_model="numpy")
def add_products(
    tile: Any, rows: Any, columns: Any, by_row: Any, by_column: Any, sides: int, like: Any
) -> None:
    """by_row += A V where `sides` has bit ROWS, by_column += A^T U where it has bit COLUMNS.

    A (h, WIDTH) float32, h a multiple of LINES; U as rows (groups, h, g), V as columns (groups, g, WIDTH), both of
    `like`'s type, float32 or float64, with g of `group_of` that; by_row (groups, h, g) and by_column (groups, g, WIDTH)
    float64. All are C-ordered but for their first axis.
    """
    line, lines = tile.strides[0], _SUMS // by_row.shape[2]
    for start in range(0, tile.shape[0], HEIGHT):
        stop = min(start + HEIGHT, tile.shape[0])
        address = tile.ctypes.data + start * line
        # A line of cache for each time that the sums are added to; asking where memory ends does no harm.
        ahead, asked = address + (stop - start) * line, WIDTH * size_of(like)
        share = (stop - start) // lines * asked
        for group in range(by_row.shape[0]):
            if sides & ROWS:
                vectors, stride = columns[group].ctypes.data, columns.strides[1]
                sums = by_row[group].ctypes.data + start * by_row.strides[1]
                for row in range(0, stop - start, lines):
                    target = sums + row * by_row.strides[1]
                    beyond = ahead + row // lines * asked
                    _add_rows(address + row * line, line, vectors, stride, target, beyond, like)
                ahead += share
            if sides & COLUMNS:
                factors = rows[group].ctypes.data + start * rows.strides[1]
                sums = by_column[group].ctypes.data
                _add_columns(address, line, stop - start, factors, sums, ahead, like)
                ahead += share


def group_of(dtype: Any) -> int:
    """How many vectors of this type are taken together."""
    return GROUPS[np.dtype(dtype).itemsize]


def _registers(number: Any) -> tuple[Any, int, int]:
    """A register of these numbers, how many it has, and how many vectors are taken together."""
    size = 8 if number == _DOUBLE else 4
    return ir.VectorType(number, _VECTOR // size), _VECTOR // size, GROUPS[size]


def _entries(builder: Any, address: Any, register: Any) -> Any:
    """Entries of the tile from an address on, as numbers of a register's type."""
    single = ir.VectorType(ir.FloatType(), register.count)
    loaded = builder.load(builder.inttoptr(address, single.as_pointer()))
    loaded.align = 4
    return builder.fpext(loaded, register) if register.element == _DOUBLE else loaded


def _sum_of(builder: Any, vector: Any) -> Any:
    """The sum of a register's numbers, halves first, as float64."""
    count = vector.type.count
    while count > 1:
        count //= 2
        low = ir.Constant(ir.VectorType(ir.IntType(32), count), list(range(count)))
        high = ir.Constant(ir.VectorType(ir.IntType(32), count), list(range(count, 2 * count)))
        undefined = ir.Constant(vector.type, ir.Undefined)
        vector = builder.fadd(
            builder.shuffle_vector(vector, undefined, low), builder.shuffle_vector(vector, undefined, high)
        )
    value = builder.extract_element(vector, ir.IntType(32)(0))
    return value if value.type == _DOUBLE else builder.fpext(value, _DOUBLE)


def _loop(builder: Any, count: int | Any, zeros: list[Any], body: Any) -> list[Any]:
    """`body(step, sums)` for every step below count, from sums of zero; the sums in the end."""
    before = builder.block
    loop, after = builder.append_basic_block("loop"), builder.append_basic_block("after")
    builder.branch(loop)
    builder.position_at_end(loop)
    step = builder.phi(_INDEX)
    step.add_incoming(_INDEX(0), before)
    sums = [builder.phi(zero.type) for zero in zeros]
    following = body(step, sums)
    next_step = builder.add(step, _INDEX(1))
    step.add_incoming(next_step, loop)
    for sum_, zero, value in zip(sums, zeros, following, strict=True):
        sum_.add_incoming(zero, before)
        sum_.add_incoming(value, loop)
    limit = _INDEX(count) if isinstance(count, int) else count
    builder.cbranch(builder.icmp_signed("<", next_step, limit), loop, after)
    builder.position_at_end(after)
    return following


@intrinsic
def _add_rows(
    _context: Any, tile: Any, line: Any, vectors: Any, stride: Any, sums: Any, ahead: Any, like: Any
) -> Any:
    """sums (h, g) += h rows of the tile, `line` bytes apart, times a group of g vectors, `stride` bytes apart.

    Asks for memory from the address `ahead` on.
    """

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        tile, line, vectors, stride, sums, ahead, _ = arguments
        number = float_of(signature.args[6])
        size = 8 if number == _DOUBLE else 4
        register, lanes, group = _registers(number)
        lines = _SUMS // group
        fma = fma_of(builder.module, register)
        starts = [builder.add(tile, builder.mul(line, _INDEX(i))) for i in range(lines)]
        others = [builder.add(vectors, builder.mul(stride, _INDEX(v))) for v in range(group)]

        def body(step: Any, before: list[Any]) -> list[Any]:
            entries_offset = builder.mul(step, _INDEX(4 * lanes))
            offset = builder.mul(step, _INDEX(_VECTOR))
            prefetch(builder, builder.add(ahead, offset))
            entries = [_entries(builder, builder.add(start, entries_offset), register) for start in starts]
            after = list(before)
            for v in range(group):
                vector = builder.load(builder.inttoptr(builder.add(others[v], offset), register.as_pointer()))
                vector.align = size
                for i in range(lines):
                    after[i * group + v] = builder.call(fma, [entries[i], vector, before[i * group + v]])
            return after

        zeros = [ir.Constant(register, None)] * _SUMS
        results = _loop(builder, WIDTH // lanes, zeros, body)
        target = builder.inttoptr(sums, _DOUBLE.as_pointer())
        for index, result in enumerate(results):
            place = builder.gep(target, [_INDEX(index)])
            builder.store(builder.fadd(builder.load(place), _sum_of(builder, result)), place)
        return context.get_dummy_value()

    return types.void(*[types.intp] * 6, like), emit


@intrinsic
def _add_columns(
    _context: Any,
    tile: Any,
    line: Any,
    height: Any,
    factors: Any,
    sums: Any,
    ahead: Any,
    like: Any,
) -> Any:
    """sums (g, WIDTH) += `height` rows of the tile times factors (height, g) of a group.

    Asks for memory from the address `ahead` on.
    """

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        tile, line, height, factors, sums, ahead, _ = arguments
        number = float_of(signature.args[6])
        size = 8 if number == _DOUBLE else 4
        register, lanes, group = _registers(number)
        blocks = _SUMS // group
        fma = fma_of(builder.module, register)
        factors = builder.inttoptr(factors, number.as_pointer())
        wide = ir.VectorType(_DOUBLE, lanes)

        def block(number_of_block: Any, _sums: list[Any]) -> list[Any]:
            first = builder.mul(number_of_block, _INDEX(blocks * lanes))
            start = builder.add(tile, builder.mul(first, _INDEX(4)))
            asked = builder.add(ahead, builder.mul(builder.mul(number_of_block, height), _INDEX(_VECTOR)))

            def row(step: Any, before: list[Any]) -> list[Any]:
                begin = builder.add(start, builder.mul(step, line))
                prefetch(builder, builder.add(asked, builder.mul(step, _INDEX(_VECTOR))))
                entries = [
                    _entries(builder, builder.add(begin, _INDEX(4 * lanes * b)), register)
                    for b in range(blocks)
                ]
                after = list(before)
                for v in range(group):
                    place = builder.gep(factors, [builder.add(builder.mul(step, _INDEX(group)), _INDEX(v))])
                    factor = everywhere(builder, builder.load(place), register)
                    for b in range(blocks):
                        after[v * blocks + b] = builder.call(
                            fma, [entries[b], factor, before[v * blocks + b]]
                        )
                return after

            zeros = [ir.Constant(register, None)] * _SUMS
            results = _loop(builder, height, zeros, row)
            for v in range(group):
                beginning = builder.add(
                    builder.add(sums, _INDEX(8 * WIDTH * v)), builder.mul(first, _INDEX(8))
                )
                for b in range(blocks):
                    place = builder.inttoptr(builder.add(beginning, _INDEX(8 * lanes * b)), wide.as_pointer())
                    before = builder.load(place)
                    before.align = 8
                    result = results[v * blocks + b]
                    result = result if size == 8 else builder.fpext(result, wide)
                    builder.store(builder.fadd(before, result), place).align = 8
            return []

        _blocks(builder, WIDTH // (blocks * lanes), block)
        return context.get_dummy_value()

    return types.void(*[types.intp] * 6, like), emit


def _blocks(builder: Any, count: int, body: Any) -> None:
    """`body` for every block, which may have loops of its own."""
    before = builder.block
    loop, after = builder.append_basic_block("blocks"), builder.append_basic_block("done")
    builder.branch(loop)
    builder.position_at_end(loop)
    step = builder.phi(_INDEX)
    step.add_incoming(_INDEX(0), before)
    body(step, [])
    next_step = builder.add(step, _INDEX(1))
    step.add_incoming(next_step, builder.block)
    builder.cbranch(builder.icmp_signed("<", next_step, _INDEX(count)), loop, after)
    builder.position_at_end(after)
