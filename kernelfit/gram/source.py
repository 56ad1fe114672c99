"""Where the entries of a symmetric K come from: a kernel and its rows, or an array that is already there."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from copy import copy
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kernelfit.cpu.jit import njit
from kernelfit.cpu.pool import CpuBackend
from kernelfit.errors import InputError
from kernelfit.gram.arrays import as_array, exact_floats
from kernelfit.gram.layout import ONE_TILE, PanelLayout
from kernelfit.gram.points import Points
from kernelfit.gram.protocol import Columns, GramSource
from kernelfit.gram.rectangle import rectangle
from kernelfit.gram.submatrix import submatrix
from kernelfit.gram.tile import ColumnBlock, evaluate, narrow
from kernelfit.gram.unchanged import Witness, changed, checksum
from kernelfit.kernels.base import Kernel, Needs
from kernelfit.typing import Float

# Rows and columns that are mirrored at a time.
_BLOCK = 16
# Values of a function that differ by more, beside the largest, are not those of the same function on another machine.
_OTHER = 1e-9


class Source(ABC):
    """What most sources have in common: K is stored, nowhere on a device, in no panels, with nothing to give back."""

    n: int
    flops_per_entry: float
    layout: PanelLayout | None = None
    points: Points | None = None
    kernel: Kernel | None = None
    formula: Kernel | None = None
    weights: Float | None = None
    device: Any = None

    @abstractmethod
    def diagonal(self) -> Float: ...

    @abstractmethod
    def columns(self, start: int, stop: int, backend: CpuBackend) -> Columns: ...

    def subset(self, rows: NDArray[np.int64], backend: CpuBackend) -> GramSource:
        return ArrayGram(submatrix(self, rows, backend))

    def device_tiles(self, device: Any, stream: Any) -> Any:
        return None

    def tiles_of(self, formula: Kernel, device: Any, stream: Any) -> Any:
        """As `device_tiles`, of the kernel whose inner products K holds."""
        return None

    def witnessed(self, threads: int | None = None) -> Source:
        """The same, which knows from now on whether the user changes what K is read from."""
        return self

    def require_unchanged(self, threads: int | None = None, *, whole: bool = True) -> None:  # noqa: B027 - most are nobody else's
        """Raise `InputError` where what K is read from is the user's, and was changed."""

    def close(self) -> None: ...  # noqa: B027 - most have nothing to give back


