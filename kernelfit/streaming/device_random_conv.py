"""The random convolution net on a device: its features, and their linear Gram summed over blocks of filters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from kernelfit.device.gram import fetch, put
from kernelfit.device.launches import require_net
from kernelfit.device.protocol import Block, Device, Net
from kernelfit.errors import DeviceError
from kernelfit.features.random_conv import RandomConv
from kernelfit.progress import Progress, Silent
from kernelfit.streaming.accumulate import Layout

#: filters of one block: their features are as many columns of a product as fill a card
_MOST_FILTERS = 256


def net_arrays(net: RandomConv, start: int, stop: int) -> tuple[NDArray[Any], ...]:
    """The arrays of `kernelfit.device.protocol.Net` for filters start:stop of a fitted net, in its order."""
    _, width, channels = net.image_shape_
    down, across, _ = net.patch_shape_
    # Values of a patch are numbered (channel, row, column), pixels of an image lie (row, column, channel).
    channel, row, column = np.meshgrid(np.arange(channels), np.arange(down), np.arange(across), indexing="ij")
    places = (row * width + column) * channels + channel
    spans = [
        np.array([(cuts[a], cuts[b]) for a, b in windows], np.int64).reshape(-1, 2)
        for cuts, windows in (
            (net._row_cuts, net._row_windows),
            (net._column_cuts, net._column_windows),
        )
    ]
    return (
        places.astype(np.int64).reshape(-1, 1),
        np.ascontiguousarray(net._folded[:, start:stop], np.float32),
        net._above[start:stop].reshape(-1, 1),
        net._below[start:stop].reshape(-1, 1),
        *spans,
    )


class DeviceNet:
    """A fitted `RandomConv` on a device; images are uint8 or float32 rows.

    Quantised features are float32 there: whole multiples of a power of two, at most 255, that TF32 does not round.
    """

    def __init__(self, device: Device, net: RandomConv, dtype: DTypeLike) -> None:
        self.device, self.net = device, net
        self.dtype = np.dtype(np.uint8 if np.dtype(dtype) == np.uint8 else np.float32)
        self._stream = device.stream("features")
        height, width, _ = net.image_shape_
        down, across, _ = net.patch_shape_
        self._responses = (height - down + 1, width - across + 1)
        require_net(self._responses, net.n_windows_)

    def transform(self, images: NDArray[Any], rows_at_once: int = 1_024) -> NDArray[np.float32]:
        """Z (n, n_features_out_) float32, as `RandomConv.transform` gives it."""
        device, mark = self.device, self.device.slab.mark()
        shape = self._put_filters(0, self.net.n_filters)
        features = np.empty((len(images), self.net.n_features_out_), np.float32)
        for start in range(0, len(images), rows_at_once):
            inner = device.slab.mark()
            part = images[start : start + rows_at_once]
            pixels, statistics = self._put_images([part], shape)
            out = device.slab.take(len(part), self.net.n_features_out_, np.float32)
            device.random_conv(self._stream, shape, pixels, statistics, out)
            features[start : start + len(part)] = fetch(device, self._stream, out)
            device.slab.release(inner)
        device.slab.release(mark)
        return features

    def prepared(self, images: NDArray[Any]) -> Callable[[], None]:
        """Everything on top of the slab; the call queues the features of the images and nothing else, for timing."""
        shape = self._put_filters(0, self.net.n_filters)
        pixels, statistics = self._put_images([images], shape)
        out = self.device.slab.take(len(images), self.net.n_features_out_, np.float32)
        return lambda: self.device.random_conv(self._stream, shape, pixels, statistics, out)

    def accumulate(
        self,
        train: NDArray[Any],
        test: NDArray[Any],
        layout: Layout,
        panels: Sequence[Block],
        cross: Block,
        *,
        first_filter: int = 0,
        per_block: int | None = None,
        on_block: Callable[[int], None] | None = None,
        progress: Progress | None = None,
    ) -> None:
        """`kernelfit.streaming.accumulate.accumulate` on the device: panels += Z Z^T, cross += Z_test Z^T, over the
        filters from `first_filter` on; panels and cross are float32 or float64 blocks of the slab.

        Products are float32 (or TF32, as the device has it: then Z is rounded to eleven bits before it is
        multiplied). When it returns, the top squares of the panels hold both triangles.
        """
        device, stream, net = self.device, self._stream, self.net
        mark = device.slab.mark()
        n, rows = len(train), len(train) + len(test)
        first = self._put_filters(0, min(_MOST_FILTERS, net.n_filters))
        pixels, statistics = self._put_images([train, test], first)
        product = self._scratch(layout, panels, cross)
        columns = 2 * net.n_windows_
        per_block = min(per_block or self._fitting(rows * columns * 4), net.n_filters)
        features = device.slab.take(rows, columns * per_block, np.float32)
        left = net.n_filters - first_filter
        with (progress or Silent()).phase("features and gram", left, "filters") as advance:
            for start in range(first_filter, net.n_filters, per_block):
                stop = min(start + per_block, net.n_filters)
                inner = device.slab.mark()
                filters = self._put_filters(start, stop)
                block = features.part(columns=(0, columns * (stop - start)))
                device.random_conv(stream, filters, pixels, statistics, block)
                for j, panel in enumerate(panels):
                    below = block.part((layout.start(j), n))
                    self._add(below, block.part((layout.start(j), layout.stop(j))), panel, product)
                    if on_block is not None or stop == net.n_filters:
                        device.mirror(stream, panel.part((0, panel.columns)))
                for a in range(0, cross.rows, _CROSS_ROWS):
                    b = min(a + _CROSS_ROWS, cross.rows)
                    self._add(block.part((n + a, n + b)), block.part((0, n)), cross.part((a, b)), product)
                # The filters of the next block are copied to where these are.
                device.synchronise(device.record(stream))
                device.slab.release(inner)
                advance(stop - start)
                if on_block is not None:
                    on_block(stop)
        device.slab.release(mark)

    def _add(self, left: Block, right: Block, out: Block, product: Block | None) -> None:
        """out += left right^T."""
        device, stream = self.device, self._stream
        if product is None:
            device.gemm(stream, 1.0, left, right, 1.0, out, transpose_b=True)
            return
        part = Block(product.offset, out.rows, out.columns, out.columns, product.dtype)
        device.gemm(stream, 1.0, left, right, 0.0, part, transpose_b=True)
        device.add(stream, part, out)

    def _scratch(self, layout: Layout, panels: Sequence[Block], cross: Block) -> Block | None:
        """Where products are formed before they are added to float64 panels."""
        if cross.dtype == np.float32:
            return None
        tallest = max(panel.rows * panel.columns for panel in panels)
        return self.device.slab.take(1, max(tallest, min(_CROSS_ROWS, cross.rows) * layout.n), np.float32)

    def _put_filters(self, start: int, stop: int) -> Net:
        """Filters start:stop, on top of the slab."""
        blocks = []
        for array in net_arrays(self.net, start, stop):
            block = self.device.slab.take(array.shape[0], array.shape[1], array.dtype)
            put(self.device, self._stream, array, block)
            blocks.append(block)
        return Net(self.net.image_shape_, self.net.patch_shape_[:2], self.net.step_, *blocks)

    def _put_images(self, sets: Sequence[NDArray[Any]], shape: Net) -> tuple[Block, Block]:
        """Images and the statistics of their patches, on top of the slab."""
        count = sum(map(len, sets))
        pixels = self.device.slab.take(count, sets[0].shape[1], self.dtype)
        first = 0
        for images in sets:
            put(self.device, self._stream, images, pixels.part((first, first + len(images))))
            first += len(images)
        positions = self._responses[0] * self._responses[1]
        statistics = self.device.slab.take(count, 2 * positions, np.float32)
        self.device.patch_statistics(self._stream, shape, pixels, statistics)
        return pixels, statistics

    def _fitting(self, bytes_per_filter: int) -> int:
        """Filters whose features and weights fit into what is left of the slab."""
        weights = 4 * (len(self.net.mean_) + 2)
        free = self.device.slab.capacity - self.device.slab.used - 2**16
        fitting = free // (bytes_per_filter + weights)
        if fitting < 1:
            raise DeviceError(
                f"device: {free + 2**16:,} bytes left on {self.device.name} beside the Gram, "
                f"{bytes_per_filter + weights + 2**16:,} needed for the features of one filter; take fewer rows"
            )
        return int(min(_MOST_FILTERS, fitting))


_CROSS_ROWS = 2_048
