"""What a kernel is: a formula for one tile of K, with sums and products.

A kernel sees a `Tile` (inner products of a block of rows with a block of columns, and their norms) and writes
k(x_i, x_j) for all pairs into a float64 block. It never sees the whole of K.
"""

from __future__ import annotations

from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from kernelfit.typing import Float


class Tile(Protocol):
    """Pairs of rows x_i (i < h) and columns x_j (j < w); every quantity in units of `unit`.

    |x_i - x_j|^2 = unit * (sq_rows_i + sq_cols_j - 2 dot_ij)
    <x_i, x_j>    = unit * (dot_ij + offset_rows_i + offset_cols_j)
    |x_i|^2       = unit * origin_rows_i
    """

    unit: float
    sq_rows: Float
    sq_cols: Float
    offset_rows: Float
    offset_cols: Float
    origin_rows: Float
    origin_cols: Float

    def dot(self) -> NDArray[Any]:
        """(h, w) float32 or float64 inner products, formed once for all terms of a kernel."""
        ...

    def coordinates(self) -> tuple[Float, Float]:
        """The rows (h, d) and columns (w, d) themselves, float64, in the kernel's domain."""
        ...

    def scratch(self, name: str) -> Float:
        """An uninitialised float64 (h, w) block of the calling thread."""
        ...


class Rows(Protocol):
    """n rows of d features in the kernel's domain."""

    domain_sq_norms: Float

    @property
    def shape(self) -> tuple[int, int]: ...

    def scaled(self, start: int, stop: int) -> Float:
        """Rows start:stop, float64."""
        ...


class Kernel:
    """Base of all kernels. A subclass gives `name`, `parameters`, `evaluate` and `diagonal`."""

    name: ClassVar[str] = ""
    #: k depends on x, x' through |x - x'| only, so that k(x, x) = 1
    stationary: ClassVar[bool] = False
    #: `evaluate` needs inner products and norms only, not the coordinates
    of_inner_products: bool = True
    #: `evaluate` needs distances, formed from inner products
    of_distances: bool = False

    @property
    def parameters(self) -> dict[str, Any]:
        """The kernel's parameters by name, as plain numbers and strings."""
        raise NotImplementedError(f"{type(self).__name__} does not define its parameters")

    def evaluate(self, tile: Tile, out: Float) -> None:
        """out_ij <- k(x_i, x_j). Shape (h, w), float64."""
        raise NotImplementedError(f"{type(self).__name__} does not define evaluate")

    def diagonal(self, points: Rows) -> Float:
        """k(x_i, x_i), shape (n,), exactly."""
        if self.stationary:
            return np.ones(points.shape[0])
        raise NotImplementedError(f"{type(self).__name__} does not define its diagonal")

    def describe(self) -> dict[str, Any]:
        """The kernel as JSON: its name and parameters; `kernelfit.kernels.from_description` is the inverse."""
        return {"name": self.name, **self.parameters}

    def compile(self) -> None:
        """Compile what the kernel needs before threads ask for it."""

    def __add__(self, other: Kernel) -> Kernel:
        from kernelfit.kernels.composite import Sum

        return Sum(self, other)

    def __mul__(self, other: Kernel) -> Kernel:
        from kernelfit.kernels.composite import Product

        return Product(self, other)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Kernel) and type(self) is type(other) and self.describe() == other.describe()

    def __hash__(self) -> int:
        return hash((type(self), repr(self.describe())))

    def __repr__(self) -> str:
        inside = ", ".join(f"{name}={value!r}" for name, value in self.parameters.items())
        return f"{type(self).__name__}({inside})"
