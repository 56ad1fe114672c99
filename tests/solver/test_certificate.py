"""What counts as interpolation."""

from __future__ import annotations

import pytest

from kernelfit.solver.certificate import interpolates


@pytest.mark.parametrize(
    ("error", "met", "expected"), [(1e-16, True, True), (1e-16, False, False), (1e-12, True, False)]
)
def test_both_must_be_rounding(error, met, expected):
    assert interpolates(error, met) is expected
