"""The main road: rows and targets -> plan -> factor -> solve -> certify -> Solution."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from kernelfit.arguments import bytes_of, integer, positive
from kernelfit.cpu.memory import available_memory, free_disk
from kernelfit.cpu.pool import CpuBackend
from kernelfit.device.choose import check_device, open_devices
from kernelfit.device.plan import DevicePlan
from kernelfit.device.protocol import Device
from kernelfit.errors import (
    DuplicateRowsError,
    InputError,
    NotPositiveDefiniteError,
    PlanError,
    RefinementError,
)
from kernelfit.gram.costs import INTERPRETER
from kernelfit.gram.placement import make_plan
from kernelfit.gram.plan import Plan
from kernelfit.gram.points import Points
from kernelfit.gram.protocol import GramSource
from kernelfit.gram.source import KernelGram, PanelGram, as_source
from kernelfit.kernels import Kernel, build, parameter_names
from kernelfit.kernels.base import COORDINATES
from kernelfit.linalg.minimum_norm import minimum_norm
from kernelfit.progress import Progress, Silent
from kernelfit.runs.folder import (
    SOLUTION,
    Run,
    make_folder,
    open_run_folder,
    refuse_occupied,
    reserved,
)
from kernelfit.runs.interruption import Interruption
from kernelfit.solver.certificate import Certificate, interpolates
from kernelfit.solver.device_system import DeviceSystem, close_all, plan_on_device
from kernelfit.solver.gamma import build_with_gamma, gamma_kernels, leave_one_out_gamma, median_gamma
from kernelfit.solver.inputs import Duplicates, as_shift, as_targets, drop_duplicates
from kernelfit.solver.problem import Problem
from kernelfit.solver.ridge import CANDIDATES, choose_ridge
from kernelfit.solver.solution import Solution
from kernelfit.solver.system import FactoredSystem
from kernelfit.typing import Float


def solve(
    X: ArrayLike | PanelGram,
    Y: ArrayLike,
    *,
    kernel: str | Kernel = "gaussian",
    gamma: float | str | None = None,
    gamma_factor: float = 1.0,
    kernel_params: dict[str, Any] | None = None,
    ridge: float | str = 0.0,
    jitter: float = 0.0,
    precision: str = "float64",
    tier: str = "auto",
    memory: int | str | None = None,
    run_dir: str | Path | None = None,
    resume: bool = False,
    remember: Mapping[str, Any] | None = None,
    scratch: str | Path | None = None,
    panel_width: int | None = None,
    device: str | Device | Sequence[Device] = "auto",
    device_memory: int | str | None = None,
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
        kernel="precomputed" the Gram matrix (n, n), or `PanelGram`. Not copied where it need not be: leave it as it is
        while the solution is used
    Y : (n,) or (n, c) targets
    kernel : a name of `kernelfit.kernels.KERNELS`, a `Kernel`, or "precomputed"
    gamma : for gaussian, laplacian and polynomial kernels given by name: a number, "median" (gamma_factor / median
        distance of the first 1,000 rows; the default) or "auto" (least leave-one-out error on a subsample)
    kernel_params : other parameters of a kernel given by name
    ridge : >= 0; 0 interpolates; "auto" takes the one of least leave-one-out error among 0 and half decades from 1e-6
        to 1 of the mean diagonal of K (`Solution.ridge_choice`, `kernelfit.solver.ridge.choose_ridge`). Equal rows are
        then left out as with ridge 0, unless their targets differ: nothing interpolates them, and 0 is not tried
    jitter : >= 0, added to the diagonal for the factorisation only; the solution is then refined against K without it
    precision : "float64", "float32" (factor, no refinement), "mixed" (float32 factor, refined in float64), or on a
        device "tf32" (as mixed, with products on the tensor cores, for small condition numbers)
    tier : "ram", "disk" or "auto"
    memory : bytes, or text such as "8GB"; by default what is available
    run_dir : a folder to keep the run in: rows, factor, journal and solution. A run that stops before its end goes on
        with `kernelfit.resume`, and `kernelfit.open` answers more right-hand sides from the factor of one that ended
    resume : go on with the run in `run_dir`, where there is one, if it is of the same rows, kernel, plan and
        versions; other targets are welcome
    remember : JSON to keep with the run, for whoever goes on with it: `kernelfit.solver.resume.remembered`
    scratch : where panels of the disk tier go when no run_dir is given; by default the system's temporary folder
    panel_width : columns of a panel; by default chosen by n
    device : "cpu", "cuda", "cuda:1", ..., "auto" (a card where there is one and n is large enough to pay for it), or an
        open `kernelfit.device.protocol.Device`, which the solution then owns. "cuda:0,cuda:1" deals the panels out to
        both cards, each of which keeps the whole factor; the first does the rest
    device_memory : bytes of the card to stay within, or text such as "10GB"; by default what is free
    threads : by default all cores this process may use
    scale : factor applied to X before the kernel, such as 1/255 for bytes
    seed : for choices that draw rows (gamma="auto", ridge="auto")
    condition : whether to estimate the condition number (a few passes over the factor)

    Raises
    ------
    InputError, DuplicateRowsError, PlanError, NotPositiveDefiniteError, StorageError, DeviceError

    Equivalent to `scipy.linalg.cho_solve(cho_factor(K + ridge * I), Y)` for a K that fits into memory twice.
    """
    progress = progress or Silent()
    check_device(device)
    if panel_width is not None:
        panel_width = integer("panel_width", panel_width, 1)
    choose = isinstance(ridge, str) and ridge == "auto"
    ridge, jitter = as_shift("ridge", 0.0 if choose else ridge), as_shift("jitter", jitter)
    notes: list[str] = []

    def note(message: str) -> None:
        notes.append(message)
        progress.note(message)

    with CpuBackend(threads) as backend:
        source: GramSource
        points: Points | None = None
        duplicates = Duplicates(())
        candidates = CANDIDATES
        if isinstance(kernel, str) and kernel == "precomputed":
            if gamma is not None or kernel_params:
                raise InputError(
                    "gamma: a precomputed Gram matrix is used as it is; leave the kernel's parameters out"
                )
            source = as_source(X)
            targets = as_targets(Y, source.n)
            kept = np.arange(source.n)
            rows_given = source.n
            resolved: Kernel | None = None
        else:
            points = Points(X, scale)  # type: ignore[arg-type]
            rows_given = points.shape[0]
            targets = as_targets(Y, rows_given)
            if rows_given == 0:
                raise InputError("X: got 0 rows, expected at least 1")
            kept = np.arange(rows_given)
            try:
                points, targets, kept, duplicates = drop_duplicates(points, targets, ridge, note)
            except DuplicateRowsError as error:
                if not choose:
                    raise
                candidates = tuple(relative for relative in CANDIDATES if relative > 0)
                note(f"ridge 0 is not tried: {error}")
            resolved = _resolve_kernel(
                kernel,
                gamma,
                gamma_factor,
                kernel_params or {},
                points,
                targets,
                ridge,
                seed,
                backend,
                progress,
                note,
            )
            source = KernelGram(resolved, points)
        given = bytes_of(memory)
        limit = available_memory() if given is None else given
        choice = None
        if choose:
            choice = choose_ridge(
                source,
                targets,
                backend,
                limit,
                held=INTERPRETER + (points.nbytes if points is not None else 0),
                candidates=candidates,
                seed=seed,
                progress=progress,
            )
            ridge = choice.ridge
            note(choice.summary())
        problem = Problem(
            source=source,
            points=points,
            kernel=resolved,
            targets=targets,
            ridge=ridge,
            jitter=jitter,
            precision=precision,
            kept=kept,
            rows_given=rows_given,
            duplicates=duplicates.groups,
            input_scale=None if scale is None or points is None else float(scale),
            single_target=np.ndim(Y) == 1,
            condition=condition,
            remembered=dict(remember or {}),
        )
        if _is_primal(problem):
            solution = _solve_primal(problem, backend, limit, note, notes)
            solution.ridge_choice = choice
            if run_dir is not None:
                folder, _ = make_folder(Path(run_dir))
                refuse_occupied(folder)
                solution.save(folder / SOLUTION)
            return solution
        place = Path(run_dir or scratch or tempfile.gettempdir())
        if isinstance(device, str) and device == "auto" and source.device is not None:
            note(f"device auto: {source.device.name}, where the Gram matrix lies")
            device = source.device
        opened = open_devices(device, source.n, note, bytes_of(device_memory, "device_memory"))
        if opened:
            if tier != "auto":
                note(f"tier {tier}: of no use on a device, whose plan says where tiles live")
            solution = _solve_on_device(
                problem,
                opened,
                backend,
                progress,
                notes,
                memory=None if memory is None else limit,
                run_dir=Path(run_dir) if run_dir is not None else None,
                resume=resume,
                place=place,
                panel_width=panel_width,
            )
            solution.ridge_choice = choice
            return solution
        if device_memory is not None:
            note("device_memory: of no use, as the work is done on the CPU")
        if precision == "tf32":
            raise InputError(
                "precision: got tf32 on the CPU, which has no such products; take mixed, or --device cuda"
            )
        plan = make_plan(
            n=source.n,
            d=points.shape[1] if points is not None else 0,
            n_rhs=targets.shape[1],
            threads=backend.threads,
            memory_limit=limit,
            disk_free=free_disk(place) + reserved(place),
            precision=precision,
            tier=tier,
            points_bytes=points.nbytes if points is not None else 0,
            cacheable_products=points is not None
            and points.single_product
            and resolved is not None
            and not resolved.needs & COORDINATES,
            panel_width=source.layout.width if source.layout is not None else panel_width,
            kept=run_dir is not None,
        )
        run = None
        if run_dir is not None:
            run = open_run_folder(Path(run_dir), problem, plan, notes, resume, progress)
            plan = run.plan
        solution = complete(problem, plan, backend, progress, notes, run=run, scratch=place)
        solution.ridge_choice = choice
        return solution


