"""Where sketch-and-project is, as plain data and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from kernelfit.errors import DataError
from kernelfit.iterative.checkpoint import RULES, belongs, described, verified_of
from kernelfit.iterative.sketch_project import State
from kernelfit.iterative.stopping import Goal
from kernelfit.storage import schema
from kernelfit.typing import Array, Float

_NUMBERS = ("mu", "norm", "iteration", "history", "measures", "best_measure")
_ARRAYS = ("solution", "momentum", "squares", "largest")
_RULES = {**RULES, "mu": schema.number(above=0.0), "measures": RULES["history"]}


def to_data(state: State, targets: Float, goal: Goal) -> tuple[dict[str, Any], dict[str, Array]]:
    """JSON and arrays of a state of the iteration for targets (n, c), whose figures are of the goal's measure."""
    return described(state, _NUMBERS, _ARRAYS, targets, goal)


def of_data(
    path: Any,
    meta: dict[str, Any],
    arrays: Mapping[str, Array],
    targets: Float,
    goal: Goal,
    *,
    per_epoch: int,
) -> State | None:
    """The inverse; None where it belongs to other targets, or measures something else than the goal.

    Raises `DataError` where a value breaks its rule, or the history is not that of epochs of `per_epoch` blocks.
    """
    if not belongs(path, meta, _RULES, targets, goal):
        return None
    epochs = meta["iteration"] // per_epoch
    formed = [int(each[0]) // per_epoch for each in meta["verified"]]
    lengths = {len(meta["history"]), len(meta["measures"])}
    if lengths != {epochs} or not all(1 <= each <= epochs for each in formed):
        raise DataError(f"{path}: its history is not that of {epochs:,} epochs; it is damaged or forged")
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
        verified=verified_of(meta),
    )
