"""One random problem solved, and everything that its solution says compared with long double."""

from __future__ import annotations

import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_info

import kernelfit
from benchmarks.fuzz.random_problems import USER, RandomProblem
from benchmarks.fuzz.reference import Entries, Factor, Long, U, entries
from kernelfit.cpu.pool import CpuBackend
from kernelfit.device.host import HostDevice
from kernelfit.errors import (
    DuplicateRowsError,
    InputError,
    KernelfitError,
    NotPositiveDefiniteError,
    RefinementError,
)
from kernelfit.gram.points import Points
from kernelfit.gram.source import KernelGram
from kernelfit.solver.solution import Solution

# Multiples of n u that a backward error may have, and a float32 factor's.
_BACKWARD = 40.0
_U32 = 2.0**-24


@dataclass
class Outcome:
    """What came of a problem: `solved`, or the name of the error; `violations` are what it says and is not so."""

    state: str = "solved"
    violations: list[str] = field(default_factory=list)

    def require(self, holds: bool, what: str) -> None:
        if not holds:
            self.violations.append(what)


def check(problem: RandomProblem) -> Outcome:
    """Solve the problem and compare."""
    outcome = Outcome()
    stay = surroundings_stay(outcome) if problem.index % 4 == 2 else nullcontext()
    with stay, warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        warnings.simplefilter("error")
        try:
            run_dir = Path(folder) / "run" if problem.tier == "disk" and not problem.device else None
            solution = called(problem.caller, lambda: solve(problem, run_dir=run_dir))
            _Comparison(problem, solution, outcome).run(Path(folder), run_dir)
            solution.close()
        except KernelfitError as error:
            outcome.state = type(error).__name__
            _check_refusal(problem, error, outcome)
        except Exception as error:
            outcome.state = "failed"
            outcome.violations.append(f"{type(error).__name__}: {error}")
    return outcome


def solve(problem: RandomProblem, **changes: Any) -> Solution:
    arguments: dict[str, Any] = {
        "kernel": problem.kernel,
        "ridge": _times_diagonal(problem, problem.ridge),
        "jitter": _times_diagonal(problem, problem.jitter),
        "precision": problem.precision,
        "tier": "auto" if problem.device else problem.tier,
        "panel_width": problem.panel_width,
        "threads": problem.threads,
        "scale": problem.scale,
        "device": HostDevice(16_000_000, seed=problem.index) if problem.device else "cpu",
    }
    return kernelfit.solve(problem.X, problem.Y, **{**arguments, **changes})


def called(caller: str, work: Callable[[], Solution]) -> Solution:
    """What `work` gives in this thread, or in another."""
    if caller == "main":
        return work()
    results: list[Solution] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


@contextmanager
def surroundings_stay(outcome: Outcome) -> Iterator[None]:
    """NumPy's global random state and the limits of BLAS are afterwards what they were."""
    state, limits = _random_state(), _limits()
    yield
    outcome.require(
        _random_state() == state,
        "NumPy's global random state was changed",
    )
    # The first solve of a process may load a library.
    outcome.require(_limits().items() >= limits.items(), "the threads of BLAS are not what they were")


def _random_state() -> bytes:
    return bytes(np.random.get_state()[1].tobytes())  # type: ignore[union-attr, index]  # noqa: NPY002


