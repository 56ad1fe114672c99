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

import kernelfit
from kernelfit.cpu.pool import CpuBackend
from kernelfit.device.gram import RowsGram, fetch
from kernelfit.errors import InputError
from kernelfit.gram.points import Points
from kernelfit.gram.source import KernelGram
from kernelfit.gram.tile import ColumnBlock, evaluate
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
        self.angle = mp.pi / 2 if self.square else mpf(0)
        if self.lengths:
            minus = [p * self._norm(b) - q * self._norm(a) for p, q in zip(a, b, strict=True)]
            plus = [p * self._norm(b) + q * self._norm(a) for p, q in zip(a, b, strict=True)]
            self.angle = 2 * mp.atan2(self._norm(minus), self._norm(plus))
            # Rows that are multiples of each other leave the round-off of these digits.
            if self.angle < mpf(10) ** -100:
                self.angle = mpf(0)
            elif mp.pi - self.angle < mpf(10) ** -100:
                self.angle = +mp.pi

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
    if type(kernel) not in REFERENCES:
        pytest.skip(f"no formula of {type(kernel).__name__} in REFERENCES")
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


def seeded(examples: int) -> Callable[[Any], Any]:
    """That many examples of rows, features, their type and a seed; always the same ones."""
    quick = settings(
        deadline=None, max_examples=examples, derandomize=True, suppress_health_check=list(HealthCheck)
    )
    dtypes = st.sampled_from([np.float64, np.float32])
    sizes = given(st.integers(2, 5), st.integers(1, 5), dtypes, st.integers(0, 2**32 - 1))
    return lambda test: quick(sizes(test))


def made(hard_rows: Callable[..., np.ndarray], n: int, d: int, dtype: Any, seed: int) -> np.ndarray:
    x = hard_rows(np.random.default_rng(seed), n, d)
    return x.astype(dtype) if x.dtype == np.float64 and 1e-30 < np.abs(x).max() < 1e30 else x


@seeded(2)
def test_entries_are_right_to_rounding(cross, any_kernel, hard_rows, n, d, dtype, seed):
    check(cross, any_kernel, made(hard_rows, n, d, dtype, seed))


@pytest.mark.slow
@seeded(60)
def test_entries_of_many_rows_are_right_to_rounding(cross, any_kernel, hard_rows, n, d, dtype, seed):
    check(cross, any_kernel, made(hard_rows, n, d, dtype, seed))


def of_their_own_scale(cross: Callable[..., np.ndarray], x: np.ndarray, seed: int) -> None:
    wide = x.astype(np.float64)
    distances = np.abs(wide[:, None] - wide).max(axis=2)
    distances = distances[(distances > 1e-140) & (distances < 1e140)]
    if distances.size:
        r = float(np.random.default_rng(seed).choice(distances))
        for kernel in SCALED:
            check(cross, kernel(r), x)


@seeded(3)
def test_kernels_of_the_rows_own_scale_are_right_to_rounding(cross, hard_rows, n, d, dtype, seed):
    of_their_own_scale(cross, made(hard_rows, n, d, dtype, seed), seed)


@pytest.mark.slow
@seeded(100)
def test_kernels_of_many_rows_own_scale_are_right_to_rounding(cross, hard_rows, n, d, dtype, seed):
    of_their_own_scale(cross, made(hard_rows, n, d, dtype, seed), seed)


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


@pytest.mark.parametrize("kernel", [Cosine(), ArcCosine(0, 1), ArcCosine(0, 3)], ids=repr)
def test_rows_below_the_smallest_normal_number(rng, cross, kernel):
    """The inverse of their power of two overflowed: parallel rows had no angle, nor predictions a value."""
    x = np.round(rng.standard_normal((6, 3)) * 2.0**20)
    x[3] = 2.0 * x[0]
    np.testing.assert_array_equal(
        cross(kernel, x * 2.0**-1074, x * 2.0**-1074), cross(kernel, x * 2.0**-600, x * 2.0**-600)
    )


def test_a_time_stamp_beside_zeros_costs_cosines_nothing(rng, cross):
    """1.7e9 for 60 % of the rows and 0 for the rest: the median, taken off and added again, put entries off by 0.93."""
    x = rng.standard_normal((50, 3))
    x[:, 0] = np.where(np.arange(50) < 30, 1.7e9, 0.0)
    expected = x.astype(np.longdouble) @ x.T.astype(np.longdouble)
    lengths = np.sqrt(np.diag(expected))
    expected = expected / lengths[:, None] / lengths
    np.testing.assert_allclose(cross(Cosine(), x, x), expected.astype(float), rtol=0, atol=1e-15)
    alpha = kernelfit.solve(x, rng.standard_normal(50), kernel=Cosine() + Gaussian(0.5), ridge=1e-3).alpha
    assert np.isfinite(alpha).all()


