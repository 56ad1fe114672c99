"""A stored K on a worker, which cannot form it: blocks of the next steps, sent by whoever has it, then forgotten."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernelfit.cluster.deal import AT_ONCE
from kernelfit.cpu.pool import CpuBackend
from kernelfit.errors import KernelfitError
from kernelfit.gram.layout import PanelLayout
from kernelfit.gram.protocol import Columns
from kernelfit.gram.source import Source
from kernelfit.typing import Float, Span


class ShareLost(KernelfitError):
    """A worker does not have what it is asked for, as it was started anew or has not come so far."""


class SentGram(Source):
    """K of which the blocks (i, j) are there that steps of a share are about to read."""

    flops_per_entry = 0.0

    def __init__(self, layout: PanelLayout) -> None:
        self.layout, self.n = layout, layout.n
        self._panels: dict[int, dict[int, NDArray[Any]]] = {}

    def put(self, j: int, blocks: Mapping[int, NDArray[Any]]) -> None:
        """K[rows of i, panel j] by i; panels whose steps all shares have done are forgotten."""
        self._panels[j] = {**self._panels.get(j, {}), **blocks}
        for k in [k for k in self._panels if k < j - AT_ONCE]:
            del self._panels[k]

    def diagonal(self) -> Float:
        raise NotImplementedError("the diagonal is with whoever has K")

    def columns(self, start: int, stop: int, backend: CpuBackend) -> Columns:
        assert self.layout is not None
        return _SentColumns(self.layout, self._panels.get(self.layout.panel_of(start), {}))


class _SentColumns:
    def __init__(self, layout: PanelLayout, blocks: Mapping[int, NDArray[Any]]) -> None:
        self._layout, self._blocks = layout, blocks

    def fill(self, start: int, stop: int, out: NDArray[Any]) -> None:
        i = self._layout.panel_of(start)
        if i not in self._blocks:
            raise ShareLost(f"K: its block row {i} was not sent")
        first = self._layout.start(i)
        out[...] = self._blocks[i][start - first : stop - first, : out.shape[1]]


def blocks_of(
    columns: Columns, spans: Mapping[int, Span], width: int, dtype: np.dtype[Any]
) -> dict[int, NDArray[Any]]:
    """Rows of some block rows, by their numbers, to be sent."""
    blocks = {}
    for i, (start, stop) in spans.items():
        blocks[i] = np.empty((stop - start, width), dtype)
        columns.fill(start, stop, blocks[i])
    return blocks
