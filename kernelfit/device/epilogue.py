"""A kernel as numbers: a sum of products of terms, as `cuda_kernels/epilogue.cuh` evaluates it."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from kernelfit.device.protocol import Term
from kernelfit.errors import InputError
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

GAUSSIAN, MATERN, RATIONAL_QUADRATIC, POLYNOMIAL, COSINE, ARC_COSINE, NEURAL_TANGENT, LAPLACIAN, USER = range(
    9
)
#: families that read L1 distances or the user's own values instead of inner products
PAIRWISE_FAMILIES = frozenset({LAPLACIAN, USER})
#: numbers of one term in the table: family, opens, order, a, b, c
TABLE_ROW = 6
#: more terms than any kernel that a person writes
_MOST_TERMS = 64


def program(kernel: Kernel) -> tuple[Term, ...]:
    """k as a sum of products, each product opened by a term with `opens`.

    Sums inside products are multiplied out: (a + b) c = a c + b c.
    """
    products = _products(kernel)
    terms = tuple(
        Term(term.family, index == 0, term.order, term.a, term.b, term.c)
        for product in products
        for index, term in enumerate(product)
    )
    if len(terms) > _MOST_TERMS:
        raise InputError(
            f"kernel: {len(terms)} terms after multiplying out, expected at most {_MOST_TERMS} on a device; "
            "write the kernel as one function of two rows, or use --device cpu"
        )
    return terms


def table(terms: tuple[Term, ...]) -> NDArray[np.float64]:
    """(terms, 6) float64, as the device reads it; whole numbers this small are exact."""
    return np.array([[t.family, t.opens, t.order, t.a, t.b, t.c] for t in terms], np.float64)


def _products(kernel: Kernel) -> list[list[Term]]:
    if isinstance(kernel, Sum):
        return _products(kernel.left) + _products(kernel.right)
    if isinstance(kernel, Product):
        right = _products(kernel.right)
        return [[*a, *b] for a in _products(kernel.left) for b in right]
    return [[_term(kernel)]]


def _term(kernel: Kernel) -> Term:
    if isinstance(kernel, Gaussian):
        return Term(GAUSSIAN, False, a=kernel.gamma)
    if isinstance(kernel, Matern):
        rate = math.sqrt(2.0 * kernel.nu) / kernel.length_scale
        return Term(MATERN, False, order=int(kernel.nu - 0.5), a=rate)
    if isinstance(kernel, RationalQuadratic):
        return Term(RATIONAL_QUADRATIC, False, a=0.5 / kernel.alpha / kernel.length_scale**2, b=kernel.alpha)
    if isinstance(kernel, Polynomial):
        return Term(POLYNOMIAL, False, order=kernel.degree, a=kernel.gamma, b=kernel.coef0)
    if isinstance(kernel, Linear):
        return Term(POLYNOMIAL, False, order=1, a=1.0, b=0.0)
    if isinstance(kernel, Cosine):
        return Term(COSINE, False)
    if isinstance(kernel, ArcCosine):
        return Term(ARC_COSINE, False, order=kernel.order, a=float(kernel.depth))
    if isinstance(kernel, NeuralTangent):
        return Term(NEURAL_TANGENT, False, a=float(kernel.depth))
    if isinstance(kernel, Laplacian):
        return Term(LAPLACIAN, False, a=kernel.gamma)
    if isinstance(kernel, Pairwise):
        return Term(USER, False)
    raise InputError(
        f"kernel: {type(kernel).__name__} has no form for a device, expected a kernel of kernelfit.kernels; "
        "use --device cpu"
    )
