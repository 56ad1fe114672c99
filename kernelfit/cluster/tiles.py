"""Where the blocks L[i, k] of a share are stored: in the worker's memory, or in a file of panels that it can reach."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from kernelfit.cluster.deal import Deal
from kernelfit.storage.panel_file import PanelFile
from kernelfit.storage.write_behind import checksum
from kernelfit.typing import Span


def _memory(nbytes: int) -> NDArray[np.uint8]:
    return np.empty(nbytes, np.uint8)


class Tiles(Protocol):
    """Blocks of some block rows of L; block (i, k) holds rows i and columns k, k <= i."""

    dtype: np.dtype[Any]

    def begin(self, i: int, k: int) -> NDArray[Any]:
        """The array in which block (i, k) is to be built."""
        ...

    def put(self, i: int, k: int, block: NDArray[Any]) -> int | None:
        """Block (i, k) is complete; its CRC-32 where others will read it from a file."""
        ...

    def load(self, i: int, k: int) -> None:
        """Block (i, k) is complete in the file that others read."""
        ...

    def rows(self, i: int, k: int, rows: Span) -> NDArray[Any]:
        """These rows, as K numbers them, of block (i, k)."""
        ...

    def blocks(self, i: int, first: int, stop: int) -> list[NDArray[Any]]:
        """Blocks (i, first), ..., (i, stop - 1) that are finished."""
        ...

    def sync(self) -> None:
        """Return when what was put is on the disk, where it is meant to be."""
        ...

    def close(self) -> None: ...


class RamTiles:
    """Blocks in memory; with a `file`, every one is also written there as soon as it is complete.

    `take` gives the memory, so many bytes at a time.
    """

    def __init__(
        self,
        deal: Deal,
        dtype: np.dtype[Any],
        file: PanelFile | None = None,
        take: Callable[[int], NDArray[np.uint8]] = _memory,
    ) -> None:
        self._deal, self.dtype, self._file, self._take = deal, dtype, file, take
        #: L[i, :i] as (i, h, w) and L[i, i] (h, h)
        self._blocks: dict[int, tuple[NDArray[Any], NDArray[Any]]] = {}

    def begin(self, i: int, k: int) -> NDArray[Any]:
        if i not in self._blocks:
            height, width = self._deal.height(i), self._deal.layout.width
            self._blocks[i] = self._empty(i, height, width), self._empty(height, height)
        left, square = self._blocks[i]
        return square if k == i else left[k]

    def _empty(self, *shape: int) -> NDArray[Any]:
        return self._take(math.prod(shape) * self.dtype.itemsize).view(self.dtype).reshape(shape)

    def put(self, i: int, k: int, block: NDArray[Any]) -> int | None:
        if self._file is None:
            return None
        self._file.write(k, self._deal.span(i), block)
        return checksum(block)

    def load(self, i: int, k: int) -> None:
        assert self._file is not None
        self._file.read(k, self._deal.span(i), self.begin(i, k))

    def rows(self, i: int, k: int, rows: Span) -> NDArray[Any]:
        first = self._deal.layout.start(i)
        return self.begin(i, k)[rows[0] - first : rows[1] - first]

    def blocks(self, i: int, first: int, stop: int) -> list[NDArray[Any]]:
        return [self.begin(i, k) for k in range(first, stop)]

    def sync(self) -> None:
        if self._file is not None:
            self._file.sync()

    def close(self) -> None:
        self._blocks.clear()
        if self._file is not None:
            self._file.close()


class DiskTiles:
    """Blocks in a file alone; `shared`: one that others will read, and whose blocks have checksums."""

    def __init__(self, deal: Deal, file: PanelFile, *, shared: bool) -> None:
        self._deal, self.dtype, self._file, self._shared = deal, file.dtype, file, shared

    def begin(self, i: int, k: int) -> NDArray[Any]:
        return np.empty((self._deal.height(i), self._deal.height(k)), self.dtype)

    def put(self, i: int, k: int, block: NDArray[Any]) -> int | None:
        self._file.write(k, self._deal.span(i), block)
        return checksum(block) if self._shared else None

    def load(self, i: int, k: int) -> None: ...

    def rows(self, i: int, k: int, rows: Span) -> NDArray[Any]:
        block = np.empty((rows[1] - rows[0], self._deal.height(k)), self.dtype)
        self._file.read(k, rows, block)
        return block

    def blocks(self, i: int, first: int, stop: int) -> list[NDArray[Any]]:
        return [self.rows(i, k, self._deal.span(i)) for k in range(first, stop)]

    def sync(self) -> None:
        if self._shared:
            self._file.sync()

    def close(self) -> None:
        self._file.close()
