"""K in memory in float32."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from kernelfit.cpu.pool import CpuBackend
from kernelfit.gram.layout import PanelLayout
from kernelfit.gram.source import ArrayGram
from kernelfit.iterative.stored_gram import StoredGram
from kernelfit.progress import Silent

from .conftest import gaussian_matrix


@pytest.mark.parametrize(("n", "width"), [(7, 7), (512, 512), (600, 256), (1_300, 100), (1_025, 1_025)])
def test_products_and_columns(rng: np.random.Generator, backend: CpuBackend, n: int, width: int) -> None:
    gram = gaussian_matrix(rng, n)
    rounded = gram.astype(np.float32).astype(float)
    # Only the lower triangle of a source counts.
    stored = StoredGram.of(ArrayGram(np.tril(gram)), PanelLayout(n, width), backend, Silent())
    vectors = rng.standard_normal((n, 7)).astype(np.float32).astype(float)
    np.testing.assert_allclose(stored.product(vectors, backend), rounded @ vectors, atol=1e-12)
    single = stored.product(vectors, backend, np.float32)
    np.testing.assert_allclose(single, rounded @ vectors, atol=1e-6 * np.sqrt(n))
    index = np.unique(rng.integers(0, n, 20))
    columns = stored.columns(index, backend).transpose(1, 0, 2).reshape(len(index), -1)
    np.testing.assert_array_equal(columns[:, :n], rounded[index])
    assert not columns[:, n:].any()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_same_bits_whatever_the_threads(rng: np.random.Generator, dtype: Any) -> None:
    gram, vectors = gaussian_matrix(rng, 1_100), rng.standard_normal((1_100, 3))
    products = []
    for threads in (1, 2, 3):
        with CpuBackend(threads) as backend:
            stored = StoredGram.of(ArrayGram(gram), PanelLayout(1_100, 256), backend, Silent())
            products.append(stored.product(vectors, backend, dtype).tobytes())
    assert products[0] == products[1] == products[2]
