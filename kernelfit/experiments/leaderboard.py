"""Kernels compared by leave-one-out on the same rows, each at its best width and ridge, beside scikit-learn's models.

What is compared knows no test row: test errors stand beside the leave-one-out errors that decide.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from kernelfit.arguments import flag, integer, suggestion
from kernelfit.cpu.pool import CpuBackend
from kernelfit.errors import InputError, KernelfitError
from kernelfit.experiments.baselines import BASELINES
from kernelfit.experiments.comparison import Compared, Entry, encoded
from kernelfit.experiments.reproduction import Model
from kernelfit.kernels import named
from kernelfit.progress import Notes, Progress, ProgressLike, as_progress
from kernelfit.solver.context import Context
from kernelfit.solver.pose import pose
from kernelfit.solver.request import Request
from kernelfit.solver.resources import Resources
from kernelfit.solver.solve import solve
from kernelfit.typing import TaskName

#: rows that all are compared on: seconds a kernel
ROWS = 2_000


@dataclass(frozen=True)
class Candidate:
    """A kernel by name with the parameters that are not chosen."""

    name: str
    kernel: str
    params: Mapping[str, Any]

    def arguments(self) -> dict[str, Any]:
        """As `kernelfit.solve` takes it, with its width and its ridge to be chosen."""
        width = named(self.kernel).width_parameter
        params = dict(self.params) | ({"length_scale": "auto"} if width == "length_scale" else {})
        gamma = "auto" if width == "gamma" else None
        return {"kernel": self.kernel, "gamma": gamma, "kernel_params": params, "ridge": "auto"}


#: what is compared
CANDIDATES: tuple[Candidate, ...] = (
    Candidate("gaussian", "gaussian", {}),
    Candidate("laplacian", "laplacian", {}),
    Candidate("matern-1/2", "matern", {"nu": 0.5}),
    Candidate("matern-3/2", "matern", {"nu": 1.5}),
    Candidate("matern-5/2", "matern", {"nu": 2.5}),
    Candidate("rational-quadratic", "rational-quadratic", {}),
    Candidate("polynomial-2", "polynomial", {"degree": 2}),
    Candidate("polynomial-3", "polynomial", {"degree": 3}),
    Candidate("linear", "linear", {}),
    Candidate("cosine", "cosine", {}),
    Candidate("arc-cosine", "arc-cosine", {}),
    Candidate("ntk", "ntk", {}),
)

Finished = Callable[[str, Callable[[], Entry]], Entry]


@dataclass(frozen=True)
class Choices:
    """What is compared, on how many rows and on which columns, as for `leaderboard`. Raises `InputError`."""

    kernels: Sequence[str] | None = None
    standardise: bool | None = None
    rows: int = ROWS
    baselines: bool = True

    def __post_init__(self) -> None:
        integer("rows", self.rows, 2)
        candidates(self.kernels)


@dataclass(frozen=True)
class SolveOptions:
    """What every kernel is solved with, as for `kernelfit.solve`; the seed also draws the rows that are compared."""

    seed: int = 0
    threads: int | None = None
    memory: int | str | None = None

    def arguments(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, repr=False)
class Leaderboard:
    """Kernels and scikit-learn's models by their error on rows left out, the best first.

    Attributes
    ----------
    entries : one for each kernel and model, those that failed last
    winner : the best kernel, with the width and the ridge that are best on all rows
    rows, of : how many rows the entries were compared on, and how many there are
    classes : names of the classes; None for regression
    notes : what was decided on the way
    """

    entries: tuple[Entry, ...]
    winner: Model
    rows: int
    of: int
    classes: tuple[str, ...] | None
    notes: tuple[str, ...]

    @property
    def best(self) -> Entry:
        """The entry of the winner."""
        return next(entry for entry in self.entries if entry.library == "kernelfit")

    def estimator(self) -> Any:
        """The winner as scikit-learn's estimator, not fitted yet; `code` as an object."""
        return self.winner.estimator()

    def code(self) -> list[str]:
        """Five lines of Python that fit the winner to X_train, y_train with scikit-learn."""
        return self.winner.code()

    def to_dict(self) -> dict[str, Any]:
        """In JSON's types."""
        return {
            "rows": self.rows,
            "of": self.of,
            "task": "regression" if self.classes is None else "classification",
            "entries": [asdict(entry) for entry in self.entries],
            "winner": asdict(self.winner),
            "code": self.code(),
            "notes": list(self.notes),
        }

    def __repr__(self) -> str:
        measure = "RMSE" if self.classes is None else "error"
        lines = [f"Leaderboard of {self.rows:,} rows, {measure} of rows left out"]
        for entry in self.entries:
            value = "–" if entry.failed else f"{entry.ranked[0]:.6g}"
            lines.append(f"  {entry.library + ' ' + entry.name:<36}{value}")
        return "\n".join([*lines, *(f"  note: {note}" for note in self.notes)])


