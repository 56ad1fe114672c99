"""IDX, the format of MNIST: two zero bytes, a type byte, the number of axes, big-endian sizes, then the values.

Source: Y. LeCun, C. Cortes, C. Burges, "The MNIST database", section "File formats".
"""

from __future__ import annotations

import hashlib
import math
import struct
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from .compressed import Readable, largest_content, open_plain_or_gzip, read_exactly
from .faults import damaged, reading

# type byte -> what it is called, and its values in the file
_TYPES: dict[str, tuple[int, np.dtype[Any]]] = {
    "unsigned bytes": (0x08, np.dtype("u1")),
    "integers": (0x0C, np.dtype(">i4")),
}
#: training images and labels, test images and labels
IDX_FILES = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)


class Stream(Readable, Protocol):
    """What an IDX file is read from."""

    def read(self, size: int = -1, /) -> bytes: ...


def read_idx(path: Path, ndim: int, values: str = "unsigned bytes") -> tuple[NDArray[Any], str]:
    """Read an IDX file, plain or gzipped.

    Parameters: `ndim` is the number of axes that the file must have (3 for images, 1 for labels), `values` its type,
    "unsigned bytes" or "integers" (of 32 bits).
    Returns the array and the sha256 of the unzipped content.
    Raises DataError when the header, the sizes or the length disagree. The sizes in the header are compared
    with the size of the file before anything is allocated.
    """
    with reading(path, "an IDX file"), open_plain_or_gzip(path) as stream:
        return decode_idx(cast(Stream, stream), ndim, values, path, largest_content(path))


def decode_idx(stream: Stream, ndim: int, values: str, path: Path, limit: int) -> tuple[NDArray[Any], str]:
    """Read IDX content of at most `limit` bytes, as `read_idx` does; `path` names it in errors."""
    code, dtype = _TYPES[values]
    header = stream.read(4 + 4 * ndim)
    if len(header) < 4 + 4 * ndim:
        raise damaged(path, f"an IDX header of {4 + 4 * ndim} bytes", f"{len(header)} bytes")
    expected = bytes((0, 0, code, ndim))
    if header[:4] != expected:
        raise damaged(path, f"the IDX magic {expected.hex()} ({values}, {ndim} axes)", f"{header[:4].hex()}")
    shape = struct.unpack(f">{ndim}I", header[4:])
    n_bytes = math.prod(shape) * dtype.itemsize
    room = limit - len(header)
    if n_bytes > room:
        raise damaged(
            path,
            f"{n_bytes} bytes for the shape {shape} in its header",
            f"a file that holds at most {max(room, 0)}",
            "the file is truncated or its header is wrong; fetch it again",
        )
    content = read_exactly(stream, n_bytes, path, f"shape {shape}")
    if stream.read(1):
        raise damaged(path, f"{n_bytes} bytes for the shape {shape} in its header", "more bytes after them")
    digest = hashlib.sha256(header)
    digest.update(content.data)
    return content.view(dtype).reshape(shape), digest.hexdigest()


def read_images_and_labels(
    images_path: Path, labels_path: Path
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], tuple[str, str]]:
    """Read a pair of IDX files: images (n, height, width), labels (n,), and their two sha256 digests."""
    images, images_digest = read_idx(images_path, 3)
    labels, labels_digest = read_idx(labels_path, 1)
    if len(images) != len(labels):
        raise damaged(
            labels_path, f"{len(images)} labels, one for each image of {images_path.name}", f"{len(labels)}"
        )
    if images.size == 0:
        raise damaged(images_path, "at least one image", f"the shape {images.shape}")
    return images, labels, (images_digest, labels_digest)
