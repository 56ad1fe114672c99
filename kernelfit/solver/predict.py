"""Predictions on the CPU: k(rows, training rows) alpha, strip by strip, without the factor."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from kernelfit.cpu import blas
from kernelfit.cpu.pool import CpuBackend
from kernelfit.gram.layout import PanelLayout
from kernelfit.gram.points import Points
from kernelfit.gram.protocol import EPILOGUE
from kernelfit.gram.tile import ColumnBlock, evaluate
from kernelfit.kernels.base import COORDINATES, Kernel, Needs
from kernelfit.progress import Progress
from kernelfit.solver.problem import Problem
from kernelfit.typing import Float, Span

# Training rows that a strip of test points meets at a time; entries of a tile, 2 MB that a core's second level of cache
# holds for the passes over it; and rows of a strip at most.
_COLUMNS, _ENTRIES, _STRIP = 1_024, 2**18, 1_024
# So many rows meet as many training rows as fill a tile, of 32 MB at most: the calls of a block, 0.1 ms, take longer
# than their arithmetic.
_FEW, _NUMBERS = 16, 2**22
# Bytes of converted training rows that are kept from one prediction to the next.
_KEPT = 2**28


class Prepared:
    """Training rows as predictions multiply them: n d numbers, or bytes where those are multiplied, made once for many
    rows and once for few, each kept up to 256 MiB, so that a single row costs no conversion of all others."""

    def __init__(self) -> None:
        # By their width; one entry each, since several threads may predict at once, of exact rows and of others.
        self._made: dict[int, tuple[tuple[Points, bool, Needs], tuple[ColumnBlock, ...]]] = {}

    def columns(
        self, points: Points, exact: bool, needs: Needs, width: int = _COLUMNS
    ) -> Iterable[ColumnBlock]:
        """Blocks of `width` training rows, in order."""
        blocks = self._kept(points, exact, needs, width)
        if not blocks:
            n, d = points.shape
            made = (ColumnBlock(points, a, min(a + width, n), exact, needs) for a in range(0, n, width))
            if n * d * (1 if exact and points.multiplies_bytes else 8) > _KEPT:
                return made
            blocks = tuple(made)
            for block in blocks:
                block.own()
            self._made[width] = (points, exact, needs), blocks
        return blocks

    def read_rows(self) -> bool:
        """Whether rows of the array itself were asked for since this was last called, as those of close pairs are."""
        blocks = [block for _, made in tuple(self._made.values()) for block in made if block.read_rows]
        for block in blocks:
            block.read_rows = False
        return bool(blocks)

    def holds(self, kernel: Kernel, points: Points, rows: Points) -> bool:
        """Whether predictions at these rows multiply training rows that are kept, whatever becomes of the array."""
        exact, width = rows.exact and points.exact, _width(rows.shape[0], points)
        return not kernel.needs & COORDINATES and bool(self._kept(points, exact, kernel.needs, width))

    def _kept(self, points: Points, exact: bool, needs: Needs, width: int) -> tuple[ColumnBlock, ...]:
        key, blocks = self._made.get(width, (None, ()))
        return blocks if key is not None and key[0] is points and key[1:] == (exact, needs) else ()


def predict_here(
    problem: Problem, rows: Points, alpha: Float, backend: CpuBackend, progress: Progress
) -> Float:
    """As `predict`, of the rows of a problem, with the threads of a backend that need not be open."""
    assert problem.kernel is not None
    assert problem.points is not None
    with CpuBackend(backend.threads) as opened:
        return predict(problem.kernel, problem.points, rows, alpha, opened, progress)


def predict(
    kernel: Kernel,
    points: Points,
    rows: Points,
    alpha: Float,
    backend: CpuBackend,
    progress: Progress,
    prepared: Prepared | None = None,
) -> Float:
    """k(rows, points) alpha: (m, c) for rows (m, d), points (n, d) and alpha (n, c)."""
    rows.require_alike(points)
    m, n = rows.shape[0], points.shape[0]
    values = np.zeros((m, alpha.shape[1]))
    exact = rows.exact and points.exact
    kernel.compile()
    width = _width(m, points)
    with progress.phase("predict", float(m) * n, "entries") as advance:
        for columns in (prepared or Prepared()).columns(points, exact, kernel.needs, width):

            def accumulate(strip: Span, columns: ColumnBlock = columns) -> None:
                start, stop = strip
                tile = backend.scratch("predict", stop - start, columns.stop - columns.start, np.float64)
                evaluate(kernel, rows, start, stop, columns, tile, backend)
                blas.gemm(1.0, tile, alpha[columns.start : columns.stop], 1.0, values[start:stop])
                advance(float(stop - start) * (columns.stop - columns.start))

            entries = float(m) * (columns.stop - columns.start)
            backend.run(
                accumulate,
                strips_of(m, columns.stop - columns.start),
                entries * (2.0 * points.shape[1] + EPILOGUE),
            )
    return values


def _width(m: int, points: Points) -> int:
    """Training rows that m rows meet at a time."""
    n, d = points.shape
    return _width_for_few(d) if m <= _FEW and n > _COLUMNS else _COLUMNS


def _width_for_few(features: int) -> int:
    """Training rows that few rows meet at a time: whole multiples of those that many rows meet."""
    most = min(_ENTRIES // _FEW, _NUMBERS // max(features, 1))
    return max(1, most // _COLUMNS) * _COLUMNS


def cross_gram(
    kernel: Kernel, points: Points, rows: Points, backend: CpuBackend, span: Span | None = None
) -> Float:
    """k(rows, points) (m, n) for rows (m, d), of which those of a span are taken, and points (n, d)."""
    first, last = span or (0, rows.shape[0])
    n = points.shape[0]
    values = np.empty((last - first, n))
    layout = PanelLayout.of_order(n)
    exact = rows.exact and points.exact
    kernel.compile()
    for j in range(layout.count):
        columns = ColumnBlock(points, layout.start(j), layout.stop(j), exact, kernel.needs)

        def fill(strip: Span, columns: ColumnBlock = columns) -> None:
            out = values[strip[0] : strip[1], columns.start : columns.stop]
            evaluate(kernel, rows, first + strip[0], first + strip[1], columns, out, backend)

        backend.run(fill, strips_of(last - first, columns.stop - columns.start))
    return values


def strips_of(m: int, width: int = _COLUMNS) -> list[Span]:
    """[0, m) in strips of rows that meet `width` training rows."""
    height = min(_STRIP, max(1, _ENTRIES // width))
    return [(a, min(a + height, m)) for a in range(0, m, height)]
