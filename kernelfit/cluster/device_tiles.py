"""Blocks of a share on the GPU of its worker: the last block rows while they fit, those before them on the host.

Row i is read at every step before i, so that the last rows are read most. Which rows stay is known beforehand and does
not change: nothing is gained by moving blocks in and out. The others lie in pinned memory or in a file, and pass
through two tiles of the device as they are read.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernelfit.cluster.deal import Deal
from kernelfit.cluster.device_costs import STAGED
from kernelfit.cluster.tiles import Tiles
from kernelfit.device.gram import fetch, put
from kernelfit.device.protocol import Block, Device
from kernelfit.storage.panel_file import PanelFile
from kernelfit.storage.write_behind import checksum


class DeviceTiles:
    """`resident` block rows in the slab of a device, all others in `host`; work on them is put on `stream`.

    Of resident ones every block is also written to `file`, where others read it, as soon as it is complete.
    """

    def __init__(
        self,
        device: Device,
        stream: Any,
        deal: Deal,
        resident: Collection[int],
        host: Tiles,
        file: PanelFile | None,
    ) -> None:
        self.device, self.dtype = device, host.dtype
        self._stream, self._deal, self._host, self._file = stream, deal, host, file
        width = deal.layout.width
        self._rows = {i: device.slab.take((i + 1) * deal.height(i), width, self.dtype) for i in resident}
        self._target = device.slab.take(width, width, self.dtype)
        self._staged = [device.slab.take(width, width, self.dtype) for _ in range(STAGED)]
        self._staging = device.stream("staging")
        #: of every tile for staging: what lies in it on its way, the end of its copy, the end of its last use
        self._passing: list[tuple[NDArray[Any] | None, Any, Any]] = [(None, None, None)] * STAGED
        self._last = 0

    def begin(self, i: int, k: int) -> Block:
        """Where block (i, k) is to be built; one at a time."""
        return self._resident(i, k) if i in self._rows else self._cut(self._target, i, k)

    def put(self, i: int, k: int, block: Block) -> int | None:
        """Block (i, k) is complete when the stream is done; its CRC-32 where others will read it from a file."""
        if i not in self._rows:
            target = self._host.begin(i, k)
            target[...] = fetch(self.device, self._stream, block)
            return self._host.put(i, k, target)
        if self._file is None:
            return None
        values = fetch(self.device, self._stream, block)
        self._file.write(k, self._deal.span(i), values)
        return checksum(values)

    def load(self, i: int, k: int) -> None:
        """Take block (i, k) from the file."""
        if i not in self._rows:
            self._host.load(i, k)
            return
        assert self._file is not None
        block = self._resident(i, k)
        values = np.empty((block.rows, block.columns), self.dtype)
        self._file.read(k, self._deal.span(i), values)
        put(self.device, self._stream, values, block)

    def read(self, i: int, k: int) -> Block:
        """Block (i, k) for what is put on the stream next; valid until the second one after it is read."""
        if i in self._rows:
            return self._resident(i, k)
        device, index = self.device, (self._last + 1) % STAGED
        before, copied, _ = self._passing[self._last]
        self._passing[self._last] = before, copied, device.record(self._stream)
        _, copied, used = self._passing[index]
        if copied is not None:
            # What lay in this tile came from an array that is let go of now.
            device.synchronise(copied)
            device.wait(self._staging, used)
        block = self._cut(self._staged[index], i, k)
        values = np.ascontiguousarray(self._host.rows(i, k, self._deal.span(i)))
        device.copy_in(self._staging, values, block)
        copied = device.record(self._staging)
        device.wait(self._stream, copied)
        self._passing[index], self._last = (values, copied, None), index
        return block

    def blocks(self, i: int, first: int, stop: int) -> list[NDArray[Any]]:
        """Blocks (i, first), ..., (i, stop - 1) as arrays of the host."""
        if i not in self._rows:
            return self._host.blocks(i, first, stop)
        return [fetch(self.device, self._stream, self._resident(i, k)) for k in range(first, stop)]

    def diagonal(self, i: int) -> NDArray[Any]:
        """(h,) of block (i, i)."""
        if i in self._rows:
            return fetch(self.device, self._stream, self._resident(i, i).diagonal())[:, 0]
        return np.diagonal(self._host.rows(i, i, self._deal.span(i))).copy()

    def sync(self) -> None:
        self._host.sync()
        if self._file is not None:
            self._file.sync()

    def close(self) -> None:
        self._host.close()

    def _resident(self, i: int, k: int) -> Block:
        height, size = self._deal.height(i), self.dtype.itemsize
        start = self._rows[i].offset + k * height * self._deal.layout.width * size
        return Block(start, height, self._deal.height(k), self._deal.height(k), self.dtype)

    def _cut(self, block: Block, i: int, k: int) -> Block:
        width = self._deal.height(k)
        return Block(block.offset, self._deal.height(i), width, width, self.dtype)
