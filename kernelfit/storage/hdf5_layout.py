"""HDF5 files laid out without being written: HDF5 says where everything lies, and we write the bytes.

h5py 3.16 answers a full disk with "Exception ignored" on standard error and leaves the `with` block as if the file were
whole. So HDF5 gets a file in memory that never fails, whose data sets are given room but no contents.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from numpy.typing import DTypeLike

Laid = TypeVar("Laid")

_PAGE = 4096


class Metadata:
    """What HDF5 wrote: a sparse file in memory, in which bytes that were never written are zero."""

    def __init__(self) -> None:
        self.size = 0
        self._pages: dict[int, bytearray] = {}
        self._position = 0

    def seek(self, offset: int, whence: int = 0) -> int:
        self._position = offset + (0, self._position, self.size)[whence]
        return self._position

    def tell(self) -> int:
        return self._position

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        for page, first, stop, done in self._pieces(self._position, len(view)):
            held = self._pages.setdefault(page, bytearray(_PAGE))
            held[first:stop] = view[done : done + stop - first]
        self._position += len(view)
        self.size = max(self.size, self._position)
        return len(view)

    def readinto(self, out: Any) -> int:
        view = memoryview(out).cast("B")
        view[:] = self.span(self._position, self._position + len(view))
        self._position += len(view)
        return len(view)

    def truncate(self, size: int | None = None) -> int:
        self.size = self._position if size is None else size
        return self.size

    def flush(self) -> None:
        """Nothing is buffered."""

    def span(self, start: int, stop: int) -> bytes:
        """The bytes `start` to `stop`."""
        out = bytearray(stop - start)
        for page, first, last, done in self._pieces(start, stop - start):
            held = self._pages.get(page)
            if held is not None:
                out[done : done + last - first] = held[first:last]
        return bytes(out)

    @staticmethod
    def _pieces(position: int, length: int) -> Iterator[tuple[int, int, int, int]]:
        """(page, first byte in it, one past the last, bytes of earlier pages)."""
        done = 0
        while done < length:
            page, first = divmod(position + done, _PAGE)
            stop = min(_PAGE, first + length - done)
            yield page, first, stop, done
            done += stop - first


def lay_out(fill: Callable[[Any], Laid], *, userblock: int = 0, alignment: int = 1) -> tuple[Metadata, Laid]:
    """The metadata of the HDF5 file that `fill` fills, and what it returns; the same contents give the same bytes."""
    import h5py

    metadata = Metadata()
    access = h5py.h5p.create(h5py.h5p.FILE_ACCESS)
    access.set_fileobj_driver(h5py.h5fd.fileobj_driver, metadata)
    access.set_alignment(alignment, alignment)
    creation = h5py.h5p.create(h5py.h5p.FILE_CREATE)
    creation.set_obj_track_times(False)
    creation.set_userblock(userblock)
    file_id = h5py.h5f.create(b"layout", h5py.h5f.ACC_TRUNC, fcpl=creation, fapl=access)
    with h5py.File(file_id) as file:
        laid = fill(file)
    return metadata, laid


def reserve(group: Any, name: str, shape: tuple[int, ...], dtype: DTypeLike) -> int | None:
    """Give a contiguous array of `group` its room in the file; its offset, or None where it has no elements."""
    import h5py

    creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    creation.set_obj_track_times(False)
    creation.set_layout(h5py.h5d.CONTIGUOUS)
    creation.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    creation.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    space = h5py.h5s.create_simple(shape)
    kind = h5py.h5t.py_create(dtype, logical=True)
    dataset = h5py.h5d.create(group.id, name.encode(), kind, space, creation)
    offset = dataset.get_offset()
    return None if offset is None or 0 in shape else int(offset)
