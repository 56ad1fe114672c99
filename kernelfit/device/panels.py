"""Tiles of a factor on a device, on the host and on the disk, moved as `kernelfit.device.residency` says."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from kernelfit.device.protocol import Block, Device
from kernelfit.device.residency import Move, Residency, TileIndex
from kernelfit.gram.layout import PanelLayout
from kernelfit.storage.panel_file import PanelFile
from kernelfit.storage.write_behind import WriteBehind
from kernelfit.typing import Span

# Most of the time of pinning goes into clearing pages, which threads do side by side.
_PINNING_THREADS = 8


@dataclass(frozen=True)
class Segment:
    """Block rows first ... stop - 1 of panel k, adjacent on the device; `rows` are those of K."""

    k: int
    first: int
    stop: int
    rows: Span
    block: Block


class DevicePanels:
    """The column panels of a lower triangle in `slots` tiles of the device's slab, the rest on the host and the disk.

    Three streams: the caller's own, `spilling` (device to host) and `staging` (host to device). A tile on its way
    back is put into one of `staged` tiles of the slab. `file` holds tiles that go to the disk; with `behind` every
    finished panel is also written to that file, which then serves both ends.
    """

    tier = "device"

    def __init__(
        self,
        device: Device,
        layout: PanelLayout,
        dtype: DTypeLike,
        *,
        slots: int,
        host_slots: int,
        staged: int,
        file: PanelFile | None = None,
        behind: WriteBehind | None = None,
    ) -> None:
        self.device, self.layout, self.dtype = device, layout, np.dtype(dtype)
        self.residency = Residency(layout.count, slots, host_slots)
        self._file, self._behind = (behind.file if behind is not None else file), behind
        self._tile_elements = layout.width * layout.width
        self._tile_bytes = self._tile_elements * self.dtype.itemsize
        self._tiles = device.slab.take(slots * layout.width, layout.width, self.dtype)
        self._staging = device.slab.take(staged * layout.width, layout.width, self.dtype)
        self._free_staging: deque[tuple[int, Any]] = deque((slot, None) for slot in range(staged))
        self._held: list[tuple[int, Any]] = []
        self._spilling = device.stream("spilling")
        self._stager = device.stream("staging")
        self._finished: dict[int, Any] = {}
        self._used: dict[int, Any] = {}
        self._host: dict[TileIndex, NDArray[np.uint8]] = {}
        self._spilled: dict[TileIndex, Any] = {}
        self._bounce: deque[tuple[NDArray[np.uint8], Any]] = deque()
        self._bounces_made = 0
        self._mirrored: deque[tuple[int, NDArray[Any], Any, tuple[float, float]]] = deque()
        self._mirrors: list[NDArray[np.uint8]] = []
        self._allocator = ThreadPoolExecutor(_PINNING_THREADS, thread_name_prefix="kernelfit-pin")
        # Pinning costs time by the gigabyte; it is done beside the arithmetic, before the tiles are needed.
        self._pinned: deque[Future[NDArray[np.uint8]]] = deque(
            self._allocator.submit(device.host, self._tile_bytes) for _ in range(host_slots)
        )

    # -- for the factorisation ----------------------------------------------------------------------------------

    def begin(self, j: int, stream: Any) -> list[Segment]:
        """The tiles in which panel j is to be built on `stream`, as few segments as can be."""
        for move in self.residency.begin(j):
            self._spill(move)
        self.device.wait(stream, self.device.record(self._spilling))
        return list(self._resident(j, j))

    def finish(self, j: int, event: Any, seconds: tuple[float, float] = (0.0, 0.0)) -> None:
        """Panel j is complete after the event; whoever reads it elsewhere must say so with `used`."""
        self._finished[j] = self._used[j] = event
        if self._behind is not None:
            self._hand_over()
            self._mirror(j, event, seconds)

    def used(self, j: int, event: Any) -> None:
        """After the event, which is later than that of `finish`, the tiles of panel j may go elsewhere."""
        self._used[j] = event

    def hand_over(self, j: int) -> None:
        """See to it that panel j, which is finished, is with whoever writes and records it."""
        if self._mirrored and self._mirrored[0][0] <= j:
            self._hand_over()

    def flush(self) -> None:
        """Wait until everything finished is where it belongs."""
        self.device.synchronise()
        if self._behind is not None:
            self._hand_over()
            self._behind.flush()

    def load(self, j: int, stream: Any) -> None:
        """Take panel j, which is complete in the file behind, in its place."""
        assert self._behind is not None
        rows, columns = self.layout.shape(j)
        segments = self.begin(j, stream)
        buffer = self.device.host(rows * columns * self.dtype.itemsize)
        self._behind.file.read(j, (self.layout.start(j), self.layout.n), buffer)
        panel = buffer.view(self.dtype).reshape(rows, columns)
        for segment in segments:
            first = self.layout.start(j)
            part = panel[segment.rows[0] - first : segment.rows[1] - first]
            self.device.copy_in(stream, part, segment.block)
        self._finished[j] = self._used[j] = self.device.record(stream)
        self.device.synchronise(self._finished[j])
        self.device.release_host(buffer)

    def finished(self, k: int) -> Any:
        """The event after which panel k is complete."""
        return self._finished[k]

    # -- for everyone -------------------------------------------------------------------------------------------

    def segments(self, k: int, first: int, stream: Any) -> Iterator[Segment]:
        """Block rows first on of panel k, for use on `stream`.

        Each segment is valid until the next one is asked for, the first one until those of another panel are.
        """
        while self._held:
            slot, user = self._held.pop()
            self._free_staging.append((slot, self.device.record(user)))
        self.device.wait(stream, self._finished[k])
        gone = set(self.residency.absent(first, k))
        row = start = max(first, k)
        resident = iter(self._resident(k, row))
        while row < self.layout.count:
            if row in gone:
                slot, block, ready = self._stage((row, k))
                self.device.wait(stream, ready)
                yield Segment(k, row, row + 1, self._rows(row), block)
                if row == start:
                    self._held.append((slot, stream))
                else:
                    self._free_staging.append((slot, self.device.record(stream)))
                row += 1
            else:
                segment = next(resident)
                yield segment
                row = segment.stop

    def resident(self, j: int) -> list[Segment]:
        """What of panel j lies on the device."""
        return list(self._resident(j, j))

    @property
    def bytes_read(self) -> int:
        return self._file.bytes_read if self._file is not None else 0

    @property
    def bytes_written(self) -> int:
        return self._file.bytes_written if self._file is not None else 0

    def close(self) -> None:
        """Give back what the store holds; never raises."""
        self._allocator.shutdown(wait=True, cancel_futures=True)
        if self._behind is not None:
            self._behind.close()
        elif self._file is not None:
            self._file.close()
        with suppress(Exception):  # the GPU may be lost
            self.device.synchronise()
        pinned = [done.result() for done in self._pinned if not done.cancelled() and done.exception() is None]
        bounced = [array for array, _ in self._bounce]
        for array in (*self._host.values(), *pinned, *bounced, *self._mirrors):
            self.device.release_host(array)
        for held in (self._host, self._pinned, self._bounce, self._mirrors, self._mirrored):
            held.clear()

    # -- inside -------------------------------------------------------------------------------------------------

    def _rows(self, i: int) -> Span:
        return self.layout.start(i), self.layout.stop(i)

    def _block(self, store: Block, slot: int, height: int, width: int) -> Block:
        start = store.offset + slot * self._tile_bytes
        return Block(start, height, width, width, self.dtype)

    def _resident(self, k: int, first: int) -> Iterator[Segment]:
        """Runs of block rows of panel k, from `first` on, whose tiles are neighbours on the device."""
        slot_of, count, width = self.residency.slot_of, self.layout.count, self.layout.shape(k)[1]
        i = first
        while i < count:
            slot = slot_of.get((i, k))
            if slot is None:
                i += 1
                continue
            stop = i + 1
            while stop < count and slot_of.get((stop, k)) == slot + stop - i:
                stop += 1
            rows = self.layout.start(i), self.layout.stop(stop - 1)
            yield Segment(k, i, stop, rows, self._block(self._tiles, slot, rows[1] - rows[0], width))
            i = stop

    def _spill(self, move: Move) -> None:
        i, k = move.tile
        if move.slot is None:
            array = self._host.pop(move.tile)
            self.device.synchronise(self._spilled[move.tile])
            self._write(move.tile, array)
            ready: Future[NDArray[np.uint8]] = Future()
            ready.set_result(array)
            self._pinned.append(ready)
            return
        height, width = self._rows(i)[1] - self._rows(i)[0], self.layout.shape(k)[1]
        block = self._block(self._tiles, move.slot, height, width)
        if move.to_disk and self._behind is not None:
            # The file behind has it already, or will before anybody asks; only the reading of the mirror is awaited.
            self.device.wait(self._spilling, self._used[k])
            return
        array = self._take_bounce() if move.to_disk else self._pinned.popleft().result()
        self.device.wait(self._spilling, self._used[k])
        self.device.copy_out(self._spilling, block, array[: block.nbytes])
        event = self.device.record(self._spilling)
        if move.to_disk:
            self.device.synchronise(event)
            self._write(move.tile, array)
            self._bounce.append((array, None))
        else:
            self._host[move.tile] = array
            self._spilled[move.tile] = event

    def _write(self, tile: TileIndex, array: NDArray[np.uint8]) -> None:
        if self._behind is None:
            assert self._file is not None
            i, k = tile
            nbytes = self._tile_rows_bytes(i, k)
            self._file.write(k, self._rows(i), array[:nbytes])

    def _tile_rows_bytes(self, i: int, k: int) -> int:
        start, stop = self._rows(i)
        return (stop - start) * self.layout.shape(k)[1] * self.dtype.itemsize

    def _stage(self, tile: TileIndex) -> tuple[int, Block, Any]:
        i, k = tile
        slot, used = self._free_staging.popleft()
        if used is not None:
            self.device.wait(self._stager, used)
        start, stop = self._rows(i)
        block = self._block(self._staging, slot, stop - start, self.layout.shape(k)[1])
        array = self._host.get(tile)
        if array is not None:
            self.device.wait(self._stager, self._spilled[tile])
            self.device.copy_in(self._stager, array[: block.nbytes], block)
            # Whoever takes the host tile next must come after this copy, which itself came after the spilling.
            self._spilled[tile] = self.device.record(self._stager)
            return slot, block, self._spilled[tile]
        assert self._file is not None
        if self._behind is not None:
            self._hand_over()
            self._behind.wait()
        array = self._take_bounce()
        self._file.read(k, (start, stop), array[: block.nbytes])
        self.device.copy_in(self._stager, array[: block.nbytes], block)
        event = self.device.record(self._stager)
        self._bounce.append((array, event))
        return slot, block, event

    def _take_bounce(self) -> NDArray[np.uint8]:
        """A host tile that no copy uses any more; two are enough to read one while the other is copied."""
        if self._bounces_made < 2:
            self._bounces_made += 1
            return self.device.host(self._tile_bytes)
        array, event = self._bounce.popleft()
        if event is not None:
            self.device.synchronise(event)
        return array

    def _mirror(self, j: int, event: Any, seconds: tuple[float, float]) -> None:
        """Copy a finished panel out, to be written when the copy has happened."""
        assert self._behind is not None
        rows, columns = self.layout.shape(j)
        nbytes = rows * columns * self.dtype.itemsize
        self._behind.wait()
        if not self._mirrors:
            largest = self.layout.shape(j)
            self._mirrors.append(self.device.host(largest[0] * largest[1] * self.dtype.itemsize))
        panel = self._mirrors[0][:nbytes].view(self.dtype).reshape(rows, columns)
        self.device.wait(self._spilling, event)
        first = self.layout.start(j)
        for segment in self._resident(j, j):
            part = panel[segment.rows[0] - first : segment.rows[1] - first]
            self.device.copy_out(self._spilling, segment.block, part)
        self._mirrored.append((j, panel, self.device.record(self._spilling), seconds))

    def _hand_over(self) -> None:
        assert self._behind is not None
        while self._mirrored:
            j, panel, event, seconds = self._mirrored.popleft()
            self.device.synchronise(event)
            self._behind.write(j, (self.layout.start(j), self.layout.n), panel)
            self._behind.finish(j, seconds)
