"""Theorem 1 and Corollary 1 as networks: exactness, counts, order, memory, refusals."""

import tracemalloc
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernelfit.errors import DuplicateRowsError, InputError
from kernelfit.expressivity import fit

VARIANTS = [("plain", 2), ("plain", 3), ("plain", 5), ("plain", 17), ("clipped", 3), ("clipped", 6)]
VARIANTS += [("clipped", 17), ("multiplexer", 4), ("multiplexer", 5), ("multiplexer", 17)]


def pixels(rng, n, d=12):
    return rng.integers(0, 256, (n, d), dtype=np.uint8)


@pytest.mark.parametrize(("variant", "depth"), VARIANTS)
def test_exact_in_fractions(rng, variant, depth):
    X = pixels(rng, 41)
    y = np.array([Fraction(int(v), 3) for v in rng.integers(-9, 10, 41)], dtype=object)
    network = fit(X, y, depth=depth, variant=variant)
    assert (network.predict(X) == y).all()
    assert network.depth == depth


@pytest.mark.parametrize(("variant", "depth"), VARIANTS)
def test_random_labels_in_float64_with_counted_size(rng, variant, depth):
    n, d, c = 1500, 12, 1
    X, y = pixels(rng, n, d), rng.integers(0, 10, n)
    network = fit(X, y, depth=depth, variant=variant)
    assert np.abs(network.predict(X) - y).max() < 1e-6
    assert len(network.layers) + 1 == network.depth == depth
    blocks, spare = {
        "plain": (depth - 1, 0 if depth == 2 else 3),
        "clipped": (depth - 2, 5),
        "multiplexer": (depth - 3, 10),
    }[variant]
    assert network.width <= -(-n // blocks) + spare
    hinges = sum(len(layer.bias) for layer in network.layers)
    assert hinges == n
    stored = {
        # what the service units keep: x_1; two ends a block and the origin; and five numbers an indicator + 2
        # gates
        "plain": int(depth > 2),
        "clipped": 2 * blocks + int(blocks > 1),
        "multiplexer": 2 * blocks + int(blocks > 1) + blocks * (3 + 2 + 4 * c),
    }[variant]
    assert network.n_weights == d + 2 * n + stored


def test_depth_two_has_the_2n_plus_d_weights_of_theorem_1(rng):
    network = fit(pixels(rng, 500, 20), rng.integers(0, 10, 500))
    assert (network.depth, network.width, network.n_weights) == (2, 500, 2 * 500 + 20)


def test_k_outputs_share_the_biases(rng):
    X, y = pixels(rng, 300), np.eye(10)[rng.integers(0, 10, 300)]
    for variant, depth in (("plain", 2), ("plain", 4), ("clipped", 4), ("multiplexer", 5)):
        network = fit(X, y, depth=depth, variant=variant)
        np.testing.assert_allclose(network.predict(X), y, atol=1e-7)
    assert fit(X, y).n_weights == 300 + 12 + 300 * 10


def test_all_depths_of_the_plain_variant_are_one_function(rng):
    X, y = pixels(rng, 400), rng.standard_normal(400)
    elsewhere = pixels(rng, 100)
    expected = fit(X, y, depth=2).predict(elsewhere)
    for depth in (3, 7):
        np.testing.assert_allclose(fit(X, y, depth=depth).predict(elsewhere), expected, rtol=1e-7, atol=1e-6)


def test_clipped_networks_stay_within_reach_of_the_labels_far_away(rng):
    X, y = pixels(rng, 200), rng.integers(0, 10, 200).astype(float)
    far = np.concatenate([X.astype(np.int64) + 10**4, X.astype(np.int64) - 10**4])
    network = fit(X, y, depth=4, variant="clipped")
    outside = network.predict(far)
    assert set(np.rint(outside)) <= {0.0, y[np.argmax(X.astype(float) @ network.a)]}


@pytest.mark.parametrize("variant", ["plain", "clipped", "multiplexer"])
def test_the_order_of_the_sample_does_not_matter(rng, variant):
    X, y = pixels(rng, 257), rng.integers(0, 10, 257)
    shuffle = rng.permutation(257)
    first, second = fit(X, y, depth=5, variant=variant), fit(X[shuffle], y[shuffle], depth=5, variant=variant)
    for one, other in zip(first.layers, second.layers, strict=True):
        np.testing.assert_array_equal(one.bias, other.bias)
        np.testing.assert_array_equal(one.weight, other.weight)
    np.testing.assert_array_equal(first.predict(X)[shuffle], second.predict(X[shuffle]))


def test_real_rows_of_float64(rng):
    X, y = rng.standard_normal((800, 5)), rng.integers(0, 10, 800)
    assert np.abs(fit(X, y, depth=3).predict(X) - y).max() < 1e-4


def test_float32_rows_are_refused(rng):
    with pytest.raises(InputError, match="X: got float32"):
        fit(rng.standard_normal((10, 3)).astype(np.float32), np.arange(10))


def test_equal_rows_with_equal_targets_count_once(rng):
    X, y = pixels(rng, 50), rng.integers(0, 10, 50)
    network = fit(np.concatenate([X, X[:7], X[:3]]), np.concatenate([y, y[:7], y[:3]]))
    assert network.n_points == 50
    assert np.abs(network.predict(X) - y).max() < 1e-9


def test_equal_rows_with_different_targets_are_an_error(rng):
    X, y = pixels(rng, 50), np.arange(50)
    X[41] = X[7] = X[19]
    X[3] = X[4]
    with pytest.raises(DuplicateRowsError) as caught:
        fit(X, y)
    assert sorted(caught.value.groups) == [(3, 4), (7, 19, 41)]


def test_a_tie_of_different_rows_draws_the_projection_again(rng, monkeypatch):
    from kernelfit.expressivity import projection

    drawn = []
    honest = projection.draw

    def first_is_blind(X, seed):
        drawn.append(seed)
        return np.zeros(X.shape[1]) if len(drawn) == 1 else honest(X, seed)

    monkeypatch.setattr(projection, "draw", first_is_blind)
    X, y = pixels(rng, 60), rng.integers(0, 10, 60)
    assert np.abs(fit(X, y, seed=5).predict(X) - y).max() < 1e-9
    assert drawn == [5, 6]
    monkeypatch.setattr(projection, "draw", lambda X, seed: np.zeros(X.shape[1]))
    with pytest.raises(InputError, match="projections all merged"):
        fit(X, y)


def test_integer_projections_are_exact(rng):
    X = pixels(rng, 500, 2352)
    network = fit(X, np.arange(500))
    exact = [sum(int(p) * int(q) for p, q in zip(row, network.a, strict=True)) for row in X[:20]]
    assert [int(v) for v in X[:20].astype(float) @ network.a] == exact
    assert max(map(abs, exact)) < 2**50


def test_memory_is_linear_in_n(rng):
    X, y = pixels(rng, 16_000, 8), rng.integers(0, 10, 16_000)
    peaks = []
    for n in (4_000, 16_000):
        tracemalloc.start()
        fit(X[:n], y[:n], depth=4).predict(X[:n])
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 5 * peaks[0]
    assert peaks[1] < 16_000 * 16_000 * 8 / 50


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"depth": 1}, "depth: got 1, expected an integer >= 2"),
        ({"depth": 2, "variant": "clipped"}, "depth: got 2, expected an integer >= 3"),
        ({"depth": 3, "variant": "multiplexer"}, "depth: got 3, expected an integer >= 4"),
        ({"depth": 40}, "depth: got 40, which makes 39 blocks of 20 different rows; expected at most 21"),
        ({"theta": 0.0}, "theta: got 0.0"),
        ({"theta": 1.0}, "theta: got 1.0"),
        ({"variant": "wide"}, "variant: got 'wide'"),
    ],
)
def test_refusals(rng, change, message):
    with pytest.raises(InputError, match=message):
        fit(pixels(rng, 20), np.arange(20), **change)


