"""`kernelfit.study.settings`: experiments beside each other."""

import pytest

from kernelfit import Experiment
from kernelfit.study.settings import (
    Setting,
    corruption_settings,
    norm_settings,
    rank_correlation,
    run_setting,
)

BASE = {"dataset": "digits", "n_train": 60, "n_test": 30, "gamma": 0.1, "threads": 1}


def test_a_row_holds_what_the_experiment_reports():
    row = run_setting(BASE, Setting("random", {"corruption": "random-labels", "corruption_seed": 3}))
    alone = Experiment(**BASE, corruption="random-labels", corruption_seed=3).run().record
    for name in ("test_error", "train_error", "rkhs_norm"):
        assert row[name] == alone[name]
    assert (row["name"], row["corruption"], row["corruption_seed"]) == ("random", "random-labels", 3)


def test_a_setting_without_a_solution_says_why():
    row = run_setting(
        BASE | {"kernel_params": {"coef0": 0}, "gamma": None},
        Setting("flat", {"kernel": "polynomial", "jitter": 0.0}),
    )
    assert ("refused" in row) != ("test_error" in row)


def test_true_labels_are_run_once_and_corruptions_with_every_seed():
    names = [setting.name for setting in corruption_settings(["none"], [0, 1])]
    assert names[0] == "none, true"
    assert len(names) == 1 + 5 * 2


def test_every_kernel_feature_and_ridge_is_named():
    settings = norm_settings(["gaussian", "laplacian"], ["none"], [0, 0.5])
    assert [setting.name for setting in settings][-1] == "none, laplacian, ridge 0.5"
    assert len(settings) == 4


def test_ranks_are_compared_where_both_are_numbers():
    rows = [{"a": float(i), "b": float(-(i**3))} for i in range(5)]
    rows.append({"a": None, "b": 3.0})
    correlation = rank_correlation(rows, "a", "b")
    assert correlation is not None
    assert (correlation["count"], correlation["correlation"]) == (5, pytest.approx(-1))
    assert rank_correlation(rows[:3], "a", "b") is None


def test_equal_values_have_no_ranks():
    rows = [{"a": 1.0 + i, "b": 0.25} for i in range(5)]
    assert rank_correlation(rows, "a", "b") is None
    assert rank_correlation(rows, "b", "a") is None
