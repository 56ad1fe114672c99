"""What a kernel reads of all pairs of some rows, formed once, for K of any of its parameters."""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np

from kernelfit.cpu.pool import CpuBackend
from kernelfit.errors import InputError
from kernelfit.gram.points import Points
from kernelfit.gram.source import KernelGram
from kernelfit.gram.submatrix import submatrix
from kernelfit.kernels.base import Kernel, Needs, Rows, Tile
from kernelfit.typing import Float

# Rows that a kernel's formula is applied to at a time.
_STRIP = 256


class Pairs:
    """m rows and their squared distances, distances in the 1-norm or inner products (m, m).

    `kernel` says which: any kernel of the same `needs` is then formed without a product. Raises `InputError` for one
    that reads anything else of its rows.
    """

    def __init__(self, points: Points, kernel: type[Kernel] | Kernel, backend: CpuBackend) -> None:
        self.points, self.needs = points, kernel.needs
        measured = _Measure(self.needs)
        self.values = submatrix(KernelGram(measured, points), np.arange(points.shape[0]), backend)
        self.length = measured.length

    @property
    def m(self) -> int:
        return self.points.shape[0]

    def gram(self, kernel: Kernel) -> Float:
        """K (m, m), both triangles, by the calling thread."""
        if kernel.needs != self.needs:
            raise ValueError(f"{kernel!r} reads {kernel.needs}, known are {self.needs}")
        gram = np.empty((self.m, self.m))
        for start in range(0, self.m, _STRIP):
            stop = min(start + _STRIP, self.m)
            kernel.evaluate(_StoredTile(self, start, stop), gram[start:stop])
        np.fill_diagonal(gram, kernel.diagonal(self.points))
        return gram


class _Measure(Kernel):
    """What is read of a pair itself in place of k."""

    name = "measure"
    of_numbers = False

    def __init__(self, needs: Needs) -> None:
        if needs not in (Needs.DISTANCES, Needs.L1_DISTANCES, Needs.INNER_PRODUCTS):
            raise InputError(f"kernel: reads {needs} of its rows, expected distances or inner products alone")
        self.needs = needs
        self.length = 1.0

    @property
    def parameters(self) -> dict[str, Any]:
        return {}

    def evaluate(self, tile: Tile, out: Float) -> None:
        if self.needs is Needs.DISTANCES:
            self.length = tile.sq_distances(out)
        elif self.needs is Needs.L1_DISTANCES:
            tile.l1_distances(out)
        else:
            tile.inner_products(out)

    def diagonal(self, points: Rows) -> Float:
        if self.needs is Needs.INNER_PRODUCTS:
            return points.domain_sq_norms.copy()
        return np.zeros(points.shape[0])


class _StoredTile:
    """Rows start:stop of what is known of all pairs; satisfies `kernelfit.kernels.base.Tile`."""

    def __init__(self, pairs: Pairs, start: int, stop: int) -> None:
        self._values, self._length = pairs.values[start:stop], pairs.length

    def sq_distances(self, out: Float) -> float:
        out[...] = self._values
        return self._length

    def l1_distances(self, out: Float) -> None:
        out[...] = self._values

    def inner_products(self, out: Float, factor: float = 1.0) -> None:
        np.multiply(self._values, factor, out=out)

    def cosines(self, out: Float) -> NoReturn:
        raise NotImplementedError

    def half_tangents(self, out: Float) -> NoReturn:
        raise NotImplementedError

    def lengths(self) -> NoReturn:
        raise NotImplementedError

    def coordinates(self) -> NoReturn:
        raise NotImplementedError

    def scratch(self, name: str) -> NoReturn:
        raise NotImplementedError
