"""The protocol that every place for panels follows, and panels in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

from kernelfit.errors import PlanError
from kernelfit.gram.plan import PanelLayout

#: finished panels (index, rows from the first row that was asked for)
Batch = Sequence[tuple[int, NDArray[Any]]]


class PanelStore(Protocol):
    """Holds the column panels of one lower triangle; each panel is written once and read many times."""

    layout: PanelLayout
    dtype: np.dtype[Any]
    tier: str

    def begin(self, j: int) -> NDArray[Any]:
        """The block (n - j w, w) in which panel j is to be built."""
        ...

    def finish(self, j: int) -> None:
        """Panel j is complete; it may now be streamed."""
        ...

    def stream(self, panels: Iterable[int], first_row: int = 0) -> Iterator[Batch]:
        """Finished panels in the order given, in batches; each from max(first_row, its own first row) on.

        A batch is valid until the next one is asked for.
        """
        ...

    def close(self) -> None:
        """Give back what the store holds."""
        ...


class RamPanels:
    """Panels in memory."""

    tier = "ram"

    def __init__(self, layout: PanelLayout, dtype: DTypeLike) -> None:
        self.layout = layout
        self.dtype = np.dtype(dtype)
        self._panels: dict[int, NDArray[Any]] = {}

    def begin(self, j: int) -> NDArray[Any]:
        if j not in self._panels:
            try:
                self._panels[j] = np.empty(self.layout.shape(j), self.dtype)
            except MemoryError:
                rows, columns = self.layout.shape(j)
                raise PlanError(
                    f"memory: the system refused {rows * columns * self.dtype.itemsize:,} bytes for panel {j}; "
                    "give a smaller --memory or --tier disk"
                ) from None
        return self._panels[j]

    def finish(self, j: int) -> None:
        pass

    def stream(self, panels: Iterable[int], first_row: int = 0) -> Iterator[Batch]:
        batch = [(k, self._panels[k][max(0, first_row - self.layout.start(k)) :]) for k in panels]
        if batch:
            yield batch

    def close(self) -> None:
        self._panels.clear()
