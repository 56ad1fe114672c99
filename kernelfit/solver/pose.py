"""From what is asked to a `Problem`: rows and targets checked, equal rows left out, gamma and ridge chosen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kernelfit.arguments import column_names, positive, shape_of
from kernelfit.cpu.memory import INTERPRETER
from kernelfit.errors import InputError, shown
from kernelfit.frozen import frozen_of_arrays
from kernelfit.gram.arrays import as_array, exact_floats, is_sparse
from kernelfit.gram.points import Points
from kernelfit.gram.precision import before_choice, precision_of
from kernelfit.gram.protocol import GramSource
from kernelfit.gram.source import KernelGram, Source, as_source
from kernelfit.gram.sparse import SparsePoints, dense_bytes, require_rows
from kernelfit.kernels import Kernel, build, parameter_names
from kernelfit.kernels.base import COORDINATES
from kernelfit.linalg.ridge_path import ROUNDOFF
from kernelfit.solver.context import Context
from kernelfit.solver.entries import asymmetry, require_symmetric, within_range
from kernelfit.solver.gamma import build_with_gamma, gamma_kernels, median_distance, median_gamma
from kernelfit.solver.inputs import Duplicates, as_targets
from kernelfit.solver.posed_rows import NO_DUPLICATES, PosedRows, distinct_rows, weighted_rows
from kernelfit.solver.precision import with_precision
from kernelfit.solver.problem import Problem
from kernelfit.solver.request import Request
from kernelfit.solver.ridge import CANDIDATES, RidgeChoice, choose_ridge
from kernelfit.solver.search import Found, search
from kernelfit.solver.trials import Asked
from kernelfit.solver.weights import WeightedGram, as_weights
from kernelfit.typing import Float

# Sparse rows that are filled beyond this are multiplied faster as arrays.
_DENSE = 0.1


def pose(
    X: ArrayLike | Source,
    Y: ArrayLike,
    request: Request,
    context: Context,
    sample_weight: ArrayLike | None = None,
) -> Problem:
    """(K + ridge W^-1) alpha = Y with every choice made. Raises `InputError` and `DuplicateRowsError`."""
    problem = _posed(X, Y, request, context, sample_weight)
    return with_precision(problem, request.precision, context.backend, context.notes)


def _posed(
    X: ArrayLike | Source,
    Y: ArrayLike,
    request: Request,
    context: Context,
    sample_weight: ArrayLike | None,
) -> Problem:
    """The same before its precision is chosen."""
    if isinstance(request.kernel, str) and request.kernel == "precomputed":
        problem, every = _pose_gram(X, Y, request, context, sample_weight), None
    else:
        given = _given_rows(X, Y, request, context, sample_weight)
        problem, every = _pose_rows(given, Y, request, context), given.every
        if (names := column_names(X)) is not None:
            problem = replace(problem, column_names=names)
    notes = context.notes
    problem = within_range(problem, notes)
    columns = problem.targets.shape[1]
    if request.ridges is not None and len(request.ridges) != columns:
        raise InputError(
            f"ridge: got {len(request.ridges)} numbers for {columns} targets, expected one or one for each"
        )
    if not request.choose:
        _require_finite_ridges(problem)
        return problem
    choice = problem.ridge_choice or _chosen_ridge(problem, request, context)
    notes.add(choice.summary())
    problem = replace(problem, ridge=choice.ridge, ridge_choice=choice)
    _require_finite_ridges(problem)
    if choice.ridge == 0 or every is None or not problem.duplicates:
        return problem
    # A row that occurs twice counts twice beside a ridge, however the ridge was found.
    assert problem.kernel is not None
    notes.add("rows that repeat another count beside the ridge that was chosen: all rows take part")
    return replace(
        problem,
        source=KernelGram(problem.kernel, every.points),
        targets=every.targets,
        kept=every.kept,
        duplicates=(),
        weights=every.weights,
    )


def _require_finite_ridges(problem: Problem) -> None:
    if problem.weights is None:
        return
    with np.errstate(over="ignore"):
        if np.isfinite(problem.ridges).all():
            return
    assert problem.weights is not None
    raise InputError(
        f"sample_weight: ridge / {problem.weights.min():.3g} overflows, expected weights nearer to 1; rescale them, or "
        "make the least of them 0"
    )


def _pose_gram(
    X: Any,
    Y: ArrayLike,
    request: Request,
    context: Context,
    sample_weight: ArrayLike | None,
) -> Problem:
    """The problem of a Gram matrix that is there already; its ridge is 0 where it is still to be chosen."""
    resources, notes = context.resources, context.notes
    if request.gamma is not None or request.kernel_params:
        raise InputError(
            "gamma: a precomputed Gram matrix is used as it is; leave the kernel's parameters out"
        )
    if request.scale is not None:
        raise InputError("scale: a precomputed Gram matrix is used as it is; leave scale out")
    source: GramSource = as_source(X, resources.threads)
    n = source.n
    if not isinstance(X, Source):
        notes.extend(asymmetry(exact_floats(as_array(X, "gram"), "gram")))
    targets, weights, kept = as_targets(Y, n), as_weights(sample_weight, n), np.arange(n)
    if weights is not None:
        kept = weighted_rows(weights, request, notes)
        weights = weights[kept]
        if len(kept) < n:
            needed, memory = 8 * len(kept) ** 2, resources.memory_limit
            if needed > memory:
                raise InputError(
                    f"sample_weight: the matrix without rows of weight 0 takes {needed:,} bytes, got {memory:,} of "
                    "memory; leave them out of the matrix"
                )
            notes.add(f"the matrix without these rows and columns is a copy of {needed:,} bytes")
            source, targets = source.subset(kept, context.backend), np.ascontiguousarray(targets[kept])
    return _problem(Y, request, source, _Given(n, np.setdiff1d(np.arange(n), kept)), targets, kept, weights)


def _given_rows(
    X: Any,
    Y: ArrayLike,
    request: Request,
    context: Context,
    sample_weight: ArrayLike | None,
) -> _Given:
    """Rows, targets and weights, checked, and those of weight 0 set apart."""
    notes = context.notes
    points = _sparse_rows(X, request, context) if is_sparse(X) else Points(X, request.scale)
    if points.snapped:
        notes.add(
            "X: float32 multiples of 1/255 are taken for k/255 exactly, within float32's rounding of them"
        )
    n = points.shape[0]
    targets = as_targets(Y, n)
    if n == 0:
        raise InputError("X: got 0 rows, expected at least 1")
    weights = as_weights(sample_weight, n)
    every = PosedRows(points, targets, np.arange(n), weights=weights)
    if weights is None or weights.all():
        if weights is not None:
            weighted_rows(weights, request, notes, points)
        return _Given(n, np.zeros(0, np.int64), every)
    every = every.of(weighted_rows(weights, request, notes, points))
    return _Given(n, np.flatnonzero(weights == 0), every, points.take(np.flatnonzero(weights == 0)))


def _sparse_rows(X: Any, request: Request, context: Context) -> Points:
    """Sparse rows as they are, or as an array where the kernel reads more of them than products or few are zero."""
    require_rows(X, "X")
    kernel = request.family
    density = X.nnz / max(1, X.shape[0] * X.shape[1])
    if not kernel.needs & COORDINATES and density <= _DENSE:
        return SparsePoints(X, request.scale)
    why = (
        f"{density:.0%} of it is not zero"
        if density > _DENSE
        else f"the {kernel.name} kernel reads all of a row"
    )
    needed, memory = dense_bytes(X), context.resources.memory_limit
    if needed > memory:
        raise InputError(
            f"X: sparse, takes {needed:,} bytes as an array, got {memory:,} of memory; {why}: take a kernel of "
            "distances or inner products"
        )
    context.notes.add(f"X: sparse, was made an array of {needed:,} bytes, as {why}")
    return Points(X.toarray(), request.scale)


def _pose_rows(given: _Given, Y: ArrayLike, request: Request, context: Context) -> Problem:
    """The problem of rows and a kernel; its ridge is chosen where the kernel's width is, else 0 until it is."""
    assert given.every is not None
    notes = context.notes
    rows = distinct_rows(given.every, request, notes)
    found = resolve_kernel(request, rows, context)
    source = KernelGram(found.kernel, rows.points)
    require_symmetric(source, context.backend, notes)
    notes.extend(source.kernel.remarks())
    if rows.duplicates.groups:
        given = replace(given, duplicates=rows.duplicates)
    problem = _problem(Y, request, source, given, rows.targets, rows.kept, rows.weights)
    choices = rows.conflict, found.gamma_choice, found.ridge_choice
    if not any(choices):
        return problem
    return replace(problem, conflict=choices[0], gamma_choice=choices[1], ridge_choice=choices[2])


