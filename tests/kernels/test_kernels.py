"""Each kernel against its formula in long double, and against scikit-learn's where it has one."""

from __future__ import annotations

import linecache
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit
from scipy.spatial.distance import cdist
from sklearn.gaussian_process.kernels import Matern as SklearnMatern
from sklearn.gaussian_process.kernels import RationalQuadratic as SklearnRationalQuadratic
from sklearn.metrics import pairwise

import kernelfit
from kernelfit.cpu.pool import CpuBackend
from kernelfit.errors import InputError
from kernelfit.gram.points import Points
from kernelfit.gram.source import KernelGram
from kernelfit.kernels import (
    KERNELS,
    ArcCosine,
    Cosine,
    Gaussian,
    Laplacian,
    Linear,
    Matern,
    NeuralTangent,
    Pairwise,
    Polynomial,
    Product,
    RationalQuadratic,
    Sum,
    build,
    from_description,
    parameter_names,
)

LONG = np.longdouble


def sq_dist(x, y):
    return ((x[:, None, :].astype(LONG) - y[None, :, :].astype(LONG)) ** 2).sum(-1)


def l1_dist(x, y):
    return np.abs(x[:, None, :].astype(LONG) - y[None, :, :].astype(LONG)).sum(-1)


def inner(x, y):
    return x.astype(LONG) @ y.astype(LONG).T


def cosines(x, y):
    norms = np.sqrt(np.diag(inner(x, x)))[:, None] * np.sqrt(np.diag(inner(y, y)))[None, :]
    with np.errstate(invalid="ignore"):
        rho = np.where(norms > 0, inner(x, y) / norms, 0)
    return np.clip(rho, -1, 1), norms


def kappa_0(rho):
    return 1 - np.arccos(rho) / LONG(np.pi)


def kappa_1(rho):
    theta = np.arccos(rho)
    return (np.sin(theta) + (LONG(np.pi) - theta) * np.cos(theta)) / LONG(np.pi)


def arc_cosine(order, depth):
    def formula(x, y):
        rho, norms = cosines(x, y)
        for _ in range(depth):
            rho = kappa_0(rho) if order == 0 else kappa_1(rho)
        return rho if order == 0 else norms * rho

    return formula


def neural_tangent(depth):
    def formula(x, y):
        rho, norms = cosines(x, y)
        theta = rho
        for _ in range(depth):
            theta = kappa_1(rho) + theta * kappa_0(rho)
            rho = kappa_1(rho)
        return norms * theta

    return formula


def matern(nu, scale):
    def formula(x, y):
        s = np.sqrt(LONG(2 * nu)) * np.sqrt(sq_dist(x, y)) / LONG(scale)
        return {0.5: 1, 1.5: 1 + s, 2.5: 1 + s + s**2 / 3}[nu] * np.exp(-s)

    return formula


FORMULAS = {
    Gaussian(0.3): lambda x, y: np.exp(-LONG(0.3) * sq_dist(x, y)),
    Laplacian(0.2): lambda x, y: np.exp(-LONG(0.2) * l1_dist(x, y)),
    Matern(0.5, 1.7): matern(0.5, 1.7),
    Matern(1.5, 0.9): matern(1.5, 0.9),
    Matern(2.5, 2.3): matern(2.5, 2.3),
    RationalQuadratic(0.7, 1.3): lambda x, y: (
        (1 + sq_dist(x, y) / (2 * LONG(0.7) * LONG(1.3) ** 2)) ** LONG(-0.7)
    ),
    Polynomial(3, 0.4, 1.5): lambda x, y: (LONG(0.4) * inner(x, y) + LONG(1.5)) ** 3,
    Polynomial(1, 2.0, 0.0): lambda x, y: 2 * inner(x, y),
    Linear(): inner,
    Cosine(): lambda x, y: cosines(x, y)[0],
    ArcCosine(0, 1): arc_cosine(0, 1),
    ArcCosine(0, 3): arc_cosine(0, 3),
    ArcCosine(1, 1): arc_cosine(1, 1),
    ArcCosine(1, 4): arc_cosine(1, 4),
    NeuralTangent(1): neural_tangent(1),
    NeuralTangent(3): neural_tangent(3),
}
STRICT = [  # strictly positive definite on distinct, pairwise non-parallel rows
    kernel for kernel in FORMULAS if not isinstance(kernel, Linear | Polynomial | Cosine)
]

