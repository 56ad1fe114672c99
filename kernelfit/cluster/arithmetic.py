"""What is computed for a share, with the blocks of L that it holds: on its worker's CPU, or on its GPU."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from kernelfit.cluster.deal import Deal
from kernelfit.cpu.pool import CpuBackend
from kernelfit.gram.points import Points
from kernelfit.gram.protocol import GramSource
from kernelfit.linalg.product import Product
from kernelfit.typing import Float

#: blocks of one row: arrays of their own, all of one size but the last, so that memory that one was received in serves
#: another one
Blocks = list[NDArray[Any]]


@dataclass(frozen=True)
class Part:
    """Block rows `deal.rows(index)` of L, L L^T = K + `shift`, and the threads of the worker that holds them."""

    deal: Deal
    index: int
    source: GramSource
    shift: float | Float
    backend: CpuBackend


@dataclass
class Built:
    """Of blocks that were built: seconds for K where they are known, and (panel, first row, last row + 1, CRC-32) of
    those that were written where others read them."""

    seconds_gram: float = 0.0
    checksums: list[tuple[int, int, int, int]] = field(default_factory=list)


class Arithmetic(Protocol):
    """Operations on the blocks L[i, k] of a part; arrays that come and go are NumPy's, wherever the blocks lie.

    `HostArithmetic` and `DeviceArithmetic` are the two. One operation works at a time.
    """

    part: Part
    #: of L
    dtype: np.dtype[Any]

    def load(self, i: int, k: int) -> None:
        """Block (i, k) is complete in the file that others read."""
        ...

    def update(self, rows: Sequence[int], j: int, early: Blocks) -> Built:
        """T[i, j] = K[i, j] - sum_k L[i, k] L[j, k]^T for own rows i >= j, over the `early` blocks of row j."""
        ...

    def finish(self, rows: Sequence[int], j: int, late: Blocks) -> Built:
        """L[i, j] = (T[i, j] - sum_k L[i, k] L[j, k]^T) L[j, j]^-T for own rows i > j, over the `late` blocks of row
        j, of which L[j, j] is the last."""
        ...

    def factor_square(self, j: int) -> Built:
        """L[j, j] from T[j, j] and the late blocks of its row. Raises `NotPositiveDefiniteError`."""
        ...

    def early(self, j: int) -> Blocks:
        """L[j, k] for k < j - `AHEAD`, which are finished `AHEAD` steps before the row is."""
        ...

    def late(self, j: int) -> Blocks:
        """The other blocks of a finished row, its square among them."""
        ...

    def diagonal(self, j: int) -> NDArray[Any]:
        """(h,) of L[j, j], an array of its own."""
        ...

    def solve(self, j: int, x: NDArray[Any], *, transposed: bool = False) -> None:
        """X <- L[j, j]^-1 X or L[j, j]^-T X in place."""
        ...

    def subtract(
        self, rows: Sequence[int], j: int, x: NDArray[Any], blocks: Mapping[int, NDArray[Any]]
    ) -> None:
        """b_i <- b_i - L[i, j] X in place for own rows i > j."""
        ...

    def transposed_sum(self, rows: Sequence[int], j: int, blocks: Mapping[int, NDArray[Any]]) -> NDArray[Any]:
        """sum_i L[i, j]^T y_i over own rows i > j, of which there is one at least."""
        ...

    def product(self, vectors: Float, panels: Iterable[int], with_norm: bool) -> Product | None:
        """What these panels of K, formed anew in float64, give of K V (`kernelfit.linalg.product`); None where that is
        better left to whoever asks, as it wants nothing that lies here."""
        ...

    def predict(self, rows: Points, alpha: Float) -> Float | None:
        """k(rows, training rows) alpha (m, c); None as for `product`."""
        ...

    def sync(self) -> None:
        """Return when finished blocks are on the disk, where they are meant to be."""
        ...

    def close(self) -> None: ...
