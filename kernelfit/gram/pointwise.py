"""k(x, x') where <x, x'> and |x| are all that is known of the rows: K of a kernel from a linear K that is stored.

Gaussian, Matern, rational quadratic, polynomial, cosine, arc-cosine and neural tangent kernels are functions of
<x, x'>, |x| and |x'| alone. Their K is formed from the linear one entry by entry, n^2/2 times, wherever a tile is read,
and stored nowhere: one K of products serves any number of kernels.

What products have lost is lost. Where <x, x'> and |x|^2 are off by at most d |x| |x'| and d |x|^2, k is off by about

    4 gamma d max(|x|, |x'|)^2      gaussian (its slope is at most gamma)
    2 d |x| |x'|                    arc-cosine of order 1, one layer: its slope in cos theta is at most 1
    2 d / (pi sin theta), at most 2 sqrt(d) / pi near theta = 0
                                    arc-cosine of order 0; of |x| |x'| for each layer of a neural tangent kernel

since theta is off by 2 d / sin theta, and no rounded cosine tells angles below sqrt(d) apart. d is 0 for products of
integers, u = 6e-8 where they are stored in float32, and sqrt(q) u of float32 features multiplied q at a time, as random
roundings go (q u at the worst). The diagonal is exact in |x|.
"""

from __future__ import annotations

from copy import copy
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from kernelfit.cpu.pool import CpuBackend
from kernelfit.errors import InputError
from kernelfit.gram.points import RowVectors
from kernelfit.gram.protocol import Columns
from kernelfit.gram.source import Source, set_diagonal
from kernelfit.gram.tile import PairTile
from kernelfit.kernels.base import COORDINATES, Kernel
from kernelfit.typing import Float

# Rows of a rectangle that are one task.
_ROWS = 16


class Lengths:
    """Rows of which the squares (n,) of their lengths are known: `kernelfit.kernels.base.Rows` without coordinates."""

    def __init__(self, sq_norms: Float) -> None:
        self.domain_sq_norms = sq_norms
        self.lengths = np.sqrt(sq_norms)

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.domain_sq_norms), 0

    def scaled(self, start: int, stop: int) -> NoReturn:
        raise ValueError("rows of which the products alone are known")

    def vectors(self, start: int, stop: int) -> RowVectors:
        """What a tile knows of rows start:stop."""
        sq_norms = self.domain_sq_norms[start:stop]
        return RowVectors(sq_norms, np.zeros(len(sq_norms)), sq_norms, np.ones(len(sq_norms)))


class ProductTile(PairTile):
    """Pairs of rows (h, w) by their inner products, float64, and what is known of each row."""

    unit = length = 1.0
    #: there are no coordinates for close and parallel pairs to be formed from
    exact = True

    def __init__(self, products: Float, rows: RowVectors, columns: RowVectors, backend: CpuBackend) -> None:
        self._products, self.rows, self.columns, self._backend = products, rows, columns, backend

    def dot(self) -> NDArray[Any]:
        return self._products

    def inner(self) -> NDArray[Any]:
        return self._products

    def scratch(self, name: str) -> Float:
        rows, columns = self._products.shape
        return self._backend.scratch(name, rows, columns, np.float64)


def require_products(kernel: Kernel) -> None:
    """Raise `InputError` where k asks for more of two rows than their inner product and lengths."""
    if kernel.needs & COORDINATES:
        raise InputError(
            f"kernel: got {kernel!r}, which reads the rows themselves, expected a function of inner products and "
            "distances where these are all that is known"
        )


def rectangle_of_products(
    formula: Kernel, products: NDArray[Any], rows: Lengths, columns: Lengths, backend: CpuBackend
) -> NDArray[Any]:
    """k(x_i, x'_j) (m, n) from <x_i, x'_j> (m, n), in the type of the products."""
    require_products(formula)
    formula.compile()
    values = np.empty_like(products)
    there = columns.vectors(0, columns.shape[0])

    def task(start: int) -> None:
        stop = min(start + _ROWS, len(products))
        inner = products[start:stop].astype(np.float64)
        tile = ProductTile(inner, rows.vectors(start, stop), there, backend)
        out = tile.scratch("tile")
        formula.evaluate(tile, out)
        values[start:stop] = out

    backend.run(task, range(0, len(products), _ROWS))
    return values


class PointwiseGram(Source):
    """K_ij = k(x_i, x_j) from a stored `products` with entries <x_i, x_j>, formed wherever it is read."""

    formula: Kernel
    flops_per_entry = 1.0

    def __init__(self, products: Source, formula: Kernel) -> None:
        require_products(formula)
        formula.compile()
        self.products, self.formula = products, formula
        self.n, self.layout, self.device = products.n, products.layout, products.device
        self.rows = Lengths(products.diagonal())
        self._diagonal = formula.diagonal(self.rows)

    def diagonal(self) -> Float:
        return self._diagonal

    def columns(self, start: int, stop: int, backend: CpuBackend) -> Columns:
        return _PointwiseColumns(self, start, stop, backend)

    def device_tiles(self, device: Any, stream: Any) -> Any:
        return self.products.tiles_of(self.formula, device, stream)

    def witnessed(self, threads: int | None = None) -> Source:
        same = copy(self)
        same.products = self.products.witnessed(threads)
        return same

    def require_unchanged(self, threads: int | None = None, *, whole: bool = True) -> None:
        self.products.require_unchanged(threads, whole=whole)

    def close(self) -> None:
        self.products.close()


class _PointwiseColumns:
    def __init__(self, gram: PointwiseGram, start: int, stop: int, backend: CpuBackend) -> None:
        self._gram, self._backend, self._start = gram, backend, start
        self._products = gram.products.columns(start, stop, backend)

    def fill(self, start: int, stop: int, out: NDArray[Any]) -> None:
        gram, shape = self._gram, (stop - start, out.shape[1])
        # The source has mirrored them, and formulas are symmetric.
        products = self._backend.scratch("inner products", *shape, np.float64)
        self._products.fill(start, stop, products)
        columns = gram.rows.vectors(self._start, self._start + shape[1])
        tile = ProductTile(products, gram.rows.vectors(start, stop), columns, self._backend)
        direct = out.dtype == np.float64 and out.flags.c_contiguous
        target = out if direct else tile.scratch("tile")
        gram.formula.evaluate(tile, target)
        if not direct:
            out[...] = target
        set_diagonal(out, start, self._start, gram.diagonal())
