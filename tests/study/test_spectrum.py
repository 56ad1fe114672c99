"""`kernelfit.study.spectrum`: both ends of K's spectrum against an eigendecomposition."""

import numpy as np
import pytest

import kernelfit
from kernelfit.errors import InputError
from kernelfit.study.spectrum import ends


def test_a_least_eigenvalue_that_rounding_or_a_shift_hides_is_no_number():
    X = np.random.default_rng(0).normal(size=(70, 2))
    for given in ({"gamma": 0.1, "jitter": 1e-3}, {"gamma": 2.0, "precision": "mixed"}):
        solution = kernelfit.solve(X, X[:, 0], threads=1, **given)
        assert np.isnan(ends(solution).smallest)
        solution.close()
    weighted = kernelfit.solve(X, X[:, 0], threads=1, gamma=2.0, ridge=1.0, sample_weight=np.arange(1, 71.0))
    with pytest.raises(InputError, match=r"^solution: got rows with ridges of their own"):
        ends(weighted)
    weighted.close()


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
    shifted = kernelfit.solve(
        X, X[:, 0], gamma=2.0, panel_width=64, threads=1, jitter=values[0], ridge=values[0]
    )
    assert ends(shifted).smallest == pytest.approx(values[0], rel=1e-4)
    shifted.close()
    with pytest.raises(InputError, match=r"^solution: has no one factor"):
        ends(solution)
