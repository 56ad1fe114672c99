"""K += Z_b Z_b^T over blocks of filters in host memory: the Gram matrix of features that are never all materialised.

One pass: each block of features is computed for the training and test rows, multiplied into the lower triangle of the
training Gram (packed column panels) and into the test-train Gram, and forgotten. Features that are quantised stay
bytes, and float64 sums of their products are exact.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernelfit.cpu.pool import CpuBackend
from kernelfit.errors import InputError
from kernelfit.gram.layout import PanelLayout
from kernelfit.gram.source import PanelGram
from kernelfit.streaming.block_products import add_sq_norms, block_products
from kernelfit.streaming.plan import filters_per_block
from kernelfit.streaming.sums import FeaturePass
from kernelfit.typing import Float, Span

# Rows of one task.
_SQUARED_ROWS = 256


class HostSums:
    """Sums in host memory.

    Parameters
    ----------
    layout : of order n
    panels : `layout.count` C-ordered panels of shapes `layout.shape(j)`, float32 or float64
    cross : (m, n) C-ordered, float32 or float64
    test_sq_norms : (m,) float64, |z|^2 of the test rows; zeros by default

    Products are float32; with float64 sums every product (over one block's features) is added in float64. Products of
    quantised features are exact, and so are float64 sums of them: the same bits whatever the block. What lies above
    the diagonal in a panel's top square stays as it was, or is written with values that nobody reads.
    """

    resident = False

    def __init__(self, layout: PanelLayout, panels: list[NDArray[Any]], cross: NDArray[Any]) -> None:
        self._layout = layout
        self.restore(panels, cross, np.zeros(len(cross)))

    @classmethod
    def zeros(cls, layout: PanelLayout, tests: int, dtype: np.dtype[Any]) -> HostSums:
        panels: list[NDArray[Any]] = [np.zeros(layout.shape(j), dtype) for j in range(layout.count)]
        return cls(layout, panels, np.zeros((tests, layout.n), np.float32))

    def restore(self, panels: list[NDArray[Any]], cross: NDArray[Any], test_sq_norms: Float) -> None:
        _check(self._layout, panels, cross)
        self._panels, self._cross, self._test_sq_norms = panels, cross, test_sq_norms

    def panels(self) -> list[NDArray[Any]]:
        return self._panels

    def cross(self) -> NDArray[Any]:
        return self._cross

    def test_sq_norms(self) -> Float:
        return self._test_sq_norms

    def gram(self) -> PanelGram:
        return PanelGram(self._layout, self._panels)

    def release(self) -> None:
        self._panels = []

    def add(self, features: FeaturePass, part: slice = slice(None)) -> None:
        net, layout, seconds = features.net, self._layout, features.seconds
        sets = (features.train, features.test)
        if len(features.train) != layout.n:
            raise InputError(
                f"layout: got order {layout.n}, expected {len(features.train)} as there are training rows"
            )
        if len(features.test) != len(self._cross):
            raise InputError(
                f"cross: got shape {self._cross.shape}, expected {(len(features.test), layout.n)}"
            )
        per_block = features.per_block or filters_per_block(net, *map(len, sets))
        memory = [_BlockMemory(len(rows), per_block * net.features_per_filter, net.step_) for rows in sets]
        left = features.stop - features.first_filter
        share = net.flops_per_image / net.n_filters
        pairs = layout.n * (layout.n + 1) / 2 + float(layout.n) * len(features.test)
        flops = 2.0 * pairs * left * net.features_per_filter
        progress = features.progress
        with (
            CpuBackend(net.threads) as backend,
            progress.phase("features", share * left * sum(map(len, sets))) as computed,
            progress.phase("gram of features", flops) as multiplied,
        ):
            for start, stop in features.blocks(per_block):
                began = time.perf_counter()
                blocks = []
                for rows, held in zip(sets, memory, strict=True):
                    block = held.block((stop - start) * net.features_per_filter)
                    net.filter_block(rows, start, stop, out=block)
                    computed(share * (stop - start) * len(rows))
                    blocks.append(block)
                computed_at = time.perf_counter()
                multiply(blocks, net.step_, layout, self._panels, self._cross, backend, multiplied, part)
                add_squares(blocks[1], net.step_, self._test_sq_norms, backend)
                seconds.features += computed_at - began
                seconds.gram += time.perf_counter() - computed_at
                features.finished(stop)


class _BlockMemory:
    """Memory of one block of features of some rows."""

    def __init__(self, rows: int, columns: int, step: float) -> None:
        self._rows = rows
        self._values: NDArray[Any] = np.empty(rows * columns, np.uint8 if step else np.float32)

    def block(self, columns: int) -> NDArray[Any]:
        """(rows, columns); a last, narrower block uses the front of the same memory."""
        return self._values[: self._rows * columns].reshape(self._rows, columns)


@dataclass(frozen=True)
class Tile:
    """Rows of K's panel `panel`, or of as many columns of the test rows' kernel, up to `width` of its columns."""

    panel: int
    rows: Span
    width: int
    of_tests: bool

    def of(self, layout: PanelLayout, panels: Sequence[NDArray[Any]], cross: NDArray[Any]) -> NDArray[Any]:
        """Its entries, to be written."""
        first, (top, bottom) = layout.start(self.panel), self.rows
        if self.of_tests:
            return cross[top:bottom, first : first + self.width]
        return panels[self.panel][top - first : bottom - first, : self.width]


def tiles_of(layout: PanelLayout, tests: int, height: int, *, train: bool = True) -> list[Tile]:
    """Tiles of panels, if these are wanted, and of the test rows' kernel, each the work of one thread: those of tall
    panels first, so that threads finish together."""
    tiles: list[Tile] = []
    for j in range(layout.count if train else 0):
        first, last = layout.start(j), layout.stop(j)
        for top in range(first, layout.n, height):
            bottom = min(top + height, layout.n)
            # Rows inside the panel's top square reach their own diagonal only.
            tiles.append(Tile(j, (top, bottom), min(last, bottom) - first, False))
    for j in range(layout.count):
        width = layout.stop(j) - layout.start(j)
        tiles += [Tile(j, (top, min(top + height, tests)), width, True) for top in range(0, tests, height)]
    return tiles


def multiply(
    blocks: Sequence[NDArray[Any]],
    step: float,
    layout: PanelLayout,
    panels: Sequence[NDArray[Any]],
    cross: NDArray[Any],
    backend: CpuBackend,
    advance: Callable[[float], None],
    part: slice = slice(None),
) -> None:
    """Add the products of one block's features (of training rows, of test rows) to panels, if any, and cross.

    `part` takes some of the tiles alone.
    """
    z, z_test = blocks
    spans = [slice(layout.start(j), layout.stop(j)) for j in range(layout.count)]
    products = block_products([z[span] for span in spans], step, backend)

    def task(tile: Tile) -> None:
        out = tile.of(layout, panels, cross)
        rows = (z_test if tile.of_tests else z)[slice(*tile.rows)]
        products.add(rows, tile.panel, out, backend)
        advance(2.0 * out.size * rows.shape[1])

    backend.run(task, tiles_of(layout, len(z_test), products.height, train=len(panels) > 0)[part])


def add_squares(z: NDArray[Any], step: float, sq_norms: Float, backend: CpuBackend) -> None:
    """sq_norms (m,) += |z|^2 over one block's features (m, features), bytes in units of `step` where it is not 0."""
    factor = step * step if step else 1.0

    def task(start: int) -> None:
        rows = slice(start, start + _SQUARED_ROWS)
        add_sq_norms(z[rows], factor, sq_norms[rows])

    backend.run(task, range(0, len(z), _SQUARED_ROWS))


def _check(layout: PanelLayout, panels: list[NDArray[Any]], cross: NDArray[Any]) -> None:
    expected = [layout.shape(j) for j in range(layout.count)]
    if [panel.shape for panel in panels] != expected:
        raise InputError(
            f"panels: got {[panel.shape for panel in panels][:3]}..., expected {expected[:3]}..."
        )
    if cross.ndim != 2 or cross.shape[1] != layout.n:
        raise InputError(f"cross: got shape {cross.shape}, expected (m, {layout.n})")
    for name, array in (("cross", cross), *(("panels", panel) for panel in panels)):
        if array.dtype not in (np.float32, np.float64):
            raise InputError(f"{name}: got dtype {array.dtype}, expected float32 or float64")
        if not array.flags.c_contiguous or not array.flags.writeable:
            raise InputError(f"{name}: expected C-ordered arrays that may be written; use np.zeros(shape)")
