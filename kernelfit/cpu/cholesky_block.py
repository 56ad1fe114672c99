"""A = L L^T of a block in place, in compiled calls, by the micro-kernel of `kernelfit.cpu.matrix_product`.

Left-looking in columns of `_BLOCK`: those columns less the products with the columns before, the square at their top
factored, the rows below solved with it. Threads that help claim rows to update and rows to solve
(`kernelfit.cpu.claims`); one thread alone begins with all updates. Bits are the same, as every row's are its own.
"""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from kernelfit.cpu import blas
from kernelfit.cpu.claims import OVER, claim, done, leads, new_claims, pause, publish, stage_of, wait
from kernelfit.cpu.jit import njit
from kernelfit.cpu.matrix_product import (
    add_product_compiled,
    clear_number,
    get_number,
    packed_block,
    size_of,
)
from kernelfit.cpu.pool import CpuBackend
from kernelfit.cpu.triangular_tiles import factor_square, pack_triangle, solve_rows

#: columns between two products: four tiles of a float64 one, eight with AVX2
_BLOCK = 96
# Rows of a task: a multiple of a tile's width in either type, and tasks of a stage at most.
_TASK, _TASKS = 96, 8
# Order below which waking a thread takes longer than its help is worth.
_WORTH_HELP = 340


def factor(a: NDArray[Any], backend: CpuBackend | None = None) -> tuple[int, float]:
    """A (n, n), C-ordered, <- L, zeros above its diagonal: 0, or the 1-based order of the first minor that is not
    positive, as LAPACK's `info`, and the pivot there. Threads of `backend` help with large ones."""
    one, n, rows = a.dtype.type(1), len(a), blas.rows_of(a)
    threads = 1 if backend is None else threads_for(n, backend)
    if threads == 1:
        _, info, pivot = work(0, rows, n, packed_block(), one)
        return info, pivot
    told: list[tuple[int, float]] = []
    claims = new_claims()
    address = claims.ctypes.data

    def take_part(_thread: int) -> None:
        led, info, pivot = work(address, rows, n, packed_block(), one)
        if led:
            told.append((info, pivot))

    assert backend is not None
    backend.run(take_part, range(threads))
    return told[0]


def threads_for(n: int, backend: CpuBackend) -> int:
    """How many of the threads are worth waking."""
    return 1 if n < _WORTH_HELP else backend.threads


@njit(cache=True, nogil=True, error_model="numpy")
def work(claims: int, a: Any, n: int, packed: Any, one: Any) -> tuple[bool, int, float]:
    """The part of one thread: all of it alone, where there are no claims, the leader's, or a helper's; one function,
    which is compiled once. Whether it led, and then what `factor` gives.

    `a` is an address and the numbers from one row to the next.
    """
    alone, last = claims == 0, 0
    led = alone or leads(claims)
    while not led:
        stage = stage_of(claims)
        if stage == OVER:
            return led, 0, 0.0
        if stage == last:
            pause()
            continue
        _take_part(claims, stage, a, n, packed, one)
        last = stage
    total = 0
    info, pivot = 0, 0.0
    for start in range(0, n, _BLOCK):
        stop = min(start + _BLOCK, n)
        tasks, stage = _tasks(n - stop), start // _BLOCK * 2 + 1
        if start and not alone:
            publish(claims, stage)
        if start:
            _update(a, start, (start, n if alone else stop), packed, one)
        info, pivot = _factor_top(a, start, stop, packed, one)
        if start and not alone:
            _take_part(claims, stage, a, n, packed, one)
            total += tasks
            wait(claims, total)
        if info:
            break
        if alone:
            _solve(a, start, (stop, n), packed, one)
            continue
        publish(claims, stage + 1)
        _take_part(claims, stage + 1, a, n, packed, one)
        total += tasks
        wait(claims, total)
    if not alone:
        publish(claims, OVER)
    return led, info, pivot


@njit(cache=True, nogil=True, error_model="numpy")
def _take_part(claims: int, stage: int, a: Any, n: int, packed: Any, one: Any) -> None:
    """Odd stages update the rows below a square, even ones solve them."""
    start = (stage - 1) // 2 * _BLOCK
    stop = min(start + _BLOCK, n)
    tasks = _tasks(n - stop)
    height = _height(n - stop)
    ready = False
    while True:
        task = claim(claims, stage, tasks)
        if task < 0:
            return
        rows = stop + task * height, min(stop + (task + 1) * height, n)
        if stage % 2:
            _update(a, start, rows, packed, one)
        else:
            if not ready:
                size = size_of(one)
                pack_triangle((a[0] + start * (a[1] + 1) * size, a[1]), stop - start, packed, one)
                ready = True
            _solve(a, start, rows, packed, one)
        done(claims)


@njit(inline="always")
def _height(rows: int) -> int:
    """Rows of a task; of their number alone."""
    tasks = min(_TASKS, max(1, rows // _TASK))
    return -(-rows // (tasks * _TASK // 2)) * (_TASK // 2)


@njit(inline="always")
def _tasks(rows: int) -> int:
    return -(-rows // _height(rows)) if rows else 0


@njit(inline="always")
def _update(a: Any, start: int, rows: Any, packed: Any, one: Any) -> None:
    """Rows of the columns from `start` on less their products with the columns before."""
    if start == 0:
        return
    size = size_of(one)
    line = a[1] * size
    first, last = rows
    top, left = a[0] + start * line, a[0] + first * line
    width = min(_BLOCK, last - start)
    down = start < 0  # no literal: products are compiled once for all who call them
    add_product_compiled(
        -one,
        (left, a[1], down),
        (top, a[1], down),
        one,
        (left + start * size, a[1]),
        (last - first, width, start),
        packed,
    )


@njit(inline="always")
def _factor_top(a: Any, start: int, stop: int, packed: Any, one: Any) -> tuple[int, float]:
    """`factor_square` of the square at the top, and the pivot where it failed."""
    size = size_of(one)
    line = a[1] * size
    block = a[0] + start * (line + size)
    info = factor_square((block, a[1]), stop - start, packed, one)
    if info:
        return start + info, float(get_number(packed[2], one))
    for i in range(stop - start):
        for j in range(i + 1, stop - start):
            clear_number(block + i * line + j * size, one)
    return 0, 0.0


@njit(inline="always")
def _solve(a: Any, start: int, rows: Any, packed: Any, one: Any) -> None:
    """Rows below a square, whose triangle is packed, times its inverse; zeros in the columns of the same numbers."""
    size = size_of(one)
    line = a[1] * size
    first, last = rows
    if first == last:
        return
    for i in range(start, start + _BLOCK):
        for j in range(first, last):
            clear_number(a[0] + i * line + j * size, one)
    width = min(_BLOCK, first - start)  # no literal, likewise
    solve_rows((a[0] + first * line + start * size, a[1]), (last - first, width), packed, one)
