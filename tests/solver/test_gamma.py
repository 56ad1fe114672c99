"""The width of a kernel: the median rule."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import pdist

import kernelfit
from kernelfit.errors import InputError
from kernelfit.gram.points import Points
from kernelfit.kernels import Gaussian, Laplacian, Polynomial
from kernelfit.solver.gamma import Widths, build_with_gamma, median_distance, median_gamma


@pytest.mark.parametrize(
    ("kernel", "expected"),
    [
        ("gaussian", lambda x: np.median(pdist(x, "sqeuclidean"))),
        ("laplacian", lambda x: np.median(pdist(x, "cityblock"))),
        ("polynomial", lambda x: np.median((x**2).sum(1))),
    ],
)
def test_the_median_of_the_first_thousand_rows(rng, kernel, expected):
    x = rng.standard_normal((1200, 3))
    assert median_distance(Points(x), kernel) == pytest.approx(expected(x[:1000]), rel=1e-12)
    assert median_gamma(Points(x), kernel, 3.0) == pytest.approx(3.0 / expected(x[:1000]), rel=1e-12)


def test_the_median_is_in_the_kernels_domain(rng):
    x = rng.integers(0, 256, (50, 3), dtype=np.uint8)
    assert median_distance(Points(x, 1 / 255)) == pytest.approx(median_distance(Points(x / 255)), rel=1e-12)


def test_no_median_where_there_is_none():
    with pytest.raises(
        InputError, match=r"^gamma: 'median' needs at least 2 different rows, got 1; give a number$"
    ):
        median_distance(Points(np.ones((1, 2))))
    with pytest.raises(
        InputError,
        match=r"^gamma: the first 5 rows are equal, or at .*, expected some that differ; check the columns",
    ):
        median_distance(Points(np.ones((5, 2))))
    # Of ten rows 45 pairs are 36 times at no distance.
    assert median_distance(Points(np.eye(10)[:, :1] * 3.0)) == 9.0


@pytest.mark.parametrize("kernel", ["matern", "rational-quadratic"])
def test_the_length_scale_of_the_median_rule_is_the_median_distance(rng, kernel):
    x = rng.standard_normal((60, 3))
    assert median_distance(Points(x), kernel) == pytest.approx(np.median(pdist(x)), rel=1e-12)
    for given in ({}, {"length_scale": "median"}):
        solution = kernelfit.solve(x, x[:, 0], kernel=kernel, kernel_params=given)
        assert solution.kernel.length_scale == median_distance(Points(x), kernel)


@pytest.mark.parametrize("unit", [2.0**-560, 2.0**400])
def test_the_median_distance_of_rows_whose_squares_underflow(rng, unit):
    x = rng.standard_normal((20, 3))
    assert median_distance(Points(unit * x), "matern") == unit * median_distance(Points(x), "matern")


def test_widths_are_powers_of_two_from_the_median_rule(rng):
    x = rng.standard_normal((50, 2))
    assert Widths(Points(x), "gaussian").at(3) == pytest.approx(8 * median_gamma(Points(x)), rel=1e-5)
    assert Widths(Points(x), "matern").at(3) == pytest.approx(
        median_distance(Points(x), "matern") / 8, rel=1e-5
    )


def test_where_most_distances_are_zero_widths_are_those_of_the_others():
    x = np.zeros((30, 1))
    x[:3, 0] = (2.0, 2.0, 2.0)
    assert Widths(Points(x), "gaussian").at(0) == 0.25


def test_build_with_gamma_ignores_nothing():
    assert build_with_gamma("gaussian", 2.0, {}) == Gaussian(2.0)
    assert build_with_gamma("laplacian", 2.0, {}) == Laplacian(2.0)
    assert build_with_gamma("polynomial", 2.0, {"degree": 5}) == Polynomial(5, 2.0, 1.0)
    with pytest.raises(InputError, match=r"^degree: the gaussian kernel does not have it"):
        build_with_gamma("gaussian", 2.0, {"degree": 5})
    with pytest.raises(InputError, match=r"^kernel_params: got gamma there"):
        build_with_gamma("polynomial", 2.0, {"gamma": 1.0})
    with pytest.raises(InputError, match=r"^gamma: the linear kernel has none"):
        build_with_gamma("linear", 2.0, {})


@pytest.mark.parametrize(
    ("kernel", "said"), [("gaussian", "distances that float64"), ("laplacian", "got 'median' of")]
)
def test_rows_that_are_too_small_for_the_median_rule_are_to_be_rescaled(kernel, said):
    x = np.random.default_rng(0).standard_normal((12, 3)) * 1e-310
    with pytest.raises(InputError, match=rf"^gamma: .*{said}.*rescale"):
        median_gamma(Points(x), kernel)
