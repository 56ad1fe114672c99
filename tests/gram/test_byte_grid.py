"""Floats that are bytes over a number, and others that are nearly."""

from __future__ import annotations

import numpy as np
import pytest

from kernelfit.gram.byte_grid import levels_of
from kernelfit.gram.points import Points


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("divisor", [1, 16, 255, 256])
def test_every_byte_is_found_however_it_was_divided(dtype, divisor):
    levels = np.arange(256, dtype=np.uint8).reshape(32, 8)
    for values in (levels / dtype(divisor), levels * dtype(1.0 / divisor)):
        out = np.empty(levels.shape, np.uint8)
        assert levels_of(values.astype(dtype), divisor, out)
        np.testing.assert_array_equal(out, levels)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("wrong", [256.0, -1.0, -1e-30, 0.5, 1e308, np.inf, np.nan])
def test_one_value_beside_them_is_enough(dtype, wrong):
    values = np.zeros((9, 5), dtype)
    with np.errstate(over="ignore"):
        values[7, 3] = dtype(wrong) / dtype(255)
    for divisor in (1, 255):
        assert not levels_of(values, divisor, np.empty(values.shape, np.uint8))


def test_the_next_number_is_none():
    values = np.full((1, 4), 77 / 255)
    values[0, 2] = np.nextafter(values[0, 2], 1.0)
    assert not levels_of(values, 255, np.empty(values.shape, np.uint8))


def test_columns_side_by_side_and_rows_that_cannot_be_written_are_the_same():
    levels = np.random.default_rng(0).integers(0, 256, (20, 30), dtype=np.uint8)
    expected = Points(levels / 255).values
    np.testing.assert_array_equal(expected, levels)
    values = np.asfortranarray(levels / 255)
    values.setflags(write=False)
    np.testing.assert_array_equal(Points(values).values, expected)
