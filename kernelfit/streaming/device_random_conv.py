"""The features of a random convolution net on a device."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

from kernelfit.device.gram import fetch, put
from kernelfit.device.launches import require_net, takes_bytes
from kernelfit.device.protocol import Block, ByteFilters, Device, Net

# Filters that are put on the device for their sizes alone, when rows are prepared.
_MAX_FILTERS = 256


class ConvolutionNet(Protocol):
    """What the program reads of a fitted net: `kernelfit.features.random_conv` has it."""

    image_shape_: tuple[int, int, int]
    patch_shape_: tuple[int, int, int]
    n_windows_: int
    n_filters: int
    n_features_out_: int
    step_: float
    power: float

    @property
    def contrast_terms(self) -> tuple[float, float]:
        """root and offset of a patch's contrast, root (p - mean p) / sqrt(|p - mean p|^2 + offset)."""
        ...

    def device_arrays(self, start: int, stop: int) -> tuple[NDArray[Any], ...]:
        """The arrays of `kernelfit.device.protocol.Net` for filters start:stop, in its order."""
        ...

    def device_bytes(self, start: int, stop: int) -> tuple[NDArray[Any], ...] | None:
        """Those of `kernelfit.device.protocol.ByteFilters`; None where responses are not products of bytes."""
        ...


class DeviceNet:
    """A fitted net on a device; images are uint8 or float32 rows.

    Quantised features are float32 there: integer multiples of a power of two, at most 255, that TF32 does not round.
    For images of bytes their responses are products of bytes, the same as on a CPU with AVX-512 VNNI; `in_bytes=False`
    forms them of floats, for comparison.
    """

    def __init__(
        self, device: Device, net: ConvolutionNet, dtype: DTypeLike, *, in_bytes: bool = True
    ) -> None:
        self.device, self.net = device, net
        self.dtype = np.dtype(np.uint8 if np.dtype(dtype) == np.uint8 else np.float32)
        self._stream = device.stream("features")
        height, width, _ = net.image_shape_
        down, across, _ = net.patch_shape_
        self._responses = (height - down + 1, width - across + 1)
        require_net(self._responses, net.n_windows_)
        fits = self.dtype == np.uint8 and takes_bytes(net.image_shape_, net.patch_shape_[:2])
        self._in_bytes = in_bytes and fits and net.device_bytes(0, 1) is not None
        arrays = [*net.device_arrays(0, 1)[1:4], *(self._bytes(0, 1) or ())[1:]]
        #: weights, two thresholds, and where responses are products of bytes the bytes and units
        self.bytes_per_filter = sum(array.nbytes for array in arrays)
        self._images: tuple[Block, Block] | None = None

    def put(self, sets: Sequence[NDArray[Any]]) -> None:
        sizes = self._put_filters(0, min(_MAX_FILTERS, self.net.n_filters))
        self._images = self._put_images(sets, sizes)

    def fill(self, stream: Any, start: int, stop: int, out: Block) -> None:
        assert self._images is not None
        self.device.random_conv(stream, self._put_filters(start, stop), *self._images, out)

    def transform(self, images: NDArray[Any], rows_at_once: int = 1_024) -> NDArray[np.float32]:
        """Z (n, n_features_out_) float32, as the net's own `transform` gives it."""
        device, mark = self.device, self.device.slab.mark()
        filters = self._put_filters(0, self.net.n_filters)
        features = np.empty((len(images), self.net.n_features_out_), np.float32)
        for start in range(0, len(images), rows_at_once):
            inner = device.slab.mark()
            part = images[start : start + rows_at_once]
            pixels, statistics = self._put_images([part], filters)
            out = device.slab.take(len(part), self.net.n_features_out_, np.float32)
            device.random_conv(self._stream, filters, pixels, statistics, out)
            features[start : start + len(part)] = fetch(device, self._stream, out)
            device.slab.release(inner)
        device.slab.release(mark)
        return features

    def prepared(self, images: NDArray[Any]) -> Callable[[], None]:
        """Everything on top of the slab; the call queues the features of the images and nothing else, for timing."""
        filters = self._put_filters(0, self.net.n_filters)
        pixels, statistics = self._put_images([images], filters)
        out = self.device.slab.take(len(images), self.net.n_features_out_, np.float32)
        return lambda: self.device.random_conv(self._stream, filters, pixels, statistics, out)

    def _put_filters(self, start: int, stop: int) -> Net:
        """Filters start:stop, on top of the slab."""
        net = self.net
        image, patch = net.image_shape_, net.patch_shape_[:2]
        places, folded, above, below, rows, columns = self._put(net.device_arrays(start, stop))
        arrays = self._bytes(start, stop)
        filters = None if arrays is None else ByteFilters(*self._put(arrays))
        step, contrast, power = net.step_, net.contrast_terms, net.power
        return Net(image, patch, step, contrast, power, places, folded, above, below, rows, columns, filters)

    def _bytes(self, start: int, stop: int) -> tuple[NDArray[Any], ...] | None:
        return self.net.device_bytes(start, stop) if self._in_bytes else None

    def _put(self, arrays: Sequence[NDArray[Any]]) -> list[Block]:
        blocks = []
        for array in arrays:
            block = self.device.slab.take(array.shape[0], array.shape[1], array.dtype)
            put(self.device, self._stream, array, block)
            blocks.append(block)
        return blocks

    def _put_images(self, sets: Sequence[NDArray[Any]], filters: Net) -> tuple[Block, Block]:
        """Images and the statistics of their patches, on top of the slab."""
        count = sum(map(len, sets))
        pixels = self.device.slab.take(count, sets[0].shape[1], self.dtype)
        first = 0
        for images in sets:
            put(self.device, self._stream, images, pixels.part((first, first + len(images))))
            first += len(images)
        positions = self._responses[0] * self._responses[1]
        statistics = self.device.slab.take(count, 2 * positions, np.float32)
        self.device.patch_statistics(self._stream, filters, pixels, statistics)
        # Features may be queued on another stream.
        self.device.synchronise(self.device.record(self._stream))
        return pixels, statistics
