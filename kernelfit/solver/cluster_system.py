"""A factored system whose block rows live on the workers of a Dask cluster."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from kernelfit.cluster import solves, tasks
from kernelfit.cluster.connect import Cluster
from kernelfit.cluster.crew import Crew
from kernelfit.cluster.device_costs import columns_of
from kernelfit.cluster.factor import Factorisation
from kernelfit.cluster.placement import GpuRequest, Placement, place_shares
from kernelfit.cluster.share import Report
from kernelfit.cluster.tasks import Setup
from kernelfit.cpu import few_columns
from kernelfit.cpu.pool import CpuBackend
from kernelfit.device.gram import gram_row_bytes
from kernelfit.device.gram import require_supported as require_formula
from kernelfit.errors import ClusterError, InputError, NotPositiveDefiniteError
from kernelfit.gram.costs import Costs
from kernelfit.gram.plan import Plan
from kernelfit.gram.points import Points
from kernelfit.gram.precision import precision_of
from kernelfit.gram.protocol import GramSource
from kernelfit.linalg.cholesky import Pivots, flops_from, weak_threshold
from kernelfit.linalg.condition import DRAWN, EXACT, drawn, inverse_norm_of
from kernelfit.linalg.product import Product, symmetric_product
from kernelfit.progress import Notes, Progress, Silent
from kernelfit.runs.folder import SEEN, Run, remove_if_empty
from kernelfit.solver.context import Context
from kernelfit.solver.predict import predict
from kernelfit.solver.problem import Problem
from kernelfit.solver.problem_record import record_of
from kernelfit.solver.refinement import solve_with_factor
from kernelfit.solver.resources import Resources
from kernelfit.solver.singular import explained
from kernelfit.solver.system import Solved
from kernelfit.storage.atomic import storage_error
from kernelfit.storage.folders import make_folder
from kernelfit.typing import Float, Span

# Parts of a product with K, or of a prediction, for each worker: enough that a slower one takes fewer.
_PARTS = 4
# Pairs of rows below which a prediction is made here.
_PAIRS_HERE = 10**7


class ClusterSystem:
    """A `kernelfit.solver.system.System` on a cluster, which it closes with itself where it was started for it."""

    def __init__(
        self,
        problem: Problem,
        plan: Plan,
        cluster: Cluster,
        placement: Placement,
        backend: CpuBackend,
        notes: Notes,
        gpus: GpuRequest,
        run: Run | None = None,
    ) -> None:
        self.problem, self.plan, self.backend, self.run = problem, plan, backend, run
        self.seconds = dict.fromkeys(("gram", "factor"), 0.0)
        self.traffic = dict.fromkeys(("factor_read", "factor_written", "received"), 0)
        self.pivots = Pivots()
        self.bytes_read = 0
        self._cluster, self._placement, self._notes, self._gpus = cluster, placement, notes, gpus
        self._inverse_norm: float | None = None
        self._drawn: Float | None = None
        self._crew: Crew | None = None
        self._factorisation: Factorisation | None = None

    @property
    def closed(self) -> bool:
        return self._crew is None

    @property
    def name(self) -> str:
        on_gpus = sum(map(bool, self._placement.gpu if self._crew is None else self._crew.gpu))
        return f"dask, {self._placement.deal.shares} workers" + (f", {on_gpus} on GPUs" if on_gpus else "")

    def factorise(self, progress: Progress, after_panel: Callable[[int], None] | None = None) -> None:
        run, layout = self.run, self.plan.layout
        placement, dtype = self._placement, precision_of(self.plan.precision).factor
        setup = self._setup()
        finished = 0
        if run is not None:
            finished = run.finished
            setup = replace(setup, factor=run.factor_file(), finished=finished)
            self.seconds = dict(zip(("gram", "factor"), run.seconds, strict=True))
        self._crew = Crew(
            self._cluster,
            self.problem.source,
            setup,
            placement,
            self._notes,
            self.backend,
        )
        record = _Record(self, after_panel)
        try:
            with progress.phase("factor", flops_from(layout, finished), "flop") as advance:
                if run is not None:
                    record.take_up(run)
                self._factorisation = Factorisation(self._crew, advance, record.panel)
                self._crew.recovered(self._factorisation.run)
        except NotPositiveDefiniteError as error:
            raise explained(error, self.problem, self.plan.precision) from None
        gram, factor = record.seconds()
        self.seconds["gram"] += gram
        self.seconds["factor"] += factor
        size = dtype.itemsize
        if self.problem.points is None:
            self.traffic["received"] += layout.elements * size
        self.traffic["received"] += sum(map(placement.deal.received, range(placement.deal.shares))) * size
        if run is not None:
            self.traffic["factor_written"] += layout.elements * size

    def solve(self, targets: Float, progress: Progress) -> Solved:
        return solve_with_factor(self, targets, progress)

    def apply_inverse(self, vectors: Float) -> Float:
        count, wanted = vectors.shape[1], self.problem.condition and self.problem.n > EXACT
        if not wanted or self._drawn is not None or count + DRAWN > few_columns.MAX_COLUMNS:
            return self._solved(solves.solve_factored, vectors)
        # The first columns of the condition estimate come with others: a solve is messages more than arithmetic.
        both = np.hstack([vectors, drawn(self.problem.n, self.pivots.row)])
        applied = self._solved(solves.solve_factored, both)
        self._drawn = applied[:, count:]
        return np.ascontiguousarray(applied[:, :count])

    def apply_lower_inverse(self, vectors: Float) -> Float:
        return self._solved(solves.solve_lower, vectors)

    def product(
        self, vectors: Float, progress: Progress, name: str, *, with_norm: bool = False, fresh: bool = True
    ) -> Product:
        layout, source = self.plan.layout, self.problem.source
        if source.points is None:  # K is here alone
            return symmetric_product(
                source, layout, vectors, self.backend, with_norm=with_norm, progress=progress, name=name
            )
        flops = layout.n * (layout.n + 1) / 2.0 * (source.flops_per_entry + 4.0 * vectors.shape[1])
        # Dealt out like cards: a panel costs as many tiles as there are rows below it.
        parts = max(1, min(layout.count, _PARTS * self._placement.deal.shares))
        panels = [range(first, layout.count, parts) for first in range(parts)]
        crew = self._having_factor()

        def multiplied() -> list[Product]:
            sent = crew.send(vectors)
            futures = [
                crew.anywhere(tasks.partial_product, crew.run, layout, part, sent, with_norm)
                for part in panels
            ]
            with progress.phase(name, flops, "flop") as advance:
                return crew.results(futures, lambda: advance(flops / parts))

        products = crew.recovered(multiplied)
        values = np.sum([each.values for each in products], axis=0)
        if not with_norm:
            return Product(values)
        absolute = [each.absolute for each in products if each.absolute is not None]
        whole = len(absolute) == len(products)  # a GPU has none where K has negative entries
        return Product(
            values,
            np.sum([each.sums for each in products], axis=0),
            np.sum(absolute, axis=0) if whole else None,
        )

    def inverse_norm(self) -> float:
        if self._inverse_norm is None:
            n, row = self.problem.n, self.pivots.row
            self._inverse_norm = inverse_norm_of(self.apply_inverse, n, row, self._drawn)
        return self._inverse_norm

    def inverse_diagonal(self, progress: Progress) -> Float:
        n, crew = self.problem.n, self._having_factor()
        with progress.phase("leave-one-out", n**3 / 3.0, "flop") as advance:
            return self._recovered(lambda: solves.inverse_diagonal(crew, self.plan.inverse_columns, advance))

    def predict(self, rows: Points, alpha: Float, progress: Progress) -> Float:
        kernel, points = self.problem.kernel, self.problem.points
        assert kernel is not None
        assert points is not None
        m, n, crew = rows.shape[0], self.problem.n, self._having_factor()
        if float(m) * n < _PAIRS_HERE:
            points.require_unchanged(whole=False)
            with CpuBackend(self.backend.threads) as backend:
                return predict(kernel, points, rows, alpha, backend, progress)
        parts = min(m, _PARTS * self._placement.deal.shares)
        cuts = np.linspace(0, m, parts + 1).astype(int)

        def predicted() -> list[Float]:
            sent, to_all = crew.send(alpha), crew.send(rows)
            spans = list(zip(cuts[:-1].tolist(), cuts[1:].tolist(), strict=True))
            futures = [crew.anywhere(_predicted, crew.run, to_all, span, sent) for span in spans]
            with progress.phase("predict", float(m) * n, "entries") as advance:
                return crew.results(futures, lambda: advance(float(m) * n / parts))

        return np.concatenate(crew.recovered(predicted))

    def fall_back(self, notes: Notes) -> ClusterSystem:
        # Those who hold shares now, as some may have come in place of lost ones.
        crew = self._having_factor()
        holders = tuple(dict.fromkeys(crew.addresses))
        on_gpus = {address for address, taken in zip(crew.addresses, crew.gpu, strict=True) if taken}
        self._forget()
        costs = _costs(self.problem, "float64", self.plan.panel_width)
        usable, lacking = self._gpus.seen(costs, self._cluster)
        if self._gpus.refusal is not None:
            usable = {}
        beside = self._gpus.beside(costs)
        plan, placement = place_shares(
            costs, self._cluster, "auto", self.run is not None, usable, beside, holders
        )
        if (placement.deal, placement.on_disk) != (self._placement.deal, self._placement.on_disk):
            _tell(placement, "auto", notes)
        for address in placement.addresses:
            if address in lacking and (address in on_gpus or self._gpus.device == "cuda"):
                notes.add(f"worker {address} {lacking[address].reason}: in float64 it computes on its CPU")
        if self.run is not None:
            self.run.restart(record_of(self.problem, plan, notes.lines))
        follower = ClusterSystem(
            self.problem, plan, self._cluster, placement, self.backend, notes, self._gpus, self.run
        )
        follower.seconds = dict(self.seconds)
        return follower

    def close(self) -> None:
        self._forget()
        self._cluster.close()

    # -- inside -------------------------------------------------------------------------------------------------

    def _setup(self) -> Setup:
        """How all shares are opened."""
        problem, precision = self.problem, precision_of(self.problem.precision)
        costs = _costs(problem, self.plan.precision, self.plan.panel_width)
        on_cores = precision.tensor_cores and self.plan.precision == precision.of_plan
        return Setup(
            self._placement.deal,
            precision_of(self.plan.precision).factor,
            problem.shift,
            sent=problem.points is None,
            beside=self._gpus.beside(costs),
            max_gpu=self._gpus.memory,
            compute="tf32" if on_cores else "float32",
            columns=columns_of(problem.targets.shape[1]),
        )

    def _having_factor(self) -> Crew:
        assert self._crew is not None
        return self._crew

    def _recovered(self, action: Callable[[], Any]) -> Any:
        """`action` with all of L on the workers, made again where some was lost."""
        crew, factorisation = self._having_factor(), self._factorisation
        assert factorisation is not None

        def whole() -> Any:
            if crew.reopened:
                factorisation.run()
            return action()

        return crew.recovered(whole)

    def _solved(self, solve: Callable[[Crew, Any], Any], vectors: Float) -> Float:
        crew = self._having_factor()
        solved: Float = self._recovered(lambda: solve(crew, vectors)).astype(np.float64, copy=False)
        return solved

    def _forget(self) -> None:
        if self._crew is not None:
            self._crew.close()
            self._crew = self._factorisation = None


class _Record:
    """What finished panels tell: pivots, seconds, and the journal of a run."""

    def __init__(self, system: ClusterSystem, after_panel: Callable[[int], None] | None) -> None:
        self._system, self._after_panel = system, after_panel
        self._layout = system.plan.layout
        self._threshold = weak_threshold(
            system.problem.source.diagonal(), self._layout.n, precision_of(system.plan.precision).factor
        )
        self._started = self._last = time.perf_counter()
        self._gram = self._total = 0.0

    def take_up(self, run: Run) -> None:
        """Panels that an earlier process finished."""
        for j, diagonal in enumerate(run.diagonals()):
            self._pivots(j, diagonal)

    def panel(self, j: int, reports: list[Report]) -> None:
        """Panel j is done; `reports` are those of the steps in which its blocks were made."""
        system = self._system
        step = [report for report in reports if report.j == j]
        for report in step:
            if report.diagonal is not None:
                self._pivots(j, report.diagonal)
        gram = sum(report.seconds_gram for report in step)
        total = sum(report.seconds for report in step)
        self._gram += gram
        self._total += total
        now = time.perf_counter()
        wall, self._last = now - self._last, now
        share = gram / total if total else 0.0
        if system.run is not None:
            checksums = {
                (first, stop): crc
                for report in reports
                for panel, first, stop, crc in report.checksums
                if panel == j
            }
            rows = tuple((*span, crc) for span, crc in sorted(checksums.items()))
            system.run.record(j, rows, (share * wall, (1.0 - share) * wall))
        if self._after_panel is not None:
            self._after_panel(j)

    def seconds(self) -> tuple[float, float]:
        """Of the clock, for K and for the factor, as the workers' times were divided."""
        wall = time.perf_counter() - self._started
        share = self._gram / self._total if self._total else 0.0
        return share * wall, (1.0 - share) * wall

    def _pivots(self, j: int, diagonal: Any) -> None:
        first, last = self._layout.start(j), self._layout.stop(j)
        self._system.pivots.add(diagonal, first, self._threshold[first:last])


