"""A few vectors side by side, in the two orders in which products with tiles read them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernelfit.cpu.tile_products import GROUP, WIDTH
from kernelfit.typing import Array, Float


def chunks_of(n: int) -> int:
    """How many times `WIDTH` covers n."""
    return -(-n // WIDTH)


def groups_of(columns: int) -> int:
    """How many times `GROUP` covers the vectors."""
    return -(-columns // GROUP)


def as_rows(vectors: Float, length: int, dtype: Any) -> Array:
    """V (n, c) as (groups, length, GROUP), zeros where there is nothing."""
    n, c = vectors.shape
    rows = np.zeros((groups_of(c), length, GROUP), dtype)
    for group in range(len(rows)):
        part = vectors[:, group * GROUP : (group + 1) * GROUP]
        rows[group, :n, : part.shape[1]] = part
    return rows


def as_columns(vectors: Float, chunks: int, dtype: Any) -> Array:
    """V (n, c) as (chunks, groups, GROUP, WIDTH), zeros where there is nothing."""
    n, c = vectors.shape
    padded = np.zeros((groups_of(c) * GROUP, chunks * WIDTH), dtype)
    padded[:c, :n] = vectors.T
    return np.ascontiguousarray(padded.reshape(-1, GROUP, chunks, WIDTH).transpose(2, 0, 1, 3))


def from_rows(rows: NDArray[np.float64], n: int, c: int) -> Float:
    """The inverse of `as_rows`."""
    return np.ascontiguousarray(rows[:, :n].transpose(1, 0, 2).reshape(n, -1)[:, :c])


def from_columns(columns: NDArray[np.float64], n: int, c: int) -> Float:
    """The inverse of `as_columns`."""
    chunks, groups = columns.shape[:2]
    joined = columns.transpose(0, 3, 1, 2).reshape(chunks * WIDTH, groups * GROUP)
    return np.ascontiguousarray(joined[:n, :c])
