"""The random convolution net on a device: its features, and their linear Gram summed over blocks of filters."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from kernelfit.backends.cuda import CudaDevice
from kernelfit.backends.device import Block
from kernelfit.backends.launches import Net, require_net
from kernelfit.features.random_conv import RandomConv
from kernelfit.gram.device_gram import fetch, put
from kernelfit.gram.plan import PanelLayout
from kernelfit.progress import Progress, Silent


def net_arrays(net: RandomConv, start: int, stop: int) -> tuple[NDArray[Any], ...]:
    """What `kernelfit.backends.launches.Net` holds of filters start:stop, as arrays, in its order."""
    _, width, channels = net.image_shape_
    down, across, _ = net.patch_shape_
    # Values of a patch are numbered (channel, row, column), as `kernelfit.features.patches.extract` has them.
    channel, row, column = np.indices((channels, down, across)).reshape(3, -1)
    spans = [
        cuts[windows].astype(np.int64)
        for cuts, windows in (
            (net._row_cuts, net._row_windows),
            (net._column_cuts, net._column_windows),
        )
    ]
    return (
        ((row * width + column) * channels + channel).astype(np.int64).reshape(-1, 1),
        np.ascontiguousarray(net._folded[:, start:stop]),
        net._above[start:stop].reshape(-1, 1),
        net._below[start:stop].reshape(-1, 1),
        *spans,
    )


class DeviceNet:
    """A fitted `RandomConv` on a card; images are uint8 or float32 rows."""

    def __init__(self, device: CudaDevice, net: RandomConv, dtype: DTypeLike) -> None:
        self.device, self.net = device, net
        self.dtype = np.dtype(np.uint8 if np.dtype(dtype) == np.uint8 else np.float32)
        self._stream = device.stream("main")
        height, width, _ = net.image_shape_
        down, across, _ = net.patch_shape_
        self._responses = (height - down + 1, width - across + 1)
        require_net(self._responses, net.n_windows_)

    def put_filters(self, start: int, stop: int) -> Net:
        """Filters start:stop, on top of the slab."""
        blocks = []
        for array in net_arrays(self.net, start, stop):
            block = self.device.slab.take(array.shape[0], array.shape[1], array.dtype)
            put(self.device, self._stream, array, block)
            blocks.append(block)
        return Net(self.net.image_shape_, self.net.patch_shape_[:2], *blocks)

    def put_images(self, images: NDArray[Any], shape: Net) -> tuple[Block, Block]:
        """Images and the statistics of their patches, on top of the slab."""
        pixels = self.device.slab.take(images.shape[0], images.shape[1], self.dtype)
        put(self.device, self._stream, images, pixels)
        positions = self._responses[0] * self._responses[1]
        statistics = self.device.slab.take(len(images), 2 * positions, np.float32)
        self.device.patch_statistics(self._stream, shape, pixels, statistics)
        return pixels, statistics

    def transform(self, images: NDArray[Any], rows_at_once: int = 1_024) -> NDArray[np.float32]:
        """Z (n, n_features_out_) float32, as `RandomConv.transform` gives it."""
        device, mark = self.device, self.device.slab.mark()
        shape = self.put_filters(0, self.net.n_filters)
        features = np.empty((len(images), self.net.n_features_out_), np.float32)
        for start in range(0, len(images), rows_at_once):
            inner = device.slab.mark()
            part = images[start : start + rows_at_once]
            pixels, statistics = self.put_images(part, shape)
            out = device.slab.take(len(part), self.net.n_features_out_, np.float32)
            device.random_conv(self._stream, shape, pixels, statistics, out)
            features[start : start + len(part)] = fetch(device, self._stream, out)
            device.slab.release(inner)
        device.slab.release(mark)
        return features

    def linear_gram(
        self,
        images: NDArray[Any],
        test: NDArray[Any],
        layout: PanelLayout,
        filters_at_once: int = 256,
        progress: Progress | None = None,
    ) -> tuple[list[NDArray[np.float32]], NDArray[np.float32]]:
        """Z Z^T / m as packed panels, and Z_test Z^T / m (test, n), with m the number of features.

        Z is never held whole: K gains Z_b Z_b^T for one block b of filters at a time. Products and sums are float32.
        """
        device, stream, net = self.device, self._stream, self.net
        mark = device.slab.mark()
        n, tests = len(images), len(test)
        panels = [device.slab.take(*layout.shape(j), np.float32) for j in range(layout.count)]
        cross = device.slab.take(tests, n, np.float32)
        for block in (*panels, cross):
            device.zero(stream, block)
        shape = self.put_filters(0, min(filters_at_once, net.n_filters))
        pixels, statistics = self.put_images(np.concatenate([images, test]), shape)
        features = device.slab.take(n + tests, 2 * net.n_windows_ * filters_at_once, np.float32)
        share = 1.0 / net.n_features_out_
        with (progress or Silent()).phase("features and gram", net.n_filters, "filters") as advance:
            for start in range(0, net.n_filters, filters_at_once):
                stop = min(start + filters_at_once, net.n_filters)
                inner = device.slab.mark()
                part = self.put_filters(start, stop)
                block = features.part(columns=(0, 2 * net.n_windows_ * (stop - start)))
                device.random_conv(stream, part, pixels, statistics, block)
                rows, others = block.part((0, n)), block.part((n, n + tests))
                for j, panel in enumerate(panels):
                    below = rows.part((layout.start(j), n))
                    top = rows.part((layout.start(j), layout.stop(j)))
                    device.gemm(stream, share, below, top, 1.0, panel, transpose_b=True)
                device.gemm(stream, share, others, rows, 1.0, cross, transpose_b=True)
                # The filters of the next block are copied to where these are.
                device.synchronise(device.record(stream))
                device.slab.release(inner)
                advance(stop - start)
        result = [fetch(device, stream, panel) for panel in panels], fetch(device, stream, cross)
        device.slab.release(mark)
        return result
