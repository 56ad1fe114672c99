"""The protocol of stores of panels, and the store in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

from kernelfit.errors import PlanError
from kernelfit.gram.layout import PanelLayout
from kernelfit.storage.write_behind import WriteBehind
from kernelfit.typing import Span


@dataclass(frozen=True)
class Piece:
    """Rows of finished panel `k`, numbered as the rows of K.

    `top` holds the first rows asked for, `first` on, down to the last of the panel that row `first` belongs to; every
    piece of a panel has it. `below` holds rows `start` on. `begins` marks a panel's first piece, whose rows include
    `top`, and `ends` its last.
    """

    k: int
    first: int
    top: NDArray[Any]
    start: int
    below: NDArray[Any]
    begins: bool = True
    ends: bool = True

    @property
    def stop(self) -> int:
        return self.start + len(self.below)

    def has(self, strip: Span) -> bool:
        """Whether the strip's rows come with this piece."""
        return self.start <= strip[0] < self.stop or (self.begins and strip[0] < self.first + len(self.top))

    def rows(self, strip: Span) -> NDArray[Any]:
        inside = strip[1] <= self.first + len(self.top)
        block, origin = (self.top, self.first) if inside else (self.below, self.start)
        return block[strip[0] - origin : strip[1] - origin]


#: pieces that cover the same rows, to be used in their order
Batch = Sequence[Piece]


class PanelStore(Protocol):
    """Holds the column panels of one lower triangle; each panel is written once and read many times."""

    layout: PanelLayout
    dtype: np.dtype[Any]
    tier: str

    @property
    def bytes_read(self) -> int: ...

    @property
    def bytes_written(self) -> int: ...

    def begin(self, j: int) -> NDArray[Any]:
        """The block (n - j w, w) in which panel j is to be built."""
        ...

    def settle(self, j: int, strip: Span) -> None:
        """These rows of panel j will not change any more; may be called by several threads at once."""
        ...

    def finish(self, j: int, seconds: tuple[float, float] = (0.0, 0.0)) -> None:
        """Panel j is complete after so many seconds for K and for the factor; it may now be streamed."""
        ...

    def flush(self) -> None:
        """Wait until everything finished is where it belongs; errors of the way there are raised here at the latest."""
        ...

    def diagonal(self, j: int) -> NDArray[Any]:
        """(w,), the diagonal of finished panel j."""
        ...

    def stream(self, panels: Iterable[int], first_row: int = 0) -> Iterator[Batch]:
        """Finished panels in the order given, each from max(first_row, its own first row) on.

        Pieces end where strips of `layout.strips` below `top` end. A batch is valid until the next one is asked for.
        """
        ...

    def close(self) -> None:
        """Give back what the store holds; never raises."""
        ...


class RamPanels:
    """Panels in memory; with `behind`, every panel is also written to its file as soon as it is complete."""

    tier = "ram"

    def __init__(self, layout: PanelLayout, dtype: DTypeLike, behind: WriteBehind | None = None) -> None:
        self.layout = layout
        self.dtype = np.dtype(dtype)
        self._behind = behind
        self._panels: dict[int, NDArray[Any]] = {}

    @property
    def bytes_read(self) -> int:
        return self._behind.file.bytes_read if self._behind is not None else 0

    @property
    def bytes_written(self) -> int:
        return self._behind.file.bytes_written if self._behind is not None else 0

    def begin(self, j: int) -> NDArray[Any]:
        if self._behind is not None:
            self._behind.wait()  # no more than one panel is ahead of the disk
        if j not in self._panels:
            rows, columns = self.layout.shape(j)
            try:
                self._panels[j] = np.empty((rows, columns), self.dtype)
            except MemoryError:
                raise PlanError(
                    f"memory: the system refused {rows * columns * self.dtype.itemsize:,} bytes for panel {j}; "
                    "give less memory, or tier='disk'"
                ) from None
        return self._panels[j]

    def load(self, j: int) -> None:
        """Take a finished panel from the file behind."""
        assert self._behind is not None
        self._behind.file.read(j, (self.layout.start(j), self.layout.n), self.begin(j))

    def settle(self, j: int, strip: Span) -> None:
        if self._behind is not None:
            first = self.layout.start(j)
            self._behind.write(j, strip, self._panels[j][strip[0] - first : strip[1] - first])

    def finish(self, j: int, seconds: tuple[float, float] = (0.0, 0.0)) -> None:
        if self._behind is not None:
            self._behind.finish(j, seconds)

    def flush(self) -> None:
        if self._behind is not None:
            self._behind.flush()

    def diagonal(self, j: int) -> NDArray[Any]:
        return np.diagonal(self._panels[j])

    def stream(self, panels: Iterable[int], first_row: int = 0) -> Iterator[Batch]:
        batch = [self._piece(k, first_row) for k in panels]
        if batch:
            yield batch

    def _piece(self, k: int, first_row: int) -> Piece:
        origin = self.layout.start(k)
        first = max(first_row, origin)
        start = self.layout.stop(self.layout.panel_of(first))
        panel = self._panels[k]
        return Piece(k, first, panel[first - origin : start - origin], start, panel[start - origin :])

    def close(self) -> None:
        if self._behind is not None:
            self._behind.close()
        self._panels.clear()
