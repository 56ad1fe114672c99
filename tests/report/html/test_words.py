"""`kernelfit.report.html.words`: sentences that follow from the numbers of a certificate."""

from __future__ import annotations

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


def test_the_matrix_is_said_to_be_formed_again_only_where_it_was(examination: Examination) -> None:
    plan = examination.record["plan"]
    again = "The matrix was formed a second time"
    assert again not in _said(examination)  # of 150 rows that which was factored may serve
    assert again in _said(examination, plan={**plan, "n": 5000})
    sums = _said(examination, plan={**plan, "n": 5000, "d": 0})
    assert again not in sums
    assert "sums of features that the matrix holds were not formed again" in sums
