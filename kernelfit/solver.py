"""The main road: rows and targets -> plan -> factor -> solve -> certify -> Solution."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kernelfit.backends.cpu import CpuBackend
from kernelfit.backends.memory import available_memory, free_disk
from kernelfit.certificate import INTERPOLATES, Certificate, rkhs_norms
from kernelfit.errors import DeviceError, InputError, NotPositiveDefiniteError, PlanError
from kernelfit.gram.plan import Plan, make_plan, parse_bytes
from kernelfit.gram.points import Points
from kernelfit.gram.source import ArrayGram, GramSource, KernelGram, PanelGram
from kernelfit.kernels import Kernel, Linear, build
from kernelfit.linalg.cholesky import Pivots, factor
from kernelfit.linalg.condition import inverse_norm
from kernelfit.linalg.conjugate_gradients import Refinement, backward_error, refine
from kernelfit.linalg.leave_one_out import inverse_diagonal
from kernelfit.linalg.minimum_norm import minimum_norm
from kernelfit.linalg.product import symmetric_product
from kernelfit.linalg.triangular import solve_factored
from kernelfit.preflight import (
    as_targets,
    find_duplicates,
    nearest_neighbour,
    refuse_conflicts,
)
from kernelfit.progress import Progress, Silent
from kernelfit.scale import GAMMA_KERNELS, build_with_gamma, leave_one_out_gamma, median_gamma
from kernelfit.solution import Solution
from kernelfit.storage.disk import DiskPanels
from kernelfit.storage.panels import PanelStore, RamPanels

Float = NDArray[np.float64]

# A refined solution is as good as a float64 factor's when its backward error is below ten units of roundoff.
_AS_GOOD_AS_FLOAT64 = 10.0 * 0.5 * float(np.finfo(np.float64).eps)


def solve(
    X: ArrayLike | PanelGram,
    Y: ArrayLike,
    *,
    kernel: str | Kernel = "gaussian",
    gamma: float | str | None = None,
    gamma_factor: float = 1.0,
    parameters: dict[str, Any] | None = None,
    ridge: float = 0.0,
    jitter: float = 0.0,
    precision: str = "float64",
    tier: str = "auto",
    memory: int | str | None = None,
    directory: str | Path | None = None,
    device: str = "auto",
    threads: int | None = None,
    scale: float | None = None,
    seed: int = 0,
    condition: bool = True,
    progress: Progress | None = None,
) -> Solution:
    """Solve (K + ridge I) alpha = Y, K_ij = k(x_i, x_j), by a Cholesky factorisation, and certify the answer.

    Parameters
    ----------
    X : (n, d) rows: floats, or integers such as the bytes of images (exact inner products); with
        kernel="precomputed" the Gram matrix (n, n), or `PanelGram`
    Y : (n,) or (n, c) targets
    kernel : a name of `kernelfit.kernels.KERNELS`, a `Kernel`, or "precomputed"
    gamma : for gaussian, laplacian and polynomial kernels given by name: a number, "median" (gamma_factor / median
        distance of the first 1,000 rows; the default) or "auto" (least leave-one-out error on a subsample)
    parameters : other parameters of a kernel given by name
    ridge : >= 0; 0 interpolates
    jitter : >= 0, added to the diagonal for the factorisation only; the solution is then refined against K without it
    precision : "float64", "float32" (factor, no refinement), or "mixed" (float32 factor, refined in float64)
    tier : "ram", "disk" or "auto"
    memory : bytes, or text such as "8GB"; by default what is available
    directory : where panels go on the disk tier; by default a temporary folder that is removed
    device : "auto" or "cpu"
    threads : by default all cores this process may use
    scale : factor applied to X before the kernel, such as 1/255 for bytes
    seed : for choices that draw rows (gamma="auto")
    condition : whether to estimate the condition number (a few passes over the factor)

    Raises
    ------
    InputError, DuplicateRowsError, PlanError, NotPositiveDefiniteError, StorageError

    Equivalent to `scipy.linalg.cho_solve(cho_factor(K + ridge * I), Y)` for a K that fits into memory twice.
    """
    progress = progress or Silent()
    _check_device(device)
    ridge, jitter = _non_negative("ridge", ridge), _non_negative("jitter", jitter)
    single = np.ndim(Y) == 1
    notes: list[str] = []

    def note(message: str) -> None:
        notes.append(message)
        progress.note(message)

    with CpuBackend(threads) as backend:
        source: GramSource
        points: Points | None = None
        if isinstance(kernel, str) and kernel == "precomputed":
            source = X if isinstance(X, PanelGram) else ArrayGram(X)
            targets = as_targets(Y, source.n)
            kept = np.arange(source.n)
            resolved: Kernel | None = None
        else:
            points = Points(X, scale)  # type: ignore[arg-type]
            targets = as_targets(Y, points.shape[0])
            if points.shape[0] == 0:
                raise InputError("X: got 0 rows, expected at least 1")
            points, targets, kept = _drop_duplicates(points, targets, ridge, note)
            resolved = _resolve_kernel(
                kernel,
                gamma,
                gamma_factor,
                parameters or {},
                points,
                targets,
                ridge,
                seed,
                backend,
                progress,
                note,
            )
            if (
                isinstance(resolved, Linear)
                and points.shape[1] < points.shape[0]
                and ridge == 0
                and jitter == 0
            ):
                return _solve_primal(
                    points, targets, resolved, backend, memory, kept, note, notes, scale, single
                )
            source = KernelGram(resolved, points)
        limit = _memory_limit(memory)
        plan = make_plan(
            n=source.n,
            d=points.shape[1] if points is not None else 0,
            n_rhs=targets.shape[1],
            threads=backend.threads,
            memory_limit=limit,
            disk_free=free_disk(Path(directory) if directory is not None else Path(tempfile.gettempdir())),
            precision=precision,
            tier=tier,
            points_bytes=points.nbytes if points is not None else 0,
            exact_points=points is not None and points.exact,
        )
        system = _System(source, points, plan, ridge, jitter, backend, directory, condition)
        try:
            system.factorise(progress)
            alpha, fitted, certificate = system.solve(targets, progress)
        except (NotPositiveDefiniteError, _NotRefined) as error:
            if precision != "mixed":
                system.close()
                raise
            system.close()
            note(f"mixed precision fell back to float64: {error}")
            system = _fall_back(system, limit)
            system.factorise(progress)
            alpha, fitted, certificate = system.solve(targets, progress)
        except BaseException:
            system.close()
            raise
    if certificate.weak_pivots:
        note(
            f"{certificate.weak_pivots} pivots are below 10 n u K_ii: these rows are nearly dependent on earlier "
            "ones; the backward error holds, alpha itself may have few correct digits"
        )
    return Solution(
        alpha=alpha,
        targets=targets,
        fitted=fitted,
        certificate=certificate,
        plan=system.plan,
        kernel=resolved,
        points=points,
        ridge=ridge,
        precision=precision,
        seconds=system.seconds,
        kept=kept,
        notes=notes,
        input_scale=scale,
        single_target=single,
        gflops_factor=system.plan.flops_factor / max(system.seconds["factor"], 1e-9) / 1e9,
        threads=threads,
        factor=system,
    )


class _NotRefined(Exception):
    """Refinement did not reach float64's backward error."""


