"""Where sketch-and-project is, as plain data and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from kernelfit.iterative.sketch_project import State
from kernelfit.iterative.stopping import Goal, Verified
from kernelfit.storage import schema
from kernelfit.storage.hdf5 import array_digest
from kernelfit.typing import Array, Float

_SIZE = schema.number(finite=False)
_NUMBERS = ("mu", "norm", "iteration", "history", "best_measure")
_RULES = {
    "targets": schema.TEXT,
    "measure": schema.TEXT,
    "mu": schema.number(above=0.0),
    "norm": _SIZE,
    "iteration": schema.integer(),
    "history": schema.sequence(_SIZE),
    "best_measure": _SIZE,
    "verified": schema.sequence(schema.sequence(_SIZE, 4)),
}


def to_data(state: State, targets: Float, goal: Goal) -> tuple[dict[str, Any], dict[str, Array]]:
    """JSON and arrays of a state of the iteration for targets (n, c), whose figures are of the goal's measure."""
    meta = {
        "targets": array_digest(targets),
        "measure": goal.measure,
        **{name: getattr(state, name) for name in _NUMBERS},
        "verified": [
            [each.iteration, each.relative_residual, each.backward_error, each.measured]
            for each in state.verified
        ],
    }
    arrays = {name: getattr(state, name) for name in ("solution", "momentum", "squares", "largest")}
    return meta, arrays if state.best is None else {**arrays, "best": state.best}


def of_data(
    path: Any, meta: dict[str, Any], arrays: Mapping[str, Array], targets: Float, goal: Goal
) -> State | None:
    """The inverse; None where it belongs to other targets, or measures something else than the goal.

    Raises `DataError` where a value breaks its rule.
    """
    schema.require(path, meta, _RULES, "iteration")
    if (meta["targets"], meta["measure"]) != (array_digest(targets), goal.measure):
        return None
    n, c = targets.shape
    shapes: dict[str, tuple[int, ...]] = dict.fromkeys(("solution", "momentum"), (n, c))
    shapes |= dict.fromkeys(("squares", "largest"), (c,))
    shapes |= {"best": (n, c)} if "best" in arrays else {}
    for name, shape in shapes.items():
        schema.require_array(path, dict(arrays), name, "f", shape)
    copies: dict[str, Any] = {name: np.array(arrays[name], np.float64, order="C") for name in shapes}
    return State(
        **copies,
        **{name: meta[name] for name in _NUMBERS},
        verified=[Verified(int(each[0]), *each[1:]) for each in meta["verified"]],
    )
