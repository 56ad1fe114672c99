"""Measured results beside the paper's: one record per cell, with mean and spread over seeds.

Runs that are not finished yet are left out; `seeds` says how many were there.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from kernelfit.deep.paper.grid import Cell, within_gate
from kernelfit.deep.recipe import Recipe
from kernelfit.experiments.paper import REPLICATION_STEPS

Results = Mapping[str, dict[str, Any]]

FIT_ACCURACY = 0.99


def mean_and_spread(values: Sequence[float | None]) -> tuple[float | None, float | None]:
    """Mean, and standard deviation over seeds (None for fewer than two); None values are left out."""
    known = [value for value in values if value is not None]
    if not known:
        return None, None
    return statistics.fmean(known), statistics.stdev(known) if len(known) > 1 else None


def done(recipes: Sequence[Recipe], results: Results) -> list[dict[str, Any]]:
    """The results of those recipes that have one."""
    return [results[r.key] for r in recipes if r.key in results]


def over_seeds(recipes: Sequence[Recipe], results: Results, metric: str) -> dict[str, Any]:
    """Mean and spread of a metric of the finished runs of all seeds."""
    finished = done(recipes, results)
    mean, spread = mean_and_spread([result[metric] for result in finished])
    return {"mean": mean, "spread": spread, "seeds": len(finished)}


def steps_over_seeds(steps: Sequence[int | None]) -> dict[str, Any]:
    """Mean and spread of the steps after which finished runs reached a goal (None: never), and how many `reached` it;
    without a mean where some did not, since that of the others would be too small.
    """
    reached = [value for value in steps if value is not None]
    mean, spread = mean_and_spread(reached) if len(reached) == len(steps) else (None, None)
    return {"mean": mean, "spread": spread, "seeds": len(steps), "reached": len(reached)}


def cells(of: Sequence[Cell], results: Results, *, judged: bool = True) -> list[dict[str, Any]]:
    """Rows of a table: paper, ours (both in per cent), and ours - paper, for each cell and metric.

    `judged`: say whether they agree, which runs of another size or data set than the paper's cannot.
    """
    rows = []
    for cell in of:
        for metric, paper in cell.paper.items():
            measured = over_seeds(cell.recipes, results, metric)
            ours = None if measured["mean"] is None else 100 * measured["mean"]
            rows.append(
                {
                    "row": cell.row,
                    "column": cell.column,
                    "metric": metric,
                    "paper": paper,
                    "paper_fails_to_converge": cell.fails,
                    "ours": ours,
                    "spread": None if measured["spread"] is None else 100 * measured["spread"],
                    "seeds": measured["seeds"],
                    "difference": None if ours is None or paper is None else ours - paper,
                    "within_gate": within_gate(cell, metric, ours) if judged and ours is not None else None,
                    "status": sorted({result["status"] for result in done(cell.recipes, results)}),
                    "rates": sorted({result["rate"] for result in done(cell.recipes, results)}),
                    "runs": [r.key for r in cell.recipes],
                }
            )
    return rows


def first_history(
    recipes: Sequence[Recipe], results: Results, begun: Mapping[str, list[dict[str, Any]]] | None
) -> list[dict[str, Any]] | None:
    """The epochs of the first finished seed, else of the first that was `begun` (key -> history), if one was."""
    histories = [result["history"] for result in done(recipes, results)]
    histories = histories or [(begun or {}).get(recipe.key, []) for recipe in recipes]
    return next((history for history in histories if history), None)


def loss_curves(
    runs: Mapping[str, Sequence[Recipe]],
    results: Results,
    begun: Mapping[str, list[dict[str, Any]]] | None = None,
) -> dict[str, dict[str, Any]]:
    """Figure 1a: the first finished seed's window losses against steps, and the steps to the threshold over seeds.

    Where no seed is finished, the epochs so far of one that was `begun` (key -> history) are drawn instead.
    """
    curves = {}
    for name, recipes in runs.items():
        finished = done(recipes, results)
        history = first_history(recipes, results, begun)
        if history is None:
            continue
        curves[name] = {
            "steps": [step for record in history for step in record["window_steps"]],
            "losses": [loss for record in history for loss in record["window_losses"]],
            "unfinished": not finished,
            "converged_step": steps_over_seeds([result["converged_step"] for result in finished]),
            "replication_step": REPLICATION_STEPS.get(name),
            "train_accuracy": over_seeds(recipes, results, "train_accuracy"),
            "test_accuracy": over_seeds(recipes, results, "test_accuracy"),
        }
    return curves


def convergence_order(curves: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Names from the first to converge to the last; then those of which some seeds did, and those of which none did."""
    steps = {name: curve["converged_step"] for name, curve in curves.items()}

    def late(name: str) -> tuple[bool, float]:
        mean, reached = steps[name]["mean"], steps[name]["reached"]
        return (True, -reached) if mean is None else (False, mean)

    return sorted(steps, key=late)


