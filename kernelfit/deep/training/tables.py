"""Readable tables of runs. No torch here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kernelfit.deep.recipe import Recipe, names
from kernelfit.deep.training.outcome import steps_to
from kernelfit.report.grid import Grid, Pairs
from kernelfit.report.tables import MISSING, number, percent, seconds


def new_table(title: str, columns: tuple[str, ...], words: int = 1) -> Grid:
    """An empty table: the first `words` columns hold words, the others numbers."""
    return Grid(columns, right=range(words, len(columns)), words=range(words), title=title)


def points(value: float | None, signed: bool = False) -> str:
    """Per cent without the sign, which the column's head has."""
    if value is None:
        return MISSING
    return f"{value:+.2f}" if signed else f"{value:.2f}"


def share(fraction: float | None) -> str:
    """A fraction as `points`."""
    return points(None if fraction is None else 100 * fraction)


def count(value: int, noun: str) -> str:
    """Such as `1 epoch`, `2,000 steps`."""
    return f"{value:,} {noun}{'' if value == 1 else 's'}"


def run(result: dict[str, Any], folder: str | None = None) -> Grid:
    """One run, line by line."""
    table = Pairs()
    table.add_row("run", *names_of([result]))
    length = f"{count(result['epochs'], 'epoch')}, {count(result['steps'], 'step')}"
    table.add_row("ended", f"{_end(result)} after {length}; loss {number(result['loss'], 3)}")
    table.add_row("train", _with_top5(result, "train"))
    best = result["best_test_accuracy"]
    table.add_row("test", f"{_with_top5(result, 'test')}; best along training {percent(best)}")
    if result["corrupted_test_error"] is not None:
        table.add_row("", f"error {percent(result['corrupted_test_error'])} on test labels corrupted alike")
    step, threshold = result["converged_step"], result["recipe"]["threshold"]
    reached = "not reached in a window of steps" if step is None else f"after {step:,} steps"
    table.add_row(f"loss {threshold:g}", reached)
    table.add_row("time", seconds(result["seconds"]))
    if folder is not None:
        table.add_row("files", folder)
    return table


def _with_top5(result: dict[str, Any], part: str) -> str:
    top5 = result[f"{part}_top5"]
    said = percent(result[f"{part}_accuracy"])
    return (
        said
        if top5 is None or result["recipe"]["dataset"] != "imagenet"
        else f"{said} (top 5 {percent(top5)})"
    )


def runs(
    results: Sequence[dict[str, Any]],
    recipes: Sequence[Recipe] = (),
    begun: Mapping[Recipe, list[dict[str, Any]]] | None = None,
) -> Grid:
    """One line per run: of finished ones their results, of those that were `begun` their epochs so far. `recipes` are
    all runs of the sweep in their order, where it is not finished.
    """
    table = new_table(
        "runs (accuracies in %)", ("run", "end", "epochs", "train", "test", "best", "steps to .1", "time"), 2
    )
    finished = {Recipe.from_json(result["recipe"]): result for result in results}
    every = list(recipes or finished)
    for name, recipe in zip(names(every), every, strict=True):
        result = finished.get(recipe) or _so_far((begun or {}).get(recipe, []), recipe.threshold)
        if result is None:
            continue
        step = result["converged_step"]
        table.add_row(
            name,
            _end(result) if recipe in finished else "unfinished",
            str(result["epochs"]),
            share(result["train_accuracy"]),
            share(result["test_accuracy"]),
            share(result["best_test_accuracy"]),
            MISSING if step is None else f"{step:,}",
            seconds(result["seconds"]),
        )
    return table


def _so_far(history: list[dict[str, Any]], threshold: float) -> dict[str, Any] | None:
    """What `runs` shows of a run that is not finished, as it was last evaluated; None where no epoch is over."""
    if not history:
        return None
    measured: dict[str, Any] = next(
        (epoch for epoch in reversed(history) if epoch.get("test_accuracy") is not None), {}
    )
    shown = {name: measured.get(name) for name in ("train_accuracy", "test_accuracy", "best_test_accuracy")}
    last = history[-1]
    converged = steps_to(threshold, history)
    return {**shown, "epochs": last["epoch"], "seconds": last["seconds"], "converged_step": converged}


def memorisation(results: list[dict[str, Any]], recipes: Sequence[Recipe] = ()) -> Grid | None:
    """Examples with clean and with corrupted labels apart, at the end of each run that has both; `recipes` as
    in `runs`."""
    columns = ("run", "labels", "right", "learned in epoch", "forgotten")
    table = new_table("memorisation (means over examples)", columns, 2)
    table.caption = "learned in epoch: of the examples that were right at least once"
    for name, result in zip(names_of(results, recipes), results, strict=True):
        last = result["history"][-1]
        if last["corrupted_accuracy"] is None or last["clean_accuracy"] is None:
            continue
        for labels in ("clean", "corrupted"):
            table.add_row(
                name if labels == "clean" else "",
                labels,
                percent(last[f"{labels}_accuracy"]),
                number(last[f"{labels}_first_learned"], 3),
                f"{number(last[f'{labels}_forgotten'], 3)} times",
            )
    return table if table.rows else None


def names_of(results: Sequence[dict[str, Any]], recipes: Sequence[Recipe] = ()) -> list[str]:
    """Runs as `kernelfit.deep.recipe.names` calls them among `recipes` (default: among each other), with spaces, at
    which a narrow column breaks."""
    own = [Recipe.from_json(result["recipe"]) for result in results]
    every = recipes or own
    called = dict(zip(every, names(every), strict=True))
    return [called[recipe] for recipe in own]


def _end(result: dict[str, Any]) -> str:
    """How a run ended; the rate where there was a ladder."""
    ladder = len(result["recipe"]["rates"]) > 1
    return f"{result['status']}, rate {result['rate']:g}" if ladder else str(result["status"])
