"""A Dataset is checked when it is made."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from kernelfit.datasets import Dataset
from kernelfit.errors import InputError


def made(**changes: Any) -> Dataset:
    arguments: dict[str, Any] = {
        "name": "toy",
        "X_train": np.zeros((4, 6), np.uint8),
        "y_train": np.array([0, 1, 0, 1]),
        "X_test": np.zeros((2, 6), np.uint8),
        "y_test": np.array([1, 0]),
        "classes": ("no", "yes"),
        "image_shape": (1, 2, 3),
        "scale": 1 / 255,
    }
    return Dataset(**(arguments | changes))


def test_a_sound_data_set_tells_its_sizes() -> None:
    dataset = made()
    assert (dataset.n_train, dataset.n_test, dataset.n_features, dataset.notes) == (4, 2, 6, ())


def test_regression_targets_may_have_several_columns() -> None:
    dataset = made(classes=None, y_train=np.zeros((4, 2)), y_test=np.zeros((2, 2)))
    assert dataset.y_train.shape == (4, 2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"X_train": np.zeros((4, 5), np.uint8)}, "X_test: got 6 columns in toy, expected 5"),
        ({"X_train": np.zeros((4, 6), np.int64)}, "expected .* uint8, float32 or float64"),
        ({"X_train": np.zeros((4, 1, 6), np.uint8)}, "expected .n, d."),
        ({"X_train": np.zeros((1, 6), np.uint8), "y_train": np.array([0])}, "X_train: got 1 row"),
        ({"X_train": np.zeros((0, 6), np.uint8), "y_train": np.zeros(0, np.int64)}, "X_train: got 0 row"),
        ({"y_train": np.array([0, 1, 0])}, "y_train: got 3 labels in toy, expected 4"),
        ({"y_train": np.array([0, 1, 0, 2])}, "codes 0 to 2 in toy, expected 0 to 1"),
        ({"y_train": np.array([0, 1, 0, -1])}, "codes -1 to 1"),
        ({"y_train": np.array([0.0, 1, 0, 1])}, "expected class codes, int64"),
        ({"y_train": np.array([1, 1, 1, 1])}, "of one class \\('yes'\\)"),
        ({"classes": None}, "expected float64"),
        (
            {"classes": None, "y_train": np.zeros(4), "y_test": np.zeros((2, 3))},
            "expected as many targets as y_train",
        ),
        ({"image_shape": (2, 2, 3)}, "12 values, expected 6"),
        ({"scale": 0.0}, "scale: got 0.0"),
        ({"scale": float("nan")}, "scale: got nan"),
    ],
)
def test_each_disagreement_is_one_line(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        made(**changes)
    assert "\n" not in str(caught.value)
