"""The panel Cholesky of `kernelfit.device.cholesky` on several devices of one host: panels are dealt out.

Panel J belongs to device J mod P. Every device keeps all panels, so that it has what its own panels are updated with:
a panel is built once, then copied to the others, n^2/2 numbers to each device in all: straight from device to device
where the one reaches the other, through pinned host memory elsewhere. A device generates and updates panel J + P as far
as it can while panel J travels and the others complete theirs.

After the factorisation the first device has everything, and solves as if it had been alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernelfit.device.cholesky import update_panel
from kernelfit.device.completion import Worker
from kernelfit.device.gram import DeviceGram, Shift
from kernelfit.device.panels import DevicePanels, Segment
from kernelfit.device.protocol import Device
from kernelfit.gram.layout import PanelLayout
from kernelfit.linalg.cholesky import Pivots, flops_from, panel_flops, weak_threshold
from kernelfit.progress import Progress, Silent

#: bytes of a panel on their way at a time; two such pieces of pinned memory are in use
_PIECE = 2**26


@dataclass
class Member(Worker):
    """A device with its own copy of what K is made from, and of the factor."""

    gram: DeviceGram
    outgoing: Any = field(init=False)
    incoming: Any = field(init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.outgoing, self.incoming = self.device.stream("outgoing"), self.device.stream("incoming")


def dealt_factor(
    members: Sequence[Member],
    shift: Shift,
    progress: Progress | None = None,
    *,
    first_panel: int = 0,
    after_panel: Callable[[int], None] | None = None,
) -> Pivots:
    """Fill the store of every member with L, K + shift I = L L^T; their stores hold all tiles.

    Panels before `first_panel` are in the first member's store already. Raises as `device_factor` does.
    """
    progress, store = progress or Silent(), members[0].store
    layout, count = store.layout, len(members)
    pivots, diagonal = Pivots(), members[0].gram.diagonal()
    threshold = weak_threshold(diagonal, layout.n, store.dtype)
    courier = _Courier(members)
    begun: dict[int, list[Segment]] = {}
    started = time.perf_counter()

    def begin(i: int, available: int) -> None:
        """Panel i as far as panels before `available` are there."""
        for index, member in enumerate(members):
            targets = member.store.begin(i, member.updates)
            if index != i % count:
                continue
            begun[i] = targets
            for target in targets:
                columns = (layout.start(i), layout.stop(i))
                member.gram.fill(member.updates, target.rows, columns, target.block, shift)
            update(i, 0, available)

    def update(i: int, first: int, last: int) -> None:
        member = members[i % count]
        for k in range(first, min(last, i)):
            update_panel(begun[i], member.store, i, k, member.updates)

    with progress.phase("factor", flops_from(layout, first_panel), "flop") as advance:
        for j in range(first_panel):
            first = members[0]
            store.load(j, first.updates)
            first.read_diagonal(j)
            first.device.synchronise(first.device.record(first.urgent))
            first.check(j, pivots, threshold)
            for member in members[1:]:
                member.store.begin(j, member.updates)
            courier.deliver(j, 0)
        last = time.perf_counter()
        for i in range(first_panel, min(first_panel + count, layout.count)):
            begin(i, first_panel)
        for j in range(first_panel, layout.count):
            owner = members[j % count]
            update(j, max(first_panel, j - count + 1), j)
            targets = begun.pop(j)
            owner.factor_top(j, targets)
            # What the device has to compute while the diagonal block is in work.
            if j + count < layout.count:
                begin(j + count, j)
            finished = owner.solve_below(j, targets)
            before, last = last, time.perf_counter()
            seconds = (0.0, last - before)
            owner.store.finish(j, finished, seconds)
            if j + count < layout.count:
                update(j + count, j, j + 1)
            owner.device.synchronise(finished)
            owner.check(j, pivots, threshold)
            courier.deliver(j, j % count, seconds)
            advance(panel_flops(layout, j))
            if after_panel is not None and j > first_panel:
                after_panel(j - 1)  # this one is handed to whoever records it when the next is finished
        for member in members:
            member.store.flush()
            member.work.release(member.device)
        courier.close()
        if after_panel is not None and first_panel < layout.count:
            after_panel(layout.count - 1)
    pivots.seconds_factor = time.perf_counter() - started
    return pivots


class _Courier:
    """Copies finished panels from device to device: straight, or through two pieces of pinned host memory."""

    def __init__(self, members: Sequence[Member]) -> None:
        self._members = members
        layout, size = members[0].store.layout, members[0].store.dtype.itemsize
        self._nbytes = max(layout.width * size, min(_PIECE, layout.n * layout.width * size))
        self._buffers: list[NDArray[np.uint8]] = []
        # What must have happened before a piece of memory may be written again.
        self._readers: list[list[tuple[Device, Any]]] = [[], []]
        self._turn = 0

    def deliver(self, j: int, owner: int, seconds: tuple[float, float] = (0.0, 0.0)) -> None:
        """Panel j, which is complete on the owner and took so long, to all others, where it then is finished."""
        source = self._members[owner]
        others = [member for index, member in enumerate(self._members) if index != owner]
        near = [member for member in others if source.device.reaches(member.device)]
        source.device.wait(source.outgoing, source.store.finished(j))
        for member in near:
            self._copy_straight(j, source, member)
            member.store.finish(j, source.device.record(source.outgoing), seconds)
        far = [member for member in others if member not in near]
        if far:
            self._copy_through_host(j, source, far)
        for member in far:
            member.store.finish(j, member.device.record(member.incoming), seconds)

    @staticmethod
    def _copy_straight(j: int, source: Member, member: Member) -> None:
        layout = source.store.layout
        for a, b, block in _pieces(source.store, j, (layout.start(j), layout.n)):
            for c, d, target in _pieces(member.store, j, (a, b)):
                source.device.copy_to(source.outgoing, block.part((c - a, d - a)), member.device, target)

    def _copy_through_host(self, j: int, source: Member, others: Sequence[Member]) -> None:
        layout = source.store.layout
        step = max(1, self._nbytes // (layout.shape(j)[1] * source.store.dtype.itemsize))
        for top in range(layout.start(j), layout.n, step):
            rows = (top, min(top + step, layout.n))
            buffer = self._free()
            for a, b, block in _pieces(source.store, j, rows):
                piece = self._piece(buffer, layout, j, rows, a, b, block.dtype)
                source.device.copy_out(source.outgoing, block, piece)
            source.device.synchronise(source.device.record(source.outgoing))
            for member in others:
                for a, b, block in _pieces(member.store, j, rows):
                    piece = self._piece(buffer, layout, j, rows, a, b, block.dtype)
                    member.device.copy_in(member.incoming, piece, block)
                self._readers[self._turn].append((member.device, member.device.record(member.incoming)))

    def close(self) -> None:
        for device, event in (reader for readers in self._readers for reader in readers):
            device.synchronise(event)
        for buffer in self._buffers:
            self._members[0].device.release_host(buffer)

    def _free(self) -> NDArray[np.uint8]:
        """The piece whose readers are done."""
        if not self._buffers:
            self._buffers = [self._members[0].device.host(self._nbytes) for _ in self._readers]
        self._turn = 1 - self._turn
        for device, event in self._readers[self._turn]:
            device.synchronise(event)
        self._readers[self._turn].clear()
        return self._buffers[self._turn]

    @staticmethod
    def _piece(
        buffer: NDArray[np.uint8],
        layout: PanelLayout,
        j: int,
        rows: tuple[int, int],
        a: int,
        b: int,
        dtype: np.dtype[Any],
    ) -> NDArray[Any]:
        """Rows a:b of panel j in a buffer that holds `rows`."""
        width = layout.shape(j)[1]
        line = width * dtype.itemsize
        return buffer[(a - rows[0]) * line : (b - rows[0]) * line].view(dtype).reshape(b - a, width)


def _pieces(store: DevicePanels, j: int, rows: tuple[int, int]) -> list[tuple[int, int, Any]]:
    """(first row, last row, block) of what the store has of panel j between `rows`."""
    found = []
    for segment in store.resident(j):
        a, b = max(rows[0], segment.rows[0]), min(rows[1], segment.rows[1])
        if a < b:
            found.append((a, b, segment.block.part((a - segment.rows[0], b - segment.rows[0]))))
    return found
