"""Pairs of rows close together: entries of K right to rounding, wherever in a tile they stand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import cdist

import kernelfit
from kernelfit.gram.points import Points
from kernelfit.gram.tile import ColumnBlock, evaluate
from kernelfit.kernels import (
    Cosine,
    Gaussian,
    Laplacian,
    Linear,
    Matern,
    NeuralTangent,
    Polynomial,
    close_pairs,
)

GAPS = 10.0 ** -np.arange(1.0, 12.0)


def paired_rows(rng, n, d):
    """Rows of which 2i and 2i + 1 are GAPS[i] apart, the smallest of them last again and again."""
    x = rng.standard_normal((n, d))
    step = rng.standard_normal((n // 2, d))
    step /= np.linalg.norm(step, axis=1)[:, None]
    gaps = GAPS[np.minimum(np.arange(n // 2), len(GAPS) - 1)]
    x[1::2] = x[: n - 1 : 2] + gaps[:, None] * step
    return x


def wide_distances(x, y):
    """Distances in long double."""
    differences = x.astype(np.longdouble)[:, None] - y.astype(np.longdouble)[None]
    return np.sqrt((differences**2).sum(axis=2))


def tile_of(kernel, rows, columns, a, b, backend, dtype=np.float64):
    out = np.empty((a[1] - a[0], b[1] - b[0]), dtype)
    exact = rows.exact and columns.exact
    evaluate(kernel, rows, *a, ColumnBlock(columns, *b, exact), out, backend)
    return out


FORMULAS = {
    "matern 1/2": (Matern(nu=0.5), lambda r: np.exp(-r)),
    "matern 3/2": (
        Matern(nu=1.5),
        lambda r: (1 + np.sqrt(np.longdouble(3)) * r) * np.exp(-np.sqrt(np.longdouble(3)) * r),
    ),
    "gaussian": (Gaussian(gamma=2.0), lambda r: np.exp(-2 * r**2)),
}


@pytest.mark.parametrize("name", FORMULAS)
@pytest.mark.parametrize("corner", [(0, 0), (3, 0), (40, 7), (7, 40), (64, 63)])
def test_entries_are_right_to_rounding(rng, backend, name, corner):
    kernel, formula = FORMULAS[name]
    x = paired_rows(rng, 120, 6)
    points = Points(x)
    rows, columns = ((start, start + 50) for start in corner)
    out = tile_of(kernel, points, points, rows, columns, backend)
    expected = formula(wide_distances(x[slice(*rows)], x[slice(*columns)]))
    scale = np.abs(x - np.median(x, axis=0)).max()
    assert np.abs(out - expected).max() <= 30 * np.finfo(float).eps * scale


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_new_rows_on_top_of_training_rows(rng, backend, dtype):
    x = paired_rows(rng, 60, 6).astype(dtype)
    training = Points(x)
    new = Points(x.copy(), like=training)
    out = tile_of(Matern(nu=0.5), new, training, (0, 60), (0, 60), backend)
    assert (np.diagonal(out) == 1.0).all()
    np.testing.assert_allclose(out, np.exp(-wide_distances(x, x)).astype(float), rtol=0, atol=1e-14)


def test_more_close_pairs_than_are_taken_at_a_time(rng, backend, monkeypatch):
    monkeypatch.setattr(close_pairs, "_PAIRS", 1)
    x = rng.standard_normal(4) + 1e-7 * rng.standard_normal((70, 4))
    x = np.vstack([x, 10 + x, rng.standard_normal((5, 4))])
    points = Points(x)
    out = tile_of(Matern(nu=0.5), points, points, (0, 145), (0, 145), backend)
    np.testing.assert_allclose(out, np.exp(-wide_distances(x, x)).astype(float), rtol=0, atol=1e-14)


@pytest.mark.parametrize(
    "kernel",
    [
        Matern(nu=0.5) + Polynomial(degree=2),
        Matern(nu=0.5) * (Cosine() + Linear()),
        NeuralTangent(depth=2) + Gaussian(0.5) * Matern(nu=0.5),
    ],
    ids=repr,
)
def test_other_terms_keep_their_inner_products(rng, backend, monkeypatch, kernel):
    x = paired_rows(rng, 60, 6) + 3.0
    points = Points(x)
    arguments = (points, points, (0, 60), (0, 60), backend)
    out = tile_of(kernel, *arguments)
    monkeypatch.setattr(close_pairs, "correct", lambda *_: None)
    rounded = tile_of(kernel, *arguments)
    change = np.abs(out - rounded)
    assert 1e-9 < change.max() < 1e-4
    far = cdist(x, x) > 0.5 * np.linalg.norm(x, axis=1).max()
    assert (change[far] == 0).all()


@pytest.mark.parametrize(
    "kernel", [Polynomial(), Linear(), Laplacian(0.5), Gaussian(1.0) + Laplacian(0.5)], ids=repr
)
def test_kernels_without_distances_from_products_are_left_alone(kernel):
    assert not (kernel.of_distances and kernel.of_inner_products)


@pytest.mark.parametrize("far", [1e3, 1e100])
def test_rows_far_out_and_zero_rows(rng, backend, far):
    x = np.vstack([np.zeros((2, 3)), rng.standard_normal((6, 3)), far * np.ones((1, 3))])
    points = Points(x)
    out = tile_of(Gaussian(1.0), points, points, (0, 9), (0, 9), backend)
    expected = np.exp(-(wide_distances(x, x) ** 2)).astype(float)
    np.testing.assert_allclose(out, expected, rtol=0, atol=1e-14)


def test_the_solution_of_close_pairs_is_that_of_the_exact_matrix(rng):
    """Two rows 1e-6 apart, Matern 1/2: the condition number, 1e6, leaves ten digits."""
    x = paired_rows(rng, 80, 3)[:12]
    x = np.vstack([x, rng.standard_normal((28, 3))])
    y = rng.standard_normal(40)
    alpha = kernelfit.solve(x, y, kernel=Matern(nu=0.5), device="cpu").alpha[:, 0]
    k = np.exp(-wide_distances(x, x))
    residual = y - k @ alpha.astype(np.longdouble)
    assert np.abs(residual).max() <= 1e-13 * float(np.abs(k).sum(axis=1).max()) * np.abs(alpha).max()
