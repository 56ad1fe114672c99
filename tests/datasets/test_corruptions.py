"""Corruptions: pure functions of array and seed, with the statistics that they promise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernelfit.datasets import Dataset
from kernelfit.datasets.corruptions import (
    CORRUPTIONS,
    channel_statistics,
    corrupt,
    corrupt_labels,
    expected_test_error,
    gaussian,
    random_labels,
    random_pixels,
    shuffle_pixels,
)
from kernelfit.errors import InputError

N = 20_000


def make(n_train: int = 50, channels: int = 3) -> Dataset:
    rng = np.random.default_rng(3)
    return Dataset(
        name="toy",
        X_train=rng.integers(0, 256, (n_train, 16 * channels), dtype=np.uint8),
        y_train=np.arange(n_train) % 10,
        X_test=rng.integers(0, 256, (12, 16 * channels), dtype=np.uint8),
        y_test=np.arange(12) % 10,
        classes=tuple("abcdefghij"),
        image_shape=(4, 4, channels),
        scale=1 / 255,
    )


@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 1.0])
def test_a_share_p_is_drawn_uniformly_over_all_classes(p: float) -> None:
    y = np.zeros(N, np.int64)
    noisy = corrupt_labels(y, p, 10, seed=1)
    counts = np.bincount(noisy, minlength=10)
    # Five standard deviations of a binomial count.
    tolerance = 5 * np.sqrt(N * 0.1 * p * (1 - 0.1 * p))
    assert np.abs(counts[1:] - N * p / 10).max() <= tolerance
    assert (noisy != y).sum() == counts[1:].sum()


def test_random_labels_are_corruption_of_all() -> None:
    y = np.arange(N) % 10
    np.testing.assert_array_equal(random_labels(y, 10, 5), corrupt_labels(y, 1.0, 10, 5))
    assert abs(np.mean(random_labels(y, 10, 5) == y) - 0.1) < 5 * np.sqrt(0.09 / N)


def test_corrupted_labels_grow_with_p() -> None:
    y = np.arange(N) % 10
    little, much = (corrupt_labels(y, p, 10, seed=2) for p in (0.3, 0.6))
    changed = little != y
    np.testing.assert_array_equal(little[changed], much[changed])


@given(seed=st.integers(0, 2**32), n=st.integers(1, 40), more=st.integers(0, 40))
def test_the_first_rows_do_not_depend_on_how_many_follow(seed: int, n: int, more: int) -> None:
    y = np.arange(n + more) % 7
    X = np.arange((n + more) * 12).reshape(n + more, 12).astype(np.float32)
    np.testing.assert_array_equal(corrupt_labels(y, 0.5, 7, seed)[:n], corrupt_labels(y[:n], 0.5, 7, seed))
    np.testing.assert_array_equal(random_pixels(X, seed, 3)[:n], random_pixels(X[:n], seed, 3))
    np.testing.assert_array_equal(shuffle_pixels(X, seed, 3)[:n], shuffle_pixels(X[:n], seed, 3))


def test_shuffled_pixels_are_one_permutation_that_keeps_channels_together() -> None:
    positions = np.repeat(np.arange(16), 3)  # every value tells its position
    channel = np.tile([100, 200, 300], 16)
    shuffled = shuffle_pixels(np.stack([positions, channel]), seed=7, channels=3)
    order = shuffled[0].reshape(16, 3)
    assert sorted(order[:, 0]) == list(range(16))
    assert (order == order[:, :1]).all()
    assert (order[:, 0] != np.arange(16)).any()
    np.testing.assert_array_equal(shuffled[1], channel)


def test_random_pixels_are_another_permutation_for_each_row() -> None:
    X = np.tile(np.repeat(np.arange(64), 3), (3000, 1))
    shuffled = random_pixels(X, seed=7, channels=3).reshape(3000, 64, 3)
    assert (shuffled == shuffled[:, :, :1]).all()
    assert (np.sort(shuffled[:, :, 0], axis=1) == np.arange(64)).all()
    assert len(np.unique(shuffled[:, :, 0], axis=0)) == 3000
    # Each position holds each value equally often: mean 31.5, five standard errors.
    assert np.abs(shuffled[:, :, 0].mean(axis=0) - 31.5).max() < 5 * np.sqrt((64**2 - 1) / 12 / 3000)


def test_channel_statistics_are_those_of_numpy() -> None:
    X = make(5000).X_train
    mean, std = channel_statistics(X, 3)
    np.testing.assert_allclose(mean, X.reshape(-1, 3).mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(std, X.reshape(-1, 3).std(axis=0), rtol=1e-12)


def test_gaussian_images_have_the_moments_asked_for() -> None:
    mean, std = np.array([10.0, 120, 250]), np.array([1.0, 60, 3])
    images = gaussian(400, 256, mean, std, seed=3)
    assert images.dtype == np.float32
    values = images.reshape(-1, 3)
    count = len(values)
    assert (np.abs(values.mean(axis=0) - mean) < 5 * std / np.sqrt(count)).all()
    assert (np.abs(values.std(axis=0) / std - 1) < 5 / np.sqrt(2 * count)).all()
    assert np.abs(np.corrcoef(values.T) - np.eye(3)).max() < 5 / np.sqrt(count)


@pytest.mark.parametrize("name", list(CORRUPTIONS))
def test_every_corruption_repeats_itself_and_keeps_test_labels(name: str) -> None:
    dataset = make()
    before = dataset.X_train.copy(), dataset.y_train.copy()
    first, second = (corrupt(dataset, name, p=0.5, seed=11) for _ in range(2))
    for field in ("X_train", "y_train", "X_test"):
        np.testing.assert_array_equal(getattr(first, field), getattr(second, field))
    np.testing.assert_array_equal(first.y_test, dataset.y_test)
    np.testing.assert_array_equal(dataset.X_train, before[0])
    np.testing.assert_array_equal(dataset.y_train, before[1])
    changed_X = (first.X_train != dataset.X_train).any()
    changed_y = (first.y_train != dataset.y_train).any()
    assert changed_X == (name in ("shuffled-pixels", "random-pixels", "gaussian"))
    assert changed_y == (name in ("random-labels", "corrupt-labels"))
    if name != "true":
        other = corrupt(dataset, name, p=0.5, seed=12)
        assert (other.X_train != first.X_train).any() or (other.y_train != first.y_train).any()


def test_shuffled_pixels_use_one_permutation_for_train_and_test() -> None:
    dataset = make(channels=1)
    shuffled = corrupt(dataset, "shuffled-pixels", seed=3)
    row = np.arange(16, dtype=np.uint8)[None]
    order = shuffle_pixels(row, 3)[0]
    np.testing.assert_array_equal(shuffled.X_train, dataset.X_train[:, order])
    np.testing.assert_array_equal(shuffled.X_test, dataset.X_test[:, order])


@pytest.mark.parametrize("name", ["random-pixels", "gaussian"])
def test_test_rows_are_drawn_apart_from_training_rows(name: str) -> None:
    dataset = make(n_train=12, channels=1)
    same = Dataset(**{**vars(dataset), "X_test": dataset.X_train.copy()})
    corrupted = corrupt(same, name, seed=3)
    assert (corrupted.X_train != corrupted.X_test).any(axis=1).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda d: corrupt(d, "blur"), "corruption: got 'blur', expected one of true, random-labels"),
        (lambda d: corrupt(d, "corrupt-labels", p=1.5), "p: got 1.5"),
        (lambda d: corrupt(d, "corrupt-labels", p=float("nan")), "p: got nan"),
        (lambda d: corrupt(d, "random-labels", seed=-1), "seed: got -1"),
        (lambda d: corrupt_labels(d.y_train, 0.5, 1, 0), "n_classes: got 1"),
        (lambda d: shuffle_pixels(d.X_train, 0, 7), r"positions \* channels\) with 7"),
        (lambda d: expected_test_error(0.1, 2, 10), "clean_error: got 2"),
    ],
)
def test_wrong_arguments_are_named(call: Callable[[Dataset], Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        call(make())


def test_label_noise_on_numbers_is_refused() -> None:
    dataset = make()
    numbers = Dataset(**{**vars(dataset), "classes": None, "y_train": np.zeros(50), "y_test": np.zeros(12)})
    with pytest.raises(InputError, match="got toy with numeric targets, expected classes"):
        corrupt(numbers, "random-labels")


def test_expected_test_error_under_label_noise() -> None:
    assert expected_test_error(0.2, 0, 10) == pytest.approx(0.2)
    assert expected_test_error(0.2, 1, 10) == pytest.approx(0.9)
    assert expected_test_error(0.0, 0.5, 10) == pytest.approx(0.45)
