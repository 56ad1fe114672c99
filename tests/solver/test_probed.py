"""Random combinations against the residuals themselves."""

import numpy as np
import pytest

import kernelfit
from kernelfit.progress import Silent
from kernelfit.solver.probed import probe


@pytest.fixture(scope="module")
def solution():
    rng = np.random.default_rng(3)
    with_factor = kernelfit.solve(
        rng.normal(size=(150, 4)), rng.normal(size=(150, 6)), gamma=0.2, ridge=1e-3, panel_width=64, threads=1
    )
    yield with_factor
    with_factor.close()


def probed(solution, *alphas):
    system, norm = solution.factor, solution.certificate.norm
    groups = [(alpha, solution.targets) for alpha in alphas]
    return probe(system, groups.__getitem__, len(groups), norm, Silent())


def backward_error(solution, alpha):
    with solution.factor.backend:
        product = solution.factor.product(alpha, Silent(), "").values
    residual = np.abs(solution.targets - product - 1e-3 * alpha)
    sizes = solution.certificate.norm * np.abs(alpha).max(axis=0) + np.abs(solution.targets).max(axis=0)
    return (residual.max(axis=0) / sizes).max(), residual.max()


def test_a_solution_shows_rounding(solution):
    (told,) = probed(solution, solution.alpha)
    assert 0 < told.backward_error < 1e-14
    assert told.residual < 1e-11


@pytest.mark.parametrize("row", [0, 149])
def test_an_error_in_a_single_entry_is_seen_in_its_group_alone(solution, row):
    wrong = solution.alpha.copy()
    wrong[row, 2] += 1e-3
    right, seen = probed(solution, solution.alpha, wrong)
    error, residual = backward_error(solution, wrong)
    assert right.backward_error < 1e-14
    assert 0.1 * error < seen.backward_error < 10 * error
    assert seen.residual > 0.1 * residual


def test_a_small_column_is_not_hidden_by_a_large_one(solution):
    scaled = solution.alpha * 10.0 ** np.array([8, 0, 0, 0, 0, 0])
    targets = solution.targets * 10.0 ** np.array([8, 0, 0, 0, 0, 0])
    scaled[:, 5] *= 1 + 1e-6
    system, norm = solution.factor, solution.certificate.norm
    (told,) = probe(system, lambda _: (scaled, targets), 1, norm, Silent())
    assert told.backward_error > 1e-13


def test_columns_of_zeros_have_no_error(solution):
    zeros = np.zeros_like(solution.alpha)
    (told,) = probe(solution.factor, lambda _: (zeros, zeros), 1, solution.certificate.norm, Silent())
    assert told == (0.0, 0.0)
