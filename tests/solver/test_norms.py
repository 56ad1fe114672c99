"""RKHS norms where alpha^T K alpha is noise, and where Y is far from 1."""

from __future__ import annotations

import math

import numpy as np
import pytest

import kernelfit
from kernelfit.errors import RefinementError
from kernelfit.kernels import Cosine, Linear, Polynomial


def ridge_norm(features: np.ndarray, targets: np.ndarray, ridge: float) -> float:
    """|W| of ridge regression on explicit features, by singular values."""
    left, values, _ = np.linalg.svd(features, full_matrices=False)
    coordinates = (left.T @ targets.reshape(len(features), -1)) * (values / (values**2 + ridge))[:, None]
    return float(np.linalg.norm(coordinates))


@pytest.mark.parametrize("relative", [1e-4, 1e-6, 1e-8, 1e-10, 1e-12])
@pytest.mark.parametrize("device", [False, True])
def test_a_linear_kernel_with_a_small_ridge(make_device, relative, device):
    """alpha^T K alpha gave 0.137, 0, 0, 0."""
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((200, 5)), rng.standard_normal(200)
    ridge = relative * float(np.mean(np.sum(X**2, axis=1)))
    where = make_device(16_000_000) if device else "cpu"
    certificate = kernelfit.solve(X, y, kernel="linear", ridge=ridge, device=where).certificate
    expected = ridge_norm(X, y, ridge)
    assert certificate.rkhs_norm_error < 1e-5
    assert certificate.rkhs_norm == pytest.approx(expected, rel=max(1e-9, certificate.rkhs_norm_error))
    assert certificate.rkhs_norm == pytest.approx(0.166117, rel=1e-4)


