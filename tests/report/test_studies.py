"""`kernelfit.report.studies`: means over draws, and what is not known."""

import io

import pytest
from rich.console import Console

from kernelfit.report import labels
from kernelfit.report.exhibits import of_record
from kernelfit.report.studies import averages, table
from kernelfit.report.study_figures import charts


def test_means_and_deviations_over_seeds():
    rows = [
        {"n": 10, "seed": 0, "error": 0.1, "refused": None},
        {"n": 10, "seed": 1, "error": 0.3, "refused": None},
        {"n": 20, "seed": 0, "error": 0.2, "refused": None},
        {"n": 20, "seed": 1, "error": None, "refused": "singular"},
    ]
    first, second = averages(rows, "n")
    assert (first["n"], first["seeds"], first["error"]) == (10, 2, pytest.approx(0.2))
    assert first["error_std"] == pytest.approx(0.1414213562)
    assert (second["seeds"], second["error"], second["error_std"]) == (1, 0.2, 0.0)


def _shown(record):
    console = Console(width=160, file=io.StringIO())
    console.print(table(record))
    return console.file.getvalue()


def test_a_kernel_whose_norm_is_not_resolved_is_shown_and_drawn_without_it():
    row = {"p": 10, "share": 0.5, "seed": 0, "train_error": 0.1, "test_error": 0.2, "rkhs_norm": None}
    limit = {"test_error": 0.125, "rkhs_norm": None}
    record = {"study": "double-descent", "dataset": "digits", "rows": [row], "kernel_limit": limit}
    assert "the kernel itself: test 12.50%, norm –" in _shown(record)
    _, norms = charts(record)
    assert [rule.name for rule in norms.rules] == ["as many features as rows"]


def test_draws_without_a_solution_are_counted():
    row = {"p": 10, "share": 1.0, "seed": 0, "train_error": 0.0, "test_error": 0.2, "rkhs_norm": 2.0}
    none = {"train_error": None, "test_error": None, "rkhs_norm": None, "refused": "kernel: K is singular"}
    rows = [row, {**row, "seed": 1, **none}, {**row, "p": 1500, **none}]
    limit = {"test_error": 0.125, "rkhs_norm": 1.5}
    shown = _shown({"study": "double-descent", "dataset": "digits", "rows": rows, "kernel_limit": limit})
    assert "10 features: 1 of 2 draws without a solution: kernel: K is singular" in shown
    assert "1,500 features: 1 of 1 draws without a solution" in shown


def test_functions_that_some_draws_did_not_give_are_counted():
    row = {"name": "least norm", "rkhs_norm": 2.0, "norm_ratio": 1.0, "train_error": 0.0, "test_error": 0.2}
    bumps = {**row, "name": "bumps", "seed": 1}
    hessian = {"parameters": 30, "rank": 20, "largest": 2.0, "smallest": 1.0}
    rows = [{**row, "seed": 0}, {**row, "seed": 1}, bumps]
    record = {"study": "interpolants", "dataset": "digits", "rows": rows, "notes": [], "hessian": hessian}
    assert "bumps: of 1 of 2 draws" in _shown(record)
    assert "least norm: of" not in _shown(record)


def test_the_labelling_whose_bound_says_something_is_named():
    labelling = {"labels": "true", "bound": 0.6}
    record = {"study": "complexity", "dataset": "digits", "delta": 0.05, "ridges": []}
    record["memorisation"] = {"memorised": [], "hanging_rows": 0}
    for bound, told in ((0.7, "vacuous for both labellings"), (0.4, "below a half for random labels")):
        record["labellings"] = [labelling, {"labels": "random", "bound": bound}]
        assert told in _shown(record)


def test_norms_that_are_not_resolved_have_no_ratio():
    row = {"name": "least norm", "rkhs_norm": None, "norm_ratio": None, "train_error": 0.0, "test_error": 0.2}
    hessian = {"parameters": 30, "rank": 20, "largest": 2.0, "smallest": 1.0}
    record = {"study": "interpolants", "dataset": "digits", "rows": [row], "notes": [], "hessian": hessian}
    assert "20.00" in _shown(record)
    assert "eigenvalues 2 to 1, and none" in _shown(record)
    record["hessian"] = {**hessian, "smallest": None}
    assert "eigenvalues 2 down, the least not resolved, and none" in _shown(record)
    assert charts(record)[1].series[0].x == (None,)


def test_steps_are_drawn_as_they_were_counted():
    path = {
        "method": "gradient descent",
        "start": "elsewhere",
        "steps": [0, 1, 2],
        "to_limit": [1.0, 0.5, 0.25],
    }
    record = {"study": "sgd", "rows": [{**path, "test_errors": [0.5, 0.25, 0.125], "predicted": None}]}
    distances = charts(record)[0]
    assert [row[1] for row in distances.table()[1]] == [0.0, 1.0, 2.0]
    assert distances.drawable().series[0].x == (1.0, 2.0)


