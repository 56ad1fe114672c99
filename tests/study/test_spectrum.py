"""`kernelfit.study.spectrum`: both ends of K's spectrum against an eigendecomposition."""

import numpy as np
import pytest

import kernelfit
from kernelfit.errors import InputError
from kernelfit.study.spectrum import ends


@pytest.mark.parametrize("n", [40, 150])
def test_both_ends_equal_those_of_the_matrix(n):
    X = np.random.default_rng(n).normal(size=(n, 3))
    gram = np.exp(-2.0 * np.square(X[:, None] - X).sum(axis=2))
    values = np.linalg.eigvalsh(gram)
    solution = kernelfit.solve(X, X[:, 0], gamma=2.0, panel_width=64, threads=1)
    found = ends(solution)
    assert found.largest == pytest.approx(values[-1], rel=1e-6)
    assert found.smallest == pytest.approx(values[0], rel=1e-5)
    assert found.condition == found.largest / found.smallest
    solution.close()
    with pytest.raises(InputError, match=r"^solution: has no one factor"):
        ends(solution)
