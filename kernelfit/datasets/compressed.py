"""Reading plain or gzipped files without trusting the sizes that they claim."""

from __future__ import annotations

import gzip
import hashlib
import io
from pathlib import Path
from typing import IO, Protocol

import numpy as np
from numpy.typing import NDArray

from .faults import damaged

# No deflate stream expands by more (zlib's documentation, "Maximum Compression Factor").
DEFLATE_RATIO = 1032
# Block in which files are hashed: large enough that the call costs nothing, small beside any cache.
_BLOCK = 1 << 20


class Readable(Protocol):
    """A stream that fills a buffer."""

    def readinto(self, buffer: memoryview, /) -> int | None: ...


def is_gzip(path: Path) -> bool:
    """Whether the file starts with gzip's two magic bytes, whatever its name."""
    with path.open("rb") as stream:
        return stream.read(2) == b"\x1f\x8b"


def open_plain_or_gzip(path: Path) -> gzip.GzipFile | io.BufferedReader:
    """Open `path` for reading, unzipping when its content is gzip."""
    return gzip.open(path, "rb") if is_gzip(path) else path.open("rb")


def largest_content(path: Path) -> int:
    """The most bytes that the content of `path` can have: its size, or 1032 times that when it is gzip."""
    size = path.stat().st_size
    return size * DEFLATE_RATIO if is_gzip(path) else size


def read_exactly(stream: Readable, n_bytes: int, path: Path, what: str) -> NDArray[np.uint8]:
    """Read `n_bytes` bytes into a fresh array.

    The pages of the array are touched only as data arrive, so a stream that ends early costs no memory.
    Raises DataError when the stream ends early. The caller has checked `n_bytes` against `largest_content`.
    """
    content = np.empty(n_bytes, dtype=np.uint8)
    view = content.data
    done = 0
    while done < n_bytes:
        count = stream.readinto(view[done : done + _BLOCK])
        if not count:
            raise damaged(
                path, f"{n_bytes} bytes of {what}", f"{done}", "the file is truncated; fetch it again"
            )
        done += count
    return content


def file_digest(path: Path, algorithm: str = "sha256") -> str:
    """Hex digest of the file's bytes as they lie on disk."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.new(algorithm, usedforsecurity=False)).hexdigest()


class BoundedReader(io.RawIOBase):
    """Passes reads through and raises DataError once more than `limit` bytes came: a bomb stops here."""

    def __init__(self, stream: IO[bytes], limit: int, path: Path) -> None:
        super().__init__()
        self._stream = stream
        self._limit = limit
        self._path = path
        self._done = 0

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1) -> bytes:
        # One byte past the limit is asked for at most, so that a bomb is noticed and not stored.
        room = self._limit + 1 - self._done
        data = self._stream.read(room if size is None or size < 0 else min(size, room))
        self._done += len(data)
        if self._done > self._limit:
            raise damaged(self._path, f"at most {self._limit} bytes of content", "more")
        return data
