"""f at new rows, from whatever it is evaluated by."""

from __future__ import annotations

import numpy as np
import pytest

import kernelfit
from kernelfit.errors import InputError


def test_integers_of_a_matrix_that_float64_rounds_are_refused():
    """k(new, training) was rounded without a word, where such a matrix of training rows was refused."""
    gram, y = np.array([[5, 1, 0], [1, 4, 1], [0, 1, 6]]), np.arange(3.0)
    solution = kernelfit.solve(gram, y, kernel="precomputed")
    np.testing.assert_allclose(solution.predict(gram), y, atol=1e-14)
    np.testing.assert_array_equal(solution.predict(gram.astype(np.uint8)), solution.predict(gram))
    with pytest.raises(InputError, match=r"^X: got integers beyond 2\^53"):
        solution.predict(np.array([[2**60 + 1, 0, 0]]))
