"""The certificate of a run in sentences."""

from __future__ import annotations

import math
from typing import Any

from kernelfit.kernels import KERNELS
from kernelfit.report.tables import number

#: unit roundoff of float64
ROUNDING = 2.0**-53
# A pivot is the square of what is left of a row's feature vector: below this share of A_ii that is a hundredth.
_NEARLY = 1e-4
# Up to this order the K that was factored may serve the certificate, which gives the same numbers.
_ONE_TILE = 512


def certificate(record: dict[str, Any]) -> list[str]:
    """What the numbers of the certificate say, a sentence or two each."""
    said = [_fit(record), _backward(record)]
    condition = record.get("condition_estimate")
    if condition is not None:
        lost = max(0.0, math.log10(condition)) if condition > 0 else 0.0
        said.append(
            f"The condition number of the matrix is about {number(condition, 2)}: of float64's 16 digits the "
            f"coefficients may lose {lost:.0f}. Values of the function are far better than that."
        )
    if record.get("weak_pivots"):
        said.append(
            f"{record['weak_pivots']} pivots of the factorisation are no larger than rounding could have made them: "
            "the matrix is singular to working precision."
        )
    elif record.get("min_pivot") is not None:
        row = record.get("min_pivot_row")
        at = "" if row is None else f", at training row {row:,}"
        if at and _nearly_dependent(record):
            at += ", which is nearly a combination of those before it"
        said.append(f"The smallest pivot of the factorisation is {number(record['min_pivot'], 3)}{at}.")
    if record.get("jitter"):
        said.append(
            f"A jitter of {number(record['jitter'])} was added to the diagonal for the factorisation alone, and "
            "refined away."
        )
    norm = record.get("rkhs_norm")
    if norm is None or math.isnan(norm):
        said.append("The norm of the function is not resolved: no digit of it is certain.")
    else:
        error = record.get("rkhs_norm_error")
        bound = "" if error is None else f", to within {number(error, 1)}"
        least = "No function of a smaller norm" if record.get("interpolates") else "No other function"
        reason = "meets the labels" if record.get("interpolates") else "trades misfit against norm better"
        said.append(f"Its norm is {number(norm, 6)}{bound}. {least} {reason}.")
    return said


def _fit(record: dict[str, Any]) -> str:
    if record.get("interpolates"):
        return "The function goes through every training point: the equations hold to rounding, and the ridge is 0."
    if record.get("ridge"):
        return (
            f"A ridge of {number(record['ridge'])} lets the function miss training points in exchange for a "
            "smaller norm."
        )
    return (
        "The equations do not hold to rounding: the function misses training points although the ridge is 0."
    )


def _backward(record: dict[str, Any]) -> str:
    error = record["backward_error"]
    beside = "below" if error <= ROUNDING else f"{error / ROUNDING:.2g} times"
    every = record.get("componentwise_backward_error")
    entries = (
        ""
        if every is None
        else f" Every entry by itself would have to change by {number(every, 2)} of itself."
    )
    return (
        f"The coefficients solve exactly a system whose matrix and targets differ from yours by the fraction "
        f"{number(error, 2)}, which is {beside} the rounding of float64 ({number(ROUNDING, 2)}).{_afresh(record)}"
        f"{entries}"
    )


def _afresh(record: dict[str, Any]) -> str:
    """Whether the matrix of the certificate was formed a second time."""
    plan = record["plan"]
    if plan["d"] == 0:
        return " The sums of features that the matrix holds were not formed again for this."
    if plan["n"] <= _ONE_TILE:
        return ""
    return " The matrix was formed a second time for this."


def _nearly_dependent(record: dict[str, Any]) -> bool:
    """Whether the smallest pivot is small beside the diagonal, where a record tells that: its mean, or 1."""
    family = KERNELS.get(record["kernel"]["name"])
    diagonal = record.get("mean_diagonal", 1.0 if family is not None and family.stationary else None)
    return diagonal is not None and record["min_pivot"] <= _NEARLY * (diagonal + record["ridge"])