def test_a_zero_row_has_no_inner_product_with_any(rng, cross):
    x = 1e6 + rng.standard_normal((20, 3))
    x[7] = 0.0
    k = cross(Linear(), x, x)
    assert (k[7] == 0).all()
    assert (k[:, 7] == 0).all()


@pytest.mark.parametrize("m", [1e8, 1e15])
def test_clusters_far_apart_keep_their_short_distances(rng, cross, m):
    x = rng.standard_normal((40, 2))
    x[20:] += m
    differences = np.abs(x[:, None].astype(np.longdouble) - x[None]) ** 2
    expected = np.exp(-np.sqrt(differences.sum(axis=2))).astype(float)
    np.testing.assert_allclose(cross(Matern(0.5), x, x), expected, rtol=0, atol=1e-14)


@pytest.mark.parametrize("size", [1e78, 1e-85])
def test_the_size_of_rows_is_nothing_to_cosines(rng, cross, size):
    x = rng.standard_normal((20, 4))
    np.testing.assert_allclose(cross(Cosine(), size * x, size * x), cross(Cosine(), x, x), rtol=0, atol=1e-15)


@pytest.mark.parametrize(
    "kernel", [ArcCosine(0, 1), ArcCosine(0, 5), ArcCosine(1, 5), NeuralTangent(5)], ids=repr
)
def test_parallel_rows_have_no_angle(cross, kernel):
    row = np.array([[0.5, -1.5, 3.0, 7.5]])
    k = cross(kernel, row, 3 * row)[0, 0]
    length = 3 * (row**2).sum()
    expected = {"ntk": 6 * length}.get(kernel.name, 1.0 if getattr(kernel, "order", 1) == 0 else length)
    assert k == pytest.approx(expected, rel=1e-15)


def test_new_rows_on_the_grid_are_training_rows_in_any_dtype_and_company(rng):
    """Training rows float32(k / 255) count as k / 255: so does a new row, also beside rows that are not on the grid."""
    x = (rng.integers(0, 256, (60, 12)) / 255).astype(np.float32)
    solution = kernelfit.solve(x, rng.standard_normal(60), kernel=Matern(0.5))
    expected = solution.predict(x)
    beside = np.vstack([x, rng.random((1, 12), np.float32)])
    for rows in (x.astype(np.float64), beside, beside.astype(np.float64)):
        np.testing.assert_allclose(solution.predict(rows)[:60], expected, rtol=1e-12, atol=1e-12)


def test_integers_beyond_float64_are_refused_and_others_exact(rng, cross):
    stamps = 1_700_000_000_000_000_001 + 10 * rng.integers(0, 1000, (30, 1))
    with pytest.raises(
        InputError, match=r"^X: got the integer 17\d+ at row 0, column 0, expected integers that float64"
    ):
        kernelfit.solve(stamps, np.arange(30.0), kernel=Laplacian(0.01))
    with pytest.raises(InputError, match="got the integer 18446744073709551615"):
        kernelfit.solve(np.array([[0], [2**64 - 1]], np.uint64), np.arange(2.0))
    shifted = stamps - stamps.min()
    expected = np.exp(-0.01 * np.abs(shifted - shifted.T))
    np.testing.assert_allclose(cross(Laplacian(0.01), shifted, shifted), expected, rtol=1e-14)
    whole = 2**60 + 512 * rng.integers(0, 9, (9, 1))
    np.testing.assert_allclose(
        cross(Laplacian(0.01), whole, whole), np.exp(-0.01 * np.abs(whole - whole.T)), rtol=1e-14
    )


@pytest.mark.parametrize("depth", [1, 3])
def test_a_zero_row_is_parallel_to_itself(rng, cross, depth):
    """The diagonal of K said 1, predictions at that row 1/2: they missed its target, with `interpolates`."""
    kernel, x = ArcCosine(order=0, depth=depth), rng.standard_normal((12, 3))
    x[4] = 0
    assert cross(kernel, x, x)[4, 4] == 1.0
    y = rng.standard_normal(12)
    solution = kernelfit.solve(x, y, kernel=kernel)
    assert solution.certificate.interpolates
    assert np.allclose(solution.predict(x), y, rtol=0, atol=1e-10)


