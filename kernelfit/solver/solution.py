"""The result of a solve: a function that interpolates, with its factor, its norms and its certificate."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kernelfit.arguments import column_names, flag, in_order, integer, path_of, positive
from kernelfit.errors import InputError
from kernelfit.gram.arrays import as_array
from kernelfit.gram.plan import Plan
from kernelfit.gram.points import Points
from kernelfit.gram.precision import precision_of
from kernelfit.iterative.convergence import Convergence
from kernelfit.iterative.inverse_diagonal import MAX_PROBES, PROBES, InverseDiagonal
from kernelfit.iterative.log_determinant import LogDeterminant
from kernelfit.kernels.base import Kernel, Needs
from kernelfit.linalg.leave_one_out import leave_one_out_predictions
from kernelfit.progress import Notes, Progress, ProgressLike, Silent, as_progress
from kernelfit.runs import solution_file
from kernelfit.solver import stored_solution
from kernelfit.solver.answer import answer
from kernelfit.solver.certificate import Certificate
from kernelfit.solver.consistency import reproduces
from kernelfit.solver.inputs import Duplicates, as_targets, refuse_conflicts
from kernelfit.solver.interpolant import Interpolant, new_rows
from kernelfit.solver.iterative_system import IterativeSystem
from kernelfit.solver.left_out import likely_residuals, missing_alpha, of_factor, of_least_squares
from kernelfit.solver.left_out import remark as left_out_remark
from kernelfit.solver.posterior import covariance, variances
from kernelfit.solver.predict import Prepared
from kernelfit.solver.problem import Problem, is_primal
from kernelfit.solver.remarks import NOT_REFINED, remark
from kernelfit.solver.ridge import RidgeChoice
from kernelfit.solver.scaling import exponents, scaled
from kernelfit.solver.search import GammaChoice
from kernelfit.solver.stored_solution import StoredSolution
from kernelfit.solver.system import System
from kernelfit.summary import as_html
from kernelfit.typing import Array, Float

# A backward error that no factorisation in float64 leaves, of any order that memory or a disk holds.
_NO_ROUNDING = 1e-9


@dataclass(repr=False, eq=False)
class Solution:
    """f(x) = sum_i k(x, x_i) alpha_i, the interpolant of least RKHS norm (ridge = 0) or the ridge solution.

    Attributes
    ----------
    problem : what was solved: K, targets, ridge, precision, rows that were kept
    alpha : (n, c) float64
    fitted : (n, c) K alpha, formed afresh
    certificate : evidence about the solve
    plan : what was planned
    seconds : gram, factor, solve, certify
    traffic : bytes of the factor read from and written to a disk, by phase
    notes : what the user should know
    remarks : those of the notes that hold for these targets only
    weights : (d, c) of the linear kernel with fewer features than rows (its primal path, of some targets at least),
        else None
    gflops_factor, threads, device : how fast, by how many threads and where the factor was made; no number of threads
        of a small system where none was given: its own thread did it, and predictions take those available
    convergence : how an iteration came to it; None of a factor, and of several ridges, each of which has its own in the
        certificate's `by_ridge`
    inverse, determinant : diag(A^-1) and log det A as random probes estimate them, once leave-one-out or a likelihood
        asked for them; None of a factor
    factor : the factored system; None where it was closed or comes from a file
    prepared : training rows as predictions multiply them, kept after the first prediction (see `Prepared`)

    The problem's `kernel`, `points`, `targets`, `ridge`, `precision`, `kept`, `rows_given`, `duplicates`,
    `input_scale`, `single_target`, `ridge_choice` and `gamma_choice` are read through properties (see `Problem`).
    """

    problem: Problem
    alpha: Float
    fitted: Float
    certificate: Certificate
    plan: Plan
    seconds: dict[str, float]
    traffic: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    remarks: tuple[str, ...] = ()
    weights: Float | None = None
    gflops_factor: float | None = None
    threads: int | None = None
    device: str = "cpu"
    convergence: Convergence | None = None
    inverse: InverseDiagonal | None = field(default=None, repr=False)
    determinant: LogDeterminant | None = field(default=None, repr=False)
    factor: System | None = None
    prepared: Prepared = field(default_factory=Prepared, repr=False)

    @property
    def kernel(self) -> Kernel | None:
        """k with its parameters; None for a precomputed Gram."""
        return self.problem.kernel

    @property
    def points(self) -> Points | None:
        """The n rows; None for a precomputed Gram."""
        return self.problem.points

    @property
    def targets(self) -> Float:
        """Y (n, c), of the rows that were kept."""
        return self.problem.targets

    @property
    def ridge(self) -> Any:
        """A number; (c,) where targets have their own."""
        per_target = self.problem.ridge_per_target
        return self.problem.ridge if per_target is None else np.array(per_target)

    @property
    def precision(self) -> str:
        """A name of `kernelfit.solve`'s `precision`."""
        return self.problem.precision

    @property
    def kept(self) -> NDArray[np.int64]:
        """Indices (n,) of the rows of X that were kept, out of `rows_given`."""
        return self.problem.kept

    @property
    def rows_given(self) -> int:
        """How many rows X had, before equal ones were left out."""
        return self.problem.rows_given

    @property
    def duplicates(self) -> tuple[tuple[int, ...], ...]:
        """Groups of equal rows of X, of which the first was kept."""
        return self.problem.duplicates

    @property
    def input_scale(self) -> float | None:
        """The factor that was given for X; None without one."""
        return self.problem.input_scale

    @property
    def single_target(self) -> bool:
        """Whether Y was given as (n,)."""
        return self.problem.single_target

    @property
    def ridge_choice(self) -> RidgeChoice | None:
        """How ridge="auto" was decided; None where it was not asked for."""
        return self.problem.ridge_choice

    @property
    def gamma_choice(self) -> GammaChoice | None:
        """How gamma="auto" or length_scale="auto" was decided; None where it was not asked for."""
        return self.problem.gamma_choice

    @property
    def lacks_factor(self) -> bool:
        """Whether its factor was given back, or is not in a copy or a file; the primal path has none to lack."""
        return not is_primal(self.problem) and (self.factor is None or self.factor.closed)

    @property
    def rkhs_norm(self) -> float:
        """|f| = sqrt(sum_c alpha_c^T K alpha_c)."""
        return self.certificate.rkhs_norm

    @property
    def rkhs_norm_per_column(self) -> Float:
        """|f_c| (c,)."""
        return np.array(self.certificate.rkhs_norm_per_column)

    def summary(self) -> str:
        """What was solved, how well and in what time, a line for each."""
        kernel = "a precomputed Gram matrix" if self.kernel is None else repr(self.kernel)
        n, c = self.alpha.shape
        lines = [
            f"Solution of {n:,} rows, {c} right-hand side{'s' if c > 1 else ''}",
            f"  {'kernel':<16}{kernel}, ridge {_text(self.ridge)}",
            f"  {'where':<16}{self.precision}, {self.plan.tier} tier, {self.device}"
            + (", without its factor" if self.lacks_factor else ""),
        ]
        lines += self.certificate.summary().splitlines()[1:]
        lines += [f"  {'iterations':<16}{self.convergence.summary()}"] if self.convergence else []
        lines += [f"  {'leave-one-out':<16}{self.inverse.summary()}"] if self.inverse else []
        lines += [f"  {'log det':<16}{self.determinant.summary()}"] if self.determinant else []
        spent = ", ".join(f"{name} {value:.3g}" for name, value in self.seconds.items() if value)
        lines += [f"  {'seconds':<16}{spent}"] if spent else []
        return "\n".join([*lines, *(f"  note: {note}" for note in self.notes)])

    def __repr__(self) -> str:
        return self.summary()

    def _repr_html_(self) -> str:
        return as_html(self.summary())

    def to_dict(self) -> dict[str, Any]:
        """All but the arrays, in JSON's types: kernel, ridge, certificate, times, plan."""
        return {
            "n_train": len(self.kept),
            "kernel": self.kernel.describe() if self.kernel is not None else {"name": "precomputed"},
            "ridge": self.problem.ridge_per_target or self.problem.ridge,
            "precision": self.precision,
            "device": self.device,
            "tier": self.plan.tier,
            "n_rhs": self.alpha.shape[1],
            **self.certificate.to_dict(),
            "seconds": dict(self.seconds),
            "gflops_factor": self.gflops_factor,
            "plan": self.plan.to_dict(),
            **({} if self.convergence is None else {"convergence": self.convergence.to_dict()}),
            "notes": list(self.notes),
        }

    @overload
    def predict(self, X: ArrayLike, progress: ProgressLike = None) -> Float: ...

    @overload
    def predict(
        self, X: ArrayLike, progress: ProgressLike = None, *, return_std: bool, return_cov: bool = False
    ) -> Any: ...

    @overload
    def predict(self, X: ArrayLike, progress: ProgressLike = None, *, return_cov: bool) -> Any: ...

    def predict(
        self,
        X: ArrayLike,
        progress: ProgressLike = None,
        *,
        return_std: bool = False,
        return_cov: bool = False,
    ) -> Any:
        """f at the rows of X (m, d), in the units of the training rows: (m, c), or (m,) where Y was (n,).

        The columns of a frame are found by their names where a frame was solved for, whatever their order.

        Of an experiment or `kernelfit solve` rows are those that its solver saw: what was done to the data before, such
        as columns standardised or targets less their mean, is a note, and a frame is refused. `Result.predict` takes
        rows of the data.

        For a precomputed Gram X is k(test row, training row), (m, n). With `return_std` also the standard deviation of
        the Gaussian process whose mean f is, of the shape of f; with `return_cov` its covariance (m, m) or (m, m, c),
        noise not counted, as `sklearn.gaussian_process.GaussianProcessRegressor` with alpha = ridge (see
        `kernelfit.solver.posterior`); both need the factor, n^2 flops a row. Targets are not scaled: the prior variance
        is k(x, x), whatever their units.
        """
        progress = as_progress(progress)
        if self.kernel is not None:
            self._refuse_rows_of_data(X)
            if done := self.problem.transformed:
                self._note(
                    f"X: taken as the solver's own rows ({done}); Experiment.load(run_dir).predict takes rows of the "
                    "data",
                    progress,
                )
        return self.predict_prepared(X, progress, return_std=return_std, return_cov=return_cov)

    def predict_prepared(
        self,
        X: ArrayLike,
        progress: ProgressLike = None,
        *,
        return_std: bool = False,
        return_cov: bool = False,
    ) -> Any:
        """As `predict`, of rows of which the caller knows that they were made as those of training were."""
        if flag("return_std", return_std) & flag("return_cov", return_cov):
            raise InputError("return_std: got True beside return_cov, expected one of them; call twice")
        progress = as_progress(progress)
        X = in_order("X", X, self.problem.column_names, progress.note)
        started = time.perf_counter()
        values = self._interpolant.at(X, progress)
        self.seconds["predict"] = self.seconds.get("predict", 0.0) + time.perf_counter() - started
        values = values[:, 0] if self.single_target else values
        if not (return_std or return_cov):
            return values
        return values, self._spread(X, "return_std" if return_std else "return_cov", progress)

    def _refuse_rows_of_data(self, X: ArrayLike) -> None:
        """Raise `InputError` for a frame where an experiment alone knows the names of columns."""
        problem = self.problem
        if problem.of_experiment and problem.column_names is None and column_names(X) is not None:
            raise InputError(
                "X: got a frame, expected an array of the solver's own rows, whose columns have no names; "
                "Experiment.load(run_dir).predict finds columns by their names"
            )

    def _spread(self, X: ArrayLike, what: str, progress: Progress) -> Float:
        """Standard deviations or covariances at the rows of X, for every target."""
        if self.kernel is None:
            raise InputError(
                f"{what}: a precomputed Gram matrix does not tell k(x, x) of new rows; give the kernel"
            )
        factor, rows = self._factor_or_raise(what), new_rows(self.problem, X)
        if self.certificate.factor_precision == "float32" and not precision_of(self.plan.precision).refined:
            self._note("standard deviations have the precision of the factor, float32", progress)
        if any(NOT_REFINED in note for note in self.notes):
            self._note(
                f"standard deviations may have no correct digit, as the jitter {NOT_REFINED}; give a ridge",
                progress,
            )
        spread = np.sqrt(variances(factor, rows, progress)) if what == "return_std" else None
        spread = covariance(factor, rows, progress) if spread is None else spread
        if not (finite := np.isfinite(spread)).all():
            row = int(np.argwhere(~finite)[0, 0])
            raise InputError(
                f"{what}: got {spread.flat[np.argmin(finite)]:g} at row {row}, expected a finite number; rescale X, or "
                "give a kernel that is one for this row and itself"
            )
        return spread if self.single_target else np.repeat(spread[..., None], self.targets.shape[1], axis=-1)

    def log_marginal_likelihood(self) -> float:
        """log p(Y | X) of the Gaussian process of covariance k and noise of variance ridge / w_i, summed over targets.

        -1/2 y^T alpha - 1/2 log det (K + ridge W^-1) - n/2 log 2 pi (Rasmussen and Williams 2006, equation 2.30).
        Of conjugate gradients the determinant is an estimate, with a note. Raises `InputError` where K has no inverse,
        and where the likelihood leaves the range of float64.
        """
        n, c = self.targets.shape
        #: log det and the number of rows that took part, of every target
        determinants: list[tuple[float | None, int]]
        if self.convergence is not None:
            determinants = [(self.log_determinant().value, n)] * c
        elif parts := self.certificate.by_ridge:
            determinants = [(part["log_det"], part["rank"]) for part in parts for _ in part["targets"]]
        else:
            determinants = [(self.certificate.log_det, n)] * c
        if any(value is None for value, _ in determinants):
            if self.weights is None:  # of an iteration, whose systems estimate it
                self._system_or_raise("log_marginal_likelihood")
            raise InputError("log_marginal_likelihood: K has no inverse on the primal path; give ridge > 0")
        if self.certificate.jitter > 0:
            self._note("the determinant of the likelihood holds the jitter, as the factor does", Silent())
        if self.certificate.factor_precision == "float32":
            self._note("the determinant of the likelihood has the precision of the factor, float32", Silent())
        powers = exponents(self.targets), exponents(self.alpha)
        unit = scaled(self.targets, -powers[0]), scaled(self.alpha, -powers[1])
        fit = float(scaled(np.einsum("ij,ij->j", *unit)[None], powers[0] + powers[1]).sum())
        if not math.isfinite(fit):
            raise InputError(
                "log_marginal_likelihood: overflows in float64, with Y up to "
                f"{np.abs(self.targets).max():.3g}; rescale Y"
            )
        logarithm = math.log(2.0 * math.pi)
        return -0.5 * (fit + sum((value or 0.0) + rows * logarithm for value, rows in determinants))

    def log_determinant(self, progress: ProgressLike = None, *, probes: int | None = None) -> LogDeterminant:
        """log det (K + ridge W^-1), with the jitter that a factor holds.

        Conjugate gradients estimate it by `probes` random vectors (32 by default), with a standard deviation
        (`kernelfit.iterative.log_determinant`); that of a factor is exact.
        Raises `InputError` for a solution of several ridges, and where K has no inverse.
        """
        if probes is not None:
            integer("probes", probes, 2, MAX_PROBES)
        if self.convergence is None:
            value = self.certificate.log_det
            if value is None:
                several = len(self.certificate.by_ridge)
                raise InputError(
                    f"log_determinant: got a solution of {several} ridges, expected one, as each has its own; "
                    "solve each ridge alone"
                    if several
                    else "log_determinant: K has no inverse on the primal path; give ridge > 0"
                )
            return LogDeterminant(value, 0.0, value, 0, 0, True)
        if self.determinant is None or probes is not None:
            progress, system = as_progress(progress), self._system_or_raise("log_determinant")
            assert isinstance(system, IterativeSystem)
            self.determinant = system.estimate_log_determinant(progress, probes or PROBES)
            self._note(self.determinant.remark(), progress)
        return self.determinant

    @property
    def probes(self) -> int:
        """Random vectors that leave-one-out is estimated by; 0 where it is not."""
        return 0 if self.inverse is None else self.inverse.probes

    @property
    def _interpolant(self) -> Interpolant:
        return Interpolant(self.problem, self.alpha, self.weights, self.factor, self.threads, self.prepared)

    def score(self, X: ArrayLike, Y: ArrayLike) -> float:
        """The coefficient of determination R^2 of the predictions, as `sklearn.metrics.r2_score`.

        Raises `InputError` for rows that `predict` refuses, and for Y with other rows or columns than predictions have.
        """
        from sklearn.metrics import r2_score

        predicted = self.predict(X)
        targets, columns = as_targets(Y, len(predicted)), self.alpha.shape[1]
        if targets.shape[1] != columns:
            raise InputError(f"Y: got {targets.shape[1]} columns, expected {columns} as the solution has")
        predicted = predicted.reshape(len(predicted), columns)
        # Each column at unit size: squares would overflow.
        powers = np.maximum(exponents(targets), exponents(predicted))
        return float(r2_score(scaled(targets, -powers), scaled(predicted, -powers)))

    def solve(self, Y: ArrayLike, progress: ProgressLike = None, *, componentwise: bool = True) -> Solution:
        """The solution for other right-hand sides of the same factor.

        Y has the rows of the first Y, or those of them that were kept: (n,) or (n, c). Without `componentwise` the
        certificate has no componentwise backward error, and norms a coarser bound: a product with |K| less.
        """
        by_entry, factor = flag("componentwise", componentwise), self._system_or_raise("solve")
        given = as_array(Y, "Y")
        if given.shape[:1] == (len(self.kept),):
            targets = as_targets(given, len(self.kept))
        else:
            every = as_targets(given, self.rows_given)
            refuse_conflicts(Duplicates(self.duplicates), every)
            targets = np.ascontiguousarray(every[self.kept])
        progress = as_progress(progress)
        answered = answer(factor, targets, progress, None if by_entry else self.certificate.norm)
        self._require_same_gram(answered.certificate)
        problem = self.problem.with_targets(targets, single_target=given.ndim == 1)
        notes = Notes(progress, (line for line in self.notes if line not in self.remarks))
        remarks = remark(problem, answered, notes)
        return replace(
            self,
            problem=problem,
            alpha=answered.alpha,
            fitted=answered.fitted,
            certificate=answered.certificate,
            convergence=answered.convergence,
            seconds=dict.fromkeys(factor.seconds, 0.0) | answered.seconds,
            traffic=dict.fromkeys(factor.traffic, 0) | answered.traffic,
            notes=notes.lines,
            remarks=remarks,
        )

    def inverse_diagonal(
        self, progress: ProgressLike = None, *, probes: int | None = None, error: float | None = None
    ) -> Float:
        """diag((K + ridge I)^-1) (n,), as the factor has it (with a jitter in it); n^3/3 flops.

        Conjugate gradients estimate it by `probes` random vectors (32 by default), or by as many, 1,024 at most, as
        take the root mean square of its relative errors down to `error`; `inverse` then has the standard deviation of
        every entry (`kernelfit.iterative.inverse_diagonal`), and `leave_one_out` goes by it. A factor needs neither.
        """
        if probes is not None:
            integer("probes", probes, 2, MAX_PROBES)
        if error is not None:
            positive("error", error)
        system = self._system_or_raise("inverse_diagonal")
        if not isinstance(system, IterativeSystem):
            return system.inverse_diagonal(as_progress(progress))
        if self.inverse is None or probes is not None or error is not None:
            progress = as_progress(progress)
            self.inverse = system.estimate_inverse_diagonal(progress, probes or PROBES, error)
            remark = self.inverse.remark(error)
            if remark and remark not in self.notes:
                self.notes.append(remark)
                progress.note(remark)
        return self.inverse.values.copy()

    def leave_one_out(self, progress: ProgressLike = None, *, distinct: bool = False) -> Float:
        """f_{-i}(x_i) for every row of X, (n, c) or (n,): what the others predict at row i when it alone is left out.

        y_i - alpha_i / (A^-1)_ii; one more n^3/3 flops, but for the linear kernel with fewer features than rows, which
        needs no factor (`kernelfit.linalg.minimum_norm.left_out`). Of equal rows a copy stays, which an interpolant
        meets: their prediction is their target. A row of weight 0 was left out to begin with; its prediction is f(x_i),
        NaN for a precomputed Gram. With `distinct` only the rows `kept` are given, each left out with the copies that
        the solve left out; beside a ridge copies are rows like any other, and stay. Notes say where the factor is that
        of K + jitter I, or float32. Conjugate gradients estimate (A^-1)_ii (see `inverse_diagonal`), with a note.
        """
        progress, started, distinct = as_progress(progress), time.perf_counter(), flag("distinct", distinct)
        if is_primal(self.problem):
            assert self.points is not None
            self.points.require_unchanged(threads=self.threads)
            weights = None if self.certificate.consistent else self.problem.weights
            predictions = of_least_squares(self.points, self.targets, weights)
        elif self.convergence is not None:
            predictions = self._left_out_by_probes(progress)
        else:
            predictions = self._left_out_of_factor(progress)
        self.seconds["loo"] = self.seconds.get("loo", 0.0) + time.perf_counter() - started
        if not distinct:
            predictions = self._for_every_row(predictions, progress)
        return predictions[:, 0] if self.single_target else predictions

    def _left_out_of_factor(self, progress: Progress) -> Float:
        """Leave-one-out predictions (n, c) from the factor."""
        factor, before = self._factor_or_raise("leave_one_out"), len(self.notes)
        note = partial(self._note, progress=progress)
        predictions = of_factor(
            factor, self.targets, self.alpha, self.fitted, self.certificate, note, progress
        )
        # They are of these targets, or are said again where others are left out.
        self.remarks = (*self.remarks, *self.notes[before:])
        return predictions

    def _left_out_by_probes(self, progress: Progress) -> Float:
        """Leave-one-out predictions (n, c) from an estimate of diag(A^-1)."""
        powers, inverse = exponents(self.targets), self.inverse_diagonal(progress)
        assert self.inverse is not None
        line = left_out_remark(self.inverse, self.alpha, self._missing(), self.targets)
        self._note(line, progress)
        self.remarks = (*(each for each in self.remarks if each != line), line)
        targets, alpha = scaled(self.targets, -powers), scaled(self.alpha, -powers)
        return scaled(leave_one_out_predictions(targets, alpha, inverse), powers)

    def _missing(self) -> Float:
        """About how much alpha (n, c) lacks, where it was iterated to a tolerance."""
        system = self._system_or_raise("leave_one_out")
        assert isinstance(system, IterativeSystem)
        assert self.inverse is not None
        residual = self.targets - self.fitted - self.problem.ridges * self.alpha
        return missing_alpha(system, residual, self.inverse)

    def likely_left_out(self, progress: ProgressLike = None) -> list[Float]:
        """Of an estimated leave-one-out equally likely predictions (n, c) of the rows `kept`, whose spread over the
        list is their uncertainty (`kernelfit.metrics.spread`); none of a factor, whose is exact."""
        if self.convergence is None:
            return []
        self.inverse_diagonal(progress)
        assert self.inverse is not None
        residuals = likely_residuals(self.inverse, self.alpha, self._missing())
        return [self.targets - residual for residual in residuals]

    def _for_every_row(self, predictions: Float, progress: Progress) -> Float:
        """Leave-one-out predictions of the rows that were kept (n, c), with those of all other rows of X."""
        if len(predictions) == self.rows_given:
            return predictions
        every = np.full((self.rows_given, predictions.shape[1]), np.nan)
        every[self.kept] = predictions
        for group in self.duplicates:
            every[list(group)] = self.targets[np.searchsorted(self.kept, group[0])]
        unweighted = self.problem.unweighted
        if unweighted is not None:
            rows = unweighted.take(np.arange(unweighted.shape[0]), like=self.points)
            every[self.problem.unweighted_rows] = self._interpolant.at_rows(rows, progress)
        return every

    def save(self, path: str | Path) -> None:
        """Write alpha, training rows, kernel and certificate to an HDF5 file (no pickle; the factor is not saved)."""
        solution_file.write(path_of("path", path), *self.as_data())

    @staticmethod
    def load(path: str | Path, function: Any = None) -> Solution:
        """Read what `save` wrote; a user's own kernel function must be given again."""
        return load(path, function)

    def as_data(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """JSON and arrays that a file holds; see `load`."""
        if self.points is not None:  # a Gram matrix is not stored
            self.points.require_unchanged(threads=self.threads)
        held = {each.name: getattr(self, each.name) for each in fields(StoredSolution)}
        return StoredSolution(**held).to_data()

    def close(self) -> None:
        """Give back the memory or files of the factor, which other solutions may share; predictions stay possible."""
        if self.factor is not None:
            self.factor.close()
            self.factor = None
        self.problem = self.problem.without_gram()

    def __getstate__(self) -> dict[str, Any]:
        """What pickle and copy take: all but the factor, whose panels belong to this process."""
        return {
            **self.__dict__,
            "factor": None,
            "prepared": None,
            "problem": self.problem.without_gram(),
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Raise `InputError` where the user's own kernel, which pickle takes by its name, is another one here."""
        self.__dict__.update(state, prepared=Prepared())
        if self.kernel is None or Needs.FUNCTION not in self.kernel.needs:
            return
        held = self.problem, self.certificate, self.alpha, self.fitted, self.weights
        if self.kernel.is_another() or not reproduces(*held, self._interpolant.at_rows):
            raise InputError(
                f"kernel: {self.kernel!r} gives other values here than where the solution was pickled, expected the "
                "same; restore its code and what that reads, or solve again"
            )

    def _note(self, message: str, progress: Progress) -> None:
        if message not in self.notes:
            self.notes.append(message)
            progress.note(message)

    def _require_same_gram(self, certificate: Certificate) -> None:
        """Raise `InputError` where a K of the user's own making is no longer that of the factor, as errors tell."""
        exact = certificate.factor_precision == "float64" and certificate.jitter == 0
        if self.kernel is None and exact and certificate.backward_error > _NO_ROUNDING:
            raise InputError(
                "gram: the matrix that the solution is of was changed since the solve, as a backward error of "
                f"{certificate.backward_error:.1e} tells, expected it as it was; solve again, with a copy"
            )

    def _factor_or_raise(self, method: str) -> System:
        if self.convergence is not None:
            raise InputError(
                f"{method}: {self.convergence.method} leaves no factor; solve with solver='cholesky'"
            )
        return self._system_or_raise(method)

    def _system_or_raise(self, method: str) -> System:
        if is_primal(self.problem):
            raise InputError(f"{method}: the primal path has no factor; give ridge > 0")
        if self.factor is None or self.factor.closed:
            if self.convergence is not None:
                gram = ", given its Gram matrix as gram," if self.kernel is None else ""
                raise InputError(
                    f"{method}: got a solution without what iterates, which was given back, or is not in a copy or a "
                    f"file; kernelfit.open{gram} has that of a run_dir, else solve again"
                )
            reads = "kernelfit.open"
            if method == "return_std" and self.problem.of_experiment:
                reads = "Experiment.load(run_dir).predict(X, return_std=True)"
            raise InputError(
                f"{method}: got a solution without its factor, which was given back, or is not in a copy or a file; an "
                f"estimator keeps it with keep_factor=True, {reads} reads that of a run_dir, else solve again"
            )
        # Rows and matrices of the user's are not copied.
        self.problem.source.require_unchanged(self.threads)
        return self.factor


def _text(ridge: Any) -> str:
    return f"{ridge:.6g}" if np.ndim(ridge) == 0 else ", ".join(f"{each:.6g}" for each in ridge)


def load(path: str | Path, function: Any = None) -> Solution:
    """Read a solution that `Solution.save` or `solve --out` wrote; `function` is the user's own kernel, if it has one.

    Every array is checked against the file's size and the others' shapes. Raises `DataError`.
    """
    return Solution(**vars(stored_solution.read(path_of("path", path), function)))