class KernelGram(Source):
    """K_ij = k(x_i, x_j), generated where it is used and never stored."""

    kernel: Kernel
    points: Points
    #: some values of the user's own function, by which it is seen that it reads something else by now
    _few: Float | None = None
    #: the digest of the data that it reads, where they tell the same
    _reads = ""

    def __init__(self, kernel: Kernel, points: Points) -> None:
        kernel.compile()
        self.kernel, self.points = kernel, points
        self.n = points.shape[0]
        before = kernel.reads()
        if Needs.FUNCTION in kernel.needs:
            self._few = self._values_of_few()
        # Twice d for the inner product; the epilogue counts as one.
        self.flops_per_entry = 2.0 * points.width + 1.0
        if kernel.stationary:
            self._diagonal = kernel.diagonal(points)
            return
        with np.errstate(over="ignore"):
            self._diagonal = kernel.diagonal(points)
        if not np.isfinite(self._diagonal).all():
            bad = np.flatnonzero(~np.isfinite(self._diagonal))
            raise InputError(
                f"kernel: k(x, x) is {self._diagonal[bad[0]]} at row {bad[0]}, expected a finite number; "
                f"rescale X or change the parameters of {kernel!r}"
            )
        if before and before == kernel.reads():  # no memo or counter, which a call changes
            self._reads = before

    def diagonal(self) -> Float:
        return self._diagonal

    def columns(self, start: int, stop: int, backend: CpuBackend) -> Columns:
        return _KernelColumns(self, start, stop, backend)

    def subset(self, rows: NDArray[np.int64], backend: CpuBackend) -> GramSource:
        return KernelGram(self.kernel, self.points.take(rows))

    def require_unchanged(self, threads: int | None = None, *, whole: bool = True) -> None:
        self.points.require_unchanged(whole=whole, threads=threads)
        if self._few is None:
            return
        now, before = self._values_of_few(), self._few
        same = np.allclose(now, before, _OTHER, _OTHER * np.abs(before).max())
        if not same or (self._reads and self._reads != self.kernel.reads()):
            raise InputError(
                f"kernel: {self.kernel!r} gives other values than at the solve, as where data that it reads were "
                "changed, expected the same; restore them, or solve again"
            )

    def _values_of_few(self) -> Float:
        """k(x, x') of the first row and two others."""
        others = np.unique([self.n // 2, self.n - 1])
        first, columns = (self.points.take(rows, like=self.points) for rows in (np.array([0]), others))
        with CpuBackend(1) as backend:
            return rectangle(self.kernel, first, columns, backend)


class _KernelColumns:
    def __init__(self, gram: KernelGram, start: int, stop: int, backend: CpuBackend) -> None:
        self._gram, self._backend, self._start = gram, backend, start
        # One tile is formed by one thread, which converts what it needs.
        needs = None if stop - start == gram.n <= ONE_TILE else gram.kernel.needs
        self._block = ColumnBlock(gram.points, start, stop, gram.points.exact, needs)

    def fill(self, start: int, stop: int, out: NDArray[Any]) -> None:
        block = narrow(self._block, out.shape[1])
        evaluate(self._gram.kernel, self._gram.points, start, stop, block, out, self._backend)
        # A product rounds <x_i, x_j> and <x_j, x_i> in different ways, depending on its shape.
        if start == self._start and out.dtype == np.float64 and out.flags.c_contiguous:
            _symmetrise(out, self._gram.diagonal()[start:stop])
            return
        set_diagonal(out, start, self._start, self._gram.diagonal())
        mirror(out, start, self._start)


def as_source(gram: ArrayLike | Source, threads: int | None = None) -> Source:
    """A source of K as it is, anything else as an array (n, n); what is the user's is watched from now on."""
    return gram.witnessed(threads) if isinstance(gram, Source) else ArrayGram(gram)


class ArrayGram(Source):
    """A Gram matrix given as an array (n, n); only its lower triangle is read."""

    def __init__(self, gram: ArrayLike) -> None:
        array = given = as_array(gram, "gram")
        if array.ndim != 2 or array.shape[0] != array.shape[1]:
            raise InputError(f"gram: got shape {array.shape}, expected a square (n, n) array")
        array = exact_floats(array, "gram")
        if array.dtype.kind != "f":
            raise InputError(f"gram: got dtype {array.dtype}, expected numbers")
        self._array = array
        self.n = array.shape[0]
        self.flops_per_entry = 0.0
        for start in range(0, self.n, 1024):
            rows = array[start : start + 1024]
            if not np.isfinite(rows).all():
                row, column = (int(index) for index in np.argwhere(~np.isfinite(rows))[0])
                raise InputError(
                    f"gram: got {rows[row, column]} at ({start + row}, {column}), expected finite numbers"
                )
        users = self.n > 0 and (array is given or not array.flags.owndata)
        self._witness = Witness(array) if users else None

    def diagonal(self) -> Float:
        return np.diagonal(self._array).astype(np.float64)

    def columns(self, start: int, stop: int, backend: CpuBackend) -> Columns:
        return _ArrayColumns(self._array, start)

    def require_unchanged(self, threads: int | None = None, *, whole: bool = True) -> None:
        if self._witness is not None:
            self._witness.require(self._array, "gram: the matrix", threads=threads)


class _ArrayColumns:
    def __init__(self, array: NDArray[Any], start: int) -> None:
        self._array, self._start = array, start

    def fill(self, start: int, stop: int, out: NDArray[Any]) -> None:
        out[...] = self._array[start:stop, self._start : self._start + out.shape[1]]
        mirror(out, start, self._start)


class PanelGram(Source):
    """A Gram matrix given as packed column panels of its lower triangle, as `kernelfit.gram.layout` lays them out."""

    layout: PanelLayout
    _checksums: tuple[bytes, ...] = ()

    def __init__(self, layout: PanelLayout, panels: Sequence[NDArray[Any]]) -> None:
        shapes = [panel.shape for panel in panels]
        expected = [layout.shape(j) for j in range(layout.count)]
        if shapes != expected:
            raise InputError(
                f"gram: got panels of shapes {shapes[:3]}..., expected {expected[:3]}... for {layout}"
            )
        self.layout, self.panels = layout, panels
        self.n = layout.n
        self.flops_per_entry = 0.0

    def diagonal(self) -> Float:
        return np.concatenate([np.diagonal(panel) for panel in self.panels]).astype(np.float64)

    def columns(self, start: int, stop: int, backend: CpuBackend) -> Columns:
        return PanelColumns(self.panels[self._panel_of(start, stop)], start)

    def witnessed(self, threads: int | None = None) -> Source:
        same = copy(self)
        same._checksums = tuple(checksum(panel, threads) for panel in self.panels)
        return same

    def require_unchanged(self, threads: int | None = None, *, whole: bool = True) -> None:
        # Panels that are stored, or lie on a device, are not the user's and have none.
        if self._checksums and self._checksums != tuple(checksum(panel, threads) for panel in self.panels):
            raise changed("gram: the matrix")

    def _panel_of(self, start: int, stop: int) -> int:
        j = self.layout.panel_of(start)
        if (start, stop) != (self.layout.start(j), self.layout.stop(j)):
            raise ValueError(f"columns {start}:{stop} are not a panel of {self.layout}")
        return j


class PanelReader(Protocol):
    """Panels that are read as they are needed, such as `kernelfit.storage.panel_file.PanelFile`."""

    @property
    def layout(self) -> PanelLayout: ...

    @property
    def dtype(self) -> np.dtype[Any]: ...

    def read(self, j: int, rows: tuple[int, int], out: NDArray[Any]) -> None:
        """out <- these rows of panel j; may be called by several threads at once."""
        ...

    def close(self) -> None: ...


class StoredGram(PanelGram):
    """A Gram matrix whose packed panels stay where they are stored: a strip of rows is in memory at a time."""

    def __init__(self, reader: PanelReader) -> None:
        self.reader, self.layout = reader, reader.layout
        self.n = reader.layout.n
        self.flops_per_entry = 0.0
        self._diagonal: Float | None = None

    def diagonal(self) -> Float:
        if self._diagonal is None:
            diagonal = np.empty(self.n)
            for j in range(self.layout.count):
                first, last = self.layout.start(j), self.layout.stop(j)
                for start in range(first, last, 256):
                    stop = min(start + 256, last)
                    rows = np.empty((stop - start, last - first), self.reader.dtype)
                    self.reader.read(j, (start, stop), rows)
                    diagonal[start:stop] = np.diagonal(rows, start - first)
            self._diagonal = diagonal  # whole: reading may fail, and other threads ask meanwhile
        return self._diagonal

    def witnessed(self, threads: int | None = None) -> Source:
        return self

    def columns(self, start: int, stop: int, backend: CpuBackend) -> Columns:
        return _StoredColumns(self.reader, self._panel_of(start, stop), backend)

    def close(self) -> None:
        """Close what the panels are read from."""
        self.reader.close()


class _StoredColumns:
    def __init__(self, reader: PanelReader, j: int, backend: CpuBackend) -> None:
        self._reader, self._j, self._backend = reader, j, backend

    def fill(self, start: int, stop: int, out: NDArray[Any]) -> None:
        layout = self._reader.layout
        width = layout.shape(self._j)[1]
        rows = self._backend.scratch("stored rows", stop - start, width, self._reader.dtype)
        self._reader.read(self._j, (start, stop), rows)
        out[...] = rows[:, : out.shape[1]]
        mirror(out, start, layout.start(self._j))


class PanelColumns:
    """Panel `panel` of a lower triangle, whose first row and column are `start`."""

    def __init__(self, panel: NDArray[Any], start: int) -> None:
        self._panel, self._start = panel, start

    def fill(self, start: int, stop: int, out: NDArray[Any]) -> None:
        # What lies above the diagonal may be whatever was in memory, until it is mirrored.
        with np.errstate(over="ignore", invalid="ignore"):
            out[...] = self._panel[start - self._start : stop - self._start, : out.shape[1]]
        mirror(out, start, self._start)


def mirror(out: NDArray[Any], row: int, column: int) -> None:
    """Only the lower triangle of K counts; fill what lies above the diagonal in the tile with corner (row, column).

    That is possible within the square that the tile's own rows span; nobody reads further right.
    """
    corner = row - column
    inside = min(out.shape[0], out.shape[1] - corner)
    if corner >= 0 and inside > 0:
        mirror_square(out[:inside, corner : corner + inside])


@njit(cache=True, nogil=True, error_model="numpy")
def _symmetrise(out: Any, diagonal: Any) -> None:
    """`set_diagonal` and `mirror` of a tile that begins on the diagonal."""
    size = min(out.shape)
    for i in range(size):
        out[i, i] = diagonal[i]
    mirror_square(out[:size, :size])


@njit(cache=True, nogil=True, error_model="numpy")
def mirror_square(square: Any) -> None:
    """What lies below the diagonal, above it.

    By blocks, one side of which is walked across its rows: of lines that lie a power of two apart the first level of
    cache holds a dozen or so. The other side is written along them.
    """
    n = len(square)
    for top in range(0, n, _BLOCK):
        bottom = min(top + _BLOCK, n)
        for left in range(0, top, _BLOCK):
            if bottom - top == _BLOCK:  # of a length that is known: unrolled
                for j in range(left, left + _BLOCK):
                    for i in range(top, top + _BLOCK):
                        square[j, i] = square[i, j]
            else:
                for j in range(left, left + _BLOCK):
                    for i in range(top, bottom):
                        square[j, i] = square[i, j]
        for i in range(top, bottom):
            for j in range(top, i):
                square[j, i] = square[i, j]


def set_diagonal(out: NDArray[Any], row: int, column: int, diagonal: Float) -> None:
    """Put the entries of `diagonal` that lie in the tile whose corner is (row, column) into `out`."""
    first = max(row, column)
    last = min(row + out.shape[0], column + out.shape[1])
    if first < last:
        index = np.arange(first, last)
        out[index - row, index - column] = diagonal[first:last]
