"""Where an iteration is, as plain data and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kernelfit.errors import DataError
from kernelfit.iterative.block_cg import State
from kernelfit.iterative.stopping import Goal, Verified
from kernelfit.storage import schema
from kernelfit.storage.hdf5 import array_digest
from kernelfit.typing import Array, Float

_ARRAYS = ("solution", "change", "residual", "directions", "applied", "nearest")
_SIZE = schema.number(finite=False)
#: what a state of any method has
RULES = {
    "targets": schema.TEXT,
    "measure": schema.TEXT,
    "norm": _SIZE,
    "best_measure": _SIZE,
    "iteration": schema.integer(),
    "history": schema.sequence(_SIZE),
    "verified": schema.sequence(schema.sequence(_SIZE, 4)),
}
_NUMBERS = ("norm", "least", "best_measure", "iteration", "history", "exact", "curvature")


def described(
    state: Any, numbers: Sequence[str], arrays: Sequence[str], targets: Float, goal: Goal
) -> tuple[dict[str, Any], dict[str, Array]]:
    """JSON and arrays of a state of any method for targets (n, c), whose figures are of the goal's measure."""
    meta = {
        "targets": array_digest(targets),
        "measure": goal.measure,
        **{name: getattr(state, name) for name in numbers},
        "verified": [
            [each.iteration, each.relative_residual, each.backward_error, each.measured]
            for each in state.verified
        ],
    }
    named = {name: getattr(state, name) for name in arrays}
    return meta, named if state.best is None else {**named, "best": state.best}


def belongs(path: Any, meta: dict[str, Any], rules: Mapping[str, Any], targets: Float, goal: Goal) -> bool:
    """Whether a state is of these targets and of the goal's measure. Raises `DataError` where a rule is broken."""
    schema.require(path, meta, rules, "iteration")
    return bool((meta["targets"], meta["measure"]) == (array_digest(targets), goal.measure))


def verified_of(meta: Mapping[str, Any]) -> list[Verified]:
    """The true residuals that were formed."""
    return [Verified(int(each[0]), *each[1:]) for each in meta["verified"]]


def to_data(state: State, targets: Float, goal: Goal) -> tuple[dict[str, Any], dict[str, Array]]:
    """JSON and arrays of a state of the iteration for targets (n, c), whose figures are of the goal's measure."""
    return described(state, _NUMBERS, _ARRAYS, targets, goal)


def of_data(
    path: Any, meta: dict[str, Any], arrays: Mapping[str, Array], targets: Float, goal: Goal
) -> State | None:
    """The inverse; None where it belongs to other targets, or measures something else than the goal.

    Raises `DataError` where a value breaks its rule.
    """
    if not belongs(
        path, meta, {**RULES, "least": _SIZE, "exact": schema.BOOLEAN, "curvature": _SIZE}, targets, goal
    ):
        return None
    n, c = targets.shape
    for name in _ARRAYS:
        schema.require_array(
            path, dict(arrays), name, "f", (n, None if name in ("directions", "applied") else c)
        )
    if arrays["directions"].shape != arrays["applied"].shape:
        raise DataError(f"{path}: directions and applied differ in shape; it is damaged or forged")
    copies: dict[str, Any] = {name: np.array(arrays[name], np.float64, order="C") for name in _ARRAYS}
    state = State(
        **copies,
        **{name: meta[name] for name in _NUMBERS},
        verified=verified_of(meta),
        best=np.array(arrays["best"], np.float64) if "best" in arrays else None,
    )
    state.measured = goal.of_residual(state.residual, state.solution + state.change, targets, state.norm)
    return state
