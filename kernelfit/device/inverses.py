"""Inverses of small triangles on the diagonal of a factor, which turn triangular solves into products.

Solves with few right-hand sides: a library's triangular solve of a block with one or ten right-hand sides is a chain of
small steps. With V = T^-1 of every triangle T on the diagonal, formed once a factor, each step is a few products. V b
alone has the error of T's condition number; x + V (b - T x) has a residual like rounding, as substitution has.

The rows below a diagonal block: X = A V^T without that second step, where V is tame. Let u be the unit roundoff, b the
order of T, t_j = |T_j|_2 the norms of its rows, and g = max_j (|T| |V| t)_j / t_j, which is at least 1. The computed V
has |T V - I| <= b u |T| |V| (Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., section 14.2), and the
product adds b u |A| |V|^T, so that to first order |A - X T^T| <= 2 b u |A| |V|^T |T|^T. As A = X T^T, |a_ik| is at most
|x_i| t_k, and the residual at (i, j) at most 2 b g u |x_i| t_j <= 2 b g u sqrt(k_ii k_jj). Cholesky's own bound is
(n + 1) u sqrt(k_ii k_jj) (there, theorem 10.3 and below), so that 2 b g <= n doubles it at most.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from kernelfit.device.protocol import Block, Device, aligned
from kernelfit.gram.layout import PanelLayout
from kernelfit.typing import Span

#: the order of a triangle that is left to the library, or whose inverse is formed; the rest of a solve is products
TRIANGLE = 256
#: more right-hand sides than this keep the library's triangular solve busy
FEW = 32
#: rows below a diagonal block are multiplied by inverses that let errors grow no more than this, however large n is
MAX_GROWTH = 32.0
#: rows that are multiplied by an inverse at a time
_STRIP = 32_768


class TriangleInverses:
    """T^-1 (n, `TRIANGLE`) of the triangles on the diagonal of a factor, formed with a panel or when it is first solved
    with."""

    def __init__(self, device: Device, layout: PanelLayout, dtype: DTypeLike, columns: int) -> None:
        self._device, self._layout = device, layout
        self._order = min(TRIANGLE, layout.width)
        self._few = min(FEW, columns)
        self._blocks = device.slab.take(layout.n, self._order, dtype)
        self._rest = device.slab.take(self._order, self._few, dtype)
        self._step = device.slab.take(self._order, self._few, dtype)
        self._product = device.slab.take(min(layout.n, _STRIP), self._order, dtype)
        self._formed: set[int] = set()

    @staticmethod
    def nbytes(layout: PanelLayout, dtype: DTypeLike, columns: int) -> int:
        """Bytes of the slab."""
        order, size = min(TRIANGLE, layout.width), np.dtype(dtype).itemsize
        return (
            aligned(layout.n * order * size)
            + 2 * aligned(order * min(FEW, columns) * size)
            + aligned(min(layout.n, _STRIP) * order * size)
        )

    @property
    def order(self) -> int:
        """Of the triangles, all but the last of a panel."""
        return self._order

    def spans(self, width: int) -> list[Span]:
        """Rows of the triangles of a panel."""
        return [(a, min(a + self._order, width)) for a in range(0, width, self._order)]

    def max_growth(self) -> float:
        """The growth of errors up to which rows below a diagonal block are multiplied by inverses; below 1 for none.

        TF32 rounds operands to 11 bits: what an inverse adds there is of no use to a refinement that has to converge.
        """
        if self._blocks.dtype == np.float32 and self._device.compute == "tf32":
            return 0.0
        return min(MAX_GROWTH, self._layout.n / (2.0 * self._order))

    def serve(self, columns: int) -> bool:
        """Whether so many right-hand sides are few."""
        return columns <= self._few

    def solve(self, stream: Any, k: int, lower: Block, x: Block, *, transposed: bool = False) -> None:
        """X <- L^-1 X or L^-T X, L the diagonal block of panel k (zeros above its diagonal), X of few columns."""
        device, width = self._device, lower.rows
        if k not in self._formed:
            self.form(stream, k, lower)
        spans = self.spans(width)
        for a, b in reversed(spans) if transposed else spans:
            piece, triangle = x.part((a, b)), lower.part((a, b), (a, b))
            others = (b, width)
            if transposed and b < width:
                below = lower.part(others, (a, b))
                device.gemm(stream, -1.0, below, x.part(others), 1.0, piece, transpose_a=True)
            self._solve(stream, self.inverse(k, (a, b)), triangle, piece, transposed)
            if not transposed and b < width:
                device.gemm(stream, -1.0, lower.part(others, (a, b)), piece, 1.0, x.part(others))

    def _solve(self, stream: Any, inverse: Block, triangle: Block, x: Block, transposed: bool) -> None:
        """X <- T^-1 X or T^-T X."""
        device = self._device
        rest, step = (
            Block(block.offset, x.rows, x.columns, x.columns, block.dtype)
            for block in (self._rest, self._step)
        )
        device.copy(stream, x, rest)
        device.gemm(stream, 1.0, inverse, rest, 0.0, step, transpose_a=transposed)
        device.gemm(stream, -1.0, triangle, step, 1.0, rest, transpose_a=transposed)
        device.gemm(stream, 1.0, inverse, rest, 1.0, step, transpose_a=transposed)
        device.copy(stream, step, x)

    def form(self, stream: Any, k: int, lower: Block) -> None:
        """The inverses of the triangles of panel k, whose diagonal block is L."""
        for span in self.spans(lower.rows):
            inverse = self.inverse(k, span)
            self._device.set_identity(stream, inverse)
            self._device.solve_left(stream, lower.part(span, span), inverse)
        self._formed.add(k)

    def multiply_right(self, stream: Any, k: int, span: Span, x: Block) -> None:
        """X <- X T^-T, T the triangle of rows a:b of panel k, without a step of refinement."""
        inverse, height = self.inverse(k, span), self._product.rows
        for a in range(0, x.rows, height):
            part = x.part((a, min(a + height, x.rows)))
            product = Block(self._product.offset, part.rows, part.columns, part.columns, part.dtype)
            self._device.gemm(stream, 1.0, part, inverse, 0.0, product, transpose_b=True)
            self._device.copy(stream, product, part)

    def inverse(self, k: int, span: Span) -> Block:
        """That of the triangle of rows a:b of panel k."""
        first, (a, b) = self._layout.start(k), span
        return self._blocks.part((first + a, first + b), (0, b - a))


def growth(triangle: NDArray[Any], inverse: NDArray[Any]) -> float:
    """g = max_j (|T| |V| t)_j / t_j for T, V (b, b): what X = A V^T may exceed rounding by; NaN where one has NaN."""
    with np.errstate(all="ignore"):  # a block that is not positive leaves anything
        sizes = np.abs(np.tril(triangle)).astype(np.float64)
        norms = np.sqrt((sizes**2).sum(axis=1))
        return float((sizes @ (np.abs(inverse) @ norms) / norms).max())
