"""Pooling as small matrices: one for each axis of an image."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernelfit.cpu.jit import njit
from kernelfit.features.images import Float32


def grid(length: int, stride: int) -> NDArray[np.float64]:
    """Positions every `stride` pixels, centred on an axis of `length` pixels."""
    count = (length - 1) // stride + 1
    first = (length - 1 - stride * (count - 1)) / 2
    return first + stride * np.arange(count, dtype=np.float64)


def gaussian_pooling(length: int, sigma: float, stride: int) -> Float32:
    """(cells, length): row i holds the Gaussian of standard deviation `sigma` (pixels) around grid position i.

    The weights are those of a Gaussian whose sum over all pixels is 1; the part outside the image is lost,
    as if zeros surrounded it.
    """
    distance = np.arange(length) - grid(length, stride)[:, None]
    weights = np.exp(-(distance**2) / (2 * sigma * sigma))
    reach = int(np.ceil(8 * sigma)) + 1
    total = np.exp(-(np.arange(-reach, reach + 1) ** 2) / (2 * sigma * sigma)).sum()
    return (weights / total).astype(np.float32)


def windows(length: int, size: int, stride: int) -> NDArray[np.intp]:
    """(count, 2) start and stop of windows `size` wide every `stride`, those that fit; one of all if none does."""
    if size >= length:
        return np.array([[0, length]], np.intp)
    starts = np.arange(0, length - size + 1, stride)
    return np.stack([starts, starts + size], axis=1)


def halves(length: int) -> NDArray[np.intp]:
    """(2, 2) two halves of `length`, the first longer by one where it is odd; one of all where length is 1."""
    if length == 1:
        return np.array([[0, 1]], np.intp)
    middle = (length + 1) // 2
    return np.array([[0, middle], [middle, length]], np.intp)


def cells(bounds: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The cuts (sorted) at all window boundaries, and each window as a range of the cells between cuts."""
    cuts = np.unique(bounds)
    return cuts, np.searchsorted(cuts, bounds)


def averaging(length: int, size: int) -> Float32:
    """(ceil(length / size), length): means over consecutive runs of `size`, the last as long as what is left."""
    runs = np.arange(length) // size
    members = np.arange(runs[-1] + 1)[:, None] == runs
    return (members / members.sum(axis=1, keepdims=True)).astype(np.float32)


@njit(nogil=True, cache=True)
def pool_maps(maps: Any, down: Any, across: Any, out: Any) -> None:
    """out (cells, n) <- down map across^T of each of n maps (height, width, n), cells in C order; all float32.

    Every sum has one order, wherever the map stands among the others. Products by BLAS have not: equal images would get
    features that differ in their last bits, and pass for different ones.
    """
    height, width, n = maps.shape
    line = np.empty((width, n), np.float32)
    for i in range(down.shape[0]):
        line[...] = np.float32(0)
        for y in range(height):
            weight = down[i, y]
            if weight == 0:
                continue
            for x in range(width):
                for k in range(n):
                    line[x, k] += weight * maps[y, x, k]
        for j in range(across.shape[0]):
            cell = out[i * across.shape[0] + j]
            cell[:] = np.float32(0)
            for x in range(width):
                weight = across[j, x]
                if weight == 0:
                    continue
                for k in range(n):
                    cell[k] += weight * line[x, k]
