"""K formed anew for every product, from bytes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from kernelfit.cpu import bytes_product
from kernelfit.cpu.pool import CpuBackend
from kernelfit.gram.points import Points
from kernelfit.iterative.formed_gram import FormedGram, formed_gram
from kernelfit.kernels import Gaussian, Laplacian

pytestmark = pytest.mark.skipif(not bytes_product.available(), reason="the CPU has no VNNI")


def digits(rng: np.random.Generator, n: int) -> Points:
    return Points(rng.integers(0, 256, (n, 30), dtype=np.uint8), 1 / 255)


@pytest.mark.parametrize("n", [1, 14, 512, 526, 1_300])
def test_products_and_columns(rng: np.random.Generator, backend: CpuBackend, n: int) -> None:
    points, kernel = digits(rng, n), Gaussian(0.7)
    gram = FormedGram(kernel, points)
    X = points.scaled(0, n)
    exact = np.exp(-0.7 * ((X[:, None] - X[None]) ** 2).sum(axis=-1))
    vectors = rng.standard_normal((n, 12)).astype(np.float32).astype(float)
    for dtype in (np.float32, np.float64):
        product = gram.product(vectors, backend, dtype)
        np.testing.assert_allclose(product, exact @ vectors, rtol=0, atol=2e-6 * np.sqrt(n))
    index = np.unique(rng.integers(0, n, 20))
    columns = gram.columns(index, backend).transpose(1, 0, 2).reshape(len(index), -1)
    np.testing.assert_allclose(columns[:, :n], exact[index], rtol=0, atol=1e-6)


def test_the_same_bits_whatever_the_threads(rng: np.random.Generator) -> None:
    gram, vectors = FormedGram(Gaussian(0.7), digits(rng, 1_100)), rng.standard_normal((1_100, 3))
    products = []
    for threads in (1, 2, 3):
        with CpuBackend(threads) as backend:
            products.append(gram.product(vectors, backend).tobytes())
    assert products[0] == products[1] == products[2]


def test_floats_and_other_formulas_are_not_formed_here(rng: np.random.Generator) -> None:
    floats: Any = Points(rng.standard_normal((5, 30)))
    assert formed_gram(Gaussian(0.7), floats) is None
    assert formed_gram(Laplacian(0.7), digits(rng, 5)) is None
    assert formed_gram(None, None) is None


def test_single_precision_of_gaussians() -> None:
    distances = np.linspace(0, 100, 5_000, dtype=np.float32).reshape(50, 100)
    exact = np.exp(-distances.astype(float))
    Gaussian(0.5).evaluate_single(distances, 2.0)
    shown = exact > 1e-37
    np.testing.assert_allclose(distances[shown], exact[shown], rtol=2e-7)
    assert (distances[~shown] <= 1.1e-37).all()


def test_a_gamma_beyond_single_precision_leaves_the_diagonal() -> None:
    distances = np.array([[0.0, 1.0, 2e9]], np.float32)
    Gaussian(1e300).evaluate_single(distances, 1.0)
    np.testing.assert_array_equal(distances, [[1.0, 0.0, 0.0]])
