"""`kernelfit.solve`: rows and targets -> pose -> place -> factor -> solve -> certify -> Solution."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from numpy.typing import ArrayLike

from kernelfit.arguments import OTHER_NAMES, flag, json_of, path_of, suggests_names
from kernelfit.cluster.connect import Engine
from kernelfit.cpu.pool import CpuBackend
from kernelfit.device.protocol import Device
from kernelfit.errors import InputError, StorageError
from kernelfit.gram.source import Source
from kernelfit.kernels import Kernel
from kernelfit.progress import Notes, ProgressLike
from kernelfit.runs import solution_file
from kernelfit.runs.folder import (
    RUN,
    SOLUTION,
    is_without_factor,
    only_writer,
    refuse_occupied,
    remove_if_empty,
    require_regular_files,
)
from kernelfit.solver.by_ridge import left_out_by_ridge, solve_by_ridge
from kernelfit.solver.complete import complete
from kernelfit.solver.context import Context
from kernelfit.solver.device_ignored import OF_WEIGHTS, ignoring_device, of_sparse_rows
from kernelfit.solver.least_ridge import with_least_ridge
from kernelfit.solver.method import Method
from kernelfit.solver.place import place
from kernelfit.solver.pose import pose
from kernelfit.solver.primal import solve_primal
from kernelfit.solver.problem import Problem, is_primal
from kernelfit.solver.problem_record import begun_with, of_another_system
from kernelfit.solver.request import Request
from kernelfit.solver.resources import Resources, remark_scratch
from kernelfit.solver.solution import Solution
from kernelfit.storage.folders import make_folder
from kernelfit.typing import (
    EngineName,
    Float,
    GammaRule,
    PrecisionLike,
    RidgeLike,
    Singular,
    SolverName,
    Tier,
)

#: what stands for a kernel
KernelLike = str | Kernel | Callable[..., Any]


@suggests_names(OTHER_NAMES)
def solve(
    X: ArrayLike | Source,
    Y: ArrayLike,
    *,
    sample_weight: ArrayLike | None = None,
    kernel: KernelLike = "gaussian",
    gamma: float | GammaRule | None = None,
    gamma_factor: float = 1.0,
    kernel_params: dict[str, Any] | None = None,
    ridge: RidgeLike = 0.0,
    jitter: float = 0.0,
    precision: PrecisionLike = "float64",
    solver: SolverName = "cholesky",
    tolerance: float | None = None,
    tier: Tier = "auto",
    memory: int | str | None = None,
    run_dir: str | Path | None = None,
    resume: bool = False,
    remember: Mapping[str, Any] | None = None,
    scratch: str | Path | None = None,
    panel_width: int | None = None,
    device: str | Device | Sequence[Device] = "auto",
    device_memory: int | str | None = None,
    threads: int | None = None,
    engine: EngineName = "process",
    scheduler: Any = None,
    scale: float | None = None,
    seed: int = 0,
    condition: bool = True,
    singular: Singular = "raise",
    progress: ProgressLike = None,
) -> Solution:
    """Solve (K + ridge W^-1) alpha = Y, K_ij = k(x_i, x_j), by a Cholesky factorisation or by
    iteration, and certify the answer.

    W = I unless `sample_weight` gives its diagonal.

    Parameters
    ----------
    X : (n, d) rows, dense or scipy.sparse: floats, or integers such as the bytes of images (exact inner products); with
        kernel="precomputed" the Gram matrix (n, n), or a `kernelfit.gram.source.Source`. Not copied where it need not
        be: leave it as it is while the solution is used
    Y : (n,) or (n, c) targets
    sample_weight : (n,) >= 0, or one number: f minimises sum_i w_i |y_i - f(x_i)|^2 + ridge |f|^2. Without a ridge all
        targets are met, whatever their weights; a row of weight 0 is left out either way
    kernel : a name of `kernelfit.kernels.KERNELS`, a `Kernel`, "precomputed", a function k(x, y) of two 1-d arrays,
        partial, method or callable object (compiled by Numba where that can be, with a note where not), or a kernel
        object of `sklearn.gaussian_process.kernels`
    gamma : for gaussian, laplacian and polynomial kernels given by name: a number, "median" (gamma_factor / median
        of |x - x'|^2, |x - x'|_1 and |x|^2 in this order, of the first 1,000 rows; the default) or "auto" (least
        leave-one-out error on at most 4,000 rows: `Solution.gamma_choice`, `kernelfit.solver.search`)
    kernel_params : other parameters of a kernel given by name, or of a function; `length_scale`, of matern and
        rational-quadratic, is a number, "median" (the median distance of the first 1,000 rows; the default) or "auto"
    ridge : >= 0, or one for each target (c,), of which equal ones share a factor; 0 interpolates; "auto" takes the one
        of least leave-one-out error among 0 and half decades from 1e-6 to 1 of the mean diagonal of K, or beyond where
        the best lies at an end (`Solution.ridge_choice`, `kernelfit.solver.ridge.choose_ridge`); beside an "auto" gamma
        or length scale the two are chosen together. Equal rows are left out of the choice, unless their targets differ:
        nothing interpolates them, and 0 is not tried
    jitter : >= 0, added to the diagonal for the factorisation only; the solution is then refined against K without it
    precision : "float64", "float32" (factor, no refinement), "mixed" (float32 factor, refined in float64), or on a
        device "tf32" (as mixed, with products on the tensor cores, for small condition numbers); "auto" takes mixed
        from 6,000 rows on where a cheap estimate of the condition number promises that refinement succeeds, else
        float64, and a note says which and why (`kernelfit.solver.precision`)
    solver : "cholesky", or "pcg": conjugate gradients with K stored in float32 and a preconditioner of low rank, 2 n^2
        flops for a target and iteration, refined in float64 (docs/matrix-free.md); no factor, hence no condition
        number or standard deviations, and leave-one-out is an estimate with error bars. "askotch": accelerated
        sketch-and-project, which stores no K and no preconditioner. "auto": a factor where it fits into memory, else
        "pcg" where that does, with a note; with a `tolerance` also "pcg" where that is faster
        (`kernelfit.iterative.plan.crossover`)
    tolerance : the relative residual |y - A alpha| / |y| of every target at which iterations stop, such as 1e-6;
        by default they stop at a backward error as small as a float64 factor's. The certificate says what was
        reached, and a note where that is less
    tier : "ram", "disk" or "auto"
    memory : bytes, or text such as "8GB"; by default what is available
    run_dir : a folder for the run: rows, factor, journal and solution. A run that stops before its end is continued by
        `kernelfit.resume`, and `kernelfit.open` answers more right-hand sides from the factor of one that ended
    resume : continue the run in `run_dir`, where there is one, if it is of the same rows, kernel, plan and versions;
        other targets are welcome
    remember : JSON stored with the run, for whoever resumes it: `kernelfit.solver.resume.remembered`
    scratch : where panels of the disk tier go when no run_dir is given; by default the system's temporary folder, of
        which /var/tmp where that lies in memory
    panel_width : columns of a panel; by default chosen by n
    device : "cpu", "cuda", "cuda:1", ..., "auto" (a GPU where there is one and n is large enough to pay for it), or an
        open `kernelfit.device.protocol.Device`, which the solution then owns, or which is closed with a note where the
        CPU alone can do the work: sparse rows, iterations, a linear kernel with fewer features than rows.
        "cuda:0,cuda:1" deals the panels out to both devices, each of which holds the whole factor; the first does the
        rest. With engine="dask": "cuda", the GPU of each worker; "auto", of those that have one; or "cpu"
    device_memory : bytes of the device to stay within, or text such as "10GB"; by default what is free
    threads : by default the least of the cores this process may use, its container's quota, `OMP_NUM_THREADS`,
        `OPENBLAS_NUM_THREADS` and the limits of threadpoolctl in force; the answer does not depend on it
    engine : "process", or "dask": the workers of a Dask cluster, each of which holds a share of the rows of the factor
    scheduler : with engine="dask" the address of its scheduler, the path of a scheduler file, or an open
        `distributed.Client`; by default a cluster of as many single-thread workers as `threads`, started here
    scale : factor applied to X before the kernel, such as 1/255 for bytes
    seed : for choices that draw rows (gamma="auto", ridge="auto")
    condition : whether to estimate the condition number (a few passes over the factor)
    singular : what to do where ridge = 0 and K is not positive definite in floating point, or equal rows carry
        different targets: "raise", or "ridge", which takes the smallest of 1e-12, 1e-10, 1e-8, 1e-6 times the mean
        diagonal of K that helps, with a note (an open device is given back with the first attempt: name it instead)
    progress : True shows bars and notes, in a notebook or on standard error; or an object of your own, a
        `kernelfit.progress.Progress`

    Raises
    ------
    InputError, DuplicateRowsError, PlanError, NotPositiveDefiniteError, StorageError, DeviceError

    Equivalent to `scipy.linalg.cho_solve(cho_factor(K + ridge * I), Y)` for a K that fits into memory twice.
    """
    resources = Resources.of(
        memory=memory,
        tier=tier,
        scratch=scratch,
        threads=threads,
        device=device,
        device_memory=device_memory,
        panel_width=panel_width,
        engine=Engine.of(engine, scheduler),
    )
    request = _requested(
        kernel=kernel,
        gamma=gamma,
        gamma_factor=gamma_factor,
        ridge=ridge,
        jitter=jitter,
        precision=precision,
        scale=scale,
        seed=seed,
        condition=condition,
        singular=singular,
        solver=solver,
        tolerance=tolerance,
        kernel_params=None if isinstance(kernel_params, dict) and not kernel_params else kernel_params,
        remember=remember,
    )
    notes, folder = Notes(progress), None if run_dir is None else path_of("run_dir", run_dir)
    if request.ridges is not None:
        _require_several(device, folder)
    with CpuBackend(threads) as backend:
        context = Context(resources, backend, notes, folder, flag("resume", resume))
        problem = pose(X, Y, request, context, sample_weight)
        context = _beside_sparse_rows(problem, context)

        def placed(problem: Problem, notes: Notes) -> Solution:
            return complete(place(problem, context.with_notes(notes)), notes)

        def answered(problem: Problem, notes: Notes) -> Solution:
            if is_primal(problem):
                return _primal(problem, context.with_notes(notes))
            # None may have been chosen on some of the rows, of which K has a factor while that of all has none.
            if problem.ridge > 0 or (singular == "raise" and not request.choose):
                return placed(problem, notes)
            return _least_ridge(problem, placed, context.with_notes(notes))

        if request.ridges is None or len(request.ridges) == 1:
            return answered(problem, notes)
        return solve_by_ridge(problem, request.ridges, answered, notes, request.singular)


def _least_ridge(
    problem: Problem, placed: Callable[[Problem, Notes], Solution], context: Context
) -> Solution:
    """The solution with the least ridge that helps, in a run that is taken up from its own."""
    folder, once = context.run_dir, not isinstance(context.resources.device, str)
    begun = begun_with(folder / RUN) if context.resume and folder is not None else None
    return with_least_ridge(problem, placed, context.notes, stored=folder is not None, once=once, begun=begun)


def _requested(**asked: Any) -> Request:
    """What is asked, checked: that of numbers and names once, for one small system is often one of many alike."""
    if isinstance(asked["kernel"], str):
        try:
            return _stored_request(**asked)
        except TypeError:  # a list of ridges, or a dictionary, cannot be looked up
            pass
    return _request(**asked)


def _request(
    *,
    condition: Any,
    solver: Any,
    tolerance: Any,
    remember: Any = None,
    kernel_params: Any = None,
    **others: Any,
) -> Request:
    flagged = flag("condition", condition)
    return Request.of(
        condition=flagged,
        remember={} if remember is None else json_of("remember", remember),
        method=Method.of(solver, tolerance, others["seed"]),
        kernel_params={} if kernel_params is None else kernel_params,
        **others,
    )


_stored_request = lru_cache(maxsize=32, typed=True)(_request)


def _require_several(device: str | Device | Sequence[Device], folder: Path | None) -> None:
    """Raise for what serves one factor only, where every ridge takes its own."""
    if not isinstance(device, str):
        raise InputError("device: got an open one for a ridge for each target, which takes several; name it")
    if folder is not None:
        raise InputError("run_dir: got one for a ridge for each target; give each ridge a solve and a folder")


def left_out_again(solution: Solution, resources: Resources, progress: ProgressLike = None) -> Float:
    """`leave_one_out(distinct=True)` of a solution without its factor, which is made anew and given back: 2/3 n^3 flops
    for each ridge, one factor at a time. Of a Gram matrix K has to be at hand."""
    solution.problem.source.require_unchanged(resources.threads)
    problem, notes = replace(solution.problem, condition=False), Notes(progress)
    with CpuBackend(resources.threads) as backend:
        context = _beside_sparse_rows(problem, Context(resources, backend, notes))

        def answered(problem: Problem, notes: Notes) -> Solution:
            if is_primal(problem):
                return _primal(problem, context.with_notes(notes))
            return complete(place(problem, context.with_notes(notes)), notes)

        if problem.ridge_per_target is not None:
            ridges, problem = problem.ridge_per_target, replace(problem, ridge_per_target=None)
            return left_out_by_ridge(problem, ridges, answered, notes)
        with closing(answered(problem, notes)) as again:
            return again.leave_one_out(notes.progress, distinct=True)


def _beside_sparse_rows(problem: Problem, context: Context) -> Context:
    """On the CPU, where rows are sparse."""
    resources = context.resources
    if problem.points is None or not problem.points.sparse or resources.device == "cpu":
        return context
    note = of_sparse_rows(resources.device)
    return replace(context, resources=ignoring_device(resources, problem.source, note, context.notes))


def _primal(problem: Problem, context: Context) -> Solution:
    backend, notes, folder = context.backend, context.notes, context.run_dir
    resources = ignoring_device(context.resources, problem.source, OF_WEIGHTS, notes)
    remark_scratch(resources, "weights of least norm are computed in memory", notes)
    if resources.tier == "disk":
        notes.add("tier disk: ignored, as weights of least norm are computed in memory")
    if resources.engine.is_cluster:
        notes.add("engine: ignored, as weights of least norm are computed in this process")
    if folder is None:
        return solve_primal(problem, backend, resources.memory_limit, notes)
    folder, made = make_folder(folder)
    try:
        with only_writer(folder):
            if context.resume and is_without_factor(folder):
                _refuse_another(folder, problem)
            else:
                refuse_occupied(folder)
            solution = solve_primal(problem, backend, resources.memory_limit, notes)
            solution.save(folder / SOLUTION)
    except BaseException:
        if made:
            remove_if_empty(folder)
        raise
    return solution


def _refuse_another(folder: Path, problem: Problem) -> None:
    """Raise `StorageError` where the solution in a folder is of other rows, weights or another kernel."""
    require_regular_files(folder)
    differing = solution_file.read(folder / SOLUTION, partial(of_another_system, problem))
    if differing is not None:
        raise StorageError(
            f"{folder}: holds the solution of another system, whose {differing} is not the same; name another folder"
        )
