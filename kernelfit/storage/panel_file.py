"""The factor's file: HDF5 that anyone can open with h5py, with raw reads and writes underneath.

Every panel is a contiguous data set `panels/00000`, `panels/00001`, ... of shape (n - j w, w). All are laid out and
allocated when the file is created, so that a full disk is found before the work and HDF5's own metadata is never
written again. Their bytes are then moved by pread and pwrite at the offsets that HDF5 reports.
"""

from __future__ import annotations

import errno
import hashlib
import os
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import DTypeLike, NDArray

from kernelfit.errors import StorageError
from kernelfit.gram.layout import PanelLayout
from kernelfit.storage.atomic import storage_error, sync
from kernelfit.storage.hdf5_layout import Metadata, lay_out, reserve
from kernelfit.storage.regular import open_regular
from kernelfit.typing import Span

# Offsets of data sets are multiples of this, the block size of common file systems.
_ALIGNMENT = 4096
# One system call moves at most 2 GiB on Linux.
_LARGEST_TRANSFER = 2**30
_LARGEST_ZEROS = 2**20
_SIGNATURE = b"\x89HDF\r\n\x1a\n"
# What musl answers where the file system cannot reserve, such as NFS before 4.2 and FUSE; glibc writes there itself.
_NO_RESERVATION = (errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL)


class PanelFile:
    """Panels of `layout` in the file `path`, each at its byte offset."""

    def __init__(
        self, path: Path, layout: PanelLayout, dtype: DTypeLike, offsets: Sequence[int], *, writable: bool
    ) -> None:
        self.path, self.layout, self.dtype, self.offsets = path, layout, np.dtype(dtype), tuple(offsets)
        self.bytes_read = 0
        self.bytes_written = 0
        self._descriptor = open_regular(path, os.O_RDWR if writable else os.O_RDONLY, "open the factor")
        # A store that nobody closes must not keep gigabytes of an unnamed file.
        self._release = weakref.finalize(self, os.close, self._descriptor)

    @classmethod
    def create(
        cls, path: Path, layout: PanelLayout, dtype: DTypeLike, *, named: bool = True, reserved: bool = True
    ) -> PanelFile:
        """A new file; without a name it vanishes with the process that made it.

        `reserved` gives it all its blocks now; else only panels that are written take room.
        """
        metadata, offsets = lay_out_panels(layout, np.dtype(dtype))
        file = None
        try:
            path.unlink(missing_ok=True)
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666))
            file = cls(path, layout, dtype, offsets, writable=True)
            if not named:  # first: a kill is to leave none of its blocks
                os.unlink(path)
            if reserved:
                reserve_blocks(file._descriptor, metadata.size)
            file._write_metadata(metadata)
            os.fsync(file._descriptor)
        except OSError as error:
            if file is not None:
                file.close()
            path.unlink(missing_ok=True)
            raise (
                error if isinstance(error, StorageError) else storage_error("reserve panels", path, error)
            ) from None
        return file

    def read(self, j: int, rows: Span, out: NDArray[Any]) -> None:
        """out <- these rows of panel j; `out` is contiguous."""
        view, offset = memoryview(out.reshape(-1).data).cast("B"), self._offset(j, rows)
        self._transfer(_preadv, "read panels", view, offset)
        self.bytes_read += len(view)

    def write(self, j: int, rows: Span, block: NDArray[Any]) -> None:
        """Put these rows of panel j into the file; `block` is contiguous."""
        view, offset = memoryview(block.reshape(-1).data).cast("B"), self._offset(j, rows)
        self._transfer(_pwritev, "write panels", view, offset)
        self.bytes_written += len(view)

    def sync(self) -> None:
        """Return when what was written is on the disk, under the name it was opened by."""
        try:
            # `fdatasync` leaves times out; macOS does not have it.
            getattr(os, "fdatasync", sync)(self._descriptor)
        except OSError as error:
            raise storage_error("write panels", self.path, error) from None
        require_in_place(self.path, self._descriptor)

    def close(self) -> None:
        self._release()
        self._descriptor = -1

    def metadata_digest(self) -> str:
        """A hash of every byte that lies outside the panels."""
        digest = hashlib.blake2b(digest_size=16)
        size = os.fstat(self._descriptor).st_size
        for start, stop in metadata_spans(self.layout, self.dtype, self.offsets, size):
            digest.update(os.pread(self._descriptor, stop - start, start))
        return digest.hexdigest()

    def repair_metadata(self) -> None:
        """Write HDF5's metadata again, as it was laid out."""
        metadata, offsets = lay_out_panels(self.layout, self.dtype)
        if tuple(offsets) != self.offsets:
            raise StorageError(
                f"{self.path}: its HDF5 metadata is damaged and this h5py would lay the file out otherwise; "
                "use the version that wrote it"
            )
        try:
            os.ftruncate(self._descriptor, metadata.size)
            reserve_blocks(self._descriptor, metadata.size)
            self._write_metadata(metadata)
        except OSError as error:
            raise (
                error if isinstance(error, StorageError) else storage_error("repair", self.path, error)
            ) from None
        self.sync()

    def _write_metadata(self, metadata: Metadata) -> None:
        """Write what lies outside the panels."""
        for start, stop in metadata_spans(self.layout, self.dtype, self.offsets, metadata.size):
            self._transfer(_pwritev, "write metadata", memoryview(metadata.span(start, stop)), start)

    def _offset(self, j: int, rows: Span) -> int:
        width = self.layout.shape(j)[1]
        return self.offsets[j] + (rows[0] - self.layout.start(j)) * width * self.dtype.itemsize

    def _transfer(self, call: Any, verb: str, view: memoryview, offset: int) -> None:
        """Move all bytes; short transfers are continued, an end of file is an error."""
        done = 0
        while done < len(view):
            try:
                moved = call(self._descriptor, [view[done : done + _LARGEST_TRANSFER]], offset + done)
            except OSError as error:
                raise storage_error(verb, self.path, error) from None
            if moved == 0:
                raise StorageError(
                    f"{self.path}: ended at byte {offset + done}, {len(view) - done} more expected; truncated?"
                )
            done += moved


