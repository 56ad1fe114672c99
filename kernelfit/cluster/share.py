"""The block rows of L that a worker holds, and what is done with them when; knows nothing of Dask.

Left-looking, as `kernelfit.linalg.cholesky`, with the same operations in the same order, so that the numbers are the
same. A block row is there in two parts: its early blocks, all but the last `AHEAD` left of the square, so many steps
before the rest. With them each share begins panel j for each of its own rows i >= j, and ends it with the late ones:

    update     T[i, j] = K[i, j] - sum_k L[i, k] L[j, k]^T         over the early blocks
    advance    L[i, j] = (T[i, j] - sum_k L[i, k] L[j, k]^T) L[j, j]^-T      over the late ones, for i > j

What one share waits for, and another one does for it alone, are the late blocks of each row, which take a small part of
a step. Most of the work is there beforehand, and done while others wait for nothing: the least urgent comes last.
Every method may be called again, after a message or a worker was lost: what is done stays done.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernelfit.cluster.arithmetic import Arithmetic, Blocks, Built
from kernelfit.cluster.sent_gram import ShareLost
from kernelfit.cluster.turns import Turns
from kernelfit.gram.points import Points
from kernelfit.linalg.product import Product
from kernelfit.typing import Float, Span

# Of tasks that wait for their turn: what others wait for comes first, what nobody does last.
_NEXT_ROW, _ADVANCE, _UPDATE = 2, 1, -1


@dataclass
class Report:
    """What one step did: of panel j for the journal, of the bar, and of the diagonal by the owner of row j.

    `checksums` are (panel, first row, last row + 1, CRC-32) of blocks that were written where others read them.
    """

    j: int
    flops: float = 0.0
    seconds_gram: float = 0.0
    seconds: float = 0.0
    diagonal: NDArray[Any] | None = None
    checksums: list[tuple[int, int, int, int]] = field(default_factory=list)


@dataclass
class _Vectors:
    """Own rows of right-hand sides; `applied[i]`: how many blocks of row i have been subtracted, i + 1 when solved."""

    blocks: dict[int, NDArray[Any]]
    applied: dict[int, int]


class Share:
    """The block rows of `arithmetic.part`, which are computed by `arithmetic`.

    `finished` panels are there already. One task works at a time, on the threads of the part's backend.
    """

    def __init__(self, arithmetic: Arithmetic, finished: int = 0) -> None:
        part = arithmetic.part
        self.arithmetic, self.deal, self.index, self.backend = arithmetic, part.deal, part.index, part.backend
        self.filled = {i: min(finished, i + 1) for i in part.deal.rows(part.index)}
        for i, count in self.filled.items():
            for k in range(count):
                arithmetic.load(i, k)
        #: panels of each row that `update` has begun, and that are not ended
        self._begun: dict[int, set[int]] = {i: set() for i in self.filled}
        self._vectors: dict[str, _Vectors] = {}
        #: of every step that is done, for whoever asks again, and of the one that comes next
        self._reports: dict[int, Report] = {}
        self._report = Report(0)
        self._turns = Turns()

    # -- factor -------------------------------------------------------------------------------------------------

    def early_blocks(self, j: int) -> Blocks:
        """The blocks of row j that are finished `AHEAD` steps before the row is."""
        with self._turns.take(_NEXT_ROW):
            self._require(j, self.deal.first_late(j))
            return self.arithmetic.early(j)

    def update(self, j: int, early: Blocks | None) -> None:
        """Begin panel j with the early blocks of its row, None where there are none."""
        with self._turns.take(_UPDATE), self.backend:
            started = time.perf_counter()
            rows = [i for i in self.filled if i >= j and self.filled[i] <= j and j not in self._begun[i]]
            for i in rows:
                self._require(i, self.deal.first_late(j))
            if rows:
                built = self.arithmetic.update(rows, j, early or [])
                self._report.seconds_gram += built.seconds_gram
            for i in rows:
                self._begun[i].add(j)
            self._report.seconds += time.perf_counter() - started

    def block_row(self, j: int, above: Blocks | None) -> Blocks:
        """Finish block row j with `above`, the late blocks of row j - 1, where they are still wanted; those of row j.

        Raises `NotPositiveDefiniteError`.
        """
        with self._turns.take(_NEXT_ROW), self.backend:
            started = time.perf_counter()
            if self.filled[j] == j - 1 and above is not None:
                self._finish([j], j - 1, above)
            if self.filled[j] == j:
                self._factor_square(j)
            self._report.seconds += time.perf_counter() - started
            self._require(j, j + 1)
            return self.arithmetic.late(j)

    def advance(self, j: int, row: Blocks | None) -> Report:
        """Step j for all own rows but the next, which `block_row` finishes; `row` is None where there is none left."""
        with self._turns.take(_ADVANCE), self.backend:
            if j in self._reports:
                return self._reports[j]
            started = time.perf_counter()
            rows = [i for i in self.filled if i > j + 1 and self.filled[i] <= j]
            for i in rows:
                self._require(i, j)
            if rows:
                assert row is not None
                self._finish(rows, j, row)
            self.arithmetic.sync()
            report, self._report = self._report, Report(j + 1)
            self._reports[j] = report
            report.j = j
            report.seconds += time.perf_counter() - started
            if self.deal.owner(j) == self.index:
                report.diagonal = self.arithmetic.diagonal(j)
            return report

    def _require(self, i: int, blocks: int) -> None:
        """Raise `ShareLost` where row i has fewer blocks."""
        if self.filled[i] < blocks:
            raise ShareLost(f"share {self.index}: has {self.filled[i]} blocks of row {i}, expected {blocks}")

    def _finish(self, rows: Sequence[int], j: int, row: Blocks) -> None:
        """Block column j of some rows below row j."""
        first, last = self.deal.span(j)
        self._end(rows, j)
        self._built(j, rows, self.arithmetic.finish(rows, j, row))
        width = last - first
        self._report.flops += sum(self.deal.height(i) for i in rows) * width * (2.0 * first + width)

    def _factor_square(self, j: int) -> None:
        first, last = self.deal.span(j)
        self._end([j], j)
        self._built(j, [j], self.arithmetic.factor_square(j))
        width = last - first
        self._report.flops += width * width * (first + width / 3.0)

    def _end(self, rows: Sequence[int], j: int) -> None:
        """Panel j of some rows is to be ended, and if that fails to be begun again: it is done in place."""
        for i in rows:
            if j not in self._begun[i]:
                raise ShareLost(f"share {self.index}: panel {j} of row {i} was not begun")
        for i in rows:
            self._begun[i].remove(j)

    def _built(self, k: int, rows: Sequence[int], built: Built) -> None:
        """Blocks (i, k) of some rows are there."""
        self._report.seconds_gram += built.seconds_gram
        self._report.checksums += built.checksums
        for i in rows:
            self.filled[i] = k + 1

    # -- solve --------------------------------------------------------------------------------------------------

    def begin(self, solve: str, blocks: dict[int, NDArray[Any]]) -> None:
        """Own block rows of the right-hand sides of a solve; rows that are missing are zero down to the first there."""
        with self._turns.take():
            copies = {i: np.array(block, self.arithmetic.dtype, order="C") for i, block in blocks.items()}
            self._vectors[solve] = _Vectors(copies, dict.fromkeys(copies, 0))

    def begin_identity(self, solve: str, columns: Span) -> None:
        """Columns of the identity, which lie in one block row, as right-hand sides."""
        top = self.deal.layout.panel_of(columns[0])
        width, blocks = columns[1] - columns[0], {}
        for i in self.filled:
            if i >= top:
                blocks[i] = np.zeros((self.deal.height(i), width), self.arithmetic.dtype)
        if top in blocks:
            within = columns[0] - self.deal.layout.start(top)
            blocks[top][within + np.arange(width), np.arange(width)] = 1.0
        with self._turns.take():
            self._vectors[solve] = _Vectors(blocks, dict.fromkeys(blocks, top))

    def solved(self, solve: str, j: int, above: NDArray[Any] | None) -> NDArray[Any]:
        """x_j = L[j, j]^-1 (b_j - sum_k<j L[j, k] x_k), with `above` = x_(j-1) where that is still wanted."""
        with self._turns.take(_NEXT_ROW), self.backend:
            vectors = self._of(solve)
            if vectors.applied[j] == j - 1 and above is not None:
                self._subtract(vectors, [j], j - 1, above)
            if vectors.applied[j] == j:
                self.arithmetic.solve(j, vectors.blocks[j])
                vectors.applied[j] = j + 1
            if vectors.applied[j] <= j:
                raise ShareLost(f"share {self.index}: right-hand sides of row {j} are not ready")
            return vectors.blocks[j].copy()  # which the solve with L^T overwrites

    def subtract(self, solve: str, j: int, x: NDArray[Any]) -> None:
        """b_i <- b_i - L[i, j] x_j for all own rows i > j but the next."""
        with self._turns.take(), self.backend:
            vectors = self._of(solve)
            rows = [i for i in vectors.blocks if i > j + 1 and vectors.applied[i] <= j]
            if any(vectors.applied[i] < j for i in rows):
                raise ShareLost(
                    f"share {self.index}: is asked for step {j} of a solve before those that come first"
                )
            self._subtract(vectors, rows, j, x)

    def _subtract(self, vectors: _Vectors, rows: Sequence[int], j: int, x: NDArray[Any]) -> None:
        if rows:
            self.arithmetic.subtract(rows, j, x, vectors.blocks)
        for i in rows:
            vectors.applied[i] = j + 1

    def solved_transposed(
        self, solve: str, j: int, sums: Sequence[NDArray[Any]]
    ) -> tuple[NDArray[Any], NDArray[Any] | None]:
        """y_j = L[j, j]^-T (x_j - sum_i>j L[i, j]^T y_i) from all shares' `sums`, and the own sum for j - 1."""
        with self._turns.take(), self.backend:
            vectors = self._of(solve)
            if vectors.applied[j] <= j:
                raise ShareLost(f"share {self.index}: row {j} of a solve is not ready")
            if vectors.applied[j] == j + 1:
                target = vectors.blocks[j]
                for part in sums:
                    target -= part
                self.arithmetic.solve(j, target, transposed=True)
                vectors.applied[j] = j + 2
            return vectors.blocks[j], self._transposed_sum(vectors, j - 1) if j else None

    def transposed_sum(self, solve: str, j: int) -> NDArray[Any]:
        """sum_i L[i, j]^T y_i over own rows i > j."""
        with self._turns.take(), self.backend:
            return self._transposed_sum(self._of(solve), j)

    def _transposed_sum(self, vectors: _Vectors, j: int) -> NDArray[Any]:
        rows = [i for i in vectors.blocks if i > j]
        if any(vectors.applied[i] != i + 2 for i in rows):
            raise ShareLost(f"share {self.index}: rows below {j} of a solve are not ready")
        if rows:
            return self.arithmetic.transposed_sum(rows, j, vectors.blocks)
        columns = next(iter(vectors.blocks.values())).shape[1] if vectors.blocks else 0
        return np.zeros((self.deal.height(j), columns), self.arithmetic.dtype)

    def squared_columns(self, solve: str) -> Float:
        """Sums of squares (c,) of the own rows of a solve."""
        with self._turns.take():
            vectors = self._of(solve)
            blocks = vectors.blocks.values()
            return np.sum(
                [np.einsum("ij,ij->j", b.astype(np.float64), b, dtype=np.float64) for b in blocks], axis=0
            )

    def product(self, vectors: Float, panels: Iterable[int], with_norm: bool) -> Product | None:
        """What these panels of K give of K V, where the share computes that itself."""
        with self._turns.take(), self.backend:
            return self.arithmetic.product(vectors, panels, with_norm)

    def predict(self, rows: Points, alpha: Float) -> Float | None:
        """k(rows, training rows) alpha, where the share computes that itself."""
        with self._turns.take(), self.backend:
            return self.arithmetic.predict(rows, alpha)

    def end(self, solve: str) -> None:
        """Forget the right-hand sides of a solve."""
        with self._turns.take():
            self._vectors.pop(solve, None)

    def close(self) -> None:
        with self._turns.take():
            self._vectors.clear()
            self.filled.clear()
            self.arithmetic.close()

    def _of(self, solve: str) -> _Vectors:
        if solve not in self._vectors:
            raise ShareLost(f"share {self.index}: knows no solve {solve}")
        return self._vectors[solve]
