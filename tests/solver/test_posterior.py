"""Standard deviations, covariances and likelihoods: those of GaussianProcessRegressor, on every tier."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, DotProduct

import kernelfit
from kernelfit import KernelInterpolator
from kernelfit.errors import InputError

GAMMA, RIDGE = 0.4, 0.05


@pytest.fixture(scope="module")
def problem():
    rng = np.random.default_rng(3)
    x = rng.standard_normal((120, 3))
    return x, np.column_stack([np.sin(x[:, 0]), x[:, 1]]), rng.standard_normal((90, 3))


@pytest.fixture(scope="module")
def process(problem):
    x, y, _ = problem
    kernel = RBF((2 * GAMMA) ** -0.5)
    return GaussianProcessRegressor(kernel, alpha=RIDGE, optimizer=None).fit(x, y)


@pytest.mark.parametrize(
    ("options", "bound"),
    [
        ({}, 1e-12),
        ({"panel_width": 16}, 1e-12),
        ({"tier": "disk", "panel_width": 32}, 1e-12),
        ({"precision": "mixed"}, 1e-11),
        ({"jitter": 1e-4}, 1e-11),
        ({"precision": "float32"}, 1e-4),
    ],
)
def test_they_are_those_of_a_gaussian_process(problem, process, options, bound):
    x, y, new = problem
    solution = kernelfit.solve(x, y, gamma=GAMMA, ridge=RIDGE, **options)
    mean, deviation = solution.predict(new, return_std=True)
    expected = process.predict(new, return_std=True)
    assert_allclose(mean, expected[0], rtol=0, atol=bound)
    assert deviation.shape == (90, 2)
    assert_allclose(deviation, expected[1], rtol=bound)
    covariance = solution.predict(new, return_cov=True)[1]
    assert_allclose(covariance, process.predict(new, return_cov=True)[1], rtol=0, atol=bound)
    if not options.get("jitter"):
        single = options.get("precision") in ("mixed", "float32")  # as the determinant of the factor
        assert_allclose(
            solution.log_marginal_likelihood(),
            process.log_marginal_likelihood_value_,
            rtol=1e-5 if single else 1e-12,
        )
    said = " ".join(solution.notes)
    assert ("deviations have the precision of the factor" in said) == (options.get("precision") == "float32")


@pytest.mark.parametrize("precision", ["float32", "mixed"])
@pytest.mark.parametrize("unit", [1e-45, 1e39, 1e100])
def test_rows_beyond_the_range_of_a_float32_factor(problem, precision, unit):
    """k(X, x) was 0 or infinite in the type of the factor: deviations were the prior's, or no numbers."""
    x, y, new = problem
    exact = kernelfit.solve(x, y, kernel="linear", ridge=RIDGE).predict(new[:5] * unit, return_std=True)[1]
    solution = kernelfit.solve(x, y, kernel="linear", ridge=RIDGE, precision=precision)
    bound = 1e-3 if precision == "float32" else 1e-11
    assert_allclose(solution.predict(new[:5] * unit, return_std=True)[1], exact, rtol=bound)
    covariance = solution.predict(new[:5] * unit, return_cov=True)[1][..., 0]
    assert_allclose(np.diagonal(covariance), exact[:, 0] ** 2, rtol=2 * bound)


@pytest.mark.parametrize("unit", [1.0, 1e10, 1e149])
def test_rows_far_beyond_tiny_training_rows(problem, unit):
    """In units of the training rows' size the squares of new rows overflowed, and what they left was no number."""
    x, y, new = problem
    solution = kernelfit.solve(x[:9] * 1e-150, y[:9], gamma=1e300)
    assert_allclose(solution.predict(new[:6] * unit, return_cov=True)[1][..., 0], np.eye(6), atol=1e-15)


def test_a_device_gives_the_same(problem, make_device):
    x, y, new = problem
    mine = kernelfit.solve(x, y, gamma=GAMMA, ridge=RIDGE, device="cpu").predict(new, return_std=True)[1]
    solution = kernelfit.solve(x, y, gamma=GAMMA, ridge=RIDGE, device=make_device(2**22), panel_width=32)
    assert_allclose(solution.predict(new, return_std=True)[1], mine, rtol=1e-11)
    solution.close()


def test_many_rows_are_many_blocks(problem, process, monkeypatch):
    x, y, new = problem
    monkeypatch.setattr("kernelfit.solver.posterior._BLOCK", 1)
    solution = kernelfit.solve(x, y, gamma=GAMMA, ridge=RIDGE)
    assert_allclose(
        solution.predict(new, return_std=True)[1], process.predict(new, return_std=True)[1], rtol=1e-12
    )
    assert_allclose(
        solution.predict(new, return_cov=True)[1], process.predict(new, return_cov=True)[1], atol=1e-13
    )


