"""Predictions of few rows and of many."""

from __future__ import annotations

import numpy as np
import pytest

from kernelfit import solve
from kernelfit.kernels import Gaussian
from kernelfit.solver.predict import _width_for_few


@pytest.mark.parametrize("exact", [False, True])
def test_few_rows_meet_more_training_rows_at_a_time_and_give_what_many_give(exact: bool) -> None:
    rng = np.random.default_rng(3)
    x = rng.integers(0, 256, (2_300, 40)).astype(np.uint8) if exact else rng.standard_normal((2_300, 40))
    tests = x[:40] if exact else rng.standard_normal((40, 40))
    solution = solve(x, x[:, :2].astype(float), kernel=Gaussian(1e-5 if exact else 0.05), ridge=1e-2)

    many = solution.predict(tests)
    few = np.vstack(
        [solution.predict(tests[:16]), solution.predict(tests[16:17]), solution.predict(tests[17:33])]
    )

    assert len(solution.prepared._made) == 2
    assert np.abs(few - many[:33]).max() <= 1e-11 * np.abs(many).max()


@pytest.mark.parametrize(("features", "width"), [(1, 16_384), (784, 5_120), (3_072, 1_024), (100_000, 1_024)])
def test_rows_for_few_take_memory_that_does_not_grow_with_their_features(features: int, width: int) -> None:
    assert _width_for_few(features) == width