def place_on_cluster(
    problem: Problem, cluster: Cluster, context: Context, precision: str, run: Run | None = None
) -> ClusterSystem:
    """The system on a cluster that was reached, whose factor is made in `precision`; `run` is one that is open already.

    Raises `PlanError`, and `ClusterError` where workers do not see the run's folder.
    """
    resources, notes, run_dir = context.resources, context.notes, context.run_dir
    require_supported(precision, resources.device)
    layout = problem.source.layout
    costs = _costs(problem, precision, resources.panel_width if layout is None else layout.width)
    gpus = _gpu_request(problem, resources)
    usable = gpus.usable(costs, cluster, notes.add)
    if resources.device_memory is not None and not usable:
        notes.add("device_memory: ignored, as the workers compute on their CPUs")
    seen, beside = run_dir is not None, gpus.beside(costs)
    plan, placement = place_shares(costs, cluster, resources.tier, seen, usable, beside)
    if run_dir is not None:
        _require_seen(cluster, run_dir)
    if run is None:
        run = context.open_run(problem, plan)
    try:
        _tell(placement, resources.tier, notes)
        return ClusterSystem(problem, plan, cluster, placement, context.backend, notes, gpus, run)
    except BaseException:
        if run is not None:
            run.close()
        raise


def require_supported(precision: str, device: Any) -> None:
    """Raise `InputError` for a precision that CPUs do not have where workers may compute on theirs."""
    if precision_of(precision).tensor_cores and device != "cuda":
        raise InputError(
            f"precision: got {precision} beside engine='dask', whose workers may compute on their CPUs, expected "
            "float64, float32 or mixed; take mixed, or device='cuda'"
        )


