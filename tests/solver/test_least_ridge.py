"""singular="ridge": a factor where there is none in floating point, and never in silence."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

import kernelfit
from kernelfit.errors import DuplicateRowsError, InputError, NotPositiveDefiniteError


def test_a_hundred_points_in_a_line():
    x = np.linspace(0, 1, 100)[:, None]
    y = np.sin(6 * x[:, 0])
    with pytest.raises(NotPositiveDefiniteError):
        kernelfit.solve(x, y)
    solution = kernelfit.solve(x, y, singular="ridge")
    assert solution.ridge == 1e-12
    assert solution.notes[0].startswith(
        "singular: K is not positive definite in floating point; ridge = 1e-12"
    )
    assert_allclose(solution.predict(x), y, atol=1e-5)


def test_equal_rows_with_different_targets_are_met_in_their_mean():
    x = np.array([[0.0], [1.0], [2.0], [1.0]])
    with pytest.raises(DuplicateRowsError, match="1, 3"):
        kernelfit.solve(x, [0.0, 1.0, 2.0, 5.0], gamma=1.0)
    solution = kernelfit.solve(x, [0.0, 1.0, 2.0, 5.0], gamma=1.0, singular="ridge")
    assert "equal rows carry different targets, rows 1, 3; ridge = " in solution.notes[0]
    assert_allclose(solution.predict(x), [0.0, 3.0, 2.0, 3.0], atol=1e-6)
    assert len(solution.kept) == 4


def test_a_ridge_that_is_not_needed_is_not_added(rng):
    x, y = rng.standard_normal((30, 4)), rng.standard_normal(30)
    solution = kernelfit.solve(x, y, gamma=1.0, singular="ridge")
    assert solution.ridge == 0
    assert np.array_equal(solution.alpha, kernelfit.solve(x, y, gamma=1.0).alpha)
    with pytest.raises(InputError, match="singular: got 'ignore'"):
        kernelfit.solve(x, y, singular="ignore")


def test_the_run_of_a_singular_matrix_has_the_ridge(tmp_path):
    x = np.linspace(0, 1, 60)[:, None]
    solution = kernelfit.solve(x, x[:, 0], singular="ridge", run_dir=tmp_path / "run")
    ridge = solution.ridge
    solution.close()
    opened = kernelfit.open(tmp_path / "run")
    assert opened.ridge == ridge > 0
    opened.close()
    # A smaller one would be tried only to be passed over, which a run that is stored cannot be.
    twice = kernelfit.solve(
        np.vstack([x[::9], x[::9]]),
        np.arange(14.0),
        gamma=500.0,
        singular="ridge",
        run_dir=tmp_path / "twice",
    )
    assert twice.ridge == 1e-8
    twice.close()


def test_an_open_device_is_tried_once(make_device):
    """The second attempt wrote into the memory of a device that the first had given back."""
    x = np.linspace(0, 1, 80)[:, None]
    with pytest.raises(NotPositiveDefiniteError):
        kernelfit.solve(x, x[:, 0], singular="ridge", device=make_device(2**22))
    twice = np.vstack([x[::9], x[::9]]), np.arange(18.0)
    solution = kernelfit.solve(*twice, gamma=500.0, singular="ridge", device=make_device(2**22))
    assert solution.ridge == 1e-8
    solution.close()
    with pytest.raises(InputError, match="device: got an open one for a ridge for each target"):
        kernelfit.solve(x, np.eye(80)[:, :2], ridge=[1.0, 2.0], device=make_device(2**22))