every_kernel = pytest.mark.parametrize("kernel", list(FORMULAS), ids=repr)


def rows_of(rng, kind, n=37, d=5):
    if kind == "float64":
        return rng.standard_normal((n, d)), None
    if kind == "float32":
        return rng.standard_normal((n, d)).astype(np.float32), None
    return rng.integers(0, 256, (n, d), dtype=np.uint8), 1 / 255


@every_kernel
@pytest.mark.parametrize("kind", ["float64", "float32", "bytes"])
def test_a_kernel_is_its_formula(rng, cross, kernel, kind):
    x, scale = rows_of(rng, kind)
    y = rows_of(rng, kind, n=23)[0]
    there, here = (values.astype(np.float64) * (scale or 1.0) for values in (y, x))
    expected = FORMULAS[kernel](here, there)
    got = cross(kernel, x, y, scale)
    # A cosine near 1 or -1 is turned into an angle, which loses half of the digits there.
    digits = 2e-7 if isinstance(kernel, ArcCosine | NeuralTangent) else 2e-14
    assert np.abs(got - expected).max() <= digits * max(1.0, float(np.abs(expected).max()))
    assert not kernel.positive or got.min() >= 0


@every_kernel
@pytest.mark.parametrize("kind", ["float64", "bytes"])
def test_the_gram_matrix_is_symmetric_and_its_diagonal_exact(rng, kernel, kind):
    x, scale = rows_of(rng, kind)
    points = Points(x, scale)
    gram = KernelGram(kernel, points)
    k = np.empty((len(x), len(x)))
    with CpuBackend(1) as backend:
        gram.columns(0, len(x), backend).fill(0, len(x), k)
    assert np.abs(k - k.T).max() <= 4 * np.finfo(float).eps * np.abs(k).max()
    domain = x.astype(np.float64) * (scale or 1.0)
    if isinstance(kernel, ArcCosine | NeuralTangent):  # an angle of zero, where arccos loses digits
        preserved = (domain.astype(LONG) ** 2).sum(1)
        exact = (
            preserved * (kernel.depth + 1) if isinstance(kernel, NeuralTangent) else preserved**kernel.order
        )
    else:
        exact = np.array([FORMULAS[kernel](row[None], row[None])[0, 0] for row in domain])
    np.testing.assert_allclose(np.diag(k), exact.astype(float), rtol=2e-15)
    assert np.array_equal(np.diag(k), gram.diagonal())
    if kernel.stationary or isinstance(kernel, Cosine):
        assert (np.diag(k) == 1.0).all()
    assert np.linalg.eigvalsh((k + k.T) / 2)[0] >= -1e-12 * np.trace(k)


@pytest.mark.parametrize("kernel", STRICT, ids=repr)
def test_distinct_rows_make_k_positive_definite(rng, kernel):
    x = rng.standard_normal((40, 6))
    k = np.empty((40, 40))
    with CpuBackend(1) as backend:
        KernelGram(kernel, Points(x)).columns(0, 40, backend).fill(0, 40, k)
    assert np.linalg.eigvalsh(k)[0] > 1e-6