def accuracy_step(result: Mapping[str, Any]) -> int | None:
    """Steps until the share of training examples that are right first was FIT_ACCURACY at the end of an epoch, as
    evaluated then or, in epochs without an evaluation, as seen along the epoch."""
    for record in result["history"]:
        right = record.get("train_accuracy")
        if (record["online_accuracy"] if right is None else right) >= FIT_ACCURACY:
            return int(record["step"])
    return None


def noise_curves(
    runs: Mapping[str, Mapping[float, Sequence[Recipe]]], results: Results
) -> dict[str, list[dict[str, Any]]]:
    """Figures 1b and 1c: for each model and share p of corrupted labels, the time to overfit relative to p = 0
    and the test error; beside it, the error on test labels corrupted alike.

    Overfit is a training loss at the recipe's threshold, as in figure 1a, or FIT_ACCURACY of the training labels:
    runs that fit nearly all random labels may never bring their loss down. Where some seeds do not get there, there is
    no time (`steps_over_seeds`).
    """
    curves = {}
    for model, by_p in runs.items():
        points: list[dict[str, Any]] = []
        if not any(done(recipes, results) for recipes in by_p.values()):
            continue
        clean = by_p[min(by_p)]
        base, base_right = (steps["mean"] for steps in _times(clean, results))
        for p, recipes in sorted(by_p.items()):
            if not done(recipes, results):
                continue
            steps, right = _times(recipes, results)
            test = over_seeds(recipes, results, "test_accuracy")
            error = None if test["mean"] is None else 1 - test["mean"]
            # Results know how many classes the data set has.
            alike = over_seeds(recipes, results, "corrupted_test_error")["mean"] if p else error
            points.append(
                {
                    "p": p,
                    "converged_step": steps,
                    "relative_time": _ratio(steps["mean"], base),
                    "accuracy_step": right,
                    "relative_time_by_accuracy": _ratio(right["mean"], base_right),
                    "test_error": error,
                    "test_error_spread": test["spread"],
                    "corrupted_test_error": alike,
                    "train_accuracy": over_seeds(recipes, results, "train_accuracy"),
                }
            )
        curves[model] = points
    return curves


def _times(recipes: Sequence[Recipe], results: Results) -> tuple[dict[str, Any], dict[str, Any]]:
    """Steps to the threshold of the loss, and to FIT_ACCURACY of the labels, over seeds."""
    finished = done(recipes, results)
    by_loss = steps_over_seeds([result["converged_step"] for result in finished])
    return by_loss, steps_over_seeds([accuracy_step(result) for result in finished])


def _ratio(mean: float | None, base: float | None) -> float | None:
    return None if mean is None or not base else mean / base


def memorisation_curves(runs: Mapping[str, Sequence[Recipe]], results: Results) -> dict[str, dict[str, Any]]:
    """Accuracy on clean and on corrupted examples against epochs, of the first seed, and what was learned when."""
    curves = {}
    for name, recipes in runs.items():
        if not (finished := done(recipes, results)):
            continue
        history = finished[0]["history"]
        curves[name] = {
            "epochs": [r["epoch"] for r in history],
            "clean": [r["clean_accuracy"] for r in history],
            "corrupted": [r["corrupted_accuracy"] for r in history],
            "last": {
                key: history[-1][key] for key in history[-1] if key.endswith(("_first_learned", "_forgotten"))
            },
        }
    return curves


def accuracy_curves(
    runs: Mapping[str, Sequence[Recipe]],
    results: Results,
    begun: Mapping[str, list[dict[str, Any]]] | None = None,
) -> dict[str, dict[str, Any]]:
    """Figures 2a and 2b: train and test accuracy against steps, with the best test accuracy so far; of runs that were
    `begun` as `loss_curves` has it."""
    curves = {}
    for name, recipes in runs.items():
        every = first_history(recipes, results, begun) or []
        history = [r for r in every if r.get("test_accuracy") is not None]
        if not history:
            continue
        curves[name] = {
            "unfinished": not done(recipes, results),
            "steps": [r["step"] for r in history],
            "train": [r["train_accuracy"] for r in history],
            "test": [r["test_accuracy"] for r in history],
            "best": [r["best_test_accuracy"] for r in history],
        }
    return curves


def scaling_note(recipes: Sequence[Recipe], full: Sequence[Recipe]) -> str | None:
    """One line naming what was scaled down against the full recipes; None where nothing was."""
    changes = []
    for name, word in (
        ("epochs", "epochs"),
        ("n", "training rows"),
        ("n_test", "test rows"),
        ("side", "pixels a side"),
    ):
        ours = sorted({getattr(r, name) or 0 for r in recipes})
        theirs = sorted({getattr(r, name) or 0 for r in full})
        if ours != theirs:
            changes.append(f"{_sizes(ours)} {word} instead of {_sizes(theirs)}")
    datasets = {r.dataset for r in recipes} - {r.dataset for r in full}
    if datasets:
        changes.append(f"data set {', '.join(sorted(datasets))}")
    return "scaled down: " + ", ".join(changes) if changes else None


def _sizes(values: Sequence[int]) -> str:
    return "/".join(f"{value:,}" if value else "all" for value in values)
