"""CIFAR-10 batches: binary and pickled."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kernelfit.datasets.cifar import (
    decode_binary,
    decode_python,
    read_binary_batch,
    read_python_batch,
)
from kernelfit.errors import DataError


def test_rows_are_height_width_channel(files: Any) -> None:
    planes = np.arange(3072, dtype=np.uint64).astype(np.uint8).reshape(3, 32, 32)
    path = files.bytes("batch.bin", b"\x07" + planes.tobytes())
    X, y = read_binary_batch(path)
    assert y.tolist() == [7]
    np.testing.assert_array_equal(X[0].reshape(32, 32, 3), planes.transpose(1, 2, 0))


def test_binary_and_python_layouts_agree(files: Any) -> None:
    files.rng = np.random.default_rng(9)
    binary = decode_binary(files.cifar_binary(3), Path("a"))
    files.rng = np.random.default_rng(9)
    python = read_python_batch(files.bytes("data_batch_1", files.cifar_pickle(3)))
    for left, right in zip(binary, python, strict=True):
        np.testing.assert_array_equal(left, right)
        assert left.dtype == right.dtype


@pytest.mark.parametrize(("cut", "found"), [(1, "6145 bytes"), (6146, "0 bytes")])
def test_a_truncated_binary_batch_is_refused(files: Any, cut: int, found: str) -> None:
    path = files.bytes("data_batch_1.bin", files.cifar_binary(2)[:-cut])
    with pytest.raises(DataError, match=f"multiple of 3073 bytes.*found {found}"):
        read_binary_batch(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": np.zeros((2, 3071), np.uint8)}, "'data' of shape \\(n, 3072\\), found shape \\(2, 3071\\)"),
        ({"data": [1, 2]}, "'data' of shape .* found list"),
        ({"data": np.zeros((2, 3072), np.float32)}, "not of unsigned bytes"),
        ({"labels": [1]}, "'labels', a list of 2"),
        ({"labels": [1, 10]}, "label 10 in row 1"),
        ({"labels": [-1, 1]}, "label -1 in row 0"),
        ({"labels": ["cat", "dog"]}, "labels 0 to 9, found label"),
        ({"labels": [1, True]}, "label True in row 1"),
    ],
)
def test_a_wrong_python_batch_is_refused(files: Any, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        decode_python(files.cifar_pickle(2, **changes), Path("batch"))
