"""The panel Cholesky of `kernelfit.linalg.cholesky` on a device: same panels, same order, other streams.

Two streams share the work. On `updates` each panel is generated and the products with earlier panels are subtracted;
on the urgent stream `factor` its diagonal block is factored, the block below is solved, and the right-hand sides are
carried along. Panel J + 1 is generated and updated with all panels but the last while panel J is being factored, so
that the device has products to compute while potrf, which is too small to fill it, runs.

The host reads the status and the diagonal of every panel, one panel behind the device.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernelfit.device.gram import DeviceGram, Shift
from kernelfit.device.panels import DevicePanels, Segment
from kernelfit.device.protocol import Block, Device
from kernelfit.device.triangular import eliminate_lower, solve_right
from kernelfit.errors import DeviceError
from kernelfit.gram.layout import PanelLayout
from kernelfit.linalg.cholesky import Pivots, not_positive, panel_flops, weak_threshold
from kernelfit.progress import Progress, Silent

#: the diagonal block is updated in so many strips of rows: the more, the less is computed above the diagonal
DIAGONAL_STRIPS = 2


@dataclass
class Workspace:
    """What the factorisation holds on the device and the host beside the panels."""

    saved: tuple[Block, Block]
    potrf: Block
    status: Block
    host_status: NDArray[np.int32]
    host_diagonal: NDArray[Any]

    @classmethod
    def take(cls, device: Device, layout: PanelLayout, dtype: Any) -> Workspace:
        kind = np.dtype(dtype)
        width = layout.width
        # What a library wants is known for the order that it was asked about, and the last block is smaller.
        work = max(device.potrf_workspace(order, kind) for order in layout.orders)
        slab = device.slab
        return cls(
            (slab.take(width, width, kind), slab.take(width, width, kind)),
            slab.take(1, max(1, -(-work // kind.itemsize)), kind),
            slab.take(layout.count, 1, np.int32),
            device.host(layout.count * 4).view(np.int32),
            device.host(layout.n * kind.itemsize).view(kind),
        )

    def release(self, device: Device) -> None:
        """Give back what is on the host."""
        for array in (self.host_status, self.host_diagonal):
            device.release_host(array.view(np.uint8))


def device_factor(
    gram: DeviceGram,
    shift: Shift,
    store: DevicePanels,
    rhs: Block | None = None,
    progress: Progress | None = None,
    *,
    first_panel: int = 0,
    after_panel: Callable[[int], None] | None = None,
    diagonal_strips: int = DIAGONAL_STRIPS,
) -> Pivots:
    """Fill `store` with L, K + shift I = L L^T; `rhs` (n, c) in the store's dtype becomes L^-1 rhs on the way.

    Panels before `first_panel` are in the store already. Raises `NotPositiveDefiniteError` like
    `kernelfit.linalg.cholesky.factor`, `DeviceError` where the device fails.
    """
    device, layout, progress = store.device, store.layout, progress or Silent()
    pivots = Pivots()
    diagonal = gram.diagonal()
    threshold = weak_threshold(diagonal, layout.n, store.dtype)
    updates, urgent = device.stream("updates"), device.stream("factor", urgent=True)
    mark = device.slab.mark()
    work = Workspace.take(device, layout, store.dtype)
    # Panels whose status the host has not read yet, with the event after which it can.
    pending: deque[tuple[int, Any]] = deque()
    started = time.perf_counter()

    with progress.phase("factor", layout.factor_flops(), "flop") as advance:

        def check(max_pending: int) -> None:
            while len(pending) > max_pending:
                j, event = pending.popleft()
                device.synchronise(event)
                check_panel(work, layout, j, device, urgent, pivots, threshold)
                advance(panel_flops(layout, j))
                if after_panel is not None and j >= first_panel:
                    after_panel(j)

        for j in range(first_panel):
            store.load(j, updates)
            if rhs is not None:
                device.wait(urgent, store.finished(j))
                _carry(store.segments(j, j, urgent), rhs, layout, j, device, urgent)
            read_diagonal(store, j, work, layout, device, urgent)
            store.used(j, device.record(urgent))
            pending.append((j, device.record(urgent)))
            check(0)
        for j in range(first_panel, layout.count):
            began = time.perf_counter()
            targets = store.begin(j, updates)
            for target in targets:
                gram.fill(updates, target.rows, (layout.start(j), layout.stop(j)), target.block, shift)
            for k in range(j):
                update_panel(targets, store, layout, j, k, device, updates, diagonal_strips)
            finished = complete_panel(targets, layout, j, work, device, updates, urgent)
            store.finish(j, finished, (0.0, time.perf_counter() - began))
            if rhs is not None:
                _carry(iter(targets), rhs, layout, j, device, urgent)
                store.used(j, device.record(urgent))
            pending.append((j, finished))
            # The panel after the next overwrites what was saved of this one.
            check(0 if j + 1 == layout.count else 1)
        store.flush()
    device.slab.release(mark)
    work.release(device)
    pivots.seconds_factor = time.perf_counter() - started
    return pivots


def complete_panel(
    targets: list[Segment],
    layout: PanelLayout,
    j: int,
    work: Workspace,
    device: Device,
    updates: Any,
    urgent: Any,
) -> Any:
    """Factor the diagonal block of an updated panel and solve below it, after what `updates` has to do; the event
    after which the panel is complete and its status and diagonal are on the host."""
    device.wait(urgent, device.record(updates))
    top = targets[0].block.part((0, layout.shape(j)[1]))
    device.copy(urgent, top, work.saved[j % 2].part((0, top.rows), (0, top.columns)))
    device.potrf(urgent, top, work.potrf, work.status.part((j, j + 1)))
    device.copy_out(urgent, work.status.part((j, j + 1)), work.host_status[j : j + 1])
    for target in targets:
        below = _below(target, j, top.rows)
        if below.rows:
            solve_right(device, urgent, top, below)
    _copy_diagonal(top, work, layout, j, device, urgent)
    return device.record(urgent)


def check_panel(
    work: Workspace,
    layout: PanelLayout,
    j: int,
    device: Device,
    stream: Any,
    pivots: Pivots,
    threshold: NDArray[np.float64],
) -> None:
    """Read what potrf said of panel j; on failure its block is fetched as it was before, to tell the pivot."""
    first, last = layout.start(j), layout.stop(j)
    diagonal = work.host_diagonal[first:last]
    info = int(work.host_status[j])
    if info < 0:
        raise DeviceError(
            f"device: potrf refused its argument {-info} for panel {j}; report this as a defect"
        )
    bad = np.flatnonzero(~(diagonal > 0))
    if info == 0 and bad.size:
        info = int(bad[0]) + 1  # a NaN that the library let pass
    if info:
        width = last - first
        block = device.host(width * width * diagonal.itemsize).view(diagonal.dtype).reshape(width, width)
        device.copy_out(stream, work.saved[j % 2].part((0, width), (0, width)), block)
        device.synchronise(device.record(stream))
        raise not_positive(block.copy(), info - 1, first)
    pivots.add(diagonal, first, threshold[first:last])


def update_panel(
    targets: list[Segment],
    store: DevicePanels,
    layout: PanelLayout,
    j: int,
    k: int,
    device: Device,
    stream: Any,
    diagonal_strips: int,
) -> None:
    """P <- P - L[J:, k] L[J, k]^T, one product for each stretch of rows that are neighbours on both sides."""
    top: Block | None = None
    width = layout.shape(j)[1]
    for segment in store.segments(k, j, stream):
        if top is None:
            top = segment.block.part((0, layout.stop(j) - segment.rows[0]))
        for target in targets:
            start, stop = max(segment.rows[0], target.rows[0]), min(segment.rows[1], target.rows[1])
            if start >= stop:
                continue
            if start == layout.start(j):
                # The diagonal block: strips that end at the diagonal, the last of them with all rows below.
                edges = [start + width * s // diagonal_strips for s in range(diagonal_strips)]
                spans = list(zip(edges, [*edges[1:], stop], strict=True))
            else:
                spans = [(start, stop)]
            for a, b in spans:
                if a >= b:
                    continue
                columns = (0, min(width, b - layout.start(j)))
                device.gemm(
                    stream,
                    -1.0,
                    segment.block.part((a - segment.rows[0], b - segment.rows[0])),
                    top.part(columns),
                    1.0,
                    target.block.part((a - target.rows[0], b - target.rows[0]), columns),
                    transpose_b=True,
                )


def _below(target: Segment, j: int, width: int) -> Block:
    """The rows of a segment of panel j that lie below its diagonal block."""
    return target.block.part((width, target.block.rows)) if target.first == j else target.block


def _carry(segments: Any, rhs: Block, layout: PanelLayout, j: int, device: Device, stream: Any) -> None:
    """A step of forward substitution with panel j."""
    for segment in segments:
        eliminate_lower(device, stream, segment, rhs, layout)


def read_diagonal(
    store: DevicePanels, j: int, work: Workspace, layout: PanelLayout, device: Device, stream: Any
) -> None:
    """The diagonal of a panel that was loaded."""
    segment = next(store.segments(j, j, stream))
    _copy_diagonal(segment.block.part((0, layout.shape(j)[1])), work, layout, j, device, stream)
    work.host_status[j] = 0


def _copy_diagonal(
    top: Block, work: Workspace, layout: PanelLayout, j: int, device: Device, stream: Any
) -> None:
    device.copy_out(stream, top.diagonal(), work.host_diagonal[layout.start(j) : layout.stop(j)])
