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
from kernelfit.certificate import Certificate
from kernelfit.errors import DeviceError, InputError, NotPositiveDefiniteError, PlanError
from kernelfit.gram.plan import make_plan, parse_bytes
from kernelfit.gram.points import Points
from kernelfit.gram.source import ArrayGram, GramSource, KernelGram, PanelGram
from kernelfit.kernels import Kernel, Linear, build
from kernelfit.linalg.minimum_norm import minimum_norm
from kernelfit.preflight import (
    as_targets,
    find_duplicates,
    refuse_conflicts,
)
from kernelfit.progress import Progress, Silent
from kernelfit.scale import GAMMA_KERNELS, build_with_gamma, leave_one_out_gamma, median_gamma
from kernelfit.solution import Solution
from kernelfit.system import FactoredSystem, NotRefined

Float = NDArray[np.float64]


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
            cacheable_products=points is not None
            and points.single_product
            and resolved is not None
            and resolved.of_inner_products,
        )
        system = FactoredSystem(source, points, plan, ridge, jitter, backend, directory, condition)
        try:
            system.factorise(progress)
            alpha, fitted, certificate = system.solve(targets, progress)
        except (NotPositiveDefiniteError, NotRefined) as error:
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


def _fall_back(system: FactoredSystem, limit: int) -> FactoredSystem:
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
    follower = FactoredSystem(
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
