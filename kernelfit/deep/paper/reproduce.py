"""Run or resume what tables and figures of the paper need, and set it beside the paper."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kernelfit.arguments import path_of
from kernelfit.cpu.environment import describe
from kernelfit.deep.options import TARGETS, Target
from kernelfit.deep.paper import compare, figures, flops, grid
from kernelfit.deep.processes import leads
from kernelfit.deep.recipe import CHOICES, Recipe, choices
from kernelfit.deep.training.hardware import Hardware
from kernelfit.deep.training.outcome import FAILED
from kernelfit.deep.training.results import history_so_far
from kernelfit.deep.training.sweep import STACK, run, seconds_so_far
from kernelfit.errors import InputError
from kernelfit.experiments.paper import TABLE2_ALEXNET_TOP5
from kernelfit.progress import ProgressLike, as_progress
from kernelfit.report.chart import Chart
from kernelfit.storage import json_output

Composed = tuple[dict[str, Any], list[Chart]]


@dataclass(frozen=True)
class Request:
    """What to reproduce: targets ("table1", "table2", "table4", "fig1", "fig2"), seeds, and `scale`, the recipe fields
    that make the grid smaller or other than the paper's (epochs, n, n_test, dataset). `command` is what the records say
    they came from."""

    targets: tuple[Target, ...]
    seeds: tuple[int, ...] = (0,)
    scale: dict[str, Any] = field(default_factory=dict)
    command: str = ""

    def __post_init__(self) -> None:
        for target in self.targets:
            if target not in TARGETS:
                raise InputError(f"target: got {target!r}, expected one of {', '.join(TARGETS)}")
        if not self.targets or not self.seeds:
            raise InputError("targets, seeds: got none, expected at least one of each")
        if len(set(self.seeds)) < len(self.seeds):
            raise InputError(f"seeds: got {', '.join(map(str, self.seeds))}, expected each of them once")
        if "table2" in self.targets and len(self.targets) > 1:
            raise InputError("targets: table2 has another data set than the others; reproduce it by itself")

    def recipes(self, target: Target) -> list[Recipe]:
        """All runs of a target, each once."""
        return grid.recipes(target, self.seeds, self.scale)

    def in_order(self) -> list[Recipe]:
        """The runs of all targets, each once: all of the first seed before the second, one target after the other and,
        within it, the smallest arithmetic first, so that a call that ends early leaves as many complete rows as it can.
        """
        runs: list[Recipe] = []
        for seed in self.seeds:
            for target in self.targets:
                own = grid.recipes(target, [seed], self.scale)
                runs += own if target == "table2" else sorted(own, key=flops.of_run)
        return list(dict.fromkeys(runs))

    def scaling(self, target: Target) -> str | None:
        """One line on what is smaller than in the paper; None where nothing is."""
        return compare.scaling_note(self.recipes(target), grid.recipes(target, self.seeds, {}))


def reproduce(
    request: Request,
    folder: str | Path,
    *,
    hardware: Hardware | None = None,
    data_dir: str | Path | None = None,
    stack: int = STACK,
    at_once: int = 1,
    minutes: float | None = None,
    progress: ProgressLike = None,
) -> dict[Target, dict[str, Any]]:
    """Train what FOLDER/runs lacks of the request, write FOLDER/<target>.json and FOLDER/figures, and return the
    records by target.

    For `table2`, `data_dir` holds the image folders train/ and val/. With `minutes` the call ends in time, the records
    name the runs that are not finished, and the same call resumes them. Under torchrun the first process writes.
    """
    progress, folder = as_progress(progress if leads() else None), path_of("folder", folder)
    if "table2" in request.targets and data_dir is None:
        raise InputError(
            "data_dir: table2 needs ImageNet's image folders train/ and val/; name their parent folder"
        )
    for target in request.targets:
        note = request.scaling(target)
        if note is not None:
            progress.note(f"{target} is {note}")
    runs = folder / "runs"
    seconds_so_far(runs)  # a damaged line is refused before hours of work
    results = run(
        request.in_order(),
        runs,
        hardware=hardware,
        data_dir=data_dir,
        stack=stack,
        at_once=at_once,
        minutes=minutes,
        progress=progress,
    )
    seconds = seconds_so_far(runs)
    records: dict[Target, dict[str, Any]] = {}
    for target in request.targets:
        record = _record(request, target, results, folder)
        record["seconds_of_all_calls"] = seconds
        if leads():
            json_output.write(record, folder / f"{target}.json")
        records[target] = record
    return records


def _record(request: Request, target: Target, results: compare.Results, folder: Path) -> dict[str, Any]:
    """What is written of one target; its figures are drawn on the way."""
    runs = request.recipes(target)
    ended = {r.key: results[r.key]["status"] for r in runs if r.key in results}
    note = request.scaling(target)
    content, charts = _COMPOSE[target](request, results, folder / "runs", note is None)
    if charts:
        drawn = charts if leads() else []
        content["figures"] = [
            path for chart in drawn for path in figures.save(chart, folder / "figures", note)
        ]
    return {
        "target": target,
        "seeds": list(request.seeds),
        "scaled_down": note,
        **content,
        "runs": len(runs),
        "unfinished": [r.key for r in runs if r.key not in ended],
        "failed": {key: status for key, status in ended.items() if status in FAILED},
        "precisions": sorted({results[r.key]["system"]["precision"] for r in runs if r.key in results}),
        "arithmetic": flops.plan(runs) if {r.dataset for r in runs} == {"cifar10"} else None,
        "choices": _all_choices(runs),
        "machine": describe(),
        "command": request.command,
    }


# The part of a record that belongs to its target, and its figures; `runs` is the folder of the runs. ------------------


def _table1(request: Request, results: compare.Results, runs: Path, judged: bool) -> Composed:
    return {"cells": compare.cells(grid.table1(request.seeds, request.scale), results, judged=judged)}, []


def _table2(request: Request, results: compare.Results, runs: Path, judged: bool) -> Composed:
    cells = grid.table2(request.seeds, request.scale)
    # Fully regularised, with weight decay alone, with nothing.
    shown = {c.column: c.recipes for c in (cells[0], *cells[2:4])}
    curves = compare.accuracy_curves(shown, results, _begun(shown, results, runs))
    content = {
        "cells": compare.cells(cells, results, judged=judged),
        "alexnet_2012_test_top5": TABLE2_ALEXNET_TOP5,
        "figure2a": curves,
    }
    return content, [figures.accuracies("fig2a", figures.EARLY_STOPPING, curves)]


def _table4(request: Request, results: compare.Results, runs: Path, judged: bool) -> Composed:
    sweep = grid.weight_decay_sweep(request.seeds, request.scale)
    content = {
        "cells": compare.cells(grid.table4(request.seeds, request.scale), results, judged=judged),
        "weight_decay_sweep": compare.cells(sweep, results, judged=False),
    }
    return content, []


def _fig1(request: Request, results: compare.Results, runs: Path, judged: bool) -> Composed:
    five = grid.figure1a(request.seeds, request.scale)
    losses = compare.loss_curves(five, results, _begun(five, results, runs))
    noisy = grid.figure1bc(request.seeds, request.scale)
    noise = compare.noise_curves(noisy, results)
    learned = compare.memorisation_curves({model: by_p[0.5] for model, by_p in noisy.items()}, results)
    content = {
        "figure1a": losses,
        "order": compare.convergence_order(losses),
        "figure1bc": noise,
        "memorisation": learned,
    }
    charts = [figures.losses(losses), figures.overfitting_time(noise), figures.test_errors(noise)]
    return content, [*charts, figures.memorisation(learned)]


def _fig2(request: Request, results: compare.Results, runs: Path, judged: bool) -> Composed:
    both = grid.figure2(request.seeds, request.scale)
    curves = compare.accuracy_curves(both, results, _begun(both, results, runs))
    stand_in = "CIFAR-10 in place of ImageNet, for which table2 draws it"
    plain = {name: curve for name, curve in curves.items() if name == "inception"}
    charts = [
        figures.accuracies("fig2b", "2b: with and without batch normalisation", curves),
        figures.stand_in(stand_in, plain),
    ]
    return {"figure2b": curves, "figure2a": {"stand_in": stand_in, "curves": plain}}, charts


def _begun(
    recipes: Mapping[str, Sequence[Recipe]], results: compare.Results, runs: Path
) -> dict[str, list[dict[str, Any]]]:
    """Key -> the epochs so far of runs that --minutes has left under way: curves are shown as far as they go."""
    unfinished = [recipe for seeds in recipes.values() for recipe in seeds if recipe.key not in results]
    return {recipe.key: history_so_far(recipe, runs) for recipe in unfinished}


_Compose = Callable[[Request, compare.Results, Path, bool], Composed]
_COMPOSE: dict[Target, _Compose] = {
    "table1": _table1,
    "table2": _table2,
    "table4": _table4,
    "fig1": _fig1,
    "fig2": _fig2,
}


def _all_choices(recipes: Sequence[Recipe]) -> list[dict[str, Any]]:
    """Every setting that the paper leaves open, with all values that it took in these runs."""
    taken: dict[str, set[str]] = {choice.name: set() for choice in CHOICES}
    for recipe in recipes:
        for choice in choices(recipe):
            if choice["value"] is not None:
                taken[choice["name"]].add(str(choice["value"]))
    return [
        {"name": c.name, "values": sorted(taken[c.name]), "mark": c.mark, "reason": c.reason} for c in CHOICES
    ]