@pytest.mark.parametrize("precision", ["float64", "mixed"])
def test_digits_with_a_small_ridge(precision):
    """72.5 came for the first column's norm."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    X, Y = digits.data / 16, np.eye(10)[digits.target]
    ridge = 1e-10 * float(np.mean(np.sum(X**2, axis=1)))
    solution = kernelfit.solve(X, Y, kernel="linear", ridge=ridge, precision=precision)
    assert solution.rkhs_norm == pytest.approx(ridge_norm(X, Y, ridge), rel=1e-5)
    for column in range(10):
        expected = ridge_norm(X, Y[:, column], ridge)
        assert solution.rkhs_norm_per_column[column] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    "kernel",
    [
        Linear() + Linear(),
        Polynomial(degree=1, gamma=1.0, coef0=0.0),
        Polynomial(degree=3, gamma=0.8, coef0=1.0),
        Cosine(),
        Cosine() * Linear() + Polynomial(degree=2, gamma=0.3, coef0=0.5),
    ],
    ids=repr,
)
@pytest.mark.parametrize("relative", [1e-8, 1e-10])
def test_kernels_of_finitely_many_features_have_a_norm(rng, kernel, relative):
    """No digit of alpha^T K alpha holds; of polynomials of 300 x 2 with a ridge of 1e-12, 478,326 came for 0.267."""
    X, y = rng.standard_normal((300, 2)), rng.standard_normal(300)
    units = X / np.linalg.norm(X, axis=1)[:, None]

    def tensor(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return (a[:, :, None] * b[:, None, :]).reshape(len(a), -1)

    def power(gamma: float, coef0: float, degree: int) -> np.ndarray:
        base = np.hstack([np.sqrt(gamma) * X, np.full((300, 1), np.sqrt(coef0))])
        return base if degree == 1 else tensor(base, power(gamma, coef0, degree - 1))

    features = {
        "sum": lambda: (
            np.hstack([X, X])
            if kernel.left.name == "linear"
            else np.hstack([tensor(units, X), power(0.3, 0.5, 2)])
        ),
        "polynomial": lambda: X if kernel.degree == 1 else power(0.8, 1.0, 3),
        "cosine": lambda: units,
    }[kernel.name]()
    ridge = relative * float(np.mean(np.sum(features**2, axis=1)))
    certificate = kernelfit.solve(X, y, kernel=kernel, ridge=ridge).certificate
    assert certificate.rkhs_norm_error < 0.5
    assert certificate.rkhs_norm == pytest.approx(
        ridge_norm(features, y, ridge), rel=1e-3 if relative < 1e-9 else 1e-6
    )


def test_rows_of_graded_sizes_have_a_norm_on_a_device(rng, make_device):
    """|K| |alpha| is not formed there for a K with negative entries; |K| alone bounds nothing of graded rows."""
    X, y = rng.standard_normal((30, 3)) * 10.0 ** rng.uniform(-20, 20, (30, 1)), rng.standard_normal(30)
    plain, device = (
        kernelfit.solve(X, y, kernel="ntk", device=where).certificate
        for where in ("cpu", make_device(8_000_000))
    )
    assert device.rkhs_norm == pytest.approx(plain.rkhs_norm, rel=1e-9)
    assert device.rkhs_norm_error < 1e-9


def test_where_no_digit_holds_there_is_no_norm_and_that_is_said(rng):
    X, y = rng.standard_normal((300, 2)), rng.standard_normal(300)
    solution = kernelfit.solve((0.8 * X @ X.T + 1) ** 3, y, kernel="precomputed", ridge=1e-12)
    assert math.isnan(solution.rkhs_norm)
    assert solution.certificate.rkhs_norm_error >= 0.5
    assert any("the RKHS norm is not resolved" in note for note in solution.notes)
    assert any("fitted values and predictions may be off by" in note for note in solution.notes)


def test_the_error_bounds_what_a_longer_product_finds(problem):
    x, y = problem
    solution = kernelfit.solve(x, y, gamma=0.02, ridge=1e-9)
    certificate = solution.certificate
    # A shift of the diagonal by rounding moves the exact norm by no more than the bound.
    K = np.exp(-0.02 * ((x[:, None] - x[None]) ** 2).sum(-1)).astype(np.longdouble)
    alpha = solution.alpha.astype(np.longdouble)
    exact = np.sqrt(float((alpha * (K @ alpha)).sum()))
    assert certificate.rkhs_norm == pytest.approx(exact, rel=max(10 * certificate.rkhs_norm_error, 1e-12))


@pytest.mark.parametrize("precision", ["float64", "float32", "mixed"])
@pytest.mark.parametrize("power", [-1000, -565, -200, 200, 515, 1000])
def test_targets_of_any_size_have_the_same_digits(rng, power, precision):
    """Y of 1e155 gave a norm that is no number, 1e-170 the norm 0, and 1e-60 in float32 alpha = 0."""
    x, y = rng.standard_normal((60, 3)), rng.standard_normal((60, 2))
    plain = kernelfit.solve(x, y, gamma=5.0, precision=precision)
    y = np.ldexp(y, power)
    scaled = kernelfit.solve(x, y, gamma=5.0, precision=precision)
    assert np.array_equal(scaled.alpha, np.ldexp(plain.alpha, power))
    assert np.array_equal(scaled.fitted, np.ldexp(plain.fitted, power))
    assert np.array_equal(scaled.leave_one_out(), np.ldexp(plain.leave_one_out(), power))
    assert scaled.rkhs_norm == pytest.approx(math.ldexp(plain.rkhs_norm, power), rel=1e-15)
    for name in ("backward_error", "componentwise_backward_error", "interpolates", "rkhs_norm_error"):
        assert getattr(scaled.certificate, name) == getattr(plain.certificate, name)
    assert scaled.certificate.residual == math.ldexp(plain.certificate.residual, power)


def test_columns_of_every_size_side_by_side(rng):
    x, y = rng.standard_normal((60, 3)), rng.standard_normal((60, 3))
    y = y * [1e-200, 0.0, 1e200]
    solution = kernelfit.solve(x, y, gamma=5.0)
    assert solution.certificate.interpolates
    assert solution.rkhs_norm_per_column[1] == 0.0
    for column in (0, 2):
        alone = kernelfit.solve(x, y[:, column], gamma=5.0)
        assert solution.rkhs_norm_per_column[column] == pytest.approx(alone.rkhs_norm, rel=1e-14)


@pytest.mark.parametrize("power", [-700, 600])
def test_rules_by_leave_one_out_do_not_depend_on_the_size_of_targets(rng, power):
    x = rng.standard_normal((80, 3))
    y = np.sin(x[:, :1]) + 0.1 * rng.standard_normal((80, 1))
    plain = kernelfit.solve(x, y, gamma="auto", ridge="auto")
    scaled = kernelfit.solve(x, np.ldexp(y, power), gamma="auto", ridge="auto")
    assert (scaled.kernel, scaled.ridge) == (plain.kernel, plain.ridge)


def test_an_alpha_that_leaves_the_range_of_float64_is_refused(rng):
    x, y = rng.standard_normal((30, 3)), rng.standard_normal(30)
    with pytest.raises(RefinementError, match=r"^alpha: overflows in float64 precision, with Y up to "):
        kernelfit.solve(1e-60 * np.eye(30), 1e280 * y, kernel="precomputed")
    with pytest.raises(RefinementError, match=r"^alpha: vanishes in float64, with Y of "):
        kernelfit.solve(1e60 * np.eye(30), 1e-280 * y, kernel="precomputed")
    assert kernelfit.solve(x, 1e-305 * y, gamma=5.0).certificate.interpolates


@pytest.mark.parametrize("ridge", [1e-6, 1e-8])
def test_eigenvalues_below_the_ridge_count_too(rng, ridge):
    """The part of f in directions of small eigenvalues was left out, and the bound said 3e-6: 0.146 for 0.161."""
    x, y = np.sort(rng.standard_normal((40, 1)), axis=0), rng.standard_normal(40)
    K = (1 + np.longdouble(0.3) * (x @ x.T).astype(np.longdouble)) ** 3
    K += np.longdouble(1e-9) * np.exp(-np.longdouble(3.0) * (x - x.T).astype(np.longdouble) ** 2)
    solution = kernelfit.solve(np.asarray(K, np.float64), y, kernel="precomputed", ridge=ridge)
    alpha = solution.alpha[:, 0].astype(np.longdouble)
    exact = float(np.sqrt(alpha @ (K @ alpha)))
    certificate = solution.certificate
    assert certificate.rkhs_norm == pytest.approx(exact, rel=max(1e-12, 4 * certificate.rkhs_norm_error))


def test_the_bound_holds_what_refinement_leaves(rng):
    """With a float32 factor alpha meets the targets to 1e-13 of |K| |alpha|: the norm feels it where alpha is large."""
    x, y = rng.integers(0, 256, (10, 6)), rng.standard_normal(10)
    exact = kernelfit.solve(x, y, kernel="laplacian", gamma=0.001, ridge=1e-9).certificate
    mixed = kernelfit.solve(x, y, kernel="laplacian", gamma=0.001, ridge=1e-9, precision="mixed").certificate
    assert mixed.rkhs_norm == pytest.approx(
        exact.rkhs_norm, rel=4 * (mixed.rkhs_norm_error + exact.rkhs_norm_error)
    )


@pytest.mark.parametrize("weights", [False, True])
def test_predictions_do_not_overflow_on_their_way(rng, weights):
    """Terms k(x, x_i) alpha_i of 1e309 that cancel gave predictions that are no numbers."""
    x = rng.standard_normal((40, 3)) * 1e4
    y = x @ np.ones(3) if weights else rng.standard_normal(40)
    given = {"kernel": "linear", "ridge": 0.0 if weights else 1e-2}
    plain, large = kernelfit.solve(x, y, **given), kernelfit.solve(x, np.ldexp(y, 980), **given)
    np.testing.assert_allclose(np.ldexp(large.predict(x), -980), plain.predict(x), rtol=1e-12, atol=1e-9)


def test_rows_beside_whose_ridge_k_is_nothing(rng):
    x = 1e-150 * rng.standard_normal((7, 2))
    solution = kernelfit.solve(x, np.ones(7), kernel="linear", ridge=1e-3)
    np.testing.assert_allclose(solution.alpha, 1e3)
    lost = kernelfit.solve(x, np.ones(7), kernel="linear", jitter=1e-8, precision="mixed")
    assert not lost.certificate.interpolates
    assert any("was not refined away" in note for note in lost.notes)


def test_a_norm_whose_square_overflows_is_not_infinite(rng):
    x, y = 1e-150 * rng.standard_normal((65, 5)), rng.standard_normal(65)
    certificate = kernelfit.solve(x, y, kernel="linear", jitter=1e-8, precision="float32").certificate
    assert math.isnan(certificate.rkhs_norm)
    assert not certificate.interpolates


@pytest.mark.parametrize("ridge", [1e6, 1e13, 1e17, 1e100])
def test_a_ridge_beside_which_k_is_nothing(problem, ridge):
    """NaN came, with the advice to take a larger ridge, and that the kernel was too narrow."""
    X, y = problem
    y = y.reshape(len(X), -1)[:, 0]
    solution = kernelfit.solve(X, y, gamma=0.3, ridge=ridge)
    K = np.exp(-0.3 * np.sum((X[:, None] - X[None]) ** 2, axis=-1))
    assert solution.rkhs_norm == pytest.approx(
        math.sqrt(y @ K @ y) / ridge, rel=1e-3 if ridge < 1e9 else 1e-12
    )
    assert solution.certificate.rkhs_norm_error < 1e-12
    assert solution.notes == []


@pytest.mark.parametrize("ridge", [1e20, 1e160, 1e200, 1e300])
def test_a_norm_of_any_size_has_its_digits_and_an_error_that_holds(rng, ridge):
    X, Y = rng.standard_normal((20, 2)), rng.standard_normal((20, 2))
    solution = kernelfit.solve(X, Y, kernel="gaussian", gamma=1.0, ridge=ridge, threads=1)
    matrix = np.exp(-((X[:, None] - X) ** 2).sum(axis=2))
    expected = np.sqrt(np.einsum("ic,ij,jc->", Y, matrix, Y)) / ridge
    assert solution.rkhs_norm == pytest.approx(expected, rel=1e-12, abs=0.0)
    again = solution.solve(Y)  # whose |K| |alpha| is not known
    assert again.rkhs_norm == pytest.approx(expected, rel=1e-12, abs=0.0)
    for certificate in (solution.certificate, again.certificate):
        assert 1e-17 < certificate.rkhs_norm_error < 1e-12
