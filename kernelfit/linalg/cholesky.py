"""Left-looking panel Cholesky with the Gram fused in: K + shift I = L L^T, or K + diag(shift).

For each column panel J of width w:

    P = K[J:, J] + shift I           generated where it is used
    P = P - L[J:, k] L[J, k]^T       for every earlier panel k, streamed if it lives elsewhere
    P_J = L_JJ L_JJ^T                the diagonal block
    P below = P L_JJ^-T              and the panel is written once

K is never stored; only the lower triangle is formed. Flops: n^3/3 for the factor, n^2 d for K with d features.
Backward error: |K - L L^T| <= c n u |L| |L^T| (Higham, Accuracy and Stability, theorem 10.3).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernelfit.cpu import blas, cholesky_block, matrix_product
from kernelfit.cpu.jit import njit
from kernelfit.cpu.pool import CpuBackend
from kernelfit.errors import NotPositiveDefiniteError
from kernelfit.gram.layout import PanelLayout
from kernelfit.gram.protocol import EPILOGUE, GramSource
from kernelfit.progress import Progress, Silent
from kernelfit.storage.panels import Batch, PanelStore
from kernelfit.typing import Float, Span

# Columns of a diagonal block that one thread factors while the others wait, and operations worth cutting up.
_BLOCK = 256
_WORTH_CUTTING = 1e7
# Pivots below this multiple of n u K_jj have lost all but one or two digits.
_WEAK = 10.0
# The distance of 1 from the next number, by the bytes of one.
_EPSILON = {dtype().itemsize: float(np.finfo(dtype).eps) for dtype in (np.float32, np.float64)}


@dataclass
class Pivots:
    """What the diagonal of L tells; filled panel by panel.

    `smallest` is the least pivot L_ii^2 and `row` where it stands; `weak` counts pivots below 10 n u K_ii;
    `log_det` = 2 sum log L_ii.
    """

    smallest: float = math.inf
    row: int = -1
    weak: int = 0
    log_det: float = 0.0
    seconds_gram: float = 0.0
    seconds_factor: float = 0.0

    def add(self, diagonal: NDArray[Any], first_row: int, threshold: NDArray[Any]) -> None:
        self.learn(first_row, *diagonal_of(diagonal, threshold))

    def learn(self, first_row: int, row: int, smallest: float, weak: int, log_det: float) -> None:
        """What `diagonal_of` tells of rows from `first_row` on."""
        if smallest < self.smallest:
            self.smallest, self.row = smallest, first_row + row
        self.weak += weak
        self.log_det += log_det


@njit(cache=True, nogil=True, error_model="numpy")
def diagonal_of(diagonal: Any, threshold: Any) -> tuple[int, float, int, float]:
    """The place and the size of the least pivot l_ii^2, how many are below their threshold, and 2 sum log l_ii."""
    row, smallest, weak, log_det = 0, np.inf, 0, 0.0
    for i in range(len(diagonal)):
        lower = np.float64(diagonal[i])
        if lower * lower < smallest:
            row, smallest = i, lower * lower
        weak += lower * lower < threshold[i]
        log_det += math.log(lower)
    return row, smallest, weak, 2.0 * log_det


def factor(
    source: GramSource,
    shift: float | Float,
    store: PanelStore,
    backend: CpuBackend,
    progress: Progress | None = None,
    *,
    first_panel: int = 0,
    after_panel: Callable[[int], None] | None = None,
) -> Pivots:
    """Fill `store` with the panels of L, K + shift I = L L^T, in the dtype of the store; a shift (n,) is a diagonal.

    Panels before `first_panel` are in the store already; `after_panel` is called when each of the others is finished.

    Raises `NotPositiveDefiniteError` with the global row and the pivot at the first pivot that is not positive.
    """
    layout = store.layout
    progress = progress or Silent()
    pivots = Pivots()
    diagonal = source.diagonal()
    threshold = weak_threshold(diagonal, layout.n, store.dtype)

    def rows_of(j: int) -> Span:
        return layout.start(j), layout.stop(j)

    with progress.phase("factor", flops_from(layout, first_panel), "flop") as advance:
        for j in range(first_panel):
            pivots.add(store.diagonal(j), layout.start(j), threshold[slice(*rows_of(j))])
        for j in range(first_panel, layout.count):
            started = time.perf_counter()
            panel = store.begin(j)
            form_panel(source, layout, j, panel, backend)
            here = shift if isinstance(shift, float) or np.ndim(shift) == 0 else shift[slice(*rows_of(j))]
            np.einsum("ii->i", panel[: panel.shape[1]])[...] += np.asarray(here, panel.dtype)
            generated = time.perf_counter()
            strips = layout.panel_strips(j) if j else []
            for batch in store.stream(range(j), first_row=layout.start(j)) if j else ():
                _update(panel, layout, j, strips, batch, backend, advance)
            factor_diagonal(panel, layout, j, backend)
            store.settle(j, rows_of(j))
            _solve_below(panel, store, j, backend, advance)
            pivots.add(np.diagonal(panel), layout.start(j), threshold[slice(*rows_of(j))])
            seconds = generated - started, time.perf_counter() - generated
            store.finish(j, seconds)
            pivots.seconds_gram += seconds[0]
            pivots.seconds_factor += seconds[1]
            if after_panel is not None:
                after_panel(j)
        started = time.perf_counter()
        store.flush()
        pivots.seconds_factor += time.perf_counter() - started
    return pivots


def panel_flops(layout: PanelLayout, j: int) -> float:
    """Flops of panel j, as `factor` counts them."""
    rows, width = layout.shape(j)
    below = rows - width
    update = 2.0 * layout.start(j) * width * (below + 0.5 * width)
    return update + width**3 / 3.0 + float(below) * width * width


def flops_from(layout: PanelLayout, first_panel: int) -> float:
    """Flops of the panels from one on: what progress counts, as those before take no time where a factor is resumed."""
    if first_panel == 0:
        return layout.factor_flops()
    return math.fsum(panel_flops(layout, j) for j in range(first_panel, layout.count))


def _columns_of(strip: Span, first: int, width: int) -> int:
    """Columns of the panel that a strip needs: all of them, or in the diagonal block those up to its last row."""
    return min(width, strip[1] - first)


def form_panel(
    source: GramSource, layout: PanelLayout, j: int, panel: NDArray[Any], backend: CpuBackend
) -> None:
    """Panel j of K, on and below its diagonal; the calling thread forms one that is a tile."""
    first, last = layout.start(j), layout.stop(j)
    columns = source.columns(first, last, backend)
    if layout.small:
        columns.fill(first, last, panel)
        return

    def generate(strip: Span) -> None:
        width = _columns_of(strip, first, last - first)
        columns.fill(strip[0], strip[1], panel[strip[0] - first : strip[1] - first, :width])

    entries = float(layout.shape(j)[0]) * (last - first) - 0.5 * (last - first) ** 2
    backend.run(generate, layout.panel_strips(j), entries * (source.flops_per_entry + EPILOGUE))


def _update(
    panel: NDArray[Any],
    layout: PanelLayout,
    j: int,
    strips: list[Span],
    batch: Batch,
    backend: CpuBackend,
    advance: Any,
) -> None:
    """P <- P - L[J:, k] L[J, k]^T for the panels k of a batch and the rows that it holds."""
    first = layout.start(j)

    def update(strip: Span) -> None:
        rows = slice(strip[0] - first, strip[1] - first)
        width = _columns_of(strip, first, panel.shape[1])
        target = panel[rows, :width]
        flops = 0.0
        for piece in batch:
            blas.gemm(-1.0, piece.rows(strip), piece.top[:width], 1.0, target, transpose_b=True)
            # Of the diagonal block only the lower triangle counts.
            below = strip[0] >= first + panel.shape[1]
            counted = width if below else 0.5 * (strip[0] + strip[1] - 2 * first)
            flops += 2.0 * (strip[1] - strip[0]) * counted * piece.top.shape[1]
        advance(flops)

    # All pieces of a batch hold the same rows.
    here = [strip for strip in strips if batch[0].has(strip)]
    rows = sum(stop - start for start, stop in here)
    backend.run(update, here, 2.0 * rows * panel.shape[1] * sum(piece.top.shape[1] for piece in batch))


def factor_diagonal(panel: NDArray[Any], layout: PanelLayout, j: int, backend: CpuBackend) -> None:
    """P_J = L_JJ L_JJ^T, by the same algorithm on narrow columns so that all threads take part."""
    width = panel.shape[1]
    block = panel[:width]
    if matrix_product.available():
        _factor_compiled(block, layout.start(j), backend)
        return
    for start in range(0, width, _BLOCK):
        stop = min(start + _BLOCK, width)
        columns, top = slice(start, stop), block[start:stop, start:stop]

        def update(strip: Span, columns: slice = columns) -> None:
            rows, left = slice(*strip), block[columns, : columns.start]
            blas.gemm(-1.0, block[rows, : columns.start], left, 1.0, block[rows, columns], transpose_b=True)

        def solve(strip: Span, columns: slice = columns, top: NDArray[Any] = top) -> None:
            blas.solve_right_lower_transposed(top, block[slice(*strip), columns])

        size = float(width - start) * (stop - start)
        if start:
            work = 2.0 * size * start
            backend.run(update, _cut(start, width, work), work)
        _factor_by_lapack(top, layout.start(j) + start)
        block[start:stop, stop:] = 0.0
        if stop < width:
            work = size * (stop - start)
            backend.run(solve, _cut(stop, width, work), work)


def _factor_compiled(block: NDArray[Any], first: int, backend: CpuBackend) -> None:
    """A block that begins at row `first` of K, in place, with zeros above its diagonal."""
    info, pivot = cholesky_block.factor(block, backend)
    if info:
        raise failed_pivot(first + info - 1, pivot)


def _factor_by_lapack(block: NDArray[Any], first: int) -> None:
    saved = block.copy()
    info = blas.potrf(block)
    if info:
        raise not_positive(saved, info - 1, first)
    np.copyto(block, block.dtype.type(0), where=_above(len(block)))  # what was never written may be no number


def _cut(first: int, last: int, work: float) -> list[Span]:
    """Rows of a diagonal block in strips that are worth a thread's while."""
    height = last - first if work < _WORTH_CUTTING else max(64, -(-(last - first) // 8))
    return [(a, min(a + height, last)) for a in range(first, last, height)]


@cache
def _above(order: int) -> NDArray[np.bool_]:
    """True above the diagonal."""
    return ~np.tri(order, dtype=bool)


def weak_threshold(diagonal: NDArray[np.float64], n: int, dtype: Any) -> NDArray[np.float64]:
    """10 n u |K_ii| (n,): pivots below it are counted as weak."""
    threshold: NDArray[np.float64] = weak_part(n, dtype) * np.abs(diagonal)
    return threshold


def weak_part(n: int, dtype: Any) -> float:
    """10 n u."""
    return _WEAK * n * (0.5 * _EPSILON[np.dtype(dtype).itemsize])


def not_positive(block: NDArray[Any], row: int, first: int) -> NotPositiveDefiniteError:
    """The error for pivot `row` of a diagonal block, as it was before it was factored, that begins at row `first`."""
    return failed_pivot(first + row, _pivot(block, row))


def failed_pivot(row: int, pivot: float) -> NotPositiveDefiniteError:
    return NotPositiveDefiniteError(
        f"K: the pivot of row {row} is {pivot:.3g}, not above rounding error, expected a positive number; "
        "K is not positive definite in this arithmetic",
        row=row,
        pivot=pivot,
    )


def _pivot(block: NDArray[Any], row: int) -> float:
    """a_rr - |l_r|^2 for the first row whose leading minor is not positive definite."""
    if row == 0:
        return float(block[0, 0])
    leading = np.ascontiguousarray(block[:row, :row])
    blas.potrf(leading)
    l_row = np.ascontiguousarray(block[row, :row]).reshape(-1, 1)
    blas.solve_left_lower(leading, l_row)
    return float(block[row, row] - float(l_row[:, 0].astype(np.float64) @ l_row[:, 0].astype(np.float64)))


def _solve_below(panel: NDArray[Any], store: PanelStore, j: int, backend: CpuBackend, advance: Any) -> None:
    layout, width = store.layout, panel.shape[1]
    first = layout.start(j)
    advance(width**3 / 3.0)

    def solve(strip: Span) -> None:
        blas.solve_right_lower_transposed(panel[:width], panel[strip[0] - first : strip[1] - first])
        store.settle(j, strip)
        advance(float(strip[1] - strip[0]) * width * width)

    if len(panel) > width:
        backend.run(solve, layout.strips(layout.stop(j)), float(len(panel) - width) * width * width)
