"""What is known of rows of floats."""

from __future__ import annotations

import numpy as np
import pytest

from kernelfit.gram.float_rows import largest, sq_norms


@pytest.mark.parametrize(("n", "d"), [(1, 1), (3, 7), (5, 40)])
def test_lengths_and_largest_entries(rng, n, d):
    rows, squares = rng.standard_normal((n, d)), np.empty(n)
    sq_norms(rows, squares)
    np.testing.assert_allclose(squares, np.square(rows).sum(axis=1), rtol=1e-15 * d)
    np.testing.assert_array_equal(largest(rows), np.abs(rows).max(axis=1))


def test_largest_entries_at_the_ends_of_the_range():
    rows = np.array([[0.0, -0.0], [-np.inf, 1e308], [5e-324, -1e-323]])
    np.testing.assert_array_equal(largest(rows), [0.0, np.inf, 1e-323])
