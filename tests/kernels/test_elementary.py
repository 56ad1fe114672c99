"""exp by polynomial against correctly rounded values."""

from __future__ import annotations

import math
from decimal import Decimal, localcontext

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit

from kernelfit.kernels.elementary import exp_nonpositive


@settings(deadline=None)
@given(st.floats(-708.0, 0.0))
def test_exp_is_right_to_three_parts_in_ten_to_the_sixteen(x):
    with localcontext() as context:
        context.prec = 50
        exact = Decimal(x).exp()
        assert abs(Decimal(exp_nonpositive(x)) / exact - 1) < Decimal("3e-16")


def test_exp_of_zero_is_one_and_of_small_arguments_nothing():
    assert exp_nonpositive(0.0) == exp_nonpositive(-0.0) == 1.0
    assert 0 < exp_nonpositive(-708.0) < 4e-308
    assert exp_nonpositive(-708.1) == exp_nonpositive(-1e300) == exp_nonpositive(-math.inf) == 0.0


def test_exp_decreases_with_its_argument():
    @njit
    def table(x):
        return np.array([exp_nonpositive(value) for value in x])

    x = -np.linspace(0.0, 60.0, 200_001)
    assert (np.diff(table(x)) < 0).all()
