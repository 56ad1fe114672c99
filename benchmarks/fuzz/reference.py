"""Kernels and symmetric systems in long double, with what a float64 computation may be off by.

Every entry of K comes with a tolerance: a small multiple of the unit roundoff times what the formula's conditioning
allows. Distances, inner products, angles and lengths are known to a few roundings of the rows that were given; each is
moved by that much, up and down, and k of the moved values says how far an entry may lie from the true one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernelfit.kernels import Kernel

Long = NDArray[np.longdouble]
_PI = np.longdouble("3.14159265358979323846264338327950288")

#: unit roundoff of float64
U = 2.0**-53
#: roundings that a computed quantity may be off by, for each term of its sum; pairs closer than 1/8 of their distance
#: from the centre are formed from differences, others may lose a factor of 64
ROUNDINGS = 64.0
#: least number that float64 holds to full precision, and what an exponential is cut off at
_TINY = 1e-290


def has_long_double() -> bool:
    """Whether long double has more digits than float64 and a wider range; on some platforms it is float64."""
    information = np.finfo(np.longdouble)
    return bool(information.eps < 1e-18 and information.maxexp > 10_000)


@dataclass(frozen=True)
class Entries:
    """k (h, w) in long double, and how far from it a float64 computation may be."""

    values: Long
    tolerance: Long


class Pairs:
    """What kernels read of rows x (h, d) and z (w, d), both in long double; `rounded`: scaled in float64 before."""

    def __init__(self, x: Long, z: Long, rounded: bool) -> None:
        self.x, self.z = x, z
        self.relative = ROUNDINGS * U * (x.shape[1] + 4)
        self._rounded = rounded

    def distances(self) -> tuple[Long, Long]:
        """|x - z|^2 and its tolerance."""
        difference = self.x[:, None] - self.z
        squares = (difference**2).sum(axis=2)
        tolerance = self.relative * squares
        if self._rounded:
            sizes = np.abs(self.x[:, None]) + np.abs(self.z)
            tolerance = (
                tolerance + 4 * U * (np.abs(difference) * sizes).sum(axis=2) + ((U * sizes) ** 2).sum(axis=2)
            )
        return squares, tolerance

    def l1_distances(self) -> tuple[Long, Long]:
        difference = np.abs(self.x[:, None] - self.z)
        total = difference.sum(axis=2)
        tolerance = self.relative * total
        if self._rounded:
            tolerance = tolerance + 2 * U * (np.abs(self.x[:, None]) + np.abs(self.z)).sum(axis=2)
        return total, tolerance

    def inner_products(self) -> tuple[Long, Long]:
        products = self.x[:, None] * self.z
        return products.sum(axis=2), self.relative * np.abs(products).sum(axis=2)

    def lengths(self) -> tuple[Long, Long]:
        """|x| (h, 1) and |z| (w,)."""
        return np.sqrt((self.x**2).sum(axis=1))[:, None], np.sqrt((self.z**2).sum(axis=1))

    def angles(self) -> tuple[Long, Long]:
        """The angle of each pair (right where one row is zero, 0 where both are), and its tolerance."""
        length_x, length_z = self.lengths()
        unit_x = self.x / np.where(length_x > 0, length_x, 1)
        unit_z = self.z / np.where(length_z > 0, length_z, 1)[:, None]
        minus, plus = unit_x[:, None] - unit_z, unit_x[:, None] + unit_z
        angle = 2 * np.arctan2(np.sqrt((minus**2).sum(axis=2)), np.sqrt((plus**2).sum(axis=2)))
        zero = (length_x == 0) | (length_z == 0)
        angle = np.where(zero, np.where(length_x == length_z, 0, _PI / 2), angle)
        return angle, np.where(zero, 0, self.relative * np.ones_like(angle))


def entries(kernel: Kernel, x: Long, z: Long, rounded: bool = False) -> Entries:
    """k(x_i, z_j) of every family of `kernelfit.kernels`, sums and products."""
    pairs = Pairs(x, z, rounded)
    with np.errstate(under="ignore"):
        result = _entries(kernel.describe(), pairs)
    # Products of factors that float64 holds may be too small for it.
    return Entries(result.values, result.tolerance + _TINY)


def _entries(description: dict[str, Any], pairs: Pairs) -> Entries:
    parameters = dict(description)
    name = parameters.pop("name")
    if name in ("sum", "product"):
        left, right = (_entries(parameters[side], pairs) for side in ("left", "right"))
        if name == "sum":
            values = left.values + right.values
            return Entries(
                values,
                left.tolerance + right.tolerance + 2 * U * (np.abs(left.values) + np.abs(right.values)),
            )
        values = left.values * right.values
        tolerance = np.abs(left.values) * right.tolerance + np.abs(right.values) * left.tolerance
        return Entries(values, tolerance + left.tolerance * right.tolerance + 2 * U * np.abs(values))
    return FORMULAS[name](pairs, **parameters)


def _moved(
    formula: Callable[[Long], Long], quantity: tuple[Long, Long], lowest: float | None = None
) -> Entries:
    value, tolerance = quantity
    low, high = value - tolerance, value + tolerance
    if lowest is not None:
        low = np.maximum(low, np.longdouble(lowest))
    k = formula(value)
    moved = np.maximum(np.abs(formula(low) - k), np.abs(formula(high) - k))
    return Entries(k, moved + ROUNDINGS * U * np.abs(k) + _TINY)


def _gaussian(pairs: Pairs, gamma: float) -> Entries:
    return _moved(lambda s: np.exp(-np.longdouble(gamma) * s), pairs.distances(), 0)


def _laplacian(pairs: Pairs, gamma: float) -> Entries:
    return _moved(lambda s: np.exp(-np.longdouble(gamma) * s), pairs.l1_distances(), 0)


def _triangular(pairs: Pairs, **_: Any) -> Entries:
    return _laplacian(pairs, 0.1)


def _matern(pairs: Pairs, nu: float, length_scale: float) -> Entries:
    def formula(squares: Long) -> Long:
        s = np.sqrt(2 * np.longdouble(nu) * squares) / np.longdouble(length_scale)
        polynomial = {0.5: 1 + 0 * s, 1.5: 1 + s, 2.5: 1 + s + s * s / 3}[nu]
        return polynomial * np.exp(-s)

    return _moved(formula, pairs.distances(), 0)


def _rational_quadratic(pairs: Pairs, alpha: float, length_scale: float) -> Entries:
    a, scale = np.longdouble(alpha), np.longdouble(length_scale)
    return _moved(lambda s: np.exp(-a * np.log1p(s / (2 * a * scale * scale))), pairs.distances(), 0)


def _polynomial(pairs: Pairs, degree: int, gamma: float, coef0: float) -> Entries:
    products, tolerance = pairs.inner_products()
    tolerance = tolerance + ROUNDINGS * U * coef0 / gamma
    result = _moved(
        lambda p: (np.longdouble(gamma) * p + np.longdouble(coef0)) ** degree, (products, tolerance)
    )
    return Entries(result.values, result.tolerance + degree * ROUNDINGS * U * np.abs(result.values))


def _linear(pairs: Pairs) -> Entries:
    return _moved(lambda p: p, pairs.inner_products())


def _cosine(pairs: Pairs) -> Entries:
    angle, tolerance = pairs.angles()
    length_x, length_z = pairs.lengths()
    zero = (length_x == 0) | (length_z == 0)
    result = _moved(np.cos, (angle, tolerance))
    return Entries(np.where(zero, 0, result.values), np.where(zero, 0, result.tolerance))


def _j(angle: Long) -> Long:
    return (np.sin(angle) + (_PI - angle) * np.cos(angle)) / _PI


def _angle_of(one_minus: Long) -> Long:
    """arccos(1 - t), to full precision near t = 0."""
    return 2 * np.arcsin(np.sqrt(np.clip(one_minus, 0, 2) / 2))


def _one_minus_j(angle: Long) -> Long:
    """1 - J(theta) / pi; a series where the difference would lose digits."""
    t2 = angle * angle
    # (theta cos - sin) = -theta^3/3 + theta^5/30 - theta^7/840 + ..., 1 - cos = 2 sin^2(theta / 2)
    series = t2 * angle * (1 / np.longdouble(3) - t2 * (1 / np.longdouble(30) - t2 / 840)) / _PI
    direct = (angle * np.cos(angle) - np.sin(angle)) / _PI
    return 2 * np.sin(angle / 2) ** 2 + np.where(angle < 1e-3, -series, direct)


def _arc_cosine(pairs: Pairs, order: int, depth: int) -> Entries:
    length_x, length_z = pairs.lengths()
    size = length_x * length_z if order else np.ones((len(pairs.x), len(pairs.z)), np.longdouble)

    def formula(angle: Long) -> Long:
        angle = np.clip(angle, 0, _PI)
        for _ in range(depth - 1):
            angle = _angle_of(_one_minus_j(angle) if order else angle / _PI)
        return size * (_j(angle) if order else 1 - angle / _PI)

    result = _moved(formula, pairs.angles(), 0)
    return Entries(result.values, result.tolerance + depth * ROUNDINGS * U * size)


def _neural_tangent(pairs: Pairs, depth: int) -> Entries:
    length_x, length_z = pairs.lengths()
    size = length_x * length_z

    def formula(angle: Long) -> Long:
        angle = np.clip(angle, 0, _PI)
        theta = np.cos(angle)
        for _ in range(depth):
            slope = 1 - angle / _PI
            sigma = _j(angle)
            angle = _angle_of(_one_minus_j(angle))
            theta = sigma + theta * slope
        return size * theta

    result = _moved(formula, pairs.angles(), 0)
    return Entries(result.values, result.tolerance + depth * ROUNDINGS * U * size)


#: name of a kernel -> its formula
FORMULAS: dict[str, Callable[..., Entries]] = {
    "gaussian": _gaussian,
    "laplacian": _laplacian,
    "matern": _matern,
    "rational-quadratic": _rational_quadratic,
    "polynomial": _polynomial,
    "linear": _linear,
    "cosine": _cosine,
    "arc-cosine": _arc_cosine,
    "ntk": _neural_tangent,
    "pairwise": _triangular,
}


@dataclass(frozen=True)
class Factor:
    """L of A = L L^T in long double."""

    lower: Long

    @classmethod
    def of(cls, a: Long) -> Factor | None:
        """None where A is not positive definite in long double."""
        lower = a.copy()
        n = len(a)
        for j in range(n):
            pivot = lower[j, j]
            if not pivot > 0:
                return None
            lower[j:, j] /= np.sqrt(pivot)
            lower[j + 1 :, j + 1 :] -= np.outer(lower[j + 1 :, j], lower[j + 1 :, j])
        return cls(np.tril(lower))

    def forward(self, y: Long) -> Long:
        """L^-1 Y."""
        x = y.copy()
        for j in range(len(x)):
            x[j] /= self.lower[j, j]
            x[j + 1 :] -= np.outer(self.lower[j + 1 :, j], x[j])
        return x

    def solve(self, y: Long) -> Long:
        """A^-1 Y, which meets Y to rounding; the product with `inverse` may not."""
        x = self.forward(y)
        for j in range(len(x) - 1, -1, -1):
            x[j] /= self.lower[j, j]
            x[:j] -= np.outer(self.lower[j, :j], x[j])
        return x

    def inverse(self) -> Long:
        """A^-1."""
        w = self.forward(np.eye(len(self.lower), dtype=np.longdouble))
        return w.T @ w

    def log_det(self) -> Any:
        return 2 * np.log(np.diagonal(self.lower)).sum()