def may_hold_panels(path: Path) -> bool:
    """Whether a file is one of panels, or what is left of one whose blocks were reserved and no more."""
    with path.open("rb") as file:
        head = file.read(8)
    if not head.strip(b"\0"):
        return True
    try:
        with h5py.File(path, "r") as opened:
            return list(opened) == ["panels"]
    except OSError:
        return head == _SIGNATURE  # HDF5 that was written in part


def _preadv(descriptor: int, views: list[memoryview], offset: int) -> int:
    """`os.preadv`, which older systems do not have, of one view."""
    if hasattr(os, "preadv"):
        return os.preadv(descriptor, views, offset)
    data = os.pread(descriptor, len(views[0]), offset)
    views[0][: len(data)] = data
    return len(data)


def _pwritev(descriptor: int, views: list[memoryview], offset: int) -> int:
    """`os.pwritev`, which older systems do not have, of one view."""
    if hasattr(os, "pwritev"):
        return os.pwritev(descriptor, views, offset)
    return os.pwrite(descriptor, views[0], offset)


def lay_out_panels(layout: PanelLayout, dtype: np.dtype[Any]) -> tuple[Metadata, list[int]]:
    """The metadata of the file and the offset of every panel; the same layout gives the same bytes."""

    def fill(file: Any) -> list[int]:
        group = file.create_group("panels")
        group.attrs["n"] = layout.n
        group.attrs["width"] = layout.width
        offsets = [reserve(group, f"{j:05d}", layout.shape(j), dtype) for j in range(layout.count)]
        return [offset for offset in offsets if offset is not None]

    return lay_out(fill, alignment=_ALIGNMENT)


def reserve_blocks(descriptor: int, size: int) -> None:
    """Give a file all its blocks now, so that no later write finds the disk full."""
    if hasattr(os, "posix_fallocate"):  # macOS lacks it
        try:
            os.posix_fallocate(descriptor, 0, size)
            return
        except OSError as error:
            if error.errno not in _NO_RESERVATION:
                raise
    # What is not there yet is written, as zeros.
    zeros = bytes(_LARGEST_ZEROS)
    position = os.fstat(descriptor).st_size
    while position < size:
        position += os.pwrite(descriptor, zeros[: size - position], position)


def metadata_spans(
    layout: PanelLayout, dtype: np.dtype[Any], offsets: Sequence[int], size: int
) -> list[Span]:
    """Byte ranges outside the panels of a file of `size` bytes."""
    spans, position = [], 0
    for offset, j in sorted((offset, j) for j, offset in enumerate(offsets)):
        if offset > position:
            spans.append((position, offset))
        rows, columns = layout.shape(j)
        position = offset + rows * columns * dtype.itemsize
    return [*spans, (position, size)] if position < size else spans


def require_in_place(path: Path, descriptor: int) -> None:
    """Raise where `path` is no longer the file that was opened."""
    ours = os.fstat(descriptor)
    try:
        there = os.stat(path)
    except OSError as error:
        raise storage_error("continue", path, error) from None
    if (ours.st_dev, ours.st_ino) != (there.st_dev, there.st_ino):
        raise StorageError(f"{path}: it was replaced by another file during the run; start again")
