"""The corruptions of the randomization tests: labels and pixels that carry less and less of the truth.

Each is a pure function of arrays and a seed: the same seed gives the same corruption in every epoch and on
every machine. Test labels stay clean in all of them. Source: C. Zhang, S. Bengio, M. Hardt, B. Recht, O.
Vinyals, "Understanding deep learning requires rethinking generalization" (2016), Section 2.

An image is a row of `height * width` positions with `channels` values each; a position moves with all its
channels.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from kernelfit.arguments import suggestion
from kernelfit.errors import InputError
from kernelfit.typing import Corruption

from .dataset import Array, Dataset

# Rows permuted at a time: the index block of 1024 positions stays below 17 MB.
_BLOCK_ROWS = 2048


def corrupt_labels(y: NDArray[np.int64], p: float, n_classes: int, seed: int) -> NDArray[np.int64]:
    """Partially corrupted labels: each one is, with probability `p`, replaced by a uniformly drawn class.

    The drawn class may be the true one, so a fraction p (1 - 1/c) of the labels changes (0.9 p for ten
    classes). For one seed the corrupted labels at p are among those at any larger p, and the labels of the
    first rows do not depend on how many rows follow. Raises `InputError`.
    """
    if not 0 <= p <= 1:
        raise InputError(f"p: got {p}, expected a share from 0 to 1")
    if n_classes < 2:
        raise InputError(f"n_classes: got {n_classes}, expected an integer >= 2")
    chosen = _generator(seed, 0).random(len(y)) < p
    drawn = _generator(seed, 1).integers(n_classes, size=len(y), dtype=np.int64)
    return np.where(chosen, drawn, y)


def random_labels(y: NDArray[np.int64], n_classes: int, seed: int) -> NDArray[np.int64]:
    """Labels drawn uniformly over all classes, whatever the image: `corrupt_labels` at p = 1."""
    return corrupt_labels(y, 1.0, n_classes, seed)


def shuffle_pixels(X: Array, seed: int, channels: int = 1) -> Array:
    """One permutation of the positions for all rows; the same seed gives training and test the same
    permutation.

    X: (n, positions * channels), or a sparse array in the CSR format. Returns one of the same shape and dtype.
    """
    positions = _positions(X, channels)
    order = _generator(seed).permutation(positions)
    columns = (order[:, None] * channels + np.arange(channels)).ravel()
    return np.take(X, columns, axis=1) if isinstance(X, np.ndarray) else X[:, columns]


def random_pixels(X: Array, seed: int, channels: int = 1) -> Array:
    """Another permutation of the positions for each row.

    X: (n, positions * channels). Returns an array of the same shape and dtype. The first rows do not depend
    on how many rows follow.
    """
    positions = _positions(X, channels)
    rng = _generator(seed)
    images = X.reshape(len(X), positions, channels)
    shuffled = np.empty_like(images)
    identity = np.arange(positions)
    for start in range(0, len(X), _BLOCK_ROWS):
        block = images[start : start + _BLOCK_ROWS]
        order = rng.permuted(np.tile(identity, (len(block), 1)), axis=1)
        shuffled[start : start + len(block)] = np.take_along_axis(block, order[:, :, None], axis=1)
    return shuffled.reshape(X.shape)


def channel_statistics(X: Array, channels: int = 1) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation of each channel over all rows and positions, in the unit of X."""
    positions = _positions(X, channels)
    totals = np.zeros(X.shape[1])
    squares = np.zeros(X.shape[1])
    for start in range(0, len(X), _BLOCK_ROWS):
        block = X[start : start + _BLOCK_ROWS].astype(np.float64)
        totals += block.sum(axis=0)
        squares += np.einsum("ij,ij->j", block, block)
    count = len(X) * positions
    mean = totals.reshape(positions, channels).sum(axis=0) / count
    variance = squares.reshape(positions, channels).sum(axis=0) / count - mean**2
    return mean, np.sqrt(np.maximum(variance, 0))


def gaussian(
    n: int, positions: int, mean: NDArray[np.float64], std: NDArray[np.float64], seed: int
) -> NDArray[np.float32]:
    """`n` images of independent normal values with the given mean and standard deviation of each channel.

    Returns float32 (n, positions * channels). Pass `channel_statistics` of the training rows, so that the
    images have the first two moments of the data and nothing else.
    """
    images = _generator(seed).standard_normal((n, positions * len(mean)), dtype=np.float32)
    images *= np.tile(std, positions).astype(np.float32)
    images += np.tile(mean, positions).astype(np.float32)
    return images


