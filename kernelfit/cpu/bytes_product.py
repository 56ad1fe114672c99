"""Exact inner products of bytes on CPUs with AVX-512 VNNI, at some four times the rate of SGEMM.

`vpdpbusd` multiplies 64 unsigned by 64 signed bytes and adds them up by fours into 16 lanes of int32, in the time in
which one single-precision instruction does 16 products. Rows are stored as x - 128, signed, columns as they are:

    <x - c, y - c> = sum_k (x_k - 128) y_k + [d c^2 - c sum_k x_k] + [(128 - c) sum_k y_k]

with the bracketed terms kept for each row and column. All of it is arithmetic modulo 2^32, so the result is exact
whenever it fits int32: d <= `LONGEST`. Instruction: Intel 64 and IA-32 Architectures Software Developer's Manual,
volume 2, VPDPBUSD.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

from kernelfit.cpu.jit import njit

#: features up to which every centred inner product of bytes fits int32: 255^2 d < 2^31
LONGEST = 33_025

LANES = 16  # of int32 in a register
# A micro-tile of 14 x 32 sums takes 28 of the 32 registers; two hold bytes of the columns, and the rows' bytes are
# broadcast from memory by the instruction itself. (8 x 48 and 6 x 64 measured the same within 1 %.)
HEIGHT = 14
VECTORS = 2
WIDTH = VECTORS * LANES
STEP = 4  # products that one lane adds up at once
REGISTER = ir.VectorType(ir.IntType(32), LANES)
_INDEX = ir.IntType(64)
# Bits that are inverted: x - 128 of bytes x, as bytes, and x itself.
_FLIP, _PLAIN = np.uint8(128), np.uint8(0)


@cache
def available() -> bool:
    """Whether the CPU has the instruction and Numba compiles for it."""
    from numba.core.registry import cpu_target

    _, _, features = cpu_target.target_context.codegen().magic_tuple()
    return "+avx512vnni" in features.split(",")


class Packed:
    """Bytes (m, d) in the order in which the product reads them, (panels, steps, panel height, 4), with what is to be
    added to every inner product of a row, (m,) int32."""

    def __init__(self, values: NDArray[Any], added: NDArray[np.int32]) -> None:
        self.values, self.added = values, added


def packed_rows(rows: NDArray[np.uint8], centre: int, space: NDArray[np.int8] | None = None) -> Packed:
    """Rows (h, d) of the left factor; `space` is at least `row_space(h, d)` bytes to use, if given."""
    shape = _shape(rows.shape, HEIGHT)
    size = math.prod(shape)
    values = (np.empty(size, np.int8) if space is None else space.reshape(-1)[:size]).reshape(shape)
    added = np.empty(rows.shape[0], np.int32)
    _pack(rows, _FLIP, values.view(np.uint8), added)
    added[:] = rows.shape[1] * centre**2 - centre * added
    return Packed(values, added)


def row_space(height: int, features: int) -> int:
    """Bytes that `packed_rows` needs."""
    return math.prod(_shape((height, features), HEIGHT))


def packed_columns(columns: NDArray[np.uint8], centre: int) -> Packed:
    """Rows (w, d) of the right factor, which are columns of the product."""
    shape = _shape(columns.shape, WIDTH)
    size = math.prod(shape)
    # Registers are loaded whole from cache lines.
    unaligned = np.empty(size + 64, np.uint8)
    start = -unaligned.ctypes.data % 64
    values = unaligned[start : start + size].reshape(shape)
    added = np.empty(columns.shape[0], np.int32)
    _pack(columns, _PLAIN, values, added)
    added *= 128 - centre
    return Packed(values, added)


def multiply(rows: Packed, columns: Packed, out: NDArray[Any]) -> None:
    """out (h, w) <- <x_i - c, y_j - c> for the first h rows and w columns; float32 or float64, rounded once."""
    _multiply(rows.values, columns.values, rows.added, columns.added, out, 1.0, False)


def add_multiple(factor: float, rows: Packed, columns: Packed, out: NDArray[Any]) -> None:
    """out (h, w) += factor <x_i - c, y_j - c> for the first h rows and w columns; float32 or float64.

    With a power of two as `factor`, float64 sums of any number of such products are exact below 2^53 factor.
    """
    _multiply(rows.values, columns.values, rows.added, columns.added, out, factor, True)


def _shape(shape: tuple[int, ...], height: int) -> tuple[int, int, int, int]:
    count, features = shape
    return -(-count // height), -(-features // STEP), height, STEP


@njit(cache=True, nogil=True)
def _pack(source: Any, flip: Any, packed: Any, sums: Any) -> None:
    """Panels of rows, four features at a time, bits of `flip` inverted, zeros beyond the edges; sums of each row."""
    count, features = source.shape
    height = packed.shape[2]
    full_steps = features // STEP
    flips = np.uint32(flip) * np.uint32(0x01010101)
    for panel in range(packed.shape[0]):
        for within in range(height):
            row = panel * height + within
            if row >= count:
                packed[panel, :, within] = 0
                continue
            values = source[row]
            total = np.int32(0)
            for k in range(features):
                total += np.int32(values[k])
            sums[row] = total
            target = packed[panel, 0, within:].ctypes.data
            _copy_words(values.ctypes.data, full_steps, flips, target, height * STEP)
            for step in range(full_steps, packed.shape[1]):
                for k in range(STEP):
                    column = STEP * step + k
                    packed[panel, step, within, k] = values[column] ^ flip if column < features else 0


@intrinsic
def _copy_words(_context: Any, source: Any, count: Any, flip: Any, target: Any, stride: Any) -> Any:
    """Words of four bytes, bits of `flip` inverted, to addresses `stride` bytes apart."""

    def emit(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        source, count, flip, target, stride = arguments
        word = flip.type
        with cgutils.for_range(builder, count) as loop:
            place = builder.gep(builder.inttoptr(source, word.as_pointer()), [loop.index])
            value = builder.load(place)
            value.align = 1
            address = builder.add(target, builder.mul(loop.index, stride))
            store = builder.store(builder.xor(value, flip), builder.inttoptr(address, word.as_pointer()))
            store.align = 1
        return _context.get_dummy_value()

    return types.void(source, count, types.uint32, target, stride), emit


@njit(cache=True, nogil=True)
def _multiply(
    rows: Any, columns: Any, row_added: Any, column_added: Any, out: Any, factor: float, add: bool
) -> None:
    height, width = out.shape
    steps = rows.shape[1]
    sums = np.empty((HEIGHT, WIDTH), np.int32)
    # A panel of columns stays in the first level of cache while the panels of rows go by.
    for right in range(-(-width // WIDTH)):
        first = right * WIDTH
        count = min(WIDTH, width - first)
        for left in range(-(-height // HEIGHT)):
            micro_tile(rows[left].ctypes.data, columns[right].ctypes.data, steps, sums.ctypes.data)
            top = left * HEIGHT
            for i in range(min(HEIGHT, height - top)):
                added = row_added[top + i]
                # Sums wrap around modulo 2^32, and back.
                if add:
                    for j in range(count):
                        product = np.int32(sums[i, j] + added + column_added[first + j])
                        out[top + i, first + j] += factor * product
                else:
                    for j in range(count):
                        out[top + i, first + j] = np.int32(sums[i, j] + added + column_added[first + j])


@intrinsic
def micro_tile(_context: Any, rows: Any, columns: Any, steps: Any, sums: Any) -> Any:
    """sums (14, 32) int32 <- sum over steps of a panel of rows times a panel of columns; three addresses."""
    signature = types.void(types.intp, types.intp, types.intp, types.intp)
    return signature, _emit_micro_tile


def _emit_micro_tile(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
    found = emit_sums(builder, arguments[0], arguments[1], arguments[2], signed_rows=True)
    sums = builder.inttoptr(arguments[3], REGISTER.as_pointer())
    for i in range(HEIGHT):
        for v in range(VECTORS):
            store = builder.store(found[i][v], builder.gep(sums, [_INDEX(i * VECTORS + v)]))
            store.align = 4
    return context.get_dummy_value()


def emit_sums(builder: Any, rows: Any, columns: Any, steps: Any, *, signed_rows: bool) -> list[list[Any]]:
    """LLVM code for sums over steps of four products of bytes: of `HEIGHT` rows with `VECTORS` registers of columns.

    `rows`: address of (steps, HEIGHT, 4) bytes; `columns`: of (steps, VECTORS, 16, 4), aligned to a register. One side
    is signed, the other is not. Returns the sums, registers of 16 int32; the builder stands behind the loop.
    """
    integer = ir.IntType(32)
    rows = builder.inttoptr(rows, integer.as_pointer())
    columns = builder.inttoptr(columns, REGISTER.as_pointer())
    dot = cgutils.get_or_insert_function(
        builder.module,
        ir.FunctionType(REGISTER, [REGISTER, REGISTER, REGISTER]),
        "llvm.x86.avx512.vpdpbusd.512",
    )
    before = builder.block
    loop, after = builder.append_basic_block("steps"), builder.append_basic_block("summed")
    builder.branch(loop)

    builder.position_at_end(loop)
    step = builder.phi(_INDEX)
    step.add_incoming(_INDEX(0), before)
    old = [[builder.phi(REGISTER) for _ in range(VECTORS)] for _ in range(HEIGHT)]
    first_vector, first_row = builder.mul(step, _INDEX(VECTORS)), builder.mul(step, _INDEX(HEIGHT))
    loaded = []
    for v in range(VECTORS):
        loaded.append(builder.load(builder.gep(columns, [builder.add(first_vector, _INDEX(v))])))
        loaded[-1].align = 64
    everywhere = ir.Constant(ir.VectorType(integer, LANES), [0] * LANES)
    undefined = ir.Constant(REGISTER, ir.Undefined)
    new = []
    for i in range(HEIGHT):
        four_bytes = builder.load(builder.gep(rows, [builder.add(first_row, _INDEX(i))]))
        four_bytes.align = 1
        broadcast = builder.shuffle_vector(
            builder.insert_element(undefined, four_bytes, integer(0)), undefined, everywhere
        )
        # The first factor of the instruction is unsigned, the second signed.
        new.append(
            [
                builder.call(
                    dot, [old[i][v], *((loaded[v], broadcast) if signed_rows else (broadcast, loaded[v]))]
                )
                for v in range(VECTORS)
            ]
        )
    following = builder.add(step, _INDEX(1))
    step.add_incoming(following, loop)
    for i in range(HEIGHT):
        for v in range(VECTORS):
            old[i][v].add_incoming(ir.Constant(REGISTER, None), before)
            old[i][v].add_incoming(new[i][v], loop)
    builder.cbranch(builder.icmp_signed("<", following, steps), loop, after)
    builder.position_at_end(after)
    return new
