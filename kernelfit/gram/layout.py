"""How K is cut into panels: pure arithmetic, no array is allocated here.

K is of order n. Column panel j covers columns [j w, (j+1) w) and all rows from its first column on; it is stored
as one C-ordered block of (n - j w) x w numbers, whose top w x w square holds the diagonal block (its strictly upper
triangle is zero). Together the panels hold n^2/2 + n w/2 numbers, never n^2.

Work inside a panel is dealt out in strips of rows. A strip is always computed by one thread in one order, so the
factor does not depend on the number of threads, nor on whether panels live in memory or on disk.
"""

from __future__ import annotations

from dataclasses import dataclass

from kernelfit.errors import InputError
from kernelfit.typing import Span

#: order up to which one panel holds all of K: what is saved of half a square is less than what panels cost
_SINGLE = 1_536
#: order up to which a panel of that width is used. Wide panels keep products near their peak and are waited for less
#: often, narrow ones take less memory beside n^2/2 numbers; both matter less the larger n is.
_WIDTHS = ((16_000, 768), (32_000, 1_024))
_MAX_WIDTH = 2_048
#: order up to which K is one tile: to deal it out takes longer than to form it
ONE_TILE = 256
#: rows of a strip at most: products run at their full rate from here on
MAX_STRIP = 1_024
# Rows of the last strips. BLAS packs the columns anew for each: with 768 of them a core of Intel's Ice Lake does
# 43 GFLOP/s with 128 rows, 50 with 256, 58 with 512.
_SHORTEST_STRIP = 256
#: rows of a strip inside a diagonal block: short enough that computing whole rectangles wastes little above the
#: diagonal, tall enough for products
DIAGONAL_STRIP = 128


@dataclass(frozen=True)
class PanelLayout:
    """Column panels of a lower triangle of order `n` with panels of `width` columns."""

    n: int
    width: int

    @classmethod
    def of_order(cls, n: int) -> PanelLayout:
        """The layout used for a K of order n; it depends on n alone."""
        if n < 1:
            raise InputError(f"n: got {n} rows, expected at least 1")
        if n <= _SINGLE:
            return cls(n, n)
        return cls(n, next((width for order, width in _WIDTHS if n <= order), _MAX_WIDTH))

    @property
    def small(self) -> bool:
        """Whether all of K is one tile, which the calling thread forms, factors and multiplies by itself."""
        return self.n <= min(ONE_TILE, self.width)

    @property
    def count(self) -> int:
        return -(-self.n // self.width)

    def start(self, j: int) -> int:
        """First row and column of panel j."""
        return j * self.width

    def stop(self, j: int) -> int:
        """One past the last column of panel j."""
        return min(self.n, (j + 1) * self.width)

    def shape(self, j: int) -> tuple[int, int]:
        return self.n - self.start(j), self.stop(j) - self.start(j)

    @property
    def orders(self) -> set[int]:
        """Of the diagonal blocks: the width, and what is left for the last panel."""
        return {self.width, self.shape(self.count - 1)[1]}

    @property
    def elements(self) -> int:
        """Numbers in all panels."""
        whole = self.count - 1
        last = self.n - whole * self.width
        return whole * self.width * self.n - whole * (whole - 1) // 2 * self.width**2 + last * last

    def panel_of(self, row: int) -> int:
        return row // self.width

    def strips(self, first: int) -> list[Span]:
        """Strips of rows covering [first, n): tall ones first, shorter ones towards the end.

        Tall strips run at the full rate of products; short ones at the end let all threads finish together. Heights
        depend on the number of rows and on the width of panels alone.
        """
        strips = []
        shortest = min(_SHORTEST_STRIP, max(64, self.width // 2 // 64 * 64))
        while first < self.n:
            remaining = self.n - first
            height = min(MAX_STRIP, max(shortest, remaining // 4 // 64 * 64), remaining)
            strips.append((first, first + height))
            first += height
        return strips

    def panel_strips(self, j: int) -> list[Span]:
        """Strips of the rows of panel j: those below the diagonal block first (tall), then those of the block (short).

        A strip of the diagonal block needs the columns up to its last row.
        """
        first, last = self.start(j), self.stop(j)
        inside = [(a, min(a + DIAGONAL_STRIP, last)) for a in range(first, last, DIAGONAL_STRIP)]
        return self.strips(last) + inside[::-1]

    def factor_flops(self) -> float:
        return self.n**3 / 3.0

    def stream_elements(self) -> int:
        """Numbers read back while factoring: panel j reads rows from its own first row on of every panel before."""
        return sum((self.n - self.start(j)) * self.start(j) for j in range(self.count))
