"""Small systems of the iterative solver."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from kernelfit.cpu.pool import CpuBackend
from kernelfit.typing import Float


@pytest.fixture(scope="module")
def backend() -> Iterator[CpuBackend]:
    with CpuBackend(2) as backend:
        yield backend


def gaussian_matrix(rng: np.random.Generator, n: int, d: int = 4, gamma: float = 0.5) -> Float:
    """exp(-gamma |x - x'|^2) of standard normal rows."""
    X = rng.standard_normal((n, d))
    return np.exp(-gamma * ((X[:, None] - X[None]) ** 2).sum(axis=-1))
