"""K from what is known of all pairs equals K that is generated."""

from __future__ import annotations

import numpy as np
import pytest

from kernelfit.errors import InputError
from kernelfit.gram.pairs import Pairs
from kernelfit.gram.points import Points
from kernelfit.gram.source import KernelGram
from kernelfit.gram.submatrix import submatrix
from kernelfit.kernels import ArcCosine, Gaussian, Laplacian, Linear, Matern, Polynomial, RationalQuadratic

KERNELS = [
    (Gaussian(1.0), Gaussian(0.3)),
    (Laplacian(1.0), Laplacian(0.3)),
    (Matern(0.5), Matern(2.5, 3.0)),
    (RationalQuadratic(), RationalQuadratic(0.5, 2.0)),
    (Polynomial(), Polynomial(2, 0.1, 0.0)),
]


@pytest.mark.parametrize("rows", ["float64", "bytes", "tiny"])
@pytest.mark.parametrize(("first", "kernel"), KERNELS)
def test_equals_the_generated_gram(rng, backend, rows, first, kernel):
    x = rng.standard_normal((300, 4))
    points = Points(
        {"float64": x, "bytes": rng.integers(0, 9, (300, 4), dtype=np.uint8), "tiny": 1e-150 * x}[rows]
    )
    if rows == "tiny" and not isinstance(kernel, Polynomial):
        kernel = type(kernel)(**{**kernel.parameters, **widened(kernel)})
    expected = submatrix(KernelGram(kernel, points), np.arange(300), backend)
    np.testing.assert_array_equal(Pairs(points, first, backend).gram(kernel), expected)


def widened(kernel):
    """The width that suits rows of 1e-150."""
    if isinstance(kernel, Gaussian):
        return {"gamma": 1e299}
    return {"gamma": 1e150} if isinstance(kernel, Laplacian) else {"length_scale": 1e-150}


def test_other_needs_are_refused(backend, rng):
    points = Points(rng.standard_normal((5, 2)))
    with pytest.raises(ValueError, match="reads"):
        Pairs(points, Gaussian(1.0), backend).gram(Linear())
    with pytest.raises(InputError, match="distances or inner products alone"):
        Pairs(points, Gaussian(1.0) + Linear(), backend)
    with pytest.raises(NotImplementedError):
        Pairs(points, Linear(), backend).gram(ArcCosine())
