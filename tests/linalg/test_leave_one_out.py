"""Closed-form leave-one-out against really leaving rows out."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import cho_factor, cho_solve
from scipy.spatial.distance import cdist
from threadpoolctl import threadpool_limits

import kernelfit
from kernelfit.gram.layout import PanelLayout
from kernelfit.gram.source import ArrayGram
from kernelfit.linalg.cholesky import factor
from kernelfit.linalg.leave_one_out import inverse_diagonal, leave_one_out_predictions


@pytest.mark.parametrize("tier", ["ram", "disk"])
@pytest.mark.parametrize(("n", "width"), [(1, 1), (2, 1), (19, 5), (111, 37), (300, 64)])
def test_the_diagonal_of_the_inverse(rng, backend, make_store, tier, n, width):
    x = rng.standard_normal((n, n + 5))
    k = x @ x.T + np.eye(n)
    store = make_store(tier, PanelLayout(n, width))
    factor(ArrayGram(k), 0.0, store, backend)
    expected = np.diag(np.linalg.inv(k))
    np.testing.assert_allclose(inverse_diagonal(store, backend), expected, rtol=1e-9)
    for at_once in (1, 7, width + 1):
        found = inverse_diagonal(store, backend, at_once=at_once)
        np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_predictions_by_hand():
    # With two rows the prediction of one by the other is k_12 / k_22 y_2.
    k, y = np.array([[2.0, 1.0], [1.0, 4.0]]), np.array([[3.0], [8.0]])
    alpha, inverse = np.linalg.solve(k, y), np.diag(np.linalg.inv(k))
    np.testing.assert_allclose(leave_one_out_predictions(y, alpha, inverse), [[2.0], [1.5]])


@pytest.mark.parametrize(("ridge", "rows"), [(0.0, 12), (0.1, 4)])
def test_equals_leaving_rows_out_of_two_thousand(rng, ridge, rows):
    n = 2000
    x = rng.standard_normal((n, 10))
    y = np.stack([np.sin(x[:, 0]), x[:, 1] * x[:, 2]], axis=1)
    predictions = kernelfit.solve(x, y, gamma=0.1, ridge=ridge).leave_one_out()
    k = np.exp(-0.1 * cdist(x, x, "sqeuclidean"))
    with threadpool_limits(1):
        for row in rng.choice(n, rows, replace=False):
            others = np.delete(np.arange(n), row)
            a = k[np.ix_(others, others)]
            a[np.diag_indices(n - 1)] += ridge
            alone = k[row, others] @ cho_solve(cho_factor(a, lower=True, overwrite_a=True), y[others])
            np.testing.assert_allclose(predictions[row], alone, rtol=1e-8, atol=1e-8)


def test_with_jitter_it_is_that_of_the_shifted_matrix(rng):
    x = rng.standard_normal((150, 6))
    y = np.stack([np.sin(x[:, 0]), x[:, 1] * x[:, 2]], axis=1)
    shifted = kernelfit.solve(x, y, gamma=0.5, jitter=1e-2, device="cpu")
    assert shifted.certificate.interpolates
    expected = kernelfit.solve(x, y, gamma=0.5, ridge=1e-2, device="cpu").leave_one_out()
    np.testing.assert_allclose(shifted.leave_one_out(), expected, rtol=1e-9, atol=1e-9)
    assert any("leave-one-out is that of K + jitter I" in note for note in shifted.notes)


def test_a_single_precision_factor_is_told(rng):
    x = rng.standard_normal((150, 6))
    solution = kernelfit.solve(x, x[:, 0], gamma=0.5, precision="mixed", device="cpu")
    for _ in range(2):
        solution.leave_one_out()
    assert [note for note in solution.notes if "leave-one-out" in note] == [
        "leave-one-out has the precision of the factor, float32"
    ]


def test_a_single_precision_factor_tells_how_far_off_its_diagonal_may_be(rng):
    """(A^-1)_ii of such a factor was off by two fifths of itself, and alpha, refined, by nothing: no note said so."""
    x = rng.uniform(size=(50, 2))
    y = np.sin(4 * x[:, 0]) + x[:, 1]
    problem = {"gamma": 1.0, "ridge": 1e-6, "device": "cpu"}
    exact = y - kernelfit.solve(x, y, **problem).leave_one_out()
    solution = kernelfit.solve(x, y, precision="mixed", **problem)
    off = np.abs((y - solution.leave_one_out()) / exact - 1.0).max()
    (line,) = [note for note in solution.notes if "leave-one-out" in note]
    assert 1e-3 < off < float(line.partition("may be off by ")[2].split()[0])
