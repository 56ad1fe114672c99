"""Block conjugate gradients for A X = Y with many right-hand sides, preconditioned, with true residuals.

    Q = A P,  G = P^T Q,  X = X + P G^-1 P^T R,  R = R - Q G^-1 P^T R
    Z = M^-1 R,  P = orthonormal basis of Z - P G^-1 Q^T Z

All columns share their directions, which takes fewer products than a recurrence for each (D. P. O'Leary, The block
conjugate gradient algorithm, Linear Algebra Appl. 29, 1980). Directions that are dependent to rounding, as those of
columns that have converged, of equal columns or of zeros, are left out (H. Ji and Y. Li, A breakdown-free block
conjugate gradient method, BIT 57, 2017).

A P may come from a K that is rounded. So R is replaced by Y - A X with K formed anew in float64 where R is as small as
what rounding may have added to it, and the iteration goes on with the directions that it has: what is reached is
limited by the products that form true residuals, not by those of the iteration (H. A. van der Vorst and Q. Ye, Residual
replacement strategies for Krylov subspace iterative methods, SIAM J. Sci. Comput. 22, 2000).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from kernelfit.errors import NotPositiveDefiniteError
from kernelfit.iterative.outcome import Outcome
from kernelfit.iterative.stopping import (
    INDEFINITE,
    MAX_ITERATIONS,
    PATIENCE,
    Goal,
    Reason,
    Verified,
    relative_residual,
    stagnates,
)
from kernelfit.linalg.conjugate_gradients import backward_error
from kernelfit.linalg.product import Product
from kernelfit.typing import Float

# A direction of which less than this is new beside the others holds rounding errors of products in float32.
_DEPENDENT = 1e-6
# A curvature below minus this many units of roundoff of |A| is no rounding error of a product.
_NEGATIVE = 10.0


@dataclass(frozen=True)
class Operators:
    """A = K + ridge: V -> A V as the iteration forms it, R -> M^-1 R, and X -> K X formed anew with sums of |K|.

    `ridge` is a number, (n, 1) or (1, c). `roundoff` is that of `product`, and `dtype` the type that its vectors are
    rounded to. `norm` is |A|_inf or less, until `verify` tells.
    """

    product: Callable[[Float], Float]
    precondition: Callable[[Float], Float]
    verify: Callable[[Float], Product]
    ridge: float | Float
    norm: float
    roundoff: float
    single: bool


@dataclass
class State:
    """Where the iteration is; `change` is what it has added to `solution` since the last true residual, all (n, c) but
    directions P and `applied` A P, (n, p). `nearest` is the X whose residual has been the least since then, `least`;
    `best` the one of the least measure among those whose true residual was formed. `exact`: products are with K in
    float64, where those in float32 led nowhere. `curvature` is the least p^T A p / |p|^2 that was seen, where that is
    negative beyond rounding, else 0. `measured` is what the goal measures now."""

    solution: Float
    change: Float
    residual: Float
    directions: Float
    applied: Float
    nearest: Float
    norm: float
    least: float = float("inf")
    iteration: int = 0
    history: list[float] = field(default_factory=list)
    verified: list[Verified] = field(default_factory=list)
    best: Float | None = None
    best_measure: float = float("inf")
    exact: bool = False
    curvature: float = 0.0
    measured: float = 1.0

    @classmethod
    def start(cls, operators: Operators, targets: Float, *, exact: bool = False) -> State:
        """From X = 0."""
        none = np.zeros((len(targets), 0))
        zeros = np.zeros_like(targets)
        return cls(zeros, zeros.copy(), targets.copy(), none, none, zeros.copy(), operators.norm, exact=exact)


def solve(
    operators: Operators,
    targets: Float,
    goal: Goal,
    *,
    state: State | None = None,
    observe: Callable[[State], None] = lambda state: None,
    max_iterations: int = MAX_ITERATIONS,
) -> Outcome[State]:
    """A X = Y for Y (n, c), until `goal` is reached by a true residual, none gets smaller, or `max_iterations`.

    `observe` is called after every iteration with a state from which another call resumes to the same bits. Raises
    `NotPositiveDefiniteError` where no X is nearer to a solution than 0.
    """
    state = State.start(operators, targets) if state is None else state
    of_best: Product | None = None
    while True:
        curved = state.iteration < max_iterations and step(operators, state, targets)
        measured = goal.of_residual(state.residual, state.solution + state.change, targets, state.norm)
        state.measured = measured
        due = not curved or measured <= goal.value or _is_rounding(operators, state, targets) or _idles(state)
        if due:
            if not measured <= goal.value and state.history and state.history[-1] > state.least:
                _go_back(state)
            product = _replace(operators, state, targets, goal)
            last = state.verified[-1]
            # A K that is singular to rounding allows an alpha so large that a residual beyond y is small beside it.
            if last.relative_residual < 1.0 and last.measured < state.best_measure:
                state.best_measure, state.best, of_best = last.measured, state.solution.copy(), product
            reason = _end(state, goal, max_iterations)
            if reason == "converged":  # whatever a state that was resumed says of its best
                return Outcome(state.solution, product, reason, _indefinite(state), state)
            if reason is not None:
                if state.best is None:
                    raise NotPositiveDefiniteError(_no_solution(state))
                detail = _indefinite(state) or (_DETAILS[reason] if curved else _NO_CURVATURE)
                return Outcome(state.best, of_best or operators.verify(state.best), reason, detail, state)
            if not curved:
                state.directions = state.directions[:, :0]
                state.applied = state.applied[:, :0]
        observe(state)


def _end(state: State, goal: Goal, max_iterations: int) -> Reason | None:
    """Why to stop after a true residual; None where there is more to gain."""
    last = state.verified[-1]
    if last.measured <= goal.value and last.relative_residual < 1.0:
        return "converged"
    if state.iteration >= max_iterations:
        return "iteration limit"
    return "stagnated" if stagnates(state.verified) else None


def _no_solution(state: State) -> str:
    if state.curvature < 0:
        return (
            f"K: got a direction p with p^T A p = {state.curvature:.1e} |p|^2 for A = K + ridge, expected a positive "
            "definite one; take another kernel, or a ridge larger by more than that"
        )
    least = min(each.relative_residual for each in state.verified)
    return (
        f"K: too ill-conditioned for conjugate gradients, which ended after {state.iteration:,} iterations at a "
        f"relative residual of {least:.1e}, expected below 1; take solver='cholesky', a kernel that falls off faster, "
        "or a larger ridge"
    )


def _indefinite(state: State) -> str:
    """That A is indefinite, where that was seen; else empty."""
    return (
        f"{INDEFINITE}: p^T A p = {state.curvature:.1e} |p|^2 for a direction p"
        if state.curvature < 0
        else ""
    )


_DETAILS = {
    "diverged": "the residual grows",
    "stagnated": "the true residual gets no smaller",
    "iteration limit": "no more are allowed",
}
_NO_CURVATURE = "a direction p has p^T K p <= 0 to rounding"


def step(operators: Operators, state: State, targets: Float) -> bool:
    """One iteration; False where no direction has positive curvature, and nothing was done."""
    import scipy.linalg  # 20 MB that direct solves do without

    fresh = operators.precondition(state.residual)
    directions, applied = state.directions, state.applied
    if directions.shape[1]:
        gram = directions.T @ applied
        fresh -= directions @ scipy.linalg.solve(0.5 * (gram + gram.T), applied.T @ fresh, assume_a="sym")
    directions = _orthonormal(fresh)
    if operators.single:
        directions = directions.astype(np.float32).astype(np.float64)
    if not directions.shape[1]:
        return False
    applied = operators.product(directions)
    gram = directions.T @ applied
    gram = 0.5 * (gram + gram.T)
    try:
        lower = scipy.linalg.cho_factor(gram, lower=True)
    except np.linalg.LinAlgError:
        least = float(np.linalg.eigvalsh(gram)[0])
        if least < -_NEGATIVE * operators.roundoff * state.norm:
            state.curvature = min(state.curvature, least)
        return False
    except ValueError:  # not finite
        return False
    step = scipy.linalg.cho_solve(lower, directions.T @ state.residual)
    state.change += directions @ step
    state.residual -= applied @ step
    state.directions, state.applied = directions, applied
    state.iteration += 1
    state.history.append(relative_residual(state.residual, targets))
    if state.history[-1] < state.least:
        state.least, state.nearest = state.history[-1], state.solution + state.change
    return True


def _go_back(state: State) -> None:
    """To the X of the least residual, where rounding has driven the iteration away from it; with new directions."""
    state.solution, state.change = state.nearest, np.zeros_like(state.change)
    state.directions, state.applied = state.directions[:, :0], state.applied[:, :0]


def _orthonormal(vectors: Float) -> Float:
    """An orthonormal basis of columns (n, p), of those that are not dependent to rounding."""
    import scipy.linalg

    # By powers of two, which round nothing: squares of what a large ridge has divided vanish.
    vectors = np.ldexp(vectors, -np.frexp(np.abs(vectors).max(axis=0, initial=0.0))[1])
    sizes = np.linalg.norm(vectors, axis=0)
    vectors = vectors[:, (sizes > 0) & np.isfinite(sizes)]
    if not vectors.shape[1]:
        return vectors
    basis, upper, _ = scipy.linalg.qr(
        vectors / np.linalg.norm(vectors, axis=0), mode="economic", pivoting=True, check_finite=False
    )
    independent = np.abs(np.diagonal(upper)) > _DEPENDENT * abs(upper[0, 0])
    return np.ascontiguousarray(basis[:, : int(np.argmin(np.append(independent, False)))])


def _is_rounding(operators: Operators, state: State, targets: Float) -> bool:
    """Whether R is no larger than the errors that products with a rounded K may have made since it was true.

    Errors of the entries are random: |E| is about roundoff times the root mean square entry times sqrt(n), of which
    |K|_inf / sqrt(n) is a guess that need not be good.
    """
    guess = operators.roundoff * state.norm / np.sqrt(len(targets)) * np.linalg.norm(state.change, axis=0)
    sizes = np.linalg.norm(targets, axis=0)
    errors = np.divide(guess, sizes, out=np.zeros_like(sizes), where=sizes > 0)
    return bool(state.history) and state.history[-1] <= errors.max(initial=0.0)


def _idles(state: State) -> bool:
    """Whether iterations since the last true residual have gained nothing for long."""
    since = state.history[state.verified[-1].iteration if state.verified else 0 :]
    return len(since) > PATIENCE and min(since[-PATIENCE:]) > 0.9 * min(since[:-PATIENCE])


def _replace(operators: Operators, state: State, targets: Float, goal: Goal) -> Product:
    """R = Y - A X with K formed anew."""
    state.solution = state.solution + state.change
    state.change = np.zeros_like(state.change)
    product = operators.verify(state.solution)
    state.residual = targets - product.values - operators.ridge * state.solution
    state.norm = product.norm + float(np.min(operators.ridge))
    measures = (
        relative_residual(state.residual, targets),
        backward_error(state.residual, state.norm, state.solution, targets),
    )
    measured = measures[goal.measure == "backward error"]
    state.least, state.nearest, state.measured = float("inf"), state.solution, measured
    state.verified.append(Verified(state.iteration, *measures, measured))
    return product
