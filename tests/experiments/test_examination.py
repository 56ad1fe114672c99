"""What is said of training rows by the others: shares that are left of them, where there are such."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from kernelfit import Experiment
from kernelfit.experiments.examination import examine_result


def test_isolation_is_the_share_of_the_diagonal_that_the_inverse_leaves() -> None:
    result = Experiment("digits", n_train=80, n_test=5, loo=True, ridge=0.1).run()
    examination = examine_result(result)
    assert examination.dataset is not None
    rows = examination.dataset.X_train / 16.0
    squares = ((rows[:, None] - rows[None]) ** 2).sum(axis=-1)
    matrix = np.exp(-result.record["kernel"]["gamma"] * squares) + 0.1 * np.eye(80)
    expected = 1 / np.diag(np.linalg.inv(matrix)) / np.diag(matrix)
    assert examination.isolation is not None
    np.testing.assert_allclose(examination.isolation, expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("options", "rows"), [({"kernel": "linear"}, 0), ({"gamma": 1e-3, "jitter": 1e-3}, 1)]
)
def test_no_share_without_an_inverse_of_the_matrix_that_alpha_is_of(
    options: dict[str, Any], rows: int
) -> None:
    """K of the linear kernel is singular, and with a jitter alpha and leave-one-out are of two matrices."""
    examination = examine_result(Experiment("digits", n_train=90, n_test=5, loo=True, **options).run())
    assert examination.left_out is not None
    assert examination.isolation is None
    assert len(examination.nearly_dependent(8)) == rows
