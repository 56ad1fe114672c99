"""Exact inner products of rows of bytes with each other, of some hundred rows, which are not packed.

Rows are copied once, zeros behind their ends, so that registers of 64 bytes hold a row's next features whole. A tile of
4 x 4 pairs has its 16 sums in registers, the lanes of which are added up at its end: one register of 16 products, which
is stored as it is and, transposed, beyond the diagonal. So half of the products of `kernelfit.cpu.bytes_product` are
formed, whose packing takes longer than the products of 50 rows. As there, of x - 128, signed, and y, with
<x, y> = <x - 128, y> + 128 sum y and arithmetic modulo 2^32.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

from kernelfit.cpu.bytes_product import LANES, REGISTER
from kernelfit.cpu.jit import njit

# Rows of a tile, and bytes of a register.
_SIDE, _BYTES = 4, 64
_INDEX, _NUMBER = ir.IntType(64), ir.IntType(32)
_LINE = ir.VectorType(_NUMBER, _SIDE)
# 128 in each of four bytes.
_FLIP = ir.Constant(REGISTER, [ir.Constant(_NUMBER, -0x7F7F7F80)] * LANES)
# The halves of two registers whose sum has their lanes added up by twos: lanes by turns, then pairs of them, fours of
# one register beside those of the other, and the same once more.
_HALVES = (
    [[4 * q + k + 16 * b for q in range(4) for k in part for b in range(2)] for part in ((0, 1), (2, 3))],
    [[4 * q + k + 16 * b for q in range(4) for b in range(2) for k in part] for part in ((0, 1), (2, 3))],
    [[8 * part + k + 16 * b for b in range(2) for k in range(8)] for part in range(2)],
    [
        [8 * q + 4 * part + k + 16 * b for b in range(2) for q in range(2) for k in range(4)]
        for part in range(2)
    ],
)


def multiply_square(values: NDArray[np.uint8], centre: int, out: NDArray[Any]) -> None:
    """out (n, n) <- <x_i - c, x_j - c> for rows (n, d), d <= `bytes_product.LONGEST`; float32 or float64."""
    n, d = values.shape
    height, width = -(-n // _SIDE) * _SIDE, -(-d // _BYTES) * _BYTES
    # Registers are loaded whole from lines of cache.
    space = np.empty(height * width + _BYTES, np.uint8)
    _multiply(values, centre, space, np.empty((height, height), np.int32), out)


@njit(cache=True, nogil=True)
def _multiply(values: Any, centre: int, space: Any, products: Any, out: Any) -> None:
    n, d = values.shape
    height = len(products)
    size, first = len(space) - _BYTES, -space.ctypes.data % _BYTES
    padded = space[first : first + size].reshape(height, size // height)
    width = padded.shape[1]
    sums, shifts = np.zeros(height, np.int32), np.zeros(height, np.int32)
    for i in range(height):
        for k in range(d if i < n else 0, width):
            padded[i, k] = 0
    for i in range(n):
        total = np.int32(0)
        for k in range(d):
            padded[i, k] = values[i, k]
            total += np.int32(values[i, k])
        sums[i], shifts[i] = -centre * total, 128 * total
    start, numbers, size = padded.ctypes.data, products.ctypes.data, products.itemsize
    for top in range(0, height, _SIDE):
        for left in range(0, top + 1, _SIDE):
            _tile(
                start + top * width,
                start + left * width,
                width,
                shifts.ctypes.data + left * size,
                numbers + (top * height + left) * size,
                numbers + (left * height + top) * size,
                height * size,
            )
    constant = np.int32(d * centre * centre)
    for i in range(n):
        added = constant + sums[i]
        for j in range(n):
            out[i, j] = np.int32(products[i, j] + (added + sums[j]))


@intrinsic
def _tile(
    _context: Any,
    rows: Any,
    columns: Any,
    width: Any,
    shifts: Any,
    products: Any,
    transposed: Any,
    stride: Any,
) -> Any:
    """Inner products of 4 rows and 4 columns of `width` bytes, side by side in memory, and these transposed, to lines
    of int32 `stride` bytes apart; `shifts` are 128 times the sums of the columns."""
    return types.void(*[types.intp] * 7), _emit_tile


def _emit_tile(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
    sums = _emit_sums(builder, *arguments[:3])
    for halves in _HALVES:
        sums = [_added(builder, *pair, halves) for pair in zip(sums[::2], sums[1::2], strict=True)]
    shifts = builder.load(builder.inttoptr(arguments[3], _LINE.as_pointer()))
    shifts.align = 4
    tile = builder.add(sums[0], _shuffled(builder, shifts, shifts, [k % _SIDE for k in range(LANES)]))
    turned = _shuffled(builder, tile, tile, [_SIDE * (k % _SIDE) + k // _SIDE for k in range(LANES)])
    for register, target in ((tile, arguments[4]), (turned, arguments[5])):
        for i in range(_SIDE):
            line = _shuffled(builder, register, register, list(range(_SIDE * i, _SIDE * i + _SIDE)))
            address = builder.add(target, builder.mul(arguments[6], _INDEX(i)))
            builder.store(line, builder.inttoptr(address, _LINE.as_pointer())).align = 4
    return context.get_dummy_value()


def _emit_sums(builder: Any, rows: Any, columns: Any, width: Any) -> list[Any]:
    """The loop over features, 16 registers of sums of <x_i - 128, y_j>, row by row; the builder stands behind it."""
    dot = cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(REGISTER, [REGISTER] * 3), "llvm.x86.avx512.vpdpbusd.512"
    )
    before, loop = builder.block, builder.append_basic_block("features")
    after = builder.append_basic_block("multiplied")
    builder.branch(loop)
    builder.position_at_end(loop)
    first = builder.phi(_INDEX)
    first.add_incoming(_INDEX(0), before)
    old = [builder.phi(REGISTER) for _ in range(LANES)]

    def load(start: Any, index: int) -> Any:
        address = builder.add(builder.add(start, first), builder.mul(width, _INDEX(index)))
        value = builder.load(builder.inttoptr(address, REGISTER.as_pointer()))
        value.align = 1
        return value

    right = [load(columns, j) for j in range(_SIDE)]
    new = []
    for i in range(_SIDE):
        left = builder.xor(load(rows, i), _FLIP)
        # The first factor of the instruction is unsigned, the second signed.
        new += [builder.call(dot, [old[_SIDE * i + j], right[j], left]) for j in range(_SIDE)]
    for was, added in zip(old, new, strict=True):
        was.add_incoming(ir.Constant(REGISTER, None), before)
        was.add_incoming(added, loop)
    following = builder.add(first, _INDEX(_BYTES))
    first.add_incoming(following, loop)
    builder.cbranch(builder.icmp_signed("<", following, width), loop, after)
    builder.position_at_end(after)
    return new


def _added(builder: Any, a: Any, b: Any, halves: list[list[int]]) -> Any:
    return builder.add(*(_shuffled(builder, a, b, half) for half in halves))


def _shuffled(builder: Any, a: Any, b: Any, order: list[int]) -> Any:
    return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(_NUMBER, len(order)), order))
