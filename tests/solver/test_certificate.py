"""What counts as interpolation."""

from __future__ import annotations

import math

import pytest

from kernelfit.solver.certificate import forward_error, interpolates

U32, U64 = 2.0**-24, 2.0**-53


@pytest.mark.parametrize(
    ("error", "met", "expected"), [(1e-16, True, True), (1e-16, False, False), (1e-12, True, False)]
)
def test_both_must_be_rounding(error, met, expected):
    assert interpolates(error, met) is expected


@pytest.mark.parametrize("n", [64, 100])
def test_a_lower_bound_of_the_condition_number_may_be_enough(n):
    """Beyond 9e14 in float64 the error was NaN, although what is known of the number leaves alpha no digit."""
    assert forward_error(1e15, 1e-17, U64, n) == 1.0
    assert forward_error(1e12, 1e-17, U64, n) < 0.01
    assert math.isnan(forward_error(2e6, 1e-17, U32, n)) == (n == 100)
    assert math.isnan(forward_error(math.nan, 1e-17, U64, n))
