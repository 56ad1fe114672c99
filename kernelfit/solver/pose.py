"""From what is asked to a `Problem`: rows and targets checked, equal rows left out, gamma and ridge chosen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kernelfit.arguments import integer, positive
from kernelfit.cpu.memory import INTERPRETER
from kernelfit.cpu.pool import CpuBackend
from kernelfit.errors import DuplicateRowsError, InputError
from kernelfit.gram.points import Points
from kernelfit.gram.precision import precision_of
from kernelfit.gram.protocol import GramSource
from kernelfit.gram.source import KernelGram, PanelGram, as_source
from kernelfit.kernels import Kernel, build, parameter_names
from kernelfit.progress import Notes
from kernelfit.solver.entries import asymmetry, require_symmetric, within_range
from kernelfit.solver.gamma import build_with_gamma, gamma_kernels, median_distance, median_gamma
from kernelfit.solver.inputs import Duplicates, as_shift, as_targets, drop_duplicates
from kernelfit.solver.problem import Problem
from kernelfit.solver.resources import Resources
from kernelfit.solver.ridge import CANDIDATES, choose_ridge
from kernelfit.solver.search import Found, search
from kernelfit.solver.trials import Asked
from kernelfit.typing import Float, PrecisionName, RidgeRule


@dataclass(frozen=True)
class Request:
    """What is asked of the rows, before any of them is looked at; the arguments of `kernelfit.solve`.

    `ridge` is 0 while `choose` is True: "auto" was asked for.
    """

    kernel: str | Kernel = "gaussian"
    gamma: float | str | None = None
    gamma_factor: float = 1.0
    kernel_params: Mapping[str, Any] = field(default_factory=dict)
    ridge: float = 0.0
    choose: bool = False
    jitter: float = 0.0
    precision: PrecisionName = "float64"
    scale: float | None = None
    seed: int = 0
    condition: bool = True
    remember: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, *, ridge: float | RidgeRule = 0.0, jitter: float = 0.0, **others: Any) -> Request:
        """The same with numbers checked; raises `InputError`."""
        choose = isinstance(ridge, str) and ridge == "auto"
        request = cls(
            ridge=as_shift("ridge", 0.0 if choose else ridge),
            choose=choose,
            jitter=as_shift("jitter", jitter),
            **others,
        )
        precision_of(request.precision)
        integer("seed", request.seed, 0)
        if not isinstance(request.kernel_params, Mapping):
            raise InputError(
                f"kernel_params: got {request.kernel_params!r}, expected a dict of the kernel's parameters"
            )
        return request


@dataclass(frozen=True)
class _Rows:
    """Distinct rows with their targets, and the ridges that are worth trying on them."""

    points: Points
    targets: Float
    kept: NDArray[np.int64]
    duplicates: Duplicates
    candidates: tuple[float, ...] = CANDIDATES


def pose(
    X: ArrayLike | PanelGram,
    Y: ArrayLike,
    request: Request,
    resources: Resources,
    backend: CpuBackend,
    notes: Notes,
) -> Problem:
    """(K + ridge I) alpha = Y with every choice made. Raises `InputError` and `DuplicateRowsError`."""
    source: GramSource
    candidates, found = CANDIDATES, None
    if isinstance(request.kernel, str) and request.kernel == "precomputed":
        if request.gamma is not None or request.kernel_params:
            raise InputError(
                "gamma: a precomputed Gram matrix is used as it is; leave the kernel's parameters out"
            )
        if request.scale is not None:
            raise InputError("scale: a precomputed Gram matrix is used as it is; leave scale out")
        source = as_source(X)
        if source.layout is None:
            notes.extend(asymmetry(np.asarray(X)))
        targets, rows_given = as_targets(Y, source.n), source.n
        kept, duplicates = np.arange(source.n), Duplicates(())
    else:
        points = Points(X, request.scale)  # type: ignore[arg-type]
        rows_given = points.shape[0]
        rows = _distinct(points, Y, request, notes)
        held = INTERPRETER + rows.points.nbytes
        found = resolve_kernel(request, rows, backend, notes, resources.memory_limit - held)
        source = KernelGram(found.kernel, rows.points)
        require_symmetric(source, backend)
        targets, kept, duplicates, candidates = rows.targets, rows.kept, rows.duplicates, rows.candidates
    problem = Problem(
        source=source,
        targets=targets,
        ridge=request.ridge,
        jitter=request.jitter,
        precision=request.precision,
        kept=kept,
        rows_given=rows_given,
        duplicates=duplicates.groups,
        input_scale=None if request.scale is None or source.points is None else float(request.scale),
        single_target=np.ndim(Y) == 1,
        condition=request.condition,
        remembered=dict(request.remember),
        gamma_choice=None if found is None else found.gamma_choice,
    )
    problem = within_range(problem, notes)
    if not request.choose:
        return problem
    if found is not None and found.ridge_choice is not None:
        notes.add(found.ridge_choice.summary())
        return replace(problem, ridge=found.ridge_choice.ridge, ridge_choice=found.ridge_choice)
    choice = choose_ridge(
        source,
        targets,
        backend,
        resources.memory_limit,
        held=INTERPRETER + problem.bytes_points,
        candidates=candidates,
        seed=request.seed,
        progress=notes.progress,
    )
    notes.add(choice.summary())
    return replace(problem, ridge=choice.ridge, ridge_choice=choice)


def _distinct(points: Points, Y: ArrayLike, request: Request, notes: Notes) -> _Rows:
    """Rows without those that repeat another, where no ridge lets them stay."""
    n = points.shape[0]
    targets = as_targets(Y, n)
    if n == 0:
        raise InputError("X: got 0 rows, expected at least 1")
    try:
        return _Rows(*drop_duplicates(points, targets, request.ridge, notes.add))
    except DuplicateRowsError as error:
        if not request.choose:
            raise
        notes.add(f"ridge 0 is not tried: {error}")
    positive_ridges = tuple(relative for relative in CANDIDATES if relative > 0)
    return _Rows(points, targets, np.arange(n), Duplicates(()), positive_ridges)


def resolve_kernel(request: Request, rows: _Rows, backend: CpuBackend, notes: Notes, memory: int) -> Found:
    """The kernel with every parameter a number: its width given, by the median rule, or by leave-one-out.

    Where the ridge is chosen too, the two are chosen together; the search stays within `memory` bytes.
    """
    kernel, gamma, parameters = request.kernel, request.gamma, dict(request.kernel_params)
    gamma_factor = positive("gamma_factor", request.gamma_factor)
    if isinstance(kernel, Kernel):
        if gamma is not None or parameters:
            raise InputError(
                "gamma: the kernel is an object that has its parameters already; give them there"
            )
        return Found(kernel)
    if not isinstance(kernel, str):
        raise InputError(f"kernel: got {kernel!r}, expected a name or a Kernel of kernelfit.kernels")
    if "gamma" in parameter_names(kernel):
        if gamma_factor != 1.0 and gamma not in (None, "median"):
            raise InputError(
                f"gamma_factor: got {gamma_factor} beside gamma = {gamma!r}, expected the median rule; leave one out"
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
        length_scale = parameters.pop("length_scale", None)
        if length_scale == "median":
            length_scale = median_distance(rows.points, kernel)
        if length_scale != "auto":
            if length_scale is not None:
                parameters["length_scale"] = _number("length_scale", length_scale)
            return Found(build(kernel, **parameters))
    asked = Asked(
        kernel, parameters, None if request.choose else request.ridge, 0.0 in rows.candidates, request.seed
    )
    found = search(asked, rows.points, rows.targets, backend, memory, progress=notes.progress)
    if found.gamma_choice is not None:
        notes.add(found.gamma_choice.summary())
    return found


def _number(name: str, value: Any) -> Any:
    """A number, also one that is text; the kernel checks its range."""
    if not isinstance(value, str):
        return value
    try:
        return float(value)
    except ValueError:
        raise InputError(f"{name}: got {value!r}, expected a number > 0, 'median' or 'auto'") from None
