"""K += Z_b Z_b^T over blocks of filters in the slab of a device, where K stays."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernelfit.device.gram import fetch, put
from kernelfit.device.panel_gram import DevicePanelGram
from kernelfit.device.protocol import Block, Device
from kernelfit.errors import DeviceFullError
from kernelfit.gram.layout import PanelLayout
from kernelfit.gram.source import PanelGram
from kernelfit.streaming.block_products import EXACT_IN_FLOAT32
from kernelfit.streaming.device_features import device_features
from kernelfit.streaming.sums import FeaturePass
from kernelfit.typing import Float, Span

#: filters of one block: their features are as many columns of a product as fill a device
_MAX_FILTERS = 256
# Test rows whose squared lengths are formed by one product.
_SQUARED_ROWS = 128
# Bytes of the slab that blocks lose to alignment.
_ALIGNMENT_ROOM = 2**16


class DeviceSums:
    """Sums in the slab of a device: `kernelfit.streaming.host_sums.HostSums` there.

    Products are float32 (or TF32, as the device has it: then Z is rounded to eleven bits before it is multiplied).
    Those of quantised features are exact where sums are float64: so few columns are multiplied at a time.
    After `add` and `restore` the top squares of the panels hold both triangles.
    """

    resident = True

    def __init__(self, device: Device, layout: PanelLayout, tests: int, dtype: np.dtype[Any]) -> None:
        self._device, self._layout = device, layout
        self._stream = device.stream("sums")
        self._panels = [device.slab.take(*layout.shape(j), dtype) for j in range(layout.count)]
        self._cross = device.slab.take(tests, layout.n, np.float32)
        # Products of test rows with those of their strip, of which the diagonal counts.
        self._squares = [device.slab.take(b - a, b - a, dtype) for a, b in self._strips()]
        self._earlier = np.zeros(tests)
        for block in (*self._panels, self._cross, *self._squares):
            device.zero(self._stream, block)
        device.synchronise(device.record(self._stream))

    def restore(self, panels: list[NDArray[Any]], cross: NDArray[Any], test_sq_norms: Float) -> None:
        self._earlier = test_sq_norms
        for array, block in zip((*panels, cross), (*self._panels, self._cross), strict=True):
            put(self._device, self._stream, array, block)
        # Sums of the CPU, which may be complete, hold the lower triangle alone.
        self._mirror()
        self._device.synchronise(self._device.record(self._stream))

    def panels(self) -> list[NDArray[Any]]:
        return [fetch(self._device, self._stream, block) for block in self._panels]

    def cross(self) -> NDArray[Any]:
        return fetch(self._device, self._stream, self._cross)

    def test_sq_norms(self) -> Float:
        squares = [np.diagonal(fetch(self._device, self._stream, block)) for block in self._squares]
        return self._earlier + np.concatenate([np.zeros(0), *squares])

    def gram(self) -> PanelGram:
        return DevicePanelGram(self._device, self._layout, self._panels)

    def release(self) -> None:
        self._device.close()

    def add(self, features: FeaturePass) -> None:
        began = time.perf_counter()
        device, net = self._device, features.net
        mark = device.slab.mark()
        sets = [features.train, features.test]
        # Both are there in one dtype, which rounds neither: bytes where all are bytes.
        program = device_features(device, net, np.result_type(*(part.dtype for part in sets if len(part))))
        program.put(sets)
        product = self._product()
        at_once = EXACT_IN_FLOAT32 if net.step_ and product is not None else None
        rows, columns = len(features.train) + len(features.test), net.features_per_filter
        bytes_per_filter = rows * columns * 4 + program.bytes_per_filter
        per_block = min(features.per_block or self._fitting(bytes_per_filter), net.n_filters)
        computed = device.slab.take(rows, columns * per_block, np.float32)
        left = net.n_filters - features.first_filter
        with features.progress.phase("features and gram", left, "filters") as advance:
            for start, stop in features.blocks(per_block):
                inner = device.slab.mark()
                block = computed.part(columns=(0, columns * (stop - start)))
                program.fill(self._stream, start, stop, block)
                last = stop == net.n_filters
                self._multiply(block, product, at_once)
                if last or features.on_block is not None:
                    self._mirror()
                # What the program has of the next block is copied to where it has this one's.
                device.synchronise(device.record(self._stream))
                device.slab.release(inner)
                advance(stop - start)
                features.finished(stop)
        device.slab.release(mark)
        # Features and products follow each other on one stream: their times are not known apart.
        features.seconds.features += time.perf_counter() - began

    def _mirror(self) -> None:
        for panel in self._panels:
            self._device.mirror(self._stream, panel.part((0, panel.columns)))

    def _multiply(self, block: Block, product: Block | None, at_once: int | None) -> None:
        """Add the products of one block of features to the panels, and to the test rows' kernel."""
        layout, n, cross = self._layout, self._layout.n, self._cross
        for j, panel in enumerate(self._panels):
            below = block.part((layout.start(j), n))
            self._add(below, block.part((layout.start(j), layout.stop(j))), panel, product, at_once)
        self._add(block.part((n, n + cross.rows)), block.part((0, n)), cross, product, at_once)
        for (a, b), squares in zip(self._strips(), self._squares, strict=True):
            rows = block.part((n + a, n + b))
            self._add(rows, rows, squares, product, at_once)

    def _strips(self) -> list[Span]:
        """The test rows that are multiplied with each other."""
        return [
            (a, min(a + _SQUARED_ROWS, self._cross.rows)) for a in range(0, self._cross.rows, _SQUARED_ROWS)
        ]

    def _add(self, left: Block, right: Block, out: Block, product: Block | None, at_once: int | None) -> None:
        """out += left right^T; by `product` where out is float64, `at_once` columns or all of them at a time."""
        device, stream = self._device, self._stream
        if out.dtype == np.float32:
            device.gemm(stream, 1.0, left, right, 1.0, out, transpose_b=True)
            return
        assert product is not None
        part = Block(product.offset, out.rows, out.columns, out.columns, product.dtype)
        step = at_once or left.columns
        for first in range(0, left.columns, step):
            cut = first, min(first + step, left.columns)
            these, those = (side.part(columns=cut) for side in (left, right))
            device.gemm(stream, 1.0, these, those, 0.0, part, transpose_b=True)
            device.add(stream, part, out)

    def _product(self) -> Block | None:
        """Where products are formed before they are added to float64 panels."""
        if self._panels[0].dtype == np.float32:
            return None
        largest = max(panel.rows * panel.columns for panel in self._panels)
        return self._device.slab.take(1, max(largest, _SQUARED_ROWS**2), np.float32)

    def _fitting(self, bytes_per_filter: int) -> int:
        """Filters whose features fit into what is left of the slab."""
        free = self._device.slab.capacity - self._device.slab.used
        fitting = (free - _ALIGNMENT_ROOM) // bytes_per_filter
        if fitting < 1:
            raise DeviceFullError(
                f"device: {free:,} bytes left on {self._device.name} beside the Gram, "
                f"{bytes_per_filter + _ALIGNMENT_ROOM:,} needed for the features of one filter; take fewer rows"
            )
        return int(min(_MAX_FILTERS, fitting))