def test_refused_arrays(rng):
    X = pixels(rng, 20)
    with pytest.raises(InputError, match=r"y: got shape \(19,\)"):
        fit(X, np.arange(19))
    with pytest.raises(InputError, match=r"X: got shape \(20,\)"):
        fit(X[:, 0], np.arange(20))
    with pytest.raises(InputError, match="y: got NaN"):
        fit(X, np.full(20, np.nan))
    with pytest.raises(InputError, match="X: got NaN"):
        fit(np.full((20, 3), np.inf), np.arange(20))
    with pytest.raises(InputError, match="X: got 11 columns, expected 12"):
        fit(X, np.arange(20)).predict(X[:, :11])
    with pytest.raises(InputError, match="X: got integers up to"):
        fit(np.arange(40).reshape(20, 2) * 2**50, np.arange(20))


@settings(max_examples=40, deadline=None)
@given(
    n=st.integers(5, 60),
    d=st.integers(1, 4),
    depth=st.integers(4, 6),
    variant=st.sampled_from(["plain", "clipped", "multiplexer"]),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_small_sample_is_fitted(n, d, depth, variant, seed):
    rng = np.random.default_rng(seed)
    X = np.unique(rng.integers(-1000, 1000, (n, d)), axis=0)
    y = rng.standard_normal(len(X))
    if depth - 1 > len(X):
        return
    assert np.abs(fit(X, y, depth=depth, variant=variant, seed=seed).predict(X) - y).max() < 1e-6


@pytest.mark.slow
def test_all_of_cifar10_with_random_labels(cifar10_dir):
    from kernelfit.datasets import load
    from kernelfit.datasets.corruptions import random_labels
    from kernelfit.deep.data.images import centre_crop

    data = centre_crop(load("cifar10", data_dir=cifar10_dir))
    y = random_labels(data.y_train, 10, 0)
    for depth in (2, 17):
        network = fit(data.X_train, y, depth=depth)
        predicted = network.predict(data.X_train)
        assert (np.rint(predicted) == y).all()
        assert np.abs(predicted - y).max() < 1e-3
