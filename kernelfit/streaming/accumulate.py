"""K += Z_b Z_b^T over blocks of filters: the Gram matrix of features that never exist all at once.

One pass: each block of features is computed for the training and test rows, multiplied into the lower triangle of the
training Gram (packed column panels) and into the test-train Gram, and forgotten. Features that are quantised stay
bytes, and float64 sums of their products are exact.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from kernelfit.cpu.pool import CpuBackend
from kernelfit.errors import InputError
from kernelfit.features.random_conv import FILTERS_PER_GROUP, RandomConv
from kernelfit.progress import Progress, Silent
from kernelfit.streaming.block_products import block_products

#: bytes that a block of features may take unless its filters are given: a group of 256 filters of 18 features each for
#: the 70,000 images of MNIST
BLOCK_BYTES = 1_300_000_000
# Two groups: wider products are hardly faster.
_MAX_FILTERS = 2 * FILTERS_PER_GROUP


class Layout(Protocol):
    """Column panels of a lower triangle: `kernelfit.gram.layout.PanelLayout`."""

    @property
    def n(self) -> int: ...
    @property
    def count(self) -> int: ...
    def start(self, j: int) -> int: ...
    def stop(self, j: int) -> int: ...
    def shape(self, j: int) -> tuple[int, int]: ...


@dataclass
class Seconds:
    """Time spent on features, and on their products."""

    features: float = 0.0
    gram: float = 0.0


def block_bytes(net: RandomConv, n: int, m: int) -> int:
    """Bytes of one filter's features of `n` training and `m` test rows while they are multiplied.

    Bytes are held as they are and, those of the training rows, in the order in which products read them.
    """
    return 2 * net.n_windows_ * ((2 * n + m) if net.quantise else 4 * (n + m))


def filters_per_block(net: RandomConv, n: int, m: int) -> int:
    """Filters whose block takes at most `BLOCK_BYTES`, 512 at most; at least one.

    Groups of filters are computed whole, so that a block is one or several of them, or the half, quarter, ... of one.
    """
    fitting = min(BLOCK_BYTES // max(block_bytes(net, n, m), 1), _MAX_FILTERS)
    if fitting >= FILTERS_PER_GROUP:
        fitting -= fitting % FILTERS_PER_GROUP
    else:
        fitting = 1 << max(fitting.bit_length() - 1, 0)
    return int(min(fitting, net.n_filters))


def accumulate(
    net: RandomConv,
    train: NDArray[Any],
    test: NDArray[Any],
    layout: Layout,
    panels: Sequence[NDArray[Any]],
    cross: NDArray[Any],
    *,
    first_filter: int = 0,
    per_block: int | None = None,
    on_block: Callable[[int], None] | None = None,
    seconds: Seconds | None = None,
    progress: Progress | None = None,
) -> None:
    """panels += Z Z^T (lower triangle), cross += Z_test Z^T, over the filters from `first_filter` on.

    Parameters
    ----------
    net : fitted
    train, test : (n, d), (m, d) rows as `net.transform` takes them; m may be 0
    layout : of order n
    panels : `layout.count` C-ordered panels of shapes `layout.shape(j)`, float32 or float64
    cross : (m, n) C-ordered, float32 or float64
    per_block : filters at a time; None for what `filters_per_block` says
    on_block : called after each block with the number of filters done, when panels and cross are consistent
    seconds : receives the time that went by, block by block

    Products are float32; with float64 sums every product (over one block's features) is added in float64. Products of
    quantised features are exact, and so are float64 sums of them: the same bits whatever the block. What lies above
    the diagonal in a panel's top square stays as it was, or is written with values that nobody reads.
    """
    progress, seconds = progress or Silent(), seconds or Seconds()
    _check(train, test, layout, panels, cross, net, first_filter)
    per_block = per_block or filters_per_block(net, len(train), len(test))
    kind = np.uint8 if net.quantise else np.float32
    z_train, z_test = (np.empty((len(rows), per_block * 2 * net.n_windows_), kind) for rows in (train, test))
    pairs = layout.n * (layout.n + 1) / 2 + float(layout.n) * len(test)
    left = (net.n_filters - first_filter) * 2 * net.n_windows_
    share = net.flops_per_image / net.n_filters
    with (
        CpuBackend(net.threads) as backend,
        progress.phase(
            "features", share * (net.n_filters - first_filter) * (len(train) + len(test))
        ) as computed,
        progress.phase("gram of features", 2.0 * pairs * left) as multiplied,
    ):
        for start in range(first_filter, net.n_filters, per_block):
            stop = min(start + per_block, net.n_filters)
            began = time.perf_counter()
            blocks = []
            for rows, whole in ((train, z_train), (test, z_test)):
                # A last, narrower block uses the front of the same memory.
                shape = (len(rows), (stop - start) * 2 * net.n_windows_)
                block = whole.reshape(-1)[: shape[0] * shape[1]].reshape(shape)
                net.filter_block(rows, start, stop, out=block)
                computed(share * (stop - start) * len(rows))
                blocks.append(block)
            computed_at = time.perf_counter()
            multiply(blocks[0], blocks[1], net.step_, layout, panels, cross, backend, multiplied)
            seconds.features += computed_at - began
            seconds.gram += time.perf_counter() - computed_at
            if on_block is not None:
                on_block(stop)


def multiply(
    z: NDArray[Any],
    z_test: NDArray[Any],
    step: float,
    layout: Layout,
    panels: Sequence[NDArray[Any]],
    cross: NDArray[Any],
    backend: CpuBackend,
    advance: Callable[[float], None],
) -> None:
    """Add one block's products to panels and cross, a tile a task; tall panels first: threads finish together."""
    spans = [slice(layout.start(j), layout.stop(j)) for j in range(layout.count)]
    products = block_products([z[span] for span in spans], step, backend)
    tiles: list[tuple[NDArray[Any], NDArray[Any], int]] = []
    for j, span in enumerate(spans):
        for top in range(span.start, layout.n, products.height):
            bottom = min(top + products.height, layout.n)
            # Rows inside the panel's top square reach their own diagonal only.
            width = min(span.stop, bottom) - span.start
            tiles.append((panels[j][top - span.start : bottom - span.start, :width], z[top:bottom], j))
    for j, span in enumerate(spans):
        for top in range(0, len(z_test), products.height):
            rows = slice(top, top + products.height)
            tiles.append((cross[rows, span], z_test[rows], j))

    def task(tile: tuple[NDArray[Any], NDArray[Any], int]) -> None:
        out, rows, panel = tile
        products.add(rows, panel, out, backend)
        advance(2.0 * out.size * rows.shape[1])

    backend.run(task, tiles)


def _check(
    train: NDArray[Any],
    test: NDArray[Any],
    layout: Layout,
    panels: Sequence[NDArray[Any]],
    cross: NDArray[Any],
    net: RandomConv,
    first_filter: int,
) -> None:
    if len(train) != layout.n:
        raise InputError(f"layout: got order {layout.n}, expected {len(train)} as there are training rows")
    expected = [layout.shape(j) for j in range(layout.count)]
    if [panel.shape for panel in panels] != expected:
        raise InputError(
            f"panels: got {[panel.shape for panel in panels][:3]}..., expected {expected[:3]}..."
        )
    if cross.shape != (len(test), layout.n):
        raise InputError(f"cross: got shape {cross.shape}, expected {(len(test), layout.n)}")
    for name, array in (("cross", cross), *(("panels", panel) for panel in panels)):
        if array.dtype not in (np.float32, np.float64):
            raise InputError(f"{name}: got dtype {array.dtype}, expected float32 or float64")
        if not array.flags.c_contiguous or not array.flags.writeable:
            raise InputError(f"{name}: expected C-ordered arrays that may be written; use np.zeros(shape)")
    if not 0 <= first_filter <= net.n_filters:
        raise InputError(f"first_filter: got {first_filter}, expected 0 to {net.n_filters}")