def leaderboard(
    X: ArrayLike,
    y: ArrayLike,
    X_test: ArrayLike | None = None,
    y_test: ArrayLike | None = None,
    *,
    task: TaskName | None = None,
    kernels: Sequence[str] | None = None,
    standardise: bool | None = None,
    rows: int = ROWS,
    baselines: bool = True,
    seed: int = 0,
    threads: int | None = None,
    memory: int | str | None = None,
    progress: ProgressLike = None,
) -> Leaderboard:
    """Compare kernels on the rows of X (n, d) by leave-one-out, each at its best width and ridge.

    Parameters
    ----------
    y : (n,) labels, or (n,) or (n, c) numbers; those of a regression are centred. A column (n, 1) is (n,)
    X_test, y_test : more rows, whose error is reported and decides nothing; their columns are found by the names of
        those of X and y where both are frames
    task : "classification" or "regression"; None guesses, with a note (`kernelfit.datasets.labels`)
    kernels : names of `kernelfit.experiments.leaderboard.CANDIDATES`; None takes all
    standardise : whether columns are brought to mean 0 and standard deviation 1; None asks leave-one-out with the
        gaussian kernel
    rows : how many are drawn, by the seed, for the comparison; the winner's width and ridge are chosen on all of X
    baselines : whether scikit-learn's ridge regression, kernel ridge regression on a grid, and SVR or SVC are fitted
    threads, memory, progress : as for `kernelfit.solve`

    Raises
    ------
    InputError : data or names that make no sense, or no kernel that can be solved
    """
    choices = Choices(kernels, standardise, rows, flag("baselines", baselines))
    data, notes = encoded(X, y, X_test, y_test, task)
    return compare(data, choices, SolveOptions(seed, threads, memory), Notes(as_progress(progress), notes))


def compare(
    data: Compared, choices: Choices, options: SolveOptions, notes: Notes, finished: Finished | None = None
) -> Leaderboard:
    """`leaderboard` of data that is encoded; `finished(name, make)` gives an entry that is known, or makes it."""
    take = finished or (lambda name, make: make())
    drawn = data.drawn(choices.rows, options.seed)
    progress = notes.progress
    chosen, standardise = candidates(choices.kernels), choices.standardise
    baselines = BASELINES if choices.baselines else {}
    entries: list[Entry] = []
    with progress.phase("compare", len(chosen) + len(baselines), "models") as advance:
        if standardise is None:
            standardise = _better_standardised(drawn, options, notes, take)
        columns = drawn.standardised() if standardise else drawn
        of_columns = "" if standardise else "-raw"
        for candidate in chosen:
            name = f"{candidate.name}{of_columns}".replace("/", "-")
            entries.append(take(name, lambda c=candidate: _tried(c, columns, options, progress)))  # type: ignore[misc]
            advance(1)
        for name, baseline in baselines.items():
            entry = take(f"{name}{of_columns}", lambda f=baseline: f(columns, options.seed))  # type: ignore[misc]
            entries.append(entry)
            advance(1)
    entries.sort(key=lambda entry: (entry.failed is not None, entry.ranked))
    best = next((entry for entry in entries if entry.library == "kernelfit" and entry.failed is None), None)
    if best is None:
        reason = next(entry.failed for entry in entries if entry.library == "kernelfit")
        raise InputError(f"X: no kernel can be compared on these rows ({reason}), expected one that can")
    winner = Model(
        kernel=dict(best.kernel or {}),
        ridge=float(best.ridge or 0.0),
        standardise=standardise,
        classification=data.classes is not None,
        scale=None if standardise or data.scale == 1.0 else data.scale,
        words=data.words,
    )
    if len(data.X) > len(drawn.X):
        candidate = next(candidate for candidate in chosen if candidate.name == best.name)
        winner = _settled(candidate, data.standardised() if standardise else data, winner, options, notes)
    return Leaderboard(tuple(entries), winner, len(drawn.X), len(data.X), data.classes, tuple(notes.lines))


