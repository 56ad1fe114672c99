"""Sums over integer rows against those of 64-bit integers, at the ends of their ranges."""

import numpy as np
import pytest

from kernelfit.gram.integer_rows import row_sums


@pytest.mark.parametrize("dtype", [np.uint8, np.int16])
@pytest.mark.parametrize("shape", [(1, 1), (3, 7), (19, 111), (2, 33_025)])
def test_sums_are_exact(dtype, shape):
    ends = np.iinfo(dtype)
    values = np.random.default_rng(0).integers(ends.min, ends.max, shape, dtype, endpoint=True)
    values[0, 0], values[-1, -1] = ends.max, ends.min
    wide = values.astype(np.int64)
    made = row_sums(values)
    assert (made.low, made.high) == (wide.min(), wide.max())
    for centre in (0, 128, -5):
        sums, squares = made.about(centre, shape[1])
        assert (sums == (wide - centre).sum(axis=1)).all()
        assert (squares == ((wide - centre) ** 2).sum(axis=1)).all()


def test_full_rows_pass_the_range_of_32_bits():
    made = row_sums(np.full((2, 40_000), 255, np.uint8))
    assert made.squares.tolist() == [40_000 * 255**2] * 2
