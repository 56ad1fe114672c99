"""The temperature is the least of its loss, and finite where nothing is misclassified."""

from __future__ import annotations

import numpy as np
from numpy.testing import assert_allclose
from scipy.special import log_softmax

from kernelfit.estimators.calibration import inverse_temperature, probabilities


def test_the_temperature_of_labels_drawn_from_softmax(rng):
    scores = rng.standard_normal((20_000, 3))
    p = probabilities(scores, 2.5)
    codes = (rng.random((len(p), 1)) > np.cumsum(p, axis=1)).sum(axis=1)
    assert_allclose(inverse_temperature(scores, codes), 2.5, rtol=0.03)


def test_it_is_the_minimum_and_follows_the_scale_of_scores(rng):
    scores = rng.standard_normal((60, 2))
    codes = (scores[:, 1] - scores[:, 0] + rng.standard_normal(60) > 0).astype(int)
    a = inverse_temperature(scores, codes)
    assert_allclose(inverse_temperature(1e9 * scores, codes), 1e-9 * a, rtol=1e-4)
    targets = np.where(codes[:, None] == [0, 1], 61 / 62, 1 / 62)

    def loss(a):
        return -np.sum(targets * log_softmax(a * scores, axis=1))

    assert loss(a) <= min(loss(1.001 * a), loss(0.999 * a))
    weights = np.where(codes == 1, 2, 1)
    twice = np.repeat(np.arange(60), weights)
    assert_allclose(
        inverse_temperature(scores, codes, weights.astype(float)),
        inverse_temperature(scores, codes),
        rtol=0.5,
    )
    assert inverse_temperature(scores[twice], codes[twice]) > 0


def test_the_unit_of_weights_does_not_matter(rng):
    """Weights that add up to 1 counted as one row, which doubts whatever it sees."""
    codes = np.arange(40) % 2
    perfect, weights = np.eye(2)[codes], rng.uniform(0.5, 2.0, 40)
    a = inverse_temperature(perfect, codes, weights)
    # Of separable classes the probability is the target itself, 1 - 1 / (N + 2).
    kish = weights.sum() ** 2 / (weights**2).sum()
    assert_allclose(probabilities(perfect, a)[0, 0], 1 - 1 / (kish + 2), rtol=1e-6)
    for unit in (1 / weights.sum(), 1e-200, 1e200):
        assert_allclose(inverse_temperature(perfect, codes, unit * weights), a, rtol=1e-5)
    equal = inverse_temperature(perfect, codes, np.full(40, 0.025))
    assert_allclose(equal, inverse_temperature(perfect, codes), rtol=1e-5)
    # Rows of weight 0 are not there.
    some = np.arange(40) < 10
    alone = inverse_temperature(perfect[some], codes[some])
    assert_allclose(inverse_temperature(perfect, codes, some.astype(float)), alone, rtol=1e-5)


def test_scores_that_separate_or_say_nothing(rng):
    codes = np.arange(40) % 2
    perfect = np.eye(2)[codes]
    a = inverse_temperature(perfect, codes)
    p = probabilities(perfect, a)
    assert 0.9 < p[0, 0] < 1
    p = probabilities(np.zeros((4, 3)), inverse_temperature(np.zeros((4, 3)), np.array([0, 1, 2, 0])))
    assert_allclose(p, 1 / 3)
    wrong = probabilities(1 - perfect, inverse_temperature(1 - perfect, codes))
    assert_allclose(wrong, 0.5, atol=1e-3)