def _limits() -> dict[str, int]:
    return {pool["filepath"]: pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


_TINY = float(np.finfo(np.float64).tiny)


def domain(rows: NDArray[Any], problem: RandomProblem) -> Long:
    """The rows in the kernel's domain; of float32 multiples of 1/255 those multiples, as `Points` has them."""
    if problem.rows == "byte grid" and problem.scale is None:
        return np.rint(rows.astype(np.longdouble) * 255) / 255
    return rows.astype(np.longdouble) * np.longdouble(1.0 if problem.scale is None else problem.scale)


def _times_diagonal(problem: RandomProblem, share: float) -> float:
    """A shift in units of the largest k(x, x); 0 stays 0."""
    if share == 0:
        return 0.0
    x = domain(problem.X, problem)
    largest = max(float(entries(problem.kernel, row[None], row[None]).values[0, 0]) for row in x)
    return share * largest if 0 < largest < 1e290 else share


def _check_refusal(problem: RandomProblem, error: KernelfitError, outcome: Outcome) -> None:
    """An error must have its reason."""
    if isinstance(error, DuplicateRowsError):
        _, inverse = np.unique(problem.X, axis=0, return_inverse=True)
        first = {group: row for row, group in reversed(list(enumerate(inverse.reshape(-1).tolist())))}
        equal = [problem.Y[first[g]] for g in inverse.reshape(-1).tolist()]
        conflict = bool((np.array(equal) != problem.Y).any())
        outcome.require(conflict and problem.ridge == 0, f"no equal rows with other targets: {error}")
    elif isinstance(error, NotPositiveDefiniteError | RefinementError):
        rows = np.unique(problem.X, axis=0) if problem.ridge == 0 else problem.X
        x = domain(rows, problem)
        k = entries(problem.kernel, x, x, problem.rounded)
        shift = _times_diagonal(problem, problem.ridge)
        a = k.values + np.longdouble(shift) * np.eye(len(x))
        factor = Factor.of(a)
        if factor is None:
            return
        inverse = np.abs(factor.inverse())
        largest = np.abs(problem.Y.astype(np.longdouble)).max()
        if "overflows" in str(error) and inverse.max() * largest > 0.1 * np.finfo(np.float64).max:
            return  # alpha is no float64, whatever K is
        if "vanishes" in str(error) and len(x) == len(problem.Y):
            alpha = factor.inverse() @ problem.Y.reshape(len(x), -1).astype(np.longdouble)
            if (np.abs(alpha).max(axis=0) < 2 * _TINY).any():
                return  # it is none either
        inverse_norm = float(inverse.sum(axis=0).max())
        noise = float(k.tolerance.sum(axis=0).max()) + _BACKWARD * len(x) * U * float(
            np.abs(a).sum(axis=0).max()
        )
        if problem.precision != "float64":
            noise += len(x) * _U32 * float(np.abs(a).sum(axis=0).max())
        outcome.require(noise * inverse_norm > 1e-2, f"K is not singular to rounding: {error}")
    elif isinstance(error, InputError):
        small = problem.precision != "float64" and "float32 holds" in str(error)
        outcome.require(not problem.plain or small or "overflow" in str(error), f"refused: {error}")
    else:
        outcome.violations.append(f"{type(error).__name__}: {error}")


class _Comparison:
    """A solution beside the long double one."""

    def __init__(self, problem: RandomProblem, solution: Solution, outcome: Outcome) -> None:
        self.problem, self.solution, self.outcome = problem, solution, outcome
        self.x = domain(problem.X[solution.kept], problem)
        self.rounded = problem.rounded
        self.k = entries(problem.kernel, self.x, self.x, self.rounded)
        self.n = len(self.x)
        self.y = solution.targets.astype(np.longdouble)
        self.alpha = solution.alpha.astype(np.longdouble)
        self.a = self.k.values + np.longdouble(solution.ridge) * np.eye(self.n)
        self.norm = np.abs(self.a).sum(axis=1).max()
        self.primal = solution.weights is not None
        self.single = problem.precision == "float32"
        self.unit = _U32 if self.single and not self.primal else U

    def run(self, folder: Path, run_dir: Path | None) -> None:
        self._kept()
        self._entries()
        self._alpha()
        self._predictions(self.solution)
        if not self.primal:
            self._factor()
            self._norms()
        # A user's function is compiled anew for each solution that is read.
        if self.problem.index % (40 if self.problem.kernel.functions() else 4) == 1:
            self._saved(folder)
        if run_dir is not None and not self.primal and not self.problem.kernel.functions():
            self._resumed(run_dir)
        if self.problem.index % 8 == 3 and not self.problem.device:
            self._same_bits()

    def _kept(self) -> None:
        problem, kept = self.problem, self.solution.kept
        distinct = len(np.unique(problem.X, axis=0))
        fits = problem.kernel.linear and problem.X.shape[1] < distinct  # least squares counts every row
        expected = distinct if problem.ridge == 0 and not fits else len(problem.X)
        self.outcome.require(len(kept) == expected, f"kept {len(kept)} rows of {expected} different ones")
        self.outcome.require(np.array_equal(problem.Y[kept], self.solution.targets), "targets of other rows")

    def _entries(self) -> None:
        """K itself, every entry."""
        problem = self.problem
        points = Points(problem.X[self.solution.kept], problem.scale)
        with CpuBackend(1) as backend:
            source = KernelGram(problem.kernel, points)
            out = np.empty((self.n, self.n))
            for start in range(0, self.n, problem.panel_width):
                stop = min(start + problem.panel_width, self.n)
                source.columns(start, stop, backend).fill(0, self.n, out[:, start:stop])
        self._within(out, self.k.values, self.k.tolerance, "entries of K")

    def _within(self, values: NDArray[Any], true: Long, tolerance: Long, what: str) -> None:
        error = np.abs(values.astype(np.longdouble) - true)
        if not np.isfinite(values).all():
            self.outcome.violations.append(f"{what}: not finite")
            return
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.where(error > 0, error / tolerance, 0)
        worst = np.unravel_index(int(np.argmax(ratio)), ratio.shape) if ratio.size else ()
        if ratio.size and not ratio[worst] <= 1:
            self.outcome.violations.append(
                f"{what}: {float(values[worst]):.17g} at {tuple(map(int, worst))} for {float(true[worst]):.17g}, "
                f"off by {float(error[worst]):.2g}, {float(ratio[worst]):.2g} times the bound"
            )

    def _alpha(self) -> None:
        """Backward error of alpha in A alpha = Y, with the A of long double."""
        certificate = self.solution.certificate
        residual = self.y - self.a @ self.alpha
        size = np.abs(self.alpha)
        noise = self.k.tolerance @ size + U * np.abs(self.a) @ size
        scale = self.norm * size.max(axis=0) + np.abs(self.y).max(axis=0)
        claimed = max(_BACKWARD * self.n * self.unit, 3 * certificate.backward_error)
        allowed = noise + claimed * scale
        if self.primal and not certificate.consistent:
            return
        self._within((residual * 1).astype(np.longdouble), 0 * residual, allowed, "residual Y - A alpha")
        if certificate.interpolates:
            part = (np.abs(residual) - noise).max(axis=0) / np.maximum(np.abs(self.y).max(axis=0), 1e-4900)
            self.outcome.require(
                bool((part <= 2e-6).all()), f"interpolates, but a residual is {float(part.max()):.2g} of Y"
            )

    def _predictions(self, solution: Solution, name: str = "predictions") -> None:
        new = np.concatenate([self.problem.new, self.problem.X[:2]])
        values = solution.predict(new)
        cross: Entries = entries(self.problem.kernel, domain(new, self.problem), self.x, self.rounded)
        size = np.abs(self.alpha)
        tolerance = cross.tolerance @ size + 4 * (self.n + 8) * U * (np.abs(cross.values) @ size)
        # Entries of K below what float64 holds are 0.
        tolerance = tolerance + _TINY * (1 + size.sum(axis=0))
        if self.primal:
            # f = <x, w>. Singular values give alpha right to units of its largest entry, that of the smallest row; and
            # alpha, but not w, may be below what float64 holds.
            largest = np.broadcast_to(np.maximum(size.max(axis=0), _TINY / U), size.shape)
            weights = np.abs(domain(new, self.problem)) @ np.abs(self.x).T @ largest
            tolerance = tolerance + _BACKWARD * self.n * U * weights
        self._within(values.reshape(len(new), -1), cross.values @ self.alpha, tolerance, name)

    def _factor(self) -> None:
        """log det, leave-one-out and the condition number, where K is not singular to rounding."""
        certificate, shifted = self.solution.certificate, self.a
        if certificate.jitter:
            shifted = self.a + np.longdouble(certificate.jitter) * np.eye(self.n)
        factor = Factor.of(shifted)
        if factor is None:
            return
        inverse = factor.inverse()
        inverse_norm = float(np.abs(inverse).sum(axis=0).max())
        unit = _U32 if certificate.factor_precision == "float32" else U
        noise = float(self.k.tolerance.sum(axis=0).max()) + _BACKWARD * self.n * unit * float(self.norm)
        moved = noise * inverse_norm  # relative change of A^-1 by what rounding did to A
        if not moved < 0.05:
            return
        assert certificate.log_det is not None
        error = abs(certificate.log_det - float(factor.log_det()))
        self.outcome.require(
            error <= 2 * self.n * moved + 1e-12 * abs(certificate.log_det),
            f"log det {certificate.log_det:.15g} for {float(factor.log_det()):.15g}",
        )
        condition = float(self.norm) * inverse_norm if not certificate.jitter else None
        if condition is not None:
            estimate = certificate.condition_estimate
            self.outcome.require(
                condition / 3.3 <= estimate * (1 + 3 * moved)
                and estimate <= condition * (1 + 3 * moved) * 1.05,
                f"condition {estimate:.4g} for {condition:.4g}",
            )
        alpha = factor.solve(self.y)
        left_out = self.y - alpha / np.diagonal(inverse)[:, None]
        size = np.abs(self.y) + np.abs(alpha).max(axis=0) / np.diagonal(inverse)[:, None]
        values = self.solution.leave_one_out(distinct=True).reshape(self.n, -1)
        spread = 1 + np.sqrt(np.diagonal(inverse).max() / np.diagonal(inverse))[:, None]
        self._within(values, left_out, 20 * moved * self.n * spread * size + 1e-12 * size, "leave-one-out")

    def _norms(self) -> None:
        """|f| for each column within its own bound, beside what rounding of the entries of K does to it; NaN where the
        bound is no digit."""
        certificate, factor = self.solution.certificate, Factor.of(self.a)
        norms = self.solution.rkhs_norm_per_column.astype(np.longdouble)
        unresolved = np.isnan(self.solution.rkhs_norm_per_column)
        self.outcome.require(
            not unresolved.any() or certificate.rkhs_norm_error >= 0.5,
            f"rkhs_norm {norms} with an error of {certificate.rkhs_norm_error:.2g}",
        )
        if factor is None:
            return
        exact = factor.solve(self.y)
        squares = (exact * (self.k.values @ exact)).sum(axis=0)
        size = np.abs(exact)
        unit = _BACKWARD * self.n * (self.unit if self.single else float(np.finfo(np.longdouble).eps))
        moved = 3 * (size * (self.k.tolerance @ size)).sum(axis=0) + 3 * unit * self.norm * (size**2).sum(
            axis=0
        )
        claimed = 8 * min(certificate.rkhs_norm_error, 1.0) * norms**2 + 100 * self.n * U * np.abs(squares)
        allowed = np.where(unresolved, np.inf, moved + claimed)
        self._within(
            np.where(unresolved, 0, norms) ** 2, squares, allowed + 1e-300, "squares of rkhs_norm_per_column"
        )

    def _saved(self, folder: Path) -> None:
        self.solution.save(folder / "saved.h5")
        loaded = Solution.load(folder / "saved.h5", function=USER.function)
        self.outcome.require(np.array_equal(loaded.alpha, self.solution.alpha), "another alpha after loading")
        self._predictions(loaded, "predictions after loading")

    def _resumed(self, run_dir: Path) -> None:
        """The journal of a run that was killed after some panel, and of one that ended."""
        journal = run_dir / "journal"
        lines = journal.read_bytes().splitlines(keepends=True)
        self.solution.close()
        (run_dir / "solution.h5").unlink()
        journal.write_bytes(b"".join(lines[: 1 + self.problem.index % max(1, len(lines) - 1)]))
        resumed = kernelfit.resume(run_dir, threads=3 - self.problem.threads % 3)
        self.outcome.require(
            np.array_equal(resumed.alpha, self.solution.alpha), "another alpha after a resume"
        )
        resumed.close()

    def _same_bits(self) -> None:
        """The answer does not depend on the calling thread or on the number of threads."""
        other = "main" if self.problem.caller == "other" else "other"
        threads = 1 + self.problem.threads % 3
        again = called(other, lambda: solve(self.problem, threads=threads, tier="ram"))
        self.outcome.require(
            np.array_equal(again.alpha, self.solution.alpha),
            f"another alpha in thread {other} with {threads} threads",
        )
        again.close()