@pytest.mark.parametrize(
    ("kernel", "reference"),
    [
        (Gaussian(0.3), lambda x, y: pairwise.rbf_kernel(x, y, gamma=0.3)),
        (Laplacian(0.2), lambda x, y: pairwise.laplacian_kernel(x, y, gamma=0.2)),
        (
            Polynomial(4, 0.3, 2.0),
            lambda x, y: pairwise.polynomial_kernel(x, y, degree=4, gamma=0.3, coef0=2.0),
        ),
        (Linear(), pairwise.linear_kernel),
        (Cosine(), pairwise.cosine_similarity),
        (RationalQuadratic(0.7, 1.3), SklearnRationalQuadratic(length_scale=1.3, alpha=0.7)),
        *((Matern(nu, 1.4), SklearnMatern(length_scale=1.4, nu=nu)) for nu in (0.5, 1.5, 2.5)),
    ],
    ids=lambda value: repr(value) if hasattr(value, "describe") else "",
)
def test_agrees_with_scikit_learn(rng, cross, kernel, reference):
    x, y = rng.standard_normal((50, 7)), rng.standard_normal((31, 7))
    np.testing.assert_allclose(cross(kernel, x, y), reference(x, y), rtol=1e-10, atol=1e-13)


def test_laplacian_with_more_features_than_one_block(rng, cross):
    x, y = rng.standard_normal((21, 777)), rng.standard_normal((35, 777))
    expected = np.exp(-0.01 * cdist(x, y, "cityblock"))
    np.testing.assert_allclose(cross(Laplacian(0.01), x, y), expected, rtol=1e-12)


@pytest.mark.parametrize("kernel", [Cosine(), ArcCosine(0, 2), ArcCosine(1, 2), NeuralTangent(2)], ids=repr)
def test_a_zero_row_is_finite(rng, cross, kernel):
    x = rng.standard_normal((6, 3))
    x[2] = 0.0
    k = cross(kernel, x, x)
    assert np.isfinite(k).all()
    np.testing.assert_allclose(k, FORMULAS.get(kernel, lambda a, b: k)(x, x).astype(float), atol=1e-7)


def test_rounding_does_not_carry_a_distance_below_zero(cross):
    x = np.full((3, 40), 1e6) + np.arange(3)[:, None] * 1e-11
    for kernel in (Gaussian(1.0), Matern(0.5, 1.0), Matern(2.5, 1.0), RationalQuadratic()):
        k = cross(kernel, x, x)
        assert ((k >= 0) & (k <= 1)).all()


def test_sums_and_products_nested_on_both_sides(rng, cross):
    a, b, c, d = Gaussian(0.3), Polynomial(2, 0.5, 1.0), Laplacian(0.2), Matern(1.5, 2.0)
    x, y = rng.standard_normal((19, 4)), rng.standard_normal((27, 4))
    ka, kb, kc, kd = (cross(kernel, x, y) for kernel in (a, b, c, d))
    for kernel, expected in [
        (a + b, ka + kb),
        (a * b, ka * kb),
        (a + b * c, ka + kb * kc),
        ((a + b) * (c + d), (ka + kb) * (kc + kd)),
        (a * (b + c * (d + a)), ka * (kb + kc * (kd + ka))),
        (((a + b) * c + d) * a, ((ka + kb) * kc + kd) * ka),
        ((a * b + c * d) * (a * c + b * d), (ka * kb + kc * kd) * (ka * kc + kb * kd)),
    ]:
        np.testing.assert_allclose(cross(kernel, x, y), expected, rtol=1e-14)
        points = Points(x)
        diagonal = np.diag(cross(kernel, x, x))
        np.testing.assert_allclose(kernel.diagonal(points), diagonal, rtol=1e-12)


@pytest.mark.parametrize("other", [3, None, "gaussian"])
def test_only_kernels_add_and_multiply(other):
    for combine in (Sum, Product):
        with pytest.raises(InputError, match=r"^right: got .*expected a kernel$"):
            combine(Gaussian(1.0), other)


def triangular(x, y):
    total = 0.0
    for k in range(x.shape[0]):
        total += abs(x[k] - y[k])
    return math.exp(-0.2 * total)


def test_the_users_function_is_compiled_and_is_what_it_says(rng, cross):
    x, y = rng.standard_normal((20, 6)), rng.standard_normal((33, 6))
    kernel = Pairwise(triangular)
    np.testing.assert_allclose(cross(kernel, x, y), cross(Laplacian(0.2), x, y), rtol=1e-13)
    np.testing.assert_allclose(kernel.diagonal(Points(x)), 1.0)
    bytes_ = rng.integers(0, 256, (9, 6), dtype=np.uint8)
    np.testing.assert_allclose(
        cross(kernel, bytes_, bytes_, 1 / 255), cross(Laplacian(0.2), bytes_, bytes_, 1 / 255)
    )


