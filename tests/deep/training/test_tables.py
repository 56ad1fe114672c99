"""Tables of runs. No torch here."""

from __future__ import annotations

from typing import Any

from kernelfit.deep.recipe import Recipe
from kernelfit.deep.training import tables


def recipe(decay: float) -> Recipe:
    return Recipe("mlp-1x512", dataset="digits", epochs=9, corruption="random-labels", weight_decay=decay)


def epoch(number: int, **measured: float) -> dict[str, Any]:
    return {
        "epoch": number,
        "seconds": float(number),
        "window_steps": [10 * number - 5, 10 * number],
        "window_losses": [1.0, 0.1 if number == 2 else 0.5],
        "clean_accuracy": None,
        "corrupted_accuracy": None,
    } | measured


def result(of: Recipe) -> dict[str, Any]:
    accuracies = {"train_accuracy": 0.75, "test_accuracy": 0.5, "best_test_accuracy": 0.5}
    learned = {
        f"{part}_{name}": 0.5 for part in ("clean", "corrupted") for name in ("first_learned", "forgotten")
    }
    last = epoch(9, **learned) | {"clean_accuracy": 1.0, "corrupted_accuracy": 0.5}
    return {
        "recipe": of.to_json(),
        "status": "finished",
        "epochs": 9,
        "converged_step": 20,
        "seconds": 9.0,
        "history": [last],
    } | accuracies


def test_a_sweep_that_is_not_finished_tells_its_runs_apart_and_has_the_epochs_so_far() -> None:
    every = [recipe(decay) for decay in (0.1, 0.2, 0.3)]
    results = [result(every[1])]
    accuracies = {"train_accuracy": 0.25, "test_accuracy": 0.125, "best_test_accuracy": 0.5}
    begun = {every[0]: [epoch(1, **accuracies), epoch(2)], every[2]: []}
    names = [f"mlp-1x512 random-labels wd seed0 weight-decay {decay}" for decay in (0.1, 0.2)]
    table = tables.runs(results, every, begun)
    assert [list(row[:7]) for row in table.rows] == [
        [names[0], "unfinished", "2", "25.00", "12.50", "50.00", "20"],
        [names[1], "finished", "9", "75.00", "50.00", "50.00", "20"],
    ]
    learned = tables.memorisation(results, every)
    assert learned is not None
    assert learned.rows[0][0] == names[1]


def test_a_sweep_of_which_nothing_is_finished_has_no_runs_to_show() -> None:
    assert not tables.runs([], [recipe(0.1)], {}).rows