def test_the_margin_of_a_study_of_labels_is_the_mean_one_divided_by_the_norm():
    row = {"p": 0.0, "seeds": 1, "test_error": 0.1, "train_error": 0.0, "loo_error": None, "rkhs_norm": 2.0}
    drawn = labels.charts([{**row, "margin": 0.25}], 10)[-1]
    assert (drawn.y.label, drawn.title.split(" of ")[0]) == ("mean margin / norm", "Mean margin")
    assert drawn.series[0].y == (0.25,)


def test_claims_whose_norm_is_not_resolved_are_counted_as_such():
    claim = {"claim": "a", "paper": "", "ours": "b"}
    record = {
        "dataset": "mnist",
        "n_train": 10,
        "n_spectral": 10,
        "kernel": {"name": "gaussian", "gamma": 1.0},
        "claims": [{**claim, "holds": holds} for holds in (True, None, False)],
    }
    assert "1 of 3 claims hold here; of 1 a norm is not resolved." in of_record(record, "section5.json").about


def test_a_rank_correlation_that_is_not_known_is_shown_as_such():
    row = {"name": "none, gaussian", "features": "none", "test_error": 0.0, "rkhs_norm": 2.0}
    record = {
        "study": "norms",
        "dataset": "digits",
        "rows": [row],
        "notes": [],
        "norm_against_test_error": {
            "every setting": None,
            "features none": {"count": 4, "correlation": -0.5, "p_value": 0.25},
        },
    }
    shown = _shown(record)
    assert "every setting: rank correlation –" in shown
    assert "features none: rank correlation -0.50 over 4 (p = 0.25)" in shown


def test_values_of_every_chart_have_a_heading():
    """Those of the stability of an interpolant stood in a column called name."""
    ridge = {"ridge": 0.1, "stability_constant": 10.0, "largest_move_true": 0.5, "largest_move_random": 0.25}
    ridge |= {"test_error_true": 0.1, "test_error_random": 0.9}
    labelling = {"labels": "true", "bound": 1.0, "rademacher": 0.5, "binary_error": 0.1}
    record = {
        "study": "complexity",
        "dataset": "digits",
        "eigenvalues": [(1, 2.0)],
        "labellings": [labelling],
    }
    record["ridges"] = [ridge, {**ridge, "ridge": 1.0}]
    named = {chart.name for chart in charts(record) if "name" in chart.table()[0]}
    assert named == {"bounds"}  # across, where labellings stand


def test_a_learning_curve_that_reaches_0_is_drawn_to_its_end():
    rows = [
        {"n": n, "seed": 0, "test_error": error, "rkhs_norm": 2.0, "seconds": None}
        for n, error in ((10, 0.1), (20, 0.0))
    ]
    record = {"study": "curve", "dataset": "digits", "rows": rows, "extrapolated": []}
    error, norm = charts(record)
    assert error.drawable().series[0].y == (10.0, 0.0)
    assert error.unplaced == ""
    assert (error.y.log, norm.y.log) == (False, True)
    record["rows"] = [{**row, "test_error": 0.0} for row in rows]
    assert charts(record)[0].drawable().series[0].y == (0.0, 0.0)


def test_a_curve_is_told_in_per_cent_and_a_limit_of_rounding_is_0():
    rows = [{"n": 10, "seed": 0, "test_error": 0.1, "rkhs_norm": 2.0, "seconds": 1.0}]
    error = {"quantity": "test_error", "limit": 3.26e-16, "coefficient": 5.22, "power": 0.619}
    error |= {"at": {"3000": 0.0367}, "error": {"3000": 0.004}}
    norm = {"quantity": "rkhs_norm", "limit": 0.5, "coefficient": 1.5, "power": -0.25}
    norm |= {"at": {"3000": 11.6}, "error": {"3000": 0.2}}
    shown = _shown({"study": "curve", "dataset": "digits", "rows": rows, "extrapolated": [error, norm]})
    assert "test error, %: 0 + 522 n^-0.619; 3.67 ± 0.4 at n = 3,000 by extrapolation" in shown
    assert "rkhs norm: 0.5 + 1.5 n^0.25; 11.6 ± 0.2 at n = 3,000 by extrapolation" in shown


def test_the_chart_of_descent_goes_down_to_what_was_measured():
    """It ended at 1e-9, and conjugate gradients left it; theory goes down for ever."""
    path = {"method": "gradient descent", "start": "0", "steps": [1, 2], "test_errors": [0.2, 0.1]}
    rows = [{**path, "to_limit": [1.0, 2e-13], "predicted": [1.0, 1e-200]}]
    distance, _ = charts({"study": "sgd", "rows": rows})
    assert distance.y.low == pytest.approx(1e-13)
