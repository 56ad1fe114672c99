"""The streamed Grams of a random convolution net against its features held whole."""

from __future__ import annotations

import numpy as np
import pytest

from kernelfit.errors import InputError, PlanError
from kernelfit.features import RandomConv
from kernelfit.gram.submatrix import submatrix
from kernelfit.study.filter_grams import filter_grams, gram_bytes


def test_equals_the_products_of_the_features(rng, backend):
    train, test = (rng.integers(0, 256, (count, 12 * 12 * 3), dtype=np.uint8) for count in (41, 7))
    net = RandomConv(image_shape=(12, 12, 3), n_filters=9, n_patches=500).fit(train)
    gram, cross = filter_grams(net, train, test, 10**9)
    z, t = (net.transform(rows).astype(np.float64) for rows in (train, test))
    k = z @ z.T
    np.testing.assert_allclose(submatrix(gram, np.arange(41), backend), k, rtol=1e-5)
    np.testing.assert_allclose(cross, t @ z.T, rtol=1e-5)


def test_a_threshold_that_nothing_exceeds(rng):
    rows = rng.integers(0, 256, (20, 64), dtype=np.uint8)
    net = RandomConv(image_shape=(8, 8), n_filters=4, threshold=1e6, n_patches=100).fit(rows)
    with pytest.raises(InputError, match="threshold: no response"):
        filter_grams(net, rows, rows, 10**9)


def test_grams_that_do_not_fit_are_refused_before_they_are_made(rng):
    rows = rng.integers(0, 256, (50, 64), dtype=np.uint8)
    net = RandomConv(image_shape=(8, 8), n_filters=4, n_patches=100).fit(rows)
    with pytest.raises(PlanError, match=r"memory: .* bytes needed for the Grams of n = 50 and 50 test rows"):
        filter_grams(net, rows, rows, gram_bytes(50, 50))


def test_the_bytes_of_the_grams(rng):
    rows = rng.integers(0, 256, (50, 64), dtype=np.uint8)
    net = RandomConv(image_shape=(8, 8), n_filters=4, n_patches=100).fit(rows)
    gram, cross = filter_grams(net, rows, rows[:9], 10**9)
    assert gram_bytes(50, 9) == sum(panel.nbytes for panel in gram.panels) + cross.nbytes
