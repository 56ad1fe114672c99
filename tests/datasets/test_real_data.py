"""The real MNIST and CIFAR-10, where they can be found."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from kernelfit.datasets import load
from kernelfit.datasets.corruptions import channel_statistics


def test_mnist_is_the_official_one(mnist_dir: Path) -> None:
    dataset = load("mnist", data_dir=mnist_dir)
    assert dataset.notes == (), "the sha256 of all four files are the official ones"
    assert dataset.X_train.shape == (60000, 784)
    assert dataset.X_train.dtype == np.uint8
    assert np.bincount(dataset.y_train).tolist() == [
        5923,
        6742,
        5958,
        6131,
        5842,
        5421,
        5918,
        6265,
        5851,
        5949,
    ]
    assert np.bincount(dataset.y_test).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    mean, std = channel_statistics(dataset.X_train)
    # The figures that every tutorial normalises MNIST with.
    assert round(mean[0] / 255, 4) == 0.1307
    assert round(std[0] / 255, 4) == 0.3081


def test_cifar10_has_the_official_statistics(cifar10_dir: Path) -> None:
    dataset = load("cifar10", data_dir=cifar10_dir)
    assert dataset.X_train.shape == (50000, 3072)
    assert dataset.X_train.dtype == np.uint8
    assert dataset.image_shape == (32, 32, 3)
    assert np.bincount(dataset.y_train).tolist() == [5000] * 10
    assert np.bincount(dataset.y_test).tolist() == [1000] * 10
    mean, std = channel_statistics(dataset.X_train, 3)
    np.testing.assert_allclose(mean / 255, [0.4914, 0.4822, 0.4465], atol=5e-5)
    np.testing.assert_allclose(std / 255, [0.2470, 0.2435, 0.2616], atol=5e-5)
    for note in dataset.notes:
        assert "of another origin" in note