def _solve_on_device(
    problem: Problem,
    devices: Sequence[Device],
    backend: CpuBackend,
    progress: Progress,
    notes: list[str],
    *,
    memory: int | None,
    run_dir: Path | None,
    resume: bool,
    place: Path,
    panel_width: int | None,
) -> Solution:
    """Plan, factor, solve and certify on a device, which is closed where that fails."""
    run = None
    try:

        def planned(width: int | None) -> tuple[Plan, DevicePlan]:
            return plan_on_device(
                problem,
                devices,
                threads=backend.threads,
                precision=problem.precision,
                memory=memory,
                place=place,
                width=width,
            )

        plan, on_device = planned(panel_width)
        if run_dir is not None:
            run = open_run_folder(run_dir, problem, plan, notes, resume, progress)
            if run.plan.panel_width != on_device.width:
                plan, on_device = planned(run.plan.panel_width)
        system = DeviceSystem(
            problem, plan, backend, devices[0], on_device, partners=devices[1:], run=run, scratch=place
        )
    except BaseException:
        if run is not None:
            run.close()
        close_all(devices, problem.source)
        raise
    return complete(problem, plan, backend, progress, notes, run=run, scratch=place, system=system)


def continue_on_device(
    run: Run, devices: Sequence[Device], backend: CpuBackend, progress: Progress, notes: list[str]
) -> Solution:
    """Complete an open run on devices, which are closed where that fails, whatever the run was begun on."""
    problem = run.problem
    try:
        plan, on_device = plan_on_device(
            problem,
            devices,
            threads=backend.threads,
            precision=problem.precision,
            place=run.folder,
            width=run.plan.panel_width,
        )
        system = DeviceSystem(
            problem, plan, backend, devices[0], on_device, partners=devices[1:], run=run, scratch=run.folder
        )
    except BaseException:
        run.close()
        close_all(devices, problem.source)
        raise
    return complete(problem, plan, backend, progress, notes, run=run, scratch=run.folder, system=system)


