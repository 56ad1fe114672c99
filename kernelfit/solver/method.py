"""How A alpha = Y is solved: by a factor, or by iteration to a tolerance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from kernelfit.arguments import choice, positive
from kernelfit.errors import InputError, shown
from kernelfit.typing import SolverName

_SOLVERS = get_args(SolverName)
#: those that iterate, and have no factor
ITERATIVE: tuple[SolverName, ...] = ("pcg", "askotch")


@dataclass(frozen=True)
class Method:
    """`cholesky`; `pcg`, preconditioned conjugate gradients, whose columns of K are drawn with `seed`; or `askotch`,
    accelerated sketch-and-project, whose blocks are.

    `tolerance` is the relative residual at which those stop; None: the backward error of a float64 factor.
    """

    solver: SolverName = "cholesky"
    tolerance: float | None = None
    seed: int = 0

    @classmethod
    def of(cls, solver: str, tolerance: float | None, seed: int = 0) -> Method:
        """The same from what users write; raises `InputError`."""
        choice("solver", solver, _SOLVERS)
        if tolerance is not None:
            if solver == "cholesky":
                raise InputError(
                    f"tolerance: got {shown(tolerance)} with solver 'cholesky', which is exact; leave it out, or take "
                    "solver='pcg'"
                )
            tolerance = positive("tolerance", tolerance)
            if tolerance >= 1:
                raise InputError(
                    f"tolerance: got {tolerance}, expected a relative residual below 1, such as 1e-6"
                )
        return cls(solver, tolerance, seed)  # type: ignore[arg-type]

    @property
    def iterates(self) -> bool:
        return self.solver in ITERATIVE


def require_tier(solver: str, tier: str) -> None:
    """Raise `InputError` for a tier that an iteration has not: no K comes from a disk, and askotch stores none."""
    if solver in ITERATIVE and tier == "disk":
        raise InputError(f"tier: got 'disk' with solver {solver!r}, expected 'auto'; leave it out")
    if solver == "askotch" and tier == "ram":
        raise InputError("tier: got 'ram' with solver 'askotch', which stores no K; leave it out")


def require_iterable(solver: str, jitter: float, precision: str) -> None:
    """Raise `InputError` for what serves a factor alone, beside a solver that iterates."""
    if solver not in ITERATIVE:
        return
    if jitter > 0:
        raise InputError(
            f"jitter: got {jitter:g} with solver {solver!r}, which has no factor that wants one; leave it out"
        )
    if precision != "float64":
        raise InputError(
            f"precision: got {precision!r} with solver {solver!r}, which reaches that of float64; leave it out"
        )


def require_factor(solver: str, what: str) -> None:
    """Raise `InputError` for a solver without a factor where `what` takes one, before anything is solved."""
    if solver in ITERATIVE:
        raise InputError(
            f"solver: got {solver!r} for {what}, which takes a factor, expected 'cholesky'; leave it out"
        )


#: what is meant where nothing is said
CHOLESKY = Method()