class _System:
    """A = K + ridge I with its factor: the part of a solve that does not depend on the right-hand sides."""

    def __init__(
        self,
        source: GramSource,
        points: Points | None,
        plan: Plan,
        ridge: float,
        jitter: float,
        backend: CpuBackend,
        directory: str | Path | None,
        condition: bool,
    ) -> None:
        self.source, self.points, self.plan = source, points, plan
        self.ridge, self.jitter = ridge, jitter
        self.backend, self.directory, self.condition = backend, directory, condition
        self.seconds = dict.fromkeys(("gram", "factor", "solve", "certify"), 0.0)
        self.pivots = Pivots()
        self._inverse_norm: float | None = None
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self._products: GramSource = source
        self.store: PanelStore | None = None

    def factorise(self, progress: Progress) -> None:
        """K + (ridge + jitter) I = L L^T into panels of the planned tier and precision."""
        plan = self.plan
        dtype = np.float64 if plan.precision == "float64" else np.float32
        if plan.gram_cached:
            self._products = self._cache_gram(progress)
        self.store = self._open_store(dtype)
        try:
            pivots = factor(self._products, self.ridge + self.jitter, self.store, self.backend, progress)
        except NotPositiveDefiniteError as error:
            raise self._explain(error) from None
        self.pivots = pivots
        self.seconds["gram"] += pivots.seconds_gram
        self.seconds["factor"] += pivots.seconds_factor

    def solve(self, targets: Float, progress: Progress) -> tuple[Float, Float, Certificate]:
        """alpha, K alpha formed afresh, and the certificate."""
        with self.backend:
            started = time.perf_counter()
            refined: Refinement | None = None
            norm = 0.0
            if self.plan.precision == "mixed" or self.jitter > 0:
                refined = self._refine(targets, progress)
                alpha = refined.solution
            else:
                alpha = self._precondition(targets)
            solved = time.perf_counter()
            fitted, norm = self._product(alpha, self.source, progress, "certify", with_norm=True)
            norm += self.ridge
            residual = targets - fitted - self.ridge * alpha
            error = backward_error(residual, norm, alpha, targets)
            if self.plan.precision == "mixed" and not error <= _AS_GOOD_AS_FLOAT64:
                raise _NotRefined(
                    f"backward error {error:.1e} after {refined.iterations if refined else 0} products"
                )
            if self._inverse_norm is None and self.condition:
                assert self.store is not None
                self._inverse_norm = inverse_norm(self.store, self.backend)
            self.seconds["solve"] += solved - started
            self.seconds["certify"] += time.perf_counter() - solved
        norms = rkhs_norms(alpha, fitted)
        n = self.source.n
        certificate = Certificate(
            backward_error=error,
            residual=float(np.abs(residual).max(initial=0.0)),
            norm=norm,
            condition_estimate=norm * self._inverse_norm if self._inverse_norm is not None else float("nan"),
            min_pivot=self.pivots.smallest,
            min_pivot_row=self.pivots.row,
            weak_pivots=self.pivots.weak,
            log_det=self.pivots.log_det,
            jitter=self.jitter,
            interpolates=self.ridge == 0 and error <= INTERPOLATES,
            refinements=refined.iterations if refined else 0,
            factor_precision="float64" if self.plan.precision == "float64" else "float32",
            rank=n,
            consistent=True,
            rkhs_norm=float(np.sqrt(np.sum(norms**2))),
            rkhs_norm_per_column=tuple(float(value) for value in norms),
        )
        return alpha, fitted, certificate

    def inverse_diagonal(self, progress: Progress) -> Float:
        assert self.store is not None
        with self.backend:
            return inverse_diagonal(self.store, self.backend, progress)

    def close(self) -> None:
        if self.store is not None:
            self.store.close()
            self.store = None
        self._products = self.source
        if self._temporary is not None:
            self._temporary.cleanup()
            self._temporary = None

    def _unit_roundoff(self) -> float:
        return float(np.finfo(np.float64 if self.plan.precision == "float64" else np.float32).eps) / 2.0

    def _open_store(self, dtype: Any) -> PanelStore:
        if self.plan.tier == "ram":
            return RamPanels(self.plan.layout, dtype)
        if self.directory is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="kernelfit-")
            folder = Path(self._temporary.name)
        else:
            folder = Path(self.directory)
            folder.mkdir(parents=True, exist_ok=True)
        return DiskPanels(self.plan.layout, dtype, folder / "factor.h5")

    def _cache_gram(self, progress: Progress) -> PanelGram:
        """K in float64 panels in memory, where the plan has room for it beside a float32 factor."""
        layout = self.plan.layout
        started = time.perf_counter()
        panels: list[NDArray[Any]] = []
        with progress.phase("gram", self.plan.flops_gram, "flop") as advance:
            for j in range(layout.count):
                panel = np.empty(layout.shape(j))
                first = layout.start(j)
                columns = self.source.columns(first, layout.stop(j), self.backend)

                def fill(
                    strip: tuple[int, int],
                    panel: NDArray[Any] = panel,
                    first: int = first,
                    columns: Any = columns,
                ) -> None:
                    columns.fill(strip[0], strip[1], panel[strip[0] - first : strip[1] - first])
                    advance((strip[1] - strip[0]) * panel.shape[1] * self.source.flops_per_entry)

                self.backend.run(fill, layout.strips(first))
                panels.append(panel)
        self.seconds["gram"] += time.perf_counter() - started
        return PanelGram(layout, panels)

    def _precondition(self, vectors: Float) -> Float:
        """(L L^T)^-1 V in the precision of the factor."""
        assert self.store is not None
        block = np.array(vectors, self.store.dtype, order="C")
        solve_factored(self.store, block, self.backend)
        return block.astype(np.float64, copy=False)

    def _product(
        self, vectors: Float, source: GramSource, progress: Progress, name: str, with_norm: bool = False
    ) -> tuple[Float, float]:
        return symmetric_product(
            source, self.plan.layout, vectors, self.backend, with_norm=with_norm, progress=progress, name=name
        )

    def _refine(self, targets: Float, progress: Progress) -> Refinement:
        """Conjugate gradients on K + ridge I, without the jitter, preconditioned by the factor."""

        def product(vectors: Float) -> Float:
            values, _ = self._product(vectors, self._products, progress, "refine")
            return values + self.ridge * vectors

        norm = self._product(np.zeros((self.source.n, 1)), self._products, progress, "norm", with_norm=True)[
            1
        ]
        return refine(product, self._precondition, targets, norm + self.ridge)

    def _explain(self, error: NotPositiveDefiniteError) -> NotPositiveDefiniteError:
        message = f"{error}"
        neighbour = -1
        if self.points is not None and self.points.shape[0] > 1:
            neighbour, distance = nearest_neighbour(self.points, error.row)
            message += f"; its nearest row is {neighbour} at distance {distance:.3g}"
        scale = float(np.mean(np.abs(self.source.diagonal())))
        message += (
            f"; drop one of such rows, take a kernel that falls off faster (larger gamma), or give ridge or jitter "
            f"(in {self.plan.precision} from about {10 * self.source.n * self._unit_roundoff() * scale:.0e})"
        )
        return NotPositiveDefiniteError(message, error.row, error.pivot, neighbour)


