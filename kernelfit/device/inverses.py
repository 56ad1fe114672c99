"""Solves with few right-hand sides within a diagonal block, as products with inverses of small triangles.

A library's triangular solve of a block with one or ten right-hand sides is a chain of small steps. With T^-1 of every
triangle T on the diagonal, formed once a factor, each step is a few products. T^-1 b alone has the error of T's
condition number; x + T^-1 (b - T x) has a residual of the size of rounding, as substitution has.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from kernelfit.device.protocol import Block, Device, aligned
from kernelfit.gram.layout import PanelLayout

#: the order of a triangle whose inverse is formed
ORDER = 256
#: more right-hand sides than this keep the library's triangular solve busy
FEW = 32


class TriangleInverses:
    """T^-1 (n, `ORDER`) of the triangles on the diagonal of a factor, formed when a panel is first solved with."""

    def __init__(self, device: Device, layout: PanelLayout, dtype: DTypeLike, columns: int) -> None:
        self._device, self._layout = device, layout
        self._order = min(ORDER, layout.width)
        self._few = min(FEW, columns)
        self._blocks = device.slab.take(layout.n, self._order, dtype)
        self._rest = device.slab.take(self._order, self._few, dtype)
        self._step = device.slab.take(self._order, self._few, dtype)
        self._formed: set[int] = set()

    @staticmethod
    def nbytes(layout: PanelLayout, dtype: DTypeLike, columns: int) -> int:
        """Bytes of the slab."""
        order, size = min(ORDER, layout.width), np.dtype(dtype).itemsize
        return aligned(layout.n * order * size) + 2 * aligned(order * min(FEW, columns) * size)

    def serve(self, columns: int) -> bool:
        """Whether so many right-hand sides are few."""
        return columns <= self._few

    def solve(self, stream: Any, k: int, lower: Block, x: Block, *, transposed: bool = False) -> None:
        """X <- L^-1 X or L^-T X, L the diagonal block of panel k (zeros above its diagonal), X of few columns."""
        device, width = self._device, lower.rows
        if k not in self._formed:
            self._form(stream, k, lower)
        spans = [(a, min(a + self._order, width)) for a in range(0, width, self._order)]
        for a, b in reversed(spans) if transposed else spans:
            piece, triangle = x.part((a, b)), lower.part((a, b), (a, b))
            others = (b, width)
            if transposed and b < width:
                below = lower.part(others, (a, b))
                device.gemm(stream, -1.0, below, x.part(others), 1.0, piece, transpose_a=True)
            self._solve(stream, self._inverse(k, a, b), triangle, piece, transposed)
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

    def _form(self, stream: Any, k: int, lower: Block) -> None:
        for a in range(0, lower.rows, self._order):
            b = min(a + self._order, lower.rows)
            inverse = self._inverse(k, a, b)
            self._device.set_identity(stream, inverse)
            self._device.solve_left(stream, lower.part((a, b), (a, b)), inverse)
        self._formed.add(k)

    def _inverse(self, k: int, a: int, b: int) -> Block:
        """That of the triangle of rows a:b of panel k."""
        first = self._layout.start(k)
        return self._blocks.part((first + a, first + b), (0, b - a))
