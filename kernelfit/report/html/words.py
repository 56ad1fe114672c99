"""The certificate of a run in sentences."""

from __future__ import annotations

import math
from typing import Any

from kernelfit.datasets.dataset import Origin
from kernelfit.kernels import KERNELS
from kernelfit.linalg import one_tile
from kernelfit.report.tables import number
from kernelfit.solver.certificate import BACKWARD_ROUNDING
from kernelfit.solver.remarks import NOT_REFINED

#: unit roundoff of float64
ROUNDING = 2.0**-53
# A pivot is the square of what is left of a row's feature vector: below this share of A_ii that is a hundredth.
_NEARLY = 1e-4


def in_file(origin: Origin | None, row: int) -> str:
    """What the user's file calls a row that stands elsewhere here; empty where it calls it nothing else."""
    if origin is None:
        return ""
    return origin[row] if isinstance(origin, tuple) else f"row {origin[row]:,} of the file, counted from 0"


def certificate(record: dict[str, Any], origin: Origin | None = None) -> list[str]:
    """What the numbers of the certificate say, a sentence or two each; `origin` is that of training rows."""
    said = [_fit(record), _backward(record), *_condition(record)]
    if record.get("weak_pivots"):
        said.append(
            f"{record['weak_pivots']} pivots of the factorisation are no larger than rounding could have made them: "
            "the matrix is singular to working precision."
        )
    elif record.get("min_pivot") is not None:
        row = record.get("min_pivot_row")
        at = "" if row is None else f", at training row {row:,}"
        if row is not None and (named := in_file(origin, row)):
            at += f" ({named})"
        if at and _nearly_dependent(record):
            at += ", which is nearly a combination of those before it"
        said.append(f"The smallest pivot of the factorisation is {number(record['min_pivot'], 3)}{at}.")
    if record.get("jitter"):
        refined = not any(NOT_REFINED in note for note in record.get("notes", ()))
        said.append(
            f"A jitter of {number(record['jitter'])} was added to the diagonal for the factorisation alone, and "
            + ("refined away." if refined else "not all of it was refined away.")
        )
    norm = record.get("rkhs_norm")
    if norm is None or math.isnan(norm):
        said.append("The norm of the function is not resolved: no digit of it is certain.")
    else:
        error = record.get("rkhs_norm_error")
        bound = "" if error is None else f", to within {number(error, 1)}"
        said.append(f"Its norm is {number(norm, 6)}{bound}.{_least(record)}")
    return said


def _is_primal(record: dict[str, Any]) -> bool:
    """Whether weights of features were solved for, without a factor of K (`kernelfit.solver.primal`)."""
    return record.get("min_pivot") is None and "convergence" not in record


def _is_cut_short(record: dict[str, Any]) -> bool:
    """Whether an iteration was to reach a tolerance and no more."""
    return (record.get("convergence") or {}).get("measure") == "relative residual"


def _known(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _least(record: dict[str, Any]) -> str:
    """What the norm is the least of; nothing where the equations do not hold."""
    if record.get("interpolates"):
        return " No function of a smaller norm meets the labels."
    if _is_primal(record):
        return " No function that misses as little has a smaller norm."
    if record.get("ridge") and record["backward_error"] <= BACKWARD_ROUNDING:
        return " No other function trades misfit against norm better."
    return ""


def _condition(record: dict[str, Any]) -> list[str]:
    condition: Any = record.get("condition_estimate")
    if not _known(condition):
        return []
    what, lose = "matrix", "coefficients"
    if _is_primal(record):
        lose = "weights"
        if record.get("interpolates"):  # else they feel the square
            what, condition = "features", math.sqrt(condition)
    # A number that the factor's precision or a jitter holds down is less than that of the matrix.
    about = "about" if _known(record.get("forward_error")) else "at least about"
    return [
        f"The condition number of the {what} is {about} {number(condition, 2)}: of float64's 16 digits the {lose} may "
        f"lose {max(0.0, math.log10(condition)):.0f}. Values of the function are far better than that."
    ]


def _fit(record: dict[str, Any]) -> str:
    if record.get("interpolates"):
        return "The function goes through every training point: the equations hold to rounding, and the ridge is 0."
    if record.get("ridge"):
        return (
            f"A ridge of {number(record['ridge'])} lets the function miss training points in exchange for a "
            "smaller norm."
        )
    if _is_primal(record):
        return "No function of these features meets every target: this one has the least squares of what it misses."
    if _is_cut_short(record):
        asked, left = (number(record["convergence"][key], 2) for key in ("target", "relative_residual"))
        return (
            f"The iteration was to reach a relative residual of {asked} and no more: the function meets training "
            f"points to {left} of the targets' norm, and the ridge is 0."
        )
    return (
        "The equations do not hold to rounding: the function misses training points although the ridge is 0."
    )


def _backward(record: dict[str, Any]) -> str:
    error = record["backward_error"]
    beside = "below" if error <= ROUNDING else f"{error / ROUNDING:.2g} times"
    rounding = f"which is {beside} the rounding of float64 ({number(ROUNDING, 2)})"
    if _is_primal(record):
        return (
            f"The normal equations of the weights hold to the fraction {number(error, 2)} of their terms, "
            f"{rounding}."
        )
    every = record.get("componentwise_backward_error")
    entries = (
        ""
        if every is None
        else f" Every entry by itself would have to change by {number(every, 2)} of itself."
    )
    return (
        f"The coefficients solve exactly a system whose matrix and targets differ from yours by the fraction "
        f"{number(error, 2)}, {rounding}.{_afresh(record)}{entries}"
    )


def _afresh(record: dict[str, Any]) -> str:
    """Whether the matrix of the certificate was formed a second time."""
    plan = record["plan"]
    if plan["d"] == 0:
        return " The sums of features that the matrix holds were not formed again for this."
    # The K that was factored may serve the certificate, which gives the same numbers.
    if plan["n"] <= one_tile.MAX_ORDER:
        return ""
    return " The matrix was formed a second time for this."


def _nearly_dependent(record: dict[str, Any]) -> bool:
    """Whether the smallest pivot is small beside the diagonal, where a record tells that: its mean, or 1."""
    family = KERNELS.get(record["kernel"]["name"])
    diagonal = record.get("mean_diagonal", 1.0 if family is not None and family.stationary else None)
    return diagonal is not None and record["min_pivot"] <= _NEARLY * (diagonal + record["ridge"])
