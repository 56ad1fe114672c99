"""A factored system whose factor, products with K and predictions live on a device."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from kernelfit.cpu.pool import CpuBackend
from kernelfit.device.cholesky import device_factor
from kernelfit.device.gram import (
    DeviceGram,
    Strips,
    as_int8,
    fetch,
    open_gram,
    pair_bytes,
    put,
    put_rows,
    row_bytes,
)
from kernelfit.device.inverses import TriangleInverses
from kernelfit.device.multi_cholesky import Member, dealt_factor
from kernelfit.device.panels import DevicePanels
from kernelfit.device.plan import DevicePlan
from kernelfit.device.product import DeviceProducts, ProductSpace, predict, product_flops
from kernelfit.device.protocol import Block, Device, aligned
from kernelfit.device.triangular import eliminate_lower, solve_factored, solve_lower
from kernelfit.errors import DeviceError, NotPositiveDefiniteError
from kernelfit.gram.plan import Plan
from kernelfit.gram.points import Points
from kernelfit.gram.precision import precision_of
from kernelfit.linalg.cholesky import Pivots
from kernelfit.linalg.condition import inverse_norm_of
from kernelfit.linalg.product import Product
from kernelfit.progress import Notes, Progress
from kernelfit.runs.folder import Run
from kernelfit.solver.device_plan import close_all, plan_on_device
from kernelfit.solver.problem import Problem
from kernelfit.solver.problem_record import record_of
from kernelfit.solver.refinement import solve_with_factor
from kernelfit.solver.singular import explained
from kernelfit.solver.system import Solved
from kernelfit.storage.folders import make_folder, scratch_folder
from kernelfit.storage.panel_file import PanelFile
from kernelfit.typing import Float

# More blocks of the slab than a prediction takes, its table of terms counted by the alignment that blocks begin at.
_BLOCKS = 32


class DeviceSystem:
    """A `kernelfit.solver.system.System` on devices, which it closes with itself, but for the one that K lies on.

    The first device does everything after the factorisation; the others build panels as well. `plans` are those of
    `kernelfit.solver.device_plan.plan_on_device`; `folder` is where tiles spill to without a run, None the system's.
    `note` gets what the devices could not do as they should.
    """

    def __init__(
        self,
        problem: Problem,
        plans: tuple[Plan, DevicePlan],
        devices: Sequence[Device],
        backend: CpuBackend,
        folder: Path | None,
        run: Run | None,
        note: Callable[[str], None],
    ) -> None:
        self.problem, self.backend, self.run, self._note = problem, backend, run, note
        self.plan, self._on_device = plans
        self._devices = tuple(devices)
        self._device, self._partners = self._devices[0], self._devices[1:]
        self.name = "+".join(device.name for device in devices)
        self.seconds = dict.fromkeys(("gram", "factor"), 0.0)
        self.traffic = dict.fromkeys(("factor_read", "factor_written"), 0)
        self.pivots = Pivots()
        self._folder = folder
        self._inverse_norm: float | None = None
        self._gram: DeviceGram | None = None
        self._store: DevicePanels | None = None
        self._mark = self._device.slab.mark()

    @property
    def closed(self) -> bool:
        return self._store is None

    @property
    def bytes_read(self) -> int:
        return self._panels.bytes_read

    @property
    def _panels(self) -> DevicePanels:
        assert self._store is not None
        return self._store

    def factorise(self, progress: Progress, after_panel: Callable[[int], None] | None = None) -> None:
        plan, device, precision = self._on_device, self._device, precision_of(self._on_device.precision)
        for each in self._devices:
            each.compute = "tf32" if precision.tensor_cores else "float32"
        dtype = precision.factor
        started = time.perf_counter()
        self._stream = device.stream("main")
        self._gram = self._make_gram(device, self._stream)
        slab, n, columns = device.slab, plan.n, plan.columns
        self._vectors = slab.take(n, columns, np.float64)
        self._applied = slab.take(n, columns, np.float64)
        self._rhs = slab.take(n, columns, dtype)
        self._sums = slab.take(n, 1, np.float64)
        self._inverses = TriangleInverses(device, plan.layout, dtype, columns)
        self._tile = slab.take(max(plan.strip, plan.width), plan.width, np.float64)
        self._store = store = DevicePanels(
            device,
            plan.layout,
            dtype,
            slots=plan.slots,
            host_slots=plan.host_slots,
            staged=plan.staged,
            file=self._spill_file(dtype),
            behind=self.run.behind() if self.run is not None else None,
        )
        device.synchronise()
        self.seconds["gram"] += time.perf_counter() - started
        finished, (gram, factored) = (self.run.finished, self.run.seconds) if self.run else (0, (0.0, 0.0))
        try:
            self.pivots = self._factor(finished, progress, after_panel)
        except NotPositiveDefiniteError as error:
            raise explained(error, self.problem, self.plan.precision) from None
        for line in (line for each in self._devices for line in each.notes):
            self._note(line)
        self.seconds["gram"] += gram
        self.seconds["factor"] += factored + self.pivots.seconds_factor
        tile, moved = plan.bytes_tile, store.residency.traffic
        self.traffic |= {
            "factor_read": store.bytes_read,
            "factor_written": store.bytes_written,
            "device_out": moved.out * tile,
            "device_in": moved.into * tile,
        }

    def solve(self, targets: Float, progress: Progress) -> Solved:
        return solve_with_factor(self, targets, progress)

    def apply_inverse(self, vectors: Float) -> Float:
        return self._applied_by(solve_factored, vectors)

    def apply_lower_inverse(self, vectors: Float) -> Float:
        return self._applied_by(solve_lower, vectors)

    def _applied_by(self, solve: Callable[..., None], vectors: Float) -> Float:
        result = np.empty_like(vectors)
        for a, b in self._column_chunks(vectors.shape[1]):
            block = self._cut(self._rhs, len(vectors), b - a)
            put(self._device, self._stream, np.ascontiguousarray(vectors[:, a:b]), block)
            solve(self._device, self._stream, self._panels, block, self._inverses)
            result[:, a:b] = fetch(self._device, self._stream, block)
        return result

    def product(
        self, vectors: Float, progress: Progress, name: str, *, with_norm: bool = False, fresh: bool = True
    ) -> Product:
        assert self._gram is not None
        space = ProductSpace(self._vectors, self._applied, self._sums, self._tile)
        products = DeviceProducts(self._stream, self._gram, self._on_device.layout, space)
        flops = product_flops(self._gram)
        return products.product(vectors, lambda: progress.phase(name, flops, "flop"), with_norm=with_norm)

    def inverse_norm(self) -> float:
        if self._inverse_norm is None:
            self._inverse_norm = inverse_norm_of(self.apply_inverse, self.problem.n, self.pivots.row)
        return self._inverse_norm

    def inverse_diagonal(self, progress: Progress) -> Float:
        """diag(A^-1) (n,), from block columns of L^-1 that fit beside the factor."""
        store, device, stream = self._panels, self._device, self._stream
        layout, size = store.layout, store.dtype.itemsize
        free = device.slab.capacity - device.slab.used
        room = max(free, self._tile.rows * self._tile.stride * 8)
        start = device.slab.used if free == room else self._tile.offset
        width = max(1, min(layout.width, room // (layout.n * size)))
        mark = device.slab.mark()
        if free == room:
            device.slab.take(1, layout.n * width, store.dtype)
        result = np.empty(layout.n)
        with progress.phase("leave-one-out", layout.n**3 / 3.0, "flop") as advance:
            for j in range(layout.count):
                first = layout.start(j)
                for a in range(first, layout.stop(j), width):
                    b = min(a + width, layout.stop(j))
                    columns = Block(start, layout.n - first, b - a, b - a, store.dtype)
                    device.zero(stream, columns)
                    device.set_identity(stream, columns.part((a - first, b - first)))
                    for k in range(j, layout.count):
                        for segment in store.segments(k, k, stream):
                            eliminate_lower(device, stream, segment, columns, layout, origin=first)
                    sums = self._sums.part((0, b - a))
                    device.zero(stream, sums)
                    device.squared_column_sums(stream, columns, sums)
                    result[a:b] = fetch(device, stream, sums)[:, 0]
                    advance(float(layout.n - a) ** 2 * (b - a))
        device.slab.release(mark)
        return result

    def predict(self, rows: Points, alpha: Float, progress: Progress) -> Float:
        points, kernel = self.problem.points, self.problem.kernel
        assert points is not None
        assert kernel is not None
        device, stream = self._device, self._stream
        exact = as_int8(points, rows)
        resident = self._gram.resident(exact) if self._gram is not None else None
        values = np.zeros((rows.shape[0], alpha.shape[1]))
        mark = device.slab.mark()
        # Both sets of rows go over in strips, in what room is left: no less than the pivots' tiles took.
        each = row_bytes(rows, kernel, exact)
        if resident is None:
            points.require_unchanged(threads=self.backend.known_threads)
            each += row_bytes(points, kernel, exact) + pair_bytes(kernel, exact) * self._on_device.width
        height = self._rows_at_once(each)
        with progress.phase("predict", float(rows.shape[0]) * self._on_device.n, "entries") as advance:
            for a in range(0, rows.shape[0], height):
                b = min(a + height, rows.shape[0])
                test = put_rows(device, stream, rows, kernel, exact, (a, b))
                inner = device.slab.mark()
                step = height if resident is None else self._on_device.n
                for first in range(0, self._on_device.n, step):
                    last = min(first + step, self._on_device.n)
                    if resident is not None:
                        train, strips = resident
                    else:
                        train = put_rows(device, stream, points, kernel, exact, (first, last))
                        strips = Strips(device, kernel, exact, height, min(height, self._on_device.width))
                        strips.prepare(stream)
                    for columns in self._column_chunks(alpha.shape[1]):
                        part = alpha[first:last, columns[0] : columns[1]]
                        weights = self._cut(self._vectors, *part.shape)
                        put(device, stream, part, weights)
                        out = self._cut(self._applied, b - a, part.shape[1])
                        predict(device, stream, strips, test, train, weights, self._tile, out)
                        values[a:b, columns[0] : columns[1]] += fetch(device, stream, out)
                    advance(float(b - a) * (last - first))
                    device.slab.release(inner)
                device.slab.release(mark)
        return values

    def fall_back(self, notes: Notes) -> DeviceSystem:
        self._release()
        plans = plan_on_device(
            self.problem,
            self._devices,
            threads=self.plan.threads,
            folder=self._folder,
            precision="float64",
            memory=self.plan.memory_limit,
        )
        if self.run is not None:
            self.run.restart(record_of(self.problem, plans[0], notes.lines))
        follower = DeviceSystem(
            self.problem, plans, self._devices, self.backend, self._folder, self.run, notes.add
        )
        follower.seconds = dict(self.seconds)
        return follower

    def close(self) -> None:
        self._release()
        close_all(self._devices, self.problem.source)

    # -- inside -------------------------------------------------------------------------------------------------

    def _factor(self, finished: int, progress: Progress, after_panel: Callable[[int], None] | None) -> Pivots:
        assert self._gram is not None
        shift = self.problem.shift
        if not self._partners:
            return device_factor(
                self._gram,
                shift,
                self._panels,
                None,
                progress,
                first_panel=finished,
                after_panel=after_panel,
                inverses=self._inverses,
            )
        marks = [device.slab.mark() for device in self._devices]
        members = [Member(self._panels, self._inverses, self._gram)]
        try:
            for partner in self._partners:
                gram = self._make_gram(partner, partner.stream("main"))
                plan = self._on_device
                store = DevicePanels(
                    partner, plan.layout, self._panels.dtype, slots=plan.slots, host_slots=0, staged=0
                )
                inverses = TriangleInverses(partner, plan.layout, self._panels.dtype, plan.columns)
                partner.synchronise()
                members.append(Member(store, inverses, gram))
            return dealt_factor(members, shift, progress, first_panel=finished, after_panel=after_panel)
        finally:
            # A panel may be on its way into the memory of another device.
            for device in self._devices:
                with suppress(DeviceError):
                    device.synchronise()
            for member in members[1:]:
                member.store.close()
            for device, mark in zip(self._devices, marks, strict=True):
                device.slab.release(mark)

    def _release(self) -> None:
        if self._store is not None:
            self._store.close()
            self._store = None
        self._device.slab.release(self._mark)
        self._gram = None

    def _make_gram(self, device: Device, stream: Any) -> DeviceGram:
        plan = self._on_device
        height = max(plan.strip, plan.width)
        gram = open_gram(device, stream, self.problem.source, self.backend, height, plan.width)
        if isinstance(self.problem.shift, np.ndarray):
            gram.shift_by(stream, self.problem.shift)
        return gram

    def _spill_file(self, dtype: np.dtype[Any]) -> PanelFile | None:
        if self.run is not None or not self._on_device.bytes_disk:
            return None
        folder, _ = make_folder(scratch_folder(self._folder, self._note))
        path = folder / f"kernelfit-{os.getpid()}-{id(self):x}.h5"
        return PanelFile.create(path, self._on_device.layout, dtype, named=False, reserved=False)

    def _rows_at_once(self, each: int) -> int:
        """Rows of a prediction for which there is room, each of which takes so many bytes."""
        free = self._device.slab.capacity - self._device.slab.used - _BLOCKS * aligned(1)
        return max(1, min(self._tile.rows, free // each, self._on_device.n))

    def _column_chunks(self, count: int) -> list[tuple[int, int]]:
        step = self._on_device.columns
        return [(a, min(a + step, count)) for a in range(0, count, step)]

    @staticmethod
    def _cut(block: Block, rows: int, columns: int) -> Block:
        """Rows packed as narrow as they are."""
        return Block(block.offset, rows, columns, columns, block.dtype)
