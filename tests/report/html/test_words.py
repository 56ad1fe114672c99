"""`kernelfit.report.html.words`: sentences that follow from the numbers of a certificate."""

from __future__ import annotations

import math
from typing import Any

import pytest

from kernelfit.experiments.examination import Examination
from kernelfit.report.html.words import certificate

NEARLY = ", which is nearly a combination of those before it"


def _said(examination: Examination, **changes: Any) -> str:
    return " ".join(certificate({**examination.record, "weak_pivots": 0, **changes}))


@pytest.mark.parametrize(
    ("changes", "nearly"),
    [
        ({"min_pivot": 0.98}, False),
        ({"min_pivot": 1e-5}, True),
        ({"min_pivot": 3.0, "ridge": 1e6}, True),
        ({"min_pivot": 1e-5, "kernel": {"name": "linear"}}, False),  # its diagonal is not known
        ({"min_pivot": 134.6, "kernel": {"name": "linear"}, "mean_diagonal": 3e4}, False),
        ({"min_pivot": 1.0, "kernel": {"name": "linear"}, "mean_diagonal": 3e4}, True),
    ],
)
def test_a_row_is_nearly_a_combination_where_its_pivot_is_small(
    examination: Examination, changes: dict[str, Any], nearly: bool
) -> None:
    said = _said(examination, **{"ridge": 0.0, **changes})
    assert "at training row" in said
    assert (NEARLY in said) == nearly


def test_what_an_iteration_stopped_short_of_is_not_claimed(examination: Examination) -> None:
    """Its condition number, NaN in the record just made, was "about -"; a residual of 1e-2 was the best trade."""
    iterated = {
        "min_pivot": None,
        "condition_estimate": math.nan,
        "interpolates": False,
        "convergence": {},
        "backward_error": 1e-3,
    }
    for ridge in (0.0, 0.5):
        said = _said(examination, **iterated, ridge=ridge)
        for claim in ("condition number", "No function", "No other function", "normal equations"):
            assert claim not in said
    settled = iterated | {"backward_error": 1e-15, "ridge": 0.5}
    assert "No other function trades misfit against norm better." in _said(examination, **settled)


def test_a_tolerance_is_not_taken_for_equations_that_do_not_hold(examination: Examination) -> None:
    """Of a ridge of 0 it was said that the function misses training points although, at any backward error."""
    reached = {"measure": "relative residual", "target": 1e-6, "relative_residual": 8.2e-7}
    iterated = {"min_pivot": None, "interpolates": False, "ridge": 0.0}
    said = _said(examination, **iterated, convergence=reached)
    assert "was to reach a relative residual of 1e-06 and no more" in said
    assert "meets training points to 8.2e-07 of the targets' norm" in said
    assert "do not hold" not in said
    to_rounding = reached | {"measure": "backward error"}
    assert "do not hold to rounding" in _said(examination, **iterated, convergence=to_rounding)


def test_a_jitter_is_refined_away_where_no_note_says_otherwise(examination: Examination) -> None:
    note = "jitter 0.1 was not refined away in 9 products with K: backward error 1e-3"
    assert "alone, and refined away." in _said(examination, jitter=0.1)
    assert "alone, and not all of it was refined away." in _said(examination, jitter=0.1, notes=[note])


def test_a_number_that_is_held_down_is_at_least_so_large(examination: Examination) -> None:
    known = {"condition_estimate": 1e6, "forward_error": 1e-3}
    assert "matrix is about 1e+06: of float64's 16 digits the coefficients may lose 6." in _said(
        examination, **known
    )
    assert "matrix is at least about 1e+06" in _said(examination, **known | {"forward_error": None})


@pytest.mark.parametrize("met", [True, False])
def test_the_primal_path_is_said_in_its_own_words(examination: Examination, met: bool) -> None:
    """No matrix was formed a second time, and without an interpolant nothing traded misfit against the norm."""
    primal = {"min_pivot": None, "condition_estimate": 1e6, "forward_error": 1e-3, "ridge": 0.0}
    plan = {**examination.record["plan"], "n": 5000}
    said = _said(examination, **primal, interpolates=met, plan=plan)
    assert "The normal equations of the weights hold to the fraction" in said
    assert "formed a second time" not in said
    assert ("of the features is about 1e+03" in said) == met
    assert ("this one has the least squares of what it misses" in said) != met
    assert ("No function that misses as little has a smaller norm." in said) != met


def test_the_matrix_is_said_to_be_formed_again_only_where_it_was(examination: Examination) -> None:
    plan = examination.record["plan"]
    again = "The matrix was formed a second time"
    assert again not in _said(examination)  # of 150 rows that which was factored may serve
    assert again in _said(examination, plan={**plan, "n": 5000})
    sums = _said(examination, plan={**plan, "n": 5000, "d": 0})
    assert again not in sums
    assert "sums of features that the matrix holds were not formed again" in sums