def _fall_back(system: _System, limit: int) -> _System:
    plan = system.plan
    try:
        plan = make_plan(
            n=plan.n,
            d=plan.d,
            n_rhs=plan.n_rhs,
            threads=plan.threads,
            memory_limit=limit,
            disk_free=free_disk(Path(system.directory or tempfile.gettempdir())),
            precision="float64",
            points_bytes=plan.bytes_points,
        )
    except PlanError as error:
        raise PlanError(
            f"mixed precision cannot solve this system, and float64 does not fit: {error}"
        ) from None
    follower = _System(
        system.source,
        system.points,
        plan,
        system.ridge,
        system.jitter,
        system.backend,
        system.directory,
        system.condition,
    )
    follower.seconds = system.seconds
    return follower


def _solve_primal(
    points: Points,
    targets: Float,
    kernel: Kernel,
    backend: CpuBackend,
    memory: int | str | None,
    kept: NDArray[np.int64],
    note: Any,
    notes: list[str],
    scale: float | None,
    single: bool,
) -> Solution:
    """The linear kernel with d < n: minimum-norm weights by singular values, as K has no Cholesky factor."""
    n, d = points.shape
    # The plan of the dual problem would be refused or wasteful; what counts here is X in float64, twice.
    plan = make_plan(
        n=d, d=d, n_rhs=targets.shape[1], threads=backend.threads, memory_limit=_memory_limit(memory),
        points_bytes=points.nbytes + 3 * n * d * 8,
    )  # fmt: skip
    started = time.perf_counter()
    result = minimum_norm(points.scaled(0, n), targets)
    factored = time.perf_counter() - started
    how = "consistent: the weights interpolate" if result.consistent else "not consistent: least squares"
    note(f"linear kernel with {d} features < {n} rows: minimum-norm weights, rank {result.rank}, {how}")
    norms = np.sqrt(np.sum(result.weights**2, axis=0))
    largest = points.domain_sq_norms.sum()
    certificate = Certificate(
        backward_error=result.backward_error,
        residual=float(np.abs(result.residual).max(initial=0.0)),
        norm=float(largest),
        condition_estimate=result.condition,
        min_pivot=None,
        min_pivot_row=None,
        weak_pivots=0,
        log_det=None,
        jitter=0.0,
        interpolates=result.consistent,
        refinements=0,
        factor_precision="float64",
        rank=result.rank,
        consistent=result.consistent,
        rkhs_norm=float(np.sqrt(np.sum(norms**2))),
        rkhs_norm_per_column=tuple(float(value) for value in norms),
    )
    return Solution(
        alpha=result.alpha,
        targets=targets,
        fitted=targets - result.residual,
        certificate=certificate,
        plan=plan,
        kernel=kernel,
        points=points,
        ridge=0.0,
        precision="float64",
        seconds={"gram": 0.0, "factor": factored, "solve": 0.0, "certify": 0.0},
        kept=kept,
        notes=notes,
        weights=result.weights,
        input_scale=scale,
        single_target=single,
    )


