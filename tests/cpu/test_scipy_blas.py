"""SciPy's routines by address, whatever its library calls them."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest

from kernelfit.cpu import scipy_blas


@pytest.mark.parametrize("exported", [False, True])
def test_a_routine_is_where_it_is_said_to_be(monkeypatch, rng, exported):
    if exported:  # no symbol of these names, as in Apple's library
        monkeypatch.setattr(scipy_blas, "_SPELT", ())
    matrix = rng.standard_normal((5, 5))
    product, lower = np.zeros((5, 5)), None
    at = ctypes.c_void_p
    pair = [ctypes.byref(ctypes.c_double(number)) for number in (1.0, 0.0)]
    order = ctypes.byref(ctypes.c_int(5))
    multiply = ctypes.CFUNCTYPE(None, *[at] * 13)(scipy_blas.address("blas", "dgemm"))
    a, c = matrix.ctypes.data, product.ctypes.data
    multiply(b"T", b"N", order, order, order, pair[0], a, order, a, order, pair[1], c, order)
    np.testing.assert_allclose(product, matrix @ matrix.T, rtol=1e-12)
    lower, info = product.copy(), ctypes.c_int(-1)
    factor = ctypes.CFUNCTYPE(None, *[at] * 5)(scipy_blas.address("lapack", "dpotrf"))
    factor(b"U", order, lower.ctypes.data, order, ctypes.byref(info))
    assert info.value == 0
    np.testing.assert_allclose(np.tril(lower), np.linalg.cholesky(product), rtol=1e-9, atol=1e-12)


def test_a_module_that_is_no_file_is_asked_as_scipy_tells_it(monkeypatch):
    monkeypatch.setattr(scipy_blas, "_MODULES", {"other": "no_such_module"})
    assert scipy_blas.library("other") is None
