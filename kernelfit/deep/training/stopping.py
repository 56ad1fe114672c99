"""When a training stops before its last epoch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from kernelfit.deep.recipe import Recipe

PLATEAU_GAIN = 1e-3  # a smaller relative gain of the loss counts as none


def status_after(recipe: Recipe, histories: Sequence[list[dict[str, Any]]], n_classes: int) -> str:
    """ "running", or why training is over after the epoch that `histories` (one list of records a run) end with.

    Runs that diverged do not stop those beside them; runs with a plateau or a ladder train alone.
    """
    alive = [history[-1]["loss"] for history in histories if math.isfinite(history[-1]["loss"])]
    if not alive:
        return "diverged"
    epoch = len(histories[0])
    if len(recipe.rates) > 1 and epoch == recipe.ladder_patience:
        blind = math.log(n_classes)
        if min(alive) > blind - recipe.ladder_margin:
            return "stuck"
    if recipe.plateau and epoch > recipe.plateau:
        losses = [record["loss"] for record in histories[0]]
        if min(losses[-recipe.plateau :]) >= min(losses[: -recipe.plateau]) * (1 - PLATEAU_GAIN):
            return "plateau"
    return "finished" if epoch >= recipe.epochs else "running"
