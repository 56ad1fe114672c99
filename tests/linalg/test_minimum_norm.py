"""The primal path of the linear kernel against the pseudo-inverse."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import scipy.linalg

from kernelfit.linalg.minimum_norm import _combined, left_out, minimum_norm


@pytest.mark.parametrize(
    ("n", "d", "rank"), [(20, 7, 7), (20, 7, 4), (7, 20, 7), (1, 1, 1), (30, 1, 1), (9, 9, 9)]
)
@pytest.mark.parametrize("consistent", [True, False])
def test_weights_and_alpha(rng, n, d, rank, consistent):
    x = rng.standard_normal((n, rank)) @ rng.standard_normal((rank, d))
    y = x @ rng.standard_normal((d, 3)) if consistent else rng.standard_normal((n, 3))
    found = minimum_norm(x, y)
    inverse = np.linalg.pinv(x)
    np.testing.assert_allclose(found.weights, inverse @ y, rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(x.T @ found.alpha, found.weights, rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(found.alpha, np.linalg.pinv(x @ x.T, rcond=1e-10) @ y, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found.residual, y - x @ found.weights, atol=1e-12)
    assert found.rank == rank
    values = np.linalg.svd(x, compute_uv=False)
    assert found.condition == pytest.approx((values[0] / values[rank - 1]) ** 2, rel=1e-6)
    assert found.consistent == (consistent or rank == n)
    assert found.backward_error < 1e-14


def test_large_and_small_units_do_not_change_the_verdict(rng):
    x, w = rng.standard_normal((40, 5)), rng.standard_normal((5, 2))
    for unit in (1e-150, 1.0, 1e100):
        assert minimum_norm(x * unit, x @ w).consistent
        assert not minimum_norm(x * unit, rng.standard_normal((40, 2))).consistent


def test_a_zero_matrix():
    found = minimum_norm(np.zeros((4, 2)), np.ones((4, 1)))
    assert found.rank == 0
    assert not found.consistent
    assert (found.weights == 0).all()
    assert np.array_equal(found.residual, np.ones((4, 1)))
    assert minimum_norm(np.zeros((4, 2)), np.zeros((4, 1))).consistent


def test_weights_that_cancel_do_not_count_as_interpolation(rng):
    """Residuals of 1.97 and 3.7 were called consistent, as the products of such weights are large."""
    for units, n in (([1.0, 1e-13], 50), ([1.0, 1e-12, 1.0], 1000), ([1e12, 1.0, 1.0], 1000)):
        x = rng.standard_normal((n, len(units))) * units
        result = minimum_norm(x, rng.standard_normal((n, 1)))
        assert np.abs(result.residual).max() > 0.1
        assert not result.consistent


@pytest.mark.parametrize("unit", [1e-155, 1e150])
def test_the_units_of_rows_scale_the_weights_exactly(rng, unit):
    x, w = rng.standard_normal((50, 2)), rng.standard_normal((2, 1))
    power = 2.0 ** np.round(np.log2(unit))
    plain, scaled = minimum_norm(x, x @ w), minimum_norm(x * power, x @ w)
    assert np.array_equal(scaled.weights * power, plain.weights)
    assert scaled.consistent
    assert np.isfinite(minimum_norm(x * power, power * (x @ w)).alpha).all()


def test_every_column_of_targets_must_be_met(rng):
    x = rng.standard_normal((30, 3))
    met = x @ rng.standard_normal((3, 1))
    assert not minimum_norm(x, np.hstack([1e12 * met, rng.standard_normal((30, 1))])).consistent


def test_a_small_column_beside_a_large_one_keeps_its_weights(rng):
    """Weights of 0 came for the small one, and "consistent"."""
    x, w = rng.standard_normal((12, 3)), rng.standard_normal((3, 1))
    sizes = np.array([2.0**990, 1.0, 2.0**-990])
    found = minimum_norm(x, x @ w * sizes)
    assert found.consistent
    np.testing.assert_allclose(found.weights / sizes, w.repeat(3, axis=1), rtol=1e-13)
    assert not minimum_norm(
        x, np.hstack([x @ w * 2.0**990, rng.standard_normal((12, 1)) * 2.0**-990])
    ).consistent


@pytest.mark.parametrize("alone", [0, 3])
@pytest.mark.parametrize("unit", [1.0, 1e-170])
def test_rows_left_out_are_predicted_as_the_others_do(rng, alone, unit):
    x = rng.standard_normal((25, 3)) @ rng.standard_normal((3, 5))
    if alone:  # rows in no span of the others, of leverage 1
        x = np.block([[x, np.zeros((25, alone))], [rng.standard_normal((alone, 5)), np.eye(alone)]])
    y = rng.standard_normal((len(x), 2))
    others = [np.arange(len(x)) != i for i in range(len(x))]
    expected = [x[i] @ minimum_norm(x[rest], y[rest]).weights for i, rest in enumerate(others)]
    np.testing.assert_allclose(left_out(unit * x, y), expected, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize(
    "x",
    [
        [[1.0], [2.0], [3.0], [1e5]],
        [[1e9], [2.0], [3.0], [4.0]],
        # Large rows that are spanned by the others together and by none of the ordinary ones alone.
        [[1.0, 0.0, 0.0], [1.0, 1.0, 1.0], [0.0, 1e6, 0.0], [0.0, 0.0, 1e5], [1.0, 0.5, 0.5]],
        # One that is spanned, and one that is alone.
        [[1.0, 0.0], [2.0, 0.0], [1e6, 0.0], [3.0, 1e6]],
    ],
)
def test_large_rows_left_out_are_predicted_as_the_others_do(rng, x):
    """1 - h of 1e-9 was taken for 0, and the row for one that no other says anything of."""
    x = np.array(x)
    y = rng.standard_normal((len(x), 2))
    others = [np.arange(len(x)) != i for i in range(len(x))]
    expected = [x[i] @ (np.linalg.pinv(x[rest]) @ y[rest]) for i, rest in enumerate(others)]
    np.testing.assert_allclose(left_out(x, y), expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("rank", [9, 7])
def test_many_large_rows_are_left_out_without_a_decomposition_each(rng, monkeypatch, rank):
    """600 rows of weight 1e10 beside 1, of 1,000 features, would have taken hours."""
    x = rng.standard_normal((40, rank)) @ rng.standard_normal((rank, 9))
    x[::6] *= 1e5
    y = rng.standard_normal((40, 2))
    others = [np.arange(len(x)) != i for i in range(len(x))]
    expected = [x[i] @ (np.linalg.pinv(x[rest], rcond=1e-12) @ y[rest]) for i, rest in enumerate(others)]
    decomposed = []
    svd = scipy.linalg.svd
    monkeypatch.setattr(
        scipy.linalg, "svd", lambda *given, **named: decomposed.append(0) or svd(*given, **named)
    )
    np.testing.assert_allclose(left_out(x, y), expected, rtol=1e-6, atol=1e-9)
    assert len(decomposed) == 2


def test_many_targets_make_no_larger_triangles(rng):
    """They were factored with the rows: 10,000 targets of 784 features took gigabytes."""
    x = rng.standard_normal((40, 9))
    x[::6] *= 1e5
    y = rng.standard_normal((40, 2_000))
    left_out(x, y[:, :2])  # what is imported and stays
    tracemalloc.start()
    predictions = left_out(x, y)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * y.shape[1] ** 2
    for i in (0, 6, 36):
        rest = np.arange(40) != i
        np.testing.assert_allclose(
            predictions[i], x[i] @ np.linalg.pinv(x[rest]) @ y[rest], rtol=1e-6, atol=1e-6
        )


def test_a_triangle_that_is_singular_has_weights_of_least_norm(rng):
    triangle = np.triu(rng.standard_normal((5, 5)))
    triangle[3:, 3:] = 1e-20
    triangle = np.triu(triangle)
    x, z = rng.standard_normal(5), rng.standard_normal((5, 2))
    combined = _combined(triangle, x, 5)
    np.testing.assert_allclose(combined @ z, x @ minimum_norm(triangle, z).weights, rtol=1e-10)
    assert np.abs(combined).max() < 1e6
