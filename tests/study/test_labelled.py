"""`kernelfit.study.labelled`: the rows whose kernel is asked for between any two."""

import numpy as np
import pytest

from kernelfit import Experiment
from kernelfit.errors import InputError
from kernelfit.study.labelled import kernel_rows


def test_training_rows_come_first_then_test_rows(digits):
    solution, rows = digits
    assert rows.every.shape == (len(rows.y_train) + len(rows.y_test), 64)
    assert np.array_equal(rows.rows(slice(rows.n)).values, solution.points.values)
    assert rows.every.scale == solution.points.scale


def test_features_that_stream_have_no_kernel_between_test_rows():
    options = {"n_filters": 40, "patch_size": 3}
    experiment = Experiment(
        "digits",
        n_train=40,
        n_test=20,
        features="random-conv",
        feature_options=options,
        kernel="linear",
        threads=1,
    )
    with experiment.solved() as solved, pytest.raises(InputError, match=r"^features: this study asks for k"):
        kernel_rows(solved)


def test_a_linear_kernel_of_low_rank_interpolates_nothing():
    experiment = Experiment("digits", n_train=200, n_test=20, kernel="linear", threads=1)
    with (
        experiment.solved() as solved,
        pytest.raises(InputError, match=r"^kernel: linear has rank \d+ below n"),
    ):
        kernel_rows(solved)
