"""`kernelfit.study.curve`: points against solves of their own, and what is extrapolated from them."""

import numpy as np
import pytest

import kernelfit
from kernelfit.metrics import one_hot
from kernelfit.study.curve import CurvePoint, curve_point, extrapolate, sizes_up_to


def test_all_rows_give_the_solution_itself(digits):
    solution, rows = digits
    point = curve_point(rows, rows.n, seed=3, threads=1)
    assert point.rkhs_norm == pytest.approx(solution.rkhs_norm, rel=1e-12)
    assert point.train_error == 0
    assert point.seconds > 0


def test_within_a_draw_the_larger_sets_hold_the_smaller(digits):
    _, rows = digits
    norms = [curve_point(rows, n, seed=1, threads=1).rkhs_norm for n in (20, 40, 80)]
    assert norms == sorted(norms)  # the interpolant of more of the same rows has a larger norm
    order = np.sort(np.random.default_rng([1, 80]).permutation(rows.n)[:40])
    alone = kernelfit.solve(
        rows.every.values[order], one_hot(rows.y_train[order], 10), gamma=0.1, scale=rows.every.scale
    )
    assert norms[1] == pytest.approx(alone.rkhs_norm, rel=1e-10)
    alone.close()


def test_a_power_law_is_found_again():
    points = [
        CurvePoint(n, seed, 0.0, 0.02 + 3 * n**-0.7, 2 * n**0.5, 0.1)
        for n in (100, 200, 400, 800, 1600)
        for seed in (0, 1)
    ]
    error, norm = extrapolate(points, "test_error"), extrapolate(points, "rkhs_norm")
    assert error is not None
    assert norm is not None
    assert (error.limit, error.power) == pytest.approx((0.02, 0.7), rel=1e-3)
    assert norm.power == pytest.approx(-0.5, rel=1e-3)
    assert error.at(10_000) == pytest.approx(0.02 + 3 * 10_000**-0.7, rel=1e-3)
    assert extrapolate(points[:6], "test_error") is None  # three sizes


def test_norms_that_are_not_resolved_keep_out_of_the_curve():
    points = [CurvePoint(n, 0, 0.0, 0.1, 2 * n**0.5, 0.1) for n in (100, 200, 400, 800, 1600)]
    unknown = [CurvePoint(n, 1, 0.0, 0.1, None, 0.1) for n in (400, 3200)]
    fit = extrapolate([*points, *unknown, CurvePoint(800, 2, 0.0, 0.1, float("nan"), 0.1)], "rkhs_norm")
    assert fit == extrapolate(points, "rkhs_norm")
    assert extrapolate([*points[:3], *unknown], "rkhs_norm") is None  # three sizes are known


def test_an_error_that_grows_is_not_continued():
    points = [CurvePoint(n, 0, 0.0, 0.1 + n / 5e3, 2 * n**0.5, 0.1) for n in (100, 200, 400, 800, 1600)]
    assert extrapolate(points, "test_error") is None
    assert extrapolate(points, "rkhs_norm") is not None


def test_the_error_of_what_is_extrapolated_is_that_of_noisy_curves():
    rng, sizes = np.random.default_rng(2), (100, 200, 400, 800, 1600, 3200)
    values, errors = [], []
    for _ in range(60):
        noisy = [0.02 + 3 * n**-0.7 + 2e-4 * rng.standard_normal() for n in sizes]
        fit = extrapolate(
            [CurvePoint(n, 0, 0.0, e, 1.0, 0.1) for n, e in zip(sizes, noisy, strict=True)], "test_error"
        )
        values.append(fit.at(30_000))
        errors.append(fit.error(30_000))
    assert 0.5 * np.std(values) < np.median(errors) < 2 * np.std(values)


def test_sizes_end_at_n():
    assert sizes_up_to(1000)[-1] == 1000
    assert sizes_up_to(1000)[0] == 50
    assert sizes_up_to(30) == [30]