def complete(
    problem: Problem,
    plan: Plan,
    backend: CpuBackend,
    progress: Progress,
    notes: list[str],
    *,
    run: Run | None = None,
    scratch: Path | None = None,
    system: FactoredSystem | None = None,
) -> Solution:
    """Factor, solve, certify. With a run, panels that it has are not made again and the solution is written to it.

    `system` is one that is not factored yet; by default one on the CPU is made.
    """
    with ExitStack() as stack:
        stack.enter_context(backend)
        interruption = None
        if run is not None:
            stack.enter_context(run)
            interruption = stack.enter_context(Interruption(run.folder, progress))
        if system is None:
            system = FactoredSystem(problem, plan, backend, run=run, scratch=scratch)
        try:
            try:
                alpha, fitted, certificate = _factor_and_solve(system, problem, interruption, progress)
            except (NotPositiveDefiniteError, RefinementError) as error:
                if plan.precision != "mixed":
                    raise
                message = f"{problem.precision} precision fell back to float64: {error}"
                notes.append(message)
                progress.note(message)
                system = _fall_back(system, problem)
                alpha, fitted, certificate = _factor_and_solve(system, problem, interruption, progress)
        except BaseException as error:
            system.close()
            if run is not None and isinstance(error, NotPositiveDefiniteError):
                run.discard()  # nothing in it would serve a run with another shift or kernel
            raise
        # Refinement has made up for the pivots that a float32 factor lost.
        if certificate.weak_pivots and not certificate.refinements:
            message = (
                f"{certificate.weak_pivots} pivots are below 10 n u K_ii: these rows are nearly dependent on earlier "
                "ones; the backward error holds, alpha itself may have few correct digits"
            )
            notes.append(message)
            progress.note(message)
        residual = problem.targets - fitted - problem.ridge * alpha
        if certificate.jitter > 0 and not interpolates(certificate.backward_error, residual, problem.targets):
            message = (
                f"jitter {certificate.jitter:g} was not refined away in {certificate.refinements} products with K: "
                f"backward error {certificate.backward_error:.1e}, largest residual {certificate.residual:.1e}; "
                "take a smaller jitter, or a ridge"
            )
            notes.append(message)
            progress.note(message)
        solution = Solution(
            alpha=alpha,
            targets=problem.targets,
            fitted=fitted,
            certificate=certificate,
            plan=system.plan,
            kernel=problem.kernel,
            points=problem.points,
            ridge=problem.ridge,
            precision=problem.precision,
            seconds=system.seconds,
            kept=problem.kept,
            rows_given=problem.rows_given,
            duplicates=problem.duplicates,
            notes=notes,
            input_scale=problem.input_scale,
            single_target=problem.single_target,
            gflops_factor=system.plan.flops_factor / max(system.seconds["factor"], 1e-9) / 1e9,
            threads=backend.threads,
            device=system.name if isinstance(system, DeviceSystem) else "cpu",
            factor=system,
            traffic=system.traffic,
        )
        if run is not None:
            try:
                run.finish(solution)
            except BaseException:
                system.close()
                raise
    return solution


