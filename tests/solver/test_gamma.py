"""Choosing gamma: the median rule and leave-one-out."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import pdist

from kernelfit.errors import InputError
from kernelfit.gram.points import Points
from kernelfit.kernels import Gaussian, Laplacian, Polynomial
from kernelfit.solver.gamma import build_with_gamma, leave_one_out_gamma, median_distance, median_gamma


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
    with pytest.raises(InputError, match=r"^gamma: 'median' needs at least 2 rows, got 1; give a number$"):
        median_distance(Points(np.ones((1, 2))))
    with pytest.raises(
        InputError, match=r"^gamma: the median distance of the first 5 rows is 0.0; give gamma"
    ):
        median_distance(Points(np.ones((5, 2))))


def brute_force(x, y, gamma, ridge):
    residuals = []
    k = np.exp(-gamma * ((x[:, None] - x[None]) ** 2).sum(-1))
    for row in range(len(x)):
        others = np.delete(np.arange(len(x)), row)
        a = k[np.ix_(others, others)] + ridge * np.eye(len(others))
        residuals.append(y[row] - k[row, others] @ np.linalg.solve(a, y[others]))
    return float(np.mean(np.square(residuals)))


@pytest.mark.parametrize("ridge", [0.0, 0.01])
def test_auto_is_the_least_leave_one_out_error(rng, backend, ridge):
    x = rng.standard_normal((40, 2))
    y = np.stack([np.sin(3 * x[:, 0]), x[:, 1]], axis=1)
    chosen, errors = leave_one_out_gamma(Points(x), y, "gaussian", {}, backend, ridge=ridge)
    assert errors[chosen] == min(errors.values())
    well_conditioned = {gamma: error for gamma, error in errors.items() if ridge > 0 or gamma > 2}
    assert len(well_conditioned) >= 3
    for gamma, error in well_conditioned.items():
        assert error == pytest.approx(brute_force(x, y, gamma, ridge), rel=1e-5)


def test_a_wave_needs_a_larger_gamma_than_a_slope(rng, backend):
    x = rng.random((300, 1))
    chosen = [
        leave_one_out_gamma(Points(x), y, "gaussian", {}, backend, ridge=1e-3)[0] for y in (x, np.sin(60 * x))
    ]
    assert chosen[1] > 4 * chosen[0]


def test_repeated_rows_do_not_stop_auto(rng, backend):
    x = rng.standard_normal((30, 2))
    y = np.sin(x[:, :1])
    once = leave_one_out_gamma(Points(x), y, "laplacian", {}, backend)
    twice = leave_one_out_gamma(
        Points(np.repeat(x, 2, axis=0)), np.repeat(y, 2, axis=0), "laplacian", {}, backend
    )
    assert len(twice[1]) == len(once[1]) == 13


def test_the_seed_draws_the_subsample(rng, backend, monkeypatch):
    monkeypatch.setattr("kernelfit.solver.gamma.SUBSAMPLE", 50)
    points, y = Points(rng.standard_normal((200, 2))), rng.standard_normal((200, 1))
    runs = [
        leave_one_out_gamma(points, y, "gaussian", {}, backend, ridge=0.1, seed=seed)[1] for seed in (1, 1, 2)
    ]
    assert runs[0] == runs[1] != runs[2]


def test_auto_without_two_distinct_rows_is_refused(backend):
    with pytest.raises(InputError, match=r"^gamma: 'auto' needs at least 2 distinct rows; give a number$"):
        leave_one_out_gamma(Points(np.ones((5, 2))), np.ones((5, 1)), "gaussian", {}, backend)


def test_auto_where_no_gamma_works_is_refused(backend):
    x = np.array(
        [[0.0], [1e-9], [1.0]]
    )  # a parabola through three points: K of rank 3 only in exact arithmetic
    x = np.concatenate([x, x + 1e-12])
    with pytest.raises(InputError, match=r"^gamma: 'auto' found no gamma whose K is positive definite"):
        leave_one_out_gamma(Points(x), x, "polynomial", {"degree": 1}, backend)


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
