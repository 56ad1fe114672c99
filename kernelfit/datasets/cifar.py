"""The batches of CIFAR-10 and CIFAR-100: binary, pickled, and either one inside its .tar.gz.

A binary record is one label byte (CIFAR-100: two, the coarse and the fine label) and 3072 bytes: the red, green and
blue planes of a 32 x 32 image, row by row. Rows come out as (height, width, channel).
Source: https://www.cs.toronto.edu/~kriz/cifar.html
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kernelfit.errors import DataError

from .archive import read_archive
from .faults import damaged, reading
from .pickled import read_pickled_batch

N_FEATURES = 3072
# All archives unzip to 186 MB at most.
_MAX_CONTENT = 256 << 20

Batch = tuple[NDArray[np.uint8], NDArray[np.int64]]


@dataclass(frozen=True)
class CifarFormat:
    """Which labels of a batch count: byte `column` of `label_bytes`, or the list `key` of a pickled one.

    `max_bytes` is what no official batch exceeds.
    """

    name: str = "CIFAR-10"
    n_classes: int = 10
    key: str = "labels"
    label_bytes: int = 1
    column: int = 0
    max_bytes: int = 40 << 20

    @property
    def record(self) -> int:
        """Bytes of an image with its labels."""
        return self.label_bytes + N_FEATURES

    def read(self, paths: tuple[Path, ...], layout: str, names: tuple[str, ...]) -> list[Batch]:
        """The batches in loose files or, of an archive, in its members `names`."""
        match layout:
            case "binary":
                return [read_binary_batch(path, self) for path in paths]
            case "python":
                return [read_python_batch(path, self) for path in paths]
        decode = decode_binary if layout == "binary-archive" else decode_python
        return read_archive(
            paths[0],
            names,
            lambda content, path: decode(content, path, self),
            max_member=self.max_bytes,
            max_content=_MAX_CONTENT,
        )


CIFAR10_FORMAT = CifarFormat()


def read_binary_batch(path: Path, batches: CifarFormat = CIFAR10_FORMAT) -> Batch:
    """Read one binary batch file: X (n, 3072) uint8 and y (n,) int64. Raises DataError."""
    with reading(path, f"a {batches.name} binary batch"):
        # The size is looked at first: a file that cannot be a batch is not read at all.
        _check_binary_size(path.stat().st_size, path, batches)
        return decode_binary(path.read_bytes(), path, batches)


def read_python_batch(path: Path, batches: CifarFormat = CIFAR10_FORMAT) -> Batch:
    """Read one pickled batch file: X (n, 3072) uint8 and y (n,) int64. Raises DataError."""
    with reading(path, f"a {batches.name} Python batch"):
        size = path.stat().st_size
        if size > batches.max_bytes:
            raise damaged(path, f"at most {batches.max_bytes} bytes", f"{size}")
        return decode_python(path.read_bytes(), path, batches)


def decode_binary(content: bytes, path: Path, batches: CifarFormat = CIFAR10_FORMAT) -> Batch:
    """Split binary records into rows and labels."""
    _check_binary_size(len(content), path, batches)
    records = np.frombuffer(content, dtype=np.uint8).reshape(-1, batches.record)
    labels = records[:, batches.column]
    wrong = np.flatnonzero(labels >= batches.n_classes)
    if wrong.size:
        raise _wrong_label(path, batches, str(labels[wrong[0]]), int(wrong[0]))
    return _interleave(records[:, batches.label_bytes :]), labels.astype(np.int64)


def decode_python(content: bytes, path: Path, batches: CifarFormat = CIFAR10_FORMAT) -> Batch:
    """Take rows and labels out of a pickled batch."""
    batch = read_pickled_batch(content, path)
    data, labels = batch.get("data"), batch.get(batches.key)
    if not isinstance(data, np.ndarray) or data.ndim != 2 or data.shape[1] != N_FEATURES or not len(data):
        found = f"shape {data.shape}" if isinstance(data, np.ndarray) else f"{type(data).__name__}"
        raise damaged(path, f"'data' of shape (n, {N_FEATURES})", found)
    if not isinstance(labels, list) or len(labels) != len(data):
        raise damaged(path, f"'{batches.key}', a list of {len(data)}", f"{type(labels).__name__}")
    for row, label in enumerate(labels):
        if type(label) is not int or not 0 <= label < batches.n_classes:
            raise _wrong_label(path, batches, str(label)[:20], row)
    return _interleave(data), np.asarray(labels, dtype=np.int64)


def _wrong_label(path: Path, batches: CifarFormat, label: str, row: int) -> DataError:
    return damaged(path, f"labels 0 to {batches.n_classes - 1}", f"label {label} in row {row}")


def _check_binary_size(size: int, path: Path, batches: CifarFormat) -> None:
    if size == 0 or size % batches.record or size > batches.max_bytes:
        raise damaged(
            path, f"a multiple of {batches.record} bytes, the label and 3 x 32 x 32 pixels", f"{size} bytes"
        )


def _interleave(planes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Colour planes (n, 3 * 1024) to rows (n, 1024 * 3) in the order height, width, channel."""
    n = len(planes)
    return np.ascontiguousarray(planes.reshape(n, 3, 1024).transpose(0, 2, 1)).reshape(n, N_FEATURES)
