"""Small files in the official formats, written by hand so that each can be broken in its own way."""

from __future__ import annotations

import gzip
import io
import pickle
import struct
import tarfile
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

RECORD = 3073


class Files:
    """Writes data files into one folder; every method returns the path or the bytes it made."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rng = np.random.default_rng(4)

    def path(self, name: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def bytes(self, name: str, content: bytes) -> Path:
        path = self.path(name)
        path.write_bytes(content)
        return path

    @staticmethod
    def idx_bytes(array: np.ndarray, shape: tuple[int, ...] | None = None, kind: int = 8) -> bytes:
        shape = array.shape if shape is None else shape
        return bytes((0, 0, kind, len(shape))) + struct.pack(f">{len(shape)}I", *shape) + array.tobytes()

    def idx_set(self, folder: str, n_train: int = 20, n_test: int = 10, *, zipped: bool = True) -> Path:
        """The four files of an MNIST-like set with 28 x 28 images."""
        for part, n in (("train", n_train), ("t10k", n_test)):
            images = self.rng.integers(0, 256, (n, 28, 28), dtype=np.uint8)
            labels = (np.arange(n) % 10).astype(np.uint8)
            for name, array in ((f"{part}-images-idx3-ubyte", images), (f"{part}-labels-idx1-ubyte", labels)):
                content = self.idx_bytes(array)
                if zipped:
                    self.bytes(f"{folder}/{name}.gz", gzip.compress(content, 1))
                else:
                    self.bytes(f"{folder}/{name}", content)
        return self.folder / folder

    def cifar_rows(self, n: int) -> tuple[np.ndarray, np.ndarray]:
        """Labels (n,) and colour planes (n, 3072)."""
        return (np.arange(n) % 10).astype(np.uint8), self.rng.integers(0, 256, (n, 3072), dtype=np.uint8)

    def cifar_binary(self, n: int) -> bytes:
        labels, planes = self.cifar_rows(n)
        return np.concatenate([labels[:, None], planes], axis=1).tobytes()

    def cifar_pickle(self, n: int, **changes: Any) -> bytes:
        labels, planes = self.cifar_rows(n)
        batch = {
            "batch_label": "batch",
            "labels": labels.tolist(),
            "data": planes,
            "filenames": ["a.png"] * n,
        }
        return pickle.dumps(batch | changes, protocol=2)

    @staticmethod
    def tar_gz(members: dict[str, bytes]) -> bytes:
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w:gz", compresslevel=1) as archive:
            for name, content in members.items():
                info = tarfile.TarInfo(name)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
        return stream.getvalue()


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


@contextmanager
def _memory_below(limit: int) -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < limit


@pytest.fixture
def memory_below() -> Callable[[int], AbstractContextManager[None]]:
    """`with memory_below(n):` fails when Python and NumPy hold n bytes or more at any moment in between."""
    return _memory_below
