"""What a solve with K of order n costs, wherever its factor goes: pure arithmetic, no array is allocated here.

Flops, with d features and c right-hand sides: n^3/3 for the factor, n^2 d for K each time it is formed, 2 n^2 c for a
solve. Bytes: the factor n^2/2, and beside it the rows, a workspace of each thread, and on the disk tier the blocks of
rows that are read.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

from kernelfit.cpu.memory import INTERPRETER
from kernelfit.gram.layout import MAX_STRIP, PanelLayout
from kernelfit.gram.precision import precision_of

#: iterations of refinement assumed when predicting time for mixed precision
_REFINEMENTS = 6


@dataclass(frozen=True)
class Costs:
    """Of K of order `n`, from rows of `d` features in `bytes_points` bytes; `n_rhs` right-hand sides."""

    n: int
    d: int
    n_rhs: int
    threads: int
    precision: str
    layout: PanelLayout
    bytes_points: int

    @classmethod
    @lru_cache(maxsize=32)  # a small system is often one of many alike
    def of(
        cls,
        *,
        n: int,
        d: int,
        n_rhs: int,
        threads: int = 1,
        precision: str = "float64",
        bytes_points: int | None = None,
        panel_width: int | None = None,
    ) -> Costs:
        """By default the rows are float64, and panels are as wide as n asks for. Raises `InputError`."""
        numbers = precision_of(precision)
        layout = PanelLayout.of_order(n) if panel_width is None else PanelLayout(n, min(panel_width, n))
        points = n * d * 8 if bytes_points is None else bytes_points
        return cls(n, d, n_rhs, threads, numbers.of_plan, layout, points)

    @property
    def bytes_number(self) -> int:
        """Of one number of the factor."""
        return precision_of(self.precision).factor.itemsize

    @cached_property
    def bytes_factor(self) -> int:
        return self.layout.elements * self.bytes_number

    @cached_property
    def bytes_workspace(self) -> int:
        """Beside the rows and the factor: tiles, and what has a number for each row."""
        return self.bytes_tiles + self.bytes_vectors

    @property
    def bytes_vectors(self) -> int:
        """Targets, solution, residual and the vectors of refinement."""
        return 12 * self.n * max(self.n_rhs, 2) * 8

    @cached_property
    def bytes_tiles(self) -> int:
        """While K is formed. Each thread: inner products, a tile for rounding and a converted block of rows; one block
        of columns shared."""
        height = min(MAX_STRIP, self.n)
        per_thread = height * (self.layout.width * 16 + self.d * 8)
        return self.threads * per_thread + self.layout.width * self.d * 8

    @cached_property
    def bytes_held(self) -> int:
        """In memory wherever the factor is: the interpreter, the rows and the workspace."""
        return INTERPRETER + self.bytes_points + self.bytes_workspace

    def bytes_cache(self, products: bool) -> int:
        """Of K in panels of float64, or of its inner products where these are exact in float32."""
        return self.layout.elements * (4 if products else 8)

    def disk_buffers(self, memory: int) -> tuple[int, int]:
        """Rows of a panel to read at once, and bytes of all blocks of the disk tier, with `memory` bytes for them.

        One panel is being built; of finished panels two blocks of rows are held, one in use and one being read ahead,
        each with the square at the top of its panel.
        """
        row = self.layout.width * self.bytes_number
        fixed = self.n * row + 2 * self.layout.width * row
        min_rows = min(self.n, MAX_STRIP)
        rows = max(min_rows, min(self.max_rows_at_once, (memory - fixed) // (2 * row)))
        return rows, fixed + 2 * rows * row

    @property
    def max_rows_at_once(self) -> int:
        """Rows of a panel read at a time where memory allows.

        All threads wait for each other at the end of a block: with this many strips each, they wait little.
        """
        return min(self.n, 16 * self.threads * MAX_STRIP)

    @property
    def bytes_read(self) -> int:
        """Read back from the disk while factoring there."""
        return self.layout.stream_elements() * self.bytes_number

    @property
    def flops_gram(self) -> float:
        return self.n * (self.n + 1) / 2.0 * (2.0 * self.d + 1.0)

    @property
    def flops_factor(self) -> float:
        return self.layout.factor_flops()

    @property
    def flops_solve(self) -> float:
        return 2.0 * self.n * self.n * self.n_rhs

    @property
    def flops_certify(self) -> float:
        return self.flops_gram + self.flops_solve

    def flops_refine(self, cached: bool) -> float:
        """Of mixed precision's refinement, for which K is formed anew unless it is cached."""
        if self.precision != "mixed":
            return 0.0
        return _REFINEMENTS * (self.flops_solve * 2 + (0.0 if cached else self.flops_gram))
