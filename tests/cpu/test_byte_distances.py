"""Squared distances of bytes."""

from __future__ import annotations

import numpy as np
import pytest

from kernelfit.cpu import byte_distances, bytes_product

pytestmark = pytest.mark.skipif(not bytes_product.available(), reason="the CPU has no VNNI")


@pytest.mark.parametrize(("m", "w", "d", "centre"), [(1, 1, 1, 0), (14, 32, 784, 128), (29, 45, 30_000, 128)])
def test_distances_are_exact(rng: np.random.Generator, m: int, w: int, d: int, centre: int) -> None:
    X = rng.choice(np.array([0, 1, 254, 255], np.uint8), (m, d))
    Y = rng.choice(np.array([0, 1, 254, 255], np.uint8), (w, d))
    X[0], Y[0] = 0, 255  # as far apart as bytes can be
    rows, columns = bytes_product.packed_rows(X, centre), bytes_product.packed_columns(Y, centre)
    terms = [
        byte_distances.terms(packed, ((values.astype(float) - centre) ** 2).sum(axis=1))
        for packed, values in ((rows, X), (columns, Y))
    ]
    out = np.empty((m, w), np.float32)
    byte_distances.sq_distances(rows.values, rows.steps, columns.values, *terms, out)
    wide = X.astype(np.int64), Y.astype(np.int64)
    exact = (wide[0] ** 2).sum(axis=1)[:, None] + (wide[1] ** 2).sum(axis=1) - 2 * wide[0] @ wide[1].T
    np.testing.assert_array_equal(out, exact.astype(np.float32))
