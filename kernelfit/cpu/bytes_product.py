"""Exact inner products of bytes on CPUs with AVX-512 VNNI, at some four times the rate of SGEMM.

`vpdpbusd` multiplies 64 unsigned by 64 signed bytes and adds them up by fours into 16 lanes of int32, in the time in
which one single-precision instruction does 16 products. Rows are stored as they are, columns as y - 128, signed:

    <x - c, y - c> = sum_k x_k (y_k - 128) + [(128 - c) sum_k x_k] + [d c^2 - c sum_k y_k]

with the bracketed terms kept for each row and column. All of it is arithmetic modulo 2^32, so the result is exact
whenever it fits int32: d <= `LONGEST`. Where the rows of a panel have four zeros in the same place, the edge of images
mostly, these are not multiplied: 0.4 of the products of MNIST. Instruction: Intel 64 and IA-32 Architectures Software
Developer's Manual, volume 2, VPDPBUSD.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

from kernelfit.cpu.jit import njit
from kernelfit.cpu.registers import INSTRUCTIONS

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
# The bit that is inverted: y - 128 of bytes y, as bytes.
_FLIP = np.uint8(128)


def available() -> bool:
    """Whether the CPU has the instruction and Numba compiles for it."""
    return "avx512vnni" in INSTRUCTIONS


class Packed:
    """Bytes (m, d) in the order in which the product reads them, (panels, steps, panel height, 4), with what is to be
    added to every inner product of a row, (m,) int32.

    A panel of the left factor holds the steps in which it is not zero alone, one behind the other: `steps` (panels,
    1 + steps) int32 are how many these are, and their numbers.
    """

    def __init__(
        self, values: NDArray[Any], added: NDArray[np.int32], steps: NDArray[np.int32] | None = None
    ) -> None:
        self.values, self.added, self.steps = values, added, steps


def packed_rows(rows: NDArray[np.uint8], centre: int, space: NDArray[np.int8] | None = None) -> Packed:
    """Rows (h, d) of the left factor; `space` is at least `row_space(h, d)` bytes to use, if given."""
    shape = _shape(rows.shape, HEIGHT)
    size = math.prod(shape)
    values = np.empty(size, np.uint8) if space is None else space.reshape(-1)[:size].view(np.uint8)
    added, steps = np.empty(rows.shape[0], np.int32), np.empty((shape[0], 1 + shape[1]), np.int32)
    _pack_rows(rows, values.reshape(shape), added, steps)
    added *= 128 - centre
    return Packed(values.reshape(shape), added, steps)


def row_space(height: int, features: int) -> int:
    """Bytes that `packed_rows` needs."""
    return math.prod(_shape((height, features), HEIGHT))


def packed_columns(columns: NDArray[np.uint8], centre: int) -> Packed:
    """Rows (w, d) of the right factor, which are columns of the product."""
    shape = _shape(columns.shape, WIDTH)
    size = math.prod(shape)
    # Registers are loaded whole from cache lines, and whole registers of what is added.
    unaligned = np.empty(size + 64, np.uint8)
    start = -unaligned.ctypes.data % 64
    values = unaligned[start : start + size].reshape(shape)
    count, features = columns.shape
    added = np.zeros(shape[0] * WIDTH, np.int32)[:count]
    _pack_columns(columns, values, added)
    added *= -centre
    added += features * centre**2
    return Packed(values, added)


def multiply(rows: Packed, columns: Packed, out: NDArray[Any]) -> None:
    """out (h, w) <- <x_i - c, y_j - c> for the first h rows and w columns; float32 or float64, rounded once."""
    _multiply(rows.values, rows.steps, columns.values, rows.added, columns.added, out)


def add_multiple(factor: float, rows: Packed, columns: Packed, out: NDArray[Any]) -> None:
    """out (h, w) += factor <x_i - c, y_j - c> for the first h rows and w columns; float32 or float64.

    With a power of two as `factor`, float64 sums of any number of such products are exact below 2^53 factor.
    """
    _add_multiple(factor, rows.values, rows.steps, columns.values, rows.added, columns.added, out)


def _shape(shape: tuple[int, ...], height: int) -> tuple[int, int, int, int]:
    count, features = shape
    return -(-count // height), -(-features // STEP), height, STEP


@njit(cache=True, nogil=True)
def _pack_rows(source: Any, packed: Any, sums: Any, steps: Any) -> None:
    """Panels of rows, four features at a time, where one of the panel's rows is not zero; the sum of each row."""
    count, features = source.shape
    full_steps = features // STEP
    present = np.empty(full_steps * STEP, np.uint8)
    for panel in range(packed.shape[0]):
        top, rows = panel * HEIGHT, min(HEIGHT, count - panel * HEIGHT)
        present[:] = 0
        for within in range(rows):
            values = source[top + within]
            total = np.int32(0)
            for k in range(features):
                total += np.int32(values[k])
            sums[top + within] = total
            for k in range(full_steps * STEP):
                present[k] |= values[k]
        numbers = steps[panel, 1:]
        used = _not_zero(present, numbers)
        if used == 0 and full_steps == packed.shape[1]:  # the product takes one step
            numbers[0], used = 0, 1
        for within in range(HEIGHT):
            target = packed[panel, 0, within:].ctypes.data
            if within < rows:
                start = source[top + within].ctypes.data
                _copy_words(start, numbers.ctypes.data, used, target, HEIGHT * STEP)
            else:
                packed[panel, :used, within] = 0
        if full_steps < packed.shape[1]:
            packed[panel, used] = 0
            for within in range(rows):
                for k in range(full_steps * STEP, features):
                    packed[panel, used, within, k - full_steps * STEP] = source[top + within, k]
            numbers[used] = full_steps
            used += 1
        steps[panel, 0] = used