def test_the_users_function_is_not_called_before_there_are_rows(rng, cross):
    def far(x, y):
        return math.exp(-abs(x[5] - y[5])) / (x[0] * y[0])

    x = rng.standard_normal((8, 6))
    expected = np.exp(-np.abs(x[:, 5:] - x[:, 5:].T)) / (x[:, :1] * x[:, :1].T)
    np.testing.assert_allclose(cross(Pairwise(far), x, x), expected, rtol=1e-13)


def test_a_function_numba_cannot_compile_is_one_line():
    def sends_mail(x, y):
        return undefined_name(x)  # noqa: F821

    kernel = Pairwise(sends_mail)
    kernel.compile()
    with pytest.raises(InputError) as caught:
        kernel.diagonal(Points(np.eye(2)))
    for line in (str(caught.value), *kernel.remarks()):
        assert "\n" not in line
        assert "sends_mail" in line
        assert "undefined_name" in line


@pytest.mark.parametrize("compiled", [False, True])
def test_a_function_cannot_write_into_the_rows(rng, compiled):
    """A row of the caller's own X was changed, and K with it."""

    def forgetful(x, y):
        x[0] = 0.0
        return math.exp(-abs(x[0] - y[0]))

    x = rng.standard_normal((6, 2))
    before = x.copy()
    kernel = Pairwise(njit(forgetful) if compiled else forgetful)
    if compiled:
        kernel.diagonal(Points(x))
    else:
        with pytest.raises(InputError, match="it writes into a row, which is read-only"):
            kernel.diagonal(Points(x))
    assert np.array_equal(x, before)


def _a_row(x, y):
    return x[1:]


def _stores_a_row(x, y):
    z = np.zeros(3)
    z[0] = y
    return z[0]


def _nothing(x, y):
    return None


@pytest.mark.parametrize(
    ("function", "told"),
    [
        (_a_row, r"_a_row gives array\(\[.*expected a real number"),
        (_stores_a_row, "_stores_a_row raises ValueError"),
        (_nothing, "_nothing gives None, expected a real number"),
    ],
)
def test_a_function_that_gives_no_number_is_told_what_it_gives(rng, function, told):
    """It was said to write into a row, which is read-only, or to raise an error that it did not raise."""
    with pytest.raises(InputError, match=f"^function: {told}"):
        Pairwise(function).diagonal(Points(rng.standard_normal((6, 3))))


def test_a_function_that_reads_beyond_its_rows_is_refused(rng):
    """Numba checks no bounds: K was what lay in memory, and a solution of it was said to interpolate."""

    def beyond(x, y):
        return math.exp(-abs(x[7] - y[7]))

    x = rng.standard_normal((6, 3))
    with pytest.raises(InputError, match=r"^function: beyond reads what rows of 3 features do not have"):
        Pairwise(beyond).diagonal(Points(x))


@pytest.mark.parametrize(
    "compiled", [None, {}, {"fastmath": True}, {"signature_or_function": "f8(f8[:], f8[:])"}]
)
def test_a_function_that_reads_beyond_some_rows_is_refused(rng, compiled):
    """Only the first row was looked at: what lay in memory became an entry of K, or of a prediction."""

    def sometimes(x, y):
        return x[7] if x[0] > 5.0 and y[0] > 5.0 else math.exp(-abs(x[0] - y[0]))

    x = rng.standard_normal((60, 3))
    kernel = Pairwise(sometimes if compiled is None else njit(**compiled)(sometimes))
    kernelfit.solve(x, np.ones(60), kernel=kernel, ridge=1.0)
    x[[33, 41], 0] = 6.0
    with pytest.raises(
        InputError, match=r"^function: sometimes reads what rows of 3 features do not have; give X"
    ):
        kernelfit.solve(x, np.ones(60), kernel=kernel, ridge=1.0, threads=2)