def candidates(names: Sequence[str] | None) -> tuple[Candidate, ...]:
    """Those of these names; None takes all. Raises `InputError`."""
    if names is None:
        return CANDIDATES
    known = {candidate.name: candidate for candidate in CANDIDATES}
    chosen = [names] if isinstance(names, str) else list(names)
    for name in chosen:
        if name not in known:
            raise InputError(
                f"kernels: got {name!r}, expected some of {', '.join(known)}{suggestion(name, known)}"
            )
    if not chosen:
        raise InputError(f"kernels: got none, expected some of {', '.join(known)}")
    return tuple(known[name] for name in dict.fromkeys(chosen))


def _tried(candidate: Candidate, data: Compared, options: SolveOptions, progress: Progress) -> Entry:
    """A kernel with the width and ridge of least leave-one-out error, and its errors; or why there are none."""
    started = time.perf_counter()
    entry = Entry(candidate.name, "kernelfit", "leave-one-out")
    try:
        solution = solve(
            data.X,
            data.targets,
            **candidate.arguments(),
            **options.arguments(),
            scale=data.scale,
            condition=False,
            singular="ridge",
            progress=_Quiet(progress),
        )
        try:
            left_out = solution.leave_one_out(distinct=True)
            entry = replace(
                entry.measured(data, left_out, solution.kept),
                kernel=solution.kernel.describe() if solution.kernel is not None else None,
                ridge=solution.ridge,
                rkhs_norm=solution.rkhs_norm if np.isfinite(solution.rkhs_norm) else None,
                at_edge=_at_edge(solution.gamma_choice, solution.ridge_choice),
            )
            entry = entry.tested(data, solution.predict)
        finally:
            solution.close()
    except KernelfitError as error:
        entry = replace(entry, failed=str(error))
    return replace(entry, seconds=time.perf_counter() - started)


def _at_edge(*choices: Any) -> bool:
    return any(choice is not None and choice.at_edge for choice in choices)


def _better_standardised(data: Compared, options: SolveOptions, notes: Notes, take: Finished) -> bool:
    """Whether the gaussian kernel's leave-one-out error is less on standardised columns than on columns as they are."""
    gaussian = CANDIDATES[0]
    both = [
        take("gaussian", lambda: _tried(gaussian, data.standardised(), options, notes.progress)),
        take("gaussian-raw", lambda: _tried(gaussian, data, options, notes.progress)),
    ]
    if all(entry.failed is not None for entry in both):
        raise InputError(f"X: the gaussian kernel cannot be solved on these rows ({both[0].failed})")
    better = (both[0].failed is not None, both[0].ranked) <= (both[1].failed is not None, both[1].ranked)
    errors = " and ".join("none" if entry.failed else f"{entry.ranked[0]:.4g}" for entry in both)
    notes.add(
        f"columns are {'standardised' if better else 'taken as they are'}: with the gaussian kernel leave-one-out has "
        f"{errors}, standardised and as they are"
    )
    return better


def _settled(
    candidate: Candidate, data: Compared, model: Model, options: SolveOptions, notes: Notes
) -> Model:
    """The winner with the width and ridge that are best on all rows."""
    resources = Resources.of(memory=options.memory, threads=options.threads)
    request = Request.of(**candidate.arguments(), seed=options.seed, scale=data.scale)
    with CpuBackend(options.threads) as backend:
        problem = pose(data.X, data.targets, request, Context(resources, backend, notes))
    assert problem.kernel is not None
    return replace(model, kernel=problem.kernel.describe(), ridge=problem.ridge)


class _Quiet:
    """Phases are shown; notes of every kernel that is tried are not."""

    def __init__(self, progress: Progress) -> None:
        self.phase = progress.phase

    def note(self, message: str) -> None:
        pass
