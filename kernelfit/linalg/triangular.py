"""Solves with a factor in panels: L x = b and L^T x = b for a block of right-hand sides, streamed once each."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernelfit.backends import blas
from kernelfit.backends.cpu import CpuBackend
from kernelfit.storage.panels import PanelStore

Span = tuple[int, int]


def solve_lower(store: PanelStore, rhs: NDArray[Any], backend: CpuBackend) -> None:
    """B <- L^-1 B in place. B (n, c), C-ordered, in the dtype of the store. n^2 c flops, n^2/2 numbers read."""
    layout = store.layout
    for batch in store.stream(range(layout.count)):
        for k, panel in batch:
            eliminate_lower(
                panel, rhs[layout.start(k) :], layout.strips(0, panel.shape[0] - panel.shape[1]), backend
            )


def eliminate_lower(panel: NDArray[Any], rhs: NDArray[Any], strips: list[Span], backend: CpuBackend) -> None:
    """One step of forward substitution: rows of `rhs` (m, c) belong to the rows of `panel` (m, w)."""
    width = panel.shape[1]
    solved = rhs[:width]
    blas.solve_left_lower(panel[:width], solved)
    below, target = panel[width:], rhs[width:]

    def subtract(strip: Span) -> None:
        rows = slice(*strip)
        blas.gemm(-1.0, below[rows], solved, 1.0, target[rows])

    backend.run(subtract, strips)


def solve_lower_transposed(store: PanelStore, rhs: NDArray[Any], backend: CpuBackend) -> None:
    """B <- L^-T B in place. B (n, c), C-ordered, in the dtype of the store. n^2 c flops, n^2/2 numbers read."""
    layout = store.layout
    for batch in store.stream(reversed(range(layout.count))):
        for k, panel in batch:
            width = panel.shape[1]
            first = layout.start(k)
            below, known = panel[width:], rhs[first + width :]
            strips = layout.strips(0, below.shape[0])
            parts: list[NDArray[Any] | None] = [None] * len(strips)

            def multiply(
                index: int,
                below: NDArray[Any] = below,
                known: NDArray[Any] = known,
                strips: list[Span] = strips,
                parts: list[NDArray[Any] | None] = parts,
            ) -> None:
                rows = slice(*strips[index])
                part = np.empty((below.shape[1], known.shape[1]), known.dtype)
                blas.gemm(1.0, below[rows], known[rows], 0.0, part, transpose_a=True)
                parts[index] = part

            backend.run(multiply, range(len(strips)))
            target = rhs[first : first + width]
            # Added in a fixed order, so that the sum does not depend on which thread was first.
            for part in parts:
                target -= part
            blas.solve_left_lower(panel[:width], target, transposed=True)


def solve_factored(store: PanelStore, rhs: NDArray[Any], backend: CpuBackend) -> None:
    """B <- (L L^T)^-1 B in place."""
    solve_lower(store, rhs, backend)
    solve_lower_transposed(store, rhs, backend)