def _gpu_request(problem: Problem, resources: Resources) -> GpuRequest:
    """What a solve asks of the workers' GPUs; nothing by itself of workers that are started here, on this machine."""
    device, refusal, kernel = str(resources.device), None, problem.kernel
    if device == "auto" and resources.engine.scheduler is None:
        device = "cpu"
    if kernel is not None:
        try:
            require_formula(kernel)
        except InputError as error:
            refusal = str(error)
    row_bytes = gram_row_bytes(problem.source)
    return GpuRequest(device, resources.device_memory, row_bytes, refusal, kernel)


def require_room(n: int, n_rhs: int, precision: str, tier: str, cluster: Cluster, held: int) -> None:
    """Raise `PlanError` where the factor of a stored K of order n does not fit on the workers.

    `held` bytes of what they have are taken until then by what is held here: nothing where they are on other machines.
    """
    each = held // max(1, len(cluster.workers()))
    costs = Costs.of(n=n, d=0, n_rhs=n_rhs, precision=precision, bytes_points=each)
    place_shares(costs, cluster, tier, False, {}, 0)


def _costs(problem: Problem, precision: str, width: int | None) -> Costs:
    return Costs.of(
        n=problem.n,
        d=0 if problem.points is None else problem.points.width,
        n_rhs=problem.targets.shape[1],
        precision=precision,
        bytes_points=problem.bytes_points,
        panel_width=width,
    )


