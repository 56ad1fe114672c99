"""K of a kernel formed from a stored K of inner products, against the kernel of the rows themselves."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from mpmath import mp, mpf

from kernelfit.cpu.pool import CpuBackend
from kernelfit.errors import InputError
from kernelfit.gram.layout import PanelLayout
from kernelfit.gram.points import Points
from kernelfit.gram.pointwise import Lengths, PointwiseGram, rectangle_of_products
from kernelfit.gram.rectangle import rectangle
from kernelfit.gram.source import ArrayGram, KernelGram, PanelGram
from kernelfit.gram.submatrix import submatrix
from kernelfit.kernels import ArcCosine, Gaussian, Kernel, Laplacian, Linear, NeuralTangent
from kernelfit.kernels.base import COORDINATES
from tests.conftest import kernels_under_test

OF_PRODUCTS = [kernel for kernel in kernels_under_test() if not kernel.needs & COORDINATES]


def integers(rng: np.random.Generator, n: int, d: int = 7) -> np.ndarray:
    """Rows whose products are exact: some equal, parallel, opposite or zero."""
    x = rng.integers(-9, 10, (n, d)).astype(float)
    x[n // 2], x[n // 3] = 3 * x[0], -x[1]
    x[n - 1] = 0
    return x


def packed(gram: np.ndarray, width: int, dtype: Any = np.float64) -> PanelGram:
    """The lower triangle alone; what nobody may read is not a number."""
    layout = PanelLayout(len(gram), width)
    lower = np.where(np.tri(len(gram), dtype=bool), gram, np.nan)
    return PanelGram(
        layout,
        [
            lower[layout.start(j) :, layout.start(j) : layout.stop(j)].astype(dtype)
            for j in range(layout.count)
        ],
    )


@pytest.mark.parametrize("kernel", OF_PRODUCTS, ids=repr)
@pytest.mark.parametrize(("n", "width"), [(19, 5), (40, 40)])
def test_is_the_kernel_of_the_rows(kernel: Kernel, n: int, width: int, rng: np.random.Generator) -> None:
    x = integers(rng, n)
    gram = PointwiseGram(packed(x @ x.T, width), kernel)
    dense = KernelGram(kernel, Points(x))
    assert gram.layout == PanelLayout(n, width)
    with CpuBackend(2) as backend:
        expected = submatrix(dense, np.arange(n), backend)
        assert np.allclose(submatrix(gram, np.arange(n), backend), expected, rtol=1e-13, atol=1e-15)
        assert np.array_equal(gram.diagonal(), np.diagonal(submatrix(gram, np.arange(n), backend)))
        assert np.allclose(gram.diagonal(), dense.diagonal(), rtol=1e-15)
        part = gram.subset(np.array([0, 3, n - 1]), backend)
        assert np.allclose(part.diagonal(), expected[[0, 3, n - 1], [0, 3, n - 1]], rtol=1e-15)


@pytest.mark.parametrize("kernel", OF_PRODUCTS, ids=repr)
def test_other_rows_and_single_precision(kernel: Kernel, rng: np.random.Generator) -> None:
    x, y = integers(rng, 37), integers(rng, 33)
    there, here = (Lengths((rows**2).sum(axis=1)) for rows in (x, y))
    with CpuBackend(2) as backend:
        expected = rectangle(kernel, Points(y, like=Points(x)), Points(x), backend)
        for dtype, bound in ((np.float64, 1e-13), (np.float32, 1e-7)):
            values = rectangle_of_products(kernel, (y @ x.T).astype(dtype), here, there, backend)
            assert values.dtype == dtype
            assert np.allclose(values, expected, rtol=bound, atol=bound * np.abs(expected).max())
        # A tile that is cut out of a wider block, in single precision.
        columns = PointwiseGram(ArrayGram(x @ x.T), kernel).columns(5, 20, backend)
        out = np.empty((8, 30), np.float32)[:, :11]
        columns.fill(12, 20, out)
        dense = submatrix(KernelGram(kernel, Points(x)), np.arange(37), backend)
        assert np.allclose(out[:, :7], dense[12:20, 5:12], rtol=1e-6, atol=1e-7 * np.abs(dense).max())


def _near(angle: float) -> tuple[np.ndarray, np.ndarray]:
    return np.array([1.0, 0.0]), np.array([np.cos(angle), np.sin(angle)])


def _exact(kernel: Kernel, angle: Any) -> Any:
    """k of two unit vectors at this angle, by its definition, in mpmath."""
    zero = (mp.pi - angle) / mp.pi
    one = (mp.sin(angle) + (mp.pi - angle) * mp.cos(angle)) / mp.pi
    if isinstance(kernel, Gaussian):
        return mp.exp(-kernel.gamma * (2 * mp.sin(angle / 2)) ** 2)
    if isinstance(kernel, NeuralTangent):
        return one + mp.cos(angle) * zero
    return zero if kernel.parameters["order"] == 0 else one


@pytest.mark.parametrize("kernel", [Gaussian(2.0), ArcCosine(0), ArcCosine(1), NeuralTangent(1)], ids=repr)
@pytest.mark.parametrize("angle", [0.0, 1e-7, 1e-5, 1e-3, 0.3, 1.5, 3.0])
def test_what_rounded_products_cost(kernel: Kernel, angle: float, rng: np.random.Generator) -> None:
    """The bounds of the module's docstring, with products off by d."""
    d, draws = 2.0**-24, 200
    x, y = _near(angle)
    products = (x @ y) * np.ones((draws, 1)) + d * rng.uniform(-1, 1, (draws, 1))
    squares = 1 + d * rng.uniform(-1, 1, draws)
    with CpuBackend(1) as backend:
        values = rectangle_of_products(kernel, products, Lengths(squares), Lengths(np.ones(1)), backend)
    with mp.workdps(40):
        expected = float(_exact(kernel, mpf(angle)))
    slope = 2 * d / np.pi / max(np.sin(angle), np.sqrt(d))
    bounds = {
        "gaussian": 8 * d,
        "ntk": slope + 4 * d,
        "arc-cosine": [slope, 2 * d][kernel.parameters.get("order", 0)],
    }
    error = np.abs(values - expected).max()
    assert error <= 1.05 * bounds[kernel.name]
    assert angle > 1 or error >= 0.02 * bounds[kernel.name]  # the bound says something


def test_a_kernel_of_the_rows_themselves_is_refused() -> None:
    with pytest.raises(
        InputError, match=r"kernel: got Sum\(Gaussian.*Laplacian.*, which reads the rows themselves"
    ):
        PointwiseGram(ArrayGram(np.eye(3)), Gaussian(1.0) + Linear() * Laplacian(1.0))


def test_rows_known_by_their_products_have_no_coordinates() -> None:
    with pytest.raises(ValueError, match="products alone"):
        Lengths(np.ones(3)).scaled(0, 1)
