"""Products with K generated afresh on a device: K V, the norm of K, and predictions."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np

from kernelfit.device.gram import DeviceGram, Strips, fetch, put
from kernelfit.device.protocol import Block, Device, DeviceRows
from kernelfit.gram.layout import PanelLayout
from kernelfit.linalg.product import Product
from kernelfit.progress import Advance
from kernelfit.typing import Float

# Sums of entries and of their sizes agree to this where no entry is negative.
_SAME_SUMS = 1e-11


@dataclass(frozen=True)
class ProductSpace:
    """Blocks of float64 that products take: V and K V (n, c), sum_j |K_ij| (n, 1), and a tile as scratch, with room for
    a diagonal block."""

    vectors: Block
    applied: Block
    sums: Block
    tile: Block


@dataclass(frozen=True)
class DeviceProducts:
    """Products of a K with vectors of the host, on `stream`, over panels of `layout`."""

    stream: Any
    gram: DeviceGram
    layout: PanelLayout
    space: ProductSpace

    def product(
        self,
        vectors: Float,
        phase: Callable[[], AbstractContextManager[Advance]],
        *,
        with_norm: bool = False,
        panels: Iterable[int] | None = None,
    ) -> Product:
        """K V for V (n, c), as many columns at a time as there is space for; `with_norm` also sum_j |K_ij| and, where
        no entry of K is negative, |K| |V|. Each time in a `phase` of `product_flops`.

        With `panels` only what these give: the sum over all panels is the product.
        """
        if not with_norm:
            return Product(self._applied_to(vectors, phase, panels, with_sums=False)[0])
        n, c = vectors.shape
        stacked = np.hstack([np.ones((n, 1)), vectors, np.abs(vectors)])
        applied, sums = self._applied_to(stacked, phase, panels, with_sums=True)
        # Where K has no negative entry, |K| |V| is K |V|, and the sums of its entries are those of their sizes.
        positive = bool((sums - applied[:, 0] <= _SAME_SUMS * sums).all())
        return Product(applied[:, 1 : c + 1], sums, applied[:, c + 1 :] if positive else None)

    def _applied_to(
        self,
        vectors: Float,
        phase: Callable[[], AbstractContextManager[Advance]],
        panels: Iterable[int] | None,
        with_sums: bool,
    ) -> tuple[Float, Float]:
        """K V (n, c), and sum_j |K_ij| (n,) where asked for."""
        device, result, sums = self.gram.device, np.empty_like(vectors), np.zeros(len(vectors))
        step = self.space.vectors.columns
        for a in range(0, vectors.shape[1], step):
            b = min(a + step, vectors.shape[1])
            block, applied = (
                Block(whole.offset, len(vectors), b - a, b - a, whole.dtype)
                for whole in (self.space.vectors, self.space.applied)
            )
            put(device, self.stream, np.ascontiguousarray(vectors[:, a:b]), block)
            wanted = self.space.sums if with_sums and a == 0 else None
            with phase() as advance:
                self._multiply(block, applied, wanted, panels, advance)
            result[:, a:b] = fetch(device, self.stream, applied)
            if wanted is not None:
                sums = fetch(device, self.stream, wanted)[:, 0]
        return result, sums

    def _multiply(
        self,
        vectors: Block,
        product: Block,
        sums: Block | None,
        panels: Iterable[int] | None,
        advance: Advance,
    ) -> None:
        """product <- K V; sums <- sum_j |K_ij| where given. `advance` gets the flops done, `product_flops` in all.

        Only tiles of the lower triangle are formed; each serves its rows and, transposed, its columns.
        """
        device, gram, layout, stream, tile = (
            self.gram.device,
            self.gram,
            self.layout,
            self.stream,
            self.space.tile,
        )
        n, height = layout.n, max(1, tile.rows * tile.stride // layout.width)
        device.zero(stream, product)
        if sums is not None:
            device.zero(stream, sums)
        for j in range(layout.count) if panels is None else panels:
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


def product_flops(gram: DeviceGram) -> float:
    """Of K formed once, its lower triangle only."""
    return gram.n * (gram.n + 1) / 2.0 * gram.flops_per_entry


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
