"""What is said of predictions at new rows, beside extended precision."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from kernelfit.progress import Silent
from kernelfit.solver import away
from kernelfit.solver.answer import Answer, answer
from kernelfit.solver.solve import solve

_N = 40
Extended = Any  # arrays of long double


def _sq_distances(a: Extended, b: Extended) -> Extended:
    return np.square(a[:, None] - b[None]).sum(axis=-1)


def _matern(a: Extended, b: Extended) -> Extended:
    apart = np.sqrt(3.0 * _sq_distances(a, b)) / np.longdouble(8.0)
    return (1.0 + apart) * np.exp(-apart)


_KERNELS: dict[str, tuple[dict[str, Any], Callable[[Extended, Extended], Extended]]] = {
    "gaussian": ({"kernel": "gaussian", "gamma": 0.5}, lambda a, b: np.exp(-0.5 * _sq_distances(a, b))),
    "laplacian": (
        {"kernel": "laplacian", "gamma": 0.125},
        lambda a, b: np.exp(-0.125 * np.abs(a[:, None] - b[None]).sum(axis=-1)),
    ),
    "matern": ({"kernel": "matern", "kernel_params": {"nu": 1.5, "length_scale": 8.0}}, _matern),
}


def _solved(matrix: Extended, right: Extended) -> Extended:
    """matrix^-1 right by a Cholesky factorisation in extended precision."""
    lower, n = matrix.copy(), len(matrix)
    for j in range(n):
        lower[j, j] = np.sqrt(lower[j, j])
        lower[j + 1 :, j] /= lower[j, j]
        lower[j + 1 :, j + 1 :] -= np.outer(lower[j + 1 :, j], lower[j + 1 :, j])
    solved = right.copy()
    for j in range(n):
        solved[j] = (solved[j] - lower[j, :j] @ solved[:j]) / lower[j, j]
    for j in range(n - 1, -1, -1):
        solved[j] = (solved[j] - lower[j + 1 :, j] @ solved[j + 1 :]) / lower[j, j]
    return solved


class _Case:
    """A system of ill-conditioned K, and how far f is from the exact one."""

    def __init__(self, name: str, features: int, ridge: float, **options: Any) -> None:
        rng = np.random.default_rng(features)
        self.x = np.linspace(-2.0, 2.0, _N)[:, None] if features == 1 else rng.standard_normal((_N, features))
        self.y = np.sin(3.0 * self.x[:, 0]) + 0.1 * np.cos(1e3 * self.x[:, 0])
        arguments, self.kernel = _KERNELS[name]
        x = self.x.astype(np.longdouble)
        gram = self.kernel(x, x)
        if options.pop("given", False):
            gram = gram.astype(np.float64)
            self.solution = solve(gram, self.y, kernel="precomputed", ridge=ridge, **options)
        else:
            self.solution = solve(self.x, self.y, ridge=ridge, **arguments, **options)
        self.matrix = gram + np.longdouble(ridge) * np.eye(_N)
        self.residual = self.y - self.matrix @ self.solution.alpha.astype(np.longdouble).ravel()
        self.lacking = _solved(self.matrix, self.residual)

    def answer(self) -> Answer:
        system = self.solution.factor
        assert system is not None
        return answer(system, self.y[:, None], Silent())

    def at_new_rows(self) -> float:
        """The largest error where other pairs of rows than those that are looked at lead to."""
        i, j = np.random.default_rng(5).integers(0, _N, (2, 300))
        rows = np.vstack([0.5 * (self.x[i] + self.x[j]), 2.0 * self.x[i] - self.x[j]]).astype(np.longdouble)
        off = self.kernel(rows, self.x.astype(np.longdouble)) @ self.lacking
        return float(np.abs(off).max() / np.abs(self.y).max())

    def left_out(self) -> float:
        inverse = _solved(self.matrix, np.eye(_N, dtype=np.longdouble))
        off = self.residual - self.lacking / np.diagonal(inverse)
        return float(np.abs(off).max() / np.abs(self.y).max())


@pytest.mark.parametrize("name", list(_KERNELS))
@pytest.mark.parametrize(("features", "ridge"), [(1, 1e-13), (1, 1e-10), (2, 1e-12), (5, 1e-6)])
def test_an_estimate_is_beyond_the_error_and_near_it(monkeypatch, name, features, ridge):
    """A norm bound was 11 to 20,000 times the error."""
    monkeypatch.setattr(away, "VISIBLE", 0.0)
    case = _Case(name, features, ridge)
    found = case.answer().away
    assert not found.left_out
    assert case.at_new_rows() < found.error < 60.0 * case.at_new_rows()


@pytest.mark.parametrize("name", list(_KERNELS))
def test_of_a_gram_matrix_training_rows_are_left_out(monkeypatch, name):
    monkeypatch.setattr(away, "VISIBLE", 0.0)
    case = _Case(name, 2, 1e-10, given=True)
    found = case.answer().away
    assert found.left_out
    assert case.left_out() < found.error < 60.0 * case.left_out()


@pytest.mark.parametrize(("precision", "ridge"), [("float32", 1e-4), ("mixed", 1e-4), ("mixed", 1e-6)])
def test_factors_in_single_precision(monkeypatch, precision, ridge):
    monkeypatch.setattr(away, "VISIBLE", 0.0)
    case = _Case("gaussian", 1, ridge, precision=precision)
    found = case.answer().away
    error = case.at_new_rows()
    assert error < found.error < 60.0 * error


@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize(
    "options", [{"jitter": 1e-6}, {"jitter": 1e-3}, {"jitter": 1e-3, "precision": "mixed"}], ids=str
)
def test_of_a_factor_with_a_jitter_it_is_that_of_the_refined_inverse(monkeypatch, options, given):
    """By the inverse of A + jitter I the estimate was below the error, of which nothing was said then."""
    monkeypatch.setattr(away, "VISIBLE", 0.0)
    case = _Case("gaussian", 2, 1e-9, given=given, **options)
    error = case.left_out() if given else case.at_new_rows()
    assert error < case.answer().away.error < 60.0 * error


def test_a_factor_that_knows_no_more_of_the_inverse_says_at_least(monkeypatch):
    monkeypatch.setattr(away, "VISIBLE", 0.0)
    assert _Case("gaussian", 1, 1e-15).answer().away.at_least
    assert _Case("gaussian", 1, 1e-10, jitter=1e-8).answer().away.at_least
    assert not _Case("gaussian", 1, 1e-10).answer().away.at_least


@pytest.mark.parametrize("solver", ["pcg", "askotch"])
def test_of_an_iteration_a_bound_is_said_or_that_there_is_none(rng, solver):
    x = rng.standard_normal((60, 2))
    y = np.sin(3.0 * x[:, 0])
    for ridge, tolerance in ((1e-5, 1e-2), (1e-5, 1e-4), (1e-2, 1e-8)):
        found = solve(x, y, gamma=0.5, ridge=ridge, solver=solver, tolerance=tolerance)
        residual = y[:, None] - found.fitted - ridge * found.alpha
        bound = 0.5 * np.linalg.norm(residual) / np.sqrt(ridge) / np.abs(y).max()
        notes = [note for note in found.notes if note.startswith("predictions away from training rows")]
        assert bool(notes) == (bound > 1e-3)
        said = "the largest target or more" if bound >= 1 else f"{bound:.1g} of the largest target"
        assert not notes or f"may be off by up to {said}, as residuals are not 0" in notes[0]
        assert ridge < 1e-2 or not notes


def test_without_a_ridge_nothing_is_known_of_what_an_iteration_leaves(rng):
    x = rng.standard_normal((60, 5))
    solution = solve(x, x[:, 0], gamma=0.5, solver="pcg", tolerance=1e-3)
    assert any("by how much is not known without a factor" in note for note in solution.notes)
    exact = solve(x, x[:, 0], gamma=0.5, solver="pcg")
    assert not any("away from training rows" in note for note in exact.notes)


def test_rows_that_cannot_be_made_up(rng):
    """Sparse ones, those of the user's function, and such whose mirrored ones overflow."""
    import scipy.sparse

    x = rng.standard_normal((30, 2))
    gaussian = solve(x, x[:, 0], gamma=0.5)
    assert away._made_up(gaussian.problem) is not None
    few = scipy.sparse.random(30, 400, 0.05, format="csr", rng=rng)
    sparse = solve(few, x[:, 0], gamma=0.5)
    assert away._made_up(sparse.problem) is None
    large = solve(x * 1e151, x[:, 0], gamma=1e-302)
    assert away._made_up(large.problem) is None
    given = solve(np.eye(30), x[:, 0], kernel="precomputed")
    assert away._made_up(given.problem) is None
