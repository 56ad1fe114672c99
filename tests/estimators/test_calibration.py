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
