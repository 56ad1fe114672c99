"""A Gram matrix that lies on a device, as packed column panels: the features of images are summed up there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from kernelfit.cpu.pool import CpuBackend
from kernelfit.device.epilogue import table, take_epilogue
from kernelfit.device.gram import Diagonals, Shift, Strips, fetch, put
from kernelfit.device.protocol import Block, Device, DeviceRows, PairBlocks
from kernelfit.gram.layout import PanelLayout
from kernelfit.gram.pointwise import Lengths
from kernelfit.gram.protocol import Columns
from kernelfit.gram.source import PanelColumns, PanelGram, Source
from kernelfit.kernels import Kernel, Linear
from kernelfit.typing import Float, Span


class DevicePanelGram(PanelGram):
    """K as the panels hold it, float32 or float64; their top squares hold both triangles.

    On its own device tiles never leave it; anywhere else panels are fetched as they are read.
    """

    def __init__(self, device: Device, layout: PanelLayout, panels: Sequence[Block]) -> None:
        self.device, self.layout, self.blocks = device, layout, panels
        self.n, self.flops_per_entry = layout.n, 0.0
        self._stream = device.stream("panels")
        self._diagonal: Float = np.concatenate(
            [fetch(device, self._stream, block.diagonal())[:, 0].astype(np.float64) for block in panels]
        )

    def diagonal(self) -> Float:
        return self._diagonal

    def witnessed(self, threads: int | None = None) -> Source:
        return self

    def close(self) -> None:
        """Give the device back; never raises."""
        self.device.close()

    def columns(self, start: int, stop: int, backend: CpuBackend) -> Columns:
        j = self.layout.panel_of(start)
        panel = fetch(self.device, self._stream, self.blocks[j]).astype(np.float64)
        return PanelColumns(panel, start)

    def device_tiles(self, device: Any, stream: Any) -> Any:
        return self.tiles_of(Linear(), device, stream)

    def tiles_of(self, formula: Kernel, device: Any, stream: Any) -> Any:
        return PanelsGram(stream, self, formula) if device is self.device else None


class PanelsGram:
    """Tiles of a `DevicePanelGram` on its own device, or of a kernel of the inner products that it holds."""

    def __init__(self, stream: Any, source: DevicePanelGram, kernel: Kernel) -> None:
        self.n, self.flops_per_entry = source.n, source.flops_per_entry
        device = source.device
        self._source, self.device = source, device
        rows = Lengths(source.diagonal())
        self._diagonal = kernel.diagonal(rows)
        self._epilogue = take_epilogue(device.slab, kernel)
        put(device, stream, table(self._epilogue.terms), self._epilogue.table)
        self._diagonals = Diagonals(device, stream, self._diagonal)
        # Products that are there already, about the origin: nothing to be added to them.
        zeros, sq_norms = (device.slab.take(self.n, 1, np.float64) for _ in range(2))
        device.zero(stream, zeros)
        put(device, stream, rows.domain_sq_norms.reshape(-1, 1), sq_norms)
        self._rows = DeviceRows(self.n, 1.0, 1.0, None, None, None, sq_norms, zeros, sq_norms, None)

    def diagonal(self) -> Float:
        return self._diagonal

    def fill(
        self, stream: Any, rows: Span, columns: Span, out: Block, shift: Shift = 0.0, both: bool = False
    ) -> None:
        layout = self._source.layout
        j = layout.panel_of(columns[0])
        first = layout.start(j)
        block = self._source.blocks[j].part(
            (rows[0] - first, rows[1] - first), (columns[0] - first, columns[1] - first)
        )
        symmetric = self._diagonals.symmetric((rows[0], columns[0]), shift, both)
        here, there = self._rows.part(rows), self._rows.part(columns)
        self.device.evaluate(stream, self._epilogue, PairBlocks(block), here, there, out, symmetric)

    def shift_by(self, stream: Any, shift: Float) -> None:
        self._diagonals.shift_by(stream, shift)

    def resident(self, exact: bool) -> tuple[DeviceRows, Strips] | None:
        return None
