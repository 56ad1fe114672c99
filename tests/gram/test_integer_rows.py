"""Sums over integer rows against those of 64-bit integers, at the ends of their ranges."""

import numpy as np
import pytest

from kernelfit.gram.integer_rows import describe


@pytest.mark.parametrize("dtype", [np.uint8, np.int16])
@pytest.mark.parametrize("shape", [(1, 1), (3, 7), (19, 111), (2, 33_025)])
def test_sums_are_exact(dtype, shape):
    ends = np.iinfo(dtype)
    values = np.random.default_rng(0).integers(ends.min, ends.max, shape, dtype, endpoint=True)
    values[0, 0], values[-1, -1] = ends.max, ends.min
    wide = values.astype(np.int64)
    chosen = (int(wide.min()) + int(wide.max()) + 1) // 2
    for centre in (None, 0, 128, -5):
        described = describe(values, 0.25, centre)
        centre = chosen if centre is None else centre
        assert described[:3] == (wide.min(), wide.max(), centre)
        assert described.longest == described.lengths.max()
        sums = (wide - centre).sum(axis=1)
        assert (described.sq_norms == ((wide - centre) ** 2).sum(axis=1)).all()
        assert (described.offsets == centre * sums + 0.5 * centre**2 * shape[1]).all()
        assert (described.origin == (wide**2).sum(axis=1)).all()
        assert (described.domain == (wide**2).sum(axis=1) / 16).all()
        assert (described.lengths == np.sqrt((wide**2).sum(axis=1)) / 4).all()


def test_full_rows_pass_the_range_of_32_bits():
    made = describe(np.full((2, 40_000), 255, np.uint8), 1.0, 0)
    assert made.origin.tolist() == [40_000.0 * 255**2] * 2
