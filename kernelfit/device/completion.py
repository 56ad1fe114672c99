"""A panel of the factor whose updates are done is completed: its diagonal block is factored, the rows below it solved.

Below, products with inverses of the small triangles on the diagonal stand for the library's triangular solves wherever
the host, which reads triangles and inverses, finds that errors grow by little (`kernelfit.device.inverses`). So the
diagonal block comes first, then the caller queues what else there is to do, then come the rows below.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernelfit.cpu import blas
from kernelfit.device.inverses import TriangleInverses, growth
from kernelfit.device.panels import DevicePanels, Segment
from kernelfit.device.protocol import Block, Device
from kernelfit.device.triangular import solve_right
from kernelfit.errors import DeviceError
from kernelfit.linalg.cholesky import Pivots, not_positive
from kernelfit.typing import Span


@dataclass
class Workspace:
    """What the factorisation holds on the device and the host beside the panels; `host_triangles` (2, w b) are the
    triangles of a panel and their inverses, without a row where inverses are not to be used."""

    saved: tuple[Block, Block]
    potrf: Block
    status: Block
    host_status: NDArray[np.int32]
    host_diagonal: NDArray[Any]
    host_triangles: NDArray[Any]

    @classmethod
    def take(cls, store: DevicePanels, order: int) -> Workspace:
        """`order` is that of the triangles, 0 for none."""
        device, layout, dtype = store.device, store.layout, store.dtype
        width, slab = layout.width, device.slab
        # What a library wants is known for the order that it was asked about, and the last block is smaller.
        work = max(device.potrf_workspace(height, dtype) for height in layout.orders)
        triangles = device.host(2 * width * order * dtype.itemsize) if order else np.empty(0, np.uint8)
        return cls(
            (slab.take(width, width, dtype), slab.take(width, width, dtype)),
            slab.take(1, max(1, -(-work // dtype.itemsize)), dtype),
            slab.take(layout.count, 1, np.int32),
            device.host(layout.count * 4).view(np.int32),
            device.host(layout.n * dtype.itemsize).view(dtype),
            triangles.view(dtype).reshape(2, -1),
        )

    def release(self, device: Device) -> None:
        """Give back what is on the host."""
        for array in (self.host_status, self.host_diagonal, self.host_triangles):
            if array.size:
                device.release_host(array.view(np.uint8).ravel())


@dataclass
class Worker:
    """A device that completes panels: its part of the factor, the streams and the workspace for it."""

    store: DevicePanels
    inverses: TriangleInverses | None
    updates: Any = field(init=False)
    urgent: Any = field(init=False)
    work: Workspace = field(init=False)
    max_growth: float = field(init=False)

    def __post_init__(self) -> None:
        device = self.store.device
        self.updates, self.urgent = device.stream("updates"), device.stream("factor", urgent=True)
        self.max_growth = 0.0 if self.inverses is None else self.inverses.max_growth()
        order = self.inverses.order if self.inverses is not None and self.max_growth >= 1.0 else 0
        self.work = Workspace.take(self.store, order)

    @property
    def device(self) -> Device:
        return self.store.device

    def factor_top(self, j: int, targets: list[Segment]) -> None:
        """Factor the diagonal block of panel j, after what `updates` has to do."""
        device, work, urgent = self.device, self.work, self.urgent
        device.wait(urgent, device.record(self.updates))
        top = self._top(j, targets)
        device.copy(urgent, top, work.saved[j % 2].part((0, top.rows), (0, top.columns)))
        status = work.status.part((j, j + 1))
        device.potrf(urgent, top, work.potrf, status)
        device.copy_out(urgent, status, work.host_status[j : j + 1])
        self._copy_diagonal(j, top)
        if self.inverses is not None and work.host_triangles.size:
            self.inverses.form(urgent, j, top)
            for span in self.inverses.spans(top.rows):
                on_host = self._pair(span)
                device.copy_out(urgent, top.part(span, span), on_host[0])
                device.copy_out(urgent, self.inverses.inverse(j, span), on_host[1])

    def solve_below(self, j: int, targets: list[Segment]) -> Any:
        """Solve the rows below the diagonal block of panel j, for which the host waits where there are inverses; the
        event after which the panel is complete and its status and diagonal are on the host."""
        device, top = self.device, self._top(j, targets)
        inverses = self.inverses if self._is_tame(top.rows) else None
        for target in targets:
            below = target.block.part((top.rows, target.block.rows)) if target.first == j else target.block
            if not below.rows:
                continue
            if inverses is None:
                solve_right(device, self.urgent, top, below)
            else:
                by_inverse = inverses.multiply_right
                solve_right(
                    device,
                    self.urgent,
                    top,
                    below,
                    lambda span, x: by_inverse(self.urgent, j, span, x),  # noqa: B023 - called here
                )
        return device.record(self.urgent)

    def read_diagonal(self, j: int) -> None:
        """The diagonal of a panel that was loaded."""
        self._copy_diagonal(j, self._top(j, [next(self.store.segments(j, j, self.urgent))]))
        self.work.host_status[j] = 0

    def check(self, j: int, pivots: Pivots, threshold: NDArray[np.float64]) -> None:
        """Read what potrf said of panel j; on failure its block is fetched as it was before, to tell the pivot."""
        layout, device, work = self.store.layout, self.device, self.work
        first, last = layout.start(j), layout.stop(j)
        diagonal = work.host_diagonal[first:last]
        info = int(work.host_status[j])

        def saved() -> NDArray[Any]:
            width = last - first
            block = device.host(width * width * diagonal.itemsize).view(diagonal.dtype).reshape(width, width)
            device.copy_out(self.urgent, work.saved[j % 2].part((0, width), (0, width)), block)
            device.synchronise(device.record(self.urgent))
            return block

        require_positive(info, diagonal, j, first, saved)
        pivots.add(diagonal, first, threshold[first:last])

    # -- inside -------------------------------------------------------------------------------------------------

    def _top(self, j: int, targets: list[Segment]) -> Block:
        return targets[0].block.part((0, self.store.layout.shape(j)[1]))

    def _is_tame(self, width: int) -> bool:
        """Whether the inverses of the panel in work may be multiplied by."""
        if self.inverses is None or not self.work.host_triangles.size:
            return False
        self.device.synchronise(self.device.record(self.urgent))
        # NaN, of a block that is not positive, is not less than anything.
        return all(growth(*self._pair(span)) <= self.max_growth for span in self.inverses.spans(width))

    def _pair(self, span: Span) -> tuple[NDArray[Any], NDArray[Any]]:
        """Where the host has the triangle of rows a:b and its inverse."""
        assert self.inverses is not None
        start, order = span[0] * self.inverses.order, span[1] - span[0]
        triangle, inverse = (
            row[start : start + order * order].reshape(order, order) for row in self.work.host_triangles
        )
        return triangle, inverse

    def _copy_diagonal(self, j: int, top: Block) -> None:
        layout = self.store.layout
        self.device.copy_out(
            self.urgent, top.diagonal(), self.work.host_diagonal[layout.start(j) : layout.stop(j)]
        )


def require_positive(
    info: int, diagonal: NDArray[Any], j: int, first: int, saved: Callable[[], NDArray[Any]]
) -> None:
    """Raise `NotPositiveDefiniteError` where potrf, which said `info`, left a diagonal that is not positive.

    The diagonal block of panel j begins at row `first`; `saved` fetches it as it was, to tell the pivot.
    """
    if info < 0:
        raise DeviceError(
            f"device: potrf refused its argument {-info} for panel {j}; report this as a defect"
        )
    bad = np.flatnonzero(~(diagonal > 0))
    if info == 0 and bad.size:
        info = int(bad[0]) + 1  # a NaN that the library let pass
    if info:
        block = saved()
        # LAPACK's index: a GPU's library promises none for a NaN. Where rounding lets LAPACK pass, the library's.
        row = (blas.potrf(block.copy()) or info) - 1
        raise not_positive(block.copy(), row, first)
