"""CIFAR-10 in its official layouts: binary batches, Python batches, and either one inside its .tar.gz.

A binary record is one label byte and 3072 bytes: the red, green and blue planes of a 32 x 32 image, row by
row. Rows come out as (height, width, channel). Source: https://www.cs.toronto.edu/~kriz/cifar.html
"""

from __future__ import annotations

import gzip
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, cast

import numpy as np
from numpy.typing import NDArray

from .compressed import BoundedReader
from .faults import damaged, reading
from .pickled import read_pickled_batch

N_FEATURES = 3072
RECORD = 1 + N_FEATURES
N_CLASSES = 10

# The official archives unzip to 184 MB (binary) and 186 MB (Python) in eight or nine members of at most 31
# MB.
_ARCHIVE_LIMIT = 256 << 20
_MEMBER_LIMIT = 40 << 20

Batch = tuple[NDArray[np.uint8], NDArray[np.int64]]


def read_binary_batch(path: Path) -> Batch:
    """Read one binary batch file: X (n, 3072) uint8 and y (n,) int64. Raises DataError."""
    with reading(path, "a CIFAR-10 binary batch"):
        # The size is looked at first: a file that cannot be a batch is not read at all.
        _check_binary_size(path.stat().st_size, path)
        return decode_binary(path.read_bytes(), path)


def read_python_batch(path: Path) -> Batch:
    """Read one pickled batch file: X (n, 3072) uint8 and y (n,) int64. Raises DataError."""
    with reading(path, "a CIFAR-10 Python batch"):
        size = path.stat().st_size
        if size > _MEMBER_LIMIT:
            raise damaged(path, f"at most {_MEMBER_LIMIT} bytes", f"{size}")
        return decode_python(path.read_bytes(), path)


def read_archive(path: Path, names: tuple[str, ...], decode: Callable[[bytes, Path], Batch]) -> list[Batch]:
    """Read the members called `names`, in that order, straight from a .tar.gz; nothing is written to disk.

    Only the last part of a member's name counts, so a member cannot point anywhere. Raises DataError for a
    member that is missing, double, not a regular file, or larger than any official one.
    """
    with reading(path, "a .tar.gz archive of CIFAR-10"):
        try:
            found = _decode_members(path, names, decode)
        except tarfile.TarError as error:
            raise damaged(
                path, "a .tar.gz archive of CIFAR-10", f"one that does not unpack ({error})"
            ) from error
    missing = [name for name in names if name not in found]
    if missing:
        raise damaged(path, f"the members {', '.join(names)}", f"no {', '.join(missing)}", "fetch it again")
    return [found[name] for name in names]


def _decode_members(
    path: Path, names: tuple[str, ...], decode: Callable[[bytes, Path], Batch]
) -> dict[str, Batch]:
    found: dict[str, Batch] = {}
    # tarfile takes sizes from the archive on trust: the bound stops a bomb.
    with gzip.open(path) as unzipped:
        bounded = cast(IO[bytes], BoundedReader(cast(IO[bytes], unzipped), _ARCHIVE_LIMIT, path))
        with tarfile.open(fileobj=bounded, mode="r|") as archive:
            for member in archive:
                name = member.name.rsplit("/", 1)[-1]
                if not 0 <= member.size <= _MEMBER_LIMIT:
                    raise damaged(
                        path, f"members of at most {_MEMBER_LIMIT} bytes", f"{name!r} of {member.size}"
                    )
                if name not in names:
                    continue
                stream = archive.extractfile(member) if member.isreg() else None
                if stream is None or name in found:
                    raise damaged(path, f"one regular file {name}", "a link or a second one of that name")
                found[name] = decode(stream.read(), path / name)
    return found


def decode_binary(content: bytes, path: Path) -> Batch:
    """Split binary records into rows and labels."""
    _check_binary_size(len(content), path)
    records = np.frombuffer(content, dtype=np.uint8).reshape(-1, RECORD)
    return _interleave(records[:, 1:]), _checked_labels(records[:, 0], path)


def decode_python(content: bytes, path: Path) -> Batch:
    """Take rows and labels out of a pickled batch."""
    batch = read_pickled_batch(content, path)
    data, labels = batch.get("data"), batch.get("labels")
    if not isinstance(data, np.ndarray) or data.ndim != 2 or data.shape[1] != N_FEATURES or not len(data):
        found = f"shape {data.shape}" if isinstance(data, np.ndarray) else f"{type(data).__name__}"
        raise damaged(path, f"'data' of shape (n, {N_FEATURES})", found)
    if not isinstance(labels, list) or len(labels) != len(data):
        raise damaged(path, f"'labels', a list of {len(data)}", f"{type(labels).__name__}")
    wrong = next(
        (row for row, label in enumerate(labels) if type(label) is not int or not 0 <= label < N_CLASSES), -1
    )
    if wrong >= 0:
        raise damaged(path, "labels 0 to 9", f"label {str(labels[wrong])[:20]} in row {wrong}")
    return _interleave(data), np.asarray(labels, dtype=np.int64)


def _check_binary_size(size: int, path: Path) -> None:
    if size == 0 or size % RECORD or size > _MEMBER_LIMIT:
        raise damaged(
            path, f"a multiple of {RECORD} bytes, the label and 3 x 32 x 32 pixels", f"{size} bytes"
        )


def _interleave(planes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Colour planes (n, 3 * 1024) to rows (n, 1024 * 3) in the order height, width, channel."""
    n = len(planes)
    return np.ascontiguousarray(planes.reshape(n, 3, 1024).transpose(0, 2, 1)).reshape(n, N_FEATURES)


def _checked_labels(labels: NDArray[np.uint8], path: Path) -> NDArray[np.int64]:
    wrong = np.flatnonzero(labels >= N_CLASSES)
    if wrong.size:
        raise damaged(path, "labels 0 to 9", f"label {labels[wrong[0]]} in row {wrong[0]}")
    return labels.astype(np.int64)
