"""Triangular solves on a device: within one block by recursion, and with a whole factor in panels."""

from __future__ import annotations

from typing import Any

from kernelfit.device.inverses import TriangleInverses
from kernelfit.device.panels import DevicePanels, Segment
from kernelfit.device.protocol import Block, Device
from kernelfit.gram.layout import PanelLayout

#: triangles of this order are left to the library; everything else of a solve becomes products
TRIANGLE = 256


def solve_right(device: Device, stream: Any, lower: Block, x: Block, base: int = TRIANGLE) -> None:
    """X <- X L^-T in place, L lower triangular (w, w), X (m, w), by recursion to small triangles plus GEMM."""
    width = lower.rows
    if width <= base:
        device.solve_right(stream, lower, x)
        return
    half = base
    while 2 * half < width:
        half *= 2
    left, right = x.part(columns=(0, half)), x.part(columns=(half, width))
    solve_right(device, stream, lower.part((0, half), (0, half)), left, base)
    below = lower.part((half, width), (0, half))
    device.gemm(stream, -1.0, left, below, 1.0, right, transpose_b=True)
    solve_right(device, stream, lower.part((half, width), (half, width)), right, base)


def eliminate_lower(
    device: Device,
    stream: Any,
    segment: Segment,
    rhs: Block,
    layout: PanelLayout,
    origin: int = 0,
    inverses: TriangleInverses | None = None,
) -> None:
    """A step of forward substitution with some rows of panel k; `rhs` (m, c) holds rows `origin` on.

    The segments of a panel come in order, the diagonal block in the first.
    """
    first, last = layout.start(segment.k) - origin, layout.stop(segment.k) - origin
    solved = rhs.part((first, last))
    start, block = segment.rows[0] - origin, segment.block
    if segment.first == segment.k:
        _solve_diagonal(device, stream, segment.k, block.part((0, last - first)), solved, inverses)
        start, block = last, block.part((last - first, block.rows))
    if block.rows:
        device.gemm(stream, -1.0, block, solved, 1.0, rhs.part((start, start + block.rows)))


def _solve_diagonal(
    device: Device,
    stream: Any,
    k: int,
    lower: Block,
    x: Block,
    inverses: TriangleInverses | None,
    transposed: bool = False,
) -> None:
    """X <- L^-1 X or L^-T X for the diagonal block of panel k."""
    if inverses is not None and inverses.serve(x.columns):
        inverses.solve(stream, k, lower, x, transposed=transposed)
    else:
        device.solve_left(stream, lower, x, transposed=transposed)


def solve_lower(
    device: Device, stream: Any, store: DevicePanels, rhs: Block, inverses: TriangleInverses | None = None
) -> None:
    """B <- L^-1 B in place; B (n, c) in the dtype of the store."""
    for k in range(store.layout.count):
        for segment in store.segments(k, k, stream):
            eliminate_lower(device, stream, segment, rhs, store.layout, inverses=inverses)


def solve_lower_transposed(
    device: Device, stream: Any, store: DevicePanels, rhs: Block, inverses: TriangleInverses | None = None
) -> None:
    """B <- L^-T B in place; B (n, c) in the dtype of the store."""
    layout = store.layout
    for k in reversed(range(layout.count)):
        first, last = layout.start(k), layout.stop(k)
        target, top = rhs.part((first, last)), None
        for segment in store.segments(k, k, stream):
            start, block = segment.rows[0], segment.block
            if segment.first == k:
                top = block.part((0, last - first))
                start, block = last, block.part((last - first, block.rows))
            if block.rows:
                below = rhs.part((start, start + block.rows))
                device.gemm(stream, -1.0, block, below, 1.0, target, transpose_a=True)
        # The first segment of a panel stays valid until the last.
        assert top is not None
        _solve_diagonal(device, stream, k, top, target, inverses, transposed=True)


def solve_factored(
    device: Device, stream: Any, store: DevicePanels, rhs: Block, inverses: TriangleInverses | None = None
) -> None:
    """B <- (L L^T)^-1 B in place."""
    solve_lower(device, stream, store, rhs, inverses)
    solve_lower_transposed(device, stream, store, rhs, inverses)