def test_what_a_function_raises_is_one_line(rng):
    def picky(x, y):
        if x[0] > 5.0:
            raise ValueError("too far")
        return math.exp(-abs(x[0] - y[0]))

    x = rng.standard_normal((60, 3))
    solution = kernelfit.solve(x, np.ones(60), kernel=Pairwise(picky), ridge=1.0)
    with pytest.raises(
        InputError, match=r"^function: picky raises ValueError \(too far\), expected a number"
    ):
        solution.predict(x + 9.0)


SCALES = np.array([1.0, 2.0])
RATE = 0.5


def around(rate=RATE):
    def scaled(x, y, power=rate):
        return math.exp(-rate * abs(x[0] - y[0]) * SCALES[0] ** power)

    return scaled


def test_the_same_source_with_other_numbers_around_it_is_another_kernel(monkeypatch):
    first = Pairwise(around())
    assert first == Pairwise(around(0.5))
    assert first != Pairwise(around(0.7))
    with pytest.raises(InputError, match=r"^function: its code or the data that it reads differ"):
        from_description(first.describe(), around(0.7))
    monkeypatch.setitem(globals(), "SCALES", 3 * SCALES)
    assert first != Pairwise(around())


@pytest.mark.parametrize("of_another", [False, True])
def test_a_function_without_source_is_known_by_its_byte_code(monkeypatch, of_another):
    if of_another:  # as Python 3.13 has the text of `python -c` at hand
        lines = ["def f(x, y):\n", "    return 1.0\n"]
        monkeypatch.setitem(linecache.cache, "<string>", (30, None, lines, "<string>"))

    def defined(rate):
        names: dict = {"rate": 1.0}
        exec(f"def f(x, y):\n    return rate * {rate} * x[0] * y[0]", names)
        return Pairwise(names["f"])

    assert defined(2.0) == defined(2.0)
    assert defined(2.0) != defined(3.0)


def test_what_is_no_function_is_refused():
    with pytest.raises(InputError, match=r"^function: got 3, expected a Python function"):
        Pairwise(3)


NESTED = (Gaussian(0.5) + Linear()) * (Matern(2.5, 3.0) + RationalQuadratic(2.0, 0.1) * Cosine())


@pytest.mark.parametrize("kernel", [*FORMULAS, NESTED], ids=repr)
def test_a_description_gives_the_kernel_back(kernel):
    import json

    description = json.loads(json.dumps(kernel.describe()))
    again = from_description(description)
    assert again == kernel
    assert hash(again) == hash(kernel)
    assert repr(again) == repr(kernel)
    assert eval(repr(kernel)) == kernel


def test_different_kernels_are_not_equal():
    kernels = [*FORMULAS, NESTED]
    assert all((a == b) == (i == j) for i, a in enumerate(kernels) for j, b in enumerate(kernels))


def test_a_described_function_must_be_given_again():
    kernel = Gaussian(1.0) + Pairwise(triangular)
    description = kernel.describe()
    assert from_description(description, triangular) == kernel
    with pytest.raises(InputError, match=r"^function: .*'triangular'.*give it again"):
        from_description(description)

    def other(x, y):
        return 1.0

    with pytest.raises(InputError, match=r"^function: its code or the data that it reads differ"):
        from_description(description, other)


BAD_NUMBERS = [0, -1, math.nan, math.inf, "wide", None, [1.0, 2.0]]
INVALID = [
    *((name, value) for name in ("Gaussian.gamma", "Laplacian.gamma") for value in BAD_NUMBERS),
    *(
        (f"{kernel}.length_scale", value)
        for kernel in ("Matern", "RationalQuadratic")
        for value in BAD_NUMBERS
    ),
    *(("RationalQuadratic.alpha", value) for value in BAD_NUMBERS),
    *(("Polynomial.gamma", value) for value in BAD_NUMBERS),
    *(("Polynomial.coef0", value) for value in BAD_NUMBERS[1:]),
    *(
        (name, value)
        for name in ("Polynomial.degree", "ArcCosine.depth", "NeuralTangent.depth")
        for value in [*BAD_NUMBERS, 1.5, True]
    ),
    *(("Matern.nu", value) for value in (0, 1, 3.5, math.nan, "1.5", None)),
    *(("ArcCosine.order", value) for value in (-1, 2, 0.5, "1", None)),
]