@njit(cache=True, nogil=True)
def _not_zero(present: Any, numbers: Any) -> int:
    """How many groups of four are not zero, and their numbers."""
    words, used = present.view(np.uint32), 0
    for step in range(len(words)):
        numbers[used] = step
        used += words[step] != 0
    return used


@njit(cache=True, nogil=True)
def _pack_columns(source: Any, packed: Any, sums: Any) -> None:
    """Panels of rows less 128, four features at a time, zeros beyond the edges; the sum of each row."""
    count, features = source.shape
    full_steps = features // STEP
    for panel in range(packed.shape[0]):
        for within in range(WIDTH):
            row = panel * WIDTH + within
            if row >= count:
                packed[panel, :, within] = 0
                continue
            values = source[row]
            total = np.int32(0)
            for k in range(features):
                total += np.int32(values[k])
            sums[row] = total
            target = packed[panel, 0, within:].ctypes.data
            _copy_flipped(values.ctypes.data, full_steps, target, WIDTH * STEP)
            for step in range(full_steps, packed.shape[1]):
                for k in range(STEP):
                    column = STEP * step + k
                    packed[panel, step, within, k] = values[column] ^ _FLIP if column < features else 0


@intrinsic
def _copy_words(_context: Any, source: Any, numbers: Any, count: Any, target: Any, stride: Any) -> Any:
    """The words of four bytes of these numbers, to addresses `stride` bytes apart."""
    return types.void(source, numbers, count, target, stride), _emit_copy_words


