"""Panels on disk: one HDF5 file that anyone can open with h5py, with raw reads and writes underneath.

Every panel is a contiguous data set `panels/00000`, `panels/00001`, ... of shape (n - j w, w). All are laid out and
allocated when the file is created, so that a full disk is found before the work and HDF5's own metadata is never
written again. Their bytes are then moved by pread and pwrite at the offsets that HDF5 reports, by threads of their
own: reading ahead of the arithmetic and writing behind it.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from kernelfit.errors import StorageError
from kernelfit.gram.plan import PanelLayout
from kernelfit.storage.panels import Batch

# Offsets of data sets are multiples of this, the block size of common file systems.
_ALIGNMENT = 4096
# One system call moves at most 2 GiB on Linux.
_LARGEST_TRANSFER = 2**30


class DiskPanels:
    """Panels in the HDF5 file `path`.

    Three panel buffers are held: one being built or written, one in use, one being read ahead.
    """

    tier = "disk"

    def __init__(self, layout: PanelLayout, dtype: DTypeLike, path: Path) -> None:
        self.layout = layout
        self.dtype = np.dtype(dtype)
        self.path = path
        self.bytes_read = 0
        self.bytes_written = 0
        self._offsets = _create(path, layout, self.dtype)
        self._descriptor = os.open(path, os.O_RDWR)
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="kernelfit-read")
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="kernelfit-write")
        self._building: dict[int, NDArray[Any]] = {}
        self._writing: tuple[int, Future[None]] | None = None
        self._free: list[NDArray[Any]] = []

    def begin(self, j: int) -> NDArray[Any]:
        self._wait_for_writer()
        rows, columns = self.layout.shape(j)
        self._building[j] = self._take()[: rows * columns].reshape(rows, columns)
        return self._building[j]

    def finish(self, j: int) -> None:
        block = self._building[j]
        self._writing = (j, self._writer.submit(self._write, j, block))

    def stream(self, panels: Iterable[int], first_row: int = 0) -> Iterator[Batch]:
        order = list(panels)
        if not order:
            return
        self._wait_for_writer(unless=order)
        ahead = self._submit_read(order[0], first_row)
        buffer: NDArray[Any] | None = None
        try:
            for index, k in enumerate(order):
                buffer, view = ahead.result()
                if index + 1 < len(order):
                    ahead = self._submit_read(order[index + 1], first_row)
                yield [(k, view)]
                self._free.append(buffer)
                buffer = None
        finally:
            if buffer is not None:  # the caller stopped early
                self._free.append(buffer)

    def close(self) -> None:
        try:
            self._wait_for_writer()
        finally:
            self._reader.shutdown()
            self._writer.shutdown()
            self._free.clear()
            self._building.clear()
            if self._descriptor >= 0:
                os.close(self._descriptor)
                self._descriptor = -1

    def _take(self) -> NDArray[Any]:
        if self._free:
            return self._free.pop()
        return np.empty(self.layout.n * self.layout.width, self.dtype)

    def _submit_read(self, k: int, first_row: int) -> Future[tuple[NDArray[Any], NDArray[Any]]]:
        if self._writing is not None and self._writing[0] == k:
            self._wait_for_writer()
        return self._reader.submit(self._read, k, first_row, self._take())

    def _wait_for_writer(self, unless: Iterable[int] | None = None) -> None:
        """Wait until the last finished panel is on disk, unless none of the panels wanted is that one."""
        if self._writing is None:
            return
        j, future = self._writing
        if unless is not None and j not in unless and not future.done():
            return
        future.result()
        self._writing = None
        block = self._building.pop(j)
        base = block.base
        self._free.append(base if isinstance(base, np.ndarray) else block.reshape(-1))

    def _read(self, k: int, first_row: int, buffer: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        rows, columns = self.layout.shape(k)
        skipped = max(0, first_row - self.layout.start(k))
        count = (rows - skipped) * columns
        view = buffer[:count]
        offset = self._offsets[k] + skipped * columns * self.dtype.itemsize
        _transfer(os.preadv, self._descriptor, view, offset, self.path)
        self.bytes_read += view.nbytes
        return buffer, view.reshape(rows - skipped, columns)

    def _write(self, j: int, block: NDArray[Any]) -> None:
        _transfer(os.pwritev, self._descriptor, block.reshape(-1), self._offsets[j], self.path)
        self.bytes_written += block.nbytes


def _create(path: Path, layout: PanelLayout, dtype: np.dtype[Any]) -> list[int]:
    """Lay out every panel in a new file, reserve its blocks, and return the data sets' offsets."""
    import h5py

    try:
        access = h5py.h5p.create(h5py.h5p.FILE_ACCESS)
        access.set_alignment(_ALIGNMENT, _ALIGNMENT)
        file_id = h5py.h5f.create(os.fsencode(path), h5py.h5f.ACC_TRUNC, fapl=access)
        with h5py.File(file_id) as file:
            group = file.create_group("panels")
            group.attrs["n"] = layout.n
            group.attrs["width"] = layout.width
            creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            creation.set_layout(h5py.h5d.CONTIGUOUS)
            creation.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
            creation.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
            offsets = []
            for j in range(layout.count):
                space = h5py.h5s.create_simple(layout.shape(j))
                kind = h5py.h5t.py_create(dtype)
                dataset = h5py.h5d.create(group.id, f"{j:05d}".encode(), kind, space, creation)
                offsets.append(int(dataset.get_offset()))
        descriptor = os.open(path, os.O_RDWR)
        try:
            os.posix_fallocate(descriptor, 0, os.fstat(descriptor).st_size)
        finally:
            os.close(descriptor)
    except OSError as error:
        path.unlink(missing_ok=True)
        raise _storage_error("reserve", path, error) from None
    return offsets


def _transfer(call: Any, descriptor: int, array: NDArray[Any], offset: int, path: Path) -> None:
    """Move all bytes of a contiguous array; short transfers are continued, an end of file is an error."""
    view = memoryview(array.data).cast("B")
    verb = "read" if call is os.preadv else "write"
    done = 0
    while done < len(view):
        try:
            moved = call(descriptor, [view[done : done + _LARGEST_TRANSFER]], offset + done)
        except OSError as error:
            raise _storage_error(verb, path, error) from None
        if moved == 0:
            raise StorageError(
                f"{path}: ended at byte {offset + done}, {len(view) - done} more expected; truncated?"
            )
        done += moved


def _storage_error(verb: str, path: Path, error: OSError) -> StorageError:
    remedy = {
        errno.ENOSPC: "free space or choose another directory",
        errno.EDQUOT: "raise the quota or choose another directory",
        errno.EACCES: "choose a directory that you may write",
        errno.EROFS: "choose a directory that can be written",
    }.get(error.errno or 0, "check the disk")
    return StorageError(f"{path}: cannot {verb} panels: {error.strerror or error}; {remedy}")
