"""Block conjugate gradients with true residuals."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

from kernelfit.errors import NotPositiveDefiniteError
from kernelfit.iterative.block_cg import Operators, State, solve
from kernelfit.iterative.stopping import Goal
from kernelfit.linalg.product import Product
from kernelfit.typing import Float

from .conftest import gaussian_matrix


def operators(gram: Float, ridge: float = 0.0, *, rounded: bool = False) -> Operators:
    """Of a dense K, which with `rounded` the iteration has in float32."""
    used = gram.astype(np.float32).astype(float) if rounded else gram
    sums = np.abs(gram).sum(axis=0)
    return Operators(
        product=lambda vectors: used @ vectors + ridge * vectors,
        precondition=lambda residual: residual.copy(),
        verify=lambda solution: Product(gram @ solution, sums, np.abs(gram) @ np.abs(solution)),
        ridge=ridge,
        norm=float(sums.max()),
        roundoff=6e-8 if rounded else 1.1e-16,
        single=rounded,
    )


@pytest.mark.parametrize("rounded", [False, True])
@pytest.mark.parametrize("ridge", [0.0, 0.1])
def test_down_to_the_backward_error_of_float64(rng: np.random.Generator, ridge: float, rounded: bool) -> None:
    gram = gaussian_matrix(rng, 200, d=10)
    targets = rng.standard_normal((200, 4))
    outcome = solve(operators(gram, ridge, rounded=rounded), targets, Goal.of(None))
    exact = np.linalg.solve(gram + ridge * np.eye(200), targets)
    assert outcome.reason == "converged"
    assert outcome.state.verified[-1].backward_error <= 1.2e-15
    np.testing.assert_allclose(outcome.solution, exact, rtol=0, atol=1e-10 * np.abs(exact).max())


def test_a_tolerance_is_met_by_the_true_residual(rng: np.random.Generator) -> None:
    gram, targets = gaussian_matrix(rng, 300, d=6), rng.standard_normal((300, 3))
    outcome = solve(operators(gram, rounded=True), targets, Goal.of(1e-4))
    residual = np.linalg.norm(targets - gram @ outcome.solution, axis=0) / np.linalg.norm(targets, axis=0)
    assert outcome.reason == "converged"
    assert residual.max() <= 1e-4
    assert residual.max() == pytest.approx(outcome.state.verified[-1].relative_residual)


def test_many_columns_take_fewer_products_than_one(rng: np.random.Generator) -> None:
    gram, targets = gaussian_matrix(rng, 300, d=6), rng.standard_normal((300, 10))
    together = solve(operators(gram), targets, Goal.of(1e-6)).state.iteration
    alone = solve(operators(gram), targets[:, :1], Goal.of(1e-6)).state.iteration
    assert together < 0.8 * alone


def test_columns_that_are_zero_equal_or_dependent(rng: np.random.Generator) -> None:
    gram = gaussian_matrix(rng, 150, d=10)
    first, second = rng.standard_normal((2, 150))
    targets = np.column_stack([first, np.zeros(150), first, second, first - 1e-9 * second, 1e-200 * second])
    outcome = solve(operators(gram), targets, Goal.of(None))
    exact = np.linalg.solve(gram, targets)
    assert outcome.reason == "converged"
    sizes = np.abs(exact).max(axis=0)
    assert (np.abs(outcome.solution - exact).max(axis=0) <= 1e-9 * sizes).all()
    assert not outcome.solution[:, 1].any()


def test_zero_targets_need_no_iteration(rng: np.random.Generator) -> None:
    outcome = solve(operators(gaussian_matrix(rng, 50)), np.zeros((50, 2)), Goal.of(None))
    assert (outcome.reason, outcome.state.iteration) == ("converged", 0)
    assert not outcome.solution.any()


def test_stagnation_is_said_and_the_best_is_kept(rng: np.random.Generator) -> None:
    # Condition 1e18: no residual near rounding can be had, but one below the targets can.
    basis = np.linalg.qr(rng.standard_normal((80, 80)))[0]
    gram = basis @ np.diag(np.logspace(0, -18, 80)) @ basis.T
    gram = 0.5 * (gram + gram.T)
    targets = gram @ rng.standard_normal((80, 2)) + 1e-3 * rng.standard_normal((80, 2))
    outcome = solve(operators(gram), targets, Goal.of(1e-10))
    least = min(each.relative_residual for each in outcome.state.verified)
    assert outcome.reason == "stagnated"
    assert outcome.detail
    residual = np.linalg.norm(targets - gram @ outcome.solution, axis=0) / np.linalg.norm(targets, axis=0)
    assert residual.max() == pytest.approx(least)
    assert 1e-10 < least < 1.0


def test_an_indefinite_k_is_refused(rng: np.random.Generator) -> None:
    with pytest.raises(NotPositiveDefiniteError, match=r"p\^T A p = -1.0e\+00 \|p\|\^2 for A = K \+ ridge"):
        solve(operators(-np.eye(30)), rng.standard_normal((30, 2)), Goal.of(None))


@pytest.mark.parametrize("rounded", [False, True])
def test_an_indefinite_k_that_comes_near_to_targets_is_said_to_be_that(
    rng: np.random.Generator, rounded: bool
) -> None:
    """It read "the true residual gets no smaller"."""
    basis = np.linalg.qr(rng.standard_normal((60, 60)))[0]
    sizes = np.linspace(0.1, 1.0, 60)
    targets = basis @ np.append(np.full(59, 1.0), 0.5)[:, None]
    for least, told in ((-0.02, True), (1e-9, False)):
        sizes[-1] = least
        outcome = solve(operators((basis * sizes) @ basis.T, rounded=rounded), targets, Goal.of(None))
        assert (outcome.state.curvature < 0) == told
        assert outcome.detail.startswith("K + ridge is indefinite: p^T A p = -") == told


def test_the_iteration_limit_is_said(rng: np.random.Generator) -> None:
    gram, targets = gaussian_matrix(rng, 200, d=6), rng.standard_normal((200, 2))
    outcome = solve(operators(gram), targets, Goal.of(None), max_iterations=20)
    assert (outcome.reason, outcome.state.iteration) == ("iteration limit", 20)
    assert len(outcome.state.verified) == 1


def test_a_state_resumes_to_the_same_bits(rng: np.random.Generator) -> None:
    gram, targets = gaussian_matrix(rng, 200, d=8), rng.standard_normal((200, 3))
    states: list[State] = []

    def observe(state: State) -> None:
        states.append(copy.deepcopy(state))

    whole = solve(operators(gram, rounded=True), targets, Goal.of(None), observe=observe)
    assert len(whole.state.verified) > 1
    for index in (0, len(states) // 2, len(states) - 1):
        resumed = solve(
            operators(gram, rounded=True), targets, Goal.of(None), state=copy.deepcopy(states[index])
        )
        assert resumed.solution.tobytes() == whole.solution.tobytes()
        assert resumed.state.history == whole.state.history


@pytest.mark.parametrize(("tolerance", "measure"), [(None, "backward error"), (1e-3, "relative residual")])
def test_what_is_measured(rng: np.random.Generator, tolerance: float | None, measure: Any) -> None:
    assert Goal.of(tolerance).measure == measure


def test_a_state_that_boasts_of_its_best_changes_no_answer(rng: np.random.Generator) -> None:
    gram, targets = gaussian_matrix(rng, 100, d=6), rng.standard_normal((100, 2))
    forged = State.start(operators(gram), targets)
    forged.best, forged.best_measure = 1e3 * targets, 0.0
    outcome = solve(operators(gram), targets, Goal.of(1e-4), state=forged)
    residual = np.linalg.norm(targets - gram @ outcome.solution, axis=0) / np.linalg.norm(targets, axis=0)
    assert outcome.reason == "converged"
    assert residual.max() <= 1e-4
    np.testing.assert_allclose(outcome.product.values, gram @ outcome.solution)
