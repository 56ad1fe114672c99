"""A factored system whose factor, products with K and predictions live on a device."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kernelfit.cpu.memory import available_memory, free_disk
from kernelfit.cpu.pool import CpuBackend
from kernelfit.device.cholesky import device_factor
from kernelfit.device.gram import (
    DeviceGram,
    Strips,
    as_int8,
    fetch,
    gram_row_bytes,
    open_gram,
    put,
    put_rows,
    require_supported,
)
from kernelfit.device.multi_cholesky import Member, dealt_factor
from kernelfit.device.panels import DevicePanels
from kernelfit.device.plan import DeviceLimits, DevicePlan, DeviceSize, make_device_plan
from kernelfit.device.product import predict, product_flops, symmetric_product
from kernelfit.device.protocol import Block, Device
from kernelfit.device.triangular import eliminate_lower, solve_factored
from kernelfit.errors import NotPositiveDefiniteError, PlanError
from kernelfit.gram.costs import Costs
from kernelfit.gram.plan import Plan
from kernelfit.gram.points import Points
from kernelfit.gram.protocol import GramSource
from kernelfit.linalg.cholesky import Pivots
from kernelfit.linalg.condition import inverse_norm_of
from kernelfit.progress import Progress
from kernelfit.runs.folder import Run, make_folder
from kernelfit.solver.problem import Problem
from kernelfit.solver.system import FactoredSystem
from kernelfit.storage.panel_file import PanelFile
from kernelfit.typing import Float


def plan_on_device(
    problem: Problem,
    devices: Sequence[Device],
    *,
    threads: int,
    precision: str,
    memory: int | None = None,
    place: Path | None = None,
    width: int | None = None,
) -> tuple[Plan, DevicePlan]:
    """What the solve will need of the device, the host and the disk; raises `PlanError` where something is missing."""
    source, points, device = problem.source, problem.points, devices[0]
    if source.kernel is not None:
        require_supported(source.kernel)
    columns = max(2, problem.targets.shape[1])
    d = points.shape[1] if points is not None else 0
    if source.layout is not None:
        width = source.layout.width
    limits = DeviceLimits(
        device=min(one.slab.capacity - one.slab.used for one in devices),
        host=(available_memory() if memory is None else memory) // 2,
        disk=free_disk(place or Path(tempfile.gettempdir())),
    )
    on_device = make_device_plan(
        DeviceSize(source.n, d, gram_row_bytes(source), columns, precision),
        limits,
        width=width,
        work=lambda order: device.potrf_workspace(
            order, np.float64 if precision == "float64" else np.float32
        ),
    )
    if len(devices) > 1 and not on_device.in_core:
        needed = on_device.bytes_fixed + on_device.layout.count * (on_device.layout.count + 1) // 2 * (
            on_device.bytes_tile
        )
        raise PlanError(
            f"device: {needed:,} bytes needed on each of {len(devices)} devices, which all keep the whole factor, got "
            f"{on_device.capacity:,}; name one device, whose factor may spill, or give fewer rows"
        )
    costs = Costs.of(
        n=source.n,
        d=d,
        n_rhs=problem.targets.shape[1],
        threads=threads,
        # TF32 is a way to form products: the factor is refined as that of mixed precision is.
        precision="mixed" if precision == "tf32" else precision,
        points_bytes=points.nbytes if points is not None else 0,
        panel_width=on_device.width,
    )
    return on_device.as_plan(costs, memory if memory is not None else available_memory()), on_device


def close_all(devices: Sequence[Device], source: GramSource) -> None:
    """Close the devices but the one that holds K."""
    for device in devices:
        if source.device is not device:
            device.close()


class DeviceSystem(FactoredSystem):
    """`FactoredSystem` on a device, which it closes with itself unless K lies there.

    `partners` are devices that build panels as well; everything after the factorisation is done by the first.
    """

    store: DevicePanels | None  # type: ignore[assignment]

    def __init__(
        self,
        problem: Problem,
        plan: Plan,
        backend: CpuBackend,
        device: Device,
        on_device: DevicePlan,
        *,
        partners: Sequence[Device] = (),
        run: Run | None = None,
        scratch: Path | None = None,
    ) -> None:
        super().__init__(problem, plan, backend, run=run, scratch=scratch)
        self.device, self.on_device, self.partners = device, on_device, tuple(partners)
        self.name = "+".join(one.name for one in (device, *partners))
        self._problem = problem
        self._gram: DeviceGram | None = None
        self._mark = device.slab.mark()

    def factorise(self, progress: Progress, after_panel: Callable[[int], None] | None = None) -> None:
        """K + (ridge + jitter) I = L L^T into tiles of the device."""
        plan, device = self.on_device, self.device
        for one in (device, *self.partners):
            one.compute = "tf32" if plan.precision == "tf32" else "float32"
        dtype = np.dtype(np.float64 if self.plan.precision == "float64" else np.float32)
        started = time.perf_counter()
        self._stream = device.stream("main")
        self._gram = self._make_gram(device, self._stream)
        slab, n, columns = device.slab, plan.n, plan.columns
        self._vectors = slab.take(n, columns, np.float64)
        self._applied = slab.take(n, columns, np.float64)
        self._rhs = slab.take(n, columns, dtype)
        self._sums = slab.take(n, 1, np.float64)
        self._tile = slab.take(max(plan.strip, plan.width), plan.width, np.float64)
        self.store = DevicePanels(
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
            raise self._explain(error) from None
        self.seconds["gram"] += gram
        self.seconds["factor"] += factored + self.pivots.seconds_factor
        tile, moved = plan.bytes_tile, self.store.residency.traffic
        self.traffic |= {
            "factor_read": self.store.bytes_read,
            "factor_written": self.store.bytes_written,
            "device_out": moved.out * tile,
            "device_in": moved.into * tile,
        }
        if self.condition:
            self._inverse_norm = inverse_norm_of(self._precondition, plan.n)

    def inverse_diagonal(self, progress: Progress) -> Float:
        """diag(A^-1) (n,), from block columns of L^-1 that fit beside the factor."""
        assert self.store is not None
        layout, device, stream = self.store.layout, self.device, self._stream
        size = self.store.dtype.itemsize
        free = device.slab.capacity - device.slab.used
        room = max(free, self._tile.rows * self._tile.stride * 8)
        start = device.slab.used if free == room else self._tile.offset
        width = max(1, min(layout.width, room // (layout.n * size)))
        mark = device.slab.mark()
        if free == room:
            device.slab.take(1, layout.n * width, self.store.dtype)
        result = np.empty(layout.n)
        with progress.phase("leave-one-out", layout.n**3 / 3.0, "flop") as advance:
            for j in range(layout.count):
                first = layout.start(j)
                for a in range(first, layout.stop(j), width):
                    b = min(a + width, layout.stop(j))
                    columns = Block(start, layout.n - first, b - a, b - a, self.store.dtype)
                    device.zero(stream, columns)
                    device.set_identity(stream, columns.part((a - first, b - first)))
                    for k in range(j, layout.count):
                        for segment in self.store.segments(k, k, stream):
                            eliminate_lower(device, stream, segment, columns, layout, origin=first)
                    sums = self._sums.part((0, b - a))
                    device.zero(stream, sums)
                    device.squared_column_sums(stream, columns, sums)
                    result[a:b] = fetch(device, stream, sums)[:, 0]
                    advance(float(layout.n - a) ** 2 * (b - a))
        device.slab.release(mark)
        return result

    def predict(self, rows: Points, alpha: Float, progress: Progress) -> Float:
        """k(rows, training rows) alpha (m, c), strip by strip."""
        assert self.points is not None
        assert self.source.kernel is not None
        device, stream, kernel = self.device, self._stream, self.source.kernel
        exact = as_int8(self.points, rows)
        resident = self._gram.resident(exact) if self._gram is not None else None
        values = np.zeros((rows.shape[0], alpha.shape[1]))
        mark = device.slab.mark()
        # Both sets of rows go over in strips, in what room is left.
        height = self._strip_of_rows(resident is not None)
        with progress.phase("predict", float(rows.shape[0]) * self.on_device.n, "entries") as advance:
            for a in range(0, rows.shape[0], height):
                b = min(a + height, rows.shape[0])
                test = put_rows(device, stream, rows, kernel, exact, (a, b))
                inner = device.slab.mark()
                step = self.on_device.n if resident else height
                for first in range(0, self.on_device.n, step):
                    last = min(first + step, self.on_device.n)
                    if resident:
                        train, strips = resident
                    else:
                        train = put_rows(device, stream, self.points, kernel, exact, (first, last))
                        strips = Strips(device, kernel, exact, height, min(height, self.on_device.width))
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

    def fall_back(self) -> DeviceSystem:
        """The same system in float64 on the same device, its run begun again."""
        self._release()
        plan, on_device = plan_on_device(
            self._problem,
            (self.device, *self.partners),
            threads=self.plan.threads,
            precision="float64",
            memory=self.plan.memory_limit,
            place=self._place(),
        )
        if self.run is not None:
            self.run.restart(plan)
        follower = DeviceSystem(
            self._problem,
            plan,
            self.backend,
            self.device,
            on_device,
            partners=self.partners,
            run=self.run,
            scratch=self.scratch,
        )
        follower.seconds = self.seconds
        return follower

    def close(self) -> None:
        self._release()
        close_all((self.device, *self.partners), self.source)

    # -- inside -------------------------------------------------------------------------------------------------

    def _factor(self, finished: int, progress: Progress, after_panel: Callable[[int], None] | None) -> Pivots:
        assert self._gram is not None
        assert self.store is not None
        shift = self.ridge + self.jitter
        if not self.partners:
            return device_factor(
                self._gram,
                shift,
                self.store,
                None,
                progress,
                first_panel=finished,
                after_panel=after_panel,
            )
        marks = [one.slab.mark() for one in (self.device, *self.partners)]
        members = [Member(self.device, self._gram, self.store)]
        try:
            for one in self.partners:
                gram = self._make_gram(one, one.stream("main"))
                plan = self.on_device
                store = DevicePanels(
                    one, plan.layout, self.store.dtype, slots=plan.slots, host_slots=0, staged=0
                )
                one.synchronise()
                members.append(Member(one, gram, store))
            return dealt_factor(members, shift, progress, first_panel=finished, after_panel=after_panel)
        finally:
            for member in members[1:]:
                member.store.close()
            for one, mark in zip((self.device, *self.partners), marks, strict=True):
                one.slab.release(mark)

    def _release(self) -> None:
        if self.store is not None:
            self.store.close()
            self.store = None
        self.device.slab.release(self._mark)
        self._gram = None

    def _make_gram(self, device: Device, stream: Any) -> DeviceGram:
        plan = self.on_device
        return open_gram(device, stream, self.source, self.backend, max(plan.strip, plan.width), plan.width)

    def _spill_file(self, dtype: np.dtype[Any]) -> PanelFile | None:
        if self.run is not None or not self.on_device.bytes_disk:
            return None
        folder, _ = make_folder(self._place())
        path = folder / f"kernelfit-{os.getpid()}-{id(self):x}.h5"
        return PanelFile.create(path, self.on_device.layout, dtype, named=False, reserved=False)

    def _place(self) -> Path:
        if self.run is not None:
            return self.run.folder
        return self.scratch or Path(tempfile.gettempdir())

    def _strip_of_rows(self, resident: bool) -> int:
        free = self.device.slab.capacity - self.device.slab.used
        each = gram_row_bytes(self.source) + 8 * self.on_device.d
        if not resident:
            each += each + 8 * self.on_device.width
        return max(1, min(self._tile.rows, free // 2 // max(1, each), self.on_device.n))

    def _column_chunks(self, count: int) -> list[tuple[int, int]]:
        step = self.on_device.columns
        return [(a, min(a + step, count)) for a in range(0, count, step)]

    @staticmethod
    def _cut(block: Block, rows: int, columns: int) -> Block:
        """Rows packed as narrow as they are."""
        return Block(block.offset, rows, columns, columns, block.dtype)

    def _precondition(self, vectors: Float) -> Float:
        assert self.store is not None
        result = np.empty_like(vectors)
        for a, b in self._column_chunks(vectors.shape[1]):
            block = self._cut(self._rhs, len(vectors), b - a)
            put(self.device, self._stream, np.ascontiguousarray(vectors[:, a:b]), block)
            solve_factored(self.device, self._stream, self.store, block)
            result[:, a:b] = fetch(self.device, self._stream, block)
        return result

    def _product(
        self, vectors: Float, source: GramSource, progress: Progress, name: str, with_norm: bool = False
    ) -> tuple[Float, float]:
        assert self._gram is not None
        device, result, norm = self.device, np.empty_like(vectors), 0.0
        for a, b in self._column_chunks(vectors.shape[1]):
            block, applied = (
                self._cut(whole, len(vectors), b - a) for whole in (self._vectors, self._applied)
            )
            put(device, self._stream, np.ascontiguousarray(vectors[:, a:b]), block)
            sums = self._sums if with_norm and a == 0 else None
            with progress.phase(name, product_flops(self._gram), "flop") as advance:
                symmetric_product(
                    self._stream, self._gram, self.on_device.layout, block, applied, self._tile, sums, advance
                )
            result[:, a:b] = fetch(device, self._stream, applied)
            if sums is not None:
                norm = float(fetch(device, self._stream, sums).max())
        return result, norm
