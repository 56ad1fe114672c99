"""Accelerated sketch-and-project by itself, with matrices in memory."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import cho_factor, cho_solve

from kernelfit.iterative.sketch_project import Blocks, solve
from kernelfit.iterative.stopping import Goal
from kernelfit.linalg.product import Product
from kernelfit.typing import Float


def blocks_of(a: Float, size: int) -> Blocks:
    return Blocks(
        len(a),
        size,
        lambda index, vectors: a[index] @ vectors,
        lambda index, vectors: cho_solve(cho_factor(a[np.ix_(index, index)]), vectors),
        lambda vectors: Product(a @ vectors, np.abs(a).sum(axis=1)),
        0.0,
    )


def gaussian(n: int, gamma: float, ridge: float, rng: np.random.Generator) -> Float:
    x = rng.standard_normal((n, 3))
    return np.exp(-gamma * np.square(x[:, None] - x).sum(axis=2)) + ridge * np.eye(n)


@pytest.mark.parametrize(("gamma", "ridge", "tolerance"), [(30.0, 0.01, None), (1.0, 0.01, 1e-4)])
def test_chance_does_not_slow_it_down(gamma: float, ridge: float, tolerance: float | None) -> None:
    """What a few epochs gained by chance lowered mu again and again: a matrix of condition 20 came to a hundredth."""
    rng = np.random.default_rng(0)
    a = gaussian(400, gamma, ridge, rng)
    outcome = solve(blocks_of(a, 50), rng.standard_normal((400, 2)), Goal.of(tolerance))
    assert outcome.reason == "converged"
