"""Triangular solves on a device: within one block, and with a whole factor in panels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from kernelfit.device import inverses as inverses_module
from kernelfit.device.inverses import TriangleInverses
from kernelfit.device.panels import DevicePanels, Segment
from kernelfit.device.protocol import Block, Device
from kernelfit.gram.layout import PanelLayout
from kernelfit.typing import Span


def solve_right(
    device: Device,
    stream: Any,
    lower: Block,
    x: Block,
    triangle: Callable[[Span, Block], None] | None = None,
) -> None:
    """X <- X L^-T in place, L lower triangular (w, w), X (m, w): small triangles, and products between them.

    `triangle` does X <- X T^-T for the triangle T of rows a:b; by default the library does.
    """
    for span, rest in _steps((0, lower.rows)):
        solved = x.part(columns=span)
        if rest is not None:
            device.gemm(
                stream, -1.0, solved, lower.part(rest, span), 1.0, x.part(columns=rest), transpose_b=True
            )
        elif triangle is not None:
            triangle(span, solved)
        else:
            device.solve_right(stream, lower.part(span, span), solved)


def _steps(span: Span) -> Iterator[tuple[Span, Span | None]]:
    """Rows of a triangle to solve with, or rows that are solved and those that are to be updated with them."""
    base, (start, stop) = inverses_module.TRIANGLE, span
    if stop - start <= base:
        yield span, None
        return
    half = base
    while 2 * half < stop - start:
        half *= 2
    middle = start + half
    yield from _steps((start, middle))
    yield (start, middle), (middle, stop)
    yield from _steps((middle, stop))


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
