"""Products of one block of features, added to tiles of Gram matrices: of floats by SGEMM, of bytes exactly.

A tile is out += Z_rows Z_columns^T. Every one is the work of one thread, so that bits do not depend on their number.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from kernelfit.cpu import blas, bytes_product
from kernelfit.cpu.jit import njit
from kernelfit.cpu.pool import CpuBackend

if TYPE_CHECKING:  # scikit-learn comes with it
    from kernelfit.features.images import Float32

#: 255^2 256 < 2^24: what SGEMM adds up of so many products of bytes is exact
EXACT_IN_FLOAT32 = 256


class BlockProducts(Protocol):
    """The right factors of one block, cut at the panels of a Gram matrix."""

    #: rows of one tile
    height: int

    def add(self, rows: NDArray[Any], panel: int, out: NDArray[Any], backend: CpuBackend) -> None:
        """out (h, w) += rows times the first w right factors of `panel`."""
        ...


class FloatProducts:
    """Products of float32, added in the type of `out`."""

    height = 1_008

    def __init__(self, columns: Sequence[Float32]) -> None:
        self._columns = columns

    def add(self, rows: Float32, panel: int, out: NDArray[Any], backend: CpuBackend) -> None:
        columns = self._columns[panel][: out.shape[1]]
        if out.dtype == np.float32:
            blas.gemm(1.0, rows, columns, 1.0, out, transpose_b=True)
            return
        product = backend.scratch("gram tile", out.shape[0], out.shape[1], np.float32)
        blas.gemm(1.0, rows, columns, 0.0, product, transpose_b=True)
        out += product


class ByteProducts:
    """Products of bytes in units of `step`: exact in int32, by an instruction that multiplies bytes."""

    # 36 micro-tiles of 14 rows: with the 9,000 features of a usual block 4.5 MB, which the third-level cache keeps
    # while the columns go by (2,016 rows took 1.17 times as long).
    height = 504

    def __init__(self, columns: Sequence[NDArray[np.uint8]], step: float, backend: CpuBackend) -> None:
        self._factor = step * step
        features = columns[0].shape[1]
        longest = bytes_product.LONGEST
        self._cuts = [slice(a, min(a + longest, features)) for a in range(0, features, longest)]
        self._packed: list[list[bytes_product.Packed]] = [[] for _ in columns]

        def pack(panel: int) -> None:
            self._packed[panel] = [
                bytes_product.packed_columns(columns[panel][:, cut], 0) for cut in self._cuts
            ]

        backend.run(pack, range(len(columns)))

    def add(self, rows: NDArray[np.uint8], panel: int, out: NDArray[Any], backend: CpuBackend) -> None:
        for cut, columns in zip(self._cuts, self._packed[panel], strict=True):
            part = rows[:, cut]
            space = backend.scratch("packed rows", 1, bytes_product.row_space(*part.shape), np.int8)
            bytes_product.add_multiple(self._factor, bytes_product.packed_rows(part, 0, space), columns, out)


class ByteProductsByFloat:
    """The same bits on any CPU: SGEMM of bytes, so few features at a time that nothing is rounded."""

    height = ByteProducts.height

    def __init__(self, columns: Sequence[NDArray[np.uint8]], step: float) -> None:
        self._columns, self._factor = columns, step * step

    def add(self, rows: NDArray[np.uint8], panel: int, out: NDArray[Any], backend: CpuBackend) -> None:
        columns = self._columns[panel][: out.shape[1]]
        longest = bytes_product.LONGEST  # rounded, where `out` is float32, as often as the other way
        for first in range(0, rows.shape[1], longest):
            total = backend.scratch("gram sums", out.shape[0], out.shape[1], np.float64)
            total[...] = 0
            for start in range(first, min(first + longest, rows.shape[1]), EXACT_IN_FLOAT32):
                cut = slice(start, min(start + EXACT_IN_FLOAT32, first + longest, rows.shape[1]))
                product = backend.scratch("gram tile", out.shape[0], out.shape[1], np.float32)
                left, right = rows[:, cut].astype(np.float32), columns[:, cut].astype(np.float32)
                blas.gemm(1.0, left, right, 0.0, product, transpose_b=True)
                total += product
            total *= self._factor
            out += total


def tile_height(step: float) -> int:
    """Rows of a tile of features in units of `step`, 0 for floats, on any CPU."""
    return ByteProducts.height if step else FloatProducts.height


def block_products(columns: Sequence[NDArray[Any]], step: float, backend: CpuBackend) -> BlockProducts:
    """For right factors that are float32, or bytes in units of `step`."""
    if columns[0].dtype == np.float32:
        return FloatProducts(columns)
    if bytes_product.available():
        return ByteProducts(columns, step, backend)
    return ByteProductsByFloat(columns, step)


@njit(nogil=True, cache=True)
def add_sq_norms(rows: NDArray[Any], factor: float, out: NDArray[np.float64]) -> None:
    """out_i += factor |z_i|^2 for rows (h, features) of float32, or of bytes, whose squares are added exactly."""
    for i in range(rows.shape[0]):
        total = 0.0
        for k in range(rows.shape[1]):
            value = np.float64(rows[i, k])
            total += value * value
        out[i] += factor * total
