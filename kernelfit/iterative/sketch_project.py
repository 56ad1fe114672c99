"""Accelerated sketch-and-project for A X = Y: blocks of rows met one after the other, K never stored.

    Z = a V + (1 - a) W,  B a random block of b rows
    D = A_BB^-1 (A Z - Y)_B
    W = Z,  W_B = W_B - D
    V = beta V + (1 - beta) Z,  V_B = V_B - gamma D
    beta = 1 - (mu / nu)^1/2,  gamma = (mu nu)^-1/2,  a = 1 / (1 + gamma nu),  nu = n / b

An iteration forms b rows of K, n / b of them make an epoch. This is ASkotch (P. Rathore, Z. Frangella, J. Yang,
M. Derezinski and M. Udell, A Neat Solution for Large-scale Kernel Ridge Regression, arXiv 2407.10070) with its blocks
solved exactly, where the paper approximates A_BB by Nystrom's method and takes a step by the largest eigenvalue of
what is left: a Cholesky factor of b rows costs little beside n b entries of K, and blocks that are met exactly take
far fewer epochs. mu, the rate at which blocks would converge without acceleration, is followed by the decrease that is
seen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from kernelfit.errors import NotPositiveDefiniteError
from kernelfit.iterative.outcome import Outcome
from kernelfit.iterative.stopping import Goal, Reason, Verified, relative_residual
from kernelfit.linalg.conjugate_gradients import backward_error
from kernelfit.linalg.product import Product
from kernelfit.typing import Float

#: epochs at most
MAX_EPOCHS = 2_000
#: epochs after which the true residual is formed whatever the blocks say, and is to have halved
PATIENCE = 40
# mu nu at the start. At 1 nothing is accelerated; the smaller, the longer the memory.
_START = 0.3
# Epochs over which a decrease is looked at, at least and at most, and the logarithm that mu promises over them: epochs
# of random blocks differ by what a small mu promises of a few, and what chance brings would lower it again and again.
_LOOK, _LONGEST, _PROMISED = 3, 24, 2.0
# The decrease beside what mu promises below which mu is lowered, and beyond which it is raised; and by how much.
_SLOW, _FAST, _LOWER, _RAISE = 0.5, 1.2, 1.0 / 3.0, 2.0
# An estimate beyond this many times the first is no convergence.
_DIVERGED = 1e3
# Of the estimate that would meet the goal, so that a true residual is not formed in vain.
_MARGIN = 0.9


@dataclass(frozen=True)
class Blocks:
    """A = K + ridge by its rows: (index, Z) -> (A Z)_B, (index, G) -> A_BB^-1 G, and X -> K X formed anew with |K|."""

    order: int
    size: int
    rows: Callable[[NDArray[np.int64], Float], Float]
    solve: Callable[[NDArray[np.int64], Float], Float]
    verify: Callable[[Float], Product]
    ridge: float | Float

    @property
    def per_epoch(self) -> int:
        return max(1, round(self.order / self.size))


@dataclass
class State:
    """Where the iteration is. W is `solution`, V `momentum`, (n, c); `squares` and `largest` (c,) are of the residuals
    that the blocks of this epoch had; `history` has the relative residual that these say the whole has after every
    epoch, and `measures` what the goal measures; `best` is the W of the least measure among those whose true residual
    was formed."""

    solution: Float
    momentum: Float
    squares: Float
    largest: Float
    mu: float
    norm: float = 0.0
    iteration: int = 0
    history: list[float] = field(default_factory=list)
    measures: list[float] = field(default_factory=list)
    verified: list[Verified] = field(default_factory=list)
    best: Float | None = None
    best_measure: float = float("inf")

    @classmethod
    def start(cls, blocks: Blocks, targets: Float) -> State:
        """From X = 0."""
        zeros, none = np.zeros_like(targets), np.zeros(targets.shape[1])
        return cls(zeros, zeros.copy(), none, none.copy(), _START * blocks.size / blocks.order)

    @property
    def measured(self) -> float:
        """What the goal measured of the last whole epoch; 1 before there was any."""
        return self.measures[-1] if self.measures else 1.0


def solve(
    blocks: Blocks,
    targets: Float,
    goal: Goal,
    *,
    seed: int = 0,
    state: State | None = None,
    observe: Callable[[State], None] = lambda state: None,
    max_epochs: int = MAX_EPOCHS,
) -> Outcome[State]:
    """A X = Y for Y (n, c), until `goal` is reached by a true residual, it halves no more, or `max_epochs`.

    `observe` is called after every iteration with a state from which another call resumes to the same bits. Raises
    `NotPositiveDefiniteError` where a block has no factor or no X is nearer to a solution than 0.
    """
    state = State.start(blocks, targets) if state is None else state
    of_best: Product | None = None
    while True:
        _step(blocks, state, targets, seed)
        if state.iteration % blocks.per_epoch == 0:
            _end_epoch(blocks, state, targets, goal)
            if _is_due(blocks, state, goal, max_epochs):
                product = _verify(blocks, state, targets, goal)
                last = state.verified[-1]
                if last.relative_residual < 1.0 and last.measured < state.best_measure:
                    state.best_measure, state.best, of_best = last.measured, state.solution.copy(), product
                reason, detail = _end(blocks, state, goal, max_epochs)
                if reason == "converged":  # whatever a state that was resumed says of its best
                    return Outcome(state.solution, product, reason, detail, state)
                if reason is not None:
                    if state.best is None:
                        raise NotPositiveDefiniteError(_no_solution(state, detail))
                    return Outcome(state.best, of_best or blocks.verify(state.best), reason, detail, state)
        observe(state)


def _step(blocks: Blocks, state: State, targets: Float, seed: int) -> None:
    n, b = blocks.order, blocks.size
    mu, nu = state.mu, n / b
    beta, gamma = 1.0 - np.sqrt(mu / nu), 1.0 / np.sqrt(mu * nu)
    share = 1.0 / (1.0 + gamma * nu)
    random = np.random.default_rng([seed, state.iteration])
    index = np.sort(random.choice(n, size=b, replace=False)).astype(np.int64)
    point = share * state.momentum + (1.0 - share) * state.solution
    residual = blocks.rows(index, point) - targets[index]
    with np.errstate(over="ignore", invalid="ignore"):  # what diverges is said
        state.squares = state.squares + np.square(residual).sum(axis=0)
        state.largest = np.maximum(state.largest, np.abs(residual).max(axis=0))
        step = blocks.solve(index, residual)
        state.momentum = beta * state.momentum + (1.0 - beta) * point
        state.momentum[index] -= gamma * step
    state.solution = point
    state.solution[index] -= step
    state.iteration += 1


def _end_epoch(blocks: Blocks, state: State, targets: Float, goal: Goal) -> None:
    """What the blocks of the epoch say of the residual, and mu after it."""
    seen = blocks.per_epoch * blocks.size
    sizes = np.linalg.norm(targets, axis=0)
    rows = np.sqrt(state.squares * (blocks.order / seen))
    measured = relative = np.divide(rows, sizes, out=np.zeros_like(sizes), where=sizes > 0).max(initial=0.0)
    if goal.measure == "backward error":
        largest = state.norm * np.abs(state.solution).max(axis=0) + np.abs(targets).max(axis=0)
        measured = np.divide(state.largest, largest, out=np.zeros_like(sizes), where=largest > 0).max(
            initial=0.0
        )
    state.history.append(float(relative))
    state.measures.append(float(measured))
    state.squares, state.largest = np.zeros_like(sizes), np.zeros_like(sizes)
    epochs, nu = len(state.measures), blocks.order / blocks.size
    promised, look = 0.5 * np.sqrt(state.mu / nu), _LOOK
    while look < _LONGEST and look * blocks.per_epoch * promised < _PROMISED:
        look *= 2
    if epochs % look or epochs <= look or not state.measures[-1] > 0:
        return
    decrease = np.log(state.measures[-1 - look] / state.measures[-1]) / (look * blocks.per_epoch)
    if decrease < _SLOW * promised:
        state.mu *= _LOWER
    elif decrease > _FAST * promised:
        state.mu = min(state.mu * _RAISE, 1.0 / nu)


def _is_due(blocks: Blocks, state: State, goal: Goal, max_epochs: int) -> bool:
    """Whether a true residual, half an epoch's work, is worth while."""
    epochs, estimate = len(state.measures), state.measures[-1]
    if not np.isfinite(estimate) or estimate > _DIVERGED * state.measures[0] or epochs >= max_epochs:
        return True
    if not state.verified:
        return estimate <= goal.value or epochs >= PATIENCE
    last = state.verified[-1]
    before = last.iteration // blocks.per_epoch
    wanted = _MARGIN * state.measures[before - 1] * goal.value / max(last.measured, goal.value)
    return estimate <= wanted or epochs - before >= PATIENCE


