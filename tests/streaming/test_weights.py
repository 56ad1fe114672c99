"""The linear kernel's solution at new rows, by weights of features that are never all materialised."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kernelfit.errors import InputError
from kernelfit.features import RandomConv
from kernelfit.streaming import plan as module
from kernelfit.streaming import weights as feature_weights


@pytest.fixture
def net(rng: np.random.Generator) -> RandomConv:
    return RandomConv(n_filters=9, n_patches=300, threshold=0.2, threads=2).fit(rng.random((20, 100)))


@pytest.mark.parametrize("block_bytes", [10**9, 2_000])
def test_equal_the_dense_products(
    net: RandomConv, rng: np.random.Generator, block_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BLOCK_BYTES", block_bytes)
    monkeypatch.setattr(feature_weights, "_STRIP_BYTES", 5_000)
    train, test, alpha = rng.random((31, 100)), rng.random((7, 100)), rng.standard_normal((31, 2))
    z, t = (net.transform(rows).astype(np.float64) for rows in (train, test))
    w = feature_weights.weights(net, train, alpha)
    np.testing.assert_allclose(w, z.T @ alpha, rtol=0, atol=1e-12 * np.abs(alpha).sum())
    np.testing.assert_allclose(
        feature_weights.predict(net, test, w), t @ (z.T @ alpha), rtol=1e-9, atol=1e-12
    )


def test_refuses_another_alpha(net: RandomConv, rng: np.random.Generator) -> None:
    with pytest.raises(InputError, match="alpha: got 3 rows, expected 4"):
        feature_weights.weights(net, rng.random((4, 100)), np.ones((3, 1)))


def test_a_file_serves_its_own_solution_only(net: RandomConv, tmp_path: Path) -> None:
    path, w = tmp_path / "weights.h5", np.arange(net.n_features_out_ * 2.0).reshape(-1, 2)
    assert feature_weights.read(path, "abc", len(w)) is None
    feature_weights.write(path, w, "abc")
    assert np.array_equal(feature_weights.read(path, "abc", len(w)), w)
    assert feature_weights.read(path, "abd", len(w)) is None
    assert feature_weights.read(path, "abc", len(w) + 1) is None
    path.write_bytes(path.read_bytes()[:-1])
    assert feature_weights.read(path, "abc", len(w)) is None


def test_norms_are_those_of_the_weights(rng):
    """Of a K without rank alpha is large and alpha^T K alpha noise, while the weights have digits."""
    z, y = rng.standard_normal((200, 5)), rng.standard_normal((200, 2))
    K, ridge = z @ z.T, 1e-10
    alpha = np.linalg.solve(K + ridge * np.eye(200), y)
    lengths, errors = feature_weights.norms(z.T @ alpha, alpha, float(np.mean(np.diagonal(K))))
    exact = np.linalg.norm(z.astype(np.longdouble).T @ alpha.astype(np.longdouble), axis=0)
    assert (np.abs(lengths - exact) <= errors * exact).all()
    assert 1e-8 < errors.max() < 0.5
    assert np.array_equal(feature_weights.norms(0 * z.T @ alpha, alpha, 1.0)[1], [np.inf, np.inf])