def test_no_rows_have_no_deviations(problem):
    x, y, _ = problem
    solution = kernelfit.solve(x, y[:, 0], gamma=GAMMA, ridge=RIDGE)
    assert solution.predict(x[:0], return_std=True)[1].shape == (0,)
    assert solution.predict(x[:0], return_cov=True)[1].shape == (0, 0)


def test_weights_are_noise_of_each_row(problem):
    x, y, new = problem
    weights = np.random.default_rng(0).uniform(0.2, 3.0, len(x))
    solution = kernelfit.solve(x, y[:, 0], gamma=GAMMA, ridge=RIDGE, sample_weight=weights)
    theirs = GaussianProcessRegressor(RBF((2 * GAMMA) ** -0.5), alpha=RIDGE / weights, optimizer=None)
    theirs.fit(x, y[:, 0])
    assert_allclose(
        solution.predict(new, return_std=True)[1], theirs.predict(new, return_std=True)[1], rtol=1e-12
    )
    assert_allclose(solution.log_marginal_likelihood(), theirs.log_marginal_likelihood_value_, rtol=1e-12)


def test_an_interpolant_has_no_doubt_at_its_rows_and_all_of_it_far_away(problem):
    x, y, _ = problem
    solution = kernelfit.solve(x, y[:, 0], gamma=5.0)
    assert solution.predict(x, return_std=True)[1].max() < 1e-6
    assert_allclose(solution.predict(x + 100, return_std=True)[1], 1.0, rtol=1e-15)
    opened = kernelfit.solve(x, y[:, 0], kernel="linear", ridge=RIDGE)
    theirs = GaussianProcessRegressor(DotProduct(0.0, "fixed"), alpha=RIDGE, optimizer=None).fit(x, y[:, 0])
    assert_allclose(opened.predict(x, return_std=True)[1], theirs.predict(x, return_std=True)[1], rtol=1e-9)


def test_the_estimator_says_that_it_wants_the_factor(problem, process):
    x, y, new = problem
    model = KernelInterpolator(gamma=GAMMA, ridge=RIDGE, keep_factor=True).fit(x, y)
    assert_allclose(
        model.predict(new, return_std=True)[1], process.predict(new, return_std=True)[1], rtol=1e-12
    )
    with pytest.raises(InputError, match="keep_factor=True"):
        KernelInterpolator(gamma=GAMMA, ridge=RIDGE).fit(x, y).predict(new, return_std=True)


def test_what_has_no_standard_deviation(problem):
    x, y, new = problem
    linear = kernelfit.solve(x, y, kernel="linear")
    given = kernelfit.solve(np.eye(4), np.ones(4), kernel="precomputed")
    for call, message in (
        (lambda: linear.predict(new, return_std=True), "return_std: the primal path has no factor"),
        (linear.log_marginal_likelihood, "log_marginal_likelihood: K has no inverse"),
        (lambda: given.predict(np.eye(4), return_cov=True), "return_cov: a precomputed Gram matrix"),
        (lambda: given.predict(np.eye(4), return_cov=True, return_std=True), "expected one of them"),
    ):
        with pytest.raises(InputError, match=message):
            call()


@pytest.mark.parametrize("asked", [{"return_std": np.ones(2)}, {"return_std": "no"}, {"return_cov": 1}])
def test_what_is_no_flag_is_refused(problem, asked):
    x, y, new = problem
    solution = kernelfit.solve(x, y, gamma=GAMMA, ridge=RIDGE)
    fitted = kernelfit.KernelInterpolator(gamma=GAMMA, keep_factor=True).fit(x, y)
    for predict in (solution.predict, fitted.predict):
        with pytest.raises(InputError, match=rf"^{next(iter(asked))}: got .*, expected True or False$"):
            predict(new, **asked)


@pytest.mark.parametrize(("gamma", "jitter", "told"), [(10.0, 1e-6, True), (1e4, 1e-6, False)])
def test_deviations_beside_a_jitter_that_is_not_refined_away_are_said_to_have_no_digit(gamma, jitter, told):
    """They were 56 times the true ones, and 0 for others, without a word."""
    x = np.linspace(-1.0, 1.0, 40)[:, None]
    solution = kernelfit.solve(x, np.sin(x[:, 0]) + (np.arange(40) % 3), gamma=gamma, jitter=jitter)
    solution.predict(x[:2] + 0.01, return_std=True)
    assert any("standard deviations may have no correct digit" in note for note in solution.notes) == told
