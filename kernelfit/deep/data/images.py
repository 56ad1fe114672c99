"""Image rows as the networks see them, in NumPy: the centre crop, the whitening, and the corrupted data set.

The order is the paper's: crop, corrupt, whiten. A row is an image in C order (height, width, channel).
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from kernelfit.datasets import Dataset
from kernelfit.errors import InputError

CROP = 28


def image_shape(dataset: Dataset) -> tuple[int, int, int]:
    """(height, width, channels); InputError where rows are no images."""
    if dataset.image_shape is None:
        raise InputError(
            f"dataset: {dataset.name} holds no images; expected one with an image shape, such as cifar10"
        )
    return dataset.image_shape


def centre_crop(dataset: Dataset, side: int = CROP) -> Dataset:
    """The central side x side pixels of every image; images that are no larger stay as they are."""
    height, width, channels = image_shape(dataset)
    new_height, new_width = min(side, height), min(side, width)
    if (new_height, new_width) == (height, width):
        return dataset
    top, left = (height - new_height) // 2, (width - new_width) // 2

    def cut(X: NDArray[Any]) -> NDArray[Any]:
        images = X.reshape(len(X), height, width, channels)
        return images[:, top : top + new_height, left : left + new_width].reshape(len(X), -1)

    return dataclasses.replace(
        dataset,
        X_train=cut(dataset.X_train),
        X_test=cut(dataset.X_test),
        image_shape=(new_height, new_width, channels),
    )


def whiten(images: NDArray[Any], scale: float) -> NDArray[np.float32]:
    """Whitened rows (x - mean(x)) / max(std(x), 1 / sqrt(d)) of x = scale * image; images (n, d).

    The std is the population's (divided by d). The NumPy reference of `kernelfit.deep.data.batches.whiten`.
    """
    x = images.astype(np.float64) * scale
    mean = x.mean(axis=1, keepdims=True)
    std = np.maximum(x.std(axis=1, keepdims=True), 1 / math.sqrt(images.shape[1]))
    return cast("NDArray[np.float32]", ((x - mean) / std).astype(np.float32))