def _generator(seed: int, *stream: int) -> np.random.Generator:
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise InputError(f"seed: got {seed!r}, expected an integer >= 0")
    return np.random.default_rng([int(seed), *stream])


def _positions(X: Array, channels: int) -> int:
    if X.ndim != 2 or channels < 1 or X.shape[1] % channels:
        raise InputError(
            f"X: got shape {X.shape}, expected (n, positions * channels) with {channels} channel(s)"
        )
    return X.shape[1] // channels


def _channels(dataset: Dataset) -> int:
    return dataset.image_shape[2] if dataset.image_shape is not None else 1


def _true(dataset: Dataset, p: float, seed: int) -> Dataset:
    return dataset


def _labels(dataset: Dataset, p: float, seed: int) -> Dataset:
    if dataset.classes is None:
        raise InputError(
            f"dataset: got {dataset.name} with numeric targets, expected classes to draw labels from"
        )
    return dataclasses.replace(
        dataset, y_train=corrupt_labels(dataset.y_train, p, len(dataset.classes), seed)
    )


def _random_labels(dataset: Dataset, p: float, seed: int) -> Dataset:
    return _labels(dataset, 1.0, seed)


def _shuffled_pixels(dataset: Dataset, p: float, seed: int) -> Dataset:
    channels, marks = _channels(dataset), dataset.indicators
    return dataclasses.replace(
        dataset,
        indicators=None if marks is None else shuffle_pixels(marks[None, :], seed, channels)[0],
        X_train=shuffle_pixels(dataset.X_train, seed, channels),
        X_test=shuffle_pixels(dataset.X_test, seed, channels),
    )


def _random_pixels(dataset: Dataset, p: float, seed: int) -> Dataset:
    channels = _channels(dataset)
    train_seed, test_seed = _part_seeds(seed)
    return dataclasses.replace(
        dataset,
        indicators=None,  # a column holds now what stood anywhere
        X_train=random_pixels(dataset.X_train, train_seed, channels),
        X_test=random_pixels(dataset.X_test, test_seed, channels),
    )


def _gaussian(dataset: Dataset, p: float, seed: int) -> Dataset:
    channels = _channels(dataset)
    positions = dataset.n_features // channels
    mean, std = channel_statistics(dataset.X_train, channels)
    train_seed, test_seed = _part_seeds(seed)
    return dataclasses.replace(
        dataset,
        indicators=None,
        X_train=gaussian(dataset.n_train, positions, mean, std, train_seed),
        X_test=gaussian(dataset.n_test, positions, mean, std, test_seed),
    )


def _part_seeds(seed: int) -> tuple[int, int]:
    """Independent seeds for training and test rows."""
    train, test = np.random.SeedSequence(seed).generate_state(2, dtype=np.uint64)
    return int(train), int(test)


CORRUPTIONS: dict[Corruption, Callable[[Dataset, float, int], Dataset]] = {
    "true": _true,
    "random-labels": _random_labels,
    "corrupt-labels": _labels,
    "shuffled-pixels": _shuffled_pixels,
    "random-pixels": _random_pixels,
    "gaussian": _gaussian,
}


#: those that draw labels anew, of classes alone
OF_LABELS: tuple[Corruption, ...] = ("random-labels", "corrupt-labels")


def corrupt(dataset: Dataset, name: Corruption, *, p: float = 1.0, seed: int = 0) -> Dataset:
    """The data set under a corruption of `CORRUPTIONS`; `p` counts for `corrupt-labels` alone.

    Raises InputError for an unknown name, a p outside [0, 1], or label noise on numeric targets.
    """
    if name not in CORRUPTIONS:
        near = suggestion(name, CORRUPTIONS)
        raise InputError(f"corruption: got {name!r}, expected one of {', '.join(CORRUPTIONS)}{near}")
    return CORRUPTIONS[name](dataset, p, seed)


def expected_test_error(clean_error: float, p: float, n_classes: int) -> float:
    """Error on test labels corrupted like the training labels: 1 - [(1 - p)(1 - e) + p / c].

    `clean_error` is e, the error on clean test labels, in [0, 1].
    """
    if not (0 <= p <= 1 and math.isfinite(clean_error)):
        raise InputError(f"p, clean_error: got {p} and {clean_error}, expected shares from 0 to 1")
    return 1 - ((1 - p) * (1 - clean_error) + p / n_classes)