def _factor_and_solve(
    system: FactoredSystem, problem: Problem, interruption: Interruption | None, progress: Progress
) -> tuple[Float, Float, Certificate]:
    if interruption is None:
        system.factorise(progress)
    else:
        with interruption.step_by_step():
            system.factorise(progress, interruption.after)
    return system.solve(problem.targets, progress)


def _fall_back(system: FactoredSystem, problem: Problem) -> FactoredSystem:
    """The same system in float64, its run begun again."""
    if isinstance(system, DeviceSystem):
        return system.fall_back()
    system.close()
    plan, run = system.plan, system.run
    place = run.folder if run is not None else system.scratch or Path(tempfile.gettempdir())
    try:
        plan = make_plan(
            n=plan.n,
            d=plan.d,
            n_rhs=plan.n_rhs,
            threads=plan.threads,
            memory_limit=plan.memory_limit,
            disk_free=free_disk(place) + reserved(place),
            precision="float64",
            points_bytes=plan.bytes_points,
            panel_width=plan.panel_width,
            kept=run is not None,
        )
    except PlanError as error:
        raise PlanError(
            f"mixed precision cannot solve this system, and float64 does not fit: {error}"
        ) from None
    if run is not None:
        run.restart(plan)
    follower = FactoredSystem(problem, plan, system.backend, run=run, scratch=system.scratch)
    follower.seconds = system.seconds
    return follower


def _is_primal(problem: Problem) -> bool:
    points, kernel = problem.points, problem.kernel
    return (
        points is not None
        and kernel is not None
        and kernel.linear
        and points.shape[1] < points.shape[0]
        and problem.ridge == 0
        and problem.jitter == 0
    )


def _solve_primal(problem: Problem, backend: CpuBackend, limit: int, note: Any, notes: list[str]) -> Solution:
    """The linear kernel with d < n: minimum-norm weights by singular values, as K has no Cholesky factor."""
    points, targets = problem.points, problem.targets
    assert points is not None
    n, d = points.shape
    # The plan of the dual problem would be refused or wasteful; what counts here is X in float64, twice.
    plan = make_plan(
        n=d, d=d, n_rhs=targets.shape[1], threads=backend.threads, memory_limit=limit,
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
        kernel=problem.kernel,
        points=points,
        ridge=0.0,
        precision="float64",
        seconds={"gram": 0.0, "factor": factored, "solve": 0.0, "certify": 0.0},
        kept=problem.kept,
        rows_given=problem.rows_given,
        duplicates=problem.duplicates,
        notes=notes,
        weights=result.weights,
        input_scale=problem.input_scale,
        single_target=problem.single_target,
    )


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
    gamma_factor = positive("gamma_factor", gamma_factor)
    if isinstance(kernel, Kernel):
        if gamma is not None or parameters:
            raise InputError(
                "gamma: the kernel is an object that has its parameters already; give them there"
            )
        return kernel
    if not isinstance(kernel, str):
        raise InputError(f"kernel: got {kernel!r}, expected a name or a Kernel of kernelfit.kernels")
    if "gamma" not in parameter_names(kernel):
        if gamma is not None:
            raise InputError(
                f"gamma: the {kernel} kernel has none; expected one of {', '.join(gamma_kernels())}"
            )
        return build(kernel, **parameters)
    if gamma_factor != 1.0 and gamma not in (None, "median"):
        raise InputError(
            f"gamma_factor: got {gamma_factor} beside gamma = {gamma!r}, expected the median rule; leave one out"
        )
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
