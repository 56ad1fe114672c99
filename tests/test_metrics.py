"""Errors of scores, beside scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as reference

from kernelfit.metrics import Errors, coefficient_of_determination, compare, spread


@pytest.mark.parametrize("shape", [(30,), (30, 1), (30, 3)])
def test_targets(rng: np.random.Generator, shape: tuple[int, ...]) -> None:
    truth = rng.normal(size=shape)
    scores = (truth + rng.normal(size=shape)).reshape(30, -1)
    errors = compare(scores, truth, False)
    flat = truth.reshape(30, -1)
    assert errors.error is None
    assert errors.rmse == pytest.approx(np.sqrt(reference.mean_squared_error(flat, scores)))
    assert errors.mae == pytest.approx(reference.mean_absolute_error(flat, scores))
    if scores.shape[1] == 1:
        assert errors.r2 == pytest.approx(reference.r2_score(flat, scores))


@pytest.mark.parametrize("size", [1e-200, 1e200])
def test_squares_beyond_float64(rng: np.random.Generator, size: float) -> None:
    truth, noise = rng.normal(size=30), rng.normal(size=30)
    plain, scaled = (compare(s * (truth + noise)[:, None], s * truth, False) for s in (1.0, size))
    assert scaled.rmse == pytest.approx(size * plain.rmse, rel=1e-12)
    assert scaled.r2 == pytest.approx(plain.r2, rel=1e-12)


def test_classes_and_no_rows(rng: np.random.Generator) -> None:
    scores, codes = rng.normal(size=(30, 4)), rng.integers(0, 4, 30)
    errors = compare(scores, codes, True)
    assert errors == Errors(error=np.mean(scores.argmax(axis=1) != codes))
    assert compare(scores[:0], codes[:0], True) == compare(scores[:0], codes[:0], False) == Errors()
    assert compare(np.ones((3, 1)), np.full(3, 2.0), False) == Errors(rmse=1.0, r2=None, mae=1.0)
    assert errors.named("test")["test_error"] == errors.error


@pytest.mark.parametrize("shape", [(3,), (3, 1), (3, 2)])
def test_a_constant_truth_has_no_r2_whatever_its_mean_rounds_to(shape: tuple[int, ...]) -> None:
    """-1e27 came, as the mean of three times 0.1 is none of them."""
    truth = np.full(shape, 0.1)
    scores = truth.reshape(3, -1) + np.array([[0.01], [0.0], [0.0]])
    assert coefficient_of_determination(scores, truth) is None
    # Beside a column that varies its rounding counts for nothing.
    beside = np.c_[np.full(3, 1e17 / 3), [0.0, 1.0, 2.0]]
    assert coefficient_of_determination(beside + np.array([[0.0, 0.5]]), beside) == 1.0 - 0.75 / 2.0


def test_spread_is_that_of_a_mean_of_independent_rows(rng: np.random.Generator) -> None:
    truth = rng.normal(size=(500, 2))
    centre = truth + rng.normal(size=truth.shape)
    # Rows as uncertain as four equally likely values are: means over rows drawn from them vary by that much.
    likely = [centre + 0.3 * rng.normal(size=truth.shape) for _ in range(4)]
    found = spread(centre, likely, truth, False)
    drawn = np.array(likely)[rng.integers(0, 4, (4_000, 500)), np.arange(500)]
    means = np.abs(drawn - truth).mean(axis=(1, 2))
    bias = np.mean([np.abs(each - truth).mean() for each in likely]) - np.abs(centre - truth).mean()
    assert found.mae == pytest.approx(np.hypot(np.sqrt(2.0) * means.std(), bias), rel=0.05)
    assert found.error is None
    assert spread(centre, [centre], truth, False) == Errors(rmse=0.0, r2=0.0, mae=0.0)
    assert spread(centre, [], truth, False) == Errors()
    codes = np.argmax(truth, axis=1)
    changed = (np.argmax(likely, axis=2) != codes).astype(float)
    bias = changed.mean() - (centre.argmax(axis=1) != codes).mean()
    expected = np.hypot(np.sqrt(2.0 * changed.var(axis=0).sum()) / 500, bias)
    assert spread(centre, likely, codes, True).error == pytest.approx(expected)
