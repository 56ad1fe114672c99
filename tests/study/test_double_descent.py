"""`kernelfit.study.double_descent`: least squares on random features, below, at and past n."""

import dataclasses

import numpy as np
import pytest

from kernelfit.errors import InputError
from kernelfit.kernels import Laplacian
from kernelfit.metrics import one_hot
from kernelfit.study.double_descent import counts_of, random_features, random_fourier


@pytest.mark.parametrize("p", [30, 400])
def test_weights_are_the_least_squares_of_least_norm(digits, p):
    _, rows = digits
    X = rows.every.values.astype(float) * rows.every.scale
    features = random_fourier(X, 0.1, p, seed=0)
    weights = np.linalg.lstsq(features[: rows.n], one_hot(rows.y_train, 10), rcond=None)[0]
    fit = random_features(rows, p, seed=0, threads=1)
    assert fit.refused is None
    assert fit.rkhs_norm == pytest.approx(np.linalg.norm(weights), rel=1e-6)
    assert fit.test_error == np.mean((features[rows.n :] @ weights).argmax(axis=1) != rows.y_test)
    assert (fit.p, fit.share) == (p, p / rows.n)


def test_the_norm_is_largest_at_n_and_falls_to_the_kernels(digits):
    solution, rows = digits
    below, at, past = (random_features(rows, p, 0, threads=1).rkhs_norm for p in (60, 120, 2400))
    assert at > 3 * below
    assert at > 3 * past
    assert past == pytest.approx(solution.rkhs_norm, rel=0.2)


def test_products_of_features_tend_to_the_kernel():
    X = np.random.default_rng(0).normal(size=(12, 4))
    features = random_fourier(X, 0.3, 20_000, seed=1)
    gram = np.exp(-0.3 * np.square(X[:, None] - X).sum(axis=2))
    assert np.abs(features @ features.T - gram).max() < 5 / np.sqrt(20_000)


def test_other_kernels_are_refused(digits):
    _, rows = digits
    with pytest.raises(InputError, match=r"^kernel: got Laplacian.*expected gaussian"):
        random_features(dataclasses.replace(rows, kernel=Laplacian(gamma=0.1)), 10, 0)


def test_counts_ascend_and_are_at_least_one():
    assert counts_of(100, (2.0, 0.001, 0.5)) == [1, 50, 200]
    for shares in ((), (float("nan"),), (float("inf"),), (-1.0,), (0.5, 0.0)):
        with pytest.raises(InputError, match=r"^shares: got"):
            counts_of(100, shares)
