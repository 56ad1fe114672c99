"""K as float32 tiles of its lower triangle, each used once for a product with many vectors.

The triangle is cut into lines of `WIDTH` rows, and lines into square tiles: line i has tiles 0..i. A tile serves its
rows and, transposed, its columns, but for the diagonal one, which is whole. Lines are dealt out in runs that depend on
n alone, and what their tiles give to columns is added up in the order of the runs: the same bits whatever the number of
threads. 2 n^2 c flops for c vectors.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernelfit.cpu.pool import CpuBackend
from kernelfit.cpu.tile_products import LINES, WIDTH
from kernelfit.iterative.vectors import as_columns, as_rows, chunks_of, from_columns, from_rows, groups_of
from kernelfit.typing import Array, Float, Span

# Runs of lines: enough to keep a dozen threads busy, few enough that the sums which each has for all columns are small.
_RUNS = 24


@dataclass(frozen=True)
class Vectors:
    """V in both orders, and where sums go: `rows` and `by_row` (groups, chunks WIDTH, g), `columns` (chunks, groups, g,
    WIDTH)."""

    rows: Array
    columns: Array
    by_row: Float

    @property
    def like(self) -> Any:
        """A number of the type in which sums over a tile are formed."""
        return self.rows.dtype.type(1)


class TiledGram(ABC):
    """K of order n; where its tiles come from is a subclass's business."""

    #: where entries are for the iteration
    entries: str

    def __init__(self, n: int) -> None:
        self.n, self.chunks = n, chunks_of(n)

    @property
    @abstractmethod
    def nbytes(self) -> int:
        """What is held in memory for it."""

    @abstractmethod
    def columns(self, index: NDArray[np.int64], backend: CpuBackend) -> NDArray[np.float32]:
        """Columns of K as (chunks, b, WIDTH), zeros beyond n, for ascending indices (b,)."""

    @abstractmethod
    def line(self, i: int, backend: CpuBackend) -> Iterator[NDArray[Any]]:
        """The tiles of line i, each until the next one is asked for."""

    @abstractmethod
    def blocks(self, index: NDArray[np.int64], backend: CpuBackend) -> Array:
        """K[index[b], index[b]] (b, s, s) for index (b, s)."""

    @abstractmethod
    def multiply_line(self, i: int, vectors: Vectors, by_column: Float, backend: CpuBackend) -> None:
        """Add what the tiles of line i give to its rows and to the columns before them, (i + 1 or more, groups, g,
        WIDTH)."""

    def height(self, i: int) -> int:
        """Rows of line i, a multiple of LINES."""
        return min(WIDTH, -(-(self.n - i * WIDTH) // LINES) * LINES)

    def product(self, vectors: Float, backend: CpuBackend, dtype: Any = np.float64) -> Float:
        """K V (n, c) for V (n, c), with sums over a tile in `dtype` and sums of tiles in float64.

        In float32 V is rounded: give numbers that are of that type already.
        """
        n, c = vectors.shape
        groups, group = groups_of(c, dtype)
        v = Vectors(
            as_rows(vectors, self.chunks * WIDTH, dtype),
            as_columns(vectors, self.chunks, dtype),
            np.zeros((groups, self.chunks * WIDTH, group)),
        )
        runs = _spans(self.chunks)
        parts = _parts([last for _, last in runs], groups * group, backend)
        parts = [part.reshape(-1, groups, group, WIDTH) for part in parts]

        def multiply(index: int) -> None:
            part = parts[index]
            part[...] = 0.0
            for i in range(*runs[index]):
                self.multiply_line(i, v, part, backend)

        # The longest first, so that threads end together.
        backend.run(multiply, range(len(runs))[::-1], 2.0 * n * n * c)
        by_column = np.zeros((self.chunks, groups, group, WIDTH))

        def add(span: Span) -> None:
            first, last = span
            for part in parts:
                reach = min(last, len(part))
                if first < reach:
                    by_column[first:reach] += part[first:reach]

        backend.run(add, _spans(self.chunks), 2.0 * n * c * _RUNS)
        return from_rows(v.by_row, n, c) + from_columns(by_column, n, c)


def _parts(reaches: list[int], vectors: int, backend: CpuBackend) -> list[Float]:
    """For each run a block for sums of all columns that it reaches, which is there for the next product as well: pages
    that are new cost more than the sums."""
    space = backend.scratch("sums of runs", sum(reaches), vectors * WIDTH, np.float64)
    return [space[a:b] for a, b in pairwise(np.cumsum([0, *reaches]))]


def _spans(chunks: int) -> list[Span]:
    step = -(-chunks // _RUNS)
    return [(a, min(a + step, chunks)) for a in range(0, chunks, step)]
