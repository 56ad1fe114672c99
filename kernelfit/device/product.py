"""Products with K generated afresh on a device: K V, the norm of K, and predictions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from kernelfit.device.gram import DeviceGram, Strips
from kernelfit.device.protocol import Block, Device, DeviceRows
from kernelfit.gram.layout import PanelLayout


def product_flops(gram: DeviceGram) -> float:
    """Of K formed once, its lower triangle only."""
    return gram.n * (gram.n + 1) / 2.0 * gram.flops_per_entry


def symmetric_product(
    stream: Any,
    gram: DeviceGram,
    layout: PanelLayout,
    vectors: Block,
    product: Block,
    tile: Block,
    sums: Block | None,
    advance: Callable[[float], None],
) -> None:
    """product <- K V for V (n, c) float64; sums (n, 1) <- sum_j |K_ij| where given. `tile` is scratch: float64, with
    room for a diagonal block. `advance` gets the flops done, `product_flops` in all.

    Only tiles of the lower triangle are formed; each serves its rows and, transposed, its columns.
    """
    device = gram.device
    n, height = layout.n, max(1, tile.rows * tile.stride // layout.width)
    device.zero(stream, product)
    if sums is not None:
        device.zero(stream, sums)
    for j in range(layout.count):
        first, last = layout.start(j), layout.stop(j)
        width = last - first
        # The diagonal block on its own, as a full square.
        spans = [(first, last)] + [(a, min(a + height, n)) for a in range(last, n, height)]
        for start, stop in spans:
            values = Block(tile.offset, stop - start, width, width, np.dtype(np.float64))
            gram.fill(stream, (start, stop), (first, last), values, both=start == first)
            here, there = vectors.part((start, stop)), vectors.part((first, last))
            rows, columns = product.part((start, stop)), product.part((first, last))
            device.gemm(stream, 1.0, values, there, 1.0, rows)
            if start > first:
                device.gemm(stream, 1.0, values, here, 1.0, columns, transpose_a=True)
            if sums is not None:
                mirrored = width if start > first else 0
                here, there = sums.part((start, stop)), sums.part((first, last))
                device.absolute_sums(stream, values, mirrored, here, there)
        device.synchronise(device.record(stream))
        advance((n - first - 0.5 * width) * width * gram.flops_per_entry)


def predict(
    device: Device,
    stream: Any,
    strips: Strips,
    test: DeviceRows,
    rows: DeviceRows,
    alpha: Block,
    tile: Block,
    out: Block,
) -> None:
    """out (m, c) <- k(test, rows) alpha, all float64; `tile` is scratch."""
    device.zero(stream, out)
    width = min(tile.columns, rows.n)
    height = max(1, tile.rows * tile.stride // width)
    for left in range(0, rows.n, width):
        right = min(left + width, rows.n)
        for a in range(0, test.n, height):
            b = min(a + height, test.n)
            values = Block(tile.offset, b - a, right - left, right - left, np.dtype(np.float64))
            strips.evaluate(stream, test.part((a, b)), rows.part((left, right)), values)
            device.gemm(stream, 1.0, values, alpha.part((left, right)), 1.0, out.part((a, b)))