def _verify(blocks: Blocks, state: State, targets: Float, goal: Goal) -> Product:
    """The true residual of W."""
    if not np.isfinite(state.solution).all():
        state.verified.append(Verified(state.iteration, np.inf, np.inf, np.inf))
        return Product(np.full_like(targets, np.nan))
    product = blocks.verify(state.solution)
    residual = targets - product.values - blocks.ridge * state.solution
    state.norm = product.norm + float(np.min(blocks.ridge))
    measures = (
        relative_residual(residual, targets),
        backward_error(residual, state.norm, state.solution, targets),
    )
    state.verified.append(Verified(state.iteration, *measures, measures[goal.measure == "backward error"]))
    return product


def _end(blocks: Blocks, state: State, goal: Goal, max_epochs: int) -> tuple[Reason | None, str]:
    """Why to stop after a true residual; None where there is more to gain."""
    last, estimate = state.verified[-1], state.measures[-1]
    if last.measured <= goal.value and last.relative_residual < 1.0:
        return "converged", ""
    if not np.isfinite(estimate) or estimate > _DIVERGED * state.measures[0]:
        return "diverged", f"residuals of blocks grew from {state.history[0]:.1e} to {state.history[-1]:.1e}"
    if len(state.measures) >= max_epochs:
        return "iteration limit", "no more are allowed"
    # Beside those of at least PATIENCE epochs ago: before the first of them there was 0, with a residual of all of y.
    long_ago = state.iteration - PATIENCE * blocks.per_epoch
    before = [each.measured for each in state.verified if each.iteration <= long_ago]
    least = min(each.measured for each in state.verified)
    if before and least > 0.5 * min(before):
        return "stagnated", f"{PATIENCE} epochs bring the true residual down by less than half"
    return None, ""


def _no_solution(state: State, detail: str) -> str:
    least = min(each.relative_residual for each in state.verified)
    return (
        f"K: too ill-conditioned for sketch-and-project, which ended after {len(state.history):,} epochs at a relative "
        f"residual of {least:.1e}, expected below 1 ({detail}); take solver='pcg' or 'cholesky', a kernel that falls "
        "off faster, or a larger ridge"
    )
