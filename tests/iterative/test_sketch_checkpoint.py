"""A state of sketch-and-project as data: back as it was, and refused where it contradicts itself."""

import numpy as np
import pytest

from kernelfit.errors import DataError
from kernelfit.iterative.sketch_checkpoint import of_data, to_data
from kernelfit.iterative.sketch_project import State
from kernelfit.iterative.stopping import Goal, Verified

GOAL = Goal.of(1e-3)
TARGETS = np.arange(12.0).reshape(6, 2)


def state(**changes):
    values = {
        "iteration": 9,
        "history": [0.5, 0.25, 0.125],
        "measures": [0.5, 0.25, 0.125],
        "verified": [Verified(6, 0.3, 1e-3, 0.3)],
    } | changes
    return State(TARGETS + 1, TARGETS + 2, np.ones(2), np.ones(2), mu=0.1, norm=2.0, **values)


def test_a_state_comes_back():
    meta, arrays = to_data(state(best=TARGETS + 3, best_measure=0.3), TARGETS, GOAL)
    back = of_data("run", meta, arrays, TARGETS, GOAL, per_epoch=3)
    assert (back.iteration, back.history, back.verified) == (9, [0.5, 0.25, 0.125], state().verified)
    assert np.array_equal(back.momentum, TARGETS + 2)
    assert np.array_equal(back.best, TARGETS + 3)


def test_one_of_other_targets_is_none():
    meta, arrays = to_data(state(), TARGETS, GOAL)
    assert of_data("run", meta, arrays, TARGETS + 1, GOAL, per_epoch=3) is None


@pytest.mark.parametrize(
    "changes",
    [{"history": []}, {"measures": []}, {"iteration": 90}, {"verified": [Verified(60, 0.3, 1e-3, 0.3)]}],
    ids=["no history", "no measures", "more epochs", "a residual to come"],
)
def test_a_history_of_other_epochs_is_refused(changes):
    meta, arrays = to_data(state(**changes), TARGETS, GOAL)
    with pytest.raises(DataError, match="run: its history is not that of"):
        of_data("run", meta, arrays, TARGETS, GOAL, per_epoch=3)
