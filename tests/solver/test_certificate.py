"""What counts as interpolation."""

from __future__ import annotations

import math

import numpy as np
import pytest

import kernelfit
from kernelfit.experiments.specs import DataSpec, FeatureSpec, KernelSpec
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


@pytest.mark.parametrize(("small", "met"), [(1e-4, True), (1e-9, False)])
def test_small_targets_that_are_missed_are_no_interpolation(rng, small, met):
    """Targets of 1e-9 beside others near 1 were missed by a hundred times themselves, and it read yes."""
    basis = np.linalg.qr(rng.standard_normal((30, 30)))[0]
    gram = basis @ np.diag(np.logspace(0, -9, 30)) @ basis.T
    y = rng.choice([-1.0, 1.0], 30)
    y[10:] *= small
    solution = kernelfit.solve(np.tril(gram) + np.tril(gram, -1).T, y, kernel="precomputed")
    missed = int((np.abs(y - solution.fitted[:, 0]) > 0.5 * np.abs(y)).sum())
    assert solution.certificate.interpolates == met == (missed == 0)
    notes = [note for note in solution.notes if "small targets are missed" in note]
    assert len(notes) == (not met)
    assert met or notes[0].startswith(f"{missed} small targets are missed by half")


def test_certificates_of_several_ridges_are_equal_and_hashed_as_others(rng):
    x, y = rng.standard_normal((8, 2)), rng.standard_normal((8, 2))
    one, other = (kernelfit.solve(x, y, gamma=1.0, ridge=[1e-3, 1e-2]).certificate for _ in range(2))
    assert one == other
    assert len({one, other}) == 1


def test_what_a_solution_and_an_experiment_tell_has_a_hash(rng):
    x, y = rng.standard_normal((40, 2)), rng.standard_normal(40)
    convergence = kernelfit.solve(x, y, gamma=1.0, ridge=0.1, solver="pcg").convergence
    for told in (convergence, DataSpec("digits"), FeatureSpec(), KernelSpec()):
        assert isinstance(hash(told), int)