def _emit_copy_words(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
    source, numbers, count, target, stride = arguments
    word = ir.IntType(32)
    with cgutils.for_range(builder, count) as loop:
        number = builder.load(builder.gep(builder.inttoptr(numbers, word.as_pointer()), [loop.index]))
        value = builder.load(builder.gep(builder.inttoptr(source, word.as_pointer()), [number]))
        value.align = 1
        address = builder.add(target, builder.mul(loop.index, stride))
        builder.store(value, builder.inttoptr(address, word.as_pointer())).align = 1
    return context.get_dummy_value()


@intrinsic
def _copy_flipped(_context: Any, source: Any, count: Any, target: Any, stride: Any) -> Any:
    """Words of four bytes less 128, to addresses `stride` bytes apart."""
    return types.void(source, count, target, stride), _emit_copy_flipped


def _emit_copy_flipped(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
    source, count, target, stride = arguments
    word = ir.IntType(32)
    with cgutils.for_range(builder, count) as loop:
        value = builder.load(builder.gep(builder.inttoptr(source, word.as_pointer()), [loop.index]))
        value.align = 1
        address = builder.add(target, builder.mul(loop.index, stride))
        flipped = builder.xor(value, word(-0x7F7F7F80))
        builder.store(flipped, builder.inttoptr(address, word.as_pointer())).align = 1
    return context.get_dummy_value()


@njit(cache=True, nogil=True)
def _multiply(rows: Any, steps: Any, columns: Any, row_added: Any, column_added: Any, out: Any) -> None:
    height, width = out.shape
    like = out.dtype.type(0)
    numbers, line = steps.ctypes.data + steps.itemsize, out.strides[0]
    # A panel of columns stays in the first level of cache while the panels of rows go by.
    for right in range(-(-width // WIDTH)):
        first = right * WIDTH
        column, added = columns[right].ctypes.data, column_added.ctypes.data + first * column_added.itemsize
        for left in range(-(-height // HEIGHT)):
            top = left * HEIGHT
            factors = (
                rows[left].ctypes.data,
                numbers + left * steps.strides[0],
                column,
                np.intp(steps[left, 0]),
            )
            target = (out.ctypes.data + top * line + first * out.itemsize, line)
            shape = (min(HEIGHT, height - top), min(WIDTH, width - first))
            _store_tile(
                factors, (row_added.ctypes.data + top * row_added.itemsize, added), target, shape, like
            )


@njit(cache=True, nogil=True)
def _add_multiple(
    factor: float, rows: Any, steps: Any, columns: Any, row_added: Any, column_added: Any, out: Any
) -> None:
    height, width = out.shape
    numbers = steps.ctypes.data + steps.itemsize
    sums = np.empty((HEIGHT, WIDTH), np.int32)
    for right in range(-(-width // WIDTH)):
        first = right * WIDTH
        for left in range(-(-height // HEIGHT)):
            here = rows[left].ctypes.data, numbers + left * steps.strides[0], columns[right].ctypes.data
            micro_tile(here[0], here[1], here[2], steps[left, 0], sums.ctypes.data)
            top = left * HEIGHT
            for i in range(min(HEIGHT, height - top)):
                added = row_added[top + i]
                # Sums wrap around modulo 2^32, and back.
                for j in range(min(WIDTH, width - first)):
                    product = np.int32(sums[i, j] + added + column_added[first + j])
                    out[top + i, first + j] += factor * product


@intrinsic
def micro_tile(_context: Any, rows: Any, numbers: Any, columns: Any, steps: Any, sums: Any) -> Any:
    """sums (14, 32) int32 <- sum over the steps of a panel of rows, of these numbers, times a panel of columns; all but
    how many steps there are are addresses."""
    signature = types.void(types.intp, types.intp, types.intp, types.intp, types.intp)
    return signature, _emit_micro_tile


def _emit_micro_tile(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
    rows, numbers, columns, steps, sums = arguments
    summed = emit_sums(builder, rows, columns, steps, numbers=numbers)
    sums = builder.inttoptr(sums, REGISTER.as_pointer())
    for i in range(HEIGHT):
        for v in range(VECTORS):
            store = builder.store(summed[i][v], builder.gep(sums, [_INDEX(i * VECTORS + v)]))
            store.align = 4
    return context.get_dummy_value()


@intrinsic
def _store_tile(_context: Any, factors: Any, added: Any, target: Any, shape: Any, like: Any) -> Any:
    """Rows and columns inside `shape` of such a tile, with what is added to rows and columns, as numbers like `like` to
    an address and lines so many bytes apart."""
    return types.void(factors, added, target, shape, like), _emit_store_tile


def _emit_store_tile(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    factors, added, target, shape = (cgutils.unpack_tuple(builder, each) for each in arguments[:4])
    rows, numbers, columns, steps = factors
    summed = emit_sums(builder, rows, columns, steps, numbers=numbers)
    number = ir.FloatType() if signature.args[4] == types.float32 else ir.DoubleType()
    size, integer, bit = (4 if number == ir.FloatType() else 8), ir.IntType(32), ir.IntType(1)
    register, mask = ir.VectorType(number, LANES), ir.VectorType(bit, LANES)
    store = cgutils.get_or_insert_function(
        builder.module,
        ir.FunctionType(ir.VoidType(), [register, register.as_pointer(), integer, mask]),
        f"llvm.masked.store.v{LANES}f{8 * size}.p0",
    )
    lanes = ir.Constant(REGISTER, list(range(LANES)))
    last = builder.sub(shape[0], _INDEX(1))
    width = builder.trunc(shape[1], integer)
    inside, by_column = [], []
    for v in range(VECTORS):
        beyond = _everywhere(builder, builder.sub(width, integer(v * LANES)))
        inside.append(builder.icmp_signed("<", lanes, beyond))
        address = builder.add(added[1], _INDEX(4 * v * LANES))
        by_column.append(builder.load(builder.inttoptr(address, REGISTER.as_pointer())))
        by_column[-1].align = 4
    for i in range(HEIGHT):
        # What is beyond the last row is stored nowhere.
        here = builder.icmp_signed("<", _INDEX(i), shape[0])
        row = builder.select(here, _INDEX(i), last)
        by_row = builder.load(builder.gep(builder.inttoptr(added[0], integer.as_pointer()), [row]))
        term = _everywhere(builder, by_row)
        line = builder.add(target[0], builder.mul(row, target[1]))
        for v in range(VECTORS):
            # Sums wrap around modulo 2^32, and back.
            product = builder.add(builder.add(summed[i][v], term), by_column[v])
            place = builder.inttoptr(builder.add(line, _INDEX(size * v * LANES)), register.as_pointer())
            kept = builder.select(here, inside[v], ir.Constant(mask, [bit(0)] * LANES))
            builder.call(store, [builder.sitofp(product, register), place, integer(size), kept])
    return context.get_dummy_value()


def _everywhere(builder: Any, value: Any) -> Any:
    """A word in all lanes of a register."""
    undefined = ir.Constant(REGISTER, ir.Undefined)
    first = builder.insert_element(undefined, value, ir.IntType(32)(0))
    return builder.shuffle_vector(first, undefined, ir.Constant(REGISTER, [0] * LANES))


def emit_sums(builder: Any, rows: Any, columns: Any, steps: Any, *, numbers: Any = None) -> list[list[Any]]:
    """LLVM code for sums over steps of four products of bytes: of `HEIGHT` rows with `VECTORS` registers of columns.

    `rows`: address of (steps, HEIGHT, 4) unsigned bytes; `columns`: of (steps, VECTORS, 16, 4) signed ones, aligned to
    a register; `numbers`: of the steps of the columns (steps,) int32, where these are not all. Returns the sums,
    registers of 16 int32; the builder stands behind the loop.
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
    number = step
    if numbers is not None:
        number = builder.load(builder.gep(builder.inttoptr(numbers, integer.as_pointer()), [step]))
        number = builder.zext(number, _INDEX)
    first_vector, first_row = builder.mul(number, _INDEX(VECTORS)), builder.mul(step, _INDEX(HEIGHT))
    loaded = []
    for v in range(VECTORS):
        loaded.append(builder.load(builder.gep(columns, [builder.add(first_vector, _INDEX(v))])))
        loaded[-1].align = 64
    new = []
    for i in range(HEIGHT):
        four_bytes = builder.load(builder.gep(rows, [builder.add(first_row, _INDEX(i))]))
        four_bytes.align = 1
        broadcast = _everywhere(builder, four_bytes)
        # The first factor of the instruction is unsigned, the second signed.
        new.append([builder.call(dot, [old[i][v], broadcast, loaded[v]]) for v in range(VECTORS)])
    following = builder.add(step, _INDEX(1))
    step.add_incoming(following, loop)
    for i in range(HEIGHT):
        for v in range(VECTORS):
            old[i][v].add_incoming(ir.Constant(REGISTER, None), before)
            old[i][v].add_incoming(new[i][v], loop)
    builder.cbranch(builder.icmp_signed("<", following, steps), loop, after)
    builder.position_at_end(after)
    return new
