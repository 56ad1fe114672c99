"""f at new rows, from whatever it is evaluated by."""

from __future__ import annotations

import math

import numpy as np
import pytest

import kernelfit
from kernelfit.errors import InputError
from kernelfit.kernels import Gaussian, Laplacian, Linear, Matern, Pairwise, RationalQuadratic, Sum


def test_integers_of_a_matrix_that_float64_rounds_are_refused():
    """k(new, training) was rounded without a word, where such a matrix of training rows was refused."""
    gram, y = np.array([[5, 1, 0], [1, 4, 1], [0, 1, 6]]), np.arange(3.0)
    solution = kernelfit.solve(gram, y, kernel="precomputed")
    np.testing.assert_allclose(solution.predict(gram), y, atol=1e-14)
    np.testing.assert_array_equal(solution.predict(gram.astype(np.uint8)), solution.predict(gram))
    with pytest.raises(InputError, match=r"^X: got integers beyond 2\^53"):
        solution.predict(np.array([[2**60 + 1, 0, 0]]))


WIDE = [Gaussian(gamma=0.1), Matern(nu=1.5), RationalQuadratic(alpha=0.5), Linear() + Gaussian(gamma=0.1)]


@pytest.mark.parametrize(("size", "kernel"), [(1e-170, WIDE[0]), *((1e-155, kernel) for kernel in WIDE)])
def test_rows_whose_distance_from_tiny_ones_overflows_are_refused(rng, size, kernel):
    """k was 0, or no number, where it is near 1: |x - x'|^2 is infinite in units of the training rows."""
    solution = kernelfit.solve(size * rng.standard_normal((5, 3)), np.ones(5), kernel=kernel, ridge=1.0)
    rows = rng.standard_normal((4, 3))
    rows[:2] *= size
    assert np.isfinite(solution.predict(rows[:2])).all()
    for options in ({}, {"return_std": True}):
        with pytest.raises(
            InputError, match=r"X: got row 2 more than 1e150 times as large as the training rows"
        ):
            solution.predict(rows, **options)


@pytest.mark.parametrize(
    "kernel", [Matern(0.5, 1e-155), Gaussian(1e300), Linear() + Gaussian(1e308), Laplacian(0.1)], ids=repr
)
def test_rows_far_from_tiny_ones_are_predicted_where_k_is_0_or_has_no_squares(rng, kernel):
    x, far = 1e-155 * rng.standard_normal((5, 3)), rng.standard_normal((4, 3))
    solution = kernelfit.solve(x, np.ones(5), kernel=kernel, ridge=1.0)
    got = solution.predict(far)
    k = {
        Sum: far @ x.T,
        Laplacian: np.exp(-0.1 * np.abs(far[:, None] - x).sum(axis=2)),
    }.get(type(kernel), np.zeros((4, 5)))
    np.testing.assert_allclose(got, k @ solution.alpha.reshape(-1), rtol=1e-12)


def test_predictions_of_weights_do_not_ask_for_the_rows_that_they_do_not_read(rng):
    """A pass over all rows took longer than the predictions, which were refused where the rows were changed."""
    x, y = rng.standard_normal((900, 150)), rng.standard_normal(900)
    solution = kernelfit.solve(x, y, kernel="linear")
    before, rows = solution.predict(x[:70]), x[:70].copy()
    x += 1.0
    np.testing.assert_array_equal(solution.predict(rows), before)


def test_a_function_that_gives_no_number_for_a_new_row_is_named():
    """ "X: predictions of row 1 overflow in float64; rescale X" it said."""

    def kernel(x, y):
        return math.exp(-((x[0] - y[0]) ** 2)) if abs(x[0] - y[0]) < 9.0 else math.nan

    x = np.linspace(0.0, 8.0, 7)[:, None]
    for own in (kernel, Pairwise(kernel) + Gaussian(1.0)):
        solution = kernelfit.solve(x, x[:, 0], kernel=own, ridge=1.0)
        with pytest.raises(
            InputError,
            match=r"^kernel: k\(x, y\) is nan for row 1 of X and the training row 6, expected a finite number",
        ):
            solution.predict(np.array([[1.0], [-2.0]]))


def test_a_standard_deviation_that_is_no_number_is_refused():
    """k(x, x) of a new row had no part in its prediction, and its standard deviation was NaN."""

    def kernel(x, y):
        return math.exp(-((x[0] - y[0]) ** 2)) if x[0] + y[0] < 15.0 else math.nan

    x = np.linspace(0.0, 6.0, 7)[:, None]
    solution = kernelfit.solve(x, x[:, 0], kernel=kernel, ridge=1.0)
    for options in ({"return_std": True}, {"return_cov": True}):
        with pytest.raises(
            InputError, match=r"^return_(std|cov): got nan at row 1, expected a finite number"
        ):
            solution.predict(np.array([[1.0], [8.0]]), **options)