@pytest.mark.parametrize("kernel", [Gaussian(0.7), Laplacian(0.7), Matern(0.5, 1.3), RationalQuadratic()])
@pytest.mark.parametrize("rows", ["pairs", "clusters", "integers", "stamps"])
@pytest.mark.parametrize("device", [False, True])
def test_a_scale_rounds_nothing_before_rows_are_subtracted(
    make_device: Any, kernel: Kernel, rows: str, device: bool
) -> None:
    """Rows were multiplied by the scale first: of pairs 1e-9 apart half of the digits were left, of stamps fewer."""
    rng = np.random.default_rng(0)
    x: np.ndarray = rng.standard_normal((12, 3))
    scale = {"pairs": 0.1, "clusters": 0.3, "integers": 0.1, "stamps": 1 / 86_400}[rows]
    if rows == "pairs":
        x[6:] = x[:6] + 1e-9 * rng.standard_normal((6, 3))
    elif rows == "clusters":
        x[6:] += 1e8
    elif rows == "integers":
        x = rng.integers(2**30, 2**30 + 40, (12, 3))
    else:
        x = 1_700_000_000 + rng.integers(0, 90_000, (12, 3)).astype(np.float64)
    points, out = Points(x, scale), np.empty((12, 12))
    if device:
        stand_in = make_device(1_000_000)
        stream = stand_in.stream("main")
        block = stand_in.slab.take(12, 12, np.float64)
        gram = RowsGram(stand_in, stream, KernelGram(kernel, points), 7, 5)
        gram.fill(stream, (0, 12), (0, 12), block, both=True)
        out = fetch(stand_in, stream, block)
    else:
        with CpuBackend(1) as backend:
            evaluate(kernel, points, 0, 12, ColumnBlock(points, 0, 12, points.exact), out, backend)
    for i in range(12):
        for j in range(i):
            apart = [mpf(scale) * (mpf(float(p)) - mpf(float(q))) for p, q in zip(x[i], x[j], strict=True)]
            square, l1 = mp.fsum(v * v for v in apart), mp.fsum(abs(v) for v in apart)
            exact = {
                "gaussian": lambda square=square: mp.exp(-mpf(0.7) * square),
                "laplacian": lambda l1=l1: mp.exp(-mpf(0.7) * l1),
                "matern": lambda square=square: mp.exp(-mp.sqrt(square) / mpf(1.3)),
                "rational-quadratic": lambda square=square: 1 / (1 + square / 2),
            }[kernel.name]()
            # |log k| relative errors of the distance move k by that much.
            bound = 64 * U * (1 + abs(mp.log(exact)))
            assert abs(mpf(float(out[i, j])) - exact) <= bound * exact + mpf(10) ** -300, (i, j)


def test_a_scale_that_shrinks_rows_does_not_let_their_differences_overflow(
    cross: Callable[..., np.ndarray],
) -> None:
    """Rows of 1e308 were subtracted before the scale of 1e-308: exp(-2) became 0."""
    x = np.array([[1e308, -1e308, 0.0], [-1e308, 1e308, 1e300]])
    np.testing.assert_allclose(
        cross(Laplacian(0.5), x, x, 1e-308), np.exp(-np.array([[0, 2], [2, 0]])), rtol=1e-7
    )


@pytest.mark.parametrize("depth", [2, 3, 5])
def test_rows_of_one_feature_are_parallel(
    rng: np.random.Generator, cross: Callable[..., np.ndarray], depth: int
) -> None:
    """Round-off of 5 u^2 counted as an angle, 3e-9 of k at depth 3, another one in every shape of tile."""
    x = 750_208 + rng.standard_normal((40, 1))
    assert np.array_equal(cross(ArcCosine(order=0, depth=depth), x, x), np.ones((40, 40)))
    far = x * rng.integers(1, 2**20, (40, 1))
    assert np.array_equal(cross(ArcCosine(order=0, depth=depth), x, far), np.ones((40, 40)))


def test_a_diagonal_in_range_does_not_underflow_on_the_way():
    """|x|^2 is 0 in float64 for rows of 1e-162, where gamma |x|^2 is 5e-24: k(x, x) was 0."""
    rows = np.array([[1e-162, 2e-162], [0.0, 0.0], [1e-10, 0.0]])
    kernel = Polynomial(degree=1, gamma=1e300, coef0=0.0)
    assert np.allclose(kernel.diagonal(Points(rows)), [5e-24, 0.0, 1e280], rtol=1e-14, atol=0.0)
