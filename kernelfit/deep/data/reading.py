"""Data sets as networks get them: read once for a sweep, and told apart from others of the same name. No torch here."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable
from pathlib import Path

from kernelfit.datasets import Dataset, load
from kernelfit.progress import ProgressLike
from kernelfit.storage.hdf5 import array_digest

Fetch = Callable[[str, int | None, int | None], Dataset]  # name, n, n_test


def reader(data_dir: Path | None, progress: ProgressLike) -> Fetch:
    """A `Fetch` that reads each data set once, for sweeps."""

    @functools.cache
    def fetch(name: str, n: int | None, n_test: int | None) -> Dataset:
        return load(name, n_train=n, n_test=n_test, data_dir=data_dir, progress=progress)

    return fetch


def pixels_digest(dataset: Dataset) -> str:
    """A hash of the rows of both parts, before they are cropped or corrupted."""
    return array_digest(dataset.X_train) + array_digest(dataset.X_test)


def data_digest(dataset: Dataset, pixels: str | None = None) -> str:
    """A hash of rows and labels of both parts; `pixels` is their `pixels_digest` where that is known."""
    parts = (pixels or pixels_digest(dataset), array_digest(dataset.y_train), array_digest(dataset.y_test))
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()
