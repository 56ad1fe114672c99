"""Pairs of rows close together: entries of K right to rounding, wherever in a tile they stand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import cdist

import kernelfit
from kernelfit.gram import distances
from kernelfit.gram.points import Points
from kernelfit.gram.tile import ColumnBlock, evaluate
from kernelfit.kernels import (
    Cosine,
    Gaussian,
    Laplacian,
    Linear,
    Matern,
    NeuralTangent,
    Pairwise,
    Polynomial,
    Product,
    Sum,
)


def flat(x, y):
    return 1.0 + 0.0 * x[0] * y[0]


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
    monkeypatch.setattr(distances, "correct_close", lambda *_: None)
    rounded = tile_of(kernel, *arguments)
    change = np.abs(out - rounded)
    assert 1e-9 < change.max() < 1e-4
    far = cdist(x, x) > 0.5 * np.linalg.norm(x, axis=1).max()
    assert (change[far] == 0).all()


@pytest.mark.parametrize("part", [Laplacian(0.5), Pairwise(flat)], ids=repr)
@pytest.mark.parametrize("combine", [Sum, Product])
def test_terms_of_coordinates_do_not_cost_the_correction(rng, backend, part, combine):
    x = rng.standard_normal((60, 3))
    x[1::2] = x[::2] + 1e-6 * rng.standard_normal((30, 3))
    points, all_rows = Points(x), (0, 60)
    kernel = combine(part, Matern(nu=0.5))
    kernel.compile()
    out = tile_of(kernel, points, points, all_rows, all_rows, backend)
    parts = [tile_of(term, points, points, all_rows, all_rows, backend) for term in (part, Matern(nu=0.5))]
    np.testing.assert_allclose(parts[1], np.exp(-wide_distances(x, x)).astype(float), rtol=0, atol=1e-15)
    expected = parts[0] + parts[1] if combine is Sum else parts[0] * parts[1]
    np.testing.assert_allclose(out, expected, rtol=1e-15)


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


def test_a_distance_that_cancelled_below_zero_is_zero():
    out = np.empty((1, 2))
    distances.sq_distances(np.array([[1.0 + 1e-15, 0.5]]), np.ones(1), np.ones(2), 2.0, out, distances.APART)
    assert out.tolist() == [[0.0, 2.0]]


@pytest.mark.parametrize("rows", [(0, 60), (7, 41), (20, 60)])
@pytest.mark.parametrize("columns", [(0, 60), (13, 33), (41, 60)])
@pytest.mark.parametrize("close", [True, False])
def test_a_row_and_itself_are_0_apart_wherever_the_tile_begins(rng, backend, rows, columns, close):
    x = paired_rows(rng, 60, 6) if close else rng.standard_normal((60, 6))
    points = Points(x + 3.0)  # no row but itself is close where none is paired
    out = tile_of(Matern(nu=0.5), points, points, rows, columns, backend)
    same = np.arange(*rows)[:, None] == np.arange(*columns)
    assert (out[same] == 1.0).all()
    expected = np.exp(-wide_distances(x[slice(*rows)] + 3.0, x[slice(*columns)] + 3.0)).astype(float)
    np.testing.assert_allclose(out, expected, rtol=0, atol=1e-14)


def test_rows_and_themselves_alone_are_not_formed_anew(rng, backend, monkeypatch):
    x = rng.standard_normal((60, 20))
    points = Points(x)
    monkeypatch.setattr(distances, "correct_close", lambda *_: pytest.fail("no pair is close"))
    tile_of(Gaussian(0.1), points, points, (0, 60), (0, 60), backend)
    monkeypatch.undo()
    again = Points(x.copy(), like=points)
    assert (np.diagonal(tile_of(Matern(nu=0.5), again, points, (0, 60), (0, 60), backend)) == 1.0).all()
