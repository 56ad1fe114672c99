"""A few vectors side by side, in the two orders in which products with tiles read them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernelfit.cpu.tile_products import WIDTH, group_of
from kernelfit.typing import Array, Float


def chunks_of(n: int) -> int:
    """How many times `WIDTH` covers n."""
    return -(-n // WIDTH)


def groups_of(columns: int, dtype: Any) -> tuple[int, int]:
    """How many groups of vectors of a type cover so many, and how many vectors a group has."""
    group = group_of(dtype)
    return -(-columns // group), group


def type_of_sums(columns: int) -> Any:
    """Of products of float32 tiles with so many vectors: float64 where memory sets the pace anyhow."""
    return np.float32 if columns > group_of(np.float64) else np.float64


def vectors_of(columns: int) -> int:
    """How many vectors such products take for so many, zeros included."""
    groups, group = groups_of(columns, type_of_sums(columns))
    return groups * group


def as_rows(vectors: Float, length: int, dtype: Any) -> Array:
    """V (n, c) as (groups, length, group), zeros where there is nothing."""
    n, c = vectors.shape
    groups, group = groups_of(c, dtype)
    rows = np.zeros((groups, length, group), dtype)
    for index in range(groups):
        part = vectors[:, index * group : (index + 1) * group]
        rows[index, :n, : part.shape[1]] = part
    return rows


def as_columns(vectors: Float, chunks: int, dtype: Any) -> Array:
    """V (n, c) as (chunks, groups, group, WIDTH), zeros where there is nothing."""
    n, c = vectors.shape
    groups, group = groups_of(c, dtype)
    padded = np.zeros((groups * group, chunks * WIDTH), dtype)
    padded[:c, :n] = vectors.T
    return np.ascontiguousarray(padded.reshape(groups, group, chunks, WIDTH).transpose(2, 0, 1, 3))


def from_rows(rows: NDArray[np.float64], n: int, c: int) -> Float:
    """The inverse of `as_rows`."""
    return np.ascontiguousarray(rows[:, :n].transpose(1, 0, 2).reshape(n, -1)[:, :c])


def from_columns(columns: NDArray[np.float64], n: int, c: int) -> Float:
    """The inverse of `as_columns`."""
    chunks, groups, group = columns.shape[:3]
    joined = columns.transpose(0, 3, 1, 2).reshape(chunks * WIDTH, groups * group)
    return np.ascontiguousarray(joined[:n, :c])
