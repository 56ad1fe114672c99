"""One pass over residual, alpha and targets gives what NumPy gives in many."""

from __future__ import annotations

import numpy as np
import pytest

from kernelfit.linalg.conjugate_gradients import backward_error
from kernelfit.solver.measures import measure, missed, resolved, rounding

_N, _C = 40, 3


@pytest.fixture
def system(rng):
    matrix = rng.standard_normal((_N, _N))
    matrix = matrix @ matrix.T  # alpha^T K alpha > 0
    alpha, noise = rng.standard_normal((_N, _C)), 1e-9 * rng.standard_normal((_N, _C))
    return matrix, alpha, noise


@pytest.mark.parametrize("shape", [(), (_N, 1), (1, _C), (_N, _C)])
def test_of_every_shape_of_ridges(rng, system, shape):
    matrix, alpha, noise = system
    ridges = rng.uniform(0.1, 1.0, shape)
    fitted, absolute = matrix @ alpha, np.abs(matrix) @ np.abs(alpha)
    targets = fitted + ridges * alpha + noise
    residual = np.abs(targets - fitted - ridges * alpha)
    size = np.abs(matrix).sum(axis=1).max() + np.max(ridges)
    powers = np.array([0, 3, -1100], np.int32)
    made = measure(targets, alpha, fitted, absolute, ridges, size, powers)
    assert made.backward == pytest.approx(backward_error(residual, size, alpha, targets), rel=1e-14)
    spread = absolute + ridges * np.abs(alpha)
    assert made.componentwise == pytest.approx((residual / (spread + np.abs(targets))).max(), rel=1e-14)
    sizes = [np.abs(each).max(axis=0) for each in (residual, targets, alpha, absolute)]
    np.testing.assert_array_equal(made.linear, np.ldexp(sizes, powers))
    assert made.met == (residual.max(axis=0) <= 1e-6 * np.abs(targets).max(axis=0)).all()
    np.testing.assert_allclose(made.squares, (alpha * fitted).sum(axis=0), rtol=1e-13)
    unit = rounding(_N)
    plain = (np.abs(alpha) * (unit * spread + 2.0 * residual)).sum(axis=0)
    formed = (np.abs(alpha) * unit * absolute).sum(axis=0)
    lengths = np.linalg.norm(fitted, axis=0) * np.linalg.norm(residual + unit * spread, axis=0)
    relative = made.lost / made.squares
    np.testing.assert_array_equal(made.errors, relative / (1.0 + np.sqrt(1.0 - relative)))
    np.testing.assert_array_equal(made.norms, np.sqrt(made.squares))
    assert made.uncertain == relative.max()
    np.testing.assert_allclose(
        made.lost, np.minimum(plain, formed + 2 * lengths / np.min(ridges)), rtol=1e-13
    )


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
@pytest.mark.parametrize("row", [0, 17, _N - 1])
def test_what_is_not_finite_is_no_small_error(system, wrong, row):
    matrix, alpha, _ = system
    fitted, absolute = matrix @ alpha, np.abs(matrix) @ np.abs(alpha)
    for broken in ("alpha", "fitted"):
        arrays = {"alpha": alpha.copy(), "fitted": fitted.copy()}
        arrays[broken][row, 1] = wrong
        made = measure(fitted, arrays["alpha"], arrays["fitted"], absolute, 0.0, 10.0, np.zeros(_C, np.int32))
        assert not made.backward < 1.0


def test_a_column_of_zeros():
    zeros = np.zeros((5, 2))
    made = measure(zeros, zeros, zeros, zeros, 0.0, 1.0, np.zeros(2, np.int32))
    assert made.backward == made.componentwise == 0.0
    made = measure(zeros, zeros, zeros + 1e-300, zeros, 0.0, 1.0, np.zeros(2, np.int32))
    assert made.componentwise == np.inf


def test_every_column_must_be_met():
    def met(factors, sizes):
        targets = np.array([sizes])
        residual = np.asarray(factors) * targets
        return measure(targets, 0.0 * targets, targets - residual, None, 0.0, 1.0, np.zeros(2, np.int32)).met

    assert met([1e-8, 1e-8], [1e9, 2e-3])
    assert not met([1e-8, 0.5], [1e9, 2e-3])
    assert met([0.0, 0.0], [2.0, 0.0])
    off = np.array([[2.0, 1e-9]])
    assert not measure(off * [1, 0], 0.0 * off, off, None, 0.0, 1.0, np.zeros(2, np.int32)).met


@pytest.mark.parametrize("error", [1e-12, 0.1, 0.5, 0.7])
def test_a_norm_is_as_far_off_as_the_least_square_says(error):
    """Half of the square's relative error is less than what the root may be off by."""
    norm, bound = resolved(4.0, error)
    assert norm == 2.0
    assert bound == pytest.approx(-np.expm1(0.5 * np.log1p(-error)), rel=1e-12)


@pytest.mark.parametrize("error", [0.8, 1.0, 3.0, np.inf])
def test_a_square_without_digits_has_no_norm(error):
    norm, bound = resolved(4.0, error)
    assert np.isnan(norm)
    assert bound > 0.5


def test_targets_without_a_digit_are_counted_beside_the_largest_of_their_column():
    targets = np.array([[1.0, 1e-8], [1e-8, 0.0], [1e-8, 1e-8], [-1e-15, 1e-8], [0.0, 1e-8]])
    assert missed(np.full((5, 2), 1e-9), targets) == 0
    assert missed(np.full((5, 2), -9e-9), targets) == 6
    assert missed(np.zeros((5, 2)), targets) == 0