def _chosen_ridge(problem: Problem, request: Request, context: Context) -> RidgeChoice:
    source, weights = problem.source, problem.weights
    return choose_ridge(
        source if weights is None else WeightedGram(source, weights),
        problem.targets,
        context.backend,
        context.resources.memory_limit - INTERPRETER - problem.bytes_points,
        candidates=tuple(c for c in CANDIDATES if c > 0) if problem.conflict else CANDIDATES,
        seed=request.seed,
        roundoff=_roundoff(request),
        progress=context.notes.progress,
    )


def _roundoff(request: Request) -> float:
    """u of the factor that the solve is left with; refinement makes up for a smaller one's."""
    numbers = precision_of(before_choice(request.precision))
    return ROUNDOFF if numbers.refined else numbers.unit_roundoff


@frozen_of_arrays
class _Given:
    """Of the `n` rows of X, the indices of those of weight 0 and they themselves, all others (None for a Gram matrix),
    and the groups of equal ones."""

    n: int
    left_out: NDArray[np.int64]
    every: PosedRows | None = None
    unweighted: Points | None = None
    duplicates: Duplicates = NO_DUPLICATES


def _problem(
    Y: ArrayLike,
    request: Request,
    source: GramSource,
    given: _Given,
    targets: Float,
    kept: NDArray[np.int64],
    weights: Float | None,
) -> Problem:
    return Problem(
        source=source,
        targets=targets,
        ridge=request.ridge,
        jitter=request.jitter,
        precision=before_choice(request.precision),  # type: ignore[arg-type]
        kept=kept,
        rows_given=given.n,
        duplicates=given.duplicates.groups,
        input_scale=None if request.scale is None or source.points is None else float(request.scale),
        single_target=np.ndim(Y) == 1,
        condition=request.condition,
        remembered=dict(request.remember),
        weights=weights,
        method=request.method,
        unweighted=given.unweighted,
        unweighted_rows=given.left_out,
    )


