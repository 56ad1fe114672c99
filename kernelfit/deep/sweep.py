"""Run recipes, each once, and keep what they gave: FOLDER/<key>/result.json.

A sweep that is interrupted goes on where it was: finished recipes are read, the others resume from their checkpoint.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import nn

from kernelfit.cpu.environment import describe, gpus
from kernelfit.datasets.corruptions import expected_test_error
from kernelfit.deep.engine import Outcome, Training
from kernelfit.deep.journal import read as read_lines
from kernelfit.deep.models import HIDDEN
from kernelfit.deep.parallel import joined, processes
from kernelfit.deep.recipe import Recipe, choices
from kernelfit.deep.sources import Fetch, Kept, load_resident, reader
from kernelfit.deep.system import System
from kernelfit.deep.turns import Job, finish, take_turns
from kernelfit.errors import DataError, InputError
from kernelfit.progress import Progress, Silent
from kernelfit.report import json_output

Trained = tuple[list[Outcome], list[nn.Module]]

STACK = 8  # MLP runs side by side; more would need more device memory for no more speed per run


def record(outcome: Outcome, system: System) -> dict[str, Any]:
    """What is kept of a run. Accuracies are fractions; `history` has one entry per epoch.

    `seconds` are those of the run and of all that were trained beside it.
    """
    recipe, final = outcome.recipe, outcome.final
    kept = ("loss", "online_accuracy", "train_accuracy", "train_top5", "test_accuracy", "test_top5")
    return {
        "key": recipe.key,
        "recipe": recipe.to_json(),
        "status": outcome.status,
        "rate": outcome.rate,
        "rung": recipe.rates.index(outcome.rate),
        "epochs": final["epoch"],
        "steps": final["step"],
        "seconds": final["seconds"],
        "converged_step": outcome.converged_step,
        **{name: final.get(name) for name in kept},
        "best_test_accuracy": final.get("best_test_accuracy"),
        "best_test_top5": final.get("best_test_top5"),
        "corrupted_test_error": _corrupted_error(outcome),
        "choices": choices(recipe),
        "system": _told(system),
        "machine": describe(_cards()),
        "history": outcome.history,
    }


@functools.cache
def _cards() -> list[dict[str, Any]]:
    """The cards, asked for once: runs under way stand still meanwhile."""
    return gpus()


def _told(system: System) -> dict[str, Any]:
    """How the machine was used, as far as it can change rounding or time."""
    device = system.resolve()
    return {
        "device": device.type,
        "precision": system.resolved_precision(device),
        "compile": system.compile,
        "graph": system.graph,
        "evaluate_every": system.evaluate_every,
    }


def _corrupted_error(outcome: Outcome) -> float | None:
    """Beside the error on clean test labels: the one on test labels corrupted like the training labels."""
    noise = {"random-labels": 1.0, "corrupt-labels": outcome.recipe.p}.get(outcome.recipe.corruption)
    accuracy = outcome.final.get("test_accuracy")
    if noise is None or accuracy is None:
        return None
    return expected_test_error(1 - accuracy, noise, outcome.n_classes)


def finished(recipe: Recipe, folder: Path) -> dict[str, Any] | None:
    """The kept result of a recipe; None where it has not been finished in `folder`."""
    path = folder / recipe.key / "result.json"
    if not path.exists():
        return None
    try:
        kept: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        known = Recipe.from_json(kept["recipe"])
    except (ValueError, KeyError, TypeError):
        raise DataError(f"result: {path} is not a result of this program; delete it to run again") from None
    if known != recipe:
        raise DataError(f"result: {path} belongs to another recipe; delete it to run again")
    return kept


def stackable(recipe: Recipe) -> bool:
    """Whether a run may share a batched product with others."""
    return (
        recipe.model in HIDDEN
        and not (recipe.crop or recipe.augment or recipe.plateau)
        and len(recipe.rates) == 1
    )


def stacks(recipes: Sequence[Recipe], size: int = STACK) -> list[list[Recipe]]:
    """Recipes in groups that train together: MLPs that differ in seed, corruption and weight decay only."""
    groups: dict[Recipe, list[Recipe]] = {}
    result: list[list[Recipe]] = []
    for recipe in recipes:
        if not stackable(recipe):
            result.append([recipe])
            continue
        shape = dataclasses.replace(recipe, seed=0, corruption="true", p=1.0, weight_decay=0.0)
        together = groups.setdefault(shape, [])
        if not together:
            result.append(together)
        together.append(recipe)
        if len(together) == size:
            del groups[shape]
    return result


def run(
    recipes: Sequence[Recipe],
    folder: Path,
    *,
    system: System | None = None,
    data_dir: Path | None = None,
    stack: int = STACK,
    at_once: int = 1,
    minutes: float | None = None,
    progress: Progress | None = None,
) -> dict[str, dict[str, Any]]:
    """Results by recipe key: those found in `folder`, and the others trained (or resumed) now, in the given order.

    `stack` MLP runs share a batched product; of such stacks and of other runs, `at_once` train at a time. After
    `minutes` no run is begun and those under way are saved: the result then lacks the unfinished ones, and the same
    call goes on with them. FOLDER/sweep.jsonl gets a line with the seconds of each call.
    """
    system = system or System()
    told: Progress = progress or Silent()
    wanted = list(dict.fromkeys(recipes))
    _check_turns(wanted, at_once, minutes)
    results = {}
    missing = []
    for recipe in wanted:
        kept = finished(recipe, folder)
        if kept is None:
            missing.append(recipe)
        else:
            results[recipe.key] = kept
    if results:
        told.note(f"{len(results)} of {len(wanted)} runs were found finished in {folder}")
        _note_other_precision(results, system, told)
    _note_caution(system, told)
    fetch = reader(data_dir, told)
    kept_inputs: Kept = {}
    start = time.monotonic()
    jobs = (
        functools.partial(
            training,
            group,
            folder,
            system=system,
            data_dir=data_dir,
            fetch=fetch,
            kept=kept_inputs,
            progress=told,
        )
        for group in stacks(missing, stack)
    )
    device = system.resolve()
    done: list[str] = []
    try:
        with told.phase("runs", max(len(missing), 1), "runs") as advance, system.session(device):
            deadline = None if minutes is None else start + 60 * minutes
            for outcomes, _ in take_turns(jobs, device, at_once=at_once, deadline=deadline):
                for outcome in outcomes:
                    results[outcome.recipe.key] = finished(outcome.recipe, folder) or record(outcome, system)
                    done.append(outcome.recipe.key)
                advance(len(outcomes))
    finally:
        if missing:
            line = {"seconds": time.monotonic() - start, "finished": done, "at_once": at_once, "stack": stack}
            _note_call(folder, {**line, "system": _told(system), "machine": describe(_cards())})
    return results


def _check_turns(recipes: Sequence[Recipe], at_once: int, minutes: float | None) -> None:
    if at_once < 1:
        raise InputError(f"at_once: got {at_once}, expected at least 1")
    if minutes is not None and not minutes > 0:
        raise InputError(f"minutes: got {minutes}, expected a positive number")
    if at_once > 1 and any(recipe.dropout for recipe in recipes):
        raise InputError("at_once: runs with dropout draw from one generator; train them one at a time")
    if processes() > 1 and (at_once > 1 or minutes is not None):
        raise InputError(
            "at_once, minutes: processes of torchrun would stop at different steps; use them in one process"
        )


def _note_other_precision(results: dict[str, dict[str, Any]], system: System, told: Progress) -> None:
    """Say so where results that are reused were computed with another precision than is asked for."""
    ours = system.resolved_precision(system.resolve())
    others = {kept.get("system", {}).get("precision", ours) for kept in results.values()} - {ours}
    if others:
        told.note(
            f"some of them were trained in {', '.join(sorted(others))}, not in {ours}; use another folder"
        )


def _note_caution(system: System, told: Progress) -> None:
    caution = system.caution(system.resolve())
    if caution:
        told.note(caution)


def _note_call(folder: Path, line: dict[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "sweep.jsonl", "a", encoding="utf-8") as file:
        file.write(json.dumps(json_output.plain(line)) + "\n")


def seconds_so_far(folder: Path) -> float:
    """Seconds of all calls of `run` that trained anything in `folder`."""
    path = folder / "sweep.jsonl"
    if not path.exists():
        return 0.0
    return sum(float(line["seconds"]) for line in read_lines(path))


def train(
    recipes: Sequence[Recipe],
    folder: Path,
    *,
    system: System,
    data_dir: Path | None = None,
    progress: Progress | None = None,
) -> Trained:
    """Train one group of recipes to the end; see `training`."""
    _note_caution(system, progress or Silent())
    with system.session(system.resolve()):
        return finish(training(recipes, folder, system=system, data_dir=data_dir, progress=progress))


def training(
    recipes: Sequence[Recipe],
    folder: Path,
    *,
    system: System,
    data_dir: Path | None = None,
    fetch: Fetch | None = None,
    kept: Kept | None = None,
    progress: Progress | None = None,
) -> Job[Trained]:
    """Train one group of recipes, down the ladder of rates where there is one, pausing after every step (inside one
    `System.session`); outcomes and trained models.

    Writes FOLDER/<key>/result.json and log.jsonl. Checkpoints lie in FOLDER/<key>/rate-<rate>, or in
    FOLDER/stack-<hash> for several runs. Under torchrun the first process writes.
    """
    told: Progress = progress or Silent()
    first = recipes[0]
    if any(len(r.rates) > 1 for r in recipes) and len(recipes) > 1:
        raise InputError("recipes: runs with a ladder of rates cannot be stacked; run them one by one")
    device = system.resolve()
    with joined(device.type) as group:
        if first.dataset == "imagenet":
            from kernelfit.deep.imagenet import Images

            source: Any = Images(first, data_dir, device, workers=system.workers)
        else:
            speaks = told if group.leads else None
            source = load_resident(
                recipes, device, data_dir=data_dir, progress=speaks, fetch=fetch, kept=kept
            )
        for rung, rate in enumerate(first.rates):
            if len(recipes) == 1:
                place, logs = folder / first.key / f"rate-{rate:g}", [folder / first.key / f"rate-{rate:g}"]
            else:
                name = hashlib.sha256(" ".join(r.key for r in recipes).encode()).hexdigest()[:10]
                place, logs = folder / f"stack-{name}", [folder / r.key for r in recipes]
            attempt = Training(
                recipes,
                source,
                rate=rate,
                folder=place,
                logs=logs,
                system=system,
                group=group,
                progress=told if group.leads else None,
            )
            yield from attempt.steps_taken()
            outcomes = attempt.outcomes()
            failed = outcomes[0].status in ("stuck", "diverged")
            if not failed or rung + 1 == len(first.rates):
                break
            if group.leads:
                told.note(
                    f"{first.key}: {outcomes[0].status} at rate {rate:g}, going on with {first.rates[rung + 1]:g}"
                )
        if group.leads:
            for outcome in outcomes:
                target = folder / outcome.recipe.key / "result.json"
                target.parent.mkdir(parents=True, exist_ok=True)
                json_output.write(record(outcome, system), target)
        group.wait()
    return outcomes, attempt.members
