"""Entries of K are right to rounding: every kernel against mpmath, as far as the formula's conditioning allows.

An entry may be off by what its formula makes of relative errors of a few d u: in |x - x'|^2, in <x, x'> relative to |x|
|x'|, in the angle and in |x - x'|_1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mpmath import mp, mpf

from kernelfit.kernels import (
    ArcCosine,
    Cosine,
    Gaussian,
    Kernel,
    Laplacian,
    Linear,
    Matern,
    NeuralTangent,
    Pairwise,
    Polynomial,
    Product,
    RationalQuadratic,
    Sum,
)

U = 2.0**-53
# Digits: an angle of 1e-30 beside one, squared, and again.
DIGITS = 150


class Exact:
    """What kernels read of one pair, in mpmath; `moved(e)` is the same with relative errors e."""

    def __init__(self, x: np.ndarray, y: np.ndarray) -> None:
        a, b = [mpf(float(v)) for v in x], [mpf(float(v)) for v in y]
        self.square = mp.fsum((p - q) ** 2 for p, q in zip(a, b, strict=True))
        self.l1 = mp.fsum(abs(p - q) for p, q in zip(a, b, strict=True))
        self.inner = mp.fsum(p * q for p, q in zip(a, b, strict=True))
        self.lengths = mp.sqrt(mp.fsum(p * p for p in a)) * mp.sqrt(mp.fsum(q * q for q in b))
        self.angle = mp.pi / 2
        if self.lengths:
            minus = [p * self._norm(b) - q * self._norm(a) for p, q in zip(a, b, strict=True)]
            plus = [p * self._norm(b) + q * self._norm(a) for p, q in zip(a, b, strict=True)]
            self.angle = 2 * mp.atan2(self._norm(minus), self._norm(plus))

    @staticmethod
    def _norm(values: list[Any]) -> Any:
        return mp.sqrt(mp.fsum(v * v for v in values))

    def moved(self, error: Any) -> Exact:
        other = object.__new__(Exact)
        other.square, other.l1 = self.square * (1 + error), self.l1 * (1 + error)
        other.inner = self.inner + error * self.lengths
        other.lengths = self.lengths * (1 + error)
        # Near pi it is the rest that has all its digits.
        rest = mp.pi - self.angle
        other.angle = self.angle * (1 + error) if self.angle < rest else mp.pi - rest * (1 + error)
        return other


def kappa_0(theta: Any) -> Any:
    return 1 - theta / mp.pi


def kappa_1(theta: Any) -> Any:
    return (mp.sin(theta) + (mp.pi - theta) * mp.cos(theta)) / mp.pi


def angle_of(cosine: Any) -> Any:
    return mp.acos(max(mpf(-1), min(mpf(1), cosine)))


def arc_cosine(kernel: Any, pair: Exact) -> Any:
    layer = kappa_0 if kernel.order == 0 else kappa_1
    theta = pair.angle
    for _ in range(kernel.depth):
        value = layer(theta)
        theta = angle_of(value)
    return value if kernel.order == 0 else value * pair.lengths


def neural_tangent(kernel: Any, pair: Exact) -> Any:
    theta, total = pair.angle, mp.cos(pair.angle)
    for _ in range(kernel.depth):
        total = kappa_1(theta) + total * kappa_0(theta)
        theta = angle_of(kappa_1(theta))
    return total * pair.lengths


def matern(kernel: Any, pair: Exact) -> Any:
    s = mp.sqrt(2 * mpf(kernel.nu) * pair.square) / mpf(kernel.length_scale)
    return {0.5: 1, 1.5: 1 + s, 2.5: 1 + s + s**2 / 3}[kernel.nu] * mp.exp(-s)


REFERENCES: dict[type[Kernel], Callable[[Any, Exact], Any]] = {
    Gaussian: lambda k, pair: mp.exp(-mpf(k.gamma) * pair.square),
    Laplacian: lambda k, pair: mp.exp(-mpf(k.gamma) * pair.l1),
    Pairwise: lambda k, pair: mp.exp(-mpf(0.1) * pair.l1),
    Matern: matern,
    RationalQuadratic: lambda k, pair: (
        (1 + pair.square / (2 * mpf(k.alpha) * mpf(k.length_scale) ** 2)) ** -mpf(k.alpha)
    ),
    Polynomial: lambda k, pair: (mpf(k.gamma) * pair.inner + mpf(k.coef0)) ** k.degree,
    Linear: lambda k, pair: pair.inner,
    Cosine: lambda k, pair: pair.inner / pair.lengths if pair.lengths else mpf(0),
    ArcCosine: arc_cosine,
    NeuralTangent: neural_tangent,
    Sum: lambda k, pair: reference(k.left, pair) + reference(k.right, pair),
    Product: lambda k, pair: reference(k.left, pair) * reference(k.right, pair),
}


def reference(kernel: Kernel, pair: Exact) -> Any:
    return REFERENCES[type(kernel)](kernel, pair)


def magnitude(kernel: Any, pair: Exact) -> Any:
    """What rounding inside the formula is relative to: the sum of the magnitudes that are added."""
    if isinstance(kernel, Sum):
        return magnitude(kernel.left, pair) + magnitude(kernel.right, pair)
    if isinstance(kernel, Product):
        return magnitude(kernel.left, pair) * magnitude(kernel.right, pair)
    if isinstance(kernel, Polynomial):
        return (mpf(kernel.gamma) * abs(pair.inner) + mpf(kernel.coef0)) ** kernel.degree * kernel.degree
    if isinstance(kernel, NeuralTangent):
        return pair.lengths * (kernel.depth + 1)
    if isinstance(kernel, ArcCosine):
        return pair.lengths if kernel.order else mpf(1)
    return abs(reference(kernel, pair))


def underflow(kernel: Any, pair: Exact) -> Any:
    """What is lost below the smallest number of float64, 3e-308, by the time that everything is multiplied."""
    if isinstance(kernel, Sum):
        return underflow(kernel.left, pair) + underflow(kernel.right, pair)
    if isinstance(kernel, Product):
        left, right = magnitude(kernel.left, pair), magnitude(kernel.right, pair)
        return underflow(kernel.left, pair) * (1 + right) + underflow(kernel.right, pair) * (1 + left)
    return mpf(1e-305)


def entry_and_bound(kernel: Kernel, x: np.ndarray, y: np.ndarray) -> tuple[Any, Any]:
    pair, d = Exact(x, y), len(x)
    value, error = reference(kernel, pair), mpf(64 * (d + 8) * U)
    moved = max(abs(reference(kernel, pair.moved(sign * error)) - value) for sign in (-1, 1))
    return value, moved + 64 * U * magnitude(kernel, pair) + underflow(kernel, pair)


def check(cross: Callable[..., np.ndarray], kernel: Kernel, x: np.ndarray) -> None:
    with mp.workdps(DIGITS):
        got = cross(kernel, x, x)
        wide = x.astype(np.float64)
        for i in range(len(x)):
            for j in range(len(x)):
                value, bound = entry_and_bound(kernel, wide[i], wide[j])
                if abs(value) + bound > mpf(1e300):
                    continue
                assert abs(mpf(float(got[i, j])) - value) <= bound, (
                    i,
                    j,
                    got[i, j],
                    float(value),
                    float(bound),
                )


def clusters(rng: np.random.Generator, n: int, d: int) -> np.ndarray:
    """Around 0 and around points far out."""
    centres = 10.0 ** rng.uniform(0, 15, (2, 1)) * rng.standard_normal((2, d))
    centres = np.vstack([np.zeros((1, d)), centres])
    return centres[rng.integers(0, 3, n)] + rng.standard_normal((n, d))


def offsets(rng: np.random.Generator, n: int, d: int) -> np.ndarray:
    return rng.standard_normal((n, d)) + 10.0 ** rng.uniform(-3, 9, d)


def time_stamps(rng: np.random.Generator, n: int, d: int) -> np.ndarray:
    x = rng.standard_normal((n, d))
    x[: max(1, 2 * n // 3), 0] += 1.7e9
    return x


def mixed_scales(rng: np.random.Generator, n: int, d: int) -> np.ndarray:
    return rng.standard_normal((n, d)) * 10.0 ** rng.uniform(-8, 8, d)


def mixed_rows(rng: np.random.Generator, n: int, d: int) -> np.ndarray:
    return rng.standard_normal((n, d)) * 10.0 ** rng.uniform(-150, 150, (n, 1))


def tiny(rng: np.random.Generator, n: int, d: int) -> np.ndarray:
    return rng.standard_normal((n, d)) * 1e-150


def huge(rng: np.random.Generator, n: int, d: int) -> np.ndarray:
    return rng.standard_normal((n, d)) * 1e149


def near_equal(rng: np.random.Generator, n: int, d: int) -> np.ndarray:
    x = rng.standard_normal((n, d)) + rng.uniform(-3, 3)
    x[1::2] = x[: n - n % 2 : 2] * (
        1 + 10.0 ** rng.uniform(-16, -2, (n // 2, 1)) * rng.standard_normal((n // 2, d))
    )
    return x


def near_parallel(rng: np.random.Generator, n: int, d: int) -> np.ndarray:
    """Multiples of one integer row, exact and nearly so, of either sign."""
    row = rng.integers(-5, 6, d) + 0.5
    x = row * rng.choice([-3.0, -1.0, 1.0, 3.0, 5.0], (n, 1))
    x[1::2] += 10.0 ** rng.uniform(-17, -1, (n // 2, 1)) * rng.standard_normal((n // 2, d))
    return x


def with_zeros(rng: np.random.Generator, n: int, d: int) -> np.ndarray:
    x = rng.standard_normal((n, d)) * (rng.random((n, d)) < 0.4)
    x[0] = 0.0
    return x


def grid_bytes(rng: np.random.Generator, n: int, d: int) -> np.ndarray:
    return rng.integers(0, 256, (n, d)).astype(np.uint8)


ROWS = (
    clusters,
    offsets,
    time_stamps,
    mixed_scales,
    mixed_rows,
    tiny,
    huge,
    near_equal,
    near_parallel,
    with_zeros,
    grid_bytes,
)


#: kernels whose scale is that of the rows, given a distance r between two of them
SCALED: tuple[Callable[[float], Kernel], ...] = (
    lambda r: Gaussian(0.7 / r / r),
    lambda r: Laplacian(0.3 / r),
    lambda r: Matern(0.5, r),
    lambda r: Matern(1.5, 2 * r),
    lambda r: Matern(2.5, r),
    lambda r: RationalQuadratic(0.7, r),
    lambda r: Matern(0.5, r) * Laplacian(0.3 / r) + Cosine(),
    lambda r: Polynomial(4, 1 / r / r, 1.0),
    lambda r: ArcCosine(0, 5),
    lambda r: ArcCosine(1, 5),
    lambda r: NeuralTangent(5),
)

sizes = given(
    st.integers(2, 6), st.integers(1, 5), st.sampled_from([np.float64, np.float32]), st.integers(0, 2**32 - 1)
)


def made(rows: Callable[..., np.ndarray], n: int, d: int, dtype: Any, seed: int) -> np.ndarray:
    x = rows(np.random.default_rng(seed), n, d)
    return x.astype(dtype) if x.dtype == np.float64 and 1e-30 < np.abs(x).max() < 1e30 else x


@pytest.mark.parametrize("rows", ROWS, ids=lambda rows: rows.__name__)
@settings(deadline=None, max_examples=6, derandomize=True, suppress_health_check=list(HealthCheck))
@sizes
def test_entries_are_right_to_rounding(cross, any_kernel, rows, n, d, dtype, seed):
    check(cross, any_kernel, made(rows, n, d, dtype, seed))


@pytest.mark.parametrize("rows", ROWS, ids=lambda rows: rows.__name__)
@settings(deadline=None, max_examples=6, derandomize=True, suppress_health_check=list(HealthCheck))
@sizes
def test_kernels_of_the_rows_own_scale_are_right_to_rounding(cross, rows, n, d, dtype, seed):
    x = made(rows, n, d, dtype, seed)
    rng = np.random.default_rng(seed)
    wide = x.astype(np.float64)
    distances = np.abs(wide[:, None] - wide).max(axis=2)
    distances = distances[(distances > 1e-140) & (distances < 1e140)]
    if distances.size == 0:
        return
    for kernel in SCALED:
        check(cross, kernel(float(rng.choice(distances))), x)


def test_rows_whose_squares_underflow(rng, cross):
    x = rng.standard_normal((6, 3)) * 1e-160
    kernels = (
        Matern(0.5, 1e-160),
        Matern(2.5, 2e-160),
        Laplacian(1e160),
        Matern(1.5, 1e-160) + Cosine(),
        Cosine(),
        ArcCosine(0, 2),
    )
    for kernel in kernels:
        check(cross, kernel, x)