def resolve_kernel(request: Request, rows: PosedRows, context: Context) -> Found:
    """The kernel with every parameter a number: its width given, by the median rule, or by leave-one-out.

    Where the ridge is chosen too, the two are chosen together; the search stays within the memory there is.
    """
    kernel, gamma, parameters = request.kernel, request.gamma, dict(request.kernel_params)
    gamma_factor = positive("gamma_factor", request.gamma_factor)
    if parameters or not isinstance(gamma, float):
        _refuse_arrays(gamma, parameters)
    if isinstance(kernel, Kernel):
        if gamma is not None or parameters:
            raise InputError(
                "gamma: the kernel is an object that has its parameters already; give them there"
            )
        return Found(kernel.settled())
    if not isinstance(kernel, str):
        raise InputError(
            f"kernel: got {shown(kernel)}, expected a name, a Kernel of kernelfit.kernels or a function k(x, y)"
        )
    if "gamma" in parameter_names(kernel):
        if gamma_factor != 1.0 and gamma not in (None, "median"):
            raise InputError(
                f"gamma_factor: got {gamma_factor} beside gamma = {gamma!r}, expected the median rule; give one of them"
            )
        if gamma is None or gamma == "median":
            return Found(
                build_with_gamma(kernel, median_gamma(rows.points, kernel, gamma_factor), parameters)
            )
        if gamma != "auto":
            return Found(build_with_gamma(kernel, _number("gamma", gamma), parameters))
        build_with_gamma(kernel, 1.0, parameters)  # what is wrong with the others is said before any work
    else:
        if gamma is not None:
            length = "; give length_scale" if "length_scale" in parameter_names(kernel) else ""
            raise InputError(
                f"gamma: the {kernel} kernel has none; expected one of {', '.join(gamma_kernels())}{length}"
            )
        if gamma_factor != 1.0:
            raise InputError(
                f"gamma_factor: got {gamma_factor}, but the {kernel} kernel has no gamma; leave it out"
            )
        if "length_scale" not in parameter_names(kernel):
            return Found(build(kernel, **parameters))
        length_scale = parameters.pop("length_scale", None)
        if length_scale is None or length_scale == "median":
            build(kernel, **parameters)  # what is wrong with the others is said first
            length_scale = median_distance(rows.points, kernel)
        if length_scale != "auto":
            return Found(build(kernel, **parameters, length_scale=_number("length_scale", length_scale)))
    ridge = None if request.choose else request.ridge
    asked = Asked(
        kernel, parameters, ridge, not rows.conflict, request.seed, rows.weights, _roundoff(request)
    )
    memory = context.resources.memory_limit - INTERPRETER - rows.points.nbytes
    found = search(asked, rows.points, rows.targets, context.backend, memory, progress=context.notes.progress)
    if found.gamma_choice is not None:
        context.notes.add(found.gamma_choice.summary())
    return found


def _refuse_arrays(gamma: Any, parameters: Mapping[str, Any]) -> None:
    """Raise `InputError` where a width is given for each feature."""
    for name, value in {"gamma": gamma, **parameters}.items():
        if not isinstance(value, float) and (shape := shape_of(name, value)):
            raise InputError(
                f"{name}: got an array of shape {shape}, expected one number for all features; scale the columns of X "
                "instead"
            )


def _number(name: str, value: Any) -> Any:
    """A number, also one that is text; the kernel checks its range."""
    if not isinstance(value, str):
        return value
    try:
        return float(value)
    except ValueError:
        raise InputError(f"{name}: got {value!r}, expected a number > 0, 'median' or 'auto'") from None
