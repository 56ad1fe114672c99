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
from typing import Any

from kernelfit.device.completion import Worker
from kernelfit.device.gram import DeviceGram, Shift
from kernelfit.device.inverses import TriangleInverses
from kernelfit.device.panels import DevicePanels, Segment
from kernelfit.device.protocol import Block, Device
from kernelfit.device.triangular import eliminate_lower
from kernelfit.gram.layout import PanelLayout
from kernelfit.linalg.cholesky import Pivots, flops_from, panel_flops, weak_threshold
from kernelfit.progress import Progress, Silent

#: the diagonal block is updated in so many strips of rows: the more, the less is computed above the diagonal
DIAGONAL_STRIPS = 2


def device_factor(
    gram: DeviceGram,
    shift: Shift,
    store: DevicePanels,
    rhs: Block | None = None,
    progress: Progress | None = None,
    *,
    first_panel: int = 0,
    after_panel: Callable[[int], None] | None = None,
    inverses: TriangleInverses | None = None,
) -> Pivots:
    """Fill `store` with L, K + shift I = L L^T; `rhs` (n, c) in the store's dtype becomes L^-1 rhs on the way.

    With `inverses`, which are those of L afterwards, rows below a diagonal block are products wherever that is as good.
    Panels before `first_panel` are in the store already. Raises `NotPositiveDefiniteError` like
    `kernelfit.linalg.cholesky.factor`, `DeviceError` where the device fails.
    """
    device, layout, progress = store.device, store.layout, progress or Silent()
    pivots, threshold = Pivots(), weak_threshold(gram.diagonal(), layout.n, store.dtype)
    mark = device.slab.mark()
    worker = Worker(store, inverses)
    updates, urgent = worker.updates, worker.urgent
    # Panels whose status the host has not read yet, with the event after which it can.
    pending: deque[tuple[int, Any]] = deque()
    started = time.perf_counter()

    def begin(j: int) -> list[Segment]:
        """Panel j, updated with all panels but the last."""
        targets = store.begin(j, updates)
        for target in targets:
            gram.fill(updates, target.rows, (layout.start(j), layout.stop(j)), target.block, shift)
        for k in range(max(first_panel, j - 1)):
            update_panel(targets, store, j, k, updates)
        return targets

    with progress.phase("factor", flops_from(layout, first_panel), "flop") as advance:

        def check(max_pending: int) -> None:
            while len(pending) > max_pending:
                j, event = pending.popleft()
                device.synchronise(event)
                worker.check(j, pivots, threshold)
                if j < first_panel:
                    continue
                advance(panel_flops(layout, j))
                if after_panel is not None:
                    store.hand_over(j)  # nothing that follows would, where this ends the work
                    after_panel(j)

        for j in range(first_panel):
            store.load(j, updates)
            if rhs is not None:
                device.wait(urgent, store.finished(j))
                _carry(store.segments(j, j, urgent), rhs, layout, device, urgent)
            worker.read_diagonal(j)
            store.used(j, device.record(urgent))
            pending.append((j, device.record(urgent)))
            check(0)
        last = time.perf_counter()
        following = begin(first_panel) if first_panel < layout.count else []
        for j in range(first_panel, layout.count):
            targets = following
            for k in range(max(first_panel, j - 1), j):
                update_panel(targets, store, j, k, updates)
            worker.factor_top(j, targets)
            # What the device has to compute while the diagonal block is in work.
            following = begin(j + 1) if j + 1 < layout.count else []
            finished = worker.solve_below(j, targets)
            before, last = last, time.perf_counter()
            store.finish(j, finished, (0.0, last - before))
            if rhs is not None:
                _carry(iter(targets), rhs, layout, device, urgent)
                store.used(j, device.record(urgent))
            pending.append((j, finished))
            # The panel after the next overwrites what was saved of this one.
            check(0 if j + 1 == layout.count else 1)
        store.flush()
    device.slab.release(mark)
    worker.work.release(device)
    pivots.seconds_factor = time.perf_counter() - started
    return pivots


def update_panel(targets: list[Segment], store: DevicePanels, j: int, k: int, stream: Any) -> None:
    """P <- P - L[J:, k] L[J, k]^T, one product for each stretch of rows that are neighbours on both sides."""
    device, layout = store.device, store.layout
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
                edges = [start + width * s // DIAGONAL_STRIPS for s in range(DIAGONAL_STRIPS)]
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


def _carry(segments: Any, rhs: Block, layout: PanelLayout, device: Device, stream: Any) -> None:
    """A step of forward substitution with the segments of a panel."""
    for segment in segments:
        eliminate_lower(device, stream, segment, rhs, layout)
