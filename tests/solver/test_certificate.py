"""What counts as interpolation."""

from __future__ import annotations

import numpy as np

from kernelfit.solver.certificate import interpolates


def test_every_column_must_be_met():
    targets = np.array([1e9, 2e-3])
    assert interpolates(1e-16, 1e-8 * targets, targets)
    assert not interpolates(1e-16, np.array([0.0, 1e-3]), targets)
    assert not interpolates(1e-12, 1e-8 * targets, targets)


def test_a_column_of_zeros_is_met_by_zeros_alone():
    targets = np.array([2.0, 0.0])
    assert interpolates(0.0, np.zeros(2), targets)
    assert not interpolates(0.0, np.array([0.0, 1e-9]), targets)
