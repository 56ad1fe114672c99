"""Contrast normalisation and ZCA against their definitions."""

from __future__ import annotations

import numpy as np
import pytest

from kernelfit.errors import InputError
from kernelfit.features.whitening import Whitening, contrast_normalise, zca


def test_contrast(rng: np.random.Generator) -> None:
    rows = rng.integers(0, 256, (6, 50), dtype=np.uint8)
    rows[2] = 7
    unit = contrast_normalise(rows)
    assert np.allclose(unit.mean(axis=1), 0)
    lengths = np.linalg.norm(unit, axis=1)
    assert lengths[2] == 0
    assert np.allclose(np.delete(lengths, 2), 1)
    assert np.allclose(contrast_normalise(np.delete(rows, 2, 0) * 3.5 + 100), np.delete(unit, 2, 0))


@pytest.mark.parametrize("epsilon", [0.0, 1e-3, 2.0])
def test_zca_is_the_symmetric_inverse_root(epsilon: float, rng: np.random.Generator) -> None:
    samples = rng.standard_normal((500, 12)) * np.arange(1, 13)
    covariance = samples.T @ samples.copy() / 500
    w = zca(covariance, epsilon)
    assert np.allclose(w, w.T)
    assert np.allclose(w @ (covariance + epsilon * np.eye(12)) @ w, np.eye(12))


def test_zca_of_a_singular_covariance_drops_what_has_no_variance() -> None:
    direction = np.array([3.0, 4.0]) / 5
    w = zca(4.0 * np.outer(direction, direction), 0.0)
    assert np.allclose(w, np.outer(direction, direction) / 2)


def test_transform_whitens(rng: np.random.Generator) -> None:
    mixing = rng.standard_normal((36, 36))
    rows = rng.standard_normal((3000, 36)) @ mixing
    out = Whitening(epsilon=0.0).fit(rows).transform(rows)
    covariance = np.cov(out.T, bias=True)
    # The constant image is the one direction that contrast normalisation removed.
    constant = np.full((36, 36), 1 / 36)
    assert np.allclose(covariance, np.eye(36) - constant, atol=1e-3)
    assert np.allclose(out.mean(axis=0), 0, atol=1e-4)


def test_each_half_alone(rng: np.random.Generator) -> None:
    rows = rng.random((40, 25))
    assert np.allclose(Whitening(whiten=False).fit(rows).transform(rows), contrast_normalise(rows), atol=1e-6)
    plain = Whitening(contrast=False, whiten=False, scale=2.0).fit(rows)
    assert np.allclose(plain.transform(rows), 2 * rows, atol=1e-6)
    white = Whitening(contrast=False, epsilon=1e-6).fit(rows).transform(rows)
    assert np.allclose(np.cov(white.T, bias=True), np.eye(25), atol=1e-3)


@pytest.mark.parametrize("epsilon", [0.0, 1e-3])
def test_an_offset_of_all_pixels_changes_nothing(epsilon: float, rng: np.random.Generator) -> None:
    """Directions without variance had that of the rounding of moments about 0, and a mean rounded to float32."""
    rows = rng.standard_normal((300, 3)) @ rng.standard_normal((3, 16))
    plain, moved = (
        Whitening(contrast=False, epsilon=epsilon).fit_transform(rows + offset) for offset in (0.0, 1e4)
    )
    assert np.allclose(moved, plain, atol=1e-4)


def test_refuses() -> None:
    with pytest.raises(InputError, match="epsilon: got -1, expected a number >= 0"):
        Whitening(epsilon=-1).fit(np.zeros((2, 4)))
