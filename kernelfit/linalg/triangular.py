"""Solves with a factor in panels: L x = b and L^T x = b for a block of right-hand sides, streamed once each."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernelfit.cpu import blas, few_columns
from kernelfit.cpu.pool import CpuBackend
from kernelfit.gram.layout import PanelLayout
from kernelfit.storage.panels import PanelStore, Piece
from kernelfit.typing import Span

# Right-hand sides that one thread solves for at once: fewer would read the triangle as often and do less with it.
_COLUMNS = 128
# Rows and columns of a block of the sum over later rows, where there are more right-hand sides than that: wide, since
# packing the transposed rows of L costs more than packing right-hand sides (79 GFLOP/s of 96 here, 64 with 256 x 128).
_TILE = (192, 512)


def solve_lower(store: PanelStore, rhs: NDArray[Any], backend: CpuBackend) -> None:
    """B <- L^-1 B in place. B (n, c), C-ordered, in the dtype of the store. n^2 c flops, n^2/2 numbers read."""
    layout = store.layout
    for batch in store.stream(range(layout.count)):
        for piece in batch:
            eliminate_lower(piece, rhs, layout, backend)


def eliminate_lower(
    piece: Piece, rhs: NDArray[Any], layout: PanelLayout, backend: CpuBackend, origin: int = 0
) -> None:
    """A step of forward substitution with rows of one panel; `rhs` (m, c) holds rows `origin` on."""
    solved = rhs[piece.first - origin : piece.first - origin + len(piece.top)]
    if piece.begins:
        solve_square(piece.top, solved, backend)

    def subtract(strip: Span) -> None:
        subtract_product(piece.rows(strip), solved, rhs[strip[0] - origin : strip[1] - origin])

    strips = _below(piece, layout)
    if strips:
        backend.run(subtract, strips, work(piece.below.size, rhs.shape[1]))


def work(numbers: int, columns: int) -> float:
    """Operations of a product of so many numbers of L with columns; with few columns they are bound by reading it."""
    return float(numbers) * max(2.0 * columns, few_columns.PER_NUMBER)


def subtract_product(rows: NDArray[Any], x: NDArray[Any], target: NDArray[Any]) -> None:
    """B <- B - L X in place, for some rows of L."""
    if few_columns.few(rows, x):
        few_columns.add_product(-1.0, rows, x, target)
    else:
        blas.gemm(-1.0, rows, x, 1.0, target)


def transposed_product(rows: NDArray[Any], x: NDArray[Any]) -> NDArray[Any]:
    """L^T X, for some rows of L."""
    product = np.zeros((rows.shape[1], x.shape[1]), rows.dtype)
    if few_columns.few(rows, x):
        few_columns.add_transposed(1.0, rows, x, product)
    else:
        blas.gemm(1.0, rows, x, 0.0, product, transpose_a=True)
    return product


def solve_square(
    top: NDArray[Any], rhs: NDArray[Any], backend: CpuBackend, *, transposed: bool = False
) -> None:
    """B <- L_JJ^-1 B or L_JJ^-T B in place, columns in blocks that depend on their number alone."""
    if few_columns.few(top, rhs):
        few_columns.solve(top, rhs, transposed=transposed)
        return

    def solve(start: int) -> None:
        blas.solve_left_lower(top, rhs[:, start : start + _COLUMNS], transposed=transposed)

    backend.run(solve, range(0, rhs.shape[1], _COLUMNS), float(len(top)) * rhs.size)


def _below(piece: Piece, layout: PanelLayout) -> list[Span]:
    """The strips below the diagonal block that a piece holds."""
    return [strip for strip in layout.strips(piece.first + len(piece.top)) if piece.has(strip)]


def solve_lower_transposed(store: PanelStore, rhs: NDArray[Any], backend: CpuBackend) -> None:
    """B <- L^-T B in place. B (n, c), C-ordered, in the dtype of the store. n^2 c flops, n^2/2 numbers read."""
    layout = store.layout
    for batch in store.stream(reversed(range(layout.count))):
        for piece in batch:
            _eliminate_transposed(piece, rhs, layout, backend)


def _eliminate_transposed(piece: Piece, rhs: NDArray[Any], layout: PanelLayout, backend: CpuBackend) -> None:
    """A step of back substitution with rows of one panel, after those of all later panels."""
    target = rhs[piece.first : piece.first + len(piece.top)]
    strips = _below(piece, layout)
    if strips:
        subtract = _subtract_parts if rhs.shape[1] <= _COLUMNS else _subtract_tiles
        subtract(piece, rhs, target, strips, backend)
    if piece.ends:
        solve_square(piece.top, target, backend, transposed=True)


def _subtract_parts(
    piece: Piece, rhs: NDArray[Any], target: NDArray[Any], strips: list[Span], backend: CpuBackend
) -> None:
    """B_J <- B_J - L[below, J]^T B[below]: a strip of rows is read by one thread."""
    parts: list[Any] = [None] * len(strips)

    def multiply(index: int) -> None:
        parts[index] = transposed_product(piece.rows(strips[index]), rhs[slice(*strips[index])])

    backend.run(multiply, range(len(strips)), work(piece.below.size, rhs.shape[1]))
    # Added in a fixed order, so that the sum does not depend on which thread was first.
    for part in parts:
        target -= part


def _subtract_tiles(
    piece: Piece, rhs: NDArray[Any], target: NDArray[Any], strips: list[Span], backend: CpuBackend
) -> None:
    """The same for many right-hand sides, whose parts would be more numbers than L has: a block of the result belongs
    to one thread, which goes through the strips."""
    height, width = _TILE

    def subtract(corner: tuple[int, int]) -> None:
        rows, columns = (slice(start, start + size) for start, size in zip(corner, _TILE, strict=True))
        for start, stop in strips:
            factor = piece.rows((start, stop))[:, rows]
            blas.gemm(-1.0, factor, rhs[start:stop, columns], 1.0, target[rows, columns], transpose_a=True)

    corners = [(i, k) for i in range(0, len(target), height) for k in range(0, target.shape[1], width)]
    backend.run(subtract, corners, 2.0 * len(piece.below) * target.size)


def solve_factored(store: PanelStore, rhs: NDArray[Any], backend: CpuBackend) -> None:
    """B <- (L L^T)^-1 B in place."""
    if store.layout.small and rhs.shape[1] <= _COLUMNS:
        for batch in store.stream(range(1)):
            blas.solve_left_lower(batch[0].top, rhs)
            blas.solve_left_lower(batch[0].top, rhs, transposed=True)
        return
    solve_lower(store, rhs, backend)
    solve_lower_transposed(store, rhs, backend)
