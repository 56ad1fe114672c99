"""The plan of a solve before its rows are read: how many there are, and what the CPU would do with them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import numpy as np

from kernelfit.arguments import bytes_of, integer, positive
from kernelfit.cluster.connect import Engine
from kernelfit.cluster.model import Machines, Prediction
from kernelfit.cluster.model import predict as predict_cluster
from kernelfit.cpu.memory import available_memory, free_disk
from kernelfit.cpu.pool import CpuBackend
from kernelfit.datasets import REGISTRY
from kernelfit.datasets.loading import refuse_for_known
from kernelfit.errors import InputError
from kernelfit.experiments import gemm_rate
from kernelfit.experiments.specs import DataSpec, SolverSettings
from kernelfit.gram.costs import Costs
from kernelfit.gram.layout import ONE_TILE
from kernelfit.gram.placement import Limits, place
from kernelfit.gram.plan import Plan
from kernelfit.gram.points import bytes_of_points, chunk_of, speed_of_bytes
from kernelfit.gram.precision import before_choice, precision_of
from kernelfit.iterative.plan import plan_either, plan_iterations
from kernelfit.iterative.sketch_plan import plan_blocks
from kernelfit.iterative.timing import timed, timed_blocks
from kernelfit.solver.method import require_iterable, require_tier
from kernelfit.storage.folders import scratch_folder


@dataclass(frozen=True)
class Shape:
    """Rows, features, right-hand sides, and what the rows are stored as.

    Attributes
    ----------
    dtype : of the numbers in memory: uint8, float32 or float64
    levels : of integers, how many there are from the least to the largest
    """

    n: int
    d: int
    n_rhs: int
    dtype: str = "float64"
    levels: int = 256

    @property
    def exact(self) -> bool:
        """Whether the rows are integers, whose products are faster."""
        return np.dtype(self.dtype).kind in "ui"

    @property
    def single_product(self) -> bool:
        """As `Points.single_product`."""
        reach = max(1, self.levels // 2)
        return self.exact and self.d <= chunk_of(reach, reach)

    @property
    def bytes_points(self) -> int:
        return bytes_of_points(self.n, self.d, np.dtype(self.dtype).itemsize)


def shape_of(data: DataSpec, seed: int = 0) -> Shape:
    """Of the training rows. Data sets known by name are not read.

    Raises `InputError` for what `DataSpec.load` refuses.
    """
    spec = REGISTRY.get(data.dataset) if data.train is None else None
    if spec is None:
        dataset = data.load(seed)
        n_rhs = 1 if dataset.y_train.ndim == 1 else int(dataset.y_train.shape[1])
        if dataset.classes is not None:
            n_rhs = len(dataset.classes)
        X = dataset.X_train
        shape = Shape(dataset.n_train, dataset.n_features, n_rhs, X.dtype.name)
        return replace(shape, levels=int(X.max()) - int(X.min()) + 1) if shape.exact and X.size else shape
    refuse_for_known(data.dataset, data.test, data.of_files)
    if data.n_test is not None and data.n_test > spec.n_test:
        raise InputError(
            f"n_test: got {data.n_test}, expected 0 to {spec.n_test}, the test rows of {data.dataset}"
        )
    n = data.n_train
    if n is not None and not 1 <= n <= spec.n_train:
        raise InputError(
            f"n_train: {data.dataset} has {spec.n_train:,} rows, got {n:,}; give n_features (--d) for rows of your own"
        )
    height, columns, channels = spec.image_shape
    return Shape(n or spec.n_train, height * columns * channels, len(spec.classes), "uint8")


def shape_of_numbers(data: DataSpec, n_features: int, of_bytes: bool = False) -> Shape:
    """Of `n_train` rows with `n_features` columns, float64 or bytes, in place of a data set."""
    for field in fields(DataSpec):
        if field.name != "n_train" and getattr(data, field.name) != getattr(DataSpec(), field.name):
            raise InputError(
                f"n_features: got {n_features} beside {field.name}, which is of a data set, whose rows have their own; "
                "give one of them"
            )
    n = integer("n_train", data.n_train if data.n_train is not None else 0, 1)
    return Shape(n, integer("n_features", n_features, 1), 1, "uint8" if of_bytes else "float64")


def plan_solve(
    shape: Shape,
    solver: SolverSettings,
    *,
    predict_time: bool = True,
    note: Callable[[str], None] | None = None,
) -> Plan:
    """The CPU's plan, with its time from the measured GEMM rate. Raises `PlanError` with what would fit.

    `note` is told why K is formed anew for every product, where it is, and no factor goes to a disk.

    For a kernel of inner products or distances, as most are: of exact ones mixed precision keeps these, of any other
    kernel K itself.
    """
    _refuse_tensor_cores(solver)
    require_tier(solver.solver, solver.tier)
    require_iterable(solver.solver, solver.jitter, before_choice(solver.precision))
    Engine.of(solver.engine, solver.scheduler).require_factor(solver.solver)
    threads = CpuBackend(solver.threads).threads
    given = bytes_of(solver.memory)
    costs = _costs(shape, solver, threads)
    memory = available_memory() if given is None else given
    if solver.solver == "askotch":
        plan = plan_blocks(costs, memory)
        return timed_blocks(plan, exact=shape.exact) if predict_time else plan
    if solver.solver == "pcg":
        plan = plan_iterations(costs, memory, generated=solver.tier == "auto")
        return timed(plan, exact=shape.exact) if predict_time else plan
    limits = Limits(memory, lambda: free_disk(scratch_folder(solver.scratch)))
    if _may_iterate(solver):
        generated = solver.tier == "auto"
        plan = plan_either(costs, limits, generated=generated, tolerance=solver.tolerance, note=note)
        if not plan.has_factor:
            return timed(plan, exact=shape.exact) if predict_time else plan
    if shape.n <= ONE_TILE:  # one thread forms and factors a tile
        costs = replace(costs, threads=1)
    refined = precision_of(costs.precision).refined
    plan = place(costs, limits, tier=solver.tier, cacheable_products=refined and shape.single_product)
    if predict_time:
        plan = plan.timed(gemm_rate.measure(threads=threads), speed_of_bytes() if shape.exact else 1.0)
    return plan


def _may_iterate(solver: SolverSettings) -> bool:
    """As `kernelfit.solver.place_iterations.decided`: another precision, a jitter or a disk asks for a factor."""
    plain = before_choice(solver.precision) == "float64" and solver.jitter == 0
    return solver.solver == "auto" and plain and solver.tier != "disk"


def _costs(shape: Shape, solver: SolverSettings, threads: int) -> Costs:
    return Costs.of(
        n=shape.n,
        d=shape.d,
        n_rhs=shape.n_rhs,
        threads=threads,
        precision=before_choice(solver.precision),
        bytes_points=shape.bytes_points,
    )


def plan_cluster(
    shape: Shape,
    solver: SolverSettings,
    workers: int,
    bandwidth: int | str | None = None,
    rate: float | None = None,
) -> Prediction:
    """Time, bytes a link and memory of a solve on `workers` of a cluster, by `kernelfit.cluster.model`.

    `bandwidth` of each worker's link as bits a second such as "10Gbit" or bytes such as "1.25GB", by default 10Gbit;
    `rate` in float64 flop/s of a worker, by default what is measured here with `threads`. Raises `InputError`.
    """
    _refuse_tensor_cores(solver)
    if solver.solver not in ("cholesky", "auto"):
        raise InputError(
            f"workers: got {workers} with solver {solver.solver!r}, which iterates in one process; leave them out"
        )
    threads = CpuBackend(solver.threads).threads
    costs = _costs(shape, solver, threads)
    machines = Machines(
        integer("workers", workers, 1),
        gemm_rate.measure(threads=threads) if rate is None else positive("rate", rate),
        _bandwidth("10Gbit" if bandwidth is None else bandwidth),
        speed_of_bytes() if shape.exact else 1.0,
    )
    return predict_cluster(costs, machines)


def _refuse_tensor_cores(solver: SolverSettings) -> None:
    if solver.precision == "tf32":
        raise InputError("precision: got tf32, which GPUs alone have, and a plan is of the CPU; take mixed")


def _bandwidth(given: int | str) -> float:
    """Bytes a second."""
    text = str(given).strip().removesuffix("/s")
    bits = text.endswith("bit")
    if text.endswith("b"):  # by convention bits, by `bytes_of` bytes
        raise InputError(f"bandwidth: got {given!r}, expected bits or bytes a second; say Gbit or GB")
    try:
        size = bytes_of(text.removesuffix("bit") + ("B" if bits else ""), "bandwidth")
    except InputError:
        raise InputError(
            f"bandwidth: got {given!r}, expected bits a second such as 10Gbit, or bytes such as 1.25GB"
        ) from None
    assert size is not None
    return size / (8.0 if bits else 1.0)