def _tell(placement: Placement, tier: str, notes: Notes) -> None:
    """Notes on workers that get other rows than the rest, or have them elsewhere."""
    deal, total = placement.deal, placement.deal.layout.elements
    if deal.parts:
        parts = [f"{deal.elements(p) / total:.0%} to {name}" for p, name in enumerate(placement.addresses)]
        notes.add(f"workers differ in speed or memory: of L go {', '.join(parts)}")
    spilled = [name for name, on_disk in zip(placement.addresses, placement.on_disk, strict=True) if on_disk]
    if spilled and tier == "auto":
        notes.add(f"tier disk on {', '.join(spilled)}: their share of L does not fit into their memory")


def _require_seen(cluster: Cluster, folder: Path) -> None:
    """Raise `ClusterError` where a worker does not see the folder of a run, into which it writes its blocks."""
    folder, made = make_folder(folder)
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=SEEN) as token:
            answers = cluster.on_each(tasks.sees, Path(token.name))
    except OSError as error:
        raise storage_error("write into", folder, error) from None
    finally:
        if made:
            remove_if_empty(folder)
    blind = sorted(address for address, seen in answers.items() if not seen)
    if blind:
        raise ClusterError(
            f"run_dir: the worker {blind[0]} does not see {folder}, expected a folder that all workers share, as each "
            "writes its part of L there"
        )


def _predicted(source: GramSource, run: str, rows: Points, span: Span, alpha: Float) -> Float:
    """A part of a prediction, on any worker; by its GPU where it has a share of the run there."""
    assert source.kernel is not None
    assert source.points is not None
    part = rows.take(np.arange(*span), like=source.points)
    values = tasks.predicted_by_share(run, part, alpha)
    if values is not None:
        return values
    with CpuBackend(1) as backend:
        return predict(source.kernel, source.points, part, alpha, backend, Silent())