@pytest.mark.parametrize(("parameter", "value"), INVALID)
def test_every_invalid_parameter_is_one_line_that_names_it(parameter, value):
    kernel, name = parameter.split(".")
    with pytest.raises(InputError) as caught:
        {family.__name__: family for family in KERNELS.values()}[kernel](**{name: value})
    assert str(caught.value).startswith(f"{name}: got ")
    assert "expected" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_length_scale_lost_to_rounding_is_refused():
    """Of equal rows, inf times 0 would be no number."""
    for kind in (Matern, RationalQuadratic):
        with pytest.raises(InputError, match=r"^length_scale: got 1e-309, expected"):
            kind(length_scale=1e-309)


@pytest.mark.parametrize("length_scale", [1e-150, 1e-200, 1e200])
def test_extreme_length_scales_do_not_overflow(rng, cross, length_scale):
    x = rng.standard_normal((4, 2))
    for kernel in (RationalQuadratic(1.0, length_scale), Matern(1.5, length_scale)):
        k = cross(kernel, x, x)
        assert np.isfinite(k).all()
        limit = np.ones((4, 4)) if length_scale > 1 else np.eye(4)
        assert np.abs(k - limit)[~np.eye(4, dtype=bool)].max() < 1e-9


def test_build_names_what_is_wrong():
    assert build("gaussian", gamma=2) == Gaussian(2.0)
    assert build("rbf", gamma=2) == Gaussian(2.0)
    assert build("poly") == Polynomial()
    assert build("laplace", gamma=3) == Laplacian(3.0)
    with pytest.raises(InputError, match=r"^kernel: got 'gausian', expected .*; did you mean 'gaussian'\?$"):
        build("gausian")
    with pytest.raises(
        InputError, match=r"^kernel: got 'zzz', expected one of gaussian, laplacian, .*, ntk$"
    ):
        build("zzz")
    with pytest.raises(
        InputError, match=r"^degree: the gaussian kernel does not have it, expected one of gamma$"
    ):
        build("gaussian", gamma=1.0, degree=2)
    with pytest.raises(
        InputError, match=r"^gamma: the linear kernel does not have it, expected no parameters$"
    ):
        build("linear", gamma=1.0)
    with pytest.raises(InputError, match=r"^gamma: the gaussian kernel needs it"):
        build("gaussian")
    assert parameter_names("polynomial") == ("degree", "gamma", "coef0")


@settings(deadline=None, max_examples=60)
@given(
    st.integers(1, 30),
    st.integers(1, 9),
    st.floats(1e-3, 1e3),
    st.integers(0, 2**32 - 1),
)
def test_stationary_kernels_lie_in_the_unit_interval_for_any_rows(n, d, spread, seed):
    x = np.random.default_rng(seed).standard_normal((n, d)) * spread
    points = Points(x)
    with CpuBackend(1) as backend:
        for kernel in (Gaussian(0.7), Laplacian(0.7), Matern(1.5, 0.3), RationalQuadratic(2.0, 5.0)):
            k = np.full((n, n), np.nan)
            KernelGram(kernel, points).columns(0, n, backend).fill(0, n, k)
            assert ((k >= 0) & (k <= 1)).all()
            assert (np.diag(k) == 1).all()


def test_features_of_a_kernel_give_its_values(rng, cross, any_kernel):
    x, count = rng.standard_normal((9, 4)), any_kernel.feature_count(4)
    x[2] = 0
    if count is None:
        with pytest.raises(NotImplementedError, match="has no features"):
            any_kernel.features(x)
        return
    features = any_kernel.features(x)
    assert features.shape == (9, count)
    assert any_kernel.features(x[:0]).shape == (0, count)
    assert np.allclose(features @ features.T, cross(any_kernel, x, x), rtol=1e-12, atol=1e-12)
