"""Run or resume what a table or figure of the paper needs, and set it beside the paper."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kernelfit.cpu.environment import describe
from kernelfit.deep import compare, figures, flops, grid
from kernelfit.deep.recipe import CHOICES, Recipe, choices
from kernelfit.deep.sweep import STACK, run, seconds_so_far
from kernelfit.deep.system import System
from kernelfit.errors import InputError
from kernelfit.progress import Progress, Silent
from kernelfit.report import json_output


def reproduce(
    targets: Sequence[str],
    folder: Path,
    *,
    seeds: Sequence[int] = (0,),
    scale: dict[str, Any] | None = None,
    system: System | None = None,
    data_dir: Path | None = None,
    stack: int = STACK,
    at_once: int = 1,
    minutes: float | None = None,
    progress: Progress | None = None,
) -> dict[str, dict[str, Any]]:
    """Tables 1, 2 or 4 or figures 1 or 2 of the paper by name: trains what FOLDER/runs lacks, writes
    FOLDER/<target>.json and FOLDER/figures, and returns the records.

    `scale` are recipe fields that make the grid smaller (epochs, n, n_test, dataset); the records say so. For
    `table2`, `data_dir` holds the image folders train/ and val/. With `minutes` the call ends in time, the records
    name the runs that are not finished, and the same call goes on with them.
    """
    scale = dict(scale or {})
    told: Progress = progress or Silent()
    check(targets, seeds, data_dir)
    wanted = in_order(targets, seeds, scale)
    for target in targets:
        note = _scaling(target, seeds, scale)
        if note is not None:
            told.note(f"{target} is {note}")
    runs = folder / "runs"
    results = run(
        wanted,
        runs,
        system=system,
        data_dir=data_dir,
        stack=stack,
        at_once=at_once,
        minutes=minutes,
        progress=told,
    )
    records = {}
    for target in targets:
        own = grid.recipes(target, seeds, scale)
        note = _scaling(target, seeds, scale)
        record: dict[str, Any] = {"target": target, "seeds": list(seeds), "scaled_down": note}
        record |= _compose(target, seeds, scale, results, folder / "figures", note)
        record |= {
            "runs": len(own),
            "unfinished": [r.key for r in own if r.key not in results],
            "precisions": sorted({results[r.key]["system"]["precision"] for r in own if r.key in results}),
            "seconds_of_all_calls": seconds_so_far(runs),
            "arithmetic": flops.plan(own) if {r.dataset for r in own} == {"cifar10"} else None,
            "choices": _all_choices(own),
            "machine": describe(),
        }
        json_output.write(record, folder / f"{target}.json")
        records[target] = record
    return records


def check(targets: Sequence[str], seeds: Sequence[int], data_dir: Path | None) -> None:
    """Raise InputError for targets that do not exist or cannot go together."""
    for target in targets:
        if target not in grid.TARGETS:
            raise InputError(f"target: got {target!r}, expected one of {', '.join(grid.TARGETS)}")
    if not targets or not seeds:
        raise InputError("targets, seeds: got none, expected at least one of each")
    if "table2" in targets and len(targets) > 1:
        raise InputError("targets: table2 has another data set than the others; reproduce it by itself")
    if "table2" in targets and data_dir is None:
        raise InputError(
            "data_dir: table2 needs ImageNet's image folders train/ and val/; give their parent folder (--images)"
        )


def in_order(targets: Sequence[str], seeds: Sequence[int], scale: dict[str, Any]) -> list[Recipe]:
    """The runs of all targets, each once: the whole first seed before the second, one target after the other and,
    within it, the least arithmetic first, so that a call that ends early leaves as many whole rows as it can.
    """
    found: list[Recipe] = []
    for seed in seeds:
        for target in targets:
            runs = grid.recipes(target, [seed], scale)
            found += runs if target == "table2" else sorted(runs, key=flops.of_run)
    return list(dict.fromkeys(found))


def _scaling(target: str, seeds: Sequence[int], scale: dict[str, Any]) -> str | None:
    return compare.scaling_note(grid.recipes(target, seeds, scale), grid.recipes(target, seeds, {}))


def _compose(
    target: str,
    seeds: Sequence[int],
    scale: dict[str, Any],
    results: compare.Results,
    pictures: Path,
    note: str | None,
) -> dict[str, Any]:
    """The part of the record that belongs to the target; figures are written on the way."""
    if target == "table1":
        return {"cells": compare.cells(grid.table1(seeds, scale), results)}
    if target == "table4":
        return {
            "cells": compare.cells(grid.table4(seeds, scale), results),
            "weight_decay_sweep": compare.cells(grid.weight_decay_sweep(seeds, scale), results),
        }
    if target == "table2":
        cells = grid.table2(scale, seeds[0])
        curves = compare.accuracy_curves({c.column: c.recipes for c in cells[2:4]}, results)
        written = figures.save(
            figures.accuracies("2a: ImageNet, early stopping", curves, note), pictures, "fig2a"
        )
        return {"cells": compare.cells(cells, results), "figure2a": curves, "figures": written}
    if target == "fig1":
        losses = compare.loss_curves(grid.figure1a(seeds, scale), results)
        noise = compare.noise_curves(grid.figure1bc(seeds, scale), results)
        written = figures.save(figures.losses(losses, note), pictures, "fig1a")
        written += figures.save(figures.overfitting_time(noise, note), pictures, "fig1b")
        written += figures.save(figures.test_errors(noise, note), pictures, "fig1c")
        half = {model: by_p[0.5] for model, by_p in grid.figure1bc(seeds, scale).items()}
        learned = compare.memorisation_curves(half, results)
        written += figures.save(figures.memorisation(learned, note), pictures, "memorisation")
        order = compare.convergence_order(losses)
        return {
            "figure1a": losses,
            "order": order,
            "figure1bc": noise,
            "memorisation": learned,
            "figures": written,
        }
    curves = compare.accuracy_curves(grid.figure2(seeds, scale), results)
    title = "2b: with and without batch normalisation"
    written = figures.save(figures.accuracies(title, curves, note), pictures, "fig2b")
    stand_in = "CIFAR-10 in place of ImageNet, for which table2 draws it"
    plain = {name: curve for name, curve in curves.items() if name == "inception"}
    title = f"2a: early stopping\n({stand_in})"
    written += figures.save(figures.accuracies(title, plain, note), pictures, "fig2a-cifar10")
    return {"figure2b": curves, "figure2a": {"stand_in": stand_in, "curves": plain}, "figures": written}


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
