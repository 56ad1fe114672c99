"""Sums and products of kernels; both are positive semi-definite when their terms are."""

from __future__ import annotations

from typing import Any

from kernelfit.errors import InputError
from kernelfit.kernels.base import Kernel, Rows, Tile
from kernelfit.typing import Float


class _Composite(Kernel):
    def __init__(self, left: Kernel, right: Kernel) -> None:
        for name, term in (("left", left), ("right", right)):
            if not isinstance(term, Kernel):
                raise InputError(f"{name}: got {term!r}, expected a kernel")
        self.left = left
        self.right = right
        self.of_inner_products = left.of_inner_products and right.of_inner_products
        self.of_distances = left.of_distances or right.of_distances

    @property
    def parameters(self) -> dict[str, Any]:
        return {"left": self.left.describe(), "right": self.right.describe()}

    def compile(self) -> None:
        self.left.compile()
        self.right.compile()

    def _evaluate_right(self, tile: Tile) -> Float:
        # Each level of nesting on the right needs a block of its own.
        block = tile.scratch(f"right-{_depth(self)}")
        self.right.evaluate(tile, block)
        return block

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.left!r}, {self.right!r})"


def _depth(kernel: Kernel) -> int:
    if isinstance(kernel, _Composite):
        return 1 + max(_depth(kernel.left), _depth(kernel.right))
    return 0


class Sum(_Composite):
    """k(x, x') = k_1(x, x') + k_2(x, x')."""

    name = "sum"

    def evaluate(self, tile: Tile, out: Float) -> None:
        self.left.evaluate(tile, out)
        out += self._evaluate_right(tile)

    def diagonal(self, points: Rows) -> Float:
        total: Float = self.left.diagonal(points) + self.right.diagonal(points)
        return total


class Product(_Composite):
    """k(x, x') = k_1(x, x') k_2(x, x')."""

    name = "product"

    def evaluate(self, tile: Tile, out: Float) -> None:
        self.left.evaluate(tile, out)
        out *= self._evaluate_right(tile)

    def diagonal(self, points: Rows) -> Float:
        total: Float = self.left.diagonal(points) * self.right.diagonal(points)
        return total