def _drop_duplicates(
    points: Points, targets: Float, ridge: float, note: Any
) -> tuple[Points, Float, NDArray[np.int64]]:
    """With ridge = 0 equal rows make K singular: conflicting targets are an error, others keep their first row."""
    kept = np.arange(points.shape[0])
    if ridge > 0:
        return points, targets, kept
    duplicates = find_duplicates(points)
    if not duplicates.groups:
        return points, targets, kept
    refuse_conflicts(duplicates, targets)
    dropped = duplicates.dropped
    listed = ", ".join(map(str, dropped[:10])) + (", ..." if len(dropped) > 10 else "")
    note(f"{len(dropped)} rows repeat an earlier row with the same target and were left out: {listed}")
    kept = np.setdiff1d(kept, dropped)
    return Points(points.values[kept], points.scale), np.ascontiguousarray(targets[kept]), kept


def _resolve_kernel(
    kernel: str | Kernel,
    gamma: float | str | None,
    gamma_factor: float,
    parameters: dict[str, Any],
    points: Points,
    targets: Float,
    ridge: float,
    seed: int,
    backend: CpuBackend,
    progress: Progress,
    note: Any,
) -> Kernel:
    if isinstance(kernel, Kernel):
        if gamma is not None or parameters:
            raise InputError(
                "gamma: the kernel is an object that has its parameters already; give them there"
            )
        return kernel
    if kernel not in GAMMA_KERNELS:
        if gamma is not None:
            raise InputError(
                f"gamma: the {kernel} kernel has none; expected one of {', '.join(GAMMA_KERNELS)}"
            )
        return build(kernel, **parameters)
    if gamma is None or gamma == "median":
        return build_with_gamma(kernel, median_gamma(points, kernel, gamma_factor), parameters)
    if gamma == "auto":
        chosen, errors = leave_one_out_gamma(
            points, targets, kernel, parameters, backend, ridge=ridge, seed=seed, progress=progress
        )
        edge = " (at the edge of the range tried)" if chosen in (min(errors), max(errors)) else ""
        note(f"gamma {chosen:.6g} by leave-one-out on training rows, {len(errors)} values tried{edge}")
        return build_with_gamma(kernel, chosen, parameters)
    if isinstance(gamma, str):
        try:
            gamma = float(gamma)
        except ValueError:
            raise InputError(f"gamma: got {gamma!r}, expected a number > 0, 'median' or 'auto'") from None
    return build_with_gamma(kernel, gamma, parameters)


def _memory_limit(memory: int | str | None) -> int:
    if memory is None:
        return available_memory()
    if isinstance(memory, str):
        return parse_bytes(memory)
    if memory <= 0:
        raise InputError(f"memory: got {memory}, expected bytes > 0 or a size such as 8GB")
    return int(memory)


def _check_device(device: str) -> None:
    if device not in ("auto", "cpu"):
        if device.split(":")[0] == "cuda":
            raise DeviceError(
                f"device: got {device!r}, but this version solves on the CPU only; use --device cpu"
            )
        raise InputError(f"device: got {device!r}, expected auto or cpu")


def _non_negative(name: str, value: float) -> float:
    if not (np.isfinite(value) and value >= 0):
        raise InputError(f"{name}: got {value}, expected a finite number >= 0")
    return float(value)
