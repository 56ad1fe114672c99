"""CIFAR-10 in its official layouts: binary batches, Python batches, and either one inside its .tar.gz.

A binary record is one label byte and 3072 bytes: the red, green and blue planes of a 32 x 32 image, row by row.
Rows come out as (height, width, channel). Source: https://www.cs.toronto.edu/~kriz/cifar.html
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .faults import damaged, reading

N_FEATURES = 3072
RECORD = 1 + N_FEATURES
N_CLASSES = 10

Batch = tuple[NDArray[np.uint8], NDArray[np.int64]]


def read_binary_batch(path: Path) -> Batch:
    """Read one binary batch file: X (n, 3072) uint8 and y (n,) int64."""
    with reading(path, "a CIFAR-10 binary batch"):
        size = path.stat().st_size
        _check_binary_size(path, size)
        return decode_binary(np.fromfile(path, dtype=np.uint8), path)


def _check_binary_size(path: Path, size: int) -> None:
    if size == 0 or size % RECORD:
        raise damaged(
            path,
            f"a multiple of {RECORD} bytes (label and 3 x 32 x 32 pixels)",
            f"{size} bytes",
            "fetch it again",
        )


def decode_binary(content: NDArray[np.uint8], path: Path) -> Batch:
    """Split binary records into rows and labels."""
    _check_binary_size(path, content.size)
    records = content.reshape(-1, RECORD)
    return interleave(records[:, 1:]), checked_labels(records[:, 0], path)


def interleave(planes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Colour planes (n, 3 * 1024) to rows (n, 1024 * 3) in the order height, width, channel."""
    n = len(planes)
    return np.ascontiguousarray(planes.reshape(n, 3, 1024).transpose(0, 2, 1)).reshape(n, N_FEATURES)


def checked_labels(labels: NDArray[np.generic], path: Path) -> NDArray[np.int64]:
    """Labels as int64, or DataError naming the first that is not 0..9."""
    codes = labels.astype(np.int64)
    wrong = np.flatnonzero((codes < 0) | (codes >= N_CLASSES))
    if wrong.size:
        raise damaged(path, "labels 0 to 9", f"label {codes[wrong[0]]} in row {wrong[0]}", "fetch it again")
    return codes
