"""Panels on disk: read ahead of the arithmetic and written behind it, by threads of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernelfit.cpu.fork import renew_in_children
from kernelfit.storage.one_by_one import OneByOne
from kernelfit.storage.panel_file import PanelFile
from kernelfit.storage.panels import Batch, Piece
from kernelfit.storage.write_behind import WriteBehind
from kernelfit.typing import Span


@dataclass(frozen=True)
class _Request:
    """One piece to be read: rows `below` of panel k, and where it begins the panel also its rows `top`."""

    k: int
    top: Span
    below: Span
    begins: bool
    ends: bool


class DiskPanels:
    """Panels in a `PanelFile`.

    In memory are one panel that is being built and two blocks of `rows_at_once` rows, one in use and one being read
    ahead, each with the rows at the top of its panel. Rows are written as soon as they are final, so that a panel is
    on its way to the disk before it is complete. A store without `behind` is read only.
    """

    tier = "disk"

    def __init__(
        self,
        file: PanelFile,
        rows_at_once: int,
        behind: WriteBehind | None = None,
        *,
        before_reading: Callable[[], None] | None = None,
    ) -> None:
        self.layout, self.dtype = file.layout, file.dtype
        self._file, self._behind = file, behind
        self._rows_at_once = rows_at_once
        self._before_reading = before_reading
        self._building: NDArray[Any] | None = None
        self._free: dict[int, list[NDArray[Any]]] = {}
        self.renew()
        renew_in_children(self)

    def renew(self) -> None:
        """The reader is a thread, which a forked child does not have; nor does what it was asked for come there."""
        self._reader = OneByOne("kernelfit-read")
        self._readers = object()

    @property
    def bytes_read(self) -> int:
        return self._file.bytes_read

    @property
    def bytes_written(self) -> int:
        return self._file.bytes_written

    def begin(self, j: int) -> NDArray[Any]:
        assert self._behind is not None
        self._behind.wait()
        if self._building is None:
            rows, columns = self.layout.shape(j)
            self._building = np.empty(rows * columns, self.dtype)
        return self._block(j)

    def settle(self, j: int, strip: Span) -> None:
        assert self._behind is not None
        first = self.layout.start(j)
        self._behind.write(j, strip, self._block(j)[strip[0] - first : strip[1] - first])

    def finish(self, j: int, seconds: tuple[float, float] = (0.0, 0.0)) -> None:
        assert self._behind is not None
        self._behind.finish(j, seconds)

    def flush(self) -> None:
        """Also gives back the block in which panels were built."""
        if self._behind is not None:
            self._behind.flush()
        self._building = None

    def diagonal(self, j: int) -> NDArray[Any]:
        self._prepare()
        width = self.layout.shape(j)[1]
        block = np.empty((width, width), self.dtype)
        self._file.read(j, (self.layout.start(j), self.layout.stop(j)), block)
        return np.diagonal(block).copy()

    def stream(self, panels: Iterable[int], first_row: int = 0) -> Iterator[Batch]:
        requests = [request for k in panels for request in self._requests(k, first_row)]
        if not requests:
            return
        if self._behind is not None:
            self._behind.wait()
        self._prepare()
        top: NDArray[Any] | None = None
        taken: list[NDArray[Any]] = []
        readers, ahead = self._readers, self._reader.call(self._read, requests[0], taken)
        try:
            for index, request in enumerate(requests):
                # A child that was forked since the last piece reads for itself.
                read_top, below = ahead.result() if readers is self._readers else self._read(request, taken)
                top = read_top if request.begins else top
                assert top is not None
                if index + 1 < len(requests):
                    readers = self._readers
                    ahead = self._reader.call(self._read, requests[index + 1], taken)
                yield [
                    Piece(
                        request.k, request.top[0], top, request.below[0], below, request.begins, request.ends
                    )
                ]
                self._give_back(below, taken)
                if request.ends:
                    self._give_back(top, taken)
        finally:
            if readers is self._readers:
                ahead.wait()  # the blocks must not be given away while they are being filled
            for block in list(taken):
                self._give_back(block, taken)

    def close(self) -> None:
        self._reader.close()
        if self._behind is not None:
            self._behind.close()
        self._file.close()
        self._free.clear()
        self._building = None

    def _prepare(self) -> None:
        prepare = self._before_reading  # which another thread may be done with in a moment
        if prepare is not None:
            prepare()
            self._before_reading = None

    def _block(self, j: int) -> NDArray[Any]:
        assert self._building is not None
        rows, columns = self.layout.shape(j)
        return self._building[: rows * columns].reshape(rows, columns)

    def _requests(self, k: int, first_row: int) -> list[_Request]:
        first = max(first_row, self.layout.start(k))
        last = self.layout.stop(self.layout.panel_of(first))
        groups = grouped(self.layout.strips(last), self._rows_at_once) or [(last, last)]
        return [
            _Request(k, (first, last), group, index == 0, index + 1 == len(groups))
            for index, group in enumerate(groups)
        ]

    def _read(self, request: _Request, taken: list[NDArray[Any]]) -> tuple[NDArray[Any] | None, NDArray[Any]]:
        columns = self.layout.shape(request.k)[1]
        top = None
        if request.begins:
            top = self._take(request.top, columns, taken, self.layout.width)
            self._file.read(request.k, request.top, top)
        below = self._take(request.below, columns, taken, self._rows_at_once)
        self._file.read(request.k, request.below, below)
        return top, below

    def _take(self, rows: Span, columns: int, taken: list[NDArray[Any]], height: int) -> NDArray[Any]:
        """A block (rows, columns) cut from one that can hold `height` rows of any panel."""
        size = min(height, self.layout.n) * self.layout.width
        free = self._free.setdefault(size, [])
        whole = free.pop() if free else np.empty(size, self.dtype)
        block = whole[: (rows[1] - rows[0]) * columns].reshape(rows[1] - rows[0], columns)
        taken.append(block)
        return block

    def _give_back(self, block: NDArray[Any], taken: list[NDArray[Any]]) -> None:
        for index, other in enumerate(taken):
            if other is block:
                del taken[index]
                whole = block.base
                assert isinstance(whole, np.ndarray)
                # A stream that an error left may end after the store has been closed and its blocks forgotten.
                self._free.setdefault(whole.size, []).append(whole)
                return


def grouped(strips: list[Span], max_rows: int) -> list[Span]:
    """Neighbouring strips joined into as few spans as hold at most `max_rows` rows each, all of about one height.

    A strip taller than `max_rows` is a span of its own.
    """
    if not strips:
        return []
    total = strips[-1][1] - strips[0][0]
    height = -(-total // -(-total // max_rows))
    spans: list[Span] = []
    for start, stop in strips:
        if spans and stop - spans[-1][0] <= height:
            spans[-1] = (spans[-1][0], stop)
        else:
            spans.append((start, stop))
    return spans
