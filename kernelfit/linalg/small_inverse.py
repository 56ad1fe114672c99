"""|(L L^T)^-1|_1 of up to 64 rows: L^-1 by rows, then the rows of L^-T L^-1, whose sums are kept and they are not.

Either is a sum of rows of L^-1 with sixteen of its columns in registers, zeros above the diagonal left out: n^3 / 3
flops each, where two triangular solves with the identity take n^3.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from kernelfit.cpu.addresses import hold
from kernelfit.cpu.jit import njit
from kernelfit.cpu.matrix_product import everywhere, fma_of
from kernelfit.typing import Float

# Columns of L^-1, which are zero beyond its order, and those of a sum.
_WIDTH, _COLUMNS = 64, 16
_INDEX, _DOUBLE = ir.IntType(64), ir.DoubleType()
_REGISTER = ir.VectorType(_DOUBLE, 8)


def inverse_norm(lower: Float) -> float:
    """Of L (n, n), C-ordered, n <= 64."""
    assert len(lower) <= _WIDTH
    return float(_inverse_norm(lower))


@njit(cache=True, nogil=True, error_model="numpy")
def _inverse_norm(lower: Any) -> float:
    n = len(lower)
    inverse, sums, part = np.zeros((n, _WIDTH)), np.zeros(_WIDTH), np.empty(_COLUMNS)
    size = lower.itemsize
    rows, l, out = inverse.ctypes.data, lower.ctypes.data, part.ctypes.data  # noqa: E741 - L is the field's name
    for i in range(n):  # L_ii x_i = e_i - sum_k<i L_ik x_k, of which x_k ends with column k
        scale = 1.0 / lower[i, i]
        for left in range(0, i + 1, _COLUMNS):
            above = rows + (left * _WIDTH + left) * size
            _combine(l + (i * n + left) * size, size, above, _WIDTH * size, i - left, out)
            for j in range(_COLUMNS):
                inverse[i, left + j] = -part[j] * scale
        inverse[i, i] = scale
    for i in range(
        n
    ):  # sum_k x_ki x_k, of which x_k begins in row k: columns and rows of the inverse are the same
        for left in range(0, n, _COLUMNS):
            k = max(i, left)
            factors, first = rows + (k * _WIDTH + i) * size, rows + (k * _WIDTH + left) * size
            _combine(factors, _WIDTH * size, first, _WIDTH * size, n - k, out)
            for j in range(_COLUMNS):
                sums[left + j] += abs(part[j])
    hold((inverse, part))
    largest = 0.0
    for j in range(n):
        largest = sums[j] if sums[j] > largest or sums[j] != sums[j] else largest
    return largest


@intrinsic
def _combine(_context: Any, factors: Any, step: Any, rows: Any, stride: Any, count: Any, out: Any) -> Any:
    """out (16,) <- sum over `count` factors, `step` bytes apart, times rows (16,), `stride` bytes apart; addresses."""
    return types.void(*[types.intp] * 6), _emit_combine


def _emit_combine(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
    factors, step, rows, stride, count, out = arguments
    before, loop = builder.block, builder.append_basic_block("rows")
    after = builder.append_basic_block("combined")
    builder.cbranch(builder.icmp_signed(">", count, _INDEX(0)), loop, after)
    builder.position_at_end(loop)
    row, zero = builder.phi(_INDEX), ir.Constant(_REGISTER, [0.0] * 8)
    row.add_incoming(_INDEX(0), before)
    totals = [builder.phi(_REGISTER) for _ in range(_COLUMNS // 8)]
    address = builder.add(factors, builder.mul(row, step))
    factor = everywhere(builder, builder.load(builder.inttoptr(address, _DOUBLE.as_pointer())), _REGISTER)
    start = builder.inttoptr(builder.add(rows, builder.mul(row, stride)), _REGISTER.as_pointer())
    fma, added = fma_of(builder.module, _REGISTER), []
    for v, total in enumerate(totals):
        value = builder.load(builder.gep(start, [_INDEX(v)]))
        value.align = 8
        added.append(builder.call(fma, [factor, value, total]))
        total.add_incoming(zero, before)
        total.add_incoming(added[v], loop)
    following = builder.add(row, _INDEX(1))
    row.add_incoming(following, loop)
    builder.cbranch(builder.icmp_signed("<", following, count), loop, after)
    builder.position_at_end(after)
    totals = [builder.phi(_REGISTER) for _ in added]
    target = builder.inttoptr(out, _REGISTER.as_pointer())
    for v, total in enumerate(totals):
        total.add_incoming(zero, before)
        total.add_incoming(added[v], loop)
        builder.store(total, builder.gep(target, [_INDEX(v)])).align = 8
    return context.get_dummy_value()
